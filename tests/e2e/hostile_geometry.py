"""Series whose true sizes are known, on every grid that has misled a reader; and hostile option files."""

# Tables of hostile values read best one entry a line, and a class of cases best in one function.
# ruff: noqa: E501

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import hostile_inputs as inputs
import numpy as np
from hostile_inputs import DONE, MEASURED_OR_REFUSED, NOTHING, USAGE, Case
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items


def geometry() -> Iterator[Case]:
    """Measured right, or refused by name."""

    def right(
        name: str,
        make: Callable[[], Sequence[Dataset]],
        *,
        tolerance_mm: float = 0.8,
        skin_mm: float | None = inputs.SKIN_MM,
    ) -> Case:
        return Case(
            kind="geometry", name=name, build=inputs.from_series(make), ends=DONE, is_measured=True,
            tolerance_mm=tolerance_mm, skin_mm=skin_mm,
        )  # fmt: skip

    def refused(name: str, make: Callable[[], Sequence[Dataset]], code: str = "geometry.") -> Case:
        return Case(kind="geometry", name=name, build=inputs.from_series(make), ends=NOTHING, code=code)

    for degrees in (-24.0, -10.0, 5.0, 18.5):
        yield right(f"gantry tilt {degrees}", lambda a=degrees: _tilted(a))  # type: ignore[misc]
    for name, tags in (
        ("thickness lies", {"SliceThickness": 5.0}), ("thickness absent", {"SliceThickness": None}),
        ("spacing between lies", {"SpacingBetweenSlices": 9.0}), ("negative spacing", {"SpacingBetweenSlices": -2.0}),
        ("slice location lies", {"SliceLocation": 0.0}), ("tilt tag lies", {"GantryDetectorTilt": 25}),
        ("feet first", {"PatientPosition": "FFS"}), ("no patient position", {"PatientPosition": ""}),
    ):  # fmt: skip
        yield right(name, lambda tags=tags: _with(inputs.plain(), **tags))  # type: ignore[misc]
    yield right("flipped", lambda: inputs.sampled(step=(0, 0, -2.0)))
    yield right(
        "instance numbers shuffled",
        lambda: [_set(d, InstanceNumber=(n * 7) % 20) for n, d in enumerate(inputs.plain())],
    )
    yield right(
        "overlapping slices", lambda: inputs.sampled(count=36, step=(0, 0, 1.0), thickness=3.0), tolerance_mm=1.5
    )
    yield right("gaps between slices", lambda: inputs.sampled(thickness=1.0))
    yield right("wide gaps", lambda: inputs.sampled(count=12, step=(0, 0, 3.0), thickness=1.0), tolerance_mm=1.5)
    yield right("anisotropic", lambda: inputs.sampled(matrix=(72, 144), spacing=(1.5, 0.75)))
    yield right("thick slices", lambda: inputs.sampled(count=11, step=(0, 0, 5.0), thickness=5.0), tolerance_mm=3.0)
    yield right(
        "sagittal",
        lambda: inputs.sampled(
            count=108, matrix=(40, 108), step=(1, 0, 0), rows=(0, 1, 0), columns=(0, 0, -1), thickness=1.0
        ),
        skin_mm=None,
    )
    yield right(
        "coronal",
        lambda: inputs.sampled(
            count=108, matrix=(40, 108), step=(0, 1, 0), rows=(1, 0, 0), columns=(0, 0, -1), thickness=1.0
        ),
        skin_mm=None,
    )
    slant = (0.0, math.cos(0.3), math.sin(0.3))
    yield right(
        "oblique", lambda: inputs.sampled(columns=slant, matrix=(120, 108), step=(0, -2 * slant[2], 2 * slant[1]))
    )
    yield right("prone", lambda: inputs.sampled(rows=(-1, 0, 0), columns=(0, -1, 0)))
    yield right("slope of each slice", _own_slopes)
    yield right("twelve bits", lambda: _stored_as(12, 1024, is_signed=False))
    yield right("signed twelve bits", lambda: _stored_as(12, 0, is_signed=True))
    yield right("high bit fifteen", lambda: _stored_as(12, 1024, is_signed=False, shift=4))
    yield right("rubbish above the stored bits", lambda: _stored_as(12, 1024, is_signed=False, rubbish=True))
    yield right("clipped at 1095", lambda: _stored_as(12, 3000, is_signed=False, peak_hu=1500.0), tolerance_mm=2.0)
    yield right("MONOCHROME1", lambda: _with(inputs.plain(), PhotometricInterpretation="MONOCHROME1"))
    for padding in (-2000, -1024, -1000, -2048, 3000):
        yield right(f"padding {padding} round a circle", lambda p=padding: _padded(p, is_circle=True))  # type: ignore[misc]
    yield right("padding declared and nowhere", lambda: _with(inputs.plain(), PixelPaddingValue=b"\x60\xf0"))
    for value in (-1000, -1024):
        yield right(f"all air clipped at the padding {value}", lambda v=value: _padded(v, is_circle=False))  # type: ignore[misc]
    yield right("padding range over air", lambda: _padded(-2000, is_circle=True, limit=-950))
    yield right("identical copies", lambda: [*inputs.plain(), *inputs.plain()[5:9]])
    yield right(
        "same pixels, other UIDs",
        lambda: [
            *inputs.plain(),
            *[_set(d, SOPInstanceUID=f"{inputs.STUDY}.8.{n}") for n, d in enumerate(inputs.plain()[5:9])],
        ],
    )
    yield right("a localizer among them", lambda: [*inputs.plain(), _localizer()])
    yield right("enhanced multi-frame", lambda: [_enhanced(inputs.plain())])
    yield right("enhanced, frames reversed", lambda: [_enhanced(inputs.plain()[::-1])])
    yield refused(
        "missing slice", lambda: [d for n, d in enumerate(inputs.plain()) if n != 9], "geometry.missing_slice"
    )
    yield refused("every other missing in part", lambda: [d for n, d in enumerate(inputs.plain()) if n < 10 or n % 2])
    yield refused("two blocks", lambda: inputs.sampled(along=[*range(-10, 0), *range(30, 40)]))
    yield refused("uneven", lambda: inputs.sampled(along=np.linspace(-3, 3, 20) * abs(np.linspace(-3, 3, 20))))
    yield refused("one slice moved", lambda: inputs.sampled(along=[-9.5, -8.5, -7.5, -6.1, *np.arange(-5.5, 10)]))
    yield refused(
        "same place, other pixels",
        lambda: [*inputs.plain(), _set(inputs.sampled()[3], SOPInstanceUID="1.2.3", PixelData=bytes(108 * 108 * 2))],
    )
    yield refused(
        "same UID, other pixels", lambda: [*inputs.plain(), _set(inputs.plain()[3], PixelData=bytes(108 * 108 * 2))]
    )
    yield refused("sideways steps", lambda: [_moved(d, 5.0 * (n % 2)) for n, d in enumerate(inputs.plain())])
    yield refused("two slices", lambda: inputs.plain()[:2])
    yield refused("not Hounsfield", lambda: _with(inputs.plain(), RescaleType="US"), "calibration.")
    yield refused("air at -500", lambda: _with(inputs.plain(), RescaleIntercept="500"), "calibration.")
    yield refused("half HU", lambda: _with(inputs.plain(), RescaleSlope="0.5"), "calibration.")
    yield refused("MIP", lambda: _with(inputs.plain(), ImageType=["DERIVED", "SECONDARY", "MIP"]), "series.")
    yield refused("iodine map", lambda: _with(inputs.plain(), ImageType=["DERIVED", "PRIMARY", "IODINE"]), "")
    yield refused("enhanced, sampled", lambda: [_set(_enhanced(inputs.plain()), VolumetricProperties="SAMPLED")])


