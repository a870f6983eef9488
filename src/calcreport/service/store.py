"""The file tree that everything received is kept in: the truth, from which whatever is in memory can be read again."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from calcreport.errors import StoreError
from calcreport.service.durable import flush_folder, make_folder, store_errors, write_file
from calcreport.service.identity import (
    DIGITS,
    Identity,
    clear_preamble,
    identify,
    is_study_name,
    reference_of,
    uid_digest,
)
from calcreport.service.queue import Record, record_from

_RESERVE_SHARE: Final = 0.05
"""The reserve is never more than this share of the disk, so that a small disk can be used too."""
_MOST_KNOWN: Final = 256
"""Studies whose instances are held in memory; those of others are read again when they are needed."""
_KEY_BYTES: Final = 32  # of references
_INSTANCE: Final = re.compile(r"([0-9a-f]{32})\.[0-9a-f]{32}\.dcm")
"""Name of an instance's file: digests of its SOP Instance UID and of its content."""
# Folders of a study: images, objects that are not analysed, results.
IMAGES: Final = "images"
ASIDE: Final = "aside"
RESULTS: Final = "results"
# Folders of the store: studies an operator wants to be tried again, and what retention removes.
RETRIES: Final = "retries"
QUARANTINE: Final = "quarantine"
CLINICAL: Final = "clinical.yaml"  # A study's own clinical data, YAML or JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file that was kept: whether its content was not there before, and whether it is beside another of its UID."""

    study: str
    is_new: bool
    is_conflict: bool
    is_aside: bool


