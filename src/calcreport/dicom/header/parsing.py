"""Bytes of a file's head to its header; every encoding of data elements, whatever the file claims."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from calcreport.dicom.codes import problem
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.elements import Encoding, Item, MoreNeeded, PixelPlace, Walker, looks_explicit
from calcreport.dicom.header.image_header import (
    NO_UID,
    ImageHeader,
    PatientHeader,
    PixelDescription,
    Plane,
    SeriesHeader,
)
from calcreport.dicom.source import ByteSource, DeflatedSource

HEAD_BYTES: Final = 16_384
"""Read first: holds the header of most CT files; more is read when it does not."""
_LARGEST_HEADER: Final = 268_435_456
"""Largest header walked, bytes: an enhanced CT of 4000 frames has some 10 MB."""
_META_GROUP: Final = b"\x02\x00"  # group 0002, little-endian
_PREAMBLE: Final = 128  # bytes
_META_WANTED: Final = frozenset((0x00020002, 0x00020010))  # SOP class, transfer syntax
_TRANSFER_SYNTAX: Final = 0x00020010  # Transfer Syntax UID
_PHASES: Final = (
    ("temporal position", 0x00200100),
    ("temporal position", 0x00209128),
    ("acquisition number", 0x00200012),
    ("acquisition number", 0x00209156),
    ("cardiac phase", 0x00209241),
    ("trigger time", 0x00181060),
    ("stack", 0x00209056),
    ("contrast agent", tags.CONTRAST_AGENT),
    ("tube voltage", tags.KVP),
    ("slice thickness", tags.SLICE_THICKNESS),
    ("acquisition time", tags.ACQUISITION_TIME),
    ("acquisition time", tags.ACQUISITION_DATE_TIME),
    ("content time", tags.CONTENT_TIME),
)  # attributes that tell phases at one position apart
# Fields of patient and study.
_PATIENT: Final = {
    "identity": 0x00100020,
    "name": 0x00100010,
    "birth": 0x00100030,
    "sex": 0x00100040,
    "age": 0x00101010,
    "study_date": 0x00080020,
    "study_description": 0x00081030,
    "accession": 0x00080050,
    "issuer": 0x00100021,
    "charset": tags.CHARSET,
}
_SERIES_TEXTS: Final = {
    "description": 0x0008103E,
    "protocol": 0x00181030,
    "manufacturer": 0x00080070,
    "model": 0x00081090,
    "derivation": tags.DERIVATION,
}  # free texts of a series
_SERIES_WORDS: Final = {
    "body_part": 0x00180015,
    "patient_position": 0x00185100,
    "acquisition_type": tags.ACQUISITION_TYPE,
    "volume_technique": 0x00089207,
}  # coded words of a series
_AMOUNTS: Final = (0x00181041, 0x00181042, 0x00181044)
"""Volume, start time and total dose of the contrast medium."""
_SERIES: Final = (
    *_SERIES_TEXTS.values(), *_SERIES_WORDS.values(), *_AMOUNTS, tags.MODALITY, tags.SOP_CLASS, tags.SERIES_NUMBER,
    tags.LATERALITY, tags.IMAGE_LATERALITY, tags.KVP, tags.CONTRAST_AGENT, tags.CONTRAST_ROUTE,
    tags.CONTRAST_INGREDIENT, tags.MULTI_ENERGY, tags.LOSSY, tags.LOSSY_RATIO, tags.BURNED_IN, tags.CHARSET,
)  # fmt: skip
"""Attributes that are the same in all files of most series."""
_PIXEL_NUMBERS: Final = {
    "samples": 0x00280002,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "high_bit": 0x00280102,
    "representation": 0x00280103,
    "padding": 0x00280120,
    "padding_limit": 0x00280121,
}  # fields of the pixel description
# Every attribute read of a CT image.
_WANTED: Final = tags.WANTED.union((tag for _name, tag in _PHASES), _PATIENT.values(), _SERIES, _PIXEL_NUMBERS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is kept of a data set: attributes, sequences, and how many bytes of one value."""

    wanted: frozenset[int] = _WANTED
    nested: frozenset[int] = tags.NESTED
    longest: int = 1024