def _set(dataset: Dataset, **tags: object) -> Dataset:
    for name, value in tags.items():
        setattr(dataset, name, value)
    if "SOPInstanceUID" in tags:
        dataset.file_meta.MediaStorageSOPInstanceUID = tags["SOPInstanceUID"]
    return dataset


def _with(series: list[Dataset], **tags: object) -> list[Dataset]:
    return [_set(dataset, **tags) for dataset in series]


def _tilted(degrees: float) -> list[Dataset]:
    angle = math.radians(degrees)
    return inputs.sampled(
        count=24, columns=(0, math.cos(angle), math.sin(angle)), thickness=2 * math.cos(angle), matrix=(116, 108)
    )


def _moved(dataset: Dataset, by_mm: float) -> Dataset:
    x, y, z = dataset.ImagePositionPatient
    return _set(dataset, ImagePositionPatient=[x + by_mm, y, z])


def _own_slopes() -> list[Dataset]:
    series = inputs.plain()
    for number, dataset in enumerate(series):
        slope, intercept = 0.5 + 0.05 * number, -1000 - 10 * number
        values = ((inputs.stored(dataset) - intercept) / slope).round().clip(-32768, 32767).astype("<i2")
        _set(dataset, RescaleSlope=slope, RescaleIntercept=intercept, PixelData=values.tobytes())
    return series


