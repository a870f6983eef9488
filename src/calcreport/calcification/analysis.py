"""The whole image analysis of one CT series, and which Hounsfield limits it gets, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from calcreport.anatomy.body import find_body, find_envelope
from calcreport.anatomy.body_map import find_body_map
from calcreport.anatomy.bone_map import MUSCLE_HU, find_bone_map
from calcreport.anatomy.coarse import coarsen, volume_noise_hu
from calcreport.anatomy.components import find_components, find_runs
from calcreport.calcification.depth import prepare_layers, without_lumps
from calcreport.calcification.detect import detect, list_excluded
from calcreport.calcification.foci import Focus, lies_in_contour
from calcreport.calcification.group import Ground, group_foci
from calcreport.calcification.inner import MOST_IN_CAVITY, FeltMass, list_incidental, sort_by_labels, sort_inner
from calcreport.calcification.lesion import Measurer
from calcreport.calcification.patterns.pattern import REGIONS
from calcreport.calcification.reject import BRIGHT_RIM
from calcreport.calcification.scene import BULGE_MM, Scene
from calcreport.calcification.skin import find_skin
from calcreport.model.anatomy_labels import AnatomyLabels
from calcreport.model.image import Acquisition, Contrast, CtVolume
from calcreport.model.incidental import (
    LUMEN_IMPLAUSIBLE,
    LUMEN_UNMEASURED,
    SHARP_KERNEL,
    SKELETON_IMPLAUSIBLE,
    Doubt,
    IncidentalFinding,
)
from calcreport.model.lesion import CtFindings, LesionContour, MeasuredLesion
from calcreport.model.report import Thresholds
from calcreport.processes.threads import map_in_threads
from calcreport.settings import DetectionSettings

# Note where metal is in the field of view.
NEAR_METAL: Final = "Metal in the field of view: faint calcification near it cannot be told from streaks."
AT_RIM: Final = "The field of view cuts the body: faint calcification at its rim cannot be told from artefact."
IN_JOINTS: Final = "Joint calcification that touches bone was not searched for."
JOINTS: Final = (*REGIONS["by_joint"], "HIP", "SHOULDER")  # where it says so; a hand or foot may show no region


def analyse_ct(  # noqa: PLR0913 - everything that an analysis rests on
    volume: CtVolume,
    acquisition: Acquisition,
    *,
    settings: DetectionSettings,
    contrast: Contrast | None = None,
    contours: tuple[LesionContour, ...] = (),
    labels: AnatomyLabels | None = None,
    mass: FeltMass | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> CtFindings:
    """Find, group and measure soft-tissue calcification on one CT series.

    `volume`: hounsfield units with geometry; `acquisition`: kVp and contrast choose the thresholds; `settings`: limits;
    typed thresholds override everything; `contrast`: the clinician's word on contrast; overrides the header when given;
    `contours`: contours of whole lesions; each becomes one lesion; `labels`: masks of another program, hints on what is
    bone, organ or vessel; `mass`: what the clinician felt; `on_progress` receives the name of each step. Gives lesions,
    largest first, and what was excluded.
    """
    tell = on_progress or (lambda _: None)
    with ThreadPoolExecutor(1) as beside:
        tell("anatomy")
        noise = beside.submit(volume_noise_hu, volume.hu)
        projection = beside.submit(volume.hu.max, 1)
        coarse = coarsen(volume)
        body = find_body(coarse)
        skin = beside.submit(find_skin, volume, coarse, body)
        noise_hu = noise.result()
        bones = find_bone_map(volume, coarse, body, noise_hu)
        chosen = choose_thresholds(
            acquisition, contrast=contrast, lumen_hu=bones.lumen_hu, noise_hu=noise_hu, settings=settings
        )
        tell("detection")
        territory = bones.on_coarse(coarse)
        places = beside.submit(find_body_map, coarse, body, territory, volume.geometry)
        components = find_components(volume.hu, find_runs(volume.hu, int(np.ceil(chosen.limits.grow))))
        scene = Scene(
            volume=volume, coarse=coarse, body=body, bones=bones, noise_hu=noise_hu, limits=chosen.limits,
            places=places.result(), components=components,
        )  # fmt: skip
        # Typed limits hold as they are.
        is_typed = settings.grow_hu is not None or settings.seed_hu is not None
        thin_seed_hu = None if is_typed else chosen.limits.grow
        detection = detect(scene, min_volume_mm3=settings.min_volume_mm3, thin_seed_hu=thin_seed_hu, contours=contours)
        is_claimed = partial(lies_in_contour, detection.components, contours)
        named: tuple[IncidentalFinding, ...] = ()
        if labels is not None:
            detection, named = sort_by_labels(detection, labels, volume.geometry, is_claimed)
        detection, unsure = sort_inner(scene, detection, is_claimed, mass)
        deposits = [detection.components.indices(f.component) for f in detection.foci]
        envelope = without_lumps(find_envelope(coarse, body, territory), volume, coarse, deposits)
        layers = prepare_layers(body, envelope, skin.result())
    unnamed, crowded = list_incidental(scene, detection, is_claimed, is_sharp=has_lung_kernel(acquisition))
    tell("measurement")
    measurer = Measurer(
        volume=volume, acquisition=acquisition, layers=layers, body_map=scene.places, detection=detection,
        noise_hu=noise_hu, limits=chosen.limits, settings=settings,
    )  # fmt: skip
    lesions = [measurer.contour(contour) for contour in contours]
    foci = tuple(f for f in detection.foci if not is_claimed(f))
    ground = Ground(components=detection.components, coarse=coarse, geometry=volume.geometry, deep=envelope.mask)
    # Edges and vessels that a kernel for lung sharpens line up by chance.
    weak = () if has_lung_kernel(acquisition) else detection.weak
    groups = group_foci(foci, weak, ground, distance_mm=settings.group_distance_mm)
    lesions += map_in_threads(measurer.group, groups)
    lesions.sort(key=_longest_mm, reverse=True)
    place = " ".join((acquisition.body_part or "", *scene.places.regions)).upper()
    blind = {NEAR_METAL: detection.has_metal, AT_RIM: any(one.detail == BRIGHT_RIM for one in detection.rejected),
             IN_JOINTS: not place.strip() or any(joint in place for joint in JOINTS)}  # fmt: skip
    return CtFindings(
        lesions=tuple(lesions),
        excluded=list_excluded(detection, volume),
        incidental=(*named, *unnamed),
        doubts=(*failed_checks(scene, replace(acquisition, contrast=phase_of(acquisition, contrast)), foci), *crowded),
        thresholds=chosen.limits,
        threshold_reason=chosen.reason,
        noise_hu=noise_hu,
        notes=(*chosen.notes, *(note for note, holds in blind.items() if holds), *unsure),
        maximum_intensity_hu=projection.result(),
        regions=scene.places.regions,
    )


def _longest_mm(lesion: MeasuredLesion) -> float:
    return max(lesion.mass.max_diameter_mm or 0.0, lesion.size.max_diameter_mm or 0.0)


LUNG_KERNEL: Final = re.compile(r"LUNG|^BL\d\d|^B[789]\d|^FC8\d", re.IGNORECASE)
"""Names of kernels for lung: GE; Siemens from the second and the first generation of names; Canon. Their edges
overshoot by hundreds of HU."""


def has_lung_kernel(acquisition: Acquisition) -> bool:
    """Whether the header names a kernel for lung."""
    return LUNG_KERNEL.search(acquisition.kernel or "") is not None


def failed_checks(scene: Scene, acquisition: Acquisition, foci: Iterable[Focus]) -> tuple[Doubt, ...]:
    """Doubts about bones, enhanced blood and the kernel of a series; dozens of `foci` along the ribs are ribs."""
    # Fused mineral and implants are parts of bones, which the scene counts whole.
    own = (f.component for f in foci if f.component < scene.components.count)
    at_ribs = sum(scene.is_near(component, scene.places.cage, BULGE_MM) for component in own)
    failed = {
        SKELETON_IMPLAUSIBLE: scene.bones.doubt is not None or at_ribs > MOST_IN_CAVITY,
        LUMEN_IMPLAUSIBLE: acquisition.contrast is Contrast.NONE and scene.bones.lumen_hu is not None,
        LUMEN_UNMEASURED: acquisition.contrast is Contrast.ARTERIAL and scene.bones.lumen_hu is None,
        SHARP_KERNEL: has_lung_kernel(acquisition),
    }
    return tuple(doubt for doubt, has_failed in failed.items() if has_failed)


REFERENCE_KVP: Final = 120.0  # The published limits are for 120 kVp
KVP_POINTS: Final = (70.0, 80.0, 100.0, 120.0, 140.0)  # tube voltages of the factors below
KVP_FACTORS: Final = (1.45, 1.30, 1.13, 1.0, 0.92)
"""How much brighter calcium is at a tube voltage than at 120 kVp: 147 HU replaces 130 HU at 100 kVp (Nakazato, J
Cardiovasc Comput Tomogr 2009); the other points follow the attenuation of hydroxyapatite over water."""
NOISE_DEVIATIONS: Final = 2.75  # One voxel in 300 of pure noise exceeds this: too few to touch each other and join


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
    is_told = contrast not in {None, Contrast.UNKNOWN}
    phase = phase_of(acquisition, contrast)
    grow, seed, reason, notes = _by_phase(phase, "clinician" if is_told else "header", settings, lumen_hu=lumen_hu)
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
        notes = (*notes, "Noisy images: faint calcification may be missed.")
    if settings.grow_hu is not None or settings.seed_hu is not None:
        grow = settings.grow_hu if settings.grow_hu is not None else grow
        seed = settings.seed_hu if settings.seed_hu is not None else max(seed, grow)
        reason = "typed by the user"
    return ChosenThresholds(limits=Thresholds(grow=grow, seed=max(seed, grow)), reason=reason, notes=notes)


def phase_of(acquisition: Acquisition, contrast: Contrast | None) -> Contrast:
    """The clinician's word on contrast, or where there is none that of the header."""
    return acquisition.contrast if contrast is None or contrast is Contrast.UNKNOWN else contrast