class Store:
    """Received files, records and results below one folder, which is made when it does not exist.

    `reserve_bytes` gives the free space that is left untouched; it is asked every time, so that it can be changed.
    """

    def __init__(self, root: Path, *, reserve_bytes: Callable[[], int]) -> None:
        self.root = root
        self._reserve_bytes = reserve_bytes
        self._incoming = root / "incoming"
        self._studies = root / "studies"
        self._cursors = root / "cursors"
        self._guard = Lock()
        self._known: dict[str, dict[str, set[str]]] = {}  # study → SOP instance → names of files; of active studies
        self._lock_descriptor = -1
        self._key = b""

    def open(self) -> None:
        """Take the store for this process, make what is missing, remove what was never acknowledged.

        Raises `StoreError` ``store.in_use``, ``store.full`` or ``store.failed``.
        """
        with store_errors():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take()
            for folder in (self._incoming, self._studies, self._cursors, self.root / RETRIES):
                if folder.is_symlink():
                    msg = f"{folder.name} in the store is a symbolic link; make it a folder, or name the link's target"
                    raise StoreError(msg, code="store.failed")
                make_folder(folder)
            for path in self._incoming.iterdir():
                with suppress(IsADirectoryError):
                    path.unlink()
            self._key = reference_key(self.root)

    def close(self) -> None:
        """Give the store to whoever wants it next."""
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def reference(self, study: str) -> str:
        """How a study of this store is named to an operator."""
        return reference_of(study, self._key)

    def free_bytes(self) -> int:
        """Space left above the reserve; negative when the reserve is touched."""
        status = os.statvfs(self.root)
        reserve = min(self._reserve_bytes(), int(_RESERVE_SHARE * status.f_frsize * status.f_blocks))
        return status.f_frsize * status.f_bavail - reserve

    def require_space(self) -> None:
        """Refuse when the reserve is reached; raises `StoreError` ``store.full`` or ``store.failed``."""
        with store_errors():
            free = self.free_bytes()
        if free <= 0:
            msg = "less space is left on the store's disk than is held in reserve; free space"
            raise StoreError(msg, code="store.full")

    def temporary(self) -> Path:
        """Path of a new empty file; one that is never kept is removed at restart."""
        self.require_space()
        path = self._incoming / f"{secrets.token_hex(16)}.part"
        with store_errors():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        return path

    def keep(self, path: Path, *, accept: Callable[[Identity], None] | None = None) -> Arrival:
        """Keep a `temporary` file; when this returns, it survives a power cut. The path is gone, whatever happens.

        `accept` is called before the file is kept, and raises what it has against it. Raises `InputError` as
        `identify`; `StoreError` ``store.full`` or ``store.failed``.
        """
        try:
            with store_errors():
                identity = identify(path)
                if accept is not None:
                    accept(identity)
                clear_preamble(path)
                return self._place(path, identity)
        finally:
            with suppress(OSError):
                path.unlink()

    def _place(self, path: Path, identity: Identity) -> Arrival:
        study, instance = uid_digest(identity.study_uid), uid_digest(identity.instance_uid)
        name = f"{instance}.{identity.content[:DIGITS]}.dcm"
        folder = self._studies / study / (IMAGES if identity.is_analysed else ASIDE)
        known = self._names(study)
        is_new = not (folder / name).exists()
        if is_new:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._move(path, folder, name)
        flush_folder(folder)  # also for a file that is there: another thread may just have renamed it
        with self._guard:
            of_instance = known.setdefault(instance, set())
            of_instance.add(name)
            is_conflict = len(of_instance) > 1
        return Arrival(study=study, is_new=is_new, is_conflict=is_conflict, is_aside=not identity.is_analysed)

    def _move(self, path: Path, folder: Path, name: str) -> None:
        try:
            path.rename(folder / name)
        except FileNotFoundError:  # the first of its study, or the study was removed in between
            make_folder(folder.parent)
            make_folder(folder)
            path.rename(folder / name)

    def _names(self, study: str) -> dict[str, set[str]]:
        """Instances of a study that are there; read once while it is active."""
        with self._guard:
            known = self._known.get(study)
            if known is None:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.pop(next(iter(self._known)))
                known = self._known[study] = {}
                for name, instance in self._list(study, IMAGES, ASIDE).items():
                    known.setdefault(instance, set()).add(name)
            return known

    def release(self, study: str) -> None:
        """Forget what is held in memory about a study that is quiet."""
        with self._guard:
            self._known.pop(study, None)

    def studies(self) -> Iterator[str]:
        """Name every study there is."""
        for path in self._studies.iterdir():
            if is_study_name(path.name) and path.is_dir() and not path.is_symlink():
                yield path.name

    def folder(self, study: str) -> Path:
        """Folder of a study."""
        return self._studies / study

    def images(self, study: str, kind: str = IMAGES) -> tuple[str, ...]:
        """Names of a study's images, or of its objects that are not analysed, sorted."""
        return tuple(sorted(self._list(study, kind)))

    def count(self, study: str) -> int:
        """Count a study's instances, objects set aside included; a UID that came twice counts once."""
        return len(set(self._list(study, IMAGES, ASIDE).values()))

    def lacks(self, instance_uids: Iterable[str]) -> set[str]:
        """Which of these SOP Instance UIDs no study of the store has."""
        missing = {uid_digest(uid): uid for uid in instance_uids}
        for study in self.studies():
            if not missing:
                break
            for instance in self._list(study, IMAGES, ASIDE).values():
                missing.pop(instance, None)
        return set(missing.values())

    def _list(self, study: str, *kinds: str) -> dict[str, str]:
        """Names of files of a study, and which SOP instance each stands for."""
        found = {}
        for kind in kinds:
            try:
                with os.scandir(self._studies / study / kind) as entries:
                    matches = [match for entry in entries if (match := _INSTANCE.fullmatch(entry.name))]
                found.update({match[0]: match[1] for match in matches})
            except FileNotFoundError:
                continue
            except OSError as error:  # no rights after a restore, a file in its place
                msg = f"a folder of this study cannot be read ({os.strerror(error.errno or 0)}); mend its rights"
                raise StoreError(msg, code="study.unreadable") from error
        return found

    def record(self, study: str) -> Record:
        """Record of a study; an empty one when there is none."""
        return read_record(self._studies / study)

    def write_record(self, study: str, record: Record) -> None:
        """Put a study's record in place, durably; errors as for `require_space`."""
        with store_errors():
            write_file(self._studies / study / "record.json", record.to_bytes())

    def keep_clinical(self, study: str, content: bytes) -> bool:
        """Put a study's clinical file in place, durably; return whether it is new. Errors as for `require_space`."""
        self.require_space()
        folder = self._studies / study
        with store_errors():
            if self.clinical(study) and (folder / CLINICAL).read_bytes() == content:
                return False
            make_folder(folder)
            write_file(folder / CLINICAL, content)
        return True

    def clinical(self, study: str) -> Path | None:
        """Clinical file of a study."""
        path = self._studies / study / CLINICAL
        return path if path.is_file() else None

    def clinical_mark(self, study: str) -> tuple[str, ...]:
        """Stand for the content of a study's clinical file; empty without one."""
        path = self.clinical(study)
        return (hashlib.sha256(path.read_bytes()).hexdigest(),) if path else ()

    def take_retries(self) -> list[str]:
        """Take the studies an operator wants to be tried again."""
        asked_for = []
        with suppress(OSError):
            for path in (self.root / RETRIES).iterdir():
                with suppress(OSError):
                    path.unlink()
                    asked_for.append(path.name)
        return list(filter(is_study_name, asked_for))

    def modified(self, study: str) -> float:
        """When something was last put into a study's folders, or removed, by the file system's clock; s since 1970."""
        times = [0.0]
        for kind in (IMAGES, ASIDE, RESULTS):
            with suppress(FileNotFoundError):
                times.append((self._studies / study / kind).stat().st_mtime)
        return max(times)

    def set_apart(self, study: str, kind: str, names: Iterable[str], *, mark: float) -> int:
        """Move these files and no other into quarantine, or all results; count what was moved.

        A file that arrives meanwhile has been acknowledged, and stays. `mark`, seconds of service, dates it. Clinical
        data goes with the results where no image is left to be reported anew. Raises `StoreError` ``store.failed``.
        """
        self.release(study)
        folder = self._studies / study
        apart = self.root / QUARANTINE / f"{int(mark):012d}-{study}" / kind
        moved = [folder / kind / name for name in names]
        if kind == RESULTS:
            clinical = [] if self.images(study) else [folder / CLINICAL]
            moved = [path for path in (folder / RESULTS, *clinical) if path.exists()]
        with store_errors():
            for path in moved:
                apart.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    path.rename(apart / path.name)
        with suppress(OSError):
            (folder / kind).rmdir()  # not when something arrived
        return len(moved)

    def empty_quarantine(self, before: float) -> int:
        """Delete what was set apart before this second of service; count it."""
        gone = 0
        with suppress(FileNotFoundError):
            for path in (self.root / QUARANTINE).iterdir():
                mark = path.name.partition("-")[0]
                if mark.isdecimal() and int(mark) <= before:
                    shutil.rmtree(path)
                    gone += 1
        return gone

    def recall(self, source: str) -> str | None:
        """Cursor of a source."""
        with store_errors():
            path = self._cursors / source
            return path.read_text(encoding="utf-8") if path.exists() else None

    def remember(self, source: str, cursor: str) -> None:
        """Keep the cursor of a source durably."""
        with store_errors():
            write_file(self._cursors / source, cursor.encode())

    def _take(self) -> None:
        self._lock_descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            msg = "another service is using this store; stop it, or name another folder"
            raise StoreError(msg, code="store.in_use") from error


def reference_key(root: Path) -> bytes:
    """Key of a store's references; made when it has none."""
    path = root / "reference.key"
    with store_errors():
        if not path.exists():
            write_file(path, secrets.token_bytes(_KEY_BYTES))
        return path.read_bytes()


def read_record(folder: Path) -> Record:
    """Record in a study's folder; an empty one when there is none."""
    try:
        return record_from((folder / "record.json").read_bytes())
    except OSError:
        return Record()
