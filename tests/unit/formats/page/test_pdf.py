"""The report as PDF: every sheet names the patient, nothing is fetched, the same report gives the same bytes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from calcreport.errors import ConfigurationError, TemplateError
from calcreport.formats.page import as_pdf
from calcreport.formats.templates import Templates, load_templates
from calcreport.model.report import Report
from calcreport.resources import template_texts

sys.path.append(str(Path(__file__).parents[1] / "dicom"))

import made_subjects as made

TEMPLATES = load_templates(template_texts())


@pytest.fixture(scope="module", autouse=True)
def _with_weasyprint() -> None:
    try:
        as_pdf.load_weasyprint()
    except ConfigurationError:
        pytest.skip("WeasyPrint or Pango is not installed")


@pytest.fixture
def text_of(need_tool: Callable[[str], str], tmp_path: Path) -> Callable[[bytes], list[str]]:
    """Text of each sheet."""
    tool = need_tool("pdftotext")

    def pages(content: bytes) -> list[str]:
        file = tmp_path / "report.pdf"
        file.write_bytes(content)
        done = subprocess.run([tool, "-layout", str(file), "-"], capture_output=True, check=True)
        return done.stdout.decode().split("\f")[:-1]

    return pages


def report_of(**patient: object) -> Report:
    lesions = tuple(made.lesion_of(number, side="right") for number in range(1, 5))
    report = made.report_of(lesions)
    study = report.study.model_copy(update={"patient": report.study.patient.model_copy(update=patient)})
    return report.model_copy(update={"study": study})


def with_page(page: str) -> Templates:
    return replace(TEMPLATES, texts=MappingProxyType({**TEMPLATES.texts, "report.html.j2": page}))


def test_every_sheet_has_patient_page_and_draft_mark(text_of: Callable[[bytes], list[str]]) -> None:
    sheets = text_of(as_pdf.render(report_of(), TEMPLATES, {}))
    assert len(sheets) > 1
    for number, sheet in enumerate(sheets, start=1):
        first = next(line for line in sheet.splitlines() if line.strip())
        assert "Doe, Jane" in first
        assert "4711" in first
        assert "DRAFT, NOT VERIFIED" in first
        assert f"Page {number} of {len(sheets)}" in sheet


def test_every_lesion_and_every_measurement_is_on_paper(text_of: Callable[[bytes], list[str]]) -> None:
    text = "\n".join(text_of(as_pdf.render(report_of(), TEMPLATES, {})))
    assert all(f"Lesion {number} (L{number})" in text for number in range(1, 5))
    for row in ("Mineral, longest dimension", "Distance from the skin", "Relation to bone"):
        assert text.count(row) == 4
    assert "Features and scores" not in text


def test_hostile_names_print_as_they_are_and_stay_in_their_line(text_of: Callable[[bytes], list[str]]) -> None:
    name = "</p><style>*{display:none}</style>^{{7*7}}"
    sheets = text_of(as_pdf.render(report_of(name=name, id="x" * 3000), TEMPLATES, {}))
    assert "<style>" in sheets[0]
    assert "".join(sheets).count("x") < 1000
    assert "Impression" in "".join(sheets)
    assert "DRAFT, NOT VERIFIED" in sheets[-1]


@pytest.mark.parametrize("cutter", ["as installed", "fontTools"])
def test_the_same_report_gives_the_same_bytes_at_another_time(monkeypatch: pytest.MonkeyPatch, cutter: str) -> None:
    if cutter == "fontTools":
        monkeypatch.setattr("weasyprint.pdf.fonts.harfbuzz_subset", None)
    first = as_pdf.render(report_of(), TEMPLATES, {})
    assert first.startswith(b"%PDF-")
    monkeypatch.setattr("fontTools.misc.timeTools.time.time", lambda: 2_000_000_000.0)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert as_pdf.render(report_of(), TEMPLATES, {}) == first
    assert as_pdf.render(report_of(id="4712"), TEMPLATES, {}) != first


def test_nothing_is_fetched_from_network_or_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from PIL import Image  # noqa: PLC0415

    secret = tmp_path / "secret.png"
    Image.effect_noise((300, 300), 90).save(secret)
    reached = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *found: reached.append(found) or [])
    monkeypatch.setattr(socket.socket, "connect", lambda *found: reached.append(found))
    links = (secret.as_uri(), str(secret), "http://pacs.invalid/x.png", "//pacs.invalid/x.png", "ftp://pacs.invalid/x")
    tags = "".join(
        f'<img src="{link}"><link rel="stylesheet" href="{link}"><style>@import "{link}";'
        f'p {{ background: url({link}) }}</style><link rel="attachment" href="{link}"><object data="{link}"></object>'
        for link in links
    )
    plain, linked = (
        as_pdf.render(report_of(), with_page(f"<html><body><p>x</p>{part}</body></html>"), {}) for part in ("", tags)
    )
    assert not reached
    assert b"/Image" not in linked
    assert b"/EmbeddedFile" not in linked
    assert len(linked) < len(plain) + 3000  # the noise alone is 50 kB
    assert not caplog.records


def test_data_pictures_are_shown() -> None:
    page = '<html><body><img src="data:image/png;base64,{}"></body></html>'
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    assert b"/Image" in as_pdf.render(report_of(), with_page(page.format(pixel)), {})


@pytest.mark.parametrize("missing", [ImportError, OSError])
def test_what_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, missing: type[Exception]) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name.startswith("weasyprint"):
                raise missing("cannot load library 'libpango-1.0-0'")

    for name in [name for name in sys.modules if name.startswith("weasyprint")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(ConfigurationError) as caught:
        as_pdf.render(report_of(), TEMPLATES, {})
    assert caught.value.code == "output.no_pdf"
    assert "calcreport[pdf]" in caught.value.message
    assert "Pango" in caught.value.message


def test_a_lost_style_sheet_is_named() -> None:
    texts = {name: text for name, text in TEMPLATES.texts.items() if name != as_pdf.STYLE}
    with pytest.raises(TemplateError) as caught:
        as_pdf.render(report_of(), replace(TEMPLATES, texts=MappingProxyType(texts)), {})
    assert caught.value.code == "template.missing"


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    as_pdf.render(report_of(), TEMPLATES, {})
    assert os.environ["SOURCE_DATE_EPOCH"] == "5"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    as_pdf.render(report_of(), TEMPLATES, {})
    assert "SOURCE_DATE_EPOCH" not in os.environ
