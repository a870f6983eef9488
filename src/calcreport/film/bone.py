"""Bone in projection: wide dense structures with sharp outlines, and what they enclose."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.film.exposure import Exposure
from calcreport.film.reduced import (
    EIGHT,
    Floats,
    Mask,
    ReducedFilm,
    chosen,
    enlarge_mask,
    grown,
    open_square,
    parts_reaching,
    shrunk,
)

_PIXEL_MM: Final = 0.8  # Bone is large: it is sought at pixels of about this size
_SHAFT_MM: Final = 22.0
"""Half the width of the structures taken off to see shafts: the shaft of a femur is some 35 mm wide, enlarged 40."""
_CAST_MM: Final = 14.0  # A cast lies within this of where the body seems to end; it must not pass for the densest bone
_DENSE_SHARE: Final = 0.4
"""Bone stands out by at least this share of what the strongest bone of the film stands out by ..."""
_CORE_SHARE: Final = 0.5  # of the contrast of the strongest bone; see `_CORE_PART`
_CORE_PART: Final = 0.2
"""... and on `_CORE_PART` of its area by `_CORE_SHARE`: a band of muscle with a deposit in it is no bone."""
_BRIGHT_SHARE: Final = 0.05
"""Within a wide bone grey lies above that of soft tissue at that depth by at least this share."""
_MARROW_SHARE: Final = 0.6  # Marrow enclosed by a cortex does by at least this; what lies between two bones does not
_RISE_SHARE: Final = 0.25
"""Bone rises from the film itself too, by this share of what it stands out by once the curve of soft tissue is off: a
film on which fat is thicker on one side has bands along the skin that do not."""
_THIN_SHARE: Final = 0.18  # A thin shaft stands out by this share of the strongest bone ...
_THIN_TOP: Final = 0.42  # ... and on a tenth of its area by this; bands of muscle do so by a third at most
_THIN_MM: Final = (4.0, 14.0)  # Its mean width; bands of muscle that stand out as much are wider
_THROUGH: Final = 0.8  # share of the length of the limb it runs along
_LEAST_CONTRAST: Final = 0.04  # Bone stands out by at least this share of the film's range
_EDGE_SIGMA_MM: Final = 0.8  # Gaussian before edges are sought
_SKIN_MM: Final = 3.0  # So near to the skin line every edge is the skin's
_STRONG_SHARE: Final = 0.5  # Edges from this share of the steepest bone edges on tell which side is bone
_EMBRACE: Final = 0.14
"""... of a part that bone embraces on this share of its outline: a mass beside a bone is no part of it."""
_TELLING_MM: Final = 30.0  # An edge tells nothing about what lies farther away
_FILL_MM: Final = 3.0  # gaps in a bone that are closed
_LEAST_MM2: Final = 400.0  # Smaller dense parts that do not reach the end of the body are no bone by themselves ..
_SMALL_BONE_MM2: Final = 40.0  # a phalanx; see `_MANY_BONES`
_MANY_BONES: Final = 8  # ... except on a film of so many dense parts of at least `_SMALL_BONE_MM2`: a hand or a foot
_BUMP_MM: Final = 9.0  # width of structures on a shaft that are not bone
_SHORT_MM: Final = 18.0  # What is narrower than `_BUMP_MM` and shorter than this is no long bone
_JOINT_MM: Final = 6.0  # A joint space is no wider: dense parts beyond one belong to the skeleton ..
_FACING: Final = 0.25  # ... where this share of their outline faces it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bones:
    """Bone on a plate."""

    is_bone: Mask
    """Shape of the plate; bone and what it encloses."""
    contrast: float
    """What bone stands out by, in grey; 0 where the film shows none."""


def find_bones(reduced: ReducedFilm, exposure: Exposure) -> Bones:
    """Find bone: dense against the surroundings at the width of a shaft, or enclosed by the edges of such parts."""
    factor = max(1, round(_PIXEL_MM / reduced.pixel_mm))
    coarse = _find(reduced.reduced(factor), exposure.reduced(factor))
    return Bones(is_bone=enlarge_mask(coarse.is_bone, factor, reduced.grey.shape), contrast=coarse.contrast)


def _find(reduced: ReducedFilm, exposure: Exposure) -> Bones:
    smooth = reduced.smoothed(_EDGE_SIGMA_MM)
    flat = smooth - soft_tissue(reduced, exposure, smooth)
    lifted = flat - open_square(flat, reduced.pixels(_SHAFT_MM))
    body = exposure.is_body & exposure.is_exposed
    inner = shrunk(body, reduced.pixels(_SKIN_MM), is_set_beyond=True)
    deep = shrunk(body, reduced.pixels(_CAST_MM), is_set_beyond=True)
    values = lifted[deep] if deep.sum() > 0.2 * inner.sum() else lifted[inner]
    contrast = float(np.percentile(values[:: max(1, values.size // 200_000)], 97)) if values.size else 0.0
    if contrast < _LEAST_CONTRAST * exposure.span:
        return Bones(is_bone=np.zeros(body.shape, dtype=bool), contrast=0.0)
    dense = body & (lifted > _DENSE_SHARE * contrast)
    if exposure.has_skin_line:
        dense = _rising(smooth - open_square(smooth, reduced.pixels(_SHAFT_MM)), lifted, dense)
    cores = dense & (lifted > _CORE_SHARE * contrast)
    seeded = _skeleton_of(reduced, exposure, dense, cores)
    seeded |= _thin_shafts(reduced, body, lifted / np.float32(contrast), seeded)
    bright = inner & (flat > _BRIGHT_SHARE * contrast) if exposure.has_skin_line else inner
    whole = seeded | _embraced(_bright_sides(reduced, smooth, inner, seeded) & bright & ~seeded, seeded)
    whole = _closed(whole, reduced.pixels(_FILL_MM)) & body
    marrow = inner & (flat > _MARROW_SHARE * contrast) if exposure.has_skin_line else inner
    whole |= _embraced(_fill(reduced, whole) & body & marrow & ~whole, whole)
    return Bones(is_bone=_without_bumps(reduced, whole), contrast=contrast)


def _rising(risen: Floats, lifted: Floats, dense: Mask) -> Mask:
    """Dense parts that rise from the film itself, and not only from the curve taken off it."""
    labels, count = ndimage.label(dense, structure=EIGHT)
    own, whole = (np.bincount(labels[dense], weights=one[dense], minlength=count + 1) for one in (risen, lifted))
    return chosen(labels, own > _RISE_SHARE * whole)


def _skeleton_of(reduced: ReducedFilm, exposure: Exposure, dense: Mask, cores: Mask) -> Mask:
    """Dense parts that are bone: they leave the field, are large, or lie beyond a joint space of one that is."""
    labels, count = ndimage.label(dense, structure=EIGHT)
    if not count:
        return dense
    areas = np.bincount(labels.ravel(), minlength=count + 1) * reduced.pixel_mm**2
    core_areas = np.bincount(labels[cores], minlength=count + 1) * reduced.pixel_mm**2
    end = ~shrunk(exposure.is_exposed, reduced.pixels(2.0))
    leaves = np.bincount(labels[end & dense], minlength=count + 1) > 0
    is_hand_or_foot = ((core_areas > 0) & (areas > _SMALL_BONE_MM2)).sum() >= _MANY_BONES
    large = areas > (_SMALL_BONE_MM2 if is_hand_or_foot else _LEAST_MM2)
    candidates = large & (core_areas > _CORE_PART * areas)
    candidates[0] = False
    is_bone = candidates & leaves
    reach = reduced.pixels(_JOINT_MM)
    outline = dense & ~shrunk(dense, 1)
    lengths = np.bincount(labels[outline], minlength=count + 1)
    while True:
        near = ndimage.maximum_filter(is_bone[labels], size=2 * reach + 1)
        is_joined = np.bincount(labels[near & outline], minlength=count + 1) > _FACING * lengths
        more = is_bone | (is_joined & candidates)
        if (more == is_bone).all():
            return np.asarray(is_bone[labels])
        is_bone = more


def _thin_shafts(reduced: ReducedFilm, body: Mask, share: Floats, seeded: Mask) -> Mask:
    """Fibula or ulna: bands along the whole limb, thinner than muscle; `share` is that of the strongest bone."""
    labels, _count = ndimage.label(body & (share > _THIN_SHARE) & ~grown(seeded, 2), structure=EIGHT)
    length = np.flatnonzero(body.any(axis=1)).size
    found = np.zeros_like(body)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        band, height = labels[rows, columns] == number, rows.stop - rows.start
        is_thin = _THIN_MM[0] < band.sum() / height * reduced.pixel_mm < _THIN_MM[1]
        if height > _THROUGH * length and is_thin:
            found[rows, columns] |= band & (np.percentile(share[rows, columns][band], 90) > _THIN_TOP)
    return found


def _bright_sides(reduced: ReducedFilm, smooth: Floats, inner: Mask, seeded: Mask) -> Mask:
    """Pixels on the bright side of the nearest strong edge, where that edge belongs to bone.

    A wide bone, such as the condyles of a femur, is taken for background by a filter as narrow as a shaft; its outline
    still tells on which side the bone lies.
    """
    if not seeded.any():
        return seeded
    along_rows, along_columns = (
        ndimage.sobel(smooth, axis=axis, mode="nearest") * np.float32(0.125) for axis in (0, 1)
    )
    steepness = np.hypot(along_rows, along_columns)
    outline = grown(seeded, 1) & ~shrunk(seeded, 1) & inner
    if not outline.any():
        return seeded
    strong = inner & (steepness > _STRONG_SHARE * float(np.percentile(steepness[outline], 75)))
    # One line along each edge: pixels no less steep than most around them.
    strong &= steepness >= ndimage.percentile_filter(steepness, 70, size=5)
    if not strong.any():
        return seeded
    distance, (i, j) = ndimage.distance_transform_edt(~strong, return_indices=True)
    rows, columns = np.indices(strong.shape, sparse=True)
    side = (rows - i) * along_rows[i, j] + (columns - j) * along_columns[i, j]
    bright = inner & (side >= 0) & (distance <= reduced.pixels(_TELLING_MM))
    bright = ndimage.median_filter(bright.view(np.uint8), size=2 * reduced.pixels(1.5) + 1).view(bool)
    return parts_reaching(bright, seeded)


def _embraced(added: Mask, seeded: Mask) -> Mask:
    """Parts that bone embraces on a good share of their outline: the inside of a wide bone, no mass beside one."""
    labels, count = ndimage.label(added, structure=EIGHT)
    outline = added & ~shrunk(added, 1, is_set_beyond=True)
    lengths = np.bincount(labels[outline], minlength=count + 1)
    shared = np.bincount(labels[outline & grown(seeded, 1)], minlength=count + 1)
    return chosen(labels, shared > _EMBRACE * np.maximum(lengths, 1))


def _without_bumps(reduced: ReducedFilm, whole: Mask) -> Mask:
    """Bone without the small narrow things that sit on it: a deposit beside a shaft joins the shaft in projection."""
    reach = reduced.pixels(_BUMP_MM / 2)
    padded = np.pad(whole, 2 * reach, mode="edge")
    opened = grown(shrunk(padded, reach), reach)[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    # a square takes the corners of bones off too; what lies within two pixels of the rest belongs to it
    stout = whole & grown(opened, 2)
    labels, _count = ndimage.label(whole & ~stout, structure=EIGHT)
    kept = whole.copy()
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if max(s.stop - s.start for s in box) < reduced.pixels(_SHORT_MM):
            kept[box] &= labels[box] != number
    return kept


def _closed(mask: Mask, pixels: int) -> Mask:
    """Mask with gaps of up to twice as many pixels bridged; beyond the film it goes on as it ends."""
    wide = np.pad(mask, pixels, mode="edge")
    return shrunk(grown(wide, pixels), pixels, is_set_beyond=True)[pixels:-pixels, pixels:-pixels]


def _fill(reduced: ReducedFilm, mask: Mask) -> Mask:
    """Mask with its holes filled, and gaps of marrow that the end of the film leaves open."""
    padded = np.pad(mask, 1, mode="edge")
    for edge in (padded[0], padded[-1], padded[:, 0], padded[:, -1]):
        for low, high in pairwise(np.flatnonzero(edge)):
            edge[low:high] |= high - low <= reduced.pixels(2 * _SHAFT_MM)
    return np.asarray(ndimage.binary_fill_holes(padded)[1:-1, 1:-1])


_LAYER_MM: Final = 2.0  # thickness of a layer beneath the skin
_LAYERS: Final = 80  # to 160 mm
_STRETCH_MM: Final = 50.0  # length of limb that shares a curve
_LOW_PERCENT: Final = 25  # percentile: deposits and bone are brighter
_FAT_MM: Final = 14.0  # So near to the skin line fat gives way to muscle, and grey may rise ever faster


def soft_tissue(reduced: ReducedFilm, exposure: Exposure, smooth: Floats) -> Floats:
    """Grey of soft tissue alone as far as it follows from the distance to the skin, shape of the plate.

    A limb is thickest in its middle. At one distance from the skin line most of what is brighter is bone, so that a low
    percentile there, in a stretch of the limb, is soft tissue. Zero where the film shows no skin line.
    """
    if not exposure.has_skin_line:
        return np.zeros(smooth.shape, dtype=np.float32)
    depth = ndimage.distance_transform_edt(~exposure.is_air) * reduced.pixel_mm
    bins = np.minimum(depth / _LAYER_MM, _LAYERS - 1).astype(np.intp)
    # a curve holds from the middle of one layer to the middle of the next
    within = np.clip(depth / _LAYER_MM - 0.5, 0, _LAYERS - 1.001)
    layer = within.astype(np.intp)
    part = (within - layer).astype(np.float32)
    body = exposure.is_body & exposure.is_exposed
    band = max(1, reduced.pixels(_STRETCH_MM))
    starts = range(0, smooth.shape[0], band)
    curves = np.array(
        [_low_curve(smooth[i : i + 2 * band], bins[i : i + 2 * band], body[i : i + 2 * band]) for i in starts]
    )
    place = np.clip((np.arange(smooth.shape[0]) - band) / band, 0, len(curves) - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, len(curves) - 1)
    share = (place - low).astype(np.float32)[:, None]
    model = (1 - part) * _at(curves, low, high, share, layer) + part * _at(curves, low, high, share, layer + 1)
    return np.asarray(np.where(body, model, 0), dtype=np.float32)


def _at(
    curves: NDArray[np.float64], low: NDArray[np.intp], high: NDArray[np.intp], share: Floats, layer: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Grey of a layer, between the curves of two stretches of the limb."""
    return np.asarray((1 - share) * curves[low[:, None], layer] + share * curves[high[:, None], layer])