_CT_SELECTION: Final = Selection()  # what is kept of a CT image


def read_header(
    source: ByteSource, head: bytes, *, inflate_limit: int, may_lack_uids: bool = False
) -> tuple[ImageHeader, Item]:
    """Parse the header of a DICOM file, and give the items it was read from (for `planes_of`).

    `head` is the first bytes, at least the preamble and the file meta information when it has them; a deflated data set
    may grow to `inflate_limit` bytes. With `may_lack_uids` Study, Series and SOP Instance UID may be blank, as some
    software that hides identities leaves them.

    Raises `NotDicomError` ``file.not_dicom``, ``file.damaged``, ``file.truncated``, ``file.nested_too_deep``,
    ``file.no_uid``, ``file.deflate``, ``file.dicomdir``.
    """
    syntax, offset, storage_class = _meta(head, source.size)
    if storage_class == tags.DICOMDIR:
        raise problem("file.dicomdir")
    if syntax == tags.DEFLATED:
        source = DeflatedSource(source, offset, inflate_limit)
        item, place, encoding = _inflated(source, _CT_SELECTION)
    else:
        item, place, encoding = _data_set(source, head, offset, syntax, _CT_SELECTION)
    if storage_class and not values.strip(item.values.get(tags.SOP_CLASS, b"")) and item.values:
        item.values[tags.SOP_CLASS] = storage_class.encode()  # blanked with the UIDs; the file meta header still has it
    image = _image(source, item, place, syntax or (tags.EXPLICIT if encoding.is_explicit else tags.IMPLICIT), encoding)
    if not may_lack_uids and not (image.study_uid and image.series_uid and image.instance_uid):
        raise problem("file.no_uid")
    if not image.instance_uid:
        content = hashlib.sha256(head + repr(sorted(item.values.items())).encode()).hexdigest()
        image = replace(image, instance_uid=f"{NO_UID}{content[:24]}")
    return image, item


def walk_again(image: ImageHeader, kept: Selection) -> Item:
    """Other attributes of a file whose header was read; errors as for `read_header`."""
    source = image.source
    if isinstance(source, DeflatedSource):
        return _inflated(source, kept)[0]
    head = source.read(0, min(source.size, HEAD_BYTES))
    syntax, offset, _storage_class = _meta(head, source.size)
    return _data_set(source, head, offset, syntax, kept)[0]


