"""The investing (deep) fascia, estimated as the outer border of the closed muscle envelope.

No scanner shows the fascia itself on CT; the surface where subcutaneous fat ends and the muscle compartments begin is
the accepted stand-in. Deep means beneath the investing fascia (AJCC 7th edition, soft tissue sarcoma).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.body import Body
from calcreport.anatomy.coarse import CoarseVolume

MUSCLE_HU: Final = -29
"""Block means above this are muscle, other soft tissue or mineral in it; below it fat."""

CLOSING_BLOCKS: Final = 3
"""Gaps between muscles up to twice this many blocks (about 18 mm) belong to the envelope."""

NECK_BLOCKS: Final = 2
"""A bridge to the muscles no wider than twice this many blocks does not make a lump in the fat a muscle."""

MIN_CORE_BLOCKS: Final = 60
"""Smaller cores are crumbs of a muscle, not lumps."""

MIN_CONTACT: Final = 0.4
"""Muscles lie against each other; a part that touches the rest over less of its surface is a lump in the fat."""

MIN_SHARE: Final = 0.15
"""A soft-tissue part without bone counts as muscle only with this share of the largest part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Envelope:
    """The closed muscle envelope on the coarse grid.

    Parameters
    ----------
    mask : NDArray[np.bool_]
        Coarse shape; true beneath the investing fascia.
    is_reliable : bool
        False where too little muscle or fat is seen to tell the layers apart.
    """

    mask: NDArray[np.bool_]
    is_reliable: bool


def find_envelope(coarse: CoarseVolume, body: Body, bone: NDArray[np.bool_]) -> Envelope:
    """Muscle around bone, closed and filled slice by slice.

    Parameters
    ----------
    coarse, body : CoarseVolume, Body
        Block means, HU, and the body on the same grid.
    bone : NDArray[np.bool_]
        Coarse shape; true in bones with their marrow.

    Returns
    -------
    Envelope
    """
    within = np.zeros((3, 3, 3), dtype=bool)
    within[1] = ndimage.generate_binary_structure(2, 1)
    square = np.zeros((3, 3, 3), dtype=bool)
    square[1] = True
    # Skin is one block thick at most; what the picture's side cuts is not skin, hence the border value.
    inner = ndimage.binary_erosion(body.mask, structure=within, border_value=1)
    soft = inner & (coarse.hu > MUSCLE_HU) & ~bone
    # Vessels, septa and the last of the skin are thinner than muscle.
    muscle = ndimage.binary_opening(np.pad(soft, ((0, 0), (1, 1), (1, 1)), mode="edge"), structure=square)[:, 1:-1, 1:-1]
    labels, count = ndimage.label(muscle | bone)
    if count == 0:
        return Envelope(mask=np.zeros_like(body.mask), is_reliable=False)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    keep = sizes >= MIN_SHARE * sizes.max()
    keep[np.unique(labels[bone])] = True
    keep[0] = False
    kept = _without_islands(keep[labels], bone)
    padded = np.pad(kept, ((0, 0), (CLOSING_BLOCKS, CLOSING_BLOCKS), (CLOSING_BLOCKS, CLOSING_BLOCKS)), mode="edge")
    closed = ndimage.binary_closing(padded, structure=within, iterations=CLOSING_BLOCKS)
    rim = CLOSING_BLOCKS
    closed = closed[:, rim:-rim, rim:-rim] & body.mask
    envelope = np.stack([ndimage.binary_fill_holes(plane) for plane in closed]) & body.mask
    muscle_share = float(muscle.sum()) / max(int(body.mask.sum()), 1)
    return Envelope(mask=envelope, is_reliable=muscle_share > 0.05)


def _without_islands(kept: NDArray[np.bool_], bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop lumps that hang on the muscles by a narrow neck and are surrounded by fat: masses, not muscle."""
    cores = ndimage.binary_erosion(np.pad(kept, NECK_BLOCKS, mode="edge"), iterations=NECK_BLOCKS)
    rim = slice(NECK_BLOCKS, -NECK_BLOCKS)
    labels, count = ndimage.label(cores[rim, rim, rim])
    if count < 2:
        return kept
    with_bone = set(np.unique(labels[bone]).tolist())
    result = kept.copy()
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sides = np.zeros(count + 1, dtype=bool)
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        sides[face] = True
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        # A part cut by the side of the picture may well have its bone outside.
        if i in with_bone or sides[i] or sizes[i] < MIN_CORE_BLOCKS:
            continue
        grown = tuple(slice(max(0, s.start - 4), s.stop + 4) for s in box)
        core = labels[grown] == i
        part = ndimage.binary_dilation(core, iterations=NECK_BLOCKS + 1, mask=kept[grown])
        surface = part & ~ndimage.binary_erosion(part, border_value=1)
        others = ndimage.binary_dilation(kept[grown] & ~part, iterations=2)
        contact = float((surface & others).sum()) / max(int(surface.sum()), 1)
        if contact < MIN_CONTACT:
            result[grown] &= ~part
    return result
