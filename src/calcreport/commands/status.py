"""``calcreport status`` and ``retry``: the service, its queue and its studies; dead letters are tried again."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from calcreport.errors import UsageError
from calcreport.files.named_file import read_text
from calcreport.service.service_settings import ServiceSettings, service_settings_from_text
from calcreport.service.status import as_json, as_text, ask_retry, require_healthy, studies_of


def run(options: argparse.Namespace) -> str:
    """Show what the service does and did, studies by hashed references only; `DeliveryError` where it is not well."""
    root = existing_store(options)
    if options.health:
        require_healthy(root)
        return ""
    lines = studies_of(root)
    return as_json(root, lines) if options.format == "json" else as_text(root, lines, most=options.last)


def retry(options: argparse.Namespace) -> str:
    """Ask the service to try studies again; their references are printed."""
    if not options.references and not options.all:
        msg = "name studies by their references (calcreport status lists them), or --all dead letters"
        raise UsageError(msg, code="usage.nothing_to_retry")
    references = ask_retry(existing_store(options), options.references, is_all=options.all)
    return "".join(f"{reference} is tried again\n" for reference in references)


def work(options: argparse.Namespace) -> str:
    """Analyse studies of a service on this machine until asked to stop, or check what that needs."""
    os.umask(0o077)  # everything in the store is about patients
    settings = service_settings_from_text(read_text(options.config, "--config") if options.config else "").workers
    if settings.database is None:
        msg = "workers are told of studies by a database; name it as service.workers.database in the settings file"
        raise UsageError(msg, code="usage.no_database")
    from calcreport.service import distributed  # noqa: PLC0415 - needs an extra, as the database does

    root = existing_store(options)
    if options.check:
        return f"workers at present: {distributed.tell_workers(settings, [])}\nall well\n"
    distributed.serve(root, settings)
    return ""


def store_root(options: argparse.Namespace, settings: ServiceSettings) -> Path:
    """Folder of the store; `UsageError` ``usage.no_store`` when none was named."""
    named = options.store or settings.store
    if not named:
        msg = "name the folder everything is kept in: --store, or service.store in the settings file"
        raise UsageError(msg, code="usage.no_store")
    return Path(named).absolute()


def existing_store(options: argparse.Namespace) -> Path:
    """Folder of a store that is there; `UsageError` ``usage.no_store``, ``usage.store_unreadable``."""
    text = read_text(options.config, "--config") if options.config and not options.store else ""
    root = store_root(options, service_settings_from_text(text))
    if root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        msg = "this user may not read the store; run the command as the user of the service (sudo -u calcreport ...)"
        raise UsageError(msg, code="usage.store_unreadable")
    if not (root / "studies").is_dir():
        msg = "there is no store at this place; name the folder that calcreport listen keeps images in"
        raise UsageError(msg, code="usage.no_store")
    return root
