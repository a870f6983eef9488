"""Unique identifiers that follow from what they name: the same content has the same UID on every machine."""

from __future__ import annotations

import uuid
from typing import Final

_OURS: Final = uuid.UUID("9b1d5a6e-2f0c-5c43-8d0e-6a1f7b3c4d21")  # namespace of the names below; a fixed random UUID


def derive_uid(*parts: str) -> str:
    """Derive a UID: ``2.25.`` and the decimal value of a version 5 UUID (PS3.5 annex B.2), at most 44 characters.

    The order of the parts counts, and no two different lists of parts give the same name.
    """
    name = "".join(f"{len(part)}:{part}" for part in parts)
    return f"2.25.{uuid.uuid5(_OURS, name.encode('utf-8', 'backslashreplace').decode('utf-8')).int}"
