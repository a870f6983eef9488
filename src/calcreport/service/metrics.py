"""Numbers of the service for Prometheus, and word for systemd; like all that leaves here, without patient data."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector, CollectorRegistry

from calcreport.errors import SettingsError

_GAUGES = ("receiving", "waiting", "delivering", "free_bytes_above_reserve")


class _Numbers(Collector):
    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Give the status of the service as metrics."""
        status = self._status()
        for name in _GAUGES:
            yield GaugeMetricFamily(f"calcreport_{name}", f"{name} now".replace("_", " "), value=status[name])
        yield GaugeMetricFamily("calcreport_analysing", "analyses under way", value=len(status["analysing"]))
        problems = GaugeMetricFamily("calcreport_problem", "1 for a problem that lasts", labels=["code"])
        for code in status["problems"]:
            problems.add_metric([code], 1)
        yield problems
        events = CounterMetricFamily("calcreport_events", "what happened since the start", labels=["event"])
        for name, count in status["counters"].items():
            events.add_metric([name], count)
        yield events
        ages = GaugeMetricFamily("calcreport_seconds_since_success", "of a sink, source, analysis", labels=["part"])
        failures = GaugeMetricFamily("calcreport_failures_in_a_row", "of a sink, source, analysis", labels=["part"])
        for part, health in status["parts"].items():
            failures.add_metric([part], health["failures"])
            if health["seconds_since_success"] is not None:
                ages.add_metric([part], health["seconds_since_success"])
        yield from (ages, failures)


def serve_metrics(host: str, port: int, status: Callable[[], Mapping[str, Any]]) -> Callable[[], None]:
    """Answer ``/metrics`` in a thread of its own; give what ends it.

    Raises `SettingsError` ``settings.address``.
    """
    registry = CollectorRegistry()
    registry.register(_Numbers(status))
    try:
        server, _thread = start_http_server(port, host, registry)
    except OSError as error:
        msg = f"service.metrics cannot be listened on ({error.strerror}); is the port in use?"
        raise SettingsError(msg, code="settings.address") from error

    def end() -> None:
        server.shutdown()
        server.server_close()

    return end


def notify_systemd(state: str) -> None:
    """Tell systemd ``READY=1``, ``WATCHDOG=1`` or ``STOPPING=1``, where it has asked for it (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
