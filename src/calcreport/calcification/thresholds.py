"""Which Hounsfield limits a series gets, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from calcreport.anatomy.bone_map import MUSCLE_HU
from calcreport.model.image import Acquisition, Contrast
from calcreport.model.report import Thresholds
from calcreport.settings import DetectionSettings

REFERENCE_KVP: Final = 120.0
"""The published limits are for 120 kVp."""

KVP_POINTS: Final = (70.0, 80.0, 100.0, 120.0, 140.0)
KVP_FACTORS: Final = (1.45, 1.30, 1.13, 1.0, 0.92)
"""How much brighter calcium is at a tube voltage than at 120 kVp: 147 HU replaces 130 HU at 100 kVp (Nakazato, J
Cardiovasc Comput Tomogr 2009); the other points follow the attenuation of hydroxyapatite over water."""

NOISE_DEVIATIONS: Final = 2.75
"""One voxel in 300 of pure noise exceeds this: too few to touch each other and join."""

RAISED_HU: Final = 250.0
"""Growth limits from here on are raised above enhanced blood: what is fainter is seen in part or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenThresholds:
    """Limits and the words for the technique paragraph."""

    limits: Thresholds
    """HU."""
    reason: str
    """Why these."""
    notes: tuple[str, ...] = ()
    """What a reader must know about them."""


def choose_thresholds(
    acquisition: Acquisition,
    *,
    contrast: Contrast | None,
    noise_hu: float,
    settings: DetectionSettings,
    lumen_hu: float | None = None,
) -> ChosenThresholds:
    """Limits for a series: typed ones, else above the enhanced blood in it, else by contrast phase and tube voltage.

    `acquisition`: header: contrast and kVp; `contrast`: the clinician's word, which overrides the header; ``None`` or
    unknown leaves the header's; `lumen_hu`: upper value of the enhanced blood measured in the images, HU; ``None``
    where none was seen. It says more than any word on the phase: the same phase has 150 HU in one patient and 500 HU in
    another; `noise_hu`: noise, HU; growth stays `NOISE_DEVIATIONS` of it above muscle, or noise would join into
    lesions; `settings`: limits for 120 kVp. Non-contrast 130 HU as in the Agatston score with a 200 HU seed; venous
    phase 300 HU, arterial phase 800 HU (fixed limits agreed best with non-contrast scores).
    """
    known = contrast is not None and contrast is not Contrast.UNKNOWN
    phase = contrast if contrast is not None and known else acquisition.contrast
    grow, seed, reason, notes = _by_phase(phase, "clinician" if known else "header", settings, lumen_hu=lumen_hu)
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
    phase: Contrast, source: str, settings: DetectionSettings, *, lumen_hu: float | None
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
    if phase is Contrast.GIVEN:
        missed = f"{told.capitalize()}; faint calcification may be missed."
        return settings.unknown_hu, settings.unknown_hu, told, (missed,)
    note = f"{told.capitalize()}; thresholds for non-contrast CT were used because no enhanced vessels were seen."
    return *limits, f"{told}, enhanced vessels not seen", (note,)
