"""``calcreport retry``: dead letters are tried again."""

from __future__ import annotations

import argparse

from calcreport.commands.listen import service_settings_of, store_root
from calcreport.errors import UsageError
from calcreport.service.durable import store_error
from calcreport.service.status import ask_retry
from calcreport.service.store import references


def run(options: argparse.Namespace) -> str:
    """Ask the service to try studies again.

    Parameters
    ----------
    options : argparse.Namespace
        The words after ``retry``, parsed.

    Returns
    -------
    str
        For standard output: references of the studies.

    Raises
    ------
    ConfigurationError
        ``usage.no_store``, ``usage.no_such_study``, ``usage.nothing_to_retry``.
    """
    if not options.references and not options.all:
        msg = "name studies by their references (calcreport status lists them), or --all dead letters"
        raise UsageError(msg, code="usage.nothing_to_retry")
    root = store_root(options, service_settings_of(options))
    if not (root / "studies").is_dir():
        msg = "there is no store at this place; name the folder that calcreport listen keeps images in"
        raise UsageError(msg, code="usage.no_store")
    try:
        known = references(root)
    except OSError as error:
        raise store_error(error) from error
    chosen = ask_retry(root, known, options.references, is_all=options.all)
    return "".join(f"{reference} is tried again\n" for reference in chosen)
