"""A map of the body from the image alone: region, side, cavity; nothing is claimed that is not seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.arrays import Floats, Ints, Mask
from calcreport.anatomy.axial import Axial, Sections, Turn, along, find_sections, turn_of
from calcreport.anatomy.body import Body
from calcreport.anatomy.cavities import Cavity, fill_cavities
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.regions import Limbs, find_limbs
from calcreport.anatomy.trunk import Trunk, find_lungs, find_trunk
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.terms import Laterality

__all__ = ["BodyMap", "Cavity", "Place", "find_body_map"]

TRUNK_WORDS: Final = ("PELVIS", "HIP", "ABDOMEN", "CHEST", "THORAX", "NECK", "HEAD", "SPINE", "BUTTOCK", "GROIN")
"""Body parts whose cross-section is centred on the midline of the patient."""
MIDLINE_MM: Final = 12.0  # Nearer to the midline of trunk or head than this no side is given
SHOULDER_MM: Final = 80.0  # So far from the midline a level above the lungs shows a shoulder, nearer the neck
BESIDE_LUNG_MM: Final = 35.0  # a shoulder lies this far outside the lungs ...
MAX_LUNG_SHARE: Final = 0.6  # ... where they fill no more than this share of the breadth
LIMB_MM: Final = 90.0  # Farther than this from the shaft of a limb seen alone its side is not claimed
# Region of each cavity.
_CAVITIES: Final = {
    Cavity.THORAX: "thorax", Cavity.ABDOMEN: "abdomen", Cavity.PELVIS: "pelvis", Cavity.SKULL: "head",
    Cavity.AIRWAY: "neck",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the patient a place is, as far as the image tells."""

    region: str | None
    """Such as ``"thigh"``, ``"chest wall"``, ``"abdomen"``; ``None`` where the image does not tell."""
    laterality: Laterality
    """Unknown where the image does not tell."""
    cavity: Cavity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyMap:
    """Where everything lies, on the coarse grid."""

    cavity: NDArray[np.uint8]
    """Coarse shape; a `Cavity` each."""
    cage: Mask
    """Coarse shape; true where ribs, costal cartilages and sternum run."""
    coarse: CoarseVolume
    geometry: VolumeGeometry
    turn: Turn
    box: tuple[slice, slice, slice]
    """How levels (up the patient) lie in the grid, and the part of the grid that was mapped."""
    trunk: Trunk
    limbs: Limbs
    sections: Sections
    """Per level: trunk or limb, and the parts of the body in it."""
    lung_columns: Ints
    """Shape ``(levels, 2)``; first and last column of lung, -1 without."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions the levels show, from the head down, each once."""
        names = [self._level_name(level) for level in range(len(self.trunk.is_cut))]
        return tuple(dict.fromkeys(name for name in names[::-1] if name))

    def place(self, lps_mm: Floats, header_part: str | None = None) -> Place:
        """Region, side and cavity of a position.

        `lps_mm`: shape ``(3,)``; LPS mm; `header_part`: body part of the header: where it names a part of the trunk, a
        section seen whole has its midline.
        """
        block = self.coarse.of_fine(np.maximum(np.rint(self.geometry.index(lps_mm)), 0).astype(np.int64))
        cavity = Cavity(int(self.cavity[tuple(block)]))
        shape = self.cavity[self.box].shape
        inner = np.clip(block - [s.start or 0 for s in self.box], 0, np.array(shape) - 1)
        level, row, column = self.turn.index(inner, shape)
        section = int(self.sections.labels[level, row, column]) - 1
        if section in self.limbs.arms:
            side = self._side(level, float(self.sections.column[section]), is_limb=True)
            return Place(region=self.limbs.arms[section], laterality=side, cavity=cavity)
        region = _CAVITIES[cavity] if cavity else self._wall(level, row, column)
        is_limb = self.trunk.part[level] == ""
        side = self._side(level, float(column), is_limb=is_limb)
        if is_limb and self._is_beyond(level, column, section):
            # Inner side of a limb seen alone: the other limb, or the perineum.
            return Place(region=None, laterality=Laterality.UNKNOWN, cavity=cavity)
        is_trunk = any(word in (header_part or "").upper() for word in TRUNK_WORDS)
        if side is Laterality.UNKNOWN and is_trunk and section >= 0 and not self.trunk.is_cut[level]:
            side = self._side_of(column - self.trunk.centre[level], is_limb=False)
        return Place(region=region, laterality=side, cavity=cavity)

    def _is_beyond(self, level: int, column: int, section: int) -> bool:
        """Whether a place is in another part of the body than the limb seen alone, or far from its bone."""
        if np.isfinite(self.limbs.middle[level]):
            return False
        away_mm = abs(column - self.limbs.axis[level]) * self.coarse.spacing_mm[self.turn.order[2]]
        is_far = self.limbs.side != 0 and away_mm > LIMB_MM
        return bool(is_far or (section >= 0 and section != self.sections.of_level(level)[0]))

    def _level_name(self, level: int) -> str | None:
        if self.trunk.part[level]:
            return str(self.trunk.part[level])
        region = self.limbs.region[level]
        if region and not np.isfinite(self.limbs.middle[level]) and self.limbs.side:
            return f"{'left' if self.limbs.side > 0 else 'right'} {region}"
        return region

    def _wall(self, level: int, row: int, column: int) -> str | None:
        """Region outside the cavities."""
        trunk = self.trunk
        name: str | None = str(trunk.part[level]) or None
        column_mm = self.coarse.spacing_mm[self.turn.order[2]]
        if name == "pelvis":
            rows = np.flatnonzero(along(trunk.main[level], 1))
            return "buttock" if row > (rows[0] + 2 * rows[-1]) / 3 else "hip"
        if name == "thorax":
            low, high = self.lung_columns[level]
            is_beside = max(low - column, column - high) * column_mm > BESIDE_LUNG_MM
            if is_beside and high - low <= MAX_LUNG_SHARE * int(along(trunk.main[level], 0).sum()):
                return "shoulder"
        if name in {"thorax", "abdomen"}:
            front = "chest wall" if name == "thorax" else "abdominal wall"
            return "back" if row > trunk.spine_back[level] else front
        if name == "neck":
            aside_mm = abs(column - trunk.middle[level]) * column_mm
            name = "shoulder" if aside_mm > SHOULDER_MM else "neck" if aside_mm <= SHOULDER_MM else None
        return name or self.limbs.region[level]

    def _side(self, level: int, column: float, *, is_limb: bool) -> Laterality:
        """Side of a column: of the midline of the trunk, of a pair of limbs, or of a limb seen alone."""
        middle = self.trunk.middle[level] if self.trunk.part[level] else self.limbs.middle[level]
        if np.isfinite(middle):
            return self._side_of(column - float(middle), is_limb=is_limb)
        if self.trunk.part[level] == "" and self.limbs.side:
            return Laterality.LEFT if self.limbs.side > 0 else Laterality.RIGHT
        return Laterality.UNKNOWN

    def _side_of(self, columns: float, *, is_limb: bool) -> Laterality:
        """Side of a place so many columns to the left of the midline."""
        across_mm = columns * self.coarse.spacing_mm[self.turn.order[2]]
        if not np.isfinite(across_mm):
            return Laterality.UNKNOWN
        if not is_limb and abs(across_mm) <= MIDLINE_MM:
            return Laterality.MIDLINE
        return Laterality.LEFT if across_mm > 0 else Laterality.RIGHT


