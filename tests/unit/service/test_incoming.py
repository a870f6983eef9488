import errno
import os

import pytest

from calcreport.service import inbox as incoming
from calcreport.service.inbox import IncomingFile
from calcreport.service.service_settings import LimitSettings


@pytest.fixture
def excess():
    return []


@pytest.fixture
def make(store, excess):
    def open_file(**limits):
        return IncomingFile(
            store, LimitSettings.model_construct(**{**LimitSettings().__dict__, **limits}), excess.append
        )

    return open_file


def _left(store):
    return list((store.root / "incoming").iterdir())


def test_bytes_go_to_the_disk_at_once(store, make):
    file = make()
    file.write(b"abc")
    assert _left(store)[0].read_bytes() == b"abc"  # not closed, not flushed
    file.write(b"def")
    file.close()
    assert file.path.read_bytes() == b"abcdef"
    assert file.refusal == ""


def test_an_association_that_dies_leaves_no_file(store, make):
    file = make()
    file.write(b"abc")
    file.discard()
    assert _left(store) == []


def test_a_message_over_the_limit_ends_the_connection_once_and_leaves_nothing(store, make, excess):
    file = make(max_message_bytes=10)
    for _fragment in range(5):
        file.write(b"12345")
    assert excess == ["message.too_large"]
    assert _left(store) == []


def test_a_message_that_takes_too_long_ends_the_connection(store, make, excess, monkeypatch):
    file = make(message_seconds=60.0)
    file.write(b"1")
    now = incoming.monotonic()
    monkeypatch.setattr(incoming, "monotonic", lambda: now + 61.0)
    file.write(b"2")
    assert excess == ["message.too_slow"]
    assert _left(store) == []


def test_a_disk_that_fills_up_is_answered_and_the_rest_dropped(store, make, excess, monkeypatch):
    file = make()
    file.write(b"begun")

    def full(_descriptor, _data):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    assert file.write(b"more") == 4
    assert file.write(b"and more") == 8
    assert file.refusal == "store.full"
    assert excess == []
    assert _left(store) == []


def test_a_disk_without_space_takes_no_byte(store, make):
    store._reserve_bytes = lambda: 1 << 60
    store.free_bytes = lambda: -1
    file = make()
    file.write(b"123")
    assert file.refusal == "store.full"
    assert _left(store) == []


def test_space_is_looked_at_while_a_large_message_arrives(store, make, monkeypatch):
    monkeypatch.setattr(incoming, "_CHECK_SPACE_BYTES", 10)
    file = make()
    store.free_bytes = lambda: -1
    file.write(b"12345")
    assert file.refusal == ""
    file.write(b"67890")
    assert file.refusal == "store.full"
    assert _left(store) == []
