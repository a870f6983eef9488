"""Every DICOM object that was asked for, by file name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from pydicom.uid import CTImageStorage

from calcreport.formats.dicom.captures import write_captures
from calcreport.formats.dicom.encapsulated_pdf import write_pdf_object
from calcreport.formats.dicom.segmentation import write_film_segmentations, write_segmentation
from calcreport.formats.dicom.structured_report import write_structured_report, write_volumetric_report
from calcreport.formats.dicom.subject import Subject


def load() -> None:
    """Load what writing needs, for a thread of its own: half a second, most of it tables that are read when used."""
    from highdicom.sr import ImageRegion, SourceImageForRegion  # noqa: PLC0415

    image = SourceImageForRegion(CTImageStorage, "2.25.1")
    ImageRegion("POINT", np.zeros((1, 2), dtype=np.float32), image)


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
        files |= _write_segmentations(subject, is_told="sr-volumetric" in formats)
    if "sc" in formats:
        files |= write_captures(subject, pictures)
    if pdf is not None:
        files["report_pdf.dcm"] = write_pdf_object(subject, pdf)
    return files


def _write_segmentations(subject: Subject, *, is_told: bool) -> dict[str, bytes]:
    """Write masks; with `is_told` also the structured report about them, which is nothing without them."""
    if subject.volume is None:
        return write_film_segmentations(subject)
    segmentations: list[bytes] = []
    for index in range(len(subject.volumes)):
        written = write_segmentation(subject, series_index=index, number=len(segmentations) + 1)
        segmentations += [] if written is None else [written]
    if not segmentations:
        return {}
    files = {f"seg_{n}.dcm" if n > 1 else "seg.dcm": content for n, content in enumerate(segmentations, start=1)}
    told = {"sr_seg.dcm": write_volumetric_report(subject, *segmentations)} if is_told else {}
    return files | told
