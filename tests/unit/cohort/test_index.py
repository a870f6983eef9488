"""The index gives each study the files that a search of everything would give it."""

import importlib.util
import os
import signal
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest

from calcreport.cohort import index as module
from calcreport.cohort.index import Index
from calcreport.cohort.task import digest_files, sign_files
from calcreport.dicom import StudyFiles, discover
from calcreport.settings import ReadingSettings

_SPEC = importlib.util.spec_from_file_location("whole_studies", Path(__file__).parents[2] / "e2e/conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
write_slices = _MODULE.write_slices

UID = "1.2.826.0.1.3680043.10.8"
HU = np.full((4, 8, 8), 40, dtype=np.int16)
SETTINGS = ReadingSettings()


def _refresh(index: Index, *paths: Path, out: Path = Path("/nonexistent")) -> list[str]:
    index.refresh(paths, leave_out=out, settings=SETTINGS, jobs=1, on_progress=lambda _: None)
    return list(index.studies())


def _facts(study: StudyFiles) -> tuple[object, ...]:
    series = sorted((s.uid, s.problem or "", s.notes, len(s.planes), len(s.instances)) for s in study.series)
    return study.study.study_instance_uid, study.notes, series


def _mixed_tree(root: Path) -> Path:
    """Studies that share a folder, a series, or have no UID; damaged files; an archive."""
    write_slices(root / "shared", HU, uid=f"{UID}.1")
    for path in (root / "shared").iterdir():
        path.rename(path.with_name(f"a{path.name}"))
    write_slices(root / "shared", HU, uid=f"{UID}.2")
    (root / "shared/damaged").write_bytes((root / "shared/0000").read_bytes()[:600])
    write_slices(root / "one", HU, uid=f"{UID}.3", tags={"SeriesInstanceUID": f"{UID}.99"})
    write_slices(root / "two", HU, uid=f"{UID}.4", tags={"SeriesInstanceUID": f"{UID}.99"})
    write_slices(root / "nameless", HU, uid=f"{UID}.5", tags={"StudyInstanceUID": "", "SeriesInstanceUID": ""})
    write_slices(root / "packed", HU, uid=f"{UID}.6")
    with zipfile.ZipFile(root / "archive", "w") as archive:
        for path in (root / "packed").iterdir():
            archive.write(path, path.name)
            path.unlink()
    (root / "readme").write_text("no image" * 50)
    return root


def test_each_study_is_what_a_search_of_everything_finds(tmp_path: Path) -> None:
    root = _mixed_tree(tmp_path / "in")
    index = Index(tmp_path / "index.sqlite")
    with discover([root], settings=SETTINGS) as found:
        whole = sorted(map(_facts, found.studies), key=lambda facts: str(facts[0]))
        aside = {row.code: row.count for row in found.set_aside}
    assert _refresh(index, root) == [facts[0] for facts in whole]
    assert len(whole) == 6
    alone = []
    for uid in index.studies():
        with discover([Path(file.path) for file in index.files_of(uid)], settings=SETTINGS) as found:
            alone += [_facts(study) for study in found.studies if study.study.study_instance_uid == uid]
    assert alone == whole
    assert {code: count for code, _, count in index.set_aside()} == aside
    assert any("damaged" in str(facts) for facts in alone)
    assert any("series.mixed_studies" in str(facts) for facts in alone)


def test_only_new_and_changed_files_are_read_and_gone_ones_forgotten(tmp_path: Path) -> None:
    root, place = tmp_path / "in", tmp_path / "index.sqlite"
    for number in (1, 2, 3):
        write_slices(root / str(number), HU, uid=f"{UID}.{number}")
    (tmp_path / "in/out").mkdir()
    write_slices(tmp_path / "in/out/own", HU, uid=f"{UID}.9")
    index = Index(place)
    assert _refresh(index, root, root / "1", out=tmp_path / "in/out") == [f"{UID}.1", f"{UID}.2", f"{UID}.3"]
    assert index.is_complete([root, root / "1"])
    assert not index.is_complete([root])

    def rows() -> dict[tuple[bytes, bytes], int]:
        with sqlite3.connect(place) as db:
            found = db.execute("SELECT path, name, file.id FROM file JOIN folder ON folder.id = file.folder")
            return {(path, name): key for path, name, key in found}

    before = rows()
    write_slices(root / "2", HU, uid=f"{UID}.4")
    for path in (root / "3").iterdir():
        path.unlink()
    (root / "3").rmdir()
    assert _refresh(index, root, out=tmp_path / "in/out") == [f"{UID}.1", f"{UID}.4"]
    kept = {name for name, key in rows().items() if before.get(name) == key}
    assert {path.rpartition(b"/")[2] for path, _ in kept} == {b"1"}
    assert len(kept) == len(HU)
    fixed = Index(place, is_fixed=True)
    assert fixed.count_files() == 2 * len(HU)
    assert fixed.count_studies() == 2


def test_a_file_that_ends_its_worker_is_set_aside_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_slices(tmp_path / "in", HU, uid=f"{UID}.1")
    (tmp_path / "in/poison").write_bytes(b"x" * 1000)
    real = module.survey

    def survey(path: str, **how: ReadingSettings) -> module.FileContent:
        if path.endswith("poison"):
            os.kill(os.getpid(), signal.SIGSEGV)
        return real(path, **how)

    monkeypatch.setattr(module, "survey", survey)
    index = Index(tmp_path / "index.sqlite")
    assert _refresh(index, tmp_path / "in") == [f"{UID}.1"]
    assert [(code, count) for code, _, count in index.set_aside()] == [("study.crashed", 1)]
    assert len(index.files_of(f"{UID}.1")) == len(HU) + 1  # it may have been a slice


def test_the_digest_follows_the_content_and_the_signature_the_file_system(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "in", HU, uid=f"{UID}.1")
    index = Index(tmp_path / "index.sqlite")
    _refresh(index, folder)
    files = index.files_of(f"{UID}.1")
    moved = folder.rename(tmp_path / "elsewhere")
    _refresh(index, moved)
    after = index.files_of(f"{UID}.1")
    assert digest_files(after) == digest_files(tuple(reversed(after)))
    assert sign_files(after) != sign_files(files)
    assert digest_files(files) != digest_files(after)  # they are not there any more
    content = (moved / "0001").read_bytes()
    before = digest_files(after)
    (moved / "0001").write_bytes(content[:-1] + b"\1")
    assert digest_files(after) != before


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "in", HU, uid=f"{UID}.1")
    odd = os.fsencode(folder / "0000") + b"\xff"
    os.rename(folder / "0000", odd)  # noqa: PTH104 - bytes
    index = Index(tmp_path / "index.sqlite")
    assert _refresh(index, folder) == [f"{UID}.1"]
    assert odd in {os.fsencode(file.path) for file in index.files_of(f"{UID}.1")}


