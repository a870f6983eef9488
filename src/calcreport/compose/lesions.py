"""Lesions of the report: measured or typed findings with the rules' answer, most concerning first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from calcreport.model import report as model
from calcreport.model.decision import Decision, LesionDecision
from calcreport.model.film import ProjectedLesion
from calcreport.model.findings import LesionFinding
from calcreport.model.image import CtVolume
from calcreport.model.incidental import Incidental, IncidentalFinding, IncidentalKind
from calcreport.model.lesion import MeasuredLesion
from calcreport.model.terms import INDETERMINATE_PATTERN

OVERVIEW_IMAGE = "images/overview.png"
"""File name of the overview of the first CT series, relative to the study's folder."""

_TYPED_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}")
"""An id that a reader may give: it stands in text, file names and links."""

_URGENCY = tuple(model.Concern)  # concerns, most severe first: the order of the enumeration

_DECIDED: Final = ("flags", "concern", "differential", "recommendations", "growth")
"""Fields of a lesion that the rules answer."""


def key_image_name(lesion_id: str, *, view: int = 1) -> str:
    """File name of a lesion's key image, relative to the study's folder; of radiographs one a view that shows it."""
    return f"images/{lesion_id}.png" if view == 1 else f"images/{lesion_id}_{view}.png"


def film_image_name(number: int) -> str:
    """File name of the picture of a whole radiograph, counted from 1, relative to the study's folder."""
    return f"images/film_{number}.png"


def overview_name(number: int) -> str:
    """File name of the overview of a measured CT series, counted from 1, relative to the study's folder."""
    return OVERVIEW_IMAGE if number == 1 else f"images/overview_{number}.png"


def name_key_images(lesions: Sequence[model.Lesion], most: int) -> tuple[model.Lesion, ...]:
    """Lesions with the file names of their key images: one, or one a radiograph that shows it; `most` of them in all.

    Lesions of most concern have theirs first, otherwise in the order of the report, which is by length.
    """
    names: dict[str, tuple[str, ...]] = {}
    for lesion in sorted(lesions, key=lambda lesion: _URGENCY.index(lesion.concern)):
        own = tuple(key_image_name(lesion.id, view=view) for view in range(1, max(len(lesion.location.films), 1) + 1))
        most -= len(own)
        if most < 0:
            break
        names[lesion.id] = own
    return tuple(lesion.model_copy(update={"images": names.get(lesion.id, ())}) for lesion in lesions)


def name_overviews(report: model.Report) -> tuple[str, ...]:
    """File names of the survey pictures: the overview of each measured CT series, or every radiograph."""
    films = report.technique.films if report.technique else ()
    count = max(sum(entry.geometry is not None for entry in report.series), 1)
    name, many = (film_image_name, len(films)) if films else (overview_name, count)
    return tuple(map(name, range(1, many + 1)))


def number_lesions(
    lesions: tuple[MeasuredLesion, ...] | tuple[ProjectedLesion, ...] | tuple[LesionFinding, ...], decision: Decision
) -> tuple[tuple[str, int], ...]:
    """Put lesions in the order of the report and number them: ``("L1", index into lesions)`` and so on.

    Highest concern first, then the longest dimension of the mass where it is known, otherwise of the mineral, otherwise
    its length in pixels; equal ones keep their order. Ids that a reader typed for all of them stay. Raises `ValueError`
    when the decision is about another number of lesions.
    """
    if len(lesions) != len(decision.lesions):
        msg = f"{len(lesions)} lesions but {len(decision.lesions)} decisions"
        raise ValueError(msg)

    def urgency(index: int) -> tuple[int, float, float]:
        lesion, decided = lesions[index], decision.lesions[index]
        # A length along a vessel or fascia does not put a lesion before others.
        is_extent = decision.capabilities.is_flag_row(decided.flags.size.rule, "is_extent")
        mineral_mm = 0.0 if is_extent else lesion.size.max_diameter_mm
        longest_mm = lesion.mass.max_diameter_mm or mineral_mm or 0.0
        return (_URGENCY.index(decided.concern), -longest_mm, -(lesion.size.max_diameter_px or 0.0))

    order = sorted(range(len(lesions)), key=urgency)
    typed = [getattr(lesion, "id", None) or "" for lesion in lesions]
    are_own = len(set(typed)) == len(typed) and all(map(_TYPED_ID.fullmatch, typed))
    return tuple((typed[index] if are_own else f"L{number}", index) for number, index in enumerate(order, start=1))


