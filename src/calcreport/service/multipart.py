"""``multipart/related`` as DICOMweb has it (PS3.18 section 8.6.1.2): one part read, many written, all streamed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from calcreport.service.web import Body, WebError

_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_LARGEST_HEAD: Final = 65_536
_BLOCK: Final = 1 << 20
_MARK: Final = b"calcreport-6a1f7b3c4d219b1d5a6e2f0c"
"""A boundary that no DICOM object of ours holds: text in them is made by us, and this is not part of it."""


def first_part(blocks: Iterable[bytes], kind: str) -> Iterator[bytes]:
    """Give what the first part of a message of media type `kind` holds; a short rest is read to the end and skipped.

    Raises `WebError` ``web.unreadable``: no message of this kind, or one without an end.
    """
    found = _BOUNDARY.search(kind)
    if found is None or not kind.lower().lstrip().startswith("multipart/related"):
        raise _unreadable()
    end = b"\r\n--" + (found[1] or found[2]).encode("ascii", "replace")
    stream = iter(blocks)
    held = _after_head(stream, end)
    while (place := held.find(end)) < 0:
        safe = max(0, len(held) - len(end) + 1)
        yield held[:safe]
        block = next(stream, b"")
        if not block:
            raise _unreadable()
        held = held[safe:] + block
    yield held[:place]
    rest = len(held) - place
    for block in stream:  # to the end, so that the connection can be used again
        rest += len(block)
        if rest > _LARGEST_HEAD:
            raise _unreadable()


def files_body(files: Sequence[Path]) -> Body:
    """Message with one part a DICOM file.

    Raises `OSError` when a file cannot be read.
    """
    head = b"--" + _MARK + b"\r\nContent-Type: application/dicom\r\n\r\n"
    tail = b"--" + _MARK + b"--\r\n"

    def blocks() -> Iterator[bytes]:
        for file in files:
            yield head
            yield from file_blocks(file)
            yield b"\r\n"
        yield tail

    length = sum(len(head) + file.stat().st_size + 2 for file in files) + len(tail)
    kind = f'multipart/related; type="application/dicom"; boundary={_MARK.decode()}'
    return Body(kind=kind, length=length, blocks=blocks)


def file_body(file: Path) -> Body:
    """One DICOM file as it is."""
    return Body(kind="application/dicom", length=file.stat().st_size, blocks=lambda: file_blocks(file))


def file_blocks(file: Path) -> Iterator[bytes]:
    """Content of a file, in blocks."""
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _after_head(stream: Iterator[bytes], end: bytes) -> bytes:
    """Skip what stands before the content of the first part; return what was read of it."""
    held = b"\r\n"  # the first boundary may stand at the very start
    while True:
        start = held.find(end)
        place = held.find(b"\r\n\r\n", start + len(end)) if start >= 0 else -1
        if place >= 0:
            return held[place + 4 :]
        block = next(stream, b"")
        if not block or len(held) > _LARGEST_HEAD:
            raise _unreadable()
        held += block


def _unreadable() -> WebError:
    return WebError("the server's answer is no multipart message with a DICOM file", code="web.unreadable")
