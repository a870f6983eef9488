"""The patient's body apart from air, table, mattress, clothes, where the field of view cuts it, and its deep fascia.

The investing fascia is estimated as the outer border of the closed muscle envelope: no scanner shows it on CT; the
surface where subcutaneous fat ends and the muscle compartments begin is the accepted stand-in. Deep means beneath the
investing fascia (AJCC 7th edition, soft tissue sarcoma).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Ints, Labels, Mask, Spacing
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.labelling import label
from calcreport.anatomy.morphology import ALL_AXES, chosen, close_planes, dilate, erode, open_planes, outside_planes

TISSUE_HU: Final = -300  # Denser blocks are tissue or table: between fat (-120) and foam (below -800), halfway to air
MIN_PART_MM3: Final = 8_000.0
"""Smallest separate part taken as body: a finger's length; anything smaller beside a body is a lead or a fold."""
MIN_PART_FRACTION: Final = 0.01  # … and at least this share of the largest part
SOFT_HU: Final = (-200, 160)  # Block means of fat and muscle; plates of a table are denser or lighter
MIN_SOFT_SHARE: Final = 0.5  # A part of the body is mostly soft tissue; a table is not
FOLD_MM: Final = 36.0
"""Air enclosed within a slice but open to the outside this near is a skin fold (groin, scrotum, between the legs);
bowel and airway lie farther from any opening."""
MIN_ROOM_MM2: Final = 1_500.0
"""Air that is nowhere broader than this in a slice, and apart from the rest, may be bowel cut by the picture: a rectum
45 mm across."""
MAX_PLATE_MM: Final = 45.0  # a plate is this low at most: a foot is higher ...
MIN_PLATE_ASPECT: Final = 3.5  # ... this many times as broad: a hand beside the body is narrower ...
MAX_PLATE_INNER: Final = 0.55  # ... and this share of its blocks lies under its surface
TABLE_FLATNESS: Final = 0.72  # Above this share of a part that an opening of 15 mm takes it is a shell, not a limb


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """Body mask on the coarse grid."""

    mask: Mask
    """Coarse shape; true inside the body, gas in bowel and airways included."""
    outside: Mask
    """Coarse shape; true in the air (and table) around the patient: what is neither body nor enclosed by it."""
    firm: Mask
    """Coarse shape; the body without bumps narrower than about 15 mm: leads and folds are left out."""


def find_body(coarse: CoarseVolume) -> Body:
    """Body mask by threshold, opening, choice of thick parts, and filling from outside; empty without tissue."""
    tissue = coarse.hu > TISSUE_HU
    # Shells of tables, sheets and clothes are thinner than two blocks; opening within slices removes them.
    opened = open_planes(tissue, "square")
    labels, count = label(opened)
    if count == 0:
        return Body(mask=np.zeros_like(tissue), outside=np.ones_like(tissue), firm=np.zeros_like(tissue))
    body = _parts_of_body(coarse, opened, labels)[labels]
    # Opening shaves corners and thin skin folds; one conditional step brings them back.
    body = dilate(body, "square") & tissue
    outside = _without_cut_gas(outside_planes(body), coarse.spacing_mm)
    outside = _with_folds(outside, body, coarse.spacing_mm)
    mask = ~outside
    return Body(mask=mask, outside=outside, firm=open_planes(mask, "disc"))


