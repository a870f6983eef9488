import os

import pytest

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import FolderSourceSettings
from calcreport.service.journal import Journal
from calcreport.service.sources.folder import FolderSource


@pytest.fixture
def drop(tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def look(drop, inbox, rounds):
    """``look(2)`` looks twice, as after a restart."""

    def run(times: int = 2, **settings) -> None:
        chosen = FolderSourceSettings(kind="folder", path=str(drop), **settings)
        FolderSource("drop", chosen, Journal()).run(inbox, rounds(times))

    return run


def test_a_file_at_rest_is_taken_once_and_left_as_it_is(drop, look, inbox) -> None:
    (drop / "deep/er").mkdir(parents=True)
    (drop / "deep/er/Mueller^Anna.dcm").write_bytes(b"DICM1")
    before = (drop / "deep/er/Mueller^Anna.dcm").stat()
    look(1)
    assert inbox.kept == []
    look(3)
    look(3)
    assert inbox.kept == [b"DICM1"]
    after = (drop / "deep/er/Mueller^Anna.dcm").stat()
    assert (after.st_mtime_ns, after.st_size, after.st_mode) == (before.st_mtime_ns, before.st_size, before.st_mode)
    assert "Mueller" not in inbox.cursors["drop"]


def test_a_file_that_still_grows_is_not_taken(drop, inbox) -> None:
    source = FolderSource("drop", FolderSourceSettings(kind="folder", path=str(drop)), Journal())

    class Growing:
        looks = 0

        def is_set(self) -> bool:
            return self.looks >= 6

        def wait(self, _seconds: float) -> None:
            self.looks += 1
            if self.looks < 4:
                (drop / "a").write_bytes(b"DICM" * self.looks)
                assert inbox.kept == []

    source.run(inbox, Growing())
    assert inbox.kept == [b"DICM" * 3]


def test_a_file_that_was_replaced_is_taken_again(drop, look, inbox) -> None:
    (drop / "a").write_bytes(b"DICM1")
    look()
    (drop / "a").write_bytes(b"DICM other")
    look()
    assert inbox.kept == [b"DICM1", b"DICM other"]


def test_only_regular_files_that_are_not_hidden_are_looked_at(drop, look, inbox, tmp_path) -> None:
    (tmp_path / "secret").write_bytes(b"DICM secret")
    (drop / "link").symlink_to(tmp_path / "secret")
    (drop / "folder").symlink_to(tmp_path)
    os.mkfifo(drop / "pipe")
    (drop / ".unfinished").write_bytes(b"DICM half")
    (drop / "empty").touch()
    (drop / "plain").write_bytes(b"DICM1")
    look(3)
    assert inbox.kept == [b"DICM1"]


def test_what_cannot_be_kept_is_passed_over_once(drop, look, inbox) -> None:
    (drop / "note.txt").write_bytes(b"no image")
    (drop / "plain").write_bytes(b"DICM1")
    look(3)
    assert inbox.kept == [b"DICM1"]
    assert (drop / "note.txt").exists()
    assert not list(inbox.folder.iterdir())


def test_files_are_removed_only_when_told_and_only_when_kept(drop, look, inbox) -> None:
    (drop / "note.txt").write_bytes(b"no image")
    (drop / "plain").write_bytes(b"DICM1")
    look(3, is_emptied=True)
    assert inbox.kept == [b"DICM1"]
    assert [path.name for path in drop.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("cursor", ["{", "{}", "[1, null]"])
def test_a_damaged_cursor_loses_nothing(drop, look, inbox, cursor) -> None:
    (drop / "plain").write_bytes(b"DICM1")
    inbox.cursors["drop"] = cursor
    look()
    assert inbox.kept == [b"DICM1"]


def test_a_folder_that_is_not_mounted_is_a_failure_and_forgets_nothing(drop, look, inbox) -> None:
    (drop / "plain").write_bytes(b"DICM1")
    look()
    drop.rename(drop.with_name("away"))
    with pytest.raises(DeliveryError) as caught:
        look()
    assert caught.value.is_retryable
    drop.with_name("away").rename(drop)
    look()
    assert inbox.kept == [b"DICM1"]


@pytest.mark.parametrize("is_emptied", [False, True])
def test_a_clinical_file_is_taken_as_such_by_its_name(drop, look, inbox, is_emptied) -> None:
    for name in ("clinical.yaml", "1.2.3.Clinical.JSON", "x-clinical.yml", "clinical.txt"):
        (drop / name).write_bytes(name.encode())
    (drop / "empty.clinical.yaml").write_bytes(b"")
    look(3, is_emptied=is_emptied)
    assert sorted(inbox.clinical) == [b"1.2.3.Clinical.JSON", b"clinical.yaml", b"x-clinical.yml"]
    left = {path.name for path in drop.iterdir()}
    assert left >= {"clinical.txt", "empty.clinical.yaml"}
    assert ("clinical.yaml" in left) is not is_emptied
