"""Organ and bone masks of another program on the grid of a CT series: hints, never the only truth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calcreport.model.geometry import lock
from calcreport.model.incidental import IncidentalKind


@unique
class StructureKind(StrEnum):
    """What a labelled structure is."""

    BONE = "bone"
    CARTILAGE = "cartilage"
    VESSEL = "vessel"
    HEART = "heart"
    ORGAN = "organ"
    GUT = "gut"
    AIRWAY = "airway"
    LUNG = "lung"
    MUSCLE = "muscle"
    SKIN = "skin"
    NERVE = "nerve"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A structure that has a label."""

    value: int
    """Its label, 1 to 255; ``0`` before it has one."""
    name: str
    """Plain name without side, such as ``"kidney"``: from our own table, never from the file."""
    kind: StructureKind
    side: Literal["left", "right"] | None = None
    incidental: IncidentalKind = IncidentalKind.OTHER
    """What mineral in it is, where it is no lesion."""

    @property
    def full_name(self) -> str:
        """With its side: ``"left kidney"``."""
        return f"{self.side} {self.name}" if self.side else self.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnatomyLabels:
    """Labels of another program, resampled onto the voxel grid of a CT series."""

    labels: NDArray[np.uint8]
    """Shape ``(slices, rows, columns)`` of the CT; 0 where nothing is labelled; read-only."""
    structures: tuple[Structure, ...]
    """Those that may have voxels; each value once."""
    notes: tuple[str, ...] = ()
    """Sentences for the reader: how the labels were named, and that they were used."""

    def __post_init__(self) -> None:
        lock("labels", self.labels, np.uint8, 3)

    def find(self, value: int) -> Structure | None:
        """Look up the structure of a label; ``None`` for 0 and for one that is not known."""
        return next((one for one in self.structures if one.value == value), None)

    def values_of(self, kinds: Collection[StructureKind]) -> NDArray[np.uint8]:
        """Labels of some kinds, ascending."""
        return np.array(sorted(one.value for one in self.structures if one.kind in kinds), dtype=np.uint8)
