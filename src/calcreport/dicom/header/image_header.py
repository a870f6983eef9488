"""What is kept of a file's header: plain types; pixels stay in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from calcreport.dicom.header import tags, values
from calcreport.dicom.header.elements import Item, PixelPlace
from calcreport.dicom.source import ByteSource

# Manufacturer and model of every object we write: what we, and routers, recognise our own results by.
MAKER: Final = "calcreport"
# Begins the name that stands for a missing Study, Series or SOP Instance UID; a digest of the content follows.
NO_UID: Final = "no-uid-"


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelDescription:
    """How pixels are stored, as the header says; ``None`` where it is silent or malformed."""

    transfer_syntax: str
    rows: int | None
    columns: int | None
    frames: int | None
    samples: int | None
    photometric: str | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    representation: int | None
    padding: int | None  # this and its limit: raw 16 bits, unsigned; their meaning follows `representation`
    padding_limit: int | None
    place: PixelPlace | None  # where the pixel data lie; ``None`` without any
    is_big_endian: bool = False  # byte order of native pixels
    derived: tuple[str, ...] = ()  # attributes the header leaves out and that follow from others; filled in here


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientHeader:
    """Patient and study attributes of one file; compared between files, so equal headers are one object mostly."""

    patient_id: str | None
    name: str | None
    birth_date: str | None
    sex: str | None
    age_years: float | None
    study_date: str | None
    study_description: str | None
    accession_number: str | None
    patient_id_issuer: str | None = None
    age_note: str = ""
    name_note: str | None = None  # sentence on a name not written in the declared character set; no patient data

    def __repr__(self) -> str:
        """Hide the identity from logs and tracebacks."""
        return "PatientHeader(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """Attributes that describe how a series was made; the same for all files of most series."""

    modality: str
    sop_class_uid: str
    number: int | None
    description: str | None
    protocol: str | None
    manufacturer: str | None
    model: str | None
    body_part: str | None
    laterality: str | None
    kvp: float | None
    patient_position: str | None
    contrast_agent: str | None
    contrast_route: str | None
    has_contrast_amount: bool
    is_multi_energy: bool
    acquisition_type: str | None
    volume_technique: str | None
    derivation: str | None
    is_lossy: bool
    lossy_ratio: float | None
    is_burned_in: bool

    @property
    def is_own_result(self) -> bool:
        """Whether it is something we wrote: a report that came back with its study must not change the next one."""
        return (self.manufacturer or "").strip().lower() == MAKER


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageHeader:
    """One file: identity, pixel description, and where its bytes are; a UID is empty where the file has none."""

    source: ByteSource
    study_uid: str
    series_uid: str
    instance_uid: str
    frame_of_reference_uid: str | None
    instance_number: int | None
    patient: PatientHeader = field(repr=False)
    series: SeriesHeader = field(repr=False)
    pixels: PixelDescription

    @property
    def lacks_identity(self) -> bool:
        """Whether a name of ours stands for one of its UIDs: no DICOM object can refer to it."""
        return any(uid.startswith(NO_UID) for uid in (self.study_uid, self.series_uid, self.instance_uid))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """One slice: a single-frame file, or one frame of a multi-frame file; ``None`` where missing or malformed."""

    image: ImageHeader = field(repr=False)
    frame: int | None  # 1-based frame number; ``None`` in a single-frame file
    position_mm: tuple[float, ...] | None  # centre of the first pixel, LPS mm
    orientation: tuple[float, ...] | None  # direction of increasing column index, then of increasing row index, LPS
    spacing_mm: tuple[float, ...] | None  # distance between rows, between columns
    thickness_mm: float | None
    spacing_between_mm: float | None  # Spacing Between Slices: only compared, never used
    slope: float | None
    intercept: float | None
    rescale_type: str | None
    image_type: tuple[str, ...]
    kernel: str | None
    volumetric: str | None
    phase: tuple[tuple[str, bytes], ...]  # attributes that may tell phases at one position apart: name and value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmHeader:
    """One radiograph that may be read."""

    image: ImageHeader = field(repr=False)
    item: Item = field(repr=False)  # raw attributes of `tags.FILM_WANTED`
    notes: tuple[str, ...] = ()  # what was found while sorting; no patient data

    def raw(self, tag: int) -> bytes | None:
        """Value of an attribute of the data set as it stands in the file, or ``None``."""
        return self.item.values.get(tag)

    def word(self, tag: int) -> str | None:
        """Coded string of an attribute, in capitals and cleaned, or ``None`` when it is empty."""
        return values.keyword(self.raw(tag))

    @property
    def image_type(self) -> tuple[str, ...]:
        """Image Type."""
        return values.keywords(self.raw(tags.IMAGE_TYPE))

    @property
    def is_for_processing(self) -> bool:
        """Whether it is the detector's unprocessed image, by its storage class or by its Presentation Intent Type."""
        is_class = self.image.series.sop_class_uid == tags.DX_FOR_PROCESSING
        return is_class or self.word(tags.PRESENTATION_INTENT) == "FOR PROCESSING"
