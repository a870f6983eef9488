"""The PDF report as a DICOM object."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from calcreport.formats.dicom.instance import untroubled
from calcreport.formats.dicom.objects import write_pdf_object

sys.path.append(str(Path(__file__).parent))

import made_subjects as made

CELLS = np.ones((1, 2, 2), bool)
PDF = b"%PDF-1.7\nanything"


@pytest.mark.parametrize("document", [PDF, PDF + b"x"])
def test_the_document_comes_back_whole(document: bytes) -> None:
    content = write_pdf_object(made.ct_subject(made.volume_of((3, 4, 4)), [(CELLS, None)]), document)
    file = pydicom.dcmread(io.BytesIO(content))
    stored = file.EncapsulatedDocument
    assert len(stored) % 2 == 0
    assert stored[: file.EncapsulatedDocumentLength] == document
    assert stored[file.EncapsulatedDocumentLength :] in {b"", b"\0"}
    assert file.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert file.VerificationFlag == "UNVERIFIED"
    assert "not verified" in file.DocumentTitle
    assert file.BurnedInAnnotation == "YES"


def test_it_names_the_images_it_was_made_from() -> None:
    shadow = np.ones((2, 2), bool)
    subject = made.film_subject([[shadow], []])
    file = pydicom.dcmread(io.BytesIO(write_pdf_object(subject, PDF)))
    films = [film.reference.sop_instance_uid for film in subject.findings.films]
    assert [item.ReferencedSOPInstanceUID for item in file.SourceInstanceSequence] == films
    nothing = made.ct_subject(made.volume_of((3, 4, 4)), [])
    file = pydicom.dcmread(io.BytesIO(write_pdf_object(nothing, PDF)))
    assert [item.ReferencedSOPInstanceUID for item in file.SourceInstanceSequence] == [made.slice_uid(1)]


def test_another_document_about_the_same_draft_is_another_instance() -> None:
    subject = made.ct_subject(made.volume_of((3, 4, 4)), [(CELLS, None)])
    uids = [
        pydicom.dcmread(io.BytesIO(write_pdf_object(subject, document))).SOPInstanceUID
        for document in (PDF, PDF, PDF + b"x")
    ]
    assert uids[0] == uids[1] != uids[2]


def test_what_is_no_pdf_is_not_wrapped() -> None:
    with pytest.raises(ValueError, match="PDF"):
        write_pdf_object(made.ct_subject(made.volume_of((3, 4, 4)), []), b"<html>")


def test_patient_and_study_are_those_of_the_source_to_the_letter() -> None:
    volume = made.volume_of((3, 4, 4))
    told = {"PatientName": "Жук^Анна=山田^花子", "PatientID": "1\\2", "StudyInstanceUID": "1." + "2" * 62,
            "StudyDescription": "<script>", "PatientSex": "?"}  # fmt: skip
    headers = {made.slice_uid(i): made.header(made.slice_uid(i), **told) for i in range(3)}
    content = write_pdf_object(made.ct_subject(volume, [], headers=headers), PDF)
    with untroubled():
        file = pydicom.dcmread(io.BytesIO(content))
        assert str(file.PatientName) == told["PatientName"]
        assert str(file.StudyInstanceUID) == told["StudyInstanceUID"]
        assert file.StudyDescription == told["StudyDescription"]
        assert file.PatientSex == ""
        assert file.SpecificCharacterSet == "ISO_IR 192"
    assert content == write_pdf_object(made.ct_subject(volume, [], headers=headers), PDF)
