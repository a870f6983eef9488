import os
import re
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from calcreport.errors import OutputError
from calcreport.study.folder import ResultsFolder, folder_name

NAME = "1.2.3"
FILES = {"report.txt": b"new", "images/L1.png": b"picture"}


@pytest.fixture
def results(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path / "out", run_id="t0")


@pytest.mark.parametrize("uid", ["1.2.840.113619.2.55.3", "2.25.0", "1." + "2" * 62])
def test_a_valid_uid_names_its_folder(uid: str) -> None:
    assert folder_name(uid) == uid


@pytest.mark.parametrize(
    "uid",
    [
        "", ".", "..", "../../etc/passwd", "1.2/../../x", "1.2\x003", "/abs", "1..2", "1.2.", ".1", "1.02", "1.2\n",
        "1." + "2" * 63, "DOE^JANE", "1.٢", "con", "-rf", "1.2.3 ", "\ud800",
    ],
)  # fmt: skip
def test_any_other_text_names_no_folder_but_its_hash_does(uid: str) -> None:
    name = folder_name(uid)
    assert re.fullmatch(r"study-[0-9a-f]{24}", name)
    assert name == folder_name(uid) != folder_name(uid + "1")


def test_a_study_appears_whole_and_nothing_else_is_left(results: ResultsFolder, tmp_path: Path) -> None:
    results.prepare()
    results.write_study("1.2", FILES)
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*"))
    assert written == ["1.2", "1.2/images", "1.2/images/L1.png", "1.2/report.txt"]


def test_writing_again_replaces_the_folder_as_a_whole(results: ResultsFolder, tmp_path: Path) -> None:
    results.prepare()
    results.write_study("1.2", {"report.txt": b"old", "sr.dcm": b"old"})
    results.write_study("1.2", FILES)
    assert (tmp_path / "out/1.2/report.txt").read_bytes() == b"new"
    assert not (tmp_path / "out/1.2/sr.dcm").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.2"]


def test_a_failed_write_leaves_the_older_folder_as_it_was(results: ResultsFolder, tmp_path: Path) -> None:
    results.prepare()
    results.write_study("1.2", {"report.txt": b"old"})
    with pytest.raises(OutputError):
        results.write_study("1.2", {"report.txt": b"new", "report": b"", "report/impossible": b""})
    assert (tmp_path / "out/1.2/report.txt").read_bytes() == b"old"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.2"]


@pytest.mark.parametrize(("meetings", "is_written"), [(1, True), (7, True), (8, False)])
def test_what_another_run_puts_in_place_in_between_gives_way(
    results: ResultsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meetings: int, is_written: bool
) -> None:
    rename, left = Path.rename, [meetings]

    def meet(self: Path, target: Path) -> Path:
        if left[0] and self.name.endswith(".partial"):
            left[0] -= 1
            (tmp_path / "out" / NAME).mkdir()
            (tmp_path / "out" / NAME / "other").touch()
        return rename(self, target)

    results.prepare()
    results.write_study(NAME, {"report.txt": b"first"})
    monkeypatch.setattr(Path, "rename", meet)
    with nullcontext() if is_written else pytest.raises(OutputError):
        results.write_study(NAME, {"report.txt": b"second"})
    assert [path.name for path in (tmp_path / "out" / NAME).iterdir()] == ["report.txt" if is_written else "other"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [NAME]


def test_what_another_run_moves_aside_in_between_is_nothing_to_replace(
    results: ResultsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def meet(self: Path, target: Path) -> Path:
        if self.name == NAME:
            shutil.rmtree(self)
        return rename(self, target)

    results.prepare()
    results.write_study(NAME, {"report.txt": b"first"})
    monkeypatch.setattr(Path, "rename", meet)
    results.write_study(NAME, {"report.txt": b"second"})
    assert (tmp_path / "out" / NAME / "report.txt").read_bytes() == b"second"


def test_a_link_in_the_place_of_a_study_is_replaced_and_never_followed(results: ResultsFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"")
    results.prepare()
    (tmp_path / "out/1.2").symlink_to(elsewhere)
    results.write_study("1.2", FILES)
    assert not (tmp_path / "out/1.2").is_symlink()
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]


@pytest.mark.parametrize("name", ["../x", "..", "", "a/../b", "/x", "a/b/c", ".hidden", "x\n"])
def test_a_file_name_that_could_lead_out_is_refused(results: ResultsFolder, tmp_path: Path, name: str) -> None:
    results.prepare()
    with pytest.raises(ValueError, match="plain file name"):
        results.write_study("1.2", {name: b""})
    assert not list((tmp_path / "out").iterdir())


def test_what_a_stopped_run_began_is_undone(results: ResultsFolder, tmp_path: Path) -> None:
    results.prepare()
    out = tmp_path / "out"
    (out / ".calcreport-t0-1.2.partial").mkdir()
    (out / ".calcreport-t0-summary.json.partial").write_bytes(b"half")
    (out / ".calcreport-t0-1.3.replaced").mkdir()
    (out / ".calcreport-other-1.4.partial").mkdir()
    results.recover()
    assert sorted(path.name for path in out.iterdir()) == [".calcreport-other-1.4.partial", "1.3"]


def test_a_study_that_no_longer_holds_is_removed(results: ResultsFolder, tmp_path: Path) -> None:
    results.prepare()
    results.write_study("1.2", FILES)
    results.remove("1.2")
    results.remove("1.3")
    assert not list((tmp_path / "out").iterdir())


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    for root in (tmp_path / "out", tmp_path / "out/below"):
        with pytest.raises(OutputError) as caught:
            ResultsFolder(root, run_id="t0").prepare()
        assert caught.value.code == "output.not_a_folder"
        assert str(tmp_path) not in caught.value.message


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; tests/e2e covers it under another user")
def test_a_folder_without_permission_is_named(unwritable: Path) -> None:
    with pytest.raises(OutputError) as caught:
        ResultsFolder(unwritable, run_id="t0").prepare()
    assert caught.value.code == "output.not_permitted"


def test_a_folder_that_was_moved_aside_and_never_replaced_comes_back(tmp_path: Path) -> None:
    results = ResultsFolder(tmp_path, run_id="abc")
    results.prepare()
    results.write_study("1.2.3", {"review.yaml": b"x"})
    (tmp_path / "1.2.3").rename(tmp_path / ".calcreport-gone-1.2.3.replaced")
    ResultsFolder(tmp_path, run_id="now").prepare()
    assert not (tmp_path / "1.2.3").exists(), "another run may be about to replace it"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calcreport.study.folder._ABANDONED_SECONDS", -1.0)
        ResultsFolder(tmp_path, run_id="now").prepare()
    assert (tmp_path / "1.2.3" / "review.yaml").read_bytes() == b"x"
