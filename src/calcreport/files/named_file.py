"""Files that a person named: found, read and decoded, or refused without their path, which can hold a name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from calcreport.errors import UsageError

FilePath = str | os.PathLike[str]  # a path as a caller may give it
MAX_TEXT_BYTES: Final = 1_000_000  # a clinical or settings file is a page of text


def read_text(path: FilePath, option: str, *, max_bytes: int = MAX_TEXT_BYTES, may_be_input: bool = False) -> str:
    """Read a text file a person named: UTF-8, without a byte order mark.

    `option` names the place in messages; the path stays out of them, it can hold a patient's name. With `may_be_input`
    ``-`` means standard input. Raises `UsageError` ``usage.no_such_file`` or ``usage.unreadable_file``.
    """
    content = read_bytes(path, option, max_bytes=max_bytes, may_be_input=may_be_input)
    return as_text(content, option, max_bytes=max_bytes)


def read_bytes(path: FilePath, option: str, *, max_bytes: int, may_be_input: bool = False) -> bytes:
    """Read a file a person named, and one byte more than it may have."""
    try:
        if may_be_input and path == "-":
            return sys.stdin.buffer.read(max_bytes + 1)
        with existing_file(path, option).open("rb") as stream:
            return stream.read(max_bytes + 1)
    except OSError as error:
        msg = f"the file given with {option} cannot be read ({error.strerror})"
        raise UsageError(msg, code="usage.unreadable_file") from error


def as_text(content: bytes, option: str, *, max_bytes: int) -> str:
    """Decode what was read; errors as for `read_text`."""
    refuse_larger(content, option, max_bytes=max_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"the file given with {option} is not UTF-8 text; save it as UTF-8"
        raise UsageError(msg, code="usage.unreadable_file") from error


def refuse_larger(content: bytes, option: str, *, max_bytes: int) -> None:
    """Refuse more than `max_bytes`."""
    if len(content) > max_bytes:
        msg = f"the file given with {option} is larger than {max_bytes} bytes; is it the right file?"
        raise UsageError(msg, code="usage.unreadable_file")


def existing_file(path: FilePath, option: str, *, is_folder: bool = False) -> Path:
    """Path of a file, or of a folder, that is there; `UsageError` ``usage.no_such_file`` otherwise."""
    kind = "folder" if is_folder else "file"
    if not (Path(path).is_dir() if is_folder else Path(path).is_file()):
        msg = f"the {kind} given with {option} does not exist or is not a {kind}"
        raise UsageError(msg, code="usage.no_such_file")
    return Path(path)