def find_body_map(coarse: CoarseVolume, body: Body, bone: Mask, geometry: VolumeGeometry) -> BodyMap:
    """Map the body; `bone`, of coarse shape, is true in bones, with or without their marrow."""
    turn = turn_of(geometry)
    box = _box(body.mask)
    near = replace(coarse, hu=coarse.hu[box], is_imaged=coarse.is_imaged[box])
    own = replace(body, mask=body.mask[box], outside=body.outside[box], firm=body.firm[box])
    axial = Axial(
        hu=turn.turned(near.hu),
        body=turn.turned(own.mask),
        bone=turn.turned(bone[box]),
        is_imaged=turn.turned(near.is_imaged),
        spacing_mm=(
            coarse.spacing_mm[turn.order[0]], coarse.spacing_mm[turn.order[1]], coarse.spacing_mm[turn.order[2]],
        ),
    )  # fmt: skip
    lungs = find_lungs(axial)
    sections = find_sections(turn.turned(own.firm) | lungs, axial.pixel_mm2)
    trunk = find_trunk(axial, lungs, sections)
    inside, band = fill_cavities(axial, lungs, trunk)
    cavity, cage = np.zeros(coarse.hu.shape, dtype=np.uint8), np.zeros(coarse.hu.shape, dtype=np.bool_)
    cavity[box], cage[box] = turn.returned(inside), turn.returned(band)
    across = along(lungs, 1)
    last = across.shape[1] - 1 - across[:, ::-1].argmax(axis=1)
    columns = np.where(along(across, 1), [across.argmax(axis=1), last], -1).T
    return BodyMap(
        cavity=cavity, cage=cage, coarse=coarse, geometry=geometry, turn=turn, box=box, trunk=trunk,
        limbs=find_limbs(axial, sections, trunk), sections=sections, lung_columns=columns,
    )  # fmt: skip


def _box(mask: Mask) -> tuple[slice, slice, slice]:
    """All levels, and the rows and columns that hold the body with a block of air around it."""
    sides = [np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 2), (0, 1))]
    row, column = (slice(max(0, int(s[0]) - 2), int(s[-1]) + 3) if s.size else slice(None) for s in sides)
    return slice(None), row, column
