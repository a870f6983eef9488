"""``calcreport listen``: the receiving service, or only a check of what it would run with."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

from calcreport.arguments import formats_of, rule_path, templates_of
from calcreport.commands.status import store_root
from calcreport.errors import StoreError
from calcreport.files.named_file import read_text
from calcreport.files.settings import settings_from_text
from calcreport.resources import rule_texts, site_rule_texts
from calcreport.rules import load_rules
from calcreport.service.clinical_watch import read_table
from calcreport.service.journal import Journal, LineFormatter
from calcreport.service.service import Service, address_errors, tls_context
from calcreport.service.service_settings import service_settings_from_text
from calcreport.service.sinks import sinks_from
from calcreport.service.sources import sources_from
from calcreport.service.store import Store
from calcreport.service.worker import Executor, LoadedSettings

_LINGER_S: Final = 0.5  # left to threads that hang in a connection
_MEBI: Final = 1 << 20  # bytes


def run(options: argparse.Namespace) -> str:
    """Serve until asked to stop, or check; what a check found is printed. Raises for the first thing that is wrong."""
    os.umask(0o077)  # everything the service writes is about patients
    named = {name: getattr(options, name) for name in ("aet", "host", "port")}
    typed = named | {"study": {"quiet_seconds": options.quiet_seconds}}
    load = partial(_load, options.config, typed)
    loaded = load()
    settings = loaded.service
    root = store_root(options, settings)
    journal = Journal()
    sources, sinks = sources_from(settings.sources, journal), sinks_from(settings.sinks)
    if options.check:
        return _check(loaded, root)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    ours = logging.getLogger("calcreport")
    ours.handlers = [handler]
    ours.setLevel(logging.INFO)
    executor = Executor()
    if settings.workers.database:
        from calcreport.service.distributed import DistributedExecutor  # noqa: PLC0415 - needs an extra

        executor = DistributedExecutor(settings.workers, journal=journal)
    Service(load, root=root, journal=journal, sinks=sinks, sources=sources, executor=executor).run()
    _leave()
    return ""


def _load(config: str | None, overrides: Mapping[str, object]) -> LoadedSettings:
    """Read all that every analysis is going to read, so that a mistake shows now and not at the next study."""
    text = read_text(config, "--config") if config else ""
    service, settings = service_settings_from_text(text, overrides), settings_from_text(text)
    rules = rule_path(None, settings, config)
    texts = site_rule_texts(rules) if rules else None
    warnings = load_rules(rule_texts(), texts).warnings
    if service.analysis.clinical:
        read_table(service.analysis.clinical)
    templates_of(service.analysis.templates)
    formats_of(service.analysis.formats)
    return LoadedSettings(service=service, text=text, rules=texts, warnings=warnings)


def _check(loaded: LoadedSettings, root: Path) -> str:
    """Describe what would run; beside a running service its lock and its port are left to it."""
    settings = loaded.service
    tls_context(settings.tls)
    store = Store(root, reserve_bytes=lambda: settings.limits.reserve_bytes)
    is_running = False
    try:
        store.open()
    except StoreError as error:
        if error.code != "store.in_use":
            raise
        is_running = True
    try:
        store.require_space()
        free = store.free_bytes()
    finally:
        store.close()
    if not is_running:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with address_errors("service.host and service.port cannot be listened on"):
            socket.create_server((settings.host, settings.port), family=family).close()
    lines = [
        f"listens as {settings.aet} on {settings.host} port {settings.port}"
        f"{' with TLS' if settings.tls.certificate else ', not encrypted'}",
        f"lets in {', '.join(settings.peers.calling) or 'any AE title'} from {', '.join(settings.peers.addresses)}",
        f"store: {free // _MEBI} MiB above the reserve",
        f"a study is complete after {settings.study.quiet_seconds:g} s of quiet",
        f"analyses at a time: {'as many as workers' if settings.workers.database else settings.analysis.workers}",
        f"sources beside the network: {', '.join(settings.sources) or 'none'}",
        f"sinks: {', '.join(settings.sinks) or 'none; results stay in the store'}",
        *(f"WARNING: {warning}; every report says so" for warning in loaded.warnings),
        *(["a service is running on this store; whether the port is free was not tried"] if is_running else []),
    ]
    return "\n".join([*lines, "all well", ""])


def _leave() -> None:
    """End now: a thread that hangs in a connection must not keep the process; everything is on disk."""
    deadline_s = monotonic() + _LINGER_S
    lingering = [item for item in threading.enumerate() if not item.daemon and item is not threading.main_thread()]
    for thread in lingering:
        thread.join(max(0.0, deadline_s - monotonic()))
    if any(thread.is_alive() for thread in lingering):
        sys.stderr.flush()
        os._exit(0)
