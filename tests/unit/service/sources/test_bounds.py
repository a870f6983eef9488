"""What a server may cost that a source or a sink speaks to: time, memory and disk."""

import json
import socket
import threading
import time
from contextlib import suppress

import pytest

from calcreport.errors import DeliveryError, InputError, StoreError
from calcreport.service.adapter_settings import (
    DicomwebSourceSettings,
    DimseSinkSettings,
    OrthancSourceSettings,
    WebSettings,
)
from calcreport.service.journal import Journal
from calcreport.service.service_settings import LimitSettings
from calcreport.service.sinks.dimse import DimseSink
from calcreport.service.sources.archive import DicomwebSource
from calcreport.service.sources.orthanc import OrthancSource
from calcreport.service.sources.polled import Sources, WebSource
from calcreport.service.web import Body, WebClient, WebError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
def dripping():
    """``dripping(begin)`` gives the port of a server that says `begin`, then drips, and reads as slowly."""
    stop = threading.Event()
    listening = []

    def serve(listener, begin, reads):
        with suppress(OSError):
            client, _ = listener.accept()
            with client:
                if reads:
                    client.recv(1)
                client.sendall(begin)
                while not stop.wait(0.05):
                    client.recv(1) if not begin else client.sendall(b"x")

    def make(begin, *, reads=True):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.append(listener)
        threading.Thread(target=serve, args=(listener, begin, reads), daemon=True).start()
        return listener.getsockname()[1]

    yield make
    stop.set()
    for listener in listening:
        listener.close()


@pytest.mark.parametrize("begin", [HEAD, HEAD[:20], b"HTTP/1.1 200 OK\r\n"], ids=["body", "status", "headers"])
def test_a_byte_now_and_then_is_no_answer(dripping, begin) -> None:
    client = WebClient(WebSettings(url=f"http://127.0.0.1:{dripping(begin)}", timeout_seconds=0.5))
    begun = time.monotonic()
    with pytest.raises(WebError) as caught:
        client.json("/x")
    assert caught.value.code == "web.too_slow"
    assert caught.value.is_retryable
    assert time.monotonic() - begun < 3.0


def test_a_server_that_takes_a_byte_now_and_then_is_given_up(dripping) -> None:
    size = 20 << 20
    settings = WebSettings(
        url=f"http://127.0.0.1:{dripping(b'')}", timeout_seconds=0.5, min_bytes_per_second=100_000_000
    )
    body = Body(kind="x/y", length=size, blocks=lambda: iter([bytes(size)]))
    begun = time.monotonic()
    with pytest.raises(WebError):
        WebClient(settings).json("/x", body=body)
    assert time.monotonic() - begun < 5.0


def test_a_slow_server_may_take_the_time_its_bytes_need(server, reply) -> None:
    server.answer = lambda _asked: reply(json.dumps(["x" * 1000]).encode())
    client = WebClient(WebSettings(url=server.url, timeout_seconds=2.0, min_bytes_per_second=1))
    assert client.json("/x") == ["x" * 1000]
    assert client.json("/y")  # on the kept connection too
    client.close()


def test_an_archive_that_drips_is_left(dripping, delivery) -> None:
    accepted_begin = b"\x02\x00\x00\x00\x10\x00"  # of an A-ASSOCIATE-AC whose rest drips
    sink = DimseSink(
        "archive",
        DimseSinkSettings(
            kind="dicom", host="127.0.0.1", port=dripping(accepted_begin), called_aet="X", timeout_seconds=0.5
        ),
    )
    begun = time.monotonic()
    with pytest.raises(DeliveryError):
        sink.deliver(delivery)
    assert time.monotonic() - begun < 10.0


class _Source(WebSource):
    def get(self, inbox):
        return self._fetch(inbox, "1.2.3", "/file", "*/*", "SOURCE")

    def _begin(self, _inbox):
        return None

    def _look(self, _inbox, _cursor, _stop):
        return None


@pytest.fixture
def source(server, reply):
    server.answer = lambda _asked: reply(b"DICM" + bytes(3 << 20), kind="application/dicom")
    source = _Source("pacs", WebSettings(url=server.url), Journal())
    yield source
    source._client.close()


