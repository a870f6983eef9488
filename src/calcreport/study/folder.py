"""Results on disk, whole or not at all.

A study's folder is built under a hidden temporary name beside its final place, flushed to disk, and renamed. An older
folder of the same study moves aside first and is removed only when the new one stands. No name on disk is made from
received text: a Study Instance UID names a folder only when it is a valid UID.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from calcreport.errors import OutputError

_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+|no-uid-[0-9a-f]{24}")
"""PS3.5 section 9.1: digits and dots, no component with a leading zero; or the name we give a study without UID."""
_LONGEST_UID: Final = 64  # characters, PS3.5 section 9.1
_FILE_NAME: Final = re.compile(r"([A-Za-z0-9_-]+/)?[A-Za-z0-9_-][A-Za-z0-9._-]*")  # at most one folder deep
_PREFIX: Final = ".calcreport-"  # of folders that are being written or replaced
_ABANDONED_SECONDS: Final = 60.0  # a folder that is moved aside is replaced within a second
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # the disk takes no more
_MET: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})  # another run put its folder there just now
_MOST_SWAPS: Final = 8  # how often a folder gives way to that of another run, which writes for far longer than it swaps
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})  # it may not be written to


def folder_name(study_instance_uid: str) -> str:
    """Name of a study's folder: its UID when valid, or the name for a missing one; else ``study-`` and a hash."""
    if len(study_instance_uid) <= _LONGEST_UID and _UID.fullmatch(study_instance_uid):
        return study_instance_uid
    digest = hashlib.sha256(study_instance_uid.encode("utf-8", "backslashreplace")).hexdigest()
    return f"study-{digest[:24]}"