def _stored_as(
    bits: int, offset: int, *, is_signed: bool, shift: int = 0, rubbish: bool = False, peak_hu: float = 500.0
) -> list[Dataset]:
    series = inputs.sampled(peak_hu=peak_hu)
    for dataset in series:
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
        values = (inputs.stored(dataset).astype(np.int32) + offset).clip(low, high)
        words = (values & ((1 << bits) - 1)) << shift
        if rubbish:
            words |= np.random.default_rng(3).integers(0, 16, words.shape) << 12
        _set(dataset, BitsStored=bits, HighBit=bits - 1 + shift, PixelRepresentation=int(is_signed),
             RescaleIntercept=-offset, PixelData=words.astype("<u2").tobytes())  # fmt: skip
    return series


def _padded(value: int, *, is_circle: bool, limit: int | None = None) -> list[Dataset]:
    """Padding outside a circle that holds the limb; or, without one, a limit below which all air is clipped."""
    series = inputs.plain()
    for dataset in series:
        hu = inputs.stored(dataset).copy()
        j, k = np.ogrid[:108, :108]
        if is_circle:
            hu[np.hypot(j - 53.5, k - 53.5) > 53.0] = value
        else:
            hu[hu <= value + 60] = value
        dataset.PixelData = hu.tobytes()
        dataset.add_new("PixelPaddingValue", "SS", value)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", "SS", limit)
    return series


def _localizer() -> Dataset:
    dataset = inputs.plain()[0]
    return _set(dataset, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SOPInstanceUID=f"{inputs.STUDY}.7.1",
                ImageOrientationPatient=[0, 1, 0, 0, 0, -1])  # fmt: skip


def _enhanced(series: Sequence[Dataset]) -> Dataset:
    first = series[0]
    dataset = Dataset()
    dataset.file_meta = first.file_meta
    moved = {"ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleIntercept",
             "RescaleSlope", "RescaleType", "PixelData"}  # fmt: skip
    for element in first:
        if element.keyword not in moved:
            dataset.add(element)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.VolumetricProperties = "VOLUME"
    dataset.NumberOfFrames = len(series)
    dataset.PixelData = b"".join(one.PixelData for one in series)
    frames = []
    for one in series:
        group = Dataset()
        for sequence, names in (
            ("PlanePositionSequence", ("ImagePositionPatient",)),
            ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
            ("PixelMeasuresSequence", ("PixelSpacing", "SliceThickness")),
            ("PixelValueTransformationSequence", ("RescaleIntercept", "RescaleSlope", "RescaleType")),
        ):
            item = Dataset()
            for name in names:
                item.add(one[name])
            setattr(group, sequence, Items([item]))
        frames.append(group)
    dataset.SharedFunctionalGroupsSequence = Items([Dataset()])
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    return dataset


# --- option files -------------------------------------------------------------------------------------------------