def _by_phase(
    phase: Contrast, source: str, settings: DetectionSettings, *, lumen_hu: float | None
) -> tuple[float, float, str, tuple[str, ...]]:
    """Growth limit, seed, reason and notes for a contrast phase at 120 kVp, without what blood measured adds."""
    words = {
        Contrast.NONE: f"non-contrast ({source})",
        Contrast.VENOUS: f"venous contrast phase ({source})",
        Contrast.ARTERIAL: f"arterial contrast phase ({source})",
        Contrast.GIVEN: "contrast given, phase not recorded",
        Contrast.UNKNOWN: "contrast status unknown",
    }[phase]
    limits = (settings.grow_none_hu, settings.seed_none_hu)
    if lumen_hu is not None:
        reason = f"{words}, above enhanced blood measured at {round(lumen_hu)} HU"
        return *limits, reason, ("Contrast study: calcification fainter than the raised threshold may be missed.",)
    if phase is Contrast.NONE:
        return *limits, words, ()
    if phase is Contrast.UNKNOWN:
        return *limits, f"{words}, enhanced vessels not seen", ()
    typed = {Contrast.VENOUS: settings.venous_hu, Contrast.ARTERIAL: settings.arterial_hu}
    fixed = typed.get(phase, settings.unknown_hu)
    return fixed, fixed, words, ("Contrast study: calcification fainter than the raised threshold may be missed.",)
