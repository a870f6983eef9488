"""``report_pdf.dcm``: the PDF report as an object that lies beside the images."""

from __future__ import annotations

import hashlib
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import EncapsulatedPDFStorage

from calcreport.formats.dicom.instance import finish, refer_to, study_header, untroubled
from calcreport.formats.dicom.subject import Subject
from calcreport.model.lesion import CtFindings

_TITLE: Final = "Soft-tissue calcification: draft report, not verified"
_CONCEPT: Final = Code("18748-4", "LN", "Diagnostic imaging report")


def write_pdf_object(subject: Subject, pdf: bytes) -> bytes:
    """Wrap the PDF report into an Encapsulated PDF object, marked as unverified; its source are the images reported.

    Raises `ValueError` when `pdf` is no PDF, `NotDicomError` ``file.damaged`` when the header of an image cannot be
    read again.
    """
    if not pdf.startswith(b"%PDF-"):
        msg = "not a PDF document"
        raise ValueError(msg)
    made = Dataset()
    with untroubled():
        made.SOPClassUID = EncapsulatedPDFStorage
        made.Modality = "DOC"
        made.ConversionType = "WSD"
        made.AcquisitionDateTime = ""
        made.BurnedInAnnotation = "YES"
        made.DocumentTitle = _TITLE
        made.VerificationFlag = "UNVERIFIED"
        made.ConceptNameCodeSequence = [_item(_CONCEPT)]
        made.SourceInstanceSequence = _sources(subject)
        made.MIMETypeOfEncapsulatedDocument = "application/pdf"
        made.EncapsulatedDocumentLength = len(pdf)
        made.EncapsulatedDocument = pdf  # padded to an even length when it is written
    # fonts and layout of a site are no part of the report: what looks different is another instance
    return finish(made, subject, kind="pdf", name=hashlib.sha256(pdf).hexdigest())


def _sources(subject: Subject) -> list[Dataset]:
    """Images that the report speaks of: those that show its lesions, and of radiographs all; never none."""
    uids = [
        place.sop_instance_uid
        for lesion in subject.report.lesions
        for place in (lesion.location.key_image, *lesion.location.films)
        if place is not None
    ]
    if not isinstance(subject.findings, CtFindings):
        uids += [film.reference.sop_instance_uid for film in subject.findings.films]
    known = dict.fromkeys(uid for uid in uids if uid in subject.source)
    return [refer_to(header) for header in [subject.source.header(uid) for uid in known] or [study_header(subject)]]


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
