"""What tells an operator's systems how the service is."""

import os
import socket
import urllib.request

import pytest

from calcreport.errors import SettingsError
from calcreport.service.journal import Journal
from calcreport.service.service import notify_systemd, serve_metrics

STATUS = {
    "receiving": 1, "waiting": 2, "delivering": 3, "free_bytes_above_reserve": 4, "analysing": ["0123456789ab"],
    "workers": 2,
    "problems": ["delivery.no_folder"], "counters": {"images_received": 7},
    "parts": {
        "sink_share": {"seconds_since_success": None, "code": "delivery.no_folder", "failures": 5},
        "analysis": {"seconds_since_success": 12, "code": "", "failures": 0},
    },
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_numbers_are_those_of_the_status():
    port = free_port()
    end = serve_metrics("127.0.0.1", port, lambda: STATUS)
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        with pytest.raises(SettingsError):
            serve_metrics("127.0.0.1", port, lambda: STATUS)
    finally:
        end()
    lines = {line for line in text.splitlines() if not line.startswith("#")}
    assert lines == {
        "calcreport_workers 2.0", "calcreport_receiving 1.0", "calcreport_waiting 2.0", "calcreport_delivering 3.0",
        "calcreport_free_bytes_above_reserve 4.0", "calcreport_analysing 1.0",
        'calcreport_problem{code="delivery.no_folder"} 1.0', 'calcreport_events_total{event="images_received"} 7.0',
        'calcreport_seconds_since_success{part="analysis"} 12.0', 'calcreport_failures_in_a_row{part="analysis"} 0.0',
        'calcreport_failures_in_a_row{part="sink_share"} 5.0',
    }  # fmt: skip


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_hears_of_it_where_it_listens(tmp_path, monkeypatch, is_abstract):
    name = f"\0calcreport-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name)
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name[1:]}" if is_abstract else name)
        notify_systemd("READY=1")
        assert server.recv(100) == b"READY=1"
    notify_systemd("WATCHDOG=1")  # nobody listens any more
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify_systemd("STOPPING=1")


def test_three_failures_in_a_row_are_a_problem_and_one_success_ends_it():
    now = [100.0]
    journal = Journal(clock=lambda: now[0])
    journal.ended("analysis")
    for _failure in range(2):
        journal.ended("sink_archive", "dimse.no_association")
    assert journal.problems() == []
    now[0] += 60
    journal.ended("sink_archive", "dimse.no_association")
    assert journal.problems() == ["dimse.no_association"]
    assert journal.health() == {
        "analysis": {"seconds_since_success": 60, "code": "", "failures": 0},
        "sink_archive": {"seconds_since_success": None, "code": "dimse.no_association", "failures": 3},
    }
    journal.ended("sink_archive")
    assert journal.problems() == []


def test_what_was_left_out_of_the_log_is_told_when_the_minute_is_over(caplog):
    now = [0.0]
    journal = Journal(clock=lambda: now[0])
    with caplog.at_level("INFO", logger="calcreport.service"):
        for _event in range(100):
            journal.tell("refused", code="message.too_large")
        journal.flush()
        assert len(caplog.messages) == 60
        now[0] = 60.0
        journal.flush()
        journal.flush()
    assert caplog.messages[60:] == ["refused_left_out count=40"]
