"""The whole service: made from settings, run until it is told to stop, its settings read again when told to."""

from __future__ import annotations

import signal
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from types import FrameType
from typing import Final

from calcreport.errors import ConfigurationError, SettingsError, StoreError
from calcreport.service.adapters import Sink, Source
from calcreport.service.arrivals import Arrivals
from calcreport.service.audit import Audit
from calcreport.service.commitment import Commitments
from calcreport.service.delivery import Deliveries
from calcreport.service.inbox import Inbox
from calcreport.service.journal import Journal
from calcreport.service.metrics import notify_systemd, serve_metrics
from calcreport.service.receiving.scp import StorageScp
from calcreport.service.service_settings import NEEDS_RESTART, TlsSettings
from calcreport.service.snapshot import LoadedSettings, Snapshot, write_snapshot
from calcreport.service.sources.threads import Sources
from calcreport.service.store import Store
from calcreport.service.supervisor import Supervisor

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
