"""A map of the body from the image alone: region, side and cavity of every place; nothing is claimed that is not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.axial import Axial, Turn, find_sections, turn_of
from calcreport.anatomy.body import Body
from calcreport.anatomy.cavities import Cavity, Trunk, fill_cavities, find_lungs, find_trunk
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.fascia import find_envelope
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


def find_body_map(coarse: CoarseVolume, body: Body, bone: NDArray[np.bool_], geometry: VolumeGeometry) -> BodyMap:
    """Map the body."""
    turn = turn_of(geometry)
    axial = Axial(
        hu=turn.turned(coarse.hu),
        body=turn.turned(body.mask),
        bone=turn.turned(bone),
        envelope=turn.turned(find_envelope(coarse, body, bone).mask),
        is_imaged=turn.turned(coarse.is_imaged),
        spacing_mm=(
            coarse.spacing_mm[turn.order[0]], coarse.spacing_mm[turn.order[1]], coarse.spacing_mm[turn.order[2]],
        ),
    )  # fmt: skip
    lungs = find_lungs(axial)
    sections = find_sections(turn.turned(body.firm) | lungs, axial.pixel_mm2)
    trunk = find_trunk(axial, lungs, sections)
    cavity, cage = fill_cavities(axial, lungs, trunk)
    return BodyMap(cavity=turn.returned(cavity), cage=turn.returned(cage), turn=turn, trunk=trunk)