@pytest.mark.parametrize(
    ("other", "is_earlier"),
    [
        ({}, True),
        ({"patient_id": "P2"}, False),
        ({"patient_id": None}, False),  # what is not known is no agreement
        ({"birth_date": "1971-01-01"}, False),
        ({"birth_date": None}, False),
        ({"sex": "M"}, False),
        ({"sex": None}, False),
        ({"issuer": "THERE"}, False),
        ({"issuer": None}, False),
        ({"study_date": "2026-07-01"}, False),  # of the same day
        ({"study_date": None}, False),
    ],
)
def test_an_earlier_study_is_of_the_same_patient(
    tmp_path: Path, other: dict[str, str | None], is_earlier: bool
) -> None:
    me = {"patient_id": "P1", "birth_date": "1970-01-01", "sex": "F", "issuer": "HERE"}
    index = Index(tmp_path / "index.sqlite")
    rows = {"now": me | {"study_date": "2026-07-01"}, "last": me | {"study_date": "2025-07-01"} | other,
            "first": me | {"study_date": "2024-07-01"}}  # fmt: skip
    with sqlite3.connect(tmp_path / "index.sqlite") as db:
        for study, row in rows.items():
            names = ", ".join(row)
            db.execute(f"INSERT INTO patient (study, {names}) VALUES (?, ?, ?, ?, ?, ?)", (study, *row.values()))  # noqa: S608
    assert index.earlier_than("now") == (["last", "first"] if is_earlier else ["first"])
    assert index.earlier_than("first") == []


def test_without_an_issuer_on_both_the_id_decides(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite")
    with sqlite3.connect(tmp_path / "index.sqlite") as db:
        for study, day in (("now", "2026-07-01"), ("last", "2025-07-01")):
            row = (study, "P1", None, "1970-01-01", "F", None, None, day)
            db.execute("INSERT INTO patient VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    assert index.earlier_than("now") == ["last"]
