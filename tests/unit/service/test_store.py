import errno
import os
import stat
from pathlib import Path

import pytest

from calcreport.dicom.header.image_header import MAKER
from calcreport.errors import NotDicomError, StoreError
from calcreport.service.identity import content_of
from calcreport.service.store import Store

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.34"


def _files(store, kind="images"):
    return sorted(path.name for path in (store.root / "studies").glob(f"*/{kind}/*"))


def test_the_bytes_are_flushed_then_the_name_then_the_folder(put, monkeypatch):
    events = []
    fsync, rename = os.fsync, Path.rename

    def note_fsync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append(("fsync", path.suffix or path.name))
        fsync(descriptor)

    def note_rename(self, target):
        events.append(("rename", Path(target).suffix))
        return rename(self, target)

    put(number=1)  # makes the study's folders
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "rename", note_rename)
    put(number=2)
    assert events == [("fsync", ".part"), ("rename", ".dcm"), ("fsync", "images")]


def test_folders_of_a_new_study_are_flushed_too(store, put, monkeypatch):
    flushed = []
    fsync = os.fsync

    def note(descriptor):
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    arrival = put(number=1)
    folder = store.folder(arrival.study)
    assert {store.root / "studies", folder, folder / "images"} <= set(flushed)


def test_the_data_set_is_kept_as_it_came_and_the_preamble_is_not(store, write, tmp_path):
    came = write(tmp_path / "came").read_bytes()
    path = store.temporary()
    path.write_bytes(b"MZ" + b"\x90" * 126 + came[128:])
    arrival = store.keep(path)
    kept = (store.folder(arrival.study) / "images" / _files(store)[0]).read_bytes()
    assert kept == bytes(128) + came[128:]


def test_the_same_image_is_there_once(store, put):
    first, second = put(number=1), put(number=1)
    assert (first.is_new, second.is_new, second.is_conflict) == (True, False, False)
    assert len(_files(store)) == 1
    assert not list((store.root / "incoming").iterdir())


def test_the_same_uid_with_other_pixels_is_there_twice_and_told(store, put):
    put(number=1)
    second = put(number=1, pixels=b"\1" * 32)
    assert second.is_conflict
    names = _files(store)
    assert len(names) == 2
    assert names[0][:32] == names[1][:32]


def test_a_conflict_is_known_after_a_restart(store, put, write):
    put(number=1)
    store.close()
    again = Store(store.root, reserve_bytes=lambda: 0)
    again.open()
    assert again.keep(write(again.temporary(), number=1, pixels=b"\1" * 32)).is_conflict
    again.close()


