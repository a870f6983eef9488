"""``sc_….dcm``: key images as secondary captures, for a PACS that shows no segmentation and no structured report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from calcreport.compose import film_image_name
from calcreport.dicom.header.image_header import MAKER
from calcreport.formats.code_table import unpaired_parts
from calcreport.formats.dicom.capture_pictures import draw_film_capture, draw_lesion_capture, draw_summary
from calcreport.formats.dicom.damage import other_images
from calcreport.formats.dicom.instance import SERIES_NUMBERS, finish, refer_to, study_header, untroubled
from calcreport.formats.dicom.subject import Subject
from calcreport.model.film import FilmFindings
from calcreport.model.report import Laterality, Lesion

_SIDES: Final = {Laterality.LEFT: "L", Laterality.RIGHT: "R"}
_WHAT: Final = {
    "summary": "Summary of measurements and red flags",
    "lesion": "Key image with outline, measurements and red flags burned in",
    "film": "Radiograph with outlines burned in",
}


def write_captures(subject: Subject, pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Write the secondary captures, colour, patient-free but for the header; Instance Number as in the name.

    ``sc_1.dcm`` is the summary, then each key image of each lesion, then whole radiographs. A picture that `pictures`
    (PNG by file name relative to the study's folder) lacks is left out. Raises `NotDicomError` ``file.damaged`` when
    the header of an image cannot be read again, `UsageError` ``render.other_images`` when the study lacks an image of
    the report.
    """
    side = _side(subject)
    return {
        f"sc_{number}.dcm": _write(subject, picture, kind, sources, side=side, number=number)
        for number, (kind, picture, sources) in enumerate(_draw(subject, pictures), start=1)
    }


def _draw(subject: Subject, pictures: Mapping[str, bytes]) -> Iterator[tuple[str, Image.Image, list[str]]]:
    """Kind, picture and source images of each capture, in order."""
    report, statements = subject.report, subject.statements
    lesions = report.lesions
    of_lesions = [(lesion, name) for lesion in lesions for name in lesion.images if name in pictures]
    yield "summary", draw_summary(subject, pictures), [uid for lesion in lesions for uid in _images_of(lesion)[:1]]
    for lesion, name in of_lesions:
        uids = _images_of(lesion)
        view = lesion.images.index(name)
        yield (
            "lesion",
            draw_lesion_capture(pictures[name], lesion, report, statements),
            uids[view : view + 1],
        )
    if isinstance(subject.findings, FilmFindings):
        for number, film in enumerate(subject.findings.films, start=1):
            content = pictures.get(film_image_name(number))
            if content is not None:
                yield (
                    "film",
                    draw_film_capture(content, report, statements),
                    [film.reference.sop_instance_uid],
                )


def _images_of(lesion: Lesion) -> list[str]:
    """SOP Instance UIDs of the images that its pictures were drawn from, one a picture."""
    place = lesion.location
    if place.films:
        return [film.sop_instance_uid for film in place.films]
    return [place.key_image.sop_instance_uid] if place.key_image else []


def _write(subject: Subject, picture: Image.Image, kind: str, sources: list[str], *, side: str, number: int) -> bytes:
    from highdicom.sc import SCImage  # noqa: PLC0415 - slow to import

    header, revision = study_header(subject), subject.revision
    # wording and drawing are no part of the report: what looks different is another instance
    name = f"{number} {hashlib.sha256(picture.tobytes()).hexdigest()}"
    with untroubled():
        made: Dataset = SCImage(
            pixel_array=np.asarray(picture),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            study_instance_uid=header.StudyInstanceUID,
            series_instance_uid=revision.series_uid("sc"),
            series_number=SERIES_NUMBERS["sc"],
            sop_instance_uid=revision.instance_uid("sc", name),
            instance_number=number,
            manufacturer=MAKER,
            patient_orientation=("L", "P"),
        )
        made.PatientOrientation = ""  # several panels: the letters are in the picture
        made.ConversionType = "WSD"
        made.BurnedInAnnotation = "YES"
        made.DerivationDescription = f"{_WHAT[kind]} by {MAKER} {subject.report.software.version}; draft, not verified"
        made.DateOfSecondaryCapture = revision.created.strftime("%Y%m%d")
        made.TimeOfSecondaryCapture = revision.created.strftime("%H%M%S")
        made.LossyImageCompression = header.get("LossyImageCompression") or "00"
        part = header.get("BodyPartExamined")
        if part:
            made.BodyPartExamined = part
        if (
            part not in unpaired_parts()
        ):  # of a paired part the side has to be there, if only empty; of others it must not
            made.Laterality = side
        if sources:
            made.SourceImageSequence = [_reference(subject, uid) for uid in dict.fromkeys(sources)]
    return finish(made, subject, kind="sc", number=number, name=name)


def _reference(subject: Subject, uid: str) -> Dataset:
    if uid not in subject.source:
        raise other_images()
    return refer_to(subject.source.header(uid))


def _side(subject: Subject) -> str:
    """Side of the whole series: that of all lesions, else of the header; empty where they differ or none is stated."""
    header = study_header(subject)
    told = {_SIDES.get(lesion.location.laterality, "") for lesion in subject.report.lesions}
    stated = header.get("Laterality") or header.get("ImageLaterality")
    if told <= {""}:
        return stated if stated in {"L", "R"} else ""
    side = told.pop() if len(told) == 1 else ""
    return "" if stated in {"L", "R"} and stated != side else side