def options() -> Iterator[Case]:
    """Hostile files behind options: a clear refusal, or no effect."""
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    clinical: dict[str, tuple[bytes, frozenset[int]]] = {
        "laughs": (laughs.encode(), USAGE), "python object": (b"patient: !!python/object/apply:os.system ['touch x']", USAGE),
        "nested lists": (b"[" * 20_000, USAGE), "nested maps": (b"{a: " * 5000, USAGE), "nul": (b"\0" * 500, USAGE),
        "binary": (os.urandom(500), USAGE), "empty": (b"", DONE), "only comment": (b"# nothing\n", DONE),
        "null": (b"null", MEASURED_OR_REFUSED | USAGE), "not a number": (b"patient: {age_years: .nan}", USAGE),
        "infinite": (b"mass: {size_cm: .inf}", USAGE), "negative": (b"patient: {age_years: -4}", USAGE),
        "huge": (b"patient: {age_years: " + b"9" * 6000 + b"}", USAGE), "same key twice": (b"symptoms: {pain: yes, pain: no}", USAGE),
        "merge": (b"symptoms: {<<: {pain: yes}}", DONE | USAGE), "recursive": (b"&a [*a]", USAGE), "recursive map": (b"symptoms: &a {pain: *a}", USAGE),
        "two documents": (b"---\na: 1\n---\nb: 2\n", USAGE), "key is a list": (b"? [a, b]\n: c\n", USAGE),
        "deep indent": (b"".join(b" " * n + b"a:\n" for n in range(900)), USAGE), "unknown key": (b"PAINFUL: 1", USAGE),
        "markup": (b"request: {question: \"<script>alert(1)</script>{{1111*1111}}\\e[31m\\u202e\"}", DONE | USAGE),
        "base 60": (b"patient: {age_years: 12:30:45}", USAGE), "hex": (b"patient: {age_years: 0x20}", DONE | USAGE),
        "date": (b"labs: {calcium: {value: 2.3, unit: mmol/L, date: 9999-99-99}}", USAGE),
        "unit": (b"labs: {calcium: {value: 2.3, unit: \"<b>\"}}", USAGE), "out of range": (b"labs: {calcium: {value: 900, unit: mmol/L}}", USAGE),
    }  # fmt: skip
    for name, (content, ends) in clinical.items():
        yield _option("--clinical", name, content, ends)
    config: dict[str, tuple[bytes, frozenset[int]]] = {
        "nested": (b"a = " + b"[" * 20_000, USAGE), "nan": (b"[policy]\nsize_limit_mm = nan\n", USAGE),
        "inf": (b"[policy]\nsize_limit_mm = inf\n", USAGE), "huge": (b"[reading]\nmax_files = " + b"9" * 5000, USAGE),
        "date": (b"[policy]\nsize_limit_mm = 2020-01-01\n", USAGE), "text": (b"[policy]\nsize_limit_mm = \"5\"\n", USAGE | DONE),
        "true": (b"[policy]\nsize_limit_mm = true\n", USAGE), "binary": (os.urandom(300), USAGE), "empty": (b"", DONE),
        "twice": (b"[policy]\n[policy]\n", USAGE), "escape in key": (b"\"\\u001b[31m\" = 1\n", USAGE), "dotted": (b"a." * 3000 + b"a = 1", USAGE),
        "one second": (b"[run]\nmax_study_seconds = 0.001\n", NOTHING), "few files": (b"[reading]\nmax_files = 3\n", NOTHING),
        "small files": (b"[reading]\nmax_file_bytes = 10\n", NOTHING), "small volume": (b"[reading]\nmax_volume_voxels = 10\n", NOTHING),
    }  # fmt: skip
    for name, (content, ends) in config.items():
        yield _option("--config", name, content, ends)
    for name, content in _masks().items():
        yield _option("--lesion-mask", name, content, NOTHING | (DONE if name.startswith("fits") else frozenset()))
    for option in ("--clinical", "--config", "--lesion-mask"):
        for name, path in (("zero", "/dev/zero"), ("a folder", "in"), ("missing", "nowhere"), ("a fifo", "given")):
            yield Case(
                kind=f"option {option}", name=name, words=(option, path), ends=USAGE | NOTHING,
                build=lambda top: (inputs.write_good(top / "in"), os.mkfifo(top / "given"))[0],
            )  # fmt: skip
    yield from _templates()


def _option(option: str, name: str, content: bytes, ends: frozenset[int]) -> Case:
    def build(top: Path) -> None:
        inputs.write_good(top / "in")
        (top / "given").write_bytes(content)

    return Case(kind=f"option {option}", name=name, build=build, words=(option, "given"), ends=ends)


def _nifti(
    shape: tuple[int, ...], *, kind: int = 2, pixdim: float = 1.0, offset: float = 352, data: bytes = b""
) -> bytes:
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<hh", head, 70, kind, 8)
    struct.pack_into("<8f", head, 76, 1, pixdim, pixdim, pixdim, 1, 1, 1, 1)
    struct.pack_into("<fff", head, 108, offset, 1, 0)
    struct.pack_into("<hh", head, 252, 0, 1)
    struct.pack_into("<12f", head, 280, -1, 0, 0, 53.5, 0, -1, 0, 53.5, 0, 0, 2, -19)
    head[344:348] = b"n+1\0"
    return bytes(head) + data


