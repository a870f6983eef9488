"""``calcreport status`` and ``retry``: the service, its queue and its studies; dead letters are tried again."""

from __future__ import annotations

import argparse

from calcreport.commands.listen import existing_store
from calcreport.errors import UsageError
from calcreport.service.status import as_json, as_text, ask_retry, require_healthy, studies_of
from calcreport.service.store import references


def run(options: argparse.Namespace) -> str:
    """Show what the service does and did; studies are named by hashed references only.

    Raises `ConfigurationError` ``usage.no_store``, ``settings.…``; `DeliveryError` with ``--health``: why the service
    is not well.
    """
    root = existing_store(options)
    if options.health:
        require_healthy(root)
        return ""
    lines = studies_of(root, references(root))
    return as_json(root, lines) if options.format == "json" else as_text(root, lines, most=options.last)


def retry(options: argparse.Namespace) -> str:
    """Ask the service to try studies again; their references are printed.

    Raises `ConfigurationError` ``usage.no_store``, ``usage.no_such_study``, ``usage.nothing_to_retry``.
    """
    if not options.references and not options.all:
        msg = "name studies by their references (calcreport status lists them), or --all dead letters"
        raise UsageError(msg, code="usage.nothing_to_retry")
    root = existing_store(options)
    chosen = ask_retry(root, references(root), options.references, is_all=options.all)
    return "".join(f"{reference} is tried again\n" for reference in chosen)
