"""``calcreport status``: the service, its queue and its studies."""

from __future__ import annotations

import argparse

from calcreport.commands.listen import existing_store
from calcreport.service.status import as_json, as_text, require_healthy, studies_of
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
