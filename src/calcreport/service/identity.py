"""What a received file is, whether it is whole, its names and a hash of its content; read before it is acknowledged.

Names are hashes only: no text of a sender becomes part of a path or a log. Only the header is parsed, with the
reader's own limits on nesting, elements and inflation. No pixel is decoded here.
"""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from pydicom import dcmread

from calcreport.dicom.codes import problem
from calcreport.dicom.header import tags
from calcreport.dicom.header.elements import UNDEFINED, PixelPlace
from calcreport.dicom.header.image_header import ImageHeader
from calcreport.dicom.header.parsing import HEAD_BYTES, meta_end, read_header
from calcreport.dicom.source import FileSource, open_regular

ANALYSED_CLASSES: Final = tags.CT_CLASSES | tags.FILM_CLASSES
"""Storage classes that are analysed. We write none of them, so our own results cannot trigger us."""
_INFLATED_HEADER: Final = 33_554_432  # Most bytes of a deflated data set that are inflated to find its header
_LARGEST_DEFLATED: Final = 67_108_864  # Largest deflated file, bytes: it is held in memory to be inflated
_MOST_FRAGMENTS: Final = 1_000_000  # Most fragments of compressed pixel data: an enhanced CT has one or few a frame
_PREAMBLE: Final = 128  # bytes before the file meta header
_BLOCK: Final = 1 << 20  # bytes hashed at a time
DIGITS: Final = 32  # of a name
_LARGE_HEADER: Final = 4 << 20
"""A header of more bytes waits for its turn: one at a time is in memory, and the others go on meanwhile."""
_LARGE_HEADERS: Final = Lock()  # held while such a header is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A whole DICOM file, with UIDs of digits and dots; `class_uid` may be empty.

    `is_analysed` is whether it is of a kind that is analysed, and not made by us; `content` the SHA-256 of transfer
    syntax and data set, hexadecimal.
    """

    study_uid: str = field(repr=False)
    instance_uid: str = field(repr=False)
    class_uid: str
    is_analysed: bool
    content: str


def identify(path: Path) -> Identity:
    """Read what a regular file with a file meta header is.

    Raises `NotDicomError` ``file.not_dicom``, ``file.damaged``, ``file.truncated`` (also when the pixel data end too
    early), ``file.nested_too_deep``, ``file.no_uid``, ``file.deflate``, ``file.dicomdir``, ``file.too_large``;
    `OSError` when the file cannot be read.
    """
    descriptor, status = open_regular(str(path))
    try:
        head = os.pread(descriptor, HEAD_BYTES, 0)
        if head[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
            raise problem("file.not_dicom")
        start = meta_end(head)
        if status.st_size > _LARGEST_DEFLATED and tags.DEFLATED.encode() in head[:start]:
            raise problem("file.too_large")
        image = _header(path, status, head)
        syntax, place = image.pixels.transfer_syntax, image.pixels.place
        if place is not None and syntax != tags.DEFLATED:
            _require_pixels(descriptor, place, status.st_size, is_big_endian=image.pixels.is_big_endian)
        content = _hash(descriptor, start, syntax)
    finally:
        os.close(descriptor)
    return Identity(
        study_uid=image.study_uid,
        instance_uid=image.instance_uid,
        class_uid=image.series.sop_class_uid,
        is_analysed=image.series.sop_class_uid in ANALYSED_CLASSES and not image.series.is_own_result,
        content=content,
    )


def study_uid_of(path: Path) -> str:
    """Study Instance UID of a file that was kept; errors as for `identify`."""
    descriptor, status = open_regular(str(path))
    head = os.pread(descriptor, HEAD_BYTES, 0)
    os.close(descriptor)
    return _header(path, status, head).study_uid


def text_of(path: Path, keyword: str) -> str:
    """Text of an element of a file that was kept; empty when it has none, or none that can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = dcmread(path, specific_tags=[keyword], stop_before_pixels=True).get(keyword)
            return "" if value is None else str(value)
    except Exception:  # noqa: BLE001 - whatever pydicom finds in a hostile file; it was refused before when it matters
        return ""


def clear_preamble(path: Path) -> None:
    """Overwrite the first 128 bytes, which may hold an executable, with zeros; nothing when they are zeros."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        head = os.pread(descriptor, _PREAMBLE + 4, 0)
        if head[_PREAMBLE:] == b"DICM" and any(head[:_PREAMBLE]):
            os.pwrite(descriptor, bytes(_PREAMBLE), 0)
    finally:
        os.close(descriptor)


class _PatientSource(FileSource):
    """A file of which much is read only when no other is."""

    __slots__ = ("has_turn",)

    def __init__(self, path: str, status: os.stat_result) -> None:
        super().__init__(path, status)
        self.has_turn = False

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`."""
        if not self.has_turn and offset + len(buffer) > _LARGE_HEADER:
            _LARGE_HEADERS.acquire()  # given back when the header was read
            self.has_turn = True
        super().read_into(offset, buffer)


def _header(path: Path, status: os.stat_result, head: bytes) -> ImageHeader:
    source = _PatientSource(str(path), status)
    try:
        return read_header(source, head, inflate_limit=_INFLATED_HEADER)[0]
    finally:
        if source.has_turn:
            _LARGE_HEADERS.release()


def _require_pixels(descriptor: int, place: PixelPlace, size: int, *, is_big_endian: bool) -> None:
    """Refuse pixel data that end before their stated length, or compressed ones without an end."""
    if place.length != UNDEFINED:
        if place.offset + place.length > size:
            raise problem("file.truncated")
        return
    layout = struct.Struct(">HHI" if is_big_endian else "<HHI")
    offset = place.offset
    for _fragment in range(_MOST_FRAGMENTS):
        marker = os.pread(descriptor, layout.size, offset)
        if len(marker) < layout.size:
            raise problem("file.truncated")
        group, element, length = layout.unpack(marker)
        if (group, element) == (0xFFFE, 0xE0DD):
            return
        if (group, element) != (0xFFFE, 0xE000):
            raise problem("file.damaged")
        offset += layout.size + length
    raise problem("file.damaged", "too many fragments")


def _hash(descriptor: int, start: int, syntax: str) -> str:
    digest = hashlib.sha256(syntax.encode() + b"\0")
    while block := os.pread(descriptor, _BLOCK, start):
        digest.update(block)
        start += len(block)
    return digest.hexdigest()


def uid_digest(uid: str) -> str:
    """Name of a study's folder, or beginning of the name of an instance's file: 128 bits of a hash of the UID."""
    return hashlib.sha256(uid.encode("utf-8", "backslashreplace")).hexdigest()[:DIGITS]


def is_study_name(name: str) -> bool:
    """Whether a folder may be a study's."""
    return len(name) == DIGITS and not name.strip("0123456789abcdef")


def content_of(names: Iterable[str]) -> str:
    """Hash of a set of instances, from the names of their files; the order does not count."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def reference_of(study: str, key: bytes) -> str:
    """Reference to the study with this folder name for logs and operators: 12 hexadecimal digits.

    Without `key`, the store's own, it cannot be found by hashing UIDs.
    """
    return hashlib.blake2b(study.encode(), key=key, digest_size=6).hexdigest()
