"""Measurement of the CT series of a study: contrast, the lesions of all series together, and their pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from calcreport.compose.lesions import key_image_name, list_incidental, overview_name
from calcreport.compose.technique import Imaging
from calcreport.dicom import SeriesFiles, StudyFiles
from calcreport.dicom.coverage import Box, are_comparable
from calcreport.model.clinical import Clinical
from calcreport.model.image import Contrast, CtVolume
from calcreport.model.incidental import IncidentalFinding
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.overlay import EarlierSlice
from calcreport.model.report import Excluded, Point, Report, Searched
from calcreport.model.terms import YesNo
from calcreport.rules.regions import are_apart, name_areas
from calcreport.study.findings import findings_for_rules
from calcreport.study.request import MeasuredStudy, Pictures, ReportEvidence, Request
from calcreport.study.series import CtPart, CtReading
from calcreport.text.statements import Statements
from calcreport.text.technique import limit_searched, name_series
from calcreport.text.wording import capitalise, name_body_part

if TYPE_CHECKING:
    from calcreport.calcification.inner import FeltMass

_FILM: Final = "series.radiograph_beside_ct"  # code of films left unanalysed beside CT
_OVER_MASS_MM: Final = 30.0  # skin, fat and muscle over a mass that can be felt
_TYPICAL_MASS_MM: Final = 50.0  # of a mass that was not measured: the size from which guidelines refer
_RIM_MM: Final = 5.0  # nearer than this to the end of a series a lesion may be cut; the next may show the rest of it


def measure_ct(
    study: StudyFiles, reading: CtReading, request: Request, on_step: Callable[[str], None]
) -> MeasuredStudy:
    """Measure the CT series of a study; `on_step` receives the name of each step."""
    parts = reading.parts
    imaging = tuple(_imaging(part, request) for part in parts)
    each = [_analyse(part, made, request, on_step) for part, made in zip(parts, imaging, strict=True)]
    findings = join_findings(parts, each, request.templates.statements)
    volumes, projections = tuple(part.ct.volume for part in parts), [one.maximum_intensity_hu for one in each]
    about = study.study.model_copy(update={"body_part": parts[0].ct.acquisition.body_part or study.study.body_part})
    contrasts = {made.contrast for made in imaging}
    limits = {one.thresholds.grow for one in each}
    rule_findings = findings_for_rules(
        findings,
        about,
        request.clinical,
        contrast=contrasts.pop() if len(contrasts) == 1 else Contrast.UNKNOWN,
        threshold_hu=limits.pop() if len(limits) == 1 else None,
        series=[part.ct for part in parts],
    )
    grown = iter([one.thresholds for one in each])
    entries = tuple(
        entry.model_copy(update={"threshold_hu": next(grown)}) if entry.status == "analysed" else entry
        for entry in reading.entries
    )
    films = sum(entry.image_count or 0 for entry in entries if entry.code == _FILM)  # not analysed because CT was
    limitation = "limitation.other_radiograph" if films == 1 else "limitation.other_radiographs"
    return MeasuredStudy(
        study=about,
        series=entries,
        evidence=ct_evidence(findings, volumes, projections, [part.source for part in parts]),
        rule_findings=rule_findings,
        imaging=imaging,
        image_count=sum(len(volume.slices) for volume in volumes),
        limitations=(request.templates.statements.say(limitation, count=films),) if films else (),
        searched=_with_regions(reading.searched, parts, each, request.templates.statements),
        incidental=list_incidental(findings.incidental, volumes),
    )


def _imaging(part: CtPart, request: Request) -> Imaging:
    """How a series was made; the clinician's answer about contrast takes precedence over the header."""
    typed, header = Contrast(request.clinical.imaging.contrast or Contrast.UNKNOWN), part.ct.acquisition.contrast
    is_typed = typed is not Contrast.UNKNOWN
    return Imaging(
        series_instance_uid=part.source.uid,
        acquisition=part.ct.acquisition,
        spacing_mm=part.ct.geometry.spacing_mm,
        contrast=typed if is_typed else header,
        contrast_source="clinician" if is_typed else "unknown" if header is Contrast.UNKNOWN else "header",
    )


def _analyse(part: CtPart, made: Imaging, request: Request, on_step: Callable[[str], None]) -> CtFindings:
    """Search and measure a series; failed checks limit the search, and lesions raise no alert because of them."""
    from calcreport.calcification.analysis import analyse_ct  # 0.1 s, which a study of radiographs does without

    found = analyse_ct(
        part.ct.volume,
        part.ct.acquisition,
        settings=request.settings.detection,
        contrast=made.contrast if made.contrast_source == "clinician" else None,
        contours=part.contours,
        labels=part.labels,
        mass=_felt_mass(request.clinical),
        on_progress=on_step,
    )
    codes = tuple(doubt.code for doubt in found.doubts)
    return replace(
        found,
        lesions=tuple(replace(lesion, failed_checks=codes) for lesion in found.lesions),
        notes=(*found.notes, *part.notes, *(doubt.text for doubt in found.doubts)),
    )


