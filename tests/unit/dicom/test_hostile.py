"""Damaged and hostile files: a named refusal, quickly and in little memory, and never another exception."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from calcreport.dicom import discover, rank_ct_series, read_ct
from calcreport.dicom.header import values
from calcreport.errors import InputError
from calcreport.settings import ReadingSettings

SETTINGS = ReadingSettings()
UNDEFINED = b"\xff\xff\xff\xff"


def run(folder: Path) -> list[str]:
    """Codes of everything that was refused; any exception but a named one fails the test."""
    codes = []
    with discover([folder], settings=SETTINGS) as found:
        codes += [row.code for row in found.set_aside]
        for study in found.studies:
            ranking = rank_ct_series(study)
            codes += [entry.code for entry in ranking.entries]
            for series in ranking.candidates:
                try:
                    read_ct(series, settings=SETTINGS)
                    codes.append("ok")
                except InputError as error:
                    codes.append(error.code)
    return codes


def header_of(write_ct) -> tuple[Path, bytes, bytes]:
    """A folder, and one file cut into its part before and from the pixel data."""
    folder = write_ct()
    data = sorted(folder.iterdir())[0].read_bytes()
    for file in folder.iterdir():
        file.unlink()
    cut = data.index(b"\xe0\x7f\x10\x00")
    return folder, data[:cut], data[cut:]


@pytest.mark.parametrize("seed", range(6))
def test_damaged_bytes_give_named_refusals(write_ct, seed):
    rng = random.Random(seed)
    folder = write_ct()
    files = sorted(folder.iterdir())
    whole = [file.read_bytes() for file in files]
    for _ in range(40):
        number = rng.randrange(len(files))
        data = bytearray(whole[number])
        place = rng.randrange(132, 1400)
        if rng.random() < 0.4:
            data = data[:place]
        elif rng.random() < 0.5:
            data[place : place + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(9))
        else:
            data[place] ^= 1 << rng.randrange(8)
        files[number].write_bytes(data)
        run(folder)
        files[number].write_bytes(whole[number])
    assert run(folder) == ["ok"]


def test_a_damaged_file_beside_a_series_is_noted_on_it(write_ct, reader):
    folder = write_ct()
    last = sorted(folder.iterdir())[-1]
    last.write_bytes(last.read_bytes()[:500])
    assert "1 damaged DICOM files" in " ".join(reader.read(folder).notes)


def test_an_image_of_the_series_without_pixels_refuses_it(write_ct, reader):
    def edit(number, ds):
        if number == 15:
            del ds.PixelData

    with pytest.raises(InputError) as caught:
        reader.read(write_ct(edit=edit))
    assert caught.value.code == "pixel.missing"


def test_deep_nesting_is_refused(write_ct):
    folder, head, pixels = header_of(write_ct)
    nested = (struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0" + UNDEFINED) * 50_000
    (folder / "deep").write_bytes(head + nested + pixels)
    assert run(folder) == ["file.nested_too_deep"]


def test_a_giant_sequence_is_walked_quickly(write_ct):
    folder, head, pixels = header_of(write_ct)
    items = b"\xfe\xff\x00\xe0" + UNDEFINED + b"\xfe\xff\x0d\xe0\0\0\0\0"
    sequence = (
        struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + items * 200_000 + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )
    (folder / "wide").write_bytes(head + sequence + pixels)
    started = time.perf_counter()
    assert run(folder) == ["geometry.too_few_slices"]
    assert time.perf_counter() - started < 5


def test_an_element_longer_than_the_file_is_refused(write_ct):
    folder, head, _pixels = header_of(write_ct)
    (folder / "long").write_bytes(head + struct.pack("<HH2sHI", 0x0040, 0xA730, b"UN", 0, 0x7FFFFFFF))
    assert run(folder) == ["file.truncated"]


def test_an_attribute_given_twice_is_refused(write_ct):
    folder, head, pixels = header_of(write_ct)
    (folder / "twice").write_bytes(head + struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 9) + pixels)
    assert run(folder) == ["file.damaged"]


def test_a_deflate_bomb_stays_small(write_ct):
    folder, head, _pixels = header_of(write_ct)
    length = int.from_bytes(head[140:144], "little")
    meta = head[: 144 + length].replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99")
    meta = meta[:140] + (length + 2).to_bytes(4, "little") + meta[144:]
    machine = zlib.compressobj(9, wbits=-15)
    squeezed = machine.compress(head[144 + length :] + struct.pack("<HH2sHI", 0x0040, 0xA730, b"UN", 0, 0x7FFFFF00))
    squeezed += machine.compress(bytes(200_000_000)) + machine.flush()
    (folder / "bomb").write_bytes(meta + squeezed)
    tracemalloc.start()
    codes = run(folder)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert codes in (["file.damaged"], ["file.truncated"], ["file.deflate"])
    assert peak < 50_000_000


def test_a_claim_of_huge_images_takes_no_memory(write_ct):
    def edit(_number, ds):
        ds.Rows = ds.Columns = 65535
        ds.PixelData = encapsulate([bytes(imagecodecs.jpegls_encode(np.zeros((8, 8), dtype=np.uint16)))])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"

    folder = write_ct(edit=edit)
    tracemalloc.start()
    codes = run(folder)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert codes in (["pixel.too_large"], ["pixel.length"])
    assert peak < 20_000_000


def test_a_sparse_file_is_not_read(write_ct):
    folder, head, _pixels = header_of(write_ct)
    for number in range(3):
        with (folder / f"sparse{number}").open("wb") as file:
            file.write(head + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0xFFFFFF00))
            file.truncate(1_500_000_000)
    assert set(run(folder)) <= {"pixel.length", "geometry.conflicting_instances", "geometry.duplicate_positions"}


def test_errors_and_warnings_hold_no_patient_data(write_ct, capfd, caplog):
    marker = "CANARY\u4711"
    tags = dict.fromkeys(
        ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "AccessionNumber"), marker
    )
    folder = write_ct(SpecificCharacterSet="ISO_IR 192", PatientAge="CANARY", PixelSpacing=["0", "0"], **tags)
    with warnings.catch_warnings(record=True) as seen, discover([folder], settings=SETTINGS) as found:
        warnings.simplefilter("always")
        with pytest.raises(InputError) as caught:
            read_ct(rank_ct_series(found.studies[0]).candidates[0], settings=SETTINGS)
        texts = [str(caught.value), repr(caught.value), repr(found), caplog.text, *capfd.readouterr(), *map(str, seen)]
    assert "CANARY" not in " ".join(texts)


def test_a_damaged_htj2k_stream_is_refused(write_ct, reader):
    rng = np.random.default_rng(5)

    def edit(_number, ds):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2").reshape(ds.Rows, ds.Columns)
        noisy = pixels + rng.integers(0, 50, pixels.shape, dtype=np.uint16)
        data = bytearray(imagecodecs.htj2k_encode(noisy))
        data[-900:-300] = rng.bytes(600)
        ds.PixelData = encapsulate([bytes(data)])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"

    with pytest.raises(InputError) as caught:
        reader.read(write_ct(edit=edit))
    assert caught.value.code == "pixel.damaged"


@pytest.mark.parametrize("tail", [b"\x81\x00" * 400_000, b"\x81\x00"], ids=["a bomb", "one run too many"])
def test_an_rle_stream_that_unpacks_to_more_is_refused_by_name(write_ct, reader, tail):
    def edit(_number, ds):
        words = np.frombuffer(ds.PixelData, dtype="<u2")
        high, low = (imagecodecs.packbits_encode(part.astype(np.uint8).tobytes()) for part in (words >> 8, words & 255))
        high += tail
        ds.PixelData = encapsulate([struct.pack("<16I", 2, 64, 64 + len(high), *[0] * 13) + high + low])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"

    with pytest.raises(InputError) as caught:
        reader.read(write_ct(edit=edit))
    assert caught.value.code == "pixel.damaged"
    assert "an RLE segment does not unpack to one byte a pixel" in caught.value.message


@pytest.mark.parametrize(
    "charset", [b"rot_13", b"ISO_IR 999", b"\\ISO 2022 IR 87 ", b"utf-8\\base64", b"ISO_IR 192\\zip", b"", b"\xff\xff"]
)
def test_hostile_character_sets_are_harmless(write_ct, reader, charset):
    folder = write_ct()
    for file in folder.iterdir():
        stated = b"CS" + len(charset).to_bytes(2, "little") + charset
        file.write_bytes(file.read_bytes().replace(b"CS\x0a\0ISO_IR 100", stated, 1))
    assert reader.read(folder).geometry.shape[0] == 16


@pytest.mark.parametrize(
    ("raw", "charset", "shown"),
    [
        ("Müller^Jörg".encode("latin-1"), b"ISO_IR 100", "Müller^Jörg"),
        ("Müller".encode(), b"ISO_IR 192", "Müller"),
        ("Yamada^Tarou=山田^太郎".encode("iso2022_jp"), b"\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎"),
        (b"Hong=\x1b$)C\xb1\xe8", b"\\ISO 2022 IR 149", "Hong=김"),
        ("Müller".encode("latin-1"), b"rot_13", "Müller"),
        (b"a\x1b[2Jb\r\nc\x00", None, "a [2Jb c"),
        ("a\u202eb\u2066c\u200bd".encode(), b"ISO_IR 192", "a b c d"),
    ],
)
def test_text_is_decoded_and_cleaned(raw, charset, shown):
    assert values.text(raw, charset) == shown


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"1.5 ", 1.5), (b"-.5", -0.5), (b"1.e2\0", 100.0), (b"0_8", None), ("\uff11".encode(), None), (b"1,5", None),
        (b"nan", None), (b"1e999", None), (b"", None), (b"0x10", None), (b"1 2", None), (b"9" * 65, None), (b"+", None),
    ],
)  # fmt: skip
def test_decimals_are_strict(raw, number):
    assert values.decimal(raw) == number


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(b"1.2.3\0", "1.2.3"), (b"1..2", None), (b"../../etc", None), (b".", None), (b"1." * 40, None), (b"", None)],
)
def test_uids_are_digits_and_dots(raw, expected):
    assert values.uid(raw) == expected


def pydicom_files() -> list[Path]:
    return sorted(p for p in (Path(pydicom.__file__).parent / "data" / "test_files").rglob("*") if p.is_file())


@pytest.mark.interop
def test_headers_agree_with_pydicom_on_its_own_files():
    compared = 0
    for path in pydicom_files():
        with discover([path], settings=SETTINGS) as found:
            images = [image for study in found.studies for series in study.series for image in series.instances]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for image in images[:1]:
                ds: Any = pydicom.dcmread(path, force=True, stop_before_pixels=True)
                assert (image.instance_uid, image.series_uid) == (ds.SOPInstanceUID, ds.SeriesInstanceUID)
                assert (image.pixels.rows, image.pixels.columns) == (ds.get("Rows"), ds.get("Columns"))
                assert image.pixels.bits_stored == ds.get("BitsStored")
                assert image.patient.patient_id == (ds.get("PatientID") or None)
                compared += 1
    assert compared > 20


@pytest.mark.interop
def test_everything_in_the_files_of_pydicom_is_read_or_named():
    for path in pydicom_files():
        run(path)
