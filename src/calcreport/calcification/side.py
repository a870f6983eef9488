"""Left or right, only where the picture or the header settles it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.calcification.depth import Layers
from calcreport.model.image import Acquisition
from calcreport.model.report import Laterality, PlaceSource

TRUNK_WORDS: Final = ("PELVIS", "HIP", "ABDOMEN", "CHEST", "THORAX", "NECK", "HEAD", "SPINE", "BUTTOCK", "GROIN")
"""Body parts whose cross-section is centred on the midline of the patient."""

MIDLINE_MM: Final = 12.0
"""Nearer to the middle of the trunk than this no side is given."""

PAIR_RATIO: Final = 0.4
"""Two cross-sections are a pair of legs when the smaller has at least this share of the larger."""


def find_side(
    layers: Layers, centroid_lps_mm: NDArray[np.float64], acquisition: Acquisition
) -> tuple[Laterality, PlaceSource]:
    """Side of a lesion.

    Parameters
    ----------
    layers : Layers
        Body on the coarse grid.
    centroid_lps_mm : NDArray[np.float64]
        Shape ``(3,)``; centre of the lesion, LPS mm (+x is the patient's left).
    acquisition : Acquisition
        Laterality and body part of the header.

    Returns
    -------
    side : Laterality
        Unknown unless both legs are seen side by side, the whole trunk is seen, or the header says.
    source : str | None
        ``"header"``, ``"image"`` or ``None``.
    """
    geometry = layers.volume.geometry
    block = layers.coarse.of_fine(np.rint(geometry.index(centroid_lps_mm)).astype(np.int64))
    plane = layers.body.mask[int(block[0])]
    labels, count = ndimage.label(plane)
    if count:
        areas = np.bincount(labels.ravel())[1:]
        order = np.argsort(-areas)
        own = int(labels[int(block[1]), int(block[2])]) - 1
        middles = np.array(ndimage.center_of_mass(plane, labels, np.arange(1, count + 1)))
        step = np.array(layers.coarse.step)
        across = [
            float(geometry.lps_mm(np.array([block[0] * step[0], r * step[1], c * step[2]]))[0]) for r, c in middles
        ]
        if count >= 2 and own in order[:2].tolist() and areas[order[1]] >= PAIR_RATIO * areas[order[0]]:
            other = int(order[0] if own == order[1] else order[1])
            return (Laterality.LEFT if across[own] > across[other] else Laterality.RIGHT), "image"
        part = (acquisition.body_part or "").upper()
        is_cut = bool(plane[0].any() or plane[-1].any() or plane[:, 0].any() or plane[:, -1].any())
        if own == order[0] and not is_cut and any(word in part for word in TRUNK_WORDS):
            offset = float(centroid_lps_mm[0]) - across[own]
            if abs(offset) <= MIDLINE_MM:
                return Laterality.MIDLINE, "image"
            return (Laterality.LEFT if offset > 0 else Laterality.RIGHT), "image"
    if acquisition.laterality in ("left", "right"):
        return Laterality(acquisition.laterality), "header"
    return Laterality.UNKNOWN, None
