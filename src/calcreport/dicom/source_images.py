"""Headers of the images a report speaks of, made fit to be copied into new objects.

New objects repeat what the source says of patient and study. Only attributes that those objects need are taken over;
text is decoded and written as UTF-8, a value that breaks the rules of its type is left empty, and an attribute that the
standard wants present (type 2) is there, empty if need be. Pixels are never read.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping
from typing import Final

import pydicom
from pydicom import config, datadict, valuerep
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from calcreport.dicom.codes import problem
from calcreport.dicom.header import values
from calcreport.dicom.header.charsets import decode
from calcreport.dicom.header.image_header import ImageHeader

_TYPE_2: Final = (  # attributes that stand in every object, empty where unknown
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
PATIENT_AND_STUDY: Final = (  # what every new object repeats of its source
    *_TYPE_2,
    "IssuerOfPatientID", "OtherPatientIDs", "PatientBirthTime", "PatientAge", "PatientSize", "PatientWeight",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence", "StudyDescription",
    "StudyInstanceUID",
)  # fmt: skip
_COPIED: Final = (  # attributes of source images that are kept
    *PATIENT_AND_STUDY,
    "SeriesInstanceUID", "SeriesNumber", "Modality", "Laterality", "ImageLaterality", "BodyPartExamined",
    "PatientPosition", "FrameOfReferenceUID", "PositionReferenceIndicator", "SOPClassUID", "SOPInstanceUID",
    "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PatientOrientation", "PixelSpacing",
    "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices", "NumberOfFrames", "Rows", "Columns",
    "LossyImageCompression", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "DimensionOrganizationSequence", "DimensionIndexSequence", "DimensionOrganizationType",
)  # fmt: skip
_TEXT: Final = frozenset(("PN", "LO", "SH", "LT", "ST", "UC", "UT"))  # whose characters Specific Character Set declares
# Kept even where it breaks a rule, or holds several values where one may stand: an identity that was cut, or mended, is
# another identity, and an archive has to read our objects as it read the images.
_KEPT: Final = _TEXT | {"UI"}


class SourceImages:
    """Images of one study by SOP Instance UID, of several the first; a header is read when asked for, and once."""

    def __init__(self, images: Iterable[ImageHeader]) -> None:
        self._images: Mapping[str, ImageHeader] = {image.instance_uid: image for image in reversed(tuple(images))}
        self._read: dict[str, Dataset] = {}

    def __contains__(self, sop_instance_uid: str) -> bool:
        """Whether the image is here."""
        return sop_instance_uid in self._images

    def sop_class_uid(self, sop_instance_uid: str) -> str:
        """SOP Class UID of one image, without reading it again; `KeyError` when there is no such image."""
        return self._images[sop_instance_uid].series.sop_class_uid

    def series_uid(self, sop_instance_uid: str) -> str:
        """Series Instance UID of one image, without reading it again; `KeyError` when there is no such image."""
        return self._images[sop_instance_uid].series_uid

    def header(self, sop_instance_uid: str) -> Dataset:
        """Header of one image, cleaned (see the module), with file meta information as if it had been read from a file.

        Raises `NotDicomError` ``file.damaged`` when the header cannot be read again; `KeyError` when there is no such
        image.
        """
        if sop_instance_uid not in self._read:
            self._read[sop_instance_uid] = _clean(_read(self._images[sop_instance_uid]))
        return self._read[sop_instance_uid]


def _read(image: ImageHeader) -> Dataset:
    """Data set up to the pixels: what the reader walked, parsed again by pydicom."""
    place, tags = image.pixels.place, [*_COPIED, "SpecificCharacterSet"]
    try:
        head = image.source.read(0, image.source.size if place is None else place.offset)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(io.BytesIO(head), stop_before_pixels=True, force=True, specific_tags=tags)
    except Exception as error:  # whatever a parser raises on a damaged header
        raise problem("file.damaged") from error


def _clean(raw: Dataset) -> Dataset:
    clean = Dataset()
    clean.file_meta = FileMetaDataset()
    clean.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    clean.SpecificCharacterSet = "ISO_IR 192"  # UTF-8
    # As it stands in the file, as far as it is ASCII: others are no defined terms.
    declared = raw.get("SpecificCharacterSet") or ""
    charset = "\\".join([declared] if isinstance(declared, str) else declared).encode("ascii", "replace")
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        for keyword in _COPIED:
            element = _valid(raw, keyword, charset)
            if element is not None:
                clean[keyword] = element
            elif keyword in _TYPE_2:
                setattr(clean, keyword, "")
    return clean


def _decoded(raw: Dataset, keyword: str, charset: bytes) -> DataElement:
    """Element whose text is read as everywhere else in calcreport, not by the decoders of pydicom."""
    element = raw.get_item(keyword)
    if not isinstance(element, RawDataElement) or datadict.dictionary_VR(element.tag) not in _TEXT:
        return raw[keyword]
    value = element.value or b""
    if value.isascii() and b"\x1b" not in value:
        return raw[keyword]
    is_name = datadict.dictionary_VR(element.tag) == "PN"
    text = (values.person_name(value, charset) or "") if is_name else decode(value, charset).text
    return convert_raw_data_element(element._replace(value=text.encode()), encoding="utf_8")


def _valid(raw: Dataset, keyword: str, charset: bytes) -> DataElement | None:
    """Element with its text decoded, or ``None`` when it is missing, empty or breaks the rules of its type."""
    try:
        element = _decoded(raw, keyword, charset)
        if element.is_empty:
            return None
        if isinstance(element.value, Sequence):
            return element
        for value in element.value if element.VM > 1 else [element.value]:
            if element.VR not in _KEPT:
                valuerep.validate_value(element.VR, str(value), config.RAISE)
    except Exception:  # noqa: BLE001 - a hostile value fails in many ways, and all mean the same
        return None
    return element