def meta_end(head: bytes) -> int:
    """Offset of the data set: where the file meta information ends.

    Raises `NotDicomError` ``file.not_dicom`` or ``file.damaged``.
    """
    if head[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        offset = _PREAMBLE + 4
    elif head[:2] == _META_GROUP or (head[:2] == b"\x08\x00" and head[3:4] == b"\0"):
        offset = 0
    else:
        raise problem("file.not_dicom")
    end = offset
    while head[end : end + 2] == _META_GROUP and end + 12 <= len(head):
        is_long = head[end + 4 : end + 6] in (b"OB", b"UN", b"OW", b"SQ", b"UT")
        length = int.from_bytes(head[end + 8 : end + 12] if is_long else head[end + 6 : end + 8], "little")
        end += (12 if is_long else 8) + length
    if end == offset and offset:
        raise problem("file.damaged", "no file meta information")
    return end


def _meta(head: bytes, size: int) -> tuple[str | None, int, str | None]:
    """Transfer syntax (``None`` when not stated), offset of the data set, media storage class."""
    end = meta_end(head)
    if end == 0:
        return None, 0, None
    if end > len(head):
        raise problem("file.truncated" if end > size else "file.damaged")
    walker = Walker(head[:end], size=end, encoding=Encoding(is_explicit=True), wanted=_META_WANTED, nested=frozenset())
    item = walker.walk(_PREAMBLE + 4 if head[_PREAMBLE : _PREAMBLE + 4] == b"DICM" else 0)
    return (
        values.uid(item.values.get(_TRANSFER_SYNTAX)),
        end,
        values.uid(item.values.get(0x00020002)),
    )


def _data_set(
    source: ByteSource, head: bytes, offset: int, syntax: str | None, kept: Selection
) -> tuple[Item, PixelPlace | None, Encoding]:
    is_big = syntax == tags.BIG_ENDIAN
    encoding = Encoding(is_explicit=looks_explicit(head, offset), is_big_endian=is_big)
    while True:
        walker = _walker(head, source.size, encoding, kept)
        try:
            item = walker.walk(offset)
        except MoreNeeded as more:
            head = _longer(source, head, more.size)
        else:
            return item, walker.pixels, encoding


def _longer(source: ByteSource, head: bytes, needed: int) -> bytes:
    """Head that holds at least `needed` bytes, doubled so that a long header costs few reads."""
    if needed > _LARGEST_HEADER:
        raise problem("file.damaged", "the header is too large")
    length = min(source.size, max(needed + HEAD_BYTES, 2 * len(head)))
    return head + source.read(len(head), length - len(head))


def _walker(head: bytes, size: int, encoding: Encoding, kept: Selection) -> Walker:
    return Walker(head, size=size, encoding=encoding, wanted=kept.wanted, nested=kept.nested, longest=kept.longest)


def _inflated(source: DeflatedSource, kept: Selection) -> tuple[Item, PixelPlace | None, Encoding]:
    length = HEAD_BYTES
    while True:
        head = source.head(length)
        is_complete = len(head) < length
        size = len(head) if is_complete else source.size
        walker = _walker(head, size, Encoding(is_explicit=True), kept)
        try:
            item = walker.walk(0)
        except MoreNeeded as more:
            if more.size > _LARGEST_HEADER:
                raise problem("file.damaged", "the header is too large") from None
            length = max(2 * length, more.size)
        else:
            return item, walker.pixels, Encoding(is_explicit=True)


def _image(source: ByteSource, item: Item, place: PixelPlace | None, syntax: str, encoding: Encoding) -> ImageHeader:
    raw = item.values
    if values.uid(raw.get(tags.SOP_CLASS)) == tags.DICOMDIR:
        raise problem("file.dicomdir")
    if not raw:
        raise problem("file.not_dicom")
    study, series, instance = (_uid(raw.get(tag)) for tag in (tags.STUDY_UID, tags.SERIES_UID, tags.SOP_INSTANCE))
    return ImageHeader(
        source=source,
        study_uid=study,
        series_uid=series,
        instance_uid=instance,
        frame_of_reference_uid=values.uid(raw.get(tags.FRAME_OF_REFERENCE)),
        instance_number=values.integer(raw.get(tags.INSTANCE_NUMBER)),
        patient=_patient(tuple(raw.get(tag) for tag in _PATIENT.values())),
        series=_series(tuple(raw.get(tag) for tag in _SERIES), _agents(item), syntax),
        pixels=_pixels(raw, place, syntax, is_big=encoding.is_big_endian),
    )


def _uid(raw: bytes | None) -> str:
    """UID, or empty text where there is none; one that is malformed is refused, it may be damage."""
    uid = values.uid(raw)
    if uid is None and values.strip(raw or b""):
        raise problem("file.no_uid")
    return uid or ""


@lru_cache(maxsize=256)
def _patient(raw: tuple[bytes | None, ...]) -> PatientHeader:
    of = dict(zip(_PATIENT, raw, strict=True))
    name, charset, study_date = of["name"], of["charset"], values.day(of["study_date"])
    at_study = values.age_at_study(of["age"], values.day(of["birth"]), study_date)
    return PatientHeader(
        patient_id=values.identifier(of["identity"], charset),
        name=values.person_name(name, charset),
        birth_date=at_study.birth_date,
        sex=values.sex(of["sex"]),
        age_years=at_study.years,
        age_note=at_study.note,
        study_date=study_date,
        study_description=values.text(of["study_description"], charset),
        accession_number=values.identifier(of["accession"], charset),
        patient_id_issuer=values.identifier(of["issuer"], charset),
        name_note=values.name_note(name, charset),
    )


def _agents(item: Item) -> tuple[tuple[bytes, bytes], ...]:
    """Meaning of agent and route of each item of the Contrast/Bolus Agent Sequence; empty where none is coded."""
    return tuple(
        (
            agent.values.get(tags.CODE_MEANING, b""),
            b" ".join(
                route.values.get(tags.CODE_MEANING, b"") for route in agent.sequences.get(tags.CONTRAST_ROUTES, [])
            ),
        )
        for agent in item.sequences.get(tags.CONTRAST_AGENTS, [])
    )


def _joined(attribute: bytes | None, coded: list[bytes], charset: bytes | None) -> str | None:
    return values.text(b" ".join(filter(None, (attribute, *coded))), charset)


def _is_amount(raw: bytes | None) -> bool:
    """Whether a volume, dose or time is more than the zeros some scanners write without contrast."""
    return bool(raw and raw.strip(b" \0").isascii() and any(c in raw for c in b"123456789"))


@lru_cache(maxsize=1024)
def _series(raw: tuple[bytes | None, ...], agents: tuple[tuple[bytes, bytes], ...], syntax: str) -> SeriesHeader:
    of = dict(zip(_SERIES, raw, strict=True))
    charset = of[tags.CHARSET]
    ratios = [values.decimal(part) for part in (of[tags.LOSSY_RATIO] or b"").split(b"\\")]
    return SeriesHeader(
        **{name: values.text(of[tag], charset) for name, tag in _SERIES_TEXTS.items()},
        **{name: values.keyword(of[tag]) for name, tag in _SERIES_WORDS.items()},
        modality=values.keyword(of[tags.MODALITY]) or "",
        sop_class_uid=values.uid(of[tags.SOP_CLASS]) or "",
        number=values.integer(of[tags.SERIES_NUMBER]),
        laterality=values.keyword(of[tags.IMAGE_LATERALITY]) or values.keyword(of[tags.LATERALITY]),
        kvp=values.decimal(of[tags.KVP]),
        contrast_agent=_joined(
            of[tags.CONTRAST_AGENT] or of[tags.CONTRAST_INGREDIENT], [a for a, _ in agents], charset
        ),
        contrast_route=_joined(of[tags.CONTRAST_ROUTE], [route for _, route in agents], charset),
        has_contrast_amount=any(_is_amount(of[tag]) for tag in _AMOUNTS) or any(not any(agent) for agent in agents),
        is_multi_energy=values.keyword(of[tags.MULTI_ENERGY]) == "YES",
        is_lossy=values.strip(of[tags.LOSSY] or b"") == b"01" or syntax in tags.LOSSY_SYNTAXES,
        lossy_ratio=max((r for r in ratios if r is not None), default=None),
        is_burned_in=values.keyword(of[tags.BURNED_IN]) == "YES",
    )


def _pixels(raw: dict[int, bytes], place: PixelPlace | None, syntax: str, *, is_big: bool) -> PixelDescription:
    of = {name: values.unsigned_16(raw.get(tag), is_big_endian=is_big) for name, tag in _PIXEL_NUMBERS.items()}
    photometric, derived = values.keyword(raw.get(tags.PHOTOMETRIC)), []
    if of["bits_stored"] and not raw.get(_PIXEL_NUMBERS["high_bit"]):
        of["high_bit"] = of["bits_stored"] - 1  # PS3.5 8.1.1
        derived.append("High Bit")
    elif of["high_bit"] and not raw.get(_PIXEL_NUMBERS["bits_stored"]):
        of["bits_stored"] = of["high_bit"] + 1
        derived.append("Bits Stored")
    if photometric in tags.GREY and not raw.get(_PIXEL_NUMBERS["samples"]):
        of["samples"] = 1  # PS3.3 C.7.6.3.1.2
        derived.append("Samples per Pixel")
    return PixelDescription(
        **of,
        transfer_syntax=syntax,
        frames=values.integer(raw[tags.FRAMES]) if tags.FRAMES in raw else 1,
        photometric=photometric,
        place=place,
        is_big_endian=is_big,
        derived=tuple(derived),
    )


def plane_of(image: ImageHeader, item: Item, *, frame: int | None = None) -> Plane:
    """Make the slice that `item` describes: a single-frame data set, or all attributes of one frame."""
    raw = item.values
    return Plane(
        image=image,
        frame=frame,
        position_mm=values.decimals(raw.get(tags.POSITION), 3),
        orientation=values.decimals(raw.get(tags.ORIENTATION), 6),
        spacing_mm=values.decimals(raw.get(tags.PIXEL_SPACING), 2),
        thickness_mm=values.decimal(raw.get(tags.SLICE_THICKNESS)),
        spacing_between_mm=values.decimal(raw.get(tags.SPACING_BETWEEN)),
        slope=values.decimal(raw.get(tags.SLOPE)),
        intercept=values.decimal(raw.get(tags.INTERCEPT)),
        rescale_type=values.keyword(raw.get(tags.RESCALE_TYPE)),
        image_type=values.keywords(raw.get(tags.FRAME_TYPE) or raw.get(tags.IMAGE_TYPE)),
        kernel=values.text(raw.get(tags.KERNEL), longest=32),
        volumetric=values.keyword(raw.get(tags.VOLUMETRIC)),
        phase=tuple((name, values.strip(raw[tag])) for name, tag in _PHASES if tag in raw),
    )


_FROM_DATA_SET: Final = (tags.IMAGE_TYPE, tags.VOLUMETRIC, tags.ACQUISITION_DATE_TIME, tags.KERNEL)
"""Attributes taken from the data set itself where no functional group states them."""


def planes_of(image: ImageHeader, item: Item) -> tuple[Plane, ...]:
    """Slices of a file, in frame order.

    Raises `GeometryError` ``geometry.functional_groups`` when a multi-frame header does not describe each frame once;
    `UnsupportedImageError` ``pixel.frames`` when a single-frame class claims several frames.
    """
    frames = image.pixels.frames
    if image.series.sop_class_uid not in tags.MULTI_FRAME_CT:
        if frames != 1:
            raise problem("pixel.frames")
        return (plane_of(image, item),)
    shared = item.sequences.get(tags.SHARED_GROUPS, [])
    per_frame = item.sequences.get(tags.FRAME_GROUPS, [])
    if frames is None or frames != len(per_frame) or len(shared) > 1:
        raise problem("geometry.functional_groups")
    common: dict[int, bytes] = {tag: item.values[tag] for tag in _FROM_DATA_SET if tag in item.values}
    for group in shared:
        common |= _flattened(group)
    if per_frame:
        image = _with_frame_attributes(image, common | _flattened(per_frame[0]))
    return tuple(
        plane_of(image, Item(values=common | _flattened(group)), frame=number)
        for number, group in enumerate(per_frame, start=1)
    )


def _with_frame_attributes(image: ImageHeader, raw: dict[int, bytes]) -> ImageHeader:
    """Image whose series attributes include those that only the functional groups state."""
    series = replace(
        image.series,
        kvp=image.series.kvp if image.series.kvp is not None else values.decimal(raw.get(tags.KVP)),
        acquisition_type=image.series.acquisition_type or values.keyword(raw.get(tags.ACQUISITION_TYPE)),
    )
    return replace(image, series=series)


def _flattened(group: Item) -> dict[int, bytes]:
    """Attributes of the first item of every functional group read."""
    merged: dict[int, bytes] = {}
    for tag in tags.FUNCTIONAL_GROUPS:
        for macro in group.sequences.get(tag, [])[:1]:
            merged |= macro.values
    return merged
