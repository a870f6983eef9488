"""Every DICOM object that was asked for, by file name, and ``report_pdf.dcm`` around the PDF report."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage

from calcreport.formats.dicom.captures import write_captures
from calcreport.formats.dicom.instance import finish, refer_to, study_header, untroubled
from calcreport.formats.dicom.segmentation import write_film_segmentations, write_segmentation
from calcreport.formats.dicom.structured_report import write_structured_report, write_volumetric_report
from calcreport.formats.dicom.subject import Subject
from calcreport.model.lesion import CtFindings

_TITLE: Final = "Soft-tissue calcification: draft report, not verified"  # of the document
_CONCEPT: Final = Code("18748-4", "LN", "Diagnostic imaging report")  # what the document is


def write_pdf_object(subject: Subject, pdf: bytes) -> bytes:
    """Wrap the PDF report into an Encapsulated PDF object, marked as unverified; its source are the images reported.

    Raises `ValueError` when `pdf` is no PDF.
    """
    if not pdf.startswith(b"%PDF-"):
        msg = "not a PDF document"
        raise ValueError(msg)
    made, concept = Dataset(), Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning, _ = _CONCEPT
    with untroubled():
        made.SOPClassUID = EncapsulatedPDFStorage
        made.Modality = "DOC"
        made.ConversionType = "WSD"
        made.AcquisitionDateTime = ""
        made.BurnedInAnnotation = "YES"
        made.DocumentTitle = _TITLE
        made.VerificationFlag = "UNVERIFIED"
        made.ConceptNameCodeSequence = [concept]
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


def load() -> None:
    """Load what writing needs, for a thread of its own: half a second, most of it tables that are read when used."""
    image = sr.SourceImageForRegion(CTImageStorage, "2.25.1")
    sr.ImageRegion("POINT", np.zeros((1, 2), dtype=np.float32), image)


def write_objects(
    subject: Subject, formats: Collection[str], *, pictures: Mapping[str, bytes], pdf: bytes | None = None
) -> dict[str, bytes]:
    """Write the DICOM objects of a study, by file name.

    ``sr.dcm``, ``seg.dcm`` (not without a lesion; one a measured series or film), ``sc_1.dcm`` and so on,
    ``sr_seg.dcm`` (CT with a lesion only), ``report_pdf.dcm`` around the document `pdf`. Formats other than those of
    `calcreport.formats.OBJECTS` are ignored; `pictures` are PNG by file name relative to the study's folder.
    """
    files: dict[str, bytes] = {}
    if "sr" in formats:
        files["sr.dcm"] = write_structured_report(subject)
    if not {"seg", "sr-volumetric"}.isdisjoint(formats):
        files |= _write_segmentations(subject, with_report="sr-volumetric" in formats)
    if "sc" in formats:
        files |= write_captures(subject, pictures)
    if pdf is not None:
        files["report_pdf.dcm"] = write_pdf_object(subject, pdf)
    return files


def _write_segmentations(subject: Subject, *, with_report: bool) -> dict[str, bytes]:
    """Write masks; with `with_report` also the structured report about them, which is nothing without them."""
    if subject.volume is None:
        return write_film_segmentations(subject)
    written: list[bytes] = []
    for index in range(len(subject.volumes)):
        segmentation = write_segmentation(subject, series_index=index, number=len(written) + 1)
        written += [] if segmentation is None else [segmentation]
    files = {f"seg_{n}.dcm" if n > 1 else "seg.dcm": content for n, content in enumerate(written, start=1)}
    return files | ({"sr_seg.dcm": write_volumetric_report(subject, *written)} if with_report and written else {})
