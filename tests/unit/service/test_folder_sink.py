"""The sink that copies results into a folder, perhaps a share of the hospital."""

import os
import stat

import pytest
from pydantic import ValidationError

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import FolderSinkSettings
from calcreport.service.delivery import Delivery
from calcreport.service.sinks.folder import FolderSink


@pytest.fixture
def delivery(tmp_path):
    folder = tmp_path / "results" / "1.2.3"
    (folder / "images").mkdir(parents=True)
    (folder / "report.txt").write_text("text")
    (folder / "images" / "L1.png").write_bytes(b"png")
    return Delivery(
        study_instance_uid="1.2.3", key="k", revision=1, outcome="reported", folder=folder,
    )  # fmt: skip


def sink(path, **settings):
    return FolderSink("share", FolderSinkSettings.model_validate({"kind": "folder", "path": str(path), **settings}))


def rights(path):
    return {str(p.relative_to(path)): stat.S_IMODE(p.stat().st_mode) for p in path.rglob("*")}


def test_a_folder_that_is_not_there_is_never_made(tmp_path, delivery):
    with pytest.raises(DeliveryError) as caught:
        sink(tmp_path / "share").deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable) == ("delivery.no_folder", True)
    assert not (tmp_path / "share").exists()


def test_an_empty_mount_point_is_not_written_to(tmp_path, delivery):
    share = tmp_path / "share"
    share.mkdir()
    with pytest.raises(DeliveryError, match="not mounted"):
        sink(share, mount=str(share)).deliver(delivery)
    assert list(share.iterdir()) == []
    sink(share, mount="/").deliver(delivery)
    assert (share / "1.2.3" / "report.txt").read_text() == "text"


@pytest.mark.parametrize(
    ("mode", "file", "folder"), [("0600", 0o600, 0o700), ("0640", 0o640, 0o750), ("660", 0o660, 0o770)]
)
def test_rights_are_those_of_the_settings(tmp_path, delivery, mode, file, folder):
    share = tmp_path / "share"
    share.mkdir()
    before = os.umask(0o077)
    try:
        sink(share, file_mode=mode).deliver(delivery)
    finally:
        os.umask(before)
    assert rights(share) == {
        "1.2.3": folder, "1.2.3/images": folder, "1.2.3/images/L1.png": file, "1.2.3/report.txt": file,
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["0644", "0777", "rw", "0400"])
def test_nobody_else_may_ever_read(tmp_path, mode):
    with pytest.raises(ValidationError):
        sink(tmp_path, file_mode=mode)


def test_a_group_that_does_not_exist_leaves_nothing_behind(tmp_path, delivery):
    share = tmp_path / "share"
    share.mkdir()
    with pytest.raises(DeliveryError) as caught:
        sink(share, group="no-such-group-here").deliver(delivery)
    assert caught.value.code == "delivery.no_group"
    assert list(share.iterdir()) == []