@lru_cache(maxsize=2)
def _gzip_bomb(start: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [squeeze.compress(start), *(squeeze.compress(bytes(10_000_000)) for _ in range(150)), squeeze.flush()]
    return b"".join(pieces)


@lru_cache(maxsize=1)
def _masks() -> dict[str, bytes]:
    mask = np.zeros((20, 108, 108), np.uint8)
    mask[5:14, 45:64, 65:86] = 1
    whole = _nifti((108, 108, 20), data=mask.tobytes())
    nrrd = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: %b\nspace: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,2)\nspace origin: (-53.5,-53.5,-19)\nencoding: %b\n%b\n"
    return {
        "fits nifti": whole, "fits nifti gzip": gzip.compress(whole), "nifti cut": whole[:-1000],
        "nifti huge": _nifti((32767, 32767, 32767)), "nifti negative": _nifti((-1, 5, 5), data=b"x" * 100),
        "nifti eight dimensions": _nifti((2,) * 7), "nifti complex": _nifti((4, 4, 4), kind=32, data=bytes(512)),
        "nifti nan spacing": _nifti((4, 4, 4), pixdim=math.nan, data=bytes(64)), "nifti far offset": _nifti((4, 4, 4), offset=1e30),
        "gzip bomb": _gzip_bomb(_nifti((108, 108, 20))), "gzip cut": gzip.compress(whole)[:-50],
        "gzip in gzip": gzip.compress(gzip.compress(whole)), "empty": b"", "noise": os.urandom(5000),
        "fits nrrd": nrrd % (b"108 108 20", b"raw", b"") + mask.tobytes(), "nrrd detached": nrrd % (b"108 108 20", b"raw", b"data file: /etc/passwd\n"),
        "nrrd climbing": nrrd % (b"108 108 20", b"raw", b"datafile: ../../in/0001\n"), "nrrd huge": nrrd % (b"99999 99999 99999", b"raw", b""),
        "nrrd negative": nrrd % (b"-1 4 4", b"raw", b"") + bytes(64), "nrrd words": nrrd % (b"a b c", b"raw", b""),
        "nrrd bomb": nrrd % (b"108 108 20", b"gzip", b"") + _gzip_bomb(b""), "nrrd no header end": b"NRRD0004\n" + b"a: b\n" * 50_000,
        "nrrd text": nrrd % (b"4 4 4", b"ascii", b"") + b"1 " * 64, "a slice of the study": inputs.good_files()[0],
        "empty mask": _nifti((108, 108, 20), data=bytes(108 * 108 * 20)), "rtstruct bare": inputs.good_files()[0].replace(b"5.1.4.1.1.2\0", b"5.1.4.1.1.4\0"),
    }  # fmt: skip


_TEMPLATES: Final = {
    "syntax": "{% if %}", "class walk": "{{ ''.__class__.__mro__[1].__subclasses__() }}", "missing": "{{ nothing.at.all }}",
    "include": "{% include '/etc/passwd' %}", "climb": "{% include '../../in/0000' %}", "loop": "{% for a in range(999999999) %}{% for b in range(999999999) %}x{% endfor %}{% endfor %}",
    "itself": "{% include 'report.txt.j2' %}", "power": "{{ 9 ** 9 ** 9 }}", "repeat": "{{ 'x' * 9999999999 }}", "globals": "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}",
    "zero": "{{ 1 / 0 }}", "empty": "", "nested": "(" * 5 + "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "format": "{{ '%999999999d' % 1 }}", "join": "{{ range(99999)|join|length }}", "attr": "{{ ''|attr('__class__') }}",
}  # fmt: skip


def _templates() -> Iterator[Case]:
    for name, text in _TEMPLATES.items():
        for file in ("report.txt.j2", "report.html.j2"):

            def build(top: Path, text: str = text, file: str = file) -> None:
                inputs.write_good(top / "in")
                (top / "given").mkdir()
                (top / "given" / file).write_text(text)

            yield Case(
                kind="option --templates", name=f"{name} {file}", build=build, words=("--templates", "given"),
                ends=USAGE | NOTHING | DONE, max_seconds=60.0,
            )  # fmt: skip
    for name, content in {"syntax": "[", "unknown": "nothing = 'x'", "type": "", "binary": "\x01"}.items():

        def words(top: Path, content: str = content) -> None:
            inputs.write_good(top / "in")
            (top / "given").mkdir()
            (top / "given" / "statements.toml").write_text(content)

        yield Case(
            kind="option --templates", name=f"statements {name}", build=words, words=("--templates", "given"),
            ends=USAGE | NOTHING | DONE,
        )  # fmt: skip

    def fifo(top: Path) -> None:
        inputs.write_good(top / "in")
        (top / "given").mkdir()
        os.mkfifo(top / "given" / "report.txt.j2")

    yield Case(
        kind="option --templates",
        name="a fifo",
        build=fifo,
        words=("--templates", "given"),
        ends=USAGE | NOTHING | DONE,
    )
