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
from calcreport.anatomy.morphology import ALL_AXES, close_planes, dilate, erode, open_planes, outside_planes

MUSCLE_HU: Final = -29
"""Block means above this are muscle, other soft tissue or mineral in it; below it fat."""

CLOSING_BLOCKS: Final = 5
"""Gaps between muscles up to twice this many blocks (about 30 mm) belong to the envelope: fat in them is deep."""

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
    """The closed muscle envelope on the coarse grid."""

    mask: NDArray[np.bool_]
    """Coarse shape; true beneath the investing fascia."""
    is_reliable: bool
    """False where too little muscle or fat is seen to tell the layers apart."""


def find_envelope(coarse: CoarseVolume, body: Body, bone: NDArray[np.bool_]) -> Envelope:
    """Muscle around bone (coarse shape, with marrow), closed and filled slice by slice."""
    # Skin is one block thick at most; what the picture's side cuts is not skin.
    inner = erode(body.mask, "cross", beyond=1)
    soft = inner & (coarse.hu > MUSCLE_HU) & ~bone
    # Vessels, septa and the last of the skin are thinner than muscle.
    muscle = open_planes(soft, "square")
    labels, count = ndimage.label(muscle | bone)
    if count == 0:
        return Envelope(mask=np.zeros_like(body.mask), is_reliable=False)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    keep = sizes >= MIN_SHARE * sizes.max()
    keep[labels[bone]] = True
    keep[0] = False
    kept = _without_islands(keep[labels], bone)
    closed = close_planes(kept, "cross", steps=CLOSING_BLOCKS) & body.mask
    envelope = ~outside_planes(closed) & body.mask
    muscle_share = float(muscle.sum()) / max(int(body.mask.sum()), 1)
    return Envelope(mask=envelope, is_reliable=muscle_share > 0.05)


def _without_islands(kept: NDArray[np.bool_], bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop lumps that hang on the muscles by a narrow neck and are surrounded by fat: masses, not muscle."""
    labels, count = ndimage.label(erode(kept, "cross", axes=ALL_AXES, steps=NECK_BLOCKS, beyond=1))
    if count < 2:
        return kept
    # A part cut by the side of the picture may well have its bone outside, and one that runs out of the scan above or
    # below is a muscle behind a septum: lumps end.
    is_muscle = np.bincount(labels.ravel(), minlength=count + 1) < MIN_CORE_BLOCKS
    for known in (labels[bone], labels[0], labels[-1], labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        is_muscle[known] = True
    result = kept.copy()
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        if is_muscle[i]:
            continue
        grown = tuple(slice(max(0, s.start - 4), s.stop + 4) for s in box)
        part = dilate(labels[grown] == i, "cross", axes=ALL_AXES, steps=NECK_BLOCKS + 1, within=kept[grown])
        if _contact(part, kept[grown] & ~part) < MIN_CONTACT:
            result[grown] &= ~part
    return result


def _contact(part: NDArray[np.bool_], rest: NDArray[np.bool_]) -> float:
    """Share of a part's surface that lies against the rest."""
    surface = part & ~erode(part, "cross", axes=ALL_AXES, beyond=1)
    others = dilate(rest, "cross", axes=ALL_AXES, steps=2)
    return float((surface & others).sum()) / max(int(surface.sum()), 1)