def _felt_mass(clinical: Clinical) -> FeltMass | None:
    """What the clinician felt or measured, where a site is named that is understood."""
    from calcreport.calcification.inner import FeltMass

    mass, site = clinical.mass, clinical.site
    if name_areas(site.region) is None or (mass.palpable is not YesNo.YES and mass.size_cm is None):
        return None
    size_mm = _TYPICAL_MASS_MM if mass.size_cm is None else 10.0 * mass.size_cm
    return FeltMass(
        is_at=lambda region: name_areas(region) is not None and not are_apart(site.region, region),
        laterality=site.laterality, size_mm=size_mm, reach_mm=_OVER_MASS_MM + size_mm,
    )  # fmt: skip


def _with_regions(
    searched: tuple[Searched, ...], parts: Sequence[CtPart], each: Sequence[CtFindings], statements: Statements
) -> tuple[Searched, ...]:
    """Limit what was searched by the doubts; the image names what a header leaves unnamed or calls a limb."""
    doubts = [(part.region, findings.doubts) for part, findings in zip(parts, each, strict=True)]
    limited = limit_searched(searched, doubts)
    limb = name_body_part("extremity", statements)
    seen = {
        part.region: statements.join([name_body_part(region, statements) or region for region in findings.regions])
        for part, findings in zip(parts, each, strict=True)
        if findings.regions and part.region in {limb, name_series(part.source.number, statements)}
    }
    return tuple(row.model_copy(update={"region": seen.get(row.region, row.region)}) for row in limited)


def join_findings(parts: Sequence[CtPart], each: Sequence[CtFindings], statements: Statements) -> CtFindings:
    """Findings of several series, best first, as those of one study, each lesion once.

    What a later series shows well inside an earlier one was searched there, on better images, and is left out. A lesion
    that two series share is kept where it is not cut by their end.
    """
    if len(parts) == 1:
        return each[0]
    lesions: list[MeasuredLesion] = []
    excluded: list[Excluded] = []
    aside: list[IncidentalFinding] = []
    for index, (part, findings) in enumerate(zip(parts, each, strict=True)):
        before = {
            number: other.extent.box
            for number, other in enumerate(parts[:index])
            if part.extent is not None and other.extent is not None and are_comparable(part.extent, other.extent)
        }
        boxes = list(before.values())
        excluded += [row for row in findings.excluded if not _is_inside((row.centroid_lps_mm,) * 2, boxes)]
        apart = (one for one in findings.incidental if not _is_inside(one.bbox_lps_mm, boxes))
        aside += [replace(one, series_index=index) for one in apart]
        for lesion in findings.lesions:
            if lesion.contour is None and _is_inside(lesion.location.bbox_lps_mm, boxes, rim_mm=_RIM_MM):
                continue
            lesions = _add(replace(lesion, series_index=index), lesions, parts, before)
    lesions.sort(key=_longest_mm, reverse=True)
    return replace(
        each[0], lesions=tuple(lesions), excluded=tuple(excluded), incidental=tuple(aside),
        notes=_join_notes(parts, each, statements),
    )  # fmt: skip


def _join_notes(parts: Sequence[CtPart], each: Sequence[CtFindings], statements: Statements) -> tuple[str, ...]:
    """Limits of the search; a region is named where not all series share a limit."""
    of_making = [part.ct.acquisition.notes if index else () for index, part in enumerate(parts)]
    by_series = [(*findings.notes, *notes) for findings, notes in zip(each, of_making, strict=True)]
    sentences = []
    for note in dict.fromkeys(note for notes in by_series for note in notes):
        holders = [part.region for part, notes in zip(parts, by_series, strict=True) if note in notes]
        regions = statements.join(list(dict.fromkeys(holders)))
        is_of_all = len(holders) == len(parts)
        sentences.append(note if is_of_all else statements.say("searched.of", regions=capitalise(regions), text=note))
    return tuple(sentences)


def _is_inside(corners: Sequence[Point | None] | None, boxes: Sequence[Box], *, rim_mm: float = 0.0) -> bool:
    """Whether the box between two corners lies inside one of `boxes`, `rim_mm` from its sides."""
    if corners is None or None in corners:
        return False
    low, high = np.array(corners, dtype=np.float64)
    return any(bool(np.all(low >= box[0] + rim_mm) and np.all(high <= box[1] - rim_mm)) for box in boxes)


