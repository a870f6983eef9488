"""A map of the body from the image alone: region, side and cavity of every place; nothing is claimed that is not seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.axial import Axial, Turn, find_sections, turn_of
from calcreport.anatomy.body import Body
from calcreport.anatomy.cavities import Cavity, Trunk, fill_cavities, find_lungs, find_trunk
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.model.geometry import VolumeGeometry

__all__ = ["BodyMap", "Cavity", "find_body_map"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyMap:
    """Where everything lies, on the coarse grid."""

    cavity: NDArray[np.uint8]
    """Coarse shape; a `Cavity` each."""
    cage: NDArray[np.bool_]
    """Coarse shape; true where ribs, costal cartilages and sternum run."""
    turn: Turn
    trunk: Trunk
    box: tuple[slice, slice, slice]
    """Part of the coarse grid that was mapped."""


def find_body_map(coarse: CoarseVolume, body: Body, bone: NDArray[np.bool_], geometry: VolumeGeometry) -> BodyMap:
    """Map the body."""
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
    return BodyMap(cavity=cavity, cage=cage, turn=turn, trunk=trunk, box=box)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """All levels, and the rows and columns that hold the body with a block of air around it."""
    sides = [np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 2), (0, 1))]
    row, column = (slice(max(0, int(s[0]) - 2), int(s[-1]) + 3) if s.size else slice(None) for s in sides)
    return slice(None), row, column
