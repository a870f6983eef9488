"""Writes that survive a power cut: the bytes are flushed, then the name, then the folder that holds the name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from calcreport.errors import StoreError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # the disk takes no more


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder for its owner only, and its name durable; one that is there already is flushed too.

    Another thread may have made it and not flushed it yet.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    flush_folder(folder.parent)


def write_file(path: Path, content: bytes, *, is_flushed: bool = True) -> None:
    """Put a file in place, whole or not at all; `is_flushed` when it has to survive a power cut.

    A file that is there is replaced. Only one thread writes to a path.
    """
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            if is_flushed:
                stream.flush()
                os.fsync(stream.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
    if is_flushed:
        flush_folder(path.parent)


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise what the operating system refuses as `StoreError` ``store.full`` or ``store.failed``, without paths."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StoreError("the store's disk is full; free space", code="store.full") from error
        msg = f"the store cannot be written to ({error.strerror or 'unknown reason'}); check the folder and its disk"
        raise StoreError(msg, code="store.failed") from error
