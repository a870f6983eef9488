"""Views of one study: which are lateral, and which findings of two orthogonal views are one lesion."""

from __future__ import annotations

from typing import Final

_LATERAL: Final = frozenset(("LAT", "LL", "RL", "ML", "LM", "LLAT", "RLAT"))
_FRONTAL: Final = frozenset(("AP", "PA", "FRONTAL", "DP", "PD"))


def is_lateral(position: str | None) -> bool | None:
    """Whether a View Position is a lateral one; ``None`` for oblique, special or unstated views."""
    if position in _LATERAL:
        return True
    return False if position in _FRONTAL else None
