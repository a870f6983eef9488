"""The whole service: made from settings, run until it is told to stop, its settings read again when told to."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import FrameType
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector, CollectorRegistry

from calcreport.errors import ConfigurationError, SettingsError, StoreError
from calcreport.service.audit import Audit
from calcreport.service.commitment import Commitments
from calcreport.service.delivery import Deliveries, Sink, Source
from calcreport.service.inbox import Arrivals, Inbox
from calcreport.service.journal import Journal
from calcreport.service.receiving.scp import StorageScp
from calcreport.service.service_settings import NEEDS_RESTART, TlsSettings
from calcreport.service.sources.threads import Sources
from calcreport.service.store import Store
from calcreport.service.supervisor import Supervisor
from calcreport.service.worker import LoadedSettings, Snapshot, write_snapshot

_TICK_S: Final = 0.2
_SOURCES_S: Final = 2.0
_AUDIT_S: Final = 1.0


class Service:
    """Everything that runs.

    `load` reads the settings, again on SIGHUP; what it gave last is what analyses are given.
    """

    def __init__(
        self,
        load: Callable[[], LoadedSettings],
        *,
        root: Path,
        sinks: Sequence[Sink] = (),
        sources: Sequence[Source] = (),
    ) -> None:
        self._load = load
        self._loaded = load()
        self._settings = self._loaded.service
        self._root = root
        self._snapshot = Snapshot()
        self._sinks = sinks
        self._sources = sources
        self._journal = Journal()
        self._is_stopping = False
        self._wants_reload = False

    def run(self) -> bool:
        """Serve until SIGTERM or SIGINT; the analysis, the SCP and the sources work side by side.

        Tells whether every connection ended in time. Raises `StoreError` ``store.in_use``, ``store.full`` or
        ``store.failed`` at the start; `SettingsError` ``settings.address`` or ``settings.tls``.
        """
        tls = tls_context(self._settings.tls)
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        threading.excepthook = self._on_broken_thread
        store = Store(self._root, reserve_bytes=lambda: self._settings.limits.reserve_bytes)
        references = store.open()
        self._snapshot = write_snapshot(self._root, self._loaded)
        arrivals = Arrivals(lambda: self._settings.study, count=store.count)
        inbox = Inbox(store, references, arrivals, journal=self._journal, limits=lambda: self._settings.limits)
        commitments = Commitments(store, lambda: self._settings, journal=self._journal)
        audit = Audit(self._settings.audit, self._settings.aet, journal=self._journal)
        supervisor = Supervisor(
            store,
            references,
            lambda: self._settings,
            snapshot=lambda: self._snapshot,
            arrivals=arrivals,
            deliveries=Deliveries(self._sinks),
            journal=self._journal,
            commitments=commitments,
            audit=audit,
        )
        scp = StorageScp(
            store, inbox, lambda: self._settings, commitments=commitments, journal=self._journal, audit=audit
        )
        sources = Sources(self._sources, inbox, journal=self._journal)
        supervisor.recover()
        _listen(scp, tls)
        sources.start()
        metrics = self._settings.metrics
        end_metrics = serve_metrics(metrics.host, metrics.port, supervisor.status) if metrics.port else lambda: None
        self._journal.tell("started")
        audit.activity(is_start=True)
        notify_systemd("READY=1")
        self._loop(supervisor, scp)
        notify_systemd("STOPPING=1")
        end_metrics()
        sources.ask_to_stop()
        commitments.stop()
        supervisor.ask_to_stop()
        is_clean = scp.stop()
        sources.stop(_SOURCES_S)
        supervisor.stop()
        audit.activity(is_start=False)
        audit.finish(_AUDIT_S)
        store.close()
        self._journal.tell("stopped")
        return is_clean

    def _loop(self, supervisor: Supervisor, scp: StorageScp) -> None:
        while not self._is_stopping:
            if self._wants_reload:
                self._wants_reload = False
                self._reload(scp)
            begun_s = monotonic()
            supervisor.tick()
            notify_systemd("WATCHDOG=1")
            sleep(max(0.01, _TICK_S - (monotonic() - begun_s)))

    def _reload(self, scp: StorageScp) -> None:
        """Take over changed settings; a file with a mistake in it changes nothing."""
        try:
            loaded = self._load()
            tls = tls_context(loaded.service.tls)  # certificates are renewed more often than services restarted
            settings, snapshot = loaded.service, write_snapshot(self._root, loaded)
        except (ConfigurationError, StoreError) as error:
            self._journal.count("reloads_failed")
            self._journal.tell("reload_failed", code=error.code)
            return
        fixed = {name: getattr(self._settings, name) for name in NEEDS_RESTART}
        if any(getattr(settings, name) != value for name, value in fixed.items()):
            self._journal.tell("reload_needs_restart")
        self._settings, self._snapshot = settings.model_copy(update=fixed), snapshot
        scp.apply(tls)
        self._journal.count("reloads")
        self._journal.tell("reloaded")

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True  # nothing more: a lock taken here could be held by what was interrupted

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._wants_reload = True

    def _on_broken_thread(self, _hook: threading.ExceptHookArgs) -> None:
        """A connection that broke the protocol ended its thread; a traceback could quote what was received."""
        self._journal.count("threads_broken")


def tls_context(settings: TlsSettings) -> ssl.SSLContext | None:
    """Make what encrypted connections need; ``None`` without a certificate.

    Raises `SettingsError` ``settings.tls``.
    """
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key)
        if settings.client_authority is not None:
            context.load_verify_locations(settings.client_authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        msg = "a file of service.tls cannot be read, or is no PEM file of a certificate, key or authority"
        raise SettingsError(msg, code="settings.tls") from error
    return context


def _listen(scp: StorageScp, tls: ssl.SSLContext | None) -> None:
    try:
        scp.start(tls)
    except OSError as error:
        msg = f"service.host and service.port cannot be listened on ({error.strerror}); is the port in use?"
        raise SettingsError(msg, code="settings.address") from error


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
