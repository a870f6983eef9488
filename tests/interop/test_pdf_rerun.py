"""Written again at another time, an unchanged draft has the same objects and the same document."""

from __future__ import annotations

from pathlib import Path

import pytest

from calcreport.cli import main
from calcreport.errors import ConfigurationError
from calcreport.formats.page import as_pdf

pytestmark = pytest.mark.interop

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"


@pytest.mark.parametrize("name", ["phleboliths_thigh", "rim_mass_thigh_films"])
def test_an_unchanged_draft_gives_the_same_bytes_at_another_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    try:
        as_pdf.load_weasyprint()
    except ConfigurationError:
        pytest.skip("WeasyPrint or Pango is not installed")
    written = []
    for time in ("2026-11-20T09:30:15+01:00", "2026-11-21T10:00:00+01:00"):
        monkeypatch.setattr("calcreport.arguments.now", lambda time=time: time)
        formats = "text,json,html,png,sr,seg,sc,pdf"
        assert main(["analyze", str(SAMPLES / name), "--out", str(tmp_path), "--format", formats, "--quiet"]) == 0
        files = sorted(path for path in tmp_path.rglob("*") if path.suffix in {".dcm", ".pdf"})
        written.append({path.name: path.read_bytes() for path in files})
    capsys.readouterr()
    first, second = written
    assert {"sr.dcm", "seg.dcm", "sc_1.dcm", "report_pdf.dcm", "report.pdf"} <= set(first)
    assert [name for name in first if first[name] != second.get(name)] == []
    assert first.keys() == second.keys()
