"""Events for the operator, never patient data.

One choke point: `event` accepts only field names it knows, each with the one form its value may take, so that a name,
a UID or a path cannot reach a log by accident. Only the command line configures handlers.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# Forms of values: a number, a word, a code, a title of a peer, a salted reference to a study.
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
_WORD: Final = re.compile(r"[a-z][a-z_]{0,39}")
_CODE: Final = re.compile(r"[a-z][a-z_]{0,39}(\.[a-z0-9_]{1,40}){1,3}")
_TITLE: Final = re.compile(r"[A-Za-z0-9_.-]{1,16}")
_REFERENCE: Final = re.compile(r"[0-9a-f]{12}")


class _Peers:
    """Form of a peer's AE title: one that the site's settings name; what a peer calls itself may be anything."""

    named: frozenset[str] = frozenset()

    def fullmatch(self, title: str) -> object:
        """Whether a title may be logged."""
        return title in self.named and _TITLE.fullmatch(title)


PEERS: Final = _Peers()  # The service says which titles its settings name
FIELDS: Final[Mapping[str, re.Pattern[str] | _Peers]] = MappingProxyType(
    {
        **dict.fromkeys(("number", "count", "seconds", "images", "lesions", "excluded", "jobs", "signal"), _NUMBER),
        **dict.fromkeys(("status", "step"), _WORD),
        "study_ref": _REFERENCE,
        "code": _CODE,
        "peer": PEERS,
    }
)
"""The fields an event may carry and the form of their values; anything else is a programmer's mistake."""

_SALT: Final = secrets.token_bytes(16)
"""New in every run, so that a reference in a log cannot be traced back to a UID by hashing candidates."""

logging.getLogger("calcreport").addHandler(logging.NullHandler())


def event(logger: logging.Logger, name: str, **fields: float | str) -> None:
    """Log one event, at level INFO, with the logger of the calling module.

    The name is lower-case words joined by ``_``; fields are those named in `FIELDS`, their values of the form given
    there. Raises `ValueError` when a name or a value is not on the list; the value is not repeated in the message.
    """
    if not _WORD.fullmatch(name):
        msg = "an event name is lower-case words joined by '_'"
        raise ValueError(msg)
    parts = [name]
    for field, value in fields.items():
        text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        if field not in FIELDS or not FIELDS[field].fullmatch(text):
            msg = f"the field {field!r} may not be logged, or not with this value"
            raise ValueError(msg)
        parts.append(f"{field}={text}")
    logger.info(" ".join(parts))


def study_ref(study_instance_uid: str) -> str:
    """Salted reference to a study, the same throughout one run and meaningless outside it."""
    return hashlib.blake2b(study_instance_uid.encode("utf-8", "replace"), key=_SALT, digest_size=6).hexdigest()