def read_bytes(path: Path) -> bytes | None:
    """Content of a file; ``None`` when it is not there or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


class ResultsFolder:
    """The folder given with ``--out``, made with its parents when it does not exist.

    `run_id` marks what this run writes and has not finished; letters and digits. `release` is called with a study's
    folder before it appears under its name, to set rights.
    """

    def __init__(self, root: Path, *, run_id: str, release: Callable[[Path], None] | None = None) -> None:
        self._root = root
        self._run_id = run_id
        self._release = release

    def prepare(self) -> None:
        """Make the folder and show that it can be written to, before any work is done.

        Puts back a study's folder that a run moved aside and never replaced, because the machine stopped between.
        Raises `OutputError` ``output.not_a_folder``, ``output.not_permitted``, ``output.disk_full``, ``output.failed``.
        """
        with _named_failures():
            self._root.mkdir(parents=True, exist_ok=True)
            probe = self._temporary("probe")
            probe.mkdir()
            probe.rmdir()
        with suppress(OSError):
            for path in list(self._root.glob(f"{_PREFIX}*.replaced")):
                _run, _, name = path.name.removeprefix(_PREFIX).removesuffix(".replaced").partition("-")
                is_old = time.time() - path.stat().st_ctime > _ABANDONED_SECONDS  # another run may be at it just now
                if name and is_old and not os.path.lexists(self._root / name):
                    path.rename(self._root / name)

    def write_study(self, name: str, files: Mapping[str, bytes]) -> None:
        """Put a study's folder in place, whole; `files` are by name within it, at most one sub-folder deep.

        Raises `OutputError` as `prepare`; an older folder of the study is then still in place.
        """
        partial = self._temporary(f"{name}.partial")
        with _named_failures():
            try:
                partial.mkdir()
                for file_name, content in files.items():
                    _write_new(_inside(partial, file_name), content)
                if self._release is not None:
                    self._release(partial)
                _flush_folder(partial)
                self._swap(partial, name)
            finally:
                _remove(partial)

    def read_study(self, name: str, file: str = "") -> bytes | None:
        """File of a study's folder, or in the results, as an earlier run left it; ``None`` when it cannot be read."""
        folder = _inside(self._root, name)
        return read_bytes(_inside(folder, file) if file else folder)

    def remove(self, name: str, *, keep: Collection[str] = ()) -> None:
        """Remove what an earlier run left and this run does not confirm, except the files `keep`.

        `name` is from `folder_name`, or of a file. Raises `OutputError` as `prepare`.
        """
        kept = {file: content for file in keep if (content := self.read_study(name, file)) is not None}
        if kept:
            self.write_study(name, kept)
            return
        with _named_failures():
            final = _inside(self._root, name)
            if os.path.lexists(final):
                aside = self._temporary(f"{name}.removed")
                final.rename(aside)
                _remove(aside)

    def write_file(self, name: str, content: bytes | Iterable[bytes], *, study: str = "") -> None:
        """Put one file in place, in the results or a study's folder, whole; an `OutputError` leaves an older one."""
        partial = self._temporary(f"{study}{name}.partial")
        with _named_failures():
            try:
                _write_new(partial, content)
                final = _inside(_inside(self._root, study) if study else self._root, name)
                partial.replace(final)
                _flush_folder(final.parent)
            finally:
                _remove(partial)

    def salt(self) -> bytes:
        """Secret of this folder behind the hashes of patient ids, made when it is missing."""
        content = self.read_study("salt.txt")
        if content is None:
            content = f"{secrets.token_hex(32)}\n".encode()
            self.write_file("salt.txt", content)
        return content.strip()

    def recover(self) -> None:
        """Undo what runs whose id begins like this one's began and did not finish, after their workers were stopped."""
        with suppress(OSError):
            for path in list(self._root.glob(f"{_PREFIX}{self._run_id}*")):
                name, _, state = path.name.removeprefix(_PREFIX).partition("-")[2].rpartition(".")
                if state == "replaced" and not os.path.lexists(self._root / name):
                    path.rename(self._root / name)
                else:
                    _remove(path)

    def _temporary(self, name: str) -> Path:
        return self._root / f"{_PREFIX}{self._run_id}-{name}"

    def _swap(self, partial: Path, name: str) -> None:
        """Put a study's folder in place of an older one, and of what another run puts there in between."""
        final, aside = _inside(self._root, name), self._temporary(f"{name}.replaced")
        for swaps_left in reversed(range(_MOST_SWAPS)):
            with suppress(FileNotFoundError):
                final.rename(aside)
            try:
                partial.rename(final)
                break
            except BaseException as error:
                is_met = isinstance(error, OSError) and error.errno in _MET
                if is_met:
                    _remove(aside)  # older than what is in place
                elif os.path.lexists(aside):
                    aside.rename(final)
                if not is_met or not swaps_left:
                    raise
        _flush_folder(self._root)
        _remove(aside)


@contextmanager
def _named_failures() -> Iterator[None]:
    """Translate what the operating system says; paths stay out of the message, they can hold a patient's name."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        msg = "the folder given with --out is a file, or lies below one; name a folder"
        raise OutputError(msg, code="output.not_a_folder") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown reason"
        if error.errno in _FULL:
            msg = f"the results do not fit on the disk ({reason}); free space and run again"
            raise OutputError(msg, code="output.disk_full") from error
        if error.errno in _FORBIDDEN:
            msg = f"the folder given with --out cannot be written to ({reason}); change its permissions or name another"
            raise OutputError(msg, code="output.not_permitted") from error
        msg = f"the results could not be written ({reason}); check the folder given with --out"
        raise OutputError(msg, code="output.failed") from error


def _inside(folder: Path, name: str) -> Path:
    """Path of a name within a folder; a name that could lead out of it is a programmer's mistake."""
    path = folder / name
    if not _FILE_NAME.fullmatch(name) or not path.parent.resolve().is_relative_to(folder.resolve()):
        msg = "not a plain file name"
        raise ValueError(msg)
    return path


def _write_new(path: Path, content: bytes | Iterable[bytes]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as stream:
        stream.writelines([content] if isinstance(content, bytes) else content)
        stream.flush()
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Make names durable, on systems where a folder can be flushed."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
