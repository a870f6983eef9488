"""Captures and documents of every sample study, and all objects of a study together, in a validator's eyes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from PIL import Image

from calcreport.formats.dicom.captures import write_captures
from calcreport.formats.dicom.objects import write_pdf_object
from calcreport.formats.dicom.segmentation import write_film_segmentations, write_segmentation
from calcreport.formats.dicom.structured_report import write_structured_report
from calcreport.formats.dicom.subject import Subject
from calcreport.model.film import FilmFindings

pytestmark = pytest.mark.interop

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())


def with_pictures(subject: Subject) -> tuple[Subject, dict[str, bytes]]:
    """The study with plain pictures under the names that its own would have."""
    buffer = io.BytesIO()
    Image.new("L", (1388, 594), 90).save(buffer, "PNG")
    lesions = tuple(
        lesion.model_copy(
            update={"images": tuple(f"images/{lesion.id}_{n}.png" for n in range(max(1, len(lesion.location.films))))}
        )
        for lesion in subject.report.lesions
    )
    names = ["images/overview.png", *(name for lesion in lesions for name in lesion.images)]
    if isinstance(subject.findings, FilmFindings):
        names += [f"images/film_{number}.png" for number in range(1, len(subject.findings.films) + 1)]
    report = subject.report.model_copy(update={"lesions": lesions})
    return replace(subject, report=report), dict.fromkeys(names, buffer.getvalue())


def write_all(plain: Subject) -> dict[str, bytes]:
    subject, pictures = with_pictures(plain)
    files = {
        "sr.dcm": write_structured_report(subject),
        **write_captures(subject, pictures),
        **write_film_segmentations(subject),
        "report_pdf.dcm": write_pdf_object(subject, b"%PDF-1.7 of no interest here"),
    }
    whole = write_segmentation(subject)
    return files if whole is None else {**files, "seg.dcm": whole}


@pytest.mark.parametrize("name", NAMES)
def test_dciodvfy_finds_no_error(sample: Callable[[str], Subject], dciodvfy, tmp_path: Path, name: str) -> None:
    files = write_all(sample(name))
    assert {"sc_1.dcm", "report_pdf.dcm"} <= set(files)
    for file_name, content in files.items():
        file = tmp_path / file_name
        file.write_bytes(content)
        verdict = dciodvfy(file)
        assert verdict.errors == [], file_name
        assert verdict.code == 0


@pytest.mark.parametrize("name", NAMES)
def test_dcentvfy_finds_all_objects_and_images_agreed(
    sample: Callable[[str], Subject], dcentvfy, tmp_path: Path, name: str
) -> None:
    subject = sample(name)
    files = []
    for file_name, content in write_all(subject).items():
        files.append(tmp_path / file_name)
        files[-1].write_bytes(content)
    for path in sorted((SAMPLES / name).rglob("*.dcm"))[:3]:
        image = pydicom.dcmread(path, stop_before_pixels=True)  # dcentvfy reads no compressed pixels
        files.append(tmp_path / f"source_{path.name}")
        image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        image.save_as(files[-1])
    verdict = dcentvfy(*files)
    assert verdict.errors == []
    assert verdict.code == 0
    told = [line for line in verdict.text.splitlines() if "StudyDescription" in line or "Patient" in line]
    assert told == []


@pytest.mark.parametrize(
    "values",
    [
        dict.fromkeys(
            (
                "StudyID",
                "AccessionNumber",
                "ReferringPhysicianName",
                "PatientBirthDate",
                "StudyTime",
                "StudyDescription",
            )
        ),
        dict.fromkeys(("BodyPartExamined", "Laterality", "PatientSex", "PatientName", "PatientID")),
        {"StudyInstanceUID": "1.2." + "3" * 60, "SeriesInstanceUID": "1.2." + "4" * 60},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Жук^Анна=山田^花子=やまだ^はなこ"},
        {"PatientName": "</b>|^~&{{7*7}}", "PatientID": "../../etc/passwd", "BodyPartExamined": "NOWHERE"},
    ],
)
@pytest.mark.parametrize("name", ["phleboliths_thigh", "rim_mass_thigh_films"])
def test_headers_of_every_kind_give_valid_objects(
    analyse, edited, dciodvfy, tmp_path: Path, name: str, values: dict
) -> None:
    subject = analyse(edited(name, **values))
    for file_name, content in write_all(subject).items():
        file = tmp_path / f"written_{file_name}"
        file.write_bytes(content)
        assert dciodvfy(file).errors == [], file_name
        for keyword, value in values.items():
            if value is not None and keyword.startswith(("Patient", "Study")):
                assert str(pydicom.dcmread(file)[keyword].value) == value
