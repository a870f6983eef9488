"""Composition of findings and decision into one report; clock, versions and wording are arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from calcreport.compose.conclusion import collect_measured_limitations, conclude
from calcreport.compose.lesions import join_lesion, name_key_images, name_overviews, number_lesions
from calcreport.compose.technique import DraftContext, Imaging, describe_technique
from calcreport.model.decision import Decision
from calcreport.model.film import FilmFindings, FilmSegment, ProjectedLesion, Shadow
from calcreport.model.findings import Findings
from calcreport.model.lesion import CtFindings, MeasuredLesion, Segment, VoxelMask
from calcreport.model.report import Lesion, PlaceSource, Report, Study
from calcreport.model.shape import FilmShape, LesionShape, Line, PackedMask, pack_mask, unpack_mask
from calcreport.model.uids import derive_uid
from calcreport.rules.regions import are_apart
from calcreport.text.statements import Statements
from calcreport.text.wording import name_body_part


def shape_of(lesion: MeasuredLesion | ProjectedLesion) -> LesionShape:
    """Pack the masks and lines of a lesion; see `calcreport.model.shape`."""
    if isinstance(lesion, ProjectedLesion):
        return LesionShape(films=tuple(map(_film_shape, lesion.shadows)))
    return LesionShape(
        key_slice=lesion.key_slice,
        mineral=_pack(lesion.mineral),
        contour=_pack(lesion.contour),
        longest=_line(lesion.longest),
        axial_longest=_line(lesion.axial_longest),
        to_skin=_line(lesion.to_skin),
        to_fascia=_line(lesion.to_fascia),
    )


def track(shape: LesionShape, images: tuple[str, ...], *, name: str) -> str:
    """Tracking UID of a lesion: the same for the same voxels of the same images (UIDs of study, series or films).

    Its id in the report, `name`, distinguishes lesions without a voxel of their own.
    """
    masks = [mask for mask in (shape.mineral, shape.contour, *(film.mineral for film in shape.films)) if mask]
    return derive_uid("lesion", *images, *([_identify(mask) for mask in masks] or [name]))


def _identify(mask: PackedMask) -> str:
    """Name a mask by its voxels: how they were compressed depends on the machine."""
    return f"{mask.offset}{mask.shape}{hashlib.sha256(unpack_mask(mask).tobytes()).hexdigest()}"


def _film_shape(shadow: Shadow) -> FilmShape:
    return FilmShape(
        mineral=pack_mask(shadow.mineral.offset, shadow.mineral.pixels),
        longest=_film_line(shadow.longest),
        across=_film_line(shadow.across),
        to_skin_line=None if shadow.to_skin_line is None else _film_line(shadow.to_skin_line),
    )


def _pack(mask: VoxelMask | None) -> PackedMask | None:
    return None if mask is None else pack_mask(mask.offset, mask.voxels)


def _line(segment: Segment | None) -> Line | None:
    if segment is None:
        return None
    return Line(start=segment.start_lps_mm, end=segment.end_lps_mm, length_mm=segment.length_mm)


def _film_line(segment: FilmSegment) -> Line:
    return Line(start=segment.start, end=segment.end, length_mm=segment.length_mm, length_px=segment.length_px)


Measured = CtFindings | FilmFindings | Findings
"""What was measured on a study, or typed."""


def compose_report(
    findings: Measured,
    decision: Decision,
    *,
    context: DraftContext,
    imaging: Imaging | None,
    statements: Statements,
    has_pictures: bool = False,
) -> Report:
    """Compose the report of one study, lesions in the order of `number_lesions`, numbers at full precision.

    The decision is about the same lesions in the same order. `imaging` says how the analysed CT series was made, and is
    ``None`` for radiographs and when no image was measured; with `has_pictures` the names of the picture files written
    beside the report are listed in it.
    """
    regions = _name_regions(findings, context, statements)
    rule_findings = findings if isinstance(findings, Findings) else context.rule_findings
    lesions = _join_lesions(findings, decision, imaging, regions=regions, context=context, has_pictures=has_pictures)
    technique = describe_technique(findings, imaging)
    numbered = number_lesions(findings.lesions, decision)
    facts = Report(
        software=context.software,
        study=context.study,
        series=context.series,
        technique=technique,
        lesions=lesions,
        excluded=() if isinstance(findings, Findings) else findings.excluded,
        incidental=context.incidental,
        patient=decision.patient,
        concern=decision.concern,
        flags_summary={},
        impression=(),
        recommendations=(),
        limitations=(),
        measured_limitations=collect_measured_limitations(findings, technique, context, statements),
        clinical=dict(context.clinical),
        settings=context.settings.model_dump(mode="json"),
        searched=context.searched,
        created=context.created,
        rules=context.rules,
    )
    facts = facts.model_copy(update={"images": name_overviews(facts) if has_pictures else ()})
    order = tuple(index for _, index in numbered)
    return conclude(facts, decision, order=order, rule_findings=rule_findings, statements=statements)


def _name_regions(
    findings: Measured, context: DraftContext, statements: Statements
) -> tuple[tuple[str | None, PlaceSource], ...]:
    """Region of each lesion where the images leave it open: the clinician's if there is just one, else the header's.

    The clinician describes the palpable mass; another deposit in the same scan may lie elsewhere. Radiographs of
    one study may show several parts of the body, each named by its own film.
    """
    site = context.clinical.get("site")
    given = site.get("region") if isinstance(site, Mapping) else None
    if len(findings.lesions) == 1 and given not in {None, "", "unknown"}:
        return ((str(given), "clinician"),)
    parts: list[str | None] = [context.study.body_part] * len(findings.lesions)
    if isinstance(findings, CtFindings) and context.further_imaging:
        further = {n: imaging.acquisition.body_part for n, imaging in enumerate(context.further_imaging, start=1)}
        parts = [further.get(lesion.series_index) or part for lesion, part in zip(findings.lesions, parts, strict=True)]
    if isinstance(findings, FilmFindings):
        parts = [findings.films[lesion.shadows[0].film].view.body_part for lesion in findings.lesions]
    header = name_body_part(context.study.body_part, statements)
    named = (name_body_part(part, statements) or header for part in parts)
    return tuple((name, "header") if name else (None, None) for name in named)


def _join_lesions(
    findings: Measured,
    decision: Decision,
    imaging: Imaging | None,
    *,
    regions: tuple[tuple[str | None, PlaceSource], ...],
    context: DraftContext,
    has_pictures: bool,
) -> tuple[Lesion, ...]:
    rule_findings = findings if isinstance(findings, Findings) else context.rule_findings
    lesions = []
    for lesion_id, index in number_lesions(findings.lesions, decision):
        lesion = join_lesion(
            findings.lesions[index],
            decision.lesions[index],
            lesion_id=lesion_id,
            series_instance_uid=_name_series(findings, index, imaging, context.further_imaging),
        )
        location = lesion.location
        region, source = regions[index]
        if not location.region or (source == "clinician" and not are_apart(location.region, region)):
            location = location.model_copy(update={"region": region, "region_source": source})
        side = location.laterality if rule_findings is None else rule_findings.lesions[index].location.laterality
        if side is not location.laterality:  # only the clinician knew it
            location = location.model_copy(update={"laterality": side, "laterality_source": "clinician"})
        update = {"location": location} | _keep_shape(findings, index, lesion, context.study)
        lesions.append(lesion.model_copy(update=update))
    return name_key_images(lesions, context.settings.output.max_key_images if has_pictures else 0)


def _keep_shape(findings: Measured, index: int, lesion: Lesion, study: Study) -> dict[str, Any]:
    """Fields with the voxels of a measured lesion and the notes of its measurement."""
    if isinstance(findings, Findings):
        return {}
    measured = findings.lesions[index]
    shape = shape_of(measured)
    films = tuple(place.sop_instance_uid for place in lesion.location.films)
    images = (study.study_instance_uid, *(films or (lesion.series_instance_uid,)))
    return {"shape": shape, "tracking_uid": track(shape, images, name=lesion.id), "measured_notes": measured.notes}


def _name_series(findings: Measured, index: int, imaging: Imaging | None, further: tuple[Imaging, ...]) -> str:
    """Series a lesion was measured on; of radiographs that of the film that shows it best."""
    if isinstance(findings, FilmFindings):
        return findings.films[findings.lesions[index].shadows[0].film].series_instance_uid
    if imaging is None:
        return ""
    return (imaging, *further)[getattr(findings.lesions[index], "series_index", 0)].series_instance_uid
