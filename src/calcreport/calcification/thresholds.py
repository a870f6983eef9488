"""Which Hounsfield limits a series gets, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.morphology import ALL_AXES, dilate, open_pairs
from calcreport.model.image import Acquisition, Contrast, CtVolume
from calcreport.model.report import Thresholds
from calcreport.settings import DetectionSettings

REFERENCE_KVP: Final = 120.0
"""The published limits are for 120 kVp."""

KVP_POINTS: Final = (70.0, 80.0, 100.0, 120.0, 140.0)
KVP_FACTORS: Final = (1.45, 1.30, 1.13, 1.0, 0.92)
"""How much brighter calcium is at a tube voltage than at 120 kVp: 147 HU replaces 130 HU at 100 kVp (Nakazato, J
Cardiovasc Comput Tomogr 2009); the other points follow the attenuation of hydroxyapatite over water."""

MUSCLE_HU: Final = 55.0
"""Typical muscle without contrast."""

NOISE_DEVIATIONS: Final = 2.75
"""One voxel in 300 of pure noise exceeds this: too few to touch each other and join."""

ENHANCED_HU: Final = (110, 450)
"""Range of enhanced lumen in block means: above muscle (at most 80), below bone."""

BONE_BLOCK_HU: Final = 200
BONE_CORE_HU: Final = 500
"""Blocks above the first that join one above the second are bone; 9 mm around it partial volume and streaks disturb."""

RAISED_HU: Final = 250.0
"""Growth limits from here on are raised above enhanced blood: what is fainter is seen in part or not at all."""

MIN_VESSEL_MM: Final = 30.0
MAX_VESSEL_MM2: Final = 700.0
"""Enhanced lumen is followed at least this far, and is no wider than an aorta of 30 mm."""

MIN_ENHANCED_SHARE: Final = 0.15
"""Vessels run through the scan: enhanced lumen 6 mm wide, away from bone, in at least this share of its slices (on
unenhanced low-dose scans of limb and pelvis at most 0.04)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenThresholds:
    """Limits and the words for the technique paragraph."""

    limits: Thresholds
    """HU."""
    reason: str
    """Why these."""
    notes: tuple[str, ...] = ()
    """What a reader must know about them."""


def shows_enhanced_vessels(volume: CtVolume, coarse: CoarseVolume, body: NDArray[np.bool_], noise_hu: float) -> bool:
    """Whether homogeneous lumen of enhanced density runs through the scan.

    Parameters
    ----------
    volume : CtVolume
        The series, HU.
    coarse : CoarseVolume
        Its coarse grid.
    body : NDArray[np.bool_]
        Coarse shape; true inside the body.
    noise_hu : float
        Noise, HU: lumen is as homogeneous as that, mineral is not.
    """
    low, high = ENHANCED_HU
    labels, count = ndimage.label(coarse.hu > BONE_BLOCK_HU)
    has_core = np.zeros(count + 1, dtype=np.bool_)
    has_core[labels[coarse.hu > BONE_CORE_HU]] = True
    bone = dilate(has_core[labels], "cross", axes=ALL_AXES, steps=3)
    enhanced = open_pairs(body & ~bone & (coarse.hu > low) & (coarse.hu < high))
    labels, _ = ndimage.label(enhanced)
    covered = np.zeros(coarse.hu.shape[0], dtype=bool)
    for n, box in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[box] == n
        length_mm = part.shape[0] * coarse.spacing_mm[0]
        area_mm2 = float(part.sum()) / part.shape[0] * coarse.spacing_mm[1] * coarse.spacing_mm[2]
        # Bowel and bladder are wider than any limb or pelvic vessel, and end sooner.
        if length_mm >= min(MIN_VESSEL_MM, 0.8 * len(covered) * coarse.spacing_mm[0]) and area_mm2 <= MAX_VESSEL_MM2:
            origin = [s.start for s in box]
            if any(_is_homogeneous(volume, coarse, block + origin, noise_hu) for block in np.argwhere(part)):
                covered[box[0]] = True
    return float(covered.mean()) >= MIN_ENHANCED_SHARE


def _is_homogeneous(volume: CtVolume, coarse: CoarseVolume, block: NDArray[np.int64], noise_hu: float) -> bool:
    """Whether the fine voxels of a block vary no more than noise makes them."""
    first = block * np.array(coarse.step)
    cell = volume.hu[first[0], first[1] : first[1] + coarse.step[1], first[2] : first[2] + coarse.step[2]]
    return float(cell.std()) <= 1.5 * noise_hu + 5.0


