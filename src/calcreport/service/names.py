"""Names made from received text: hashes only, so that no text of a sender becomes part of a path or a log."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

_DIGITS: Final = 32
"""128 bits: nobody finds two contents with one name."""
_INSTANCE: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.dcm")
_STUDY: Final = re.compile(r"[0-9a-f]{32}")
KEY_BYTES: Final = 32


def study_name(study_instance_uid: str) -> str:
    """Name of a study's folder."""
    return _digest(study_instance_uid)


def is_study_name(name: str) -> bool:
    """Whether a folder may be a study's."""
    return _STUDY.fullmatch(name) is not None


def instance_name(sop_instance_uid: str, content: str) -> str:
    """Name of an instance's file; `content` is the SHA-256 of transfer syntax and data set, hexadecimal."""
    return f"{instance_digest(sop_instance_uid)}.{content[:_DIGITS]}.dcm"


def instance_digest(sop_instance_uid: str) -> str:
    """Part of the name of an instance's file that stands for its UID."""
    return _digest(sop_instance_uid)


def instance_of(name: str) -> str | None:
    """Part of a file's name that stands for its SOP Instance UID; ``None`` for a file that is no instance."""
    match = _INSTANCE.fullmatch(name)
    return match[1] if match else None


def content_of(names: Iterable[str]) -> str:
    """Hash of a set of instances, from the names of their files; the order does not count."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def conflicts_in(names: Iterable[str]) -> int:
    """How many SOP Instance UIDs occur with more than one content."""
    return sum(count > 1 for count in Counter(name.partition(".")[0] for name in names).values())


class References:
    """Short references to studies for logs and operators.

    Without `key`, the store's own, a reference cannot be found by hashing UIDs.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, name: str) -> str:
        """Reference to the study with this folder name: 12 hexadecimal digits."""
        return hashlib.blake2b(name.encode(), key=self._key, digest_size=6).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]