def _parts_of_body(coarse: CoarseVolume, opened: Mask, labels: Labels) -> Mask:
    """Which parts belong to the body, per label: large enough, mostly soft, and thick somewhere."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    least = max(MIN_PART_MM3 / float(np.prod(coarse.spacing_mm)), MIN_PART_FRACTION * float(sizes.max()))
    soft = opened & (coarse.hu > SOFT_HU[0]) & (coarse.hu < SOFT_HU[1])
    soft_share = np.bincount(labels[soft], minlength=sizes.size) / np.maximum(sizes, 1)
    # An opening of 15 mm removes most of what is thin everywhere (table plates).
    remaining = np.bincount(labels[open_planes(opened, "square", steps=2)], minlength=sizes.size)
    is_shell = 1.0 - remaining / np.maximum(sizes, 1) > TABLE_FLATNESS
    keep: Mask = (sizes >= least) & (soft_share >= MIN_SOFT_SHARE) & ~is_shell
    keep &= ~_is_reduced(labels, sizes, coarse.spacing_mm)
    keep[int(sizes.argmax())] = True
    return keep


def _is_reduced(labels: Labels, sizes: Ints, spacing_mm: Spacing) -> Mask:
    """Which parts are broad, low and mostly surface, per label: the top of a table where it is thick enough to pass."""
    inner = np.bincount(labels[erode(labels > 0, "square")], minlength=sizes.size) / np.maximum(sizes, 1)
    sides = [[s.stop - s.start for s in box] for box in ndimage.find_objects(labels)]
    _, height, width = (np.array([[0, 0, 0], *sides]) * spacing_mm).T
    return np.asarray((height <= MAX_PLATE_MM) & (width >= MIN_PLATE_ASPECT * height) & (inner <= MAX_PLATE_INNER))


def _without_cut_gas(outside: Mask, spacing_mm: Spacing) -> Mask:
    """Drop small pockets of air at the side of the picture: bowel gas the picture cuts, or a corner of the room.

    Which of the two is not seen; as part of the body at its cut edge they stop a skin distance from being claimed.
    """
    labels, count = label(outside)
    if count < 2:
        return outside
    broadest = np.max([np.bincount(plane.ravel(), minlength=count + 1) for plane in labels], axis=0)
    keep = broadest * (spacing_mm[1] * spacing_mm[2]) >= MIN_ROOM_MM2
    keep[int(broadest[1:].argmax()) + 1] = True
    return chosen(labels, keep)


def _with_folds(outside: Mask, body: Mask, spacing_mm: Spacing) -> Mask:
    """Add enclosed air that opens to the outside within `FOLD_MM`."""
    enclosed = ~body & ~outside
    if not enclosed.any():
        return outside
    steps = [max(1, round(FOLD_MM / s)) for s in spacing_mm]
    box = tuple(
        slice(max(0, int(hits.min()) - reach), int(hits.max()) + reach + 1)
        for hits, reach in zip(np.nonzero(enclosed), steps, strict=True)
    )
    reached = dilate(outside[box], "cross", axes=ALL_AXES, steps=max(steps), within=~body[box])
    result = outside.copy()
    result[box] |= reached
    return result


MUSCLE_HU: Final = -29  # Block means above this are muscle, other soft tissue or mineral in it; below it fat
CLOSING_BLOCKS: Final = 5  # Fat in gaps between muscles up to twice this many blocks (about 30 mm) wide is deep
NECK_BLOCKS: Final = 2  # Twice so many blocks wide, a bridge to the muscles makes no muscle of a mass in the fat
MIN_CORE_BLOCKS: Final = 60  # Smaller cores are crumbs of a muscle, not lumps
MIN_CONTACT: Final = 0.4  # Muscles touch each other over more of their surface; a mass in the fat does not
MIN_SHARE: Final = 0.15  # A soft-tissue part without bone counts as muscle only with this share of the largest part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Envelope:
    """The closed muscle envelope on the coarse grid."""

    mask: Mask
    """Coarse shape; true beneath the investing fascia."""
    is_reliable: bool
    """False where too little muscle or fat is seen to tell the layers apart."""


def find_envelope(coarse: CoarseVolume, body: Body, bone: Mask) -> Envelope:
    """Muscle around bone (coarse shape, with marrow), closed and filled slice by slice."""
    # Skin is one block thick at most; what the picture's side cuts is not skin.
    inner = erode(body.mask, "cross", beyond=1)
    soft = inner & (coarse.hu > MUSCLE_HU) & ~bone
    # Vessels, septa and the last of the skin are thinner than muscle.
    muscle = open_planes(soft, "square")
    labels, count = label(muscle | bone)
    if count == 0:
        return Envelope(mask=np.zeros_like(body.mask), is_reliable=False)
    sizes = np.bincount(labels.ravel())
    keep = sizes >= MIN_SHARE * sizes[1:].max()
    keep[labels[bone]] = True
    kept = _without_islands(chosen(labels, keep), bone)
    closed = close_planes(kept, "cross", steps=CLOSING_BLOCKS) & body.mask
    envelope = ~outside_planes(closed) & body.mask
    muscle_share = float(muscle.sum()) / max(int(body.mask.sum()), 1)
    return Envelope(mask=envelope, is_reliable=muscle_share > 0.05)


def _without_islands(kept: Mask, bone: Mask) -> Mask:
    """Drop lumps that hang on the muscles by a narrow neck and are surrounded by fat: masses, not muscle."""
    labels, count = label(erode(kept, "cross", axes=ALL_AXES, steps=NECK_BLOCKS, beyond=1))
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


def _contact(part: Mask, rest: Mask) -> float:
    """Share of a part's surface that lies against the rest."""
    surface = part & ~erode(part, "cross", axes=ALL_AXES, beyond=1)
    others = dilate(rest, "cross", axes=ALL_AXES, steps=2)
    return float((surface & others).sum()) / max(int(surface.sum()), 1)
