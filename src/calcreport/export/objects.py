"""Every DICOM object that was asked for, by file name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from calcreport.export.subject import Subject

FORMATS: Final = ("sr", "seg", "sc")
"""Names used with ``--format`` for objects that need no extra installation."""


def write_objects(
    subject: Subject, formats: Collection[str], *, pictures: Mapping[str, bytes], pdf: bytes | None = None
) -> dict[str, bytes]:
    """Write the DICOM objects of a study.

    Parameters
    ----------
    subject : Subject
        The reported study.
    formats : Collection[str]
        Those of `FORMATS` that are wanted; others are ignored.
    pictures : Mapping[str, bytes]
        PNG by file name relative to the study's folder.
    pdf : bytes | None
        The report as a PDF document; it is wrapped into an object of its own.

    Returns
    -------
    dict[str, bytes]
        Content by file name: ``sr.dcm``, ``seg.dcm`` (not without a lesion), ``sc_….dcm``, ``report_pdf.dcm``.
    """
    raise NotImplementedError