def _low_curve(grey: Floats, bins: NDArray[np.intp], body: Mask) -> NDArray[np.float64]:
    """Low percentile of the grey in each layer beneath the skin, never falling with depth, shape ``(layers,)``."""
    order = np.argsort(bins[body], kind="stable")
    values, keys = grey[body][order], bins[body][order]
    edges = np.searchsorted(keys, np.arange(_LAYERS + 1))
    curve = np.full(_LAYERS, np.nan)
    for layer in range(_LAYERS):
        part = values[edges[layer] : edges[layer + 1]]
        if part.size > 20:
            curve[layer] = np.percentile(part[:: max(1, part.size // 500)], _LOW_PERCENT)
    known = np.flatnonzero(np.isfinite(curve))
    if not known.size:
        return np.zeros(_LAYERS)
    filled = ndimage.gaussian_filter1d(np.interp(np.arange(_LAYERS), known, curve[known]), 1.5, mode="nearest")
    rise = np.maximum(np.diff(filled), 0)
    # A round limb thickens ever more slowly with depth; where grey rises faster again, bone has begun.
    start = int(_FAT_MM / _LAYER_MM)
    rise[start:] = np.minimum.accumulate(rise[start:])
    return np.concatenate((filled[:1], filled[0] + np.cumsum(rise)))
