"""Composition of findings and decision into one report; clock, versions and wording are arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from calcreport.compose.conclusion import collect_measured_limitations, conclude
from calcreport.compose.lesions import join_lesion, name_key_images, name_overviews, number_lesions
from calcreport.compose.technique import DraftContext, Imaging, describe_technique
from calcreport.model.decision import Decision
from calcreport.model.film import FilmFindings, FilmSegment, ProjectedLesion, Shadow
from calcreport.model.findings import Findings, LesionFinding
from calcreport.model.lesion import CtFindings, MeasuredLesion, Segment
from calcreport.model.report import Lesion, PlaceSource, Report
from calcreport.model.shape import FilmShape, LesionShape, Line, PackedMask, pack_mask, unpack_mask
from calcreport.model.uids import derive_uid
from calcreport.rules.regions import are_apart
from calcreport.text.statements import Statements
from calcreport.text.wording import name_body_part


def shape_of(lesion: MeasuredLesion | ProjectedLesion) -> LesionShape:
    """Pack the masks and lines of a lesion; see `calcreport.model.shape`."""
    if isinstance(lesion, ProjectedLesion):
        return LesionShape(films=tuple(map(_film_shape, lesion.shadows)))
    masks = {name: getattr(lesion, name) for name in ("mineral", "contour")}
    lines = {name: getattr(lesion, name) for name in ("longest", "axial_longest", "to_skin", "to_fascia")}
    return LesionShape(
        key_slice=lesion.key_slice,
        **{name: pack_mask(mask.offset, mask.voxels) for name, mask in masks.items() if mask is not None},
        **{name: _line(segment) for name, segment in lines.items()},
    )


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


def _line(segment: Segment | None) -> Line | None:
    if segment is None:
        return None
    return Line(start=segment.start_lps_mm, end=segment.end_lps_mm, length_mm=segment.length_mm)


def _film_line(segment: FilmSegment) -> Line:
    return Line(start=segment.start, end=segment.end, length_mm=segment.length_mm, length_px=segment.length_px)


Measured = CtFindings | FilmFindings | Findings  # What was measured on a study, or typed


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
    rule_findings = findings if isinstance(findings, Findings) else context.rule_findings
    technique = describe_technique(findings, imaging)
    numbered = number_lesions(findings.lesions, decision)
    regions = _name_regions(findings, context, statements)
    lesions = [
        _join_lesion(findings, index, decision, lesion_id=lesion_id, imaging=imaging, context=context)
        for lesion_id, index in numbered
    ]
    typed = rule_findings.lesions if rule_findings else [None] * len(numbered)
    places = [(*regions[index], typed[index]) for _, index in numbered]
    lesions = [_place(lesion, *place) for lesion, place in zip(lesions, places, strict=True)]
    facts = Report(
        software=context.software,
        study=context.study,
        series=context.series,
        technique=technique,
        lesions=name_key_images(lesions, context.settings.output.max_key_images if has_pictures else 0),
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


def _join_lesion(
    findings: Measured,
    index: int,
    decision: Decision,
    *,
    lesion_id: str,
    imaging: Imaging | None,
    context: DraftContext,
) -> Lesion:
    """Lesion with the rules' answer; a measured one with its voxels and the notes of its measurement."""
    measured, series = findings.lesions[index], ""
    if isinstance(findings, FilmFindings):  # the film that shows it best
        series = findings.films[findings.lesions[index].shadows[0].film].series_instance_uid
    elif imaging is not None:
        series = (imaging, *context.further_imaging)[getattr(measured, "series_index", 0)].series_instance_uid
    lesion = join_lesion(measured, decision.lesions[index], lesion_id=lesion_id, series_instance_uid=series)
    if isinstance(measured, LesionFinding):
        return lesion
    shape = shape_of(measured)
    # the same for the same voxels of the same images; the id distinguishes lesions without a voxel of their own
    images = [place.sop_instance_uid for place in lesion.location.films] or [series]
    masks = [mask for mask in (shape.mineral, shape.contour, *(film.mineral for film in shape.films)) if mask]
    uid = derive_uid(
        "lesion", context.study.study_instance_uid, *images, *(map(_identify, masks) if masks else [lesion.id])
    )
    return lesion.model_copy(update={"shape": shape, "tracking_uid": uid, "measured_notes": measured.notes})


def _place(lesion: Lesion, region: str | None, source: PlaceSource, finding: LesionFinding | None) -> Lesion:
    """Lesion in the region where the images leave it open, and on the side that only the clinician knew."""
    location = lesion.location
    if not location.region or (source == "clinician" and not are_apart(location.region, region)):
        location = location.model_copy(update={"region": region, "region_source": source})
    if finding is not None and finding.location.laterality is not location.laterality:
        side = {"laterality": finding.location.laterality, "laterality_source": "clinician"}
        location = location.model_copy(update=side)
    return lesion.model_copy(update={"location": location})
