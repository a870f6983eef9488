"""Real radiographs through the program, where a folder with public samples is named in CALCREPORT_REAL_FILMS."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

ROOT = os.environ.get("CALCREPORT_REAL_FILMS", "")
pytestmark = pytest.mark.skipif(not ROOT, reason="CALCREPORT_REAL_FILMS names no folder")
LENGTH = re.compile(r"\d\s*(mm|cm)\b")


@pytest.fixture
def analyzed(run, tmp_path):
    """Analyse one sample alone: the finished process, and the folder of its report where there is one."""

    def analyze(name):
        path = Path(ROOT) / name
        if not path.exists():
            pytest.skip(f"{name} is not there")
        (tmp_path / "study").mkdir()
        shutil.copyfile(path, tmp_path / "study" / "film")
        done = run("analyze", tmp_path / "study", "--out", tmp_path / "out")
        assert "Traceback" not in done.stderr
        folders = [folder for folder in (tmp_path / "out").glob("*") if (folder / "report.json").exists()]
        return done, folders[0] if folders else None

    return analyze


@pytest.mark.parametrize("name", ["RG3_RLE", "RG3_J2KR"])
def test_a_bone_finding_is_no_calcification_and_nothing_is_told_in_millimetres(analyzed, name):
    done, folder = analyzed(name)
    assert done.returncode == 0
    report = json.loads((folder / "report.json").read_text())
    assert report["lesions"] == []
    assert [film["scale"] for film in report["technique"]["films"]] == ["none"]
    assert [film["spacing_mm"] for film in report["technique"]["films"]] == [None]
    text = (folder / "report.txt").read_text()
    assert "No soft-tissue calcification identified on this radiograph" in " ".join(text.split())
    assert not LENGTH.search(text)
    assert {row["max_diameter_mm"] for row in report["excluded"]} <= {None}


def test_one_film_in_two_codecs_gives_one_report(analyzed, tmp_path):
    texts = []
    for name in ("RG3_RLE", "RG3_J2KR"):
        _done, folder = analyzed(name)
        # the headers of the two name different dates, and so ages
        texts.append((folder / "report.txt").read_text().split("FINDINGS:")[1])
        for used in ("study", "out"):
            shutil.rmtree(tmp_path / used)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["RG1_JLSN", "gdcm-CR-MONO1-10-chest.dcm"])
def test_a_chest_film_is_refused_because_nothing_on_it_can_be_searched(analyzed, name):
    done, folder = analyzed(name)
    assert done.returncode == 3
    assert "series.not_searchable" in done.stderr
    assert folder is None


def test_a_colour_film_without_identifiers_is_refused(analyzed):
    done, folder = analyzed("idexx_vet_leg_DX_YBR_jpeg.dcm")
    assert done.returncode == 3
    assert "file.no_uid" in done.stderr
    assert folder is None
