"""What may be typed after ``listen``, ``status`` and ``retry``; nothing heavy is imported."""

from __future__ import annotations

import argparse
from typing import Final

_STORE: Final = "folder everything is kept in; overrides service.store of the settings file"
_CONFIG: Final = "settings, TOML; its tables [service] are about the receiving service"


def add_listen(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``listen``."""
    add = parser.add_argument
    add("--config", metavar="FILE", help=_CONFIG)
    add("--store", metavar="DIR", help=_STORE)
    add("--aet", metavar="TITLE", help="AE title senders have to call (default CALCREPORT)")
    add("--host", metavar="ADDRESS", help="address to listen on (default 127.0.0.1: this machine only)")
    add("--port", type=int, metavar="N", help="port to listen on (default 11112)")
    add("--quiet-seconds", type=float, metavar="S", help="a study is complete when no image came for so long")
    add("--check", action="store_true", help="check settings, files, store and port, say what was found, and end")


def add_status(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``status``."""
    add = parser.add_argument
    add("--config", metavar="FILE", help=_CONFIG)
    add("--store", metavar="DIR", help=_STORE)
    add("--format", choices=("text", "json"), default="text", help="what to print (default text)")
    add("--last", type=int, default=20, metavar="N", help="studies shown in text (default 20); dead letters always are")
    add("--health", action="store_true", help="print nothing; exit code 0 when the service runs and is well, else 5")


def add_retry(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``retry``."""
    add = parser.add_argument
    add("references", nargs="*", metavar="REFERENCE", help="studies, as status lists them")
    add("--all", action="store_true", help="every dead letter")
    add("--config", metavar="FILE", help=_CONFIG)
    add("--store", metavar="DIR", help=_STORE)
