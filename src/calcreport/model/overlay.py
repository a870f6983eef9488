"""Lesions of two studies whose images were registered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# What registration says of a lesion's place in the earlier study
PairStatus = Literal["matched", "ambiguous", "not_found", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierPlace:
    """What the earlier images show at the place of a lesion."""

    status: PairStatus
    """``new``: they show the place, and it holds no mineral there."""
    earlier: tuple[int, ...] = ()
    """Index of the earlier lesion; of several that have become one."""
    joint_mm: float | None = None
    """Longest diameter of several earlier lesions together."""
    reason: str = ""
    """Why lengths may not be compared; empty where nothing speaks against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """Every lesion of a study in the earlier one."""

    places: tuple[EarlierPlace, ...]
    """One a lesion, in the order measured."""
    vanished: tuple[int, ...] = ()
    """Earlier lesions whose place the present images show, without mineral."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarlierSlice:
    """An earlier study on the key slice of a lesion."""

    hu: NDArray[np.int16] = field(repr=False)
    """Shape ``(rows, columns)`` of the present slice."""
    date: str | None