def _add(
    lesion: MeasuredLesion, known: list[MeasuredLesion], parts: Sequence[CtPart], comparable: Mapping[int, Box]
) -> list[MeasuredLesion]:
    """Add a lesion; of the same lesion on earlier series the most completely measured one stays.

    `comparable`: box of each earlier series in the same frame of reference, by its index.
    """
    same = [other for other in known if other.series_index in comparable and _touch(lesion, other, parts)]
    reach_mm = parts[lesion.series_index].ct.volume.geometry.voxel_diagonal_mm
    if all(_is_completer(lesion, other, reach_mm) for other in same):
        return [*(other for other in known if other not in same), lesion]
    if _is_inside(lesion.location.bbox_lps_mm, list(comparable.values())):
        return known
    minimum = {"is_minimum": True}  # it goes on beyond its series
    return [replace(other, size=other.size.model_copy(update=minimum)) if other in same else other for other in known]


def _is_completer(lesion: MeasuredLesion, other: MeasuredLesion, reach_mm: float) -> bool:
    """Whether a lesion shows more of what another series shows too: drawn by a reader, not cut, or longer."""
    if (lesion.contour is None) is not (other.contour is None):
        return lesion.contour is not None
    if lesion.size.is_minimum is not other.size.is_minimum:
        return other.size.is_minimum
    return _longest_mm(lesion) > _longest_mm(other) + reach_mm


def _longest_mm(lesion: MeasuredLesion) -> float:
    return lesion.mass.max_diameter_mm or lesion.size.max_diameter_mm or 0.0


def _touch(lesion: MeasuredLesion, other: MeasuredLesion, parts: Sequence[CtPart]) -> bool:
    """Whether the voxels of two lesions lie within a voxel of each other."""
    from scipy.spatial import cKDTree

    places: list[NDArray[np.float64]] = []  # voxel centres, LPS mm, shape (n, 3)
    volumes = [parts[one.series_index].ct.volume for one in (lesion, other)]
    for one, volume in zip((lesion, other), volumes, strict=True):
        mask = one.mineral or one.contour
        if mask is None:
            return False
        places.append(volume.geometry.lps_mm(np.argwhere(mask.voxels) + mask.offset))
    reach_mm = max(volume.geometry.voxel_diagonal_mm for volume in volumes)
    distances, _ = cKDTree(places[1]).query(places[0], distance_upper_bound=reach_mm)
    return bool(np.any(distances <= reach_mm))


def ct_evidence(
    findings: CtFindings,
    volumes: tuple[CtVolume, ...],
    projections: Sequence[NDArray[np.int16]],
    series: Sequence[SeriesFiles],
) -> ReportEvidence:
    """Masks and images behind the report of CT series; `projections` are their maximum intensities."""
    images = tuple(dict.fromkeys(plane.image for one in series for plane in one.planes))  # slices of one file share it
    draw = partial(_draw, findings, volumes, projections)
    return ReportEvidence(findings=findings, draw=draw, images=images, volumes=volumes)


def _draw(  # noqa: PLR0913 - everything that is drawn
    findings: CtFindings,
    volumes: tuple[CtVolume, ...],
    projections: Sequence[NDArray[np.int16]],
    report: Report,
    order: tuple[int, ...],
    statements: Statements,
    *,
    earlier: Mapping[int, EarlierSlice] | None = None,
) -> Pictures:
    """Prepare the overview of each series and a key image of each lesion, beside it the `earlier` images there."""
    from calcreport.formats.pictures.as_png import render_key_image, render_overview

    numbered = list(zip(report.lesions, order, strict=True))
    pictures: dict[str, Callable[[], bytes]] = {}
    on_series: list[list[tuple[str, int]]] = [[] for _ in volumes]
    for lesion, index in numbered:
        on_series[findings.lesions[index].series_index].append((lesion.id, index))
    for number, (volume, projection) in enumerate(zip(volumes, projections, strict=True)):
        shown = replace(findings, maximum_intensity_hu=projection)
        pictures[overview_name(number + 1)] = partial(
            render_overview, volume, shown, tuple(on_series[number]), statements
        )
    for lesion, index in numbered:
        measured = findings.lesions[index]
        beside = [pair for pair in on_series[measured.series_index] if pair[0] != lesion.id]
        if lesion.images:
            pictures[key_image_name(lesion.id)] = partial(
                render_key_image, volumes[measured.series_index], measured, lesion, report, statements,
                others=tuple((name, findings.lesions[place]) for name, place in beside),
                earlier=(earlier or {}).get(index),
            )  # fmt: skip
    return pictures
