"""The whole service: made from settings, run until a signal stops it, its settings read again at another."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from time import monotonic, sleep
from types import FrameType
from typing import Any, Final, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector, CollectorRegistry

from calcreport.errors import ConfigurationError, SettingsError, StoreError
from calcreport.service.audit import Audit
from calcreport.service.commitment import Commitments
from calcreport.service.delivery import Deliveries, Sink
from calcreport.service.inbox import Arrivals, Inbox
from calcreport.service.journal import Journal
from calcreport.service.receiving.scp import StorageScp
from calcreport.service.service_settings import NEEDS_RESTART, ServiceSettings, TlsSettings
from calcreport.service.sources.polled import Source, Sources
from calcreport.service.store import Store
from calcreport.service.supervisor import Supervisor
from calcreport.service.worker import Executor, LoadedSettings, Snapshot, write_snapshot

# Seconds: between two ticks, patience with sources, and with the audit repository, at the end.
_TICK_S: Final = 0.2
_SOURCES_S: Final = 2.0
_AUDIT_S: Final = 1.0


@dataclass(eq=False)
class Service:
    """Everything that runs.

    `load` reads the settings, again on SIGHUP; what it gave last is what analyses are given.
    """

    load: Callable[[], LoadedSettings]
    _: KW_ONLY
    root: Path
    journal: Journal
    sinks: Sequence[Sink] = ()
    sources: Sequence[Source[Any, Any]] = ()
    executor: Executor = field(default_factory=Executor)

    def __post_init__(self) -> None:
        self._loaded = self.load()
        self._settings = self._loaded.service
        self._snapshot = Snapshot()
        self._is_stopping = False
        self._wants_reload = False

    def settings(self) -> ServiceSettings:
        """Settings as of the last reload."""
        return self._settings

    def run(self) -> bool:
        """Serve until SIGTERM or SIGINT; the analysis, the SCP and the sources work side by side.

        Returns whether every connection ended in time. Raises `StoreError` ``store.in_use``, ``store.full`` or
        ``store.failed`` at the start; `SettingsError` ``settings.address`` or ``settings.tls``.
        """
        tls, journal = tls_context(self._settings.tls), self.journal
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        threading.excepthook = self._on_broken_thread
        store = Store(self.root, reserve_bytes=lambda: self._settings.limits.reserve_bytes)
        store.open()
        self._snapshot = write_snapshot(self.root, self._loaded)
        arrivals = Arrivals(lambda: self._settings.study, count=store.count)
        inbox = Inbox(store, arrivals, journal=journal, limits=lambda: self._settings.limits)
        commitments = Commitments(store, self.settings, journal=journal)
        audit = Audit(self._settings.audit, self._settings.aet, journal=journal)
        supervisor = Supervisor(
            store,
            self.settings,
            snapshot=lambda: self._snapshot,
            arrivals=arrivals,
            deliveries=Deliveries(self.sinks),
            journal=journal,
            commitments=commitments,
            audit=audit,
            executor=self.executor,
        )
        scp = StorageScp(inbox, self.settings, commitments=commitments, journal=journal, audit=audit)
        sources = Sources(self.sources, inbox, journal=journal)
        supervisor.recover()
        with address_errors("service.host and service.port cannot be listened on"):
            scp.start(tls)
        sources.start()
        metrics = self._settings.metrics
        end_metrics = serve_metrics(metrics.host, metrics.port, supervisor.status) if metrics.port else lambda: None
        journal.tell("started")
        self._warn(self._loaded)
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
        journal.tell("stopped")
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
            loaded = self.load()
            tls = tls_context(loaded.service.tls)  # certificates are renewed more often than services restarted
            settings, snapshot = loaded.service, write_snapshot(self.root, loaded)
        except (ConfigurationError, StoreError) as error:
            self.journal.count("reloads_failed")
            self.journal.tell("reload_failed", code=error.code)
            return
        fixed = {name: getattr(self._settings, name) for name in NEEDS_RESTART}
        if any(getattr(settings, name) != value for name, value in fixed.items()):
            self.journal.tell("reload_needs_restart")
        self._settings, self._snapshot = settings.model_copy(update=fixed), snapshot
        scp.apply(tls)
        self.journal.count("reloads")
        self.journal.tell("reloaded")
        self._warn(loaded)

    def _warn(self, loaded: LoadedSettings) -> None:
        """Log that a site's rules change safety rows; ``--check`` and the foot of every report say more."""
        if loaded.warnings:
            self.journal.tell("safety_rows_changed", count=len(loaded.warnings))

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True  # nothing more: a lock taken here could be held by what was interrupted

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._wants_reload = True

    def _on_broken_thread(self, _hook: threading.ExceptHookArgs) -> None:
        """A connection that broke the protocol ended its thread; a traceback could quote what was received."""
        self.journal.count("threads_broken")


def tls_context(settings: TlsSettings) -> ssl.SSLContext | None:
    """Make what encrypted connections need; ``None`` without a certificate; raises `SettingsError` ``settings.tls``."""
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


@contextmanager
def address_errors(what: str) -> Iterator[None]:
    """Raise what the system has against an address as `SettingsError` ``settings.address`` that begins with `what`."""
    try:
        yield
    except OSError as error:
        msg = f"{what} ({error.strerror}); is the port in use?"
        raise SettingsError(msg, code="settings.address") from error


_GAUGES = ("receiving", "waiting", "analysing", "workers", "delivering", "free_bytes_above_reserve")  # of the status
Family = TypeVar("Family", GaugeMetricFamily, CounterMetricFamily)  # of numbers under one name


class _Numbers(Collector):
    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Give the status of the service as metrics."""
        status = self._status()
        for name, value in {**status, "analysing": len(status["analysing"])}.items():
            if name in _GAUGES and value is not None:
                yield GaugeMetricFamily(f"calcreport_{name}", f"{name} now".replace("_", " "), value=value)
        problems = GaugeMetricFamily("calcreport_problem", "1 for a problem that lasts", labels=["code"])
        yield _filled(problems, dict.fromkeys(status["problems"], 1))
        events = CounterMetricFamily("calcreport_events", "what happened since the start", labels=["event"])
        yield _filled(events, status["counters"])
        for name, key in (("seconds_since_success", "seconds_since_success"), ("failures_in_a_row", "failures")):
            parts = GaugeMetricFamily(f"calcreport_{name}", "of a sink, source, analysis", labels=["part"])
            yield _filled(parts, {part: health[key] for part, health in status["parts"].items()})


def _filled(family: Family, values: Mapping[str, float | None]) -> Family:
    for label, value in values.items():
        if value is not None:
            family.add_metric([label], value)
    return family


def serve_metrics(host: str, port: int, status: Callable[[], Mapping[str, Any]]) -> Callable[[], None]:
    """Answer ``/metrics`` in a thread of its own; give what ends it; raises `SettingsError` ``settings.address``."""
    registry = CollectorRegistry()
    registry.register(_Numbers(status))
    with address_errors("service.metrics cannot be listened on"):
        server, _thread = start_http_server(port, host, registry)

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