def join_lesion(
    lesion: MeasuredLesion | ProjectedLesion | LesionFinding,
    decided: LesionDecision,
    *,
    lesion_id: str,
    series_instance_uid: str,
) -> model.Lesion:
    """Join the measurement of a lesion with the rules' answer; names of pictures are added when these are drawn.

    `series_instance_uid` is that of the series it was measured on; empty for a typed finding.
    """
    if isinstance(lesion, LesionFinding):
        facts, notes = _typed(lesion), decided.notes
    else:
        facts, notes = measured_facts(lesion), (*lesion.notes, *decided.notes)
    return model.Lesion(
        id=lesion_id,
        series_instance_uid=series_instance_uid,
        notes=tuple(dict.fromkeys(notes)),
        **facts,
        **{name: getattr(decided, name) for name in _DECIDED},
    )


def measured_facts(lesion: MeasuredLesion | ProjectedLesion | model.Lesion) -> dict[str, Any]:
    """Facts that a measured lesion and its entry in the report share, by field."""
    names = ("size", "foci", "mass", "density", "depth", "pattern", "bone_relation", "location")
    return {name: getattr(lesion, name) for name in names}


def _typed(finding: LesionFinding) -> dict[str, Any]:
    """Fields of a typed finding in the report's types; untyped values are "cannot be determined"."""
    size, mass, place, given = finding.size, finding.mass, finding.location, finding.pattern.id
    depth_class = finding.depth.class_ or model.DepthClass.CANNOT_DETERMINE
    return {
        "size": model.Size(**size.model_dump(exclude={"is_by_reader"})),
        "foci": model.Foci(**finding.foci.model_dump()),
        "mass": model.Mass(
            present=mass.present,
            source="none" if mass.source == "reader" else mass.source,
            **mass.model_dump(exclude={"present", "source"}),
        ),
        "density": model.Density(
            is_certain=finding.density.is_certain is not model.YesNo.NO,
            **finding.density.model_dump(exclude={"is_certain"}),
        ),
        "depth": model.Depth.model_validate(finding.depth.model_dump() | {"class": depth_class}),
        "pattern": model.Pattern(
            id=given or INDETERMINATE_PATTERN,
            label=given or "not given",
            confidence=(finding.pattern.confidence or model.Confidence.HIGH) if given else model.Confidence.LOW,
            scores={},
            features={name: str(answer) for name, answer in finding.features if answer is not model.YesNo.UNKNOWN},
        ),
        "bone_relation": finding.bone_relation or model.BoneRelation.CANNOT_DETERMINE,
        "location": model.Location(
            laterality_source=None if place.laterality is model.Laterality.UNKNOWN else "clinician",
            region_source="clinician" if place.region else None,
            compartment=place.compartment or place.tissue,
            **place.model_dump(exclude={"tissue", "compartment"}),
        ),
    }


def list_incidental(findings: Sequence[IncidentalFinding], volumes: Sequence[CtVolume]) -> tuple[Incidental, ...]:
    """Merge deposits of the same series, kind and structure: how many, the longest, the box around all, their images.

    Rows are sorted by kind, then most first; a deposit names its series by the index in `volumes`.
    """
    groups: dict[tuple[int, IncidentalKind, str | None], list[IncidentalFinding]] = {}
    for one in findings:
        groups.setdefault((one.series_index, one.kind, one.structure), []).append(one)
    rows = [_incidental_row(members, volumes[index]) for (index, _, _), members in groups.items()]
    kinds = tuple(IncidentalKind)
    return tuple(sorted(rows, key=lambda row: (kinds.index(row.kind), -row.count, row.structure or "")))


def _incidental_row(members: list[IncidentalFinding], volume: CtVolume) -> Incidental:
    low = np.min([one.bbox_lps_mm[0] for one in members], axis=0).tolist()
    high = np.max([one.bbox_lps_mm[1] for one in members], axis=0).tolist()
    slices = {i for one in members for i in range(one.first_slice, one.last_slice + 1)}
    numbers = [number for i in slices if (number := volume.slices[i].instance_number) is not None]
    return Incidental(
        kind=members[0].kind,
        structure=members[0].structure,
        count=len(members),
        largest_mm=max(one.largest_mm for one in members),
        bbox_lps_mm=((low[0], low[1], low[2]), (high[0], high[1], high[2])),
        first_image=min(numbers, default=None),
        last_image=max(numbers, default=None),
        series_instance_uid=volume.series_instance_uid,
    )