def choose_thresholds(
    acquisition: Acquisition,
    *,
    contrast: Contrast | None,
    noise_hu: float,
    settings: DetectionSettings,
    lumen_hu: float | None = None,
    is_enhanced: bool = False,
) -> ChosenThresholds:
    """Limits for a series: typed ones, else above the enhanced blood in it, else by contrast phase and tube voltage.

    Parameters
    ----------
    acquisition : Acquisition
        Header: contrast and kVp.
    contrast : Contrast | None
        The clinician's word, which overrides the header; ``None`` or unknown leaves the header's.
    lumen_hu : float | None
        Upper value of the enhanced blood measured in the images, HU; ``None`` where none was seen. It says more than
        any word on the phase: the same phase has 150 HU in one patient and 500 HU in another.
    is_enhanced : bool
        Whether `shows_enhanced_vessels` sees them where nothing was measured; decides only where contrast or its phase
        is not known.
    noise_hu : float
        Noise, HU; growth stays `NOISE_DEVIATIONS` of it above muscle, or noise would join into lesions.
    settings : DetectionSettings
        Limits for 120 kVp.

    Notes
    -----
    Non-contrast 130 HU as in the Agatston score with a 200 HU seed; venous phase 300 HU, arterial phase 800 HU
    (fixed limits agreed best with non-contrast scores).
    """
    known = contrast is not None and contrast is not Contrast.UNKNOWN
    phase = contrast if contrast is not None and known else acquisition.contrast
    grow, seed, reason, notes = _by_phase(
        phase, "clinician" if known else "header", settings, lumen_hu=lumen_hu, is_enhanced=is_enhanced
    )
    if acquisition.kvp is None:
        notes = (*notes, "Tube voltage not recorded; thresholds for 120 kVp were used.")
    elif acquisition.kvp != REFERENCE_KVP:
        factor = float(np.interp(acquisition.kvp, KVP_POINTS, KVP_FACTORS))
        grow, seed = grow * factor, seed * factor
        # What is measured in the images needs no adjustment.
        reason += f", adjusted for {acquisition.kvp:g} kVp" if lumen_hu is None else ""
    if lumen_hu is not None:
        above = float(np.ceil(lumen_hu + NOISE_DEVIATIONS * noise_hu))
        grow, seed = max(grow, above), max(seed, above)
    floor = MUSCLE_HU + NOISE_DEVIATIONS * noise_hu
    if floor > grow:
        grow, seed = floor, max(seed, floor)
        reason += ", raised for image noise"
        notes = (*notes, "Noisy images: the growth threshold was raised; faint calcification may be missed.")
    if settings.grow_hu is not None or settings.seed_hu is not None:
        grow = settings.grow_hu if settings.grow_hu is not None else grow
        seed = settings.seed_hu if settings.seed_hu is not None else max(seed, grow)
        reason = "typed by the user"
    return ChosenThresholds(limits=Thresholds(grow=grow, seed=max(seed, grow)), reason=reason, notes=notes)


def _by_phase(
    phase: Contrast, source: str, settings: DetectionSettings, *, lumen_hu: float | None, is_enhanced: bool
) -> tuple[float, float, str, tuple[str, ...]]:
    """Growth limit, seed, reason and notes for a contrast phase at 120 kVp, without what blood measured adds."""
    told = {
        Contrast.NONE: f"non-contrast ({source})",
        Contrast.VENOUS: f"venous contrast phase ({source})",
        Contrast.ARTERIAL: f"arterial contrast phase ({source})",
        Contrast.GIVEN: "contrast given, phase not recorded",
        Contrast.UNKNOWN: "contrast status unknown",
    }[phase]
    limits = (settings.grow_none_hu, settings.seed_none_hu)
    if lumen_hu is not None:
        reason = f"{told}, above enhanced blood measured at {round(lumen_hu)} HU"
        return *limits, reason, ("Contrast study: calcification fainter than the raised threshold may be missed.",)
    if phase is Contrast.NONE:
        return *limits, told, ()
    if phase in {Contrast.VENOUS, Contrast.ARTERIAL}:
        fixed = settings.venous_hu if phase is Contrast.VENOUS else settings.arterial_hu
        return fixed, fixed, told, ("Contrast study: calcification fainter than the raised threshold may be missed.",)
    if is_enhanced:
        missed = (f"{told.capitalize()}; faint calcification may be missed.",)
        return settings.unknown_hu, settings.unknown_hu, f"{told}, enhanced vessels seen", missed
    note = f"{told.capitalize()}; thresholds for non-contrast CT were used because no enhanced vessels were seen."
    return *limits, f"{told}, enhanced vessels not seen", (note,)