def test_another_transfer_syntax_is_another_content_though_the_bytes_are_the_same(store, write, tmp_path):
    content = write(tmp_path / "image", PixelData=None, syntax="1.2.840.10008.1.2.4.90").read_bytes()
    for syntax in (b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.91"):
        path = store.temporary()
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.4.90", syntax))
        store.keep(path)
    assert len(_files(store)) == 2


@pytest.mark.parametrize(
    "tags",
    [
        {"SOPClassUID": SECONDARY_CAPTURE},  # of modality CT: our key images
        {"SOPClassUID": COMPREHENSIVE_SR, "PixelData": None},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"},
        {"SOPClassUID": "1.2.3.4.5.6.7"},
        {"Manufacturer": MAKER},
        {"Manufacturer": MAKER.upper()},
    ],
    ids=["capture", "sr", "mr", "private", "ours", "ours_in_capitals"],
)
def test_what_is_not_analysed_is_set_aside(store, put, tags):
    arrival = put(number=1, **tags)
    assert arrival.is_aside
    assert store.images(arrival.study) == ()
    assert len(_files(store, "aside")) == 1


def test_our_manufacturer_is_the_one_we_write():
    from calcreport.formats.dicom.instance import MAKER as WRITTEN  # noqa: PLC0415 - slow to load

    assert MAKER == WRITTEN


@pytest.mark.parametrize("value", ["../../etc/passwd", "/etc/x", "..", "a/b", "1.2\x003", "1." + "9" * 70, ""])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_uid_that_is_none_is_refused(store, write, tmp_path, keyword, value):
    source = write(tmp_path / "image", **{keyword: "1.2.3"}).read_bytes()
    raw = value.encode()[:64]
    raw += b"\0" * (len(raw) % 2)
    element = source.rindex(b"UI\x06\x001.2.3\0")
    path = store.temporary()
    path.write_bytes(source[:element] + b"UI" + len(raw).to_bytes(2, "little") + raw + source[element + 10 :])
    if value == "1." + "9" * 70:
        raw = value.encode()
        path.write_bytes(source[:element] + b"UI" + len(raw).to_bytes(2, "little") + raw + source[element + 10 :])
    with pytest.raises(NotDicomError):
        store.keep(path)
    assert not _files(store)
    assert not path.exists()


def test_a_patient_stands_in_no_name(store, put):
    put(number=1)
    names = " ".join(str(path) for path in store.root.rglob("*"))
    assert "MARKER" not in names.upper()
    assert "1.2.826" not in names


def test_everything_is_for_its_owner_only(store, put):
    put(number=1)
    for path in [store.root, *store.root.rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path.name


def test_what_was_never_acknowledged_is_gone_after_a_restart(store):
    store.temporary().write_bytes(b"half an image")
    store.close()
    store.open()
    assert not list((store.root / "incoming").iterdir())


def test_one_service_at_a_time(store):
    other = Store(store.root, reserve_bytes=lambda: 0)
    with pytest.raises(StoreError) as caught:
        other.open()
    assert caught.value.code == "store.in_use"


def test_the_reserve_is_left_untouched(store, monkeypatch):
    free = os.statvfs_result((4096, 4096, 1_000_000, 40_000, 40_000, 1, 1, 1, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: free)
    store._reserve_bytes = lambda: 100 << 20
    store.temporary()  # 156 MiB free, 100 MiB in reserve
    store._reserve_bytes = lambda: 1 << 40  # at most 5 % of the disk: 195 MiB
    with pytest.raises(StoreError) as caught:
        store.temporary()
    assert caught.value.code == "store.full"


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "store.full"), (errno.EIO, "store.failed")])
def test_a_disk_that_fails_leaves_nothing_behind(store, put, monkeypatch, number, code):
    put(number=1)

    def fail(_descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError) as caught:
        put(number=2)
    assert caught.value.code == code
    assert len(_files(store)) == 1
    assert not list((store.root / "incoming").iterdir())


def test_the_hash_of_a_study_does_not_depend_on_the_order(store, put):
    study = put(number=1).study
    put(number=2)
    names = store.images(study)
    assert content_of(names) == content_of(reversed(names))
    put(number=3)
    assert content_of(names) != content_of(store.images(study))


def test_an_object_set_aside_does_not_change_a_study(store, put):
    study = put(number=1).study
    before = store.images(study)
    assert put(number=2, SOPClassUID=SECONDARY_CAPTURE).study == study
    assert store.images(study) == before
    assert store.count(study) == 2


def test_a_cursor_survives_a_restart(store):
    assert store.recall("orthanc") is None
    store.remember("orthanc", "17")
    store.close()
    store.open()
    assert store.recall("orthanc") == "17"


@pytest.mark.parametrize("name", ["incoming", "studies", "cursors", "retries"])
def test_a_folder_that_is_a_link_is_refused_and_what_it_leads_to_is_left_alone(tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).symlink_to(elsewhere)
    store = Store(tmp_path / "store", reserve_bytes=lambda: 0)
    with pytest.raises(StoreError, match="symbolic link") as caught:
        store.open()
    store.close()
    assert caught.value.code == "store.failed"
    assert (elsewhere / "precious").exists()
