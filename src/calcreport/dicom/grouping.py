"""Headers to studies and series; who the patient is, and whether all agree on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from calcreport.dicom.ct.stacks import MIN_SLICES, split
from calcreport.dicom.film.duplicates import copied
from calcreport.dicom.gaps import are_one_person, filled, has_mixed_bits, pixel_notes
from calcreport.dicom.header import tags
from calcreport.dicom.header.film_header import FilmHeader
from calcreport.dicom.header.image_header import ImageHeader, Plane
from calcreport.dicom.series import SeriesFiles, StudyFiles
from calcreport.model.report import Patient, Study

_NAMELESS: Final = (
    "Identity missing: the images lack a Study, Series or SOP Instance UID of their own; images of one folder were "
    "taken for one study, and no DICOM objects were written."
)  # note on a study whose UIDs are missing


def group_studies(
    planes: Sequence[Plane], films: Sequence[FilmHeader], others: Sequence[ImageHeader]
) -> tuple[StudyFiles, ...]:
    """Studies by Study Instance UID, oldest first, its series cut into stacks; `others` are all other objects."""
    grouped: dict[tuple[str, str], _Members] = defaultdict(_Members)
    for plane in planes:
        grouped[plane.image.study_uid, plane.image.series_uid].planes.append(plane)
    for film in films:
        grouped[film.image.study_uid, film.image.series_uid].films.append(film)
    for image in others:
        grouped[image.study_uid, image.series_uid].others.append(image)
    studies_of: dict[str, set[str]] = defaultdict(set)
    for study_uid, series_uid in grouped:
        studies_of[series_uid].add(study_uid)
    series_of: dict[str, list[SeriesFiles]] = defaultdict(list)
    for (study_uid, series_uid), members in grouped.items():
        is_shared = len(studies_of[series_uid]) > 1
        series_of[study_uid] += _series(members, problem="series.mixed_studies" if is_shared else None)
    studies = [_study(uid, _without_split(series)) for uid, series in series_of.items()]
    return tuple(sorted(studies, key=lambda s: (s.study.study_date or "", s.study.study_instance_uid)))


@dataclass(slots=True)
class _Members:
    """What one series holds."""

    planes: list[Plane] = field(default_factory=list)
    films: list[FilmHeader] = field(default_factory=list)
    others: list[ImageHeader] = field(default_factory=list)


def _series(members: _Members, *, problem: str | None) -> list[SeriesFiles]:
    """Stacks and films of one series; other objects come as an entry of their own, one a storage class."""
    found: list[SeriesFiles] = []
    slices, images = members.planes, members.others
    measurable = [*(plane.image for plane in slices), *(film.image for film in members.films)]
    mixed = not are_one_person([image.patient for image in measurable])
    notes = pixel_notes(measurable)
    if slices:
        first = min((plane.image for plane in slices), key=lambda image: image.instance_number or 0)
        is_cut = any(image.series.sop_class_uid in tags.CT_CLASSES for image in images)
        doubt = "series.mixed_patients" if mixed else "pixel.missing" if is_cut else problem
        if has_mixed_bits(measurable):
            doubt = doubt or "pixel.description"
        slices, gaps = filled(slices)
        if images:
            notes = (f"{len(images)} objects of this series are no CT slices and were left out.", *notes)
        whole = replace(_files(first, slices, problem=doubt), notes=(*notes, *gaps))
        found += split(whole)
    if members.films:
        films = _film_series(members.films, problem="series.mixed_patients" if mixed else problem)
        found.append(replace(films, notes=(*films.notes, *notes)))
    kinds: dict[str, list[ImageHeader]] = defaultdict(list)
    for image in images:
        kinds[image.series.sop_class_uid].append(image)
    for alike in kinds.values():
        found.append(replace(_files(alike[0], [], problem=problem), instances=tuple(alike)))
    return found


def _film_series(films: list[FilmHeader], *, problem: str | None) -> SeriesFiles:
    """Radiographs of one series, each once."""
    first = min((film.image for film in films), key=lambda image: image.instance_number or 0)
    copies = copied(films)
    kept = films if copies is None else [film for film in films if id(film) not in copies]
    notes = (f"{len(copies)} identical copies of images were dropped.",) if copies else ()
    return replace(
        _files(first, [], problem=problem or ("geometry.conflicting_instances" if copies is None else None)),
        films=tuple(kept),
        instances=tuple(film.image for film in kept),
        notes=notes,
    )


def _files(first: ImageHeader, slices: list[Plane], *, problem: str | None) -> SeriesFiles:
    return SeriesFiles(
        uid=first.series_uid,
        modality=first.series.modality,
        number=first.series.number,
        description=first.series.description,
        planes=tuple(slices),
        instances=tuple({id(plane.image): plane.image for plane in slices}.values()),
        problem=problem,
    )


def _without_split(series: list[SeriesFiles]) -> list[SeriesFiles]:
    """Series, those of one image each that make one scan as one: a scan that was split is named once."""
    alike: dict[Hashable, list[SeriesFiles]] = defaultdict(list)
    for one in series:
        if len(one.planes) == 1 and one.planes[0].frame is None and "LOCALIZER" not in one.planes[0].image_type:
            plane = one.planes[0]
            alike[plane.image.pixels.rows, plane.image.pixels.columns, plane.spacing_mm, plane.orientation].append(one)
    for parts in alike.values():
        if len(parts) >= MIN_SLICES:
            whole = replace(
                parts[0],
                planes=tuple(plane for part in parts for plane in part.planes),
                instances=tuple(image for part in parts for image in part.instances),
                stack=f"{len(parts)} series of one image",
                problem=parts[0].problem or "series.one_image_each",
            )
            series = [whole if one is parts[0] else one for one in series if one not in parts[1:]]
    return series


def _study(uid: str, series: list[SeriesFiles]) -> StudyFiles:
    stacks = [s for s in series if s.planes]
    measurable = [s for s in series if s.planes or s.films]
    first = (stacks or measurable or series)[0].instances[0]
    people = {image.patient for s in measurable for image in s.instances}
    identities = {one.patient_id for one in people if one.patient_id}, {one.birth_date for one in people}
    if any(len(values - {None}) > 1 for values in identities):
        series = [replace(s, problem=s.problem or "study.mixed_patients") for s in series]
    patient = first.patient
    if patient.name_note:
        series = [replace(s, notes=(*s.notes, patient.name_note)) for s in series]
    study = Study(
        study_instance_uid=uid,
        study_date=patient.study_date,
        modality=first.series.modality or "OT",
        description=patient.study_description,
        patient=Patient(
            name=patient.name,
            id=patient.patient_id,
            birth_date=patient.birth_date,
            sex=patient.sex,
            age_years=patient.age_years,
        ),
        accession_number=patient.accession_number,
        body_part=first.series.body_part,
    )
    notes = (patient.age_note,) if patient.age_note else ()
    if any(image.lacks_identity for stack in series for image in stack.instances):
        notes = (_NAMELESS, *notes)
    return StudyFiles(study=study, series=tuple(series), notes=notes, patient_id_issuer=patient.patient_id_issuer)
