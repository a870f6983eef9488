"""Which files of a study's results are the DICOM objects, in the order in which they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import ObjectKind
from calcreport.service.adapters import Delivery

_ORDER: tuple[ObjectKind, ...] = ("seg", "sc", "pdf", "sr")
"""The report comes last: whoever is told of it finds what it refers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectIdentity:
    """What an object is, from its file meta information."""

    class_uid: str
    instance_uid: str
    syntax_uid: str


def identity_of(path: Path) -> ObjectIdentity:
    """Read what an object of ours is.

    Raises `DeliveryError` ``delivery.damaged``: it is no DICOM file; a new analysis makes it anew.
    """
    try:
        meta = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
        return ObjectIdentity(
            class_uid=UID(meta.MediaStorageSOPClassUID),
            instance_uid=UID(meta.MediaStorageSOPInstanceUID),
            syntax_uid=UID(meta.TransferSyntaxUID),
        )
    except (InvalidDicomError, AttributeError) as error:
        msg = "an object among the results is damaged; analyse the study again"
        raise DeliveryError(msg, code="delivery.damaged", is_retryable=False) from error


def objects_of(delivery: Delivery, kinds: Sequence[ObjectKind]) -> list[Path]:
    """DICOM objects of some kinds among the results; none of a study that was refused."""
    if delivery.folder is None:
        return []
    found = [path for path in sorted(delivery.folder.glob("*.dcm")) if path.is_file() and not path.is_symlink()]
    return [path for kind in _ORDER if kind in kinds for path in found if _kind(path.name) == kind]


def _kind(name: str) -> ObjectKind:
    """Kind of an object by its file name, as `calcreport.formats.dicom.objects.write_objects` gives them."""
    if name.startswith("seg"):
        return "seg"
    if name.startswith("sc_"):
        return "sc"
    return "pdf" if name.startswith("report_pdf") else "sr"
