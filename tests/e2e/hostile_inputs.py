"""Damaged and hostile inputs, by class, each made from one small study of known truth.

The study is computed from a formula, so it can be sampled on any grid: a limb along z with a sphere of mineral in its
muscle. A case changes the data sets, the bytes, the folder or the command line, and says which ends are right.
"""

# Tables of hostile values read best one entry a line, and a class of cases best in one function.
# ruff: noqa: E501, C901

from __future__ import annotations

import io
import os
import random
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import UID

TRUE_MM: Final = 14.0
"""Diameter of the sphere."""
TRUE_MM3: Final = np.pi * TRUE_MM**3 / 6
CENTRE_MM: Final = (22.0, 0.0, 0.0)
SKIN_MM: Final = 21.0
"""Distance from the sphere's edge to the skin."""
STUDY: Final = "1.2.826.0.1.3680043.10.77"
CT_CLASS: Final = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
CANARY: Final = "CANARY"
"""In every attribute that names somebody: must be read nowhere but in the report's own files."""

DONE: Final = frozenset((0,))
NOTHING: Final = frozenset((3,))
USAGE: Final = frozenset((2,))
MEASURED_OR_REFUSED: Final = frozenset((0, 3))
SOME: Final = frozenset((4,))

Build = Callable[[Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One hostile input: what is made in the folder, how the program is called, and the ends that are right."""

    kind: str
    name: str
    build: Build
    ends: frozenset[int]
    code: str = ""
    words: tuple[str, ...] = ()
    paths: tuple[str, ...] = ("in",)
    is_measured: bool = False
    """Whether every lesion reported must have the true size."""
    true_mm: float = TRUE_MM
    tolerance_mm: float = 1.0
    skin_mm: float | None = None
    """True skin distance, where it must be measured, and the depth class with it."""
    is_plain_user: bool = False
    max_seconds: float = 20.0


# --- the study ----------------------------------------------------------------------------------------------------


def hu_at(points: NDArray[np.float64], *, peak_hu: float = 500.0) -> NDArray[np.float64]:
    """HU at LPS points (mm), shape ``(…, 3)``; edges blurred as a soft kernel does."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]

    def inside(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(np.clip(distance / 0.35, -60, 60)))

    limb = np.hypot(x, y)
    bone = np.hypot(x + 12, y)
    ball = np.sqrt((x - CENTRE_MM[0]) ** 2 + (y - CENTRE_MM[1]) ** 2 + (z - CENTRE_MM[2]) ** 2)
    hu = np.full(x.shape, -1000.0)
    for shape, value in (
        (limb - 50, 40.0),
        (limb - 48, -100.0),
        (limb - 40, 55.0),
        (bone - 10, 1200.0),
        (bone - 6, 40.0),
        (ball - TRUE_MM / 2, peak_hu),
    ):
        part = inside(shape)
        hu = hu * (1 - part) + value * part
    return hu


def sampled(
    *,
    count: int = 20,
    matrix: tuple[int, int] = (108, 108),
    spacing: tuple[float, float] = (1.0, 1.0),
    step: tuple[float, float, float] = (0.0, 0.0, 2.0),
    rows: tuple[float, ...] = (1.0, 0.0, 0.0),
    columns: tuple[float, ...] = (0.0, 1.0, 0.0),
    thickness: float = 2.0,
    along: Sequence[float] | None = None,
    peak_hu: float = 500.0,
) -> list[Dataset]:
    """Data sets of a series on any grid; `along` gives each slice's place in steps, the middle of the stack is 0."""
    row, column, move = np.array(rows), np.array(columns), np.array(step)
    normal = np.cross(row, column)
    places = np.arange(count) - (count - 1) / 2 if along is None else np.array(along)
    middle = (matrix[0] - 1) / 2 * spacing[0] * column + (matrix[1] - 1) / 2 * spacing[1] * row
    j, k = np.mgrid[: matrix[0], : matrix[1]]
    grid = j[..., None] * spacing[0] * column + k[..., None] * spacing[1] * row
    noise = np.random.default_rng(1)
    series = []
    for number, place in enumerate(places):
        corner = place * move - middle
        depths = (np.arange(5) - 2) / 5 * thickness
        hu = np.mean([hu_at(corner + grid + d * normal, peak_hu=peak_hu) for d in depths], axis=0)
        hu += noise.normal(0, 8, hu.shape)
        dataset = slice_of(number, hu.round().astype(np.int16))
        dataset.ImagePositionPatient = [f"{value:.4f}" for value in corner]
        dataset.ImageOrientationPatient = [f"{value:.7f}" for value in (*rows, *columns)]
        dataset.PixelSpacing = list(spacing)
        dataset.SliceThickness = thickness
        series.append(dataset)
    return series


def slice_of(number: int, hu: NDArray[np.int16]) -> Dataset:
    """One CT slice without its place."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT
    dataset.file_meta.MediaStorageSOPClassUID = CT_CLASS
    dataset.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.5.{number}"
    values = {
        "SpecificCharacterSet": "ISO_IR 192", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SOPClassUID": CT_CLASS,
        "SOPInstanceUID": f"{STUDY}.5.{number}", "StudyDate": "20260110", "SeriesDate": "20260110",
        "AcquisitionDate": "20260110", "ContentDate": "20260110", "StudyTime": "101112", "AcquisitionTime": "101112",
        "AccessionNumber": f"{CANARY}1", "Modality": "CT", "Manufacturer": "Maker", "InstitutionName": f"{CANARY}2",
        "ReferringPhysicianName": f"{CANARY}3^Doctor", "StudyDescription": "CT calf", "SeriesDescription": "soft",
        "ManufacturerModelName": "Scanner", "PatientName": f"{CANARY}4^Jane", "PatientID": f"{CANARY}5",
        "PatientBirthDate": "19700101", "PatientSex": "F", "PatientAge": "056Y", "BodyPartExamined": "LEG",
        "KVP": "120", "ProtocolName": "leg", "GantryDetectorTilt": "0", "ConvolutionKernel": "B31f",
        "PatientPosition": "HFS", "StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.3", "StudyID": "1",
        "SeriesNumber": "2", "AcquisitionNumber": "1", "InstanceNumber": str(number + 1),
        "FrameOfReferenceUID": f"{STUDY}.9", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": hu.shape[0], "Columns": hu.shape[1], "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1, "RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "HU",
        "PixelData": hu.astype("<i2").tobytes(),
    }  # fmt: skip
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


@lru_cache(maxsize=1)
def _plain() -> tuple[Dataset, ...]:
    return tuple(sampled())


def plain() -> list[Dataset]:
    """The study as it should be."""
    return deepcopy(list(_plain()))


def encoded(dataset: Dataset) -> bytes:
    """Bytes of a file; nothing is checked on the way."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@lru_cache(maxsize=1)
def good_files() -> tuple[bytes, ...]:
    """Files of the study as it should be."""
    return tuple(map(encoded, _plain()))


def write_good(folder: Path) -> None:
    """Write the study as it should be."""
    write(folder, good_files())


def write(folder: Path, files: Sequence[bytes | Dataset]) -> None:
    """Write a series, one file a slice."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        (folder / f"{number:04d}").write_bytes(file if isinstance(file, bytes) else encoded(file))


def stored(hu_of: Dataset) -> NDArray[np.int16]:
    """Pixels of a native slice."""
    return np.frombuffer(hu_of.PixelData, "<i2").reshape(hu_of.Rows, hu_of.Columns)


def raw_element(tag: int, vr: bytes, value: bytes) -> bytes:
    """One explicit little-endian element, its length as it is."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if vr in {b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC", b"OF", b"OD", b"OV", b"UR"}:
        return head + vr + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + vr + struct.pack("<H", len(value) & 0xFFFF) + value


def with_raw(file: bytes, tag: int, vr: bytes, value: bytes) -> bytes:
    """A file whose (existing, short) element is replaced byte by byte."""
    key = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    at = file.index(key, 132)
    is_long = file[at + 4 : at + 6] in {b"OB", b"OW", b"SQ", b"UN", b"UT"}
    length = struct.unpack_from("<I", file, at + 8)[0] if is_long else struct.unpack_from("<H", file, at + 6)[0]
    return file[:at] + raw_element(tag, vr, value) + file[at + (12 if is_long else 8) + length :]


def one_changed(change: Callable[[bytes], bytes], *, victim: int = 9) -> Build:
    """Build the study with one file's bytes changed."""

    def build(top: Path) -> None:
        files = list(good_files())
        files[victim] = change(files[victim])
        write(top / "in", files)

    return build


def all_changed(change: Callable[[bytes], bytes]) -> Build:
    """Build the study with every file's bytes changed."""
    return lambda top: write(top / "in", [change(file) for file in good_files()])


def tagged(change: Callable[[Dataset, int], None], *, only: int | None = None) -> Build:
    """Build the study with data sets changed: all, or only one."""

    def build(top: Path) -> None:
        series = plain()
        for number, dataset in enumerate(series):
            if only is None or number == only:
                change(dataset, number)
        write(top / "in", series)

    return build


def from_series(make: Callable[[], Sequence[Dataset]]) -> Build:
    """Build a series that a function makes."""
    return lambda top: write(top / "in", make())


def beside(content: bytes, name: str = "stranger") -> Build:
    """Build the good study and a stranger beside it."""

    def build(top: Path) -> None:
        write_good(top / "in")
        (top / "in" / name).write_bytes(content)

    return build


def alone(content: bytes, name: str = "stranger") -> Build:
    """Build a folder that holds only a stranger."""

    def build(top: Path) -> None:
        (top / "in").mkdir()
        (top / "in" / name).write_bytes(content)

    return build


# --- foreign files ------------------------------------------------------------------------------------------------


def zipped(members: Sequence[tuple[str, bytes]], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def foreign() -> Iterator[Case]:
    """Files that are no DICOM, alone and beside a good study."""
    dice = random.Random(1)
    noise = dice.randbytes(100_000)
    strangers = {
        "png": b"\x89PNG\r\n\x1a\n" + noise[:500], "jpeg": b"\xff\xd8\xff\xe0" + noise[:500],
        "pdf": b"%PDF-1.7\n" + noise[:500], "elf": b"\x7fELF" + noise[:500], "gzip": b"\x1f\x8b\x08" + noise[:500],
        "nifti": struct.pack("<i", 348) + noise[:500], "html": b"<html><script>alert(1)</script>" * 20,
        "utf16": "\ufeffreport".encode("utf-16") * 40, "zeros": bytes(100_000), "ones": b"\xff" * 100_000,
        "noise": noise, "magic only": b"DICM", "preamble only": bytes(128) + b"DICM",
        "preamble and noise": bytes(128) + b"DICM" + noise[:5000], "text with magic": b"x" * 128 + b"DICM" + b"y" * 500,
        "empty zip": b"PK\x05\x06" + bytes(18), "zip magic": b"PK\x03\x04" + noise[:500], "empty": b"",
        "one byte": b"\0", "line breaks": b"\n" * 5000, "dicomdir name": noise[:700],
        "meta without data set": good_files()[0][:340], "zip of text": zipped([("a.txt", b"a" * 500)]),
        "zip in zip": zipped([("a.zip", zipped([("b", good_files()[0])]))]),
        "zip bomb": zipped([(f"z{n}", bytes(60_000_000)) for n in range(4)]),
    }  # fmt: skip
    for name, content in strangers.items():
        file_name = "DICOMDIR" if name == "dicomdir name" else "stranger"
        yield Case(kind="foreign", name=f"{name} alone", build=alone(content, file_name), ends=NOTHING)
        yield Case(kind="foreign", name=f"{name} beside", build=beside(content, file_name), ends=DONE, is_measured=True)
    elf = all_changed(lambda file: (b"\x7fELF" + noise)[:128] + file[128:])
    yield Case(kind="foreign", name="programs in preambles", build=elf, ends=DONE, is_measured=True)
    bare = all_changed(lambda file: file[132:])
    yield Case(kind="foreign", name="no preamble", build=bare, ends=MEASURED_OR_REFUSED, is_measured=True)
    yield from _archives()


def _archives() -> Iterator[Case]:
    members = [(f"{n:03d}", file) for n, file in enumerate(good_files())]

    def archive(name: str, content: bytes, ends: frozenset[int], code: str = "") -> Case:
        return Case(
            kind="foreign", name=f"zip {name}", build=alone(content, "a.zip"), ends=ends, is_measured=True, code=code
        )

    whole = zipped(members)
    yield archive("of the study", whole, DONE)
    yield archive("stored", zipped(members, method=zipfile.ZIP_STORED), DONE)
    yield archive("lzma", zipped(members, method=zipfile.ZIP_LZMA), NOTHING, "zip.compression")
    yield archive("climbing names", zipped([(f"../../../{n}", f) for n, f in members]), DONE)
    yield archive("absolute names", zipped([(f"/etc/{n}", f) for n, f in members]), DONE)
    yield archive("names with escapes", zipped([(f"\x1b[31m\n{CANARY}{n}", f) for n, f in members]), DONE)
    yield archive("junk before", b"junk" * 100 + whole, MEASURED_OR_REFUSED)
    for part in (0.1, 0.5, 0.9, 0.999):
        yield archive(f"cut at {part}", whole[: int(len(whole) * part)], NOTHING, "zip.damaged")
    for seed in range(6):
        dice = random.Random(seed)
        content = bytearray(whole)
        for _ in range(20):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        yield archive(f"bit damage {seed}", bytes(content), frozenset((0, 3)))
    locked = bytearray(zipped(members))
    for key, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = locked.find(key)
        while at >= 0:
            locked[at + offset] |= 1
            at = locked.find(key, at + 1)
    yield archive("encrypted", bytes(locked), NOTHING, "zip.encrypted")


# --- file system --------------------------------------------------------------------------------------------------


def file_system() -> Iterator[Case]:
    """Names, links and kinds of file that nobody expects."""

    def with_study(change: Callable[[Path], None]) -> Build:
        def build(top: Path) -> None:
            write_good(top / "in")
            change(top / "in")

        return build

    def renamed(name: Callable[[int], bytes]) -> Build:
        def build(top: Path) -> None:
            folder = os.fsencode(top / "in")
            os.mkdir(folder)  # noqa: PTH102 - names are bytes
            for number, file in enumerate(good_files()):
                Path(os.fsdecode(os.path.join(folder, name(number)))).write_bytes(file)  # noqa: PTH118

        return build

    def deep(levels: int) -> Build:
        def build(top: Path) -> None:
            write_good(top / "in" / "/".join(["d"] * levels))

        return build

    def sparse(folder: Path) -> None:
        with (folder / "sparse").open("wb") as stream:
            stream.write(good_files()[0][:2000])
            stream.truncate(5_000_000_000)

    def sparse_pixels(folder: Path) -> None:
        head = good_files()[0].split(struct.pack("<HH", 0x7FE0, 0x0010))[0]
        with (folder / "sparse").open("wb") as stream:
            stream.write(head + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 2_000_000_000))
            stream.truncate(len(head) + 12 + 2_000_000_000)

    def many(folder: Path) -> None:
        for number in range(3000):
            (folder / f"x{number}").write_bytes(b"x" * 200)

    def sock(folder: Path) -> None:
        here = Path.cwd()
        os.chdir(folder)
        socket.socket(socket.AF_UNIX).bind("socket")
        os.chdir(here)

    changes: dict[str, Callable[[Path], None]] = {
        "fifo": lambda f: os.mkfifo(f / "pipe"),
        "socket": sock,
        "link to itself": lambda f: (f / "loop").symlink_to("loop"),
        "link to parent": lambda f: (f / "up").symlink_to(".."),
        "link to root": lambda f: (f / "root").symlink_to("/"),
        "link to device": lambda f: (f / "zero").symlink_to("/dev/zero"),
        "hard links": lambda f: [os.link(p, f / f"{p.name}.again") for p in list(f.iterdir())],  # type: ignore[dict-item,func-returns-value]
        "sparse 5 GB": sparse,
        "3000 strangers": many,
        "folder named like a slice": lambda f: (f / "0000.dcm").mkdir(),
        "closed folder beside": lambda f: (f / "closed").mkdir(mode=0),
    }
    for name, change in changes.items():
        yield Case(
            kind="file system", name=name, build=with_study(change), ends=DONE, is_measured=True, is_plain_user=True
        )
    yield Case(
        kind="file system", name="sparse pixels", build=with_study(sparse_pixels), ends=MEASURED_OR_REFUSED,
        is_measured=True,
    )  # fmt: skip
    names: dict[str, Callable[[int], bytes]] = {
        "line breaks": lambda n: f"{CANARY}\n\r{n}".encode(),
        "escapes": lambda n: f"\x1b[2J\x07{n}".encode(),
        "direction marks": lambda n: f"\u202e{n}\u2066".encode(),
        "not UTF-8": lambda n: b"\xff\xfe" + str(n).encode(),
        "255 bytes": lambda n: (b"n" * 250 + str(n).encode())[:255],
        "options": lambda n: f"--out={n}".encode(),
        "markup": lambda n: f"<img src=x onerror=alert(1)>{n}".encode(),
        "hidden": lambda n: f".{n}".encode(),
    }
    for name, make in names.items():
        yield Case(kind="file system", name=f"names: {name}", build=renamed(make), ends=DONE, is_measured=True)
    yield Case(kind="file system", name="60 folders deep", build=deep(60), ends=DONE, is_measured=True)
    yield Case(kind="file system", name="300 folders deep", build=deep(300), ends=NOTHING, code="path.unreadable")
    yield Case(
        kind="file system", name="bad names of strangers", ends=DONE, is_measured=True,
        build=lambda top: (write_good(top / "in"), (top / "in" / f"{CANARY}\n\x1b[31m\u202e").write_bytes(b"x"))[0],
    )  # fmt: skip
    for name, path, code in (
        ("device", "/dev/zero", 3), ("null", "/dev/null", 3), ("missing", "nowhere", 2), ("empty name", "", 2),
    ):  # fmt: skip
        yield Case(
            kind="file system", name=f"path: {name}", build=lambda top: write_good(top / "in"), paths=(path,),
            ends=frozenset((code,)) if name != "empty name" else frozenset((0, 2)),
        )  # fmt: skip
    yield Case(kind="file system", name="path: fifo", build=lambda top: os.mkfifo(top / "in"), ends=frozenset((2, 3)))
    yield Case(
        kind="file system", name="path given twice", build=lambda top: write_good(top / "in"), paths=("in", "in/"),
        ends=DONE, is_measured=True,
    )  # fmt: skip
    yield Case(
        kind="file system", name="path: a link", ends=DONE, is_measured=True, paths=("link",),
        build=lambda top: (write_good(top / "in"), (top / "link").symlink_to("in"))[0],
    )  # fmt: skip


# --- truncation and bits ------------------------------------------------------------------------------------------


def damage() -> Iterator[Case]:
    """Files cut short, bits turned, pieces swapped."""
    whole = good_files()[9]
    header = whole.index(struct.pack("<HH", 0x7FE0, 0x0010))
    dice = random.Random(7)
    cuts = sorted({0, 1, 127, 128, 131, 132, 140, header, header + 4, header + 12, header + 13, len(whole) - 1,
                   len(whole) - 2, *(dice.randrange(132, header) for _ in range(30)),
                   *(dice.randrange(header, len(whole)) for _ in range(8))})  # fmt: skip
    for cut in cuts:
        build = one_changed(lambda file, cut=cut: file[:cut])  # type: ignore[misc]
        yield Case(kind="truncation", name=f"one at {cut}", build=build, ends=NOTHING)
    for cut in (0, 100, 132, 400, header, header + 12, len(whole) - 1):
        build = all_changed(lambda file, cut=cut: file[:cut])  # type: ignore[misc]
        yield Case(kind="truncation", name=f"all at {cut}", build=build, ends=NOTHING)
    for seed in range(60):
        yield Case(
            kind="bits", name=f"header {seed}", build=one_changed(lambda file, s=seed: _flip(file, s, 132, header, 1)),  # type: ignore[misc]
            ends=MEASURED_OR_REFUSED, is_measured=True, tolerance_mm=2.5,
        )  # fmt: skip
    for seed in range(30):
        yield Case(
            kind="bits", name=f"all headers {seed}", ends=MEASURED_OR_REFUSED,
            build=all_changed(lambda file, s=seed: _flip(file, s, 132, header, 6)),  # type: ignore[misc]
        )  # fmt: skip
    for seed in range(10):
        yield Case(
            kind="bits", name=f"anywhere {seed}", ends=MEASURED_OR_REFUSED,
            build=all_changed(lambda file, s=seed: _flip(file, s, 0, len(file), 200)),  # type: ignore[misc]
        )  # fmt: skip
    for name, change in {
        "zeros inside": lambda f: f[:600] + bytes(200) + f[800:],
        "a piece twice": lambda f: f[:600] + f[400:],
        "a piece missing": lambda f: f[:500] + f[540:],
        "rubbish after": lambda f: f + b"rubbish!" * 500,
        "line ends changed": lambda f: f.replace(b"\n", b"\r\n"),
    }.items():
        yield Case(kind="bits", name=name, build=all_changed(change), ends=MEASURED_OR_REFUSED, is_measured=True)


def _flip(file: bytes, seed: int, start: int, end: int, count: int) -> bytes:
    dice = random.Random(seed)
    content = bytearray(file)
    for _ in range(count):
        content[dice.randrange(start, min(end, len(content)))] ^= 1 << dice.randrange(8)
    return bytes(content)


# --- attributes ---------------------------------------------------------------------------------------------------

_NEEDED: Final = {
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleIntercept", "RescaleSlope", "PixelData",
}  # fmt: skip
_DERIVED: Final = {"SamplesPerPixel", "BitsStored", "HighBit"}
"""Needed, but certain from the others where they are missing or empty; rubbish in them is refused."""
_SHARED: Final = {"PatientName", "PatientBirthDate", "ImageType", "ConvolutionKernel"}
"""Taken over from the other images where one image leaves them out."""


_MAY_BE_BLANK: Final = {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"}
"""Removed from all slices by those who hide identities; never from a few, and never filled with rubbish."""


def attributes() -> Iterator[Case]:
    """Every attribute removed, emptied and filled with rubbish, in all slices and in one."""
    for element in plain()[0]:
        name = element.keyword

        def remove(dataset: Dataset, _number: int, tag: Any = element.tag) -> None:
            del dataset[tag]

        def clear(dataset: Dataset, _number: int, tag: Any = element.tag) -> None:
            dataset[tag] = DataElement(tag, dataset[tag].VR, b"" if dataset[tag].VR == "OW" else None)

        needed = name in _NEEDED
        gap = DONE if name in _DERIVED else NOTHING if needed else MEASURED_OR_REFUSED
        for word, change in (("removed", remove), ("empty", clear)):
            yield Case(
                kind="attributes", name=f"{name} {word}", build=tagged(change), is_measured=True,
                ends=MEASURED_OR_REFUSED if name in _MAY_BE_BLANK else gap,
            )  # fmt: skip
        yield Case(
            kind="attributes", name=f"{name} removed in one", build=tagged(remove, only=9), is_measured=True,
            ends=DONE if name in _SHARED else MEASURED_OR_REFUSED if name == "SOPClassUID" else gap,
        )  # fmt: skip
        if name in {"PixelData", "SpecificCharacterSet"}:
            continue
        tag = int(element.tag)
        for word, value in (("rubbish", b"\x00\xff<b>\\\\../%n{{7}}"), ("too long", b"9" * 4000), ("NaN", b"NaN ")):
            vr = element.VR.encode()
            build = all_changed(lambda file, tag=tag, vr=vr, value=value: with_raw(file, tag, vr, value))  # type: ignore[misc]
            yield Case(
                kind="attributes", name=f"{name} {word}", build=build, is_measured=True,
                ends=NOTHING if needed else MEASURED_OR_REFUSED,
            )  # fmt: skip


def shapes() -> Iterator[Case]:
    """Dimensions, lengths and value representations that do not fit."""
    numbers: dict[str, Sequence[Any]] = {
        "Rows": (0, 1, 107, 109, 54, 216, 65535), "Columns": (0, 1, 107, 109, 54, 216, 65535),
        "BitsAllocated": (0, 1, 8, 12, 32, 64, 65535), "BitsStored": (0, 1, 17, 65535), "HighBit": (0, 16, 65535),
        "SamplesPerPixel": (0, 2, 3, 4, 65535), "PixelRepresentation": (2, 65535),
        "NumberOfFrames": ("0", "-1", "2", "2000000000", "1e9"),
        "PhotometricInterpretation": ("RGB", "PALETTE COLOR", "YBR_FULL", "X"),
        "RescaleSlope": ("0", "-1", "1e-30", "1e30", "Infinity", "1,5", "0x10"),
        "RescaleIntercept": ("1e30", "-inf", "--1"),
        "PixelSpacing": (["0", "0"], ["-1", "1"], ["1", "1", "1"], ["1"], ["1e9", "1e9"], ["1e-9", "1"], ["0_8", "1"]),
        "ImageOrientationPatient": ([1, 0, 0, 1, 0, 0], [0] * 6, [2, 0, 0, 0, 2, 0], [1, 0, 0, 0.5, 0.5, 0]),
        "ImagePositionPatient": ([0, 0, 0], ["1e300", "0", "0"], ["nan", "0", "0"]),
        "RescaleType": ("US", "HU_MOD", "Z_EFF", "ED"), "Modality": ("MR", "PT", "XX"),
    }  # fmt: skip
    for name, values in numbers.items():
        for value in values:

            def build(top: Path, name: str = name, value: Any = value) -> None:
                text = "\\".join(map(str, value)) if isinstance(value, list) else str(value)
                raw = struct.pack("<H", value) if isinstance(value, int) else (text + " " * (len(text) % 2)).encode()
                series = inputs_with_frames() if name == "NumberOfFrames" else plain()
                tag, vr = int(Tag(name)), series[0][name].VR.encode()
                write(top / "in", [with_raw(encoded(dataset), tag, vr, raw) for dataset in series])

            yield Case(
                kind="shapes", name=f"{name} = {value}"[:60], build=build, is_measured=True,
                ends=MEASURED_OR_REFUSED if name == "Modality" else NOTHING,
            )  # fmt: skip
    yield from _representations()
    lengths: dict[str, Callable[[bytes], bytes]] = {
        "half": lambda p: p[: len(p) // 2], "two short": lambda p: p[:-2],
        "twice": lambda p: p + p, "two more": lambda p: p + b"\0\0", "nothing": lambda _p: b"",
    }  # fmt: skip
    for name, cut in lengths.items():

        def shorten(dataset: Dataset, _number: int, cut: Callable[[bytes], bytes] = cut) -> None:
            dataset.PixelData = cut(dataset.PixelData)

        ends = DONE if name == "two more" else NOTHING  # zeros behind the pixels are padding
        yield Case(kind="shapes", name=f"pixels: {name}", build=tagged(shorten), is_measured=True, ends=ends)
        yield Case(
            kind="shapes", name=f"pixels of one: {name}", build=tagged(shorten, only=9), is_measured=True, ends=ends
        )
    for name, length in (("4 GB", 0xFFFFFFFE), ("undefined", 0xFFFFFFFF), ("2 GB", 0x7FFFFFFF)):
        key = struct.pack("<HH2sH", 0x7FE0, 0x0010, b"OW", 0)
        yield Case(
            kind="shapes", name=f"pixel length {name}", ends=NOTHING,
            build=all_changed(lambda f, key=key, n=length: f.replace(key + f[f.index(key) + 8 :][:4], key + struct.pack("<I", n))),  # type: ignore[misc]
        )  # fmt: skip


def inputs_with_frames() -> list[Dataset]:
    """The study with Number of Frames, which single slices may have."""
    series = plain()
    for dataset in series:
        dataset.NumberOfFrames = "1"
    return series


def _representations() -> Iterator[Case]:
    for keyword, vr, value in (
        ("Rows", b"UL", struct.pack("<I", 108)), ("Rows", b"DS", b"108 "), ("Rows", b"SS", struct.pack("<h", 108)),
        ("Rows", b"UL", struct.pack("<I", 0xFFFFFFFF)), ("Columns", b"SL", struct.pack("<i", -1)),
        ("PixelSpacing", b"FD", struct.pack("<dd", 1, 1)), ("PixelSpacing", b"SQ", b""),
        ("ImagePositionPatient", b"LO", b"1\\2\\3 "), ("PatientName", b"SQ", b""), ("StudyInstanceUID", b"OB", b"1.2"),
        ("Modality", b"??", b"CT"), ("KVP", b"AT", b"\0\0\0\0"), ("InstanceNumber", b"IS", b"9" * 300),
        ("SliceThickness", b"DS", b"-5"), ("SliceThickness", b"DS", b"1e400 "), ("KVP", b"DS", b"-1e9"),
    ):  # fmt: skip
        tag = int(Tag(keyword))
        yield Case(
            kind="shapes", name=f"{keyword} as {vr.decode()} {value!r:.20}", ends=MEASURED_OR_REFUSED,
            build=all_changed(lambda f, tag=tag, vr=vr, value=value: with_raw(f, tag, vr, value)),  # type: ignore[misc]
        )  # fmt: skip


# --- bombs --------------------------------------------------------------------------------------------------------


def _encapsulated(dataset: Dataset, syntax: str, *fragments: bytes) -> None:
    items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(f + b"\0" * (len(f) % 2))) + f + b"\0" * (len(f) % 2)
                     for f in (b"", *fragments))  # fmt: skip
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = items
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


RLE, JPEG_LL, JPEG_LS, J2K, HTJ2K = (f"1.2.840.10008.1.2.{tail}" for tail in ("5", "4.70", "4.80", "4.90", "4.201"))
_JPEG_HUGE: Final = (
    b"\xff\xd8\xff\xc3\x00\x0b\x10\xff\xff\xff\xff\x01\x01\x11\x00"
    + b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00"
    + bytes(500)
    + b"\xff\xd9"
)
_JLS_HUGE: Final = (
    b"\xff\xd8\xff\xf7\x00\x0b\x10\xff\xff\xff\xff\x01\x01\x11\x00"
    + b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"
    + bytes(500)
    + b"\xff\xd9"
)
_J2K_HUGE: Final = (
    b"\xff\x4f\xff\x51\x00\x29\x00\x00" + struct.pack(">IIIIIIII", 65535, 65535, 0, 0, 65535, 65535, 0, 0)
    + b"\x00\x01\x0f\x01\x01" + b"\xff\x52\x00\x0c\x00\x00\x00\x01\x00\x05\x04\x04\x00\x01"
    + b"\xff\x5c\x00\x13\x40" + bytes(16) + b"\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\xff\x93" + bytes(200) + b"\xff\xd9"
)  # fmt: skip


def bombs() -> Iterator[Case]:
    """Small files that claim or unfold to something huge."""

    def nested(depth: int, *, is_defined: bool) -> bytes:
        if is_defined:
            value = b""
            for _ in range(depth):
                item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value
                value = raw_element(0x00081140, b"SQ", item)
            return value
        head = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        tail = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        return head * depth + tail * depth

    def insert(piece: bytes) -> Callable[[bytes], bytes]:
        key = struct.pack("<HH", 0x0008, 0x1090)
        return lambda file: file[: file.index(key)] + piece + file[file.index(key) :]

    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 200_000
    private = b"".join(raw_element(0x00091000 + n % 0xFFF, b"LO", b"x ") for n in range(100_000))
    pieces = {
        "nested 100": nested(100, is_defined=False), "nested 50000": nested(50_000, is_defined=False),
        "nested defined 2000": nested(2000, is_defined=True), "200000 items": raw_element(0x00081140, b"SQ", items),
        "100000 elements": private, "10 MB value": raw_element(0x00081140, b"UT", b"A" * 10_000_000),
    }  # fmt: skip
    for name, piece in pieces.items():
        yield Case(
            kind="bombs", name=name, build=one_changed(insert(piece)), ends=MEASURED_OR_REFUSED, is_measured=True
        )

    def deflated(top: Path, size: int, *, is_valid: bool) -> None:
        series = plain()
        for dataset in series:
            dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1.99")
        files = [encoded(dataset) for dataset in series]
        body = good_files()[9][len(_meta_end(good_files()[9])) :]
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
        content = squeeze.compress(body if is_valid else b"")
        for _ in range(size // 10_000_000):
            content += squeeze.compress(bytes(10_000_000))
        files[9] = _meta_end(files[9]) + content + squeeze.flush()
        write(top / "in", files)

    for size in (0, 400_000_000, 4_000_000_000):
        yield Case(
            kind="bombs", name=f"deflate {size}", build=lambda top, size=size: deflated(top, size, is_valid=True),  # type: ignore[misc]
            ends=DONE if not size else MEASURED_OR_REFUSED, is_measured=True,
        )  # fmt: skip
    yield Case(
        kind="bombs",
        name="deflate zeros",
        build=lambda top: deflated(top, 2_000_000_000, is_valid=False),
        ends=NOTHING,
    )
    rle = struct.pack("<16I", 2, 64, 1064, *[0] * 13) + b"\x81\x00" * 1000
    for name, syntax, stream in (
        ("RLE", RLE, rle), ("JPEG", JPEG_LL, _JPEG_HUGE), ("JPEG-LS", JPEG_LS, _JLS_HUGE), ("J2K", J2K, _J2K_HUGE),
        ("HTJ2K", HTJ2K, _J2K_HUGE),
    ):  # fmt: skip
        for word, matrix in (("huge header", 65535), ("huge stream only", 108)):

            def change(
                dataset: Dataset, _n: int, syntax: str = syntax, stream: bytes = stream, m: int = matrix
            ) -> None:
                dataset.Rows = dataset.Columns = m
                _encapsulated(dataset, syntax, stream)

            yield Case(kind="bombs", name=f"{name} {word}", build=tagged(change), ends=NOTHING)
    for frames in ("2000000000", "100000"):

        def claim(dataset: Dataset, _n: int, frames: str = frames) -> None:
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
            dataset.NumberOfFrames = frames
            dataset.PerFrameFunctionalGroupsSequence = Items([Dataset() for _ in range(2000)])

        yield Case(kind="bombs", name=f"{frames} frames", build=tagged(claim), ends=NOTHING)


def _meta_end(file: bytes) -> bytes:
    """Preamble and file meta information."""
    return file[: 144 + struct.unpack_from("<I", file, 140)[0]]


# --- transfer syntaxes --------------------------------------------------------------------------------------------


def compressed(syntax: str) -> list[Dataset]:
    """The study compressed by an independent encoder."""
    import imagecodecs  # noqa: PLC0415 - only some cases need it

    encoders: dict[str, Callable[[NDArray[np.uint16]], bytes]] = {
        JPEG_LL: lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16),
        JPEG_LS: imagecodecs.jpegls_encode,
        J2K: lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
        HTJ2K: imagecodecs.htj2k_encode,
    }
    series = plain()
    for dataset in series:
        values = (stored(dataset).astype(np.int32) + 1024).clip(0, 4095).astype("<u2")
        dataset.PixelRepresentation, dataset.RescaleIntercept = 0, "-1024"
        if syntax == RLE:
            dataset.PixelData = values.tobytes()
            dataset.compress(UID(RLE), generate_instance_uid=False)
        else:
            _encapsulated(dataset, syntax, encoders[syntax](values))
    return series


def transfer_syntaxes() -> Iterator[Case]:
    """Syntaxes that lie, and damaged code streams."""
    uids = {
        "implicit": "1.2.840.10008.1.2", "big endian": "1.2.840.10008.1.2.2", "deflated": "1.2.840.10008.1.2.1.99",
        "RLE": RLE, "JPEG": JPEG_LL, "JPEG-LS": JPEG_LS, "J2K": J2K, "HTJ2K": HTJ2K,
        "baseline": "1.2.840.10008.1.2.4.50", "extended": "1.2.840.10008.1.2.4.51", "MPEG": "1.2.840.10008.1.2.4.100",
        "JPIP": "1.2.840.10008.1.2.4.94", "unknown": "1.2.3.4", "rubbish": "x;rm -rf /", "empty": "",
    }  # fmt: skip
    for name, uid in uids.items():

        def lie(file: bytes, uid: str = uid) -> bytes:
            return with_raw(file, 0x00020010, b"UI", uid.encode() + b"\0" * (len(uid) % 2))

        is_guessable = name in {"implicit", "big endian", "empty", "rubbish"}
        yield Case(
            kind="transfer syntax", name=f"native called {name}", build=all_changed(lie), is_measured=True,
            ends=MEASURED_OR_REFUSED if is_guessable else NOTHING,
        )  # fmt: skip
        yield Case(
            kind="transfer syntax", name=f"one called {name}", build=one_changed(lie), is_measured=True,
            ends=MEASURED_OR_REFUSED if is_guessable else NOTHING,
        )  # fmt: skip
    yield Case(
        kind="transfer syntax", name="no meta", is_measured=True, ends=MEASURED_OR_REFUSED,
        build=all_changed(lambda f: f[:132] + f[len(_meta_end(f)) :]),
    )  # fmt: skip
    for name, syntax in (("RLE", RLE), ("JPEG", JPEG_LL), ("JPEG-LS", JPEG_LS), ("J2K", J2K), ("HTJ2K", HTJ2K)):
        yield Case(
            kind="transfer syntax", name=f"{name} whole", is_measured=True, ends=DONE,
            build=from_series(lambda s=syntax: compressed(s)),  # type: ignore[misc]
        )  # fmt: skip
        for other in sorted({EXPLICIT, RLE, JPEG_LL, JPEG_LS, J2K} - {syntax}):

            def relabel(top: Path, s: str = syntax, o: str = other) -> None:
                uid = o.encode() + b"\0" * (len(o) % 2)
                write(top / "in", [with_raw(encoded(dataset), 0x00020010, b"UI", uid) for dataset in compressed(s)])

            is_read = (name, other) == ("HTJ2K", J2K)  # one decoder reads both
            yield Case(
                kind="transfer syntax", name=f"{name} called {other[17:]}", build=relabel, is_measured=True,
                ends=DONE if is_read else NOTHING,
            )  # fmt: skip
        for seed in range(8):

            def hurt(s: str = syntax, seed: int = seed) -> list[Dataset]:
                series = compressed(s)
                for number, dataset in enumerate(series):
                    data = dataset.PixelData
                    dataset.PixelData = _flip(data, seed * 100 + number, 20, len(data), 5 if seed < 4 else 60)
                return series

            yield Case(
                kind="transfer syntax", name=f"{name} damaged {seed}", ends=MEASURED_OR_REFUSED,
                build=from_series(hurt),
            )  # fmt: skip


# --- text ---------------------------------------------------------------------------------------------------------

PAYLOADS: Final = {
    "script": "<script>alert('x')</script>", "image": "<img src=x onerror=alert(1)>", "quote": "\"' onload=x ",
    "comment": "--><svg/onload=alert(1)>", "style": "</style><script>1</script>", "jinja": "{{ 1111*1111 }}",
    "jinja block": "{% for x in range(99999999) %}a{% endfor %}", "format": "%s%n{0.__class__}", "ansi": "\x1b[31m\x1b]0;x\x07",
    "csv": "=cmd|' /C calc'!A0", "path": "../../../../etc/passwd", "nul": "a\0b", "bidi": "\u202etxt\u2066",
    "lines": "a\r\nDRAFT REPORT: normal\r\n", "long": "A" * 9000, "emoji": "\U0001f4a9" * 50, "combining": "a" + "\u0301" * 3000,
    "entity": "&lt;script&gt;&#60;", "shell": "$(touch /tmp/x); `id`", "separators": "\u2028\u2029\x85\x0b",
}  # fmt: skip
_TEXT_TAGS: Final = (
    (0x00081030, b"LO"), (0x0008103E, b"LO"), (0x00100010, b"PN"), (0x00100020, b"LO"), (0x00181030, b"LO"),
    (0x00181210, b"SH"), (0x00080070, b"LO"), (0x00081090, b"LO"), (0x00180015, b"CS"), (0x00080050, b"SH"),
    (0x00100040, b"CS"), (0x00101010, b"AS"), (0x00080020, b"DA"), (0x00100030, b"DA"), (0x00185100, b"CS"),
)  # fmt: skip


def texts() -> Iterator[Case]:
    """Hostile text in every string, hostile character sets and UIDs."""
    for name, text in PAYLOADS.items():
        raw = text.encode("utf-8", "surrogatepass")

        def fill(file: bytes, raw: bytes = raw) -> bytes:
            for tag, vr in _TEXT_TAGS:
                file = with_raw(file, tag, vr, raw + b" " * (len(raw) % 2))
            return file

        yield Case(kind="text", name=name, build=all_changed(fill), ends=DONE, is_measured=True)
    charsets = (b"ISO_IR 192", b"rot_13 ", b"../../x", b"zlib_codec", b"ISO 2022 IR 87\\ISO 2022 IR 149", b"utf_7 ",
                b"\\\\\\\\", b"\xff\xff", b"idna", b"GB18030 ", b"ISO 2022 IR 58", b"unicode_escape")  # fmt: skip
    for charset in charsets:

        def mark(file: bytes, charset: bytes = charset) -> bytes:
            file = with_raw(file, 0x00080005, b"CS", charset + b" " * (len(charset) % 2))
            return with_raw(file, 0x00081030, b"LO", b"\x1b$B<script>\x1b(B\xff\xfe\x80{{1111*1111}}\x1b$)C")

        yield Case(kind="text", name=f"charset {charset!r}", build=all_changed(mark), ends=DONE, is_measured=True)
    uids = {
        "climbing": b"../../../tmp/x", "absolute": b"/etc/cron.d/x", "dots": b"..", "dot": b".", "empty part": b"1..2",
        "letters": b"1.2.a", "nul": b"1.2\0/../x", "newline": b"1.2\n3", "long": b"1." * 60 + b"1", "wide digits": "1.２".encode(),
        "leading zero": b"1.02", "name": f"{CANARY}^JANE".encode(), "summary": b"summary.json", "spaces": b"1.2 3",
    }  # fmt: skip
    for name, uid in uids.items():
        for tag in (0x0020000D, 0x0020000E, 0x00080018):
            build = all_changed(lambda f, t=tag, u=uid: with_raw(f, t, b"UI", u + b"\0" * (len(u) % 2)))  # type: ignore[misc]
            yield Case(kind="text", name=f"UID {name} {tag:08x}", build=build, ends=MEASURED_OR_REFUSED)


# --- identity -----------------------------------------------------------------------------------------------------


def identities() -> Iterator[Case]:
    """Images of several patients, studies and frames of reference under one name."""

    def half(keyword: str, value: str) -> Build:
        return tagged(lambda d, n: setattr(d, keyword, value) if n % 2 else None)

    for keyword, value, ends in (
        ("PatientID", "OTHER", NOTHING), ("PatientBirthDate", "19500505", NOTHING), ("PatientName", "OTHER^NAME", NOTHING),
        ("PatientSex", "M", MEASURED_OR_REFUSED), ("StudyInstanceUID", f"{STUDY}.99", NOTHING),
        ("FrameOfReferenceUID", f"{STUDY}.98", NOTHING), ("SOPInstanceUID", f"{STUDY}.97", NOTHING),
        ("SeriesInstanceUID", f"{STUDY}.96", frozenset((0, 3))), ("StudyDate", "20200101", MEASURED_OR_REFUSED),
    ):  # fmt: skip
        yield Case(kind="identity", name=f"two {keyword}", build=half(keyword, value), ends=ends)
    yield Case(
        kind="identity", name="one slice of another patient", ends=NOTHING,
        build=tagged(lambda d, _n: setattr(d, "PatientID", "OTHER"), only=9),
    )  # fmt: skip

    def two_folders(top: Path) -> None:
        write_good(top / "in/a")
        write_good(top / "in/b")

    def two_patients(top: Path) -> None:
        write_good(top / "in/a")
        series = plain()
        for number, dataset in enumerate(series):
            dataset.PatientID, dataset.PatientName = "OTHER", "OTHER^NAME"
            dataset.SeriesInstanceUID, dataset.SOPInstanceUID = f"{STUDY}.33", f"{STUDY}.55.{number}"
        write(top / "in/b", series)

    yield Case(kind="identity", name="the study twice", build=two_folders, ends=DONE, is_measured=True)
    yield Case(kind="identity", name="two patients in a study", build=two_patients, ends=NOTHING)