def test_the_limits_of_the_receiver_hold_for_what_is_fetched(source, inbox, caplog) -> None:
    assert source.get(inbox)
    inbox.limits = LimitSettings(max_message_bytes=1 << 20)
    with caplog.at_level("INFO"):
        assert not source.get(inbox)
    assert "code=message.too_large" in caplog.text
    inbox.limits = LimitSettings(message_seconds=1e-9)
    with pytest.raises(DeliveryError) as slow:
        source.get(inbox)
    assert slow.value.is_retryable
    assert list(inbox.folder.iterdir()) == []


def test_the_reserve_of_the_disk_holds_for_what_is_fetched(server, reply, source, inbox) -> None:
    kind = "multipart/related; boundary=m"
    server.answer = lambda _asked: reply(b"--m\r\n\r\n" + bytes(40 << 20), kind=kind)  # a part without an end
    inbox.is_full = True
    with pytest.raises(StoreError):
        source.get(inbox)
    assert list(inbox.folder.iterdir()) == []


def test_a_study_that_was_not_asked_for_is_refused(source, inbox, caplog) -> None:
    inbox.study_uid = "1.2.4"
    with caplog.at_level("INFO"):
        assert not source.get(inbox)
    assert "code=file.other_study" in caplog.text
    assert inbox.kept == []


def test_a_short_text_is_not_read_without_an_end(server, reply) -> None:
    server.answer = lambda _asked: reply(b"1" * 300)
    with pytest.raises(WebError) as caught:
        WebClient(WebSettings(url=server.url)).text("/x", most=256)
    assert caught.value.code == "web.unreadable"


@pytest.mark.parametrize("name", ["../../system", "x?y", "", None, 3])
def test_a_name_of_orthanc_is_checked_before_it_becomes_an_address(server, reply, inbox, rounds, name) -> None:
    instance = "-".join(["00000001"] * 5)

    def answer(asked):
        if asked.path.startswith("/changes"):
            changes = [{"ChangeType": "NewInstance", "ID": instance, "Seq": 1}]
            return reply(json.dumps({"Changes": changes, "Done": True, "Last": 1}).encode())
        return reply(json.dumps({"ParentSeries": name}).encode())

    server.answer = answer
    settings = OrthancSourceSettings(kind="orthanc", url=server.url, is_from_beginning=True)
    with pytest.raises(WebError) as caught:
        OrthancSource("pacs", settings, Journal()).run(inbox, rounds(1))
    assert caught.value.code == "web.unreadable"
    assert {path.partition("?")[0] for path in server.paths} == {"/changes", f"/instances/{instance}"}


def test_a_query_has_an_end(server, reply, monkeypatch) -> None:
    monkeypatch.setattr("calcreport.service.sources.archive._MOST_PAGES", 3)
    number = 0

    def answer(_asked):
        nonlocal number
        number += 1000
        return reply(json.dumps([{"0020000D": {"Value": [f"1.{number + i}"]}} for i in range(1000)]).encode())

    server.answer = answer
    source = DicomwebSource("pacs", DicomwebSourceSettings(kind="dicomweb", url=server.url), Journal())
    with pytest.raises(WebError):
        source._studies()
    source._client.close()


def test_a_file_out_of_a_folder_keeps_to_the_limits(inbox) -> None:
    inbox.limits = LimitSettings(max_message_bytes=1 << 20)
    with inbox.incoming() as file:
        file.take(bytes(1 << 20))
        with pytest.raises(InputError):
            file.take(b"1")


class _Recovering(WebSource):
    """Cannot be reached three times, and then can."""

    begun = 0

    def _begin(self, _inbox):
        self.begun += 1
        if self.begun <= 3:
            raise WebError("away", code="web.unreachable")

    def _look(self, _inbox, _cursor, _stop):
        return None


def test_a_source_that_recovered_is_no_problem_any_more(server, inbox, monkeypatch) -> None:
    monkeypatch.setattr("calcreport.service.sources.polled._FIRST_WAIT_S", 0.01)
    journal = Journal()
    settings = OrthancSourceSettings(kind="orthanc", url=server.url, poll_seconds=0.02)
    sources = Sources([_Recovering("pacs", settings, journal)], inbox, journal=journal)
    sources.start()
    deadline = time.monotonic() + 5.0
    while journal.health().get("source_pacs", {}).get("seconds_since_success") is None and time.monotonic() < deadline:
        time.sleep(0.01)
    sources.stop(2.0)
    assert journal.counts()["source_pacs_failed"] == 3
    assert journal.health()["source_pacs"]["failures"] == 0
    assert journal.problems() == []
