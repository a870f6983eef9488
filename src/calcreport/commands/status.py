"""``calcreport status``: the service, its queue and its studies."""

from __future__ import annotations

import argparse

from calcreport.commands.listen import service_settings_of, store_root
from calcreport.errors import UsageError
from calcreport.service.durable import store_error
from calcreport.service.status import as_json, as_text, require_healthy, studies_of
from calcreport.service.store import references


def run(options: argparse.Namespace) -> str:
    """Show what the service does and did.

    Parameters
    ----------
    options : argparse.Namespace
        The words after ``status``, parsed.

    Returns
    -------
    str
        For standard output; studies are named by hashed references only.

    Raises
    ------
    ConfigurationError
        ``usage.no_store``, ``settings.…``.
    DeliveryError
        With ``--health``: why the service is not well.
    """
    root = store_root(options, service_settings_of(options))
    if not (root / "studies").is_dir():
        msg = "there is no store at this place; name the folder that calcreport listen keeps images in"
        raise UsageError(msg, code="usage.no_store")
    if options.health:
        require_healthy(root)
        return ""
    try:
        lines = studies_of(root, references(root))
    except OSError as error:
        raise store_error(error) from error
    return as_json(root, lines) if options.format == "json" else as_text(root, lines, most=options.last)
