"""What a peer may send before it is cut off, without a network."""

import pytest

from calcreport.service.receiving import scp
from calcreport.service.receiving.limits import Connection
from calcreport.service.service_settings import LimitSettings

COMMAND, LAST_COMMAND, DATA, LAST_DATA = b"\1", b"\3", b"\0", b"\2"


@pytest.fixture
def connection():
    return Connection(address="127.0.0.1", close=lambda: None, opened_s=0.0, heard_s=0.0)


def _count(connection, fragment):
    return scp._count(connection, fragment, LimitSettings())


def test_an_ordinary_message_exceeds_nothing(connection):
    for _message in range(20):
        assert _count(connection, LAST_COMMAND + bytes(200)) == ""
        connection.file = object()  # pynetdicom opened it
        assert connection.is_in_message
        for _fragment in range(100):
            assert _count(connection, DATA + bytes(100_000)) == ""
        assert _count(connection, LAST_DATA) == ""
        connection.pending -= 1  # answered
        assert not connection.is_in_message


def test_a_command_without_an_end(connection):
    answers = [_count(connection, COMMAND + bytes(1000)) for _fragment in range(100)]
    assert answers[0] == ""
    assert answers[-1] == "message.command_too_large"


def test_requests_without_waiting_for_answers(connection):
    answers = [_count(connection, LAST_COMMAND + bytes(100)) for _message in range(9)]
    assert answers == [""] * 8 + ["message.command_too_large"]


def test_data_that_belong_to_no_message(connection):
    answers = [_count(connection, DATA + bytes(100_000)) for _fragment in range(12)]
    assert answers[0] == ""
    assert answers[-1] == "message.unexpected_data"


def test_data_after_the_end_of_a_message(connection):
    _count(connection, LAST_COMMAND)
    connection.file = object()
    _count(connection, LAST_DATA)
    answers = [_count(connection, DATA + bytes(100_000)) for _fragment in range(12)]
    assert answers[-1] == "message.unexpected_data"


def test_a_fragment_without_a_header(connection):
    assert _count(connection, b"") == "message.empty_fragment"


@pytest.mark.parametrize(("first", "rest"), [((COMMAND, COMMAND)), ((LAST_COMMAND, DATA))], ids=["command", "data"])
def test_two_bytes_now_and_then_are_no_message(connection, monkeypatch, first, rest):
    now = scp.monotonic()
    answers = []
    for number in range(5):
        monkeypatch.setattr(scp, "monotonic", lambda number=number: now + number * 30.0)
        answers.append(_count(connection, (rest if number else first) + b"\0"))
    assert answers[0] == ""
    assert answers[-1] == "message.too_slow"


def test_a_slow_line_is_no_mistake_and_our_own_work_does_not_count(connection, monkeypatch):
    now = scp.monotonic()
    _count(connection, LAST_COMMAND + bytes(200))
    connection.file = object()
    for number in range(1, 200):  # 2 kB/s
        monkeypatch.setattr(scp, "monotonic", lambda number=number: now + number * 30.0)
        assert _count(connection, DATA + bytes(60_000)) == ""
    assert _count(connection, LAST_DATA) == ""
    monkeypatch.setattr(scp, "monotonic", lambda: now + 20_000.0)
    assert _count(connection, LAST_COMMAND + bytes(200)) == ""
