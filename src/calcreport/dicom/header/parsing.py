"""Bytes of a file's head to its header; every encoding of data elements, whatever the file claims."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from calcreport.dicom.codes import problem
from calcreport.dicom.header import image_header, tags, values
from calcreport.dicom.header.elements import Encoding, Item, MoreNeeded, PixelPlace, Selection, Walker, looks_explicit
from calcreport.dicom.source import ByteSource, DeflatedSource

HEAD_BYTES: Final = 16_384  # read first: holds the header of most CT files; more is read when it does not
_LARGEST_HEADER: Final = 268_435_456  # walked, bytes: an enhanced CT of 4000 frames has some 10 MB
_META_GROUP: Final = b"\x02\x00"  # group 0002, little-endian
_PREAMBLE: Final = 128  # bytes
_STORAGE_CLASS: Final = 0x00020002  # Media Storage SOP Class UID
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
# Attributes of patient and study, by the fields that are their text or identifier, or by another word.
_PATIENT_TEXTS: Final[dict[str, tuple[int, Callable[[bytes | None, bytes | None], str | None]]]] = {
    "patient_id": (0x00100020, values.identifier),
    "name": (0x00100010, values.person_name),
    "study_description": (0x00081030, values.text),
    "accession_number": (0x00080050, values.identifier),
    "patient_id_issuer": (0x00100021, values.identifier),
    "name_note": (0x00100010, values.name_note),
}
_BIRTH, _SEX, _AGE, _STUDY_DATE = _OTHERS = 0x00100030, 0x00100040, 0x00101010, 0x00080020
_PATIENT: Final = (*dict.fromkeys(tag for tag, _ in _PATIENT_TEXTS.values()), *_OTHERS, tags.CHARSET)  # all of both
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
_AMOUNTS: Final = (0x00181041, 0x00181042, 0x00181044)  # volume, start time and total dose of contrast medium
_SERIES: Final = (  # attributes that are the same in all files of most series
    *_SERIES_TEXTS.values(), *_SERIES_WORDS.values(), *_AMOUNTS, tags.MODALITY, tags.SOP_CLASS, tags.SERIES_NUMBER,
    tags.LATERALITY, tags.IMAGE_LATERALITY, tags.KVP, tags.CONTRAST_AGENT, tags.CONTRAST_ROUTE,
    tags.CONTRAST_INGREDIENT, tags.MULTI_ENERGY, tags.LOSSY, tags.LOSSY_RATIO, tags.BURNED_IN, tags.CHARSET,
)  # fmt: skip
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
_WANTED: Final = tags.WANTED.union((tag for _name, tag in _PHASES), _PATIENT, _SERIES, _PIXEL_NUMBERS.values())


# What is kept of a CT image and of file meta information.
_CT_SELECTION: Final = Selection(wanted=_WANTED, nested=tags.NESTED)
_META_SELECTION: Final = Selection(wanted=frozenset((_STORAGE_CLASS, _TRANSFER_SYNTAX)))
# What is kept of a film; a polygon of a thousand vertices has 16 384 bytes.
FILM_SELECTION: Final = Selection(wanted=tags.FILM_WANTED, nested=tags.FILM_NESTED, longest=16_384)
FILM_TABLES: Final = Selection(
    wanted=frozenset((tags.LUT_DESCRIPTOR, tags.LUT_DATA)),
    nested=frozenset((tags.MODALITY_LUT, tags.VOI_LUT)),
    longest=131_072,
)  # discovery leaves tables in the file; one has at most 65 536 entries of 16 bits (PS3.3 C.11.1.1.1)
_EXPLICIT: Final = Encoding(is_explicit=True)  # of file meta information and deflated data sets


def read_header(
    source: ByteSource, head: bytes, *, inflate_limit: int, may_lack_uids: bool = False
) -> tuple[image_header.ImageHeader, Item]:
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
    encoding = _encoding(head, offset, syntax)
    if syntax == tags.DEFLATED:
        source, encoding = DeflatedSource(source, offset, inflate_limit), _EXPLICIT
        item, place = _data_set(source, source.head(HEAD_BYTES), 0, encoding, _CT_SELECTION)
    else:
        item, place = _data_set(source, head, offset, encoding, _CT_SELECTION)
    if storage_class and not values.strip(item.values.get(tags.SOP_CLASS, b"")) and item.values:
        item.values[tags.SOP_CLASS] = storage_class.encode()  # blanked with the UIDs; the file meta header still has it
    image = _image(source, item, place, syntax or (tags.EXPLICIT if encoding.is_explicit else tags.IMPLICIT), encoding)
    if not may_lack_uids and not (image.study_uid and image.series_uid and image.instance_uid):
        raise problem("file.no_uid")
    if not image.instance_uid:
        content = hashlib.sha256(head + repr(sorted(item.values.items())).encode()).hexdigest()
        image = replace(image, instance_uid=f"{image_header.NO_UID}{content[:24]}")
    return image, item


def walk_again(image: image_header.ImageHeader, kept: Selection) -> Item:
    """Other attributes of a file whose header was read; errors as for `read_header`."""
    head = image.source.head(HEAD_BYTES)
    if isinstance(image.source, DeflatedSource):
        return _data_set(image.source, head, 0, _EXPLICIT, kept)[0]
    syntax, offset, _storage_class = _meta(head, image.source.size)
    return _data_set(image.source, head, offset, _encoding(head, offset, syntax), kept)[0]


def meta_end(head: bytes) -> int:
    """Offset of the data set, behind the file meta information; raises ``file.not_dicom``, ``file.damaged``."""
    if _has_preamble(head):
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


def _has_preamble(head: bytes) -> bool:
    return head[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def _meta(head: bytes, size: int) -> tuple[str | None, int, str | None]:
    """Transfer syntax (``None`` when not stated), offset of the data set, media storage class."""
    end = meta_end(head)
    if end == 0:
        return None, 0, None
    if end > len(head):
        raise problem("file.truncated" if end > size else "file.damaged")
    walker = Walker(head[:end], size=end, encoding=_EXPLICIT, kept=_META_SELECTION)
    raw = walker.walk(_PREAMBLE + 4 if _has_preamble(head) else 0).values
    return values.uid(raw.get(_TRANSFER_SYNTAX)), end, values.uid(raw.get(_STORAGE_CLASS))


def _encoding(head: bytes, offset: int, syntax: str | None) -> Encoding:
    return Encoding(is_explicit=looks_explicit(head, offset), is_big_endian=syntax == tags.BIG_ENDIAN)


def _data_set(
    source: ByteSource, head: bytes, offset: int, encoding: Encoding, kept: Selection
) -> tuple[Item, PixelPlace | None]:
    """What is kept of a data set that begins at `offset`, and the place of its pixels.

    `head` is the first `HEAD_BYTES`; a longer one, doubled so that a long header costs few reads, is read when needed.
    """
    length = HEAD_BYTES
    while True:
        # Only its end tells how long a deflated data set is.
        is_complete = isinstance(source, DeflatedSource) and len(head) < length
        walker = Walker(head, size=len(head) if is_complete else source.size, encoding=encoding, kept=kept)
        try:
            return walker.walk(offset), walker.pixels
        except MoreNeeded as more:
            if more.size > _LARGEST_HEADER:
                raise problem("file.damaged", "the header is too large") from None
            length = min(source.size, max(more.size + HEAD_BYTES, 2 * len(head)))
            head = source.head(length)


def _image(
    source: ByteSource, item: Item, place: PixelPlace | None, syntax: str, encoding: Encoding
) -> image_header.ImageHeader:
    raw = item.values
    if values.uid(raw.get(tags.SOP_CLASS)) == tags.DICOMDIR:
        raise problem("file.dicomdir")
    if not raw:
        raise problem("file.not_dicom")
    study, series, instance = (_uid(raw.get(tag)) for tag in (tags.STUDY_UID, tags.SERIES_UID, tags.SOP_INSTANCE))
    # Meaning of agent and route of each item of the Contrast/Bolus Agent Sequence; empty where none is coded.
    coded = item.sequences.get(tags.CONTRAST_AGENTS, [])
    agents = tuple((_meaning([one]), _meaning(one.sequences.get(tags.CONTRAST_ROUTES, []))) for one in coded)
    return image_header.ImageHeader(
        source=source,
        study_uid=study,
        series_uid=series,
        instance_uid=instance,
        frame_of_reference_uid=values.uid(raw.get(tags.FRAME_OF_REFERENCE)),
        instance_number=values.integer(raw.get(tags.INSTANCE_NUMBER)),
        patient=_patient(tuple(raw.get(tag) for tag in _PATIENT)),
        series=_series(tuple(raw.get(tag) for tag in _SERIES), agents, syntax),
        pixels=_pixels(raw, place, syntax, is_big=encoding.is_big_endian),
    )


def _uid(raw: bytes | None) -> str:
    """UID, or empty text where there is none; one that is malformed is refused, it may be damage."""
    uid = values.uid(raw)
    if uid is None and values.strip(raw or b""):
        raise problem("file.no_uid")
    return uid or ""


@lru_cache(maxsize=256)
def _patient(raw: tuple[bytes | None, ...]) -> image_header.PatientHeader:
    of = dict(zip(_PATIENT, raw, strict=True))
    study_date = values.day(of[_STUDY_DATE])
    age_years, birth_date, age_note = values.age_at_study(of[_AGE], values.day(of[_BIRTH]), study_date)
    return image_header.PatientHeader(
        **{name: convert(of[tag], of[tags.CHARSET]) for name, (tag, convert) in _PATIENT_TEXTS.items()},
        birth_date=birth_date,
        sex=values.sex(of[_SEX]),
        age_years=age_years,
        age_note=age_note,
        study_date=study_date,
    )


def _meaning(codes: list[Item]) -> bytes:
    return b" ".join(code.values.get(tags.CODE_MEANING, b"") for code in codes)


def _is_amount(raw: bytes | None) -> bool:
    """Whether a volume, dose or time is more than the zeros some scanners write without contrast."""
    return bool(raw and raw.strip(b" \0").isascii() and any(c in raw for c in b"123456789"))


@lru_cache(maxsize=1024)
def _series(
    raw: tuple[bytes | None, ...], agents: tuple[tuple[bytes, bytes], ...], syntax: str
) -> image_header.SeriesHeader:
    of = dict(zip(_SERIES, raw, strict=True))
    charset = of[tags.CHARSET]
    named = (of[tags.CONTRAST_AGENT] or of[tags.CONTRAST_INGREDIENT], *(agent for agent, _ in agents))
    routes = (of[tags.CONTRAST_ROUTE], *(route for _, route in agents))
    ratios = [values.decimal(part) for part in (of[tags.LOSSY_RATIO] or b"").split(b"\\")]
    return image_header.SeriesHeader(
        **{name: values.text(of[tag], charset) for name, tag in _SERIES_TEXTS.items()},
        **{name: values.keyword(of[tag]) for name, tag in _SERIES_WORDS.items()},
        modality=values.keyword(of[tags.MODALITY]) or "",
        sop_class_uid=values.uid(of[tags.SOP_CLASS]) or "",
        number=values.integer(of[tags.SERIES_NUMBER]),
        laterality=values.keyword(of[tags.IMAGE_LATERALITY]) or values.keyword(of[tags.LATERALITY]),
        kvp=values.decimal(of[tags.KVP]),
        contrast_agent=values.text(b" ".join(filter(None, named)), charset),
        contrast_route=values.text(b" ".join(filter(None, routes)), charset),
        has_contrast_amount=any(_is_amount(of[tag]) for tag in _AMOUNTS) or any(not any(agent) for agent in agents),
        is_multi_energy=values.keyword(of[tags.MULTI_ENERGY]) == "YES",
        is_lossy=values.strip(of[tags.LOSSY] or b"") == b"01" or syntax in tags.LOSSY_SYNTAXES,
        lossy_ratio=max((r for r in ratios if r is not None), default=None),
        is_burned_in=values.keyword(of[tags.BURNED_IN]) == "YES",
    )


def _pixels(
    raw: dict[int, bytes], place: PixelPlace | None, syntax: str, *, is_big: bool
) -> image_header.PixelDescription:
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
    return image_header.PixelDescription(
        **of,
        transfer_syntax=syntax,
        frames=values.integer(raw[tags.FRAMES]) if tags.FRAMES in raw else 1,
        photometric=photometric,
        place=place,
        is_big_endian=is_big,
        derived=tuple(derived),
    )


def plane_of(image: image_header.ImageHeader, item: Item, *, frame: int | None = None) -> image_header.Plane:
    """Make the slice that `item` describes: a single-frame data set, or all attributes of one frame."""
    raw = item.values
    return image_header.Plane(
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


# Attributes taken from the data set itself where no functional group states them.
_FROM_DATA_SET: Final = (tags.IMAGE_TYPE, tags.VOLUMETRIC, tags.ACQUISITION_DATE_TIME, tags.KERNEL)


def planes_of(image: image_header.ImageHeader, item: Item) -> tuple[image_header.Plane, ...]:
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
    if per_frame:  # attributes of the series that only the functional groups state
        raw, series = common | _flattened(per_frame[0]), image.series
        kvp = values.decimal(raw.get(tags.KVP)) if series.kvp is None else series.kvp
        kind = series.acquisition_type or values.keyword(raw.get(tags.ACQUISITION_TYPE))
        image = replace(image, series=replace(series, kvp=kvp, acquisition_type=kind))
    return tuple(
        plane_of(image, Item(values=common | _flattened(group)), frame=number)
        for number, group in enumerate(per_frame, start=1)
    )


def _flattened(group: Item) -> dict[int, bytes]:
    """Attributes of the first item of every functional group read."""
    merged: dict[int, bytes] = {}
    for tag in tags.FUNCTIONAL_GROUPS:
        for macro in group.sequences.get(tag, [])[:1]:
            merged |= macro.values
    return merged
