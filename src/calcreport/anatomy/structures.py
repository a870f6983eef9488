"""Which labelled structure a dense component belongs to: names of classes, and the vote of its voxels."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.arrays import Ints
from calcreport.anatomy.morphology import dilate
from calcreport.model.anatomy_labels import AnatomyLabels, Structure, StructureKind
from calcreport.model.incidental import IncidentalKind

SKELETON: Final = frozenset({StructureKind.BONE, StructureKind.CARTILAGE})  # Mineral mostly in these is skeleton
INSIDES: Final = frozenset(
    {
        StructureKind.VESSEL, StructureKind.HEART, StructureKind.ORGAN, StructureKind.GUT, StructureKind.AIRWAY,
        StructureKind.LUNG,
    }
)  # fmt: skip
"""Mineral in or on these is incidental."""
MOSTLY: Final = 0.5  # A component belongs to the kind of structure that holds this share of its own voxels …
BESIDE: Final = 1 / 3
"""… or, of the insides of the body, this share of it and of what lies within `REACH_PIXELS`: a plaque in the wall lies
half outside the lumen that is labelled."""
REACH_PIXELS: Final = 2  # see `BESIDE`


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureTable:
    """Classes of segmentation programs."""

    by_class: Mapping[str, Structure]
    """By class name in lower case, without side and number."""
    numbered: Mapping[str, tuple[str, ...]]
    """Class names in the order of their labels, 1 first, by version."""

    def find(self, name: str) -> Structure | None:
        """Structure of a class name as a file spells it (``"rib_left_7"``, ``"Left Kidney"``), or ``None``."""
        words = re.findall("[a-z0-9]+", name.casefold())
        sides: list[Literal["left", "right"]] = [word for word in words if word in ("left", "right")]
        number = words[-1] if words and re.fullmatch("[ctls]?[0-9]+", words[-1]) else ""
        found = self.by_class.get("_".join(word for word in words if word not in {"left", "right", number}))
        if found is None or len(sides) > 1:
            return None
        return replace(found, name=f"{found.name} {number.upper()}".strip(), side=sides[0] if sides else None)


def parse_structures(text: str) -> StructureTable:
    """Read the table of structures; see the comment at its top."""
    groups = tomllib.loads(text)
    numbered = {version: tuple(names.split()) for version, names in groups.pop("numbered").items()}
    by_class: dict[str, Structure] = {}
    for kind, entries in groups.items():
        by_class |= _read_group(StructureKind(kind), entries, IncidentalKind.OTHER)
    return StructureTable(by_class=by_class, numbered=numbered)


def _read_group(kind: StructureKind, entries: Mapping[str, Any], incidental: IncidentalKind) -> dict[str, Structure]:
    found: dict[str, Structure] = {}
    for name, entry in entries.items():
        if isinstance(entry, str):
            found[name] = Structure(value=0, name=entry, kind=kind, incidental=incidental)
        else:
            found |= _read_group(kind, entry, IncidentalKind(name))
    return found


def structure_of(labels: AnatomyLabels, voxel_index: Ints) -> Structure | None:
    """Structure that a component belongs to, by the labels of another program.

    What holds `MOSTLY` of it: mineral in muscle is in muscle, whatever lies beside it. Otherwise the vessel, organ, gut
    or airway beside it (`BESIDE`). ``None`` where nothing settles it, which says nothing.
    """
    inside = labels.labels[tuple(voxel_index.T)]
    found = _most(labels, inside, MOSTLY)
    return found if found is not None else _most(labels, _around(labels.labels, voxel_index), BESIDE, INSIDES)


def _around(labels: NDArray[np.uint8], voxel_index: Ints) -> NDArray[np.uint8]:
    """Labels of a component and of what lies within `REACH_PIXELS` of it in the same slices."""
    margin = np.array((0, REACH_PIXELS, REACH_PIXELS))
    low, high = voxel_index.min(axis=0) - margin, voxel_index.max(axis=0) + margin + 1
    grown = np.zeros(high - low, dtype=np.bool_)
    grown[tuple((voxel_index - low).T)] = True
    grown = dilate(grown, "square", steps=REACH_PIXELS)
    index = np.argwhere(grown) + low
    index = index[((index >= 0) & (index < labels.shape)).all(axis=1)]
    return np.asarray(labels[tuple(index.T)])


def _most(
    labels: AnatomyLabels, values: NDArray[np.uint8], share: float, kinds: frozenset[StructureKind] | None = None
) -> Structure | None:
    """The commonest structure of the commonest kind, where that kind holds a share of all the values."""
    counts = np.bincount(values, minlength=256)
    votes: dict[StructureKind, list[tuple[int, Structure]]] = {}
    for one in labels.structures:
        if counts[one.value] and (kinds is None or one.kind in kinds):
            votes.setdefault(one.kind, []).append((int(counts[one.value]), one))
    if not votes:
        return None
    most = max(votes.values(), key=lambda members: sum(count for count, _ in members))
    if sum(count for count, _ in most) < share * values.size:
        return None
    return max(most, key=lambda member: member[0])[1]
