"""Progress for the person who waits: one line that updates on a terminal, few lines in a log."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

_CLEAR_LINE = "\r\x1b[K"  # of a terminal


class Progress:
    """Where a run stands, on a stream that is usually ``sys.stderr``; nothing but errors when quiet."""

    def __init__(self, stream: TextIO, *, is_quiet: bool) -> None:
        self._stream = stream
        self._is_quiet = is_quiet
        self._is_terminal = not is_quiet and stream.isatty()
        self._is_line_open = False

    @classmethod
    def silent(cls) -> Progress:
        """Progress that nobody sees."""
        return cls(io.StringIO(), is_quiet=True)

    def step(self, text: str) -> None:
        """Show a passing step: on a terminal only, over the step before."""
        if self._is_terminal:
            self._write(f"{_CLEAR_LINE}{text} …")
            self._is_line_open = True

    def line(self, text: str) -> None:
        """Show a line that stays."""
        if not self._is_quiet:
            self.error(text)

    def error(self, text: str) -> None:
        """Show a line that stays, even when quiet."""
        self.close()
        self._write(f"calcreport: {text}\n")

    def warn_of_rules(self, warnings: Iterable[str]) -> None:
        """Show what a site's rules do to safety rows, even when quiet."""
        for warning in warnings:
            self.error(f"WARNING: {warning}; every report says so")

    def close(self) -> None:
        """Leave the terminal as it was found."""
        if self._is_line_open:
            self._write(_CLEAR_LINE)
            self._is_line_open = False

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # nobody listens any more: no reason to lose the results
            self._stream.write(text)
            self._stream.flush()
