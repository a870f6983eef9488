"""``calcreport phantom``: synthetic studies with known truth, made by the distribution ``calcphantom``."""

from __future__ import annotations

import argparse
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from calcreport.errors import UsageError

_DISTRIBUTION: Final = "calcphantom"
"""Import name of the distribution that makes the studies; a folder of the source repository holds it."""


def add_phantom(parser: argparse.ArgumentParser) -> None:
    """Add what may be typed after ``phantom``; where the distribution is missing, anything may."""
    if find_spec(_DISTRIBUTION) is None:
        parser.add_argument("words", nargs=argparse.REMAINDER, metavar="KIND", help="needs: pip install ./phantom")
    else:
        import_module(_DISTRIBUTION).add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write a synthetic study.

    Raises `UsageError` ``phantom.not_installed``.
    """
    if find_spec(_DISTRIBUTION) is None:
        msg = (
            "phantoms are a distribution of their own, which is not installed; "
            "in the source folder of calcreport run: pip install ./phantom"
        )
        raise UsageError(msg, code="phantom.not_installed")
    code: int = import_module(_DISTRIBUTION).run(options)
    return code
