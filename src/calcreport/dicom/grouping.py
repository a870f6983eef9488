"""Headers to studies and series; who the patient is, and whether all agree on it."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from calcreport.dicom.ct.stacks import MIN_SLICES, copies_of, split
from calcreport.dicom.header import tags
from calcreport.dicom.header.image_header import NO_UID, FilmHeader, ImageHeader, PatientHeader, Plane
from calcreport.dicom.rank import are_equal
from calcreport.dicom.series import SeriesFiles, StudyFiles
from calcreport.model.report import Patient, Study

_Members = tuple[list[Plane], list[FilmHeader], list[ImageHeader]]  # slices, films and other objects of one series

# Note on a study whose UIDs are missing.
_NAMELESS: Final = (
    "Identity missing: the images lack a Study, Series or SOP Instance UID of their own; images of one folder were "
    "taken for one study, and no DICOM objects were written."
)


def group_studies(
    planes: Sequence[Plane], films: Sequence[FilmHeader], others: Sequence[ImageHeader]
) -> tuple[StudyFiles, ...]:
    """Studies by Study Instance UID, oldest first, its series cut into stacks; `others` are all other objects."""
    grouped: dict[tuple[str, str], _Members] = defaultdict(lambda: ([], [], []))
    for plane in planes:
        grouped[plane.image.study_uid, plane.image.series_uid][0].append(plane)
    for film in films:
        grouped[film.image.study_uid, film.image.series_uid][1].append(film)
    for image in others:
        grouped[image.study_uid, image.series_uid][2].append(image)
    studies = Counter(series_uid for _, series_uid in grouped)
    series_of: dict[str, list[SeriesFiles]] = defaultdict(list)
    for (study_uid, series_uid), members in grouped.items():
        series_of[study_uid] += _series(members, problem="series.mixed_studies" if studies[series_uid] > 1 else None)
    found = (_study(uid, _without_split(series)) for uid, series in series_of.items())
    return tuple(sorted(found, key=lambda s: (s.study.study_date or "", s.study.study_instance_uid)))


def _series(members: _Members, *, problem: str | None) -> list[SeriesFiles]:
    """Stacks and films of one series; other objects come as an entry of their own, one a storage class."""
    found: list[SeriesFiles] = []
    slices, films, images = members
    measurable = [*(plane.image for plane in slices), *(film.image for film in films)]
    mixed = not are_one_person([image.patient for image in measurable])
    derived = sorted({name for image in measurable for name in image.pixels.derived})
    places = {(image.pixels.bits_stored, image.pixels.high_bit) for image in measurable}
    worked_out = f"Missing in the header and worked out from the other pixel attributes: {', '.join(derived)}."
    notes = (worked_out,) * bool(derived)
    if slices:
        first = min((plane.image for plane in slices), key=lambda image: image.instance_number or 0)
        is_cut = any(image.series.sop_class_uid in tags.CT_CLASSES for image in images)
        doubt = "series.mixed_patients" if mixed else "pixel.missing" if is_cut else problem
        if derived and len(places) > 1:  # a place of the bits that was worked out differs from that of other images
            doubt = doubt or "pixel.description"
        slices, gaps = filled(slices)
        if images:
            notes = (f"{len(images)} objects of this series are no CT slices and were left out.", *notes)
        whole = _files(first, (plane.image for plane in slices))
        found += split(replace(whole, problem=doubt, planes=tuple(slices), notes=(*notes, *gaps)))
    if films:
        found.append(_film_series(films, "series.mixed_patients" if mixed else problem, notes))
    for kind in dict.fromkeys(image.series.sop_class_uid for image in images):
        alike = tuple(image for image in images if image.series.sop_class_uid == kind)
        found.append(replace(_files(alike[0], alike), problem=problem))
    return found


def _film_series(films: Sequence[FilmHeader], problem: str | None, notes: tuple[str, ...]) -> SeriesFiles:
    first = min((film.image for film in films), key=lambda image: image.instance_number or 0)
    copies = copies_of(films, lambda film: film.image.instance_uid, are_equal)
    if copies is None:
        problem = problem or "geometry.conflicting_instances"
    elif copies:
        films = [film for film in films if id(film) not in copies]
        notes = (f"{len(copies)} identical copies of images were dropped.", *notes)
    return replace(_files(first, (one.image for one in films)), problem=problem, films=tuple(films), notes=notes)


def _files(first: ImageHeader, images: Iterable[ImageHeader]) -> SeriesFiles:
    return SeriesFiles(
        uid=first.series_uid,
        modality=first.series.modality,
        number=first.series.number,
        description=first.series.description,
        instances=tuple({id(image): image for image in images}.values()),
    )


def _without_split(series: list[SeriesFiles]) -> list[SeriesFiles]:
    """Series, those of one image each that make one scan as one: a scan that was split is named once."""
    alike: dict[Hashable, list[SeriesFiles]] = defaultdict(list)
    for one in series:
        plane = one.planes[0] if len(one.planes) == 1 else None
        if plane is not None and plane.frame is None and "LOCALIZER" not in plane.image_type:
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
            id=patient.patient_id, **{key: getattr(patient, key) for key in ("name", "birth_date", "sex", "age_years")}
        ),
        accession_number=patient.accession_number,
        body_part=first.series.body_part,
    )
    notes = (patient.age_note,) if patient.age_note else ()
    if any(image.lacks_identity for stack in series for image in stack.instances):
        notes = (_NAMELESS, *notes)
    return StudyFiles(study=study, series=tuple(series), notes=notes, patient_id_issuer=patient.patient_id_issuer)


# Where more than this part of the images leaves an attribute out, the rest may be of another kind.
_MOST_MISSING: Final = 0.5


def filled(planes: Sequence[Plane]) -> tuple[list[Plane], tuple[str, ...]]:
    """Slices of one series with Image Type and kernel where only the others state them, and notes for the reader."""
    kept, notes = list(planes), []
    for key, name in (("image_type", "Image Type"), ("kernel", "The kernel")):
        stated = [getattr(plane, key) or () for plane in kept]
        known, missing = set(filter(any, stated)), sum(not any(value) for value in stated)
        if len(known) == 1 and 0 < missing < _MOST_MISSING * len(kept):
            change: dict[str, Any] = {key: known.pop()}
            kept = [p if any(value) else replace(p, **change) for p, value in zip(kept, stated, strict=True)]
            notes.append(f"{name} is missing in {missing} images; it was taken from the others.")
    return kept, tuple(notes)


def are_one_person(patients: Sequence[PatientHeader]) -> bool:
    """Whether the images of a series name one patient.

    Patient ID must be the same. Name and day of birth may be missing from an image that still says whose it is by
    another of these; what two images state must agree.
    """
    identities = set(map(_identity, set(patients)))
    fullest = max(identities, key=lambda fields: sum(map(bool, fields)), default=())
    for fields in identities:
        shared = [(one, other) for one, other in zip(fields, fullest, strict=True) if one and other]
        if fields[0] != fullest[0] or (fields != fullest and not shared):
            return False
    return all(len({fields[place] for fields in identities} - {""}) <= 1 for place in range(len(fullest)))


def _identity(patient: PatientHeader) -> tuple[str, ...]:
    """Id, day of birth and each group of the name; carets, blanks and case of a name do not matter."""
    groups = [*(patient.name or "").split("=", 2), "", ""][:3]
    names = (unicodedata.normalize("NFKC", group).casefold() for group in groups)
    plain = ("".join(c for c in name if c.isalnum()) for name in names)
    return patient.patient_id or "", patient.birth_date or "", *plain


def name_by_folder(planes: Sequence[Plane], folder_of: Mapping[int, str]) -> list[Plane]:
    """Give slices without Study, Series or own SOP Instance UID names that group them; the others stay unchanged.

    `folder_of` is the folder of each file, by the identity of its source.
    """
    named = {id(plane.image): plane.image for plane in planes} | _with_own_instance(planes)
    studies, series = defaultdict[Hashable, list[int]](list), defaultdict[Hashable, list[int]](list)
    for key, image in named.items():
        folder = folder_of[id(image.source)]
        if not image.study_uid:
            studies[folder, image.patient.study_date].append(key)
        if not image.series_uid:
            # Where these do not tell series of one folder apart, their geometry does when stacks are cut.
            kind = image.patient.study_date, image.series.number, image.series.description
            series[folder, image.study_uid, kind].append(key)
    for members in studies.values():
        uid = _digest("study", *sorted(named[key].instance_uid for key in members))
        named |= {key: replace(named[key], study_uid=uid) for key in members}
    for members in series.values():
        for part in _by_frame_of_reference(members, named):
            uid = _digest("series", *sorted(named[key].instance_uid for key in part))
            named |= {key: replace(named[key], series_uid=uid) for key in part}
    return [p if named[id(p.image)] is p.image else replace(p, image=named[id(p.image)]) for p in planes]


def _by_frame_of_reference(members: list[int], named: Mapping[int, ImageHeader]) -> Iterable[list[int]]:
    """Parts that share a frame of reference; the whole where every image has one of its own."""
    parts: dict[str | None, list[int]] = defaultdict(list)
    for key in members:
        parts[named[key].frame_of_reference_uid].append(key)
    return parts.values() if len(parts) < len(members) else [members]


def _with_own_instance(planes: Sequence[Plane]) -> dict[int, ImageHeader]:
    """Files of series whose one SOP Instance UID stands in every file, each under a name of its own."""
    alike: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        if plane.frame is None:
            alike[plane.image.study_uid, plane.image.series_uid].append(plane)
    return {
        id(plane.image): replace(plane.image, instance_uid=_digest(plane.image.instance_uid, repr(plane.position_mm)))
        for members in alike.values()
        if len(members) >= MIN_SLICES
        and len({plane.image.instance_uid for plane in members}) == 1
        and len({plane.position_mm for plane in members}) == len(members)
        for plane in members
    }


def _digest(*parts: str) -> str:
    return f"{NO_UID}{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"
