import struct
import threading
import tracemalloc
import zlib

import pytest

from calcreport.errors import NotDicomError
from calcreport.service import identity
from calcreport.service.identity import identify, study_uid_of

RLE = "1.2.840.10008.1.2.5"
DEFLATED = "1.2.840.10008.1.2.1.99"


def _refusal(path):
    with pytest.raises(NotDicomError) as caught:
        identify(path)
    return caught.value.code


def test_what_a_file_is(write, tmp_path):
    found = identify(write(tmp_path / "image", number=7, study="1.2.3"))
    assert (found.study_uid, found.instance_uid, found.is_analysed) == ("1.2.3", "1.2.3.1.7", True)
    assert study_uid_of(tmp_path / "image") == "1.2.3"


def test_its_repr_names_nobody(write, tmp_path):
    assert "1.2.3" not in repr(identify(write(tmp_path / "image", study="1.2.3.9"))).replace("1.2.840", "")


@pytest.mark.parametrize("cut", [1, 31, 33, 60, 300])
def test_a_file_that_ends_too_early_is_refused(write, tmp_path, cut):
    content = write(tmp_path / "image").read_bytes()
    (tmp_path / "short").write_bytes(content[:-cut])
    assert _refusal(tmp_path / "short") in {"file.truncated", "file.damaged", "file.no_uid"}


@pytest.mark.parametrize("content", [b"", b"\0" * 132, b"\0" * 128 + b"DICM", b"garbage" * 100, b"GET / HTTP/1.1\r\n"])
def test_what_is_no_dicom_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert _refusal(tmp_path / "file").startswith("file.")


def _compressed(write, path, fragments):
    """Image with pixel data in fragments, as written here."""
    content = write(path, PixelData=None, syntax=RLE).read_bytes()
    path.write_bytes(content + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + fragments)
    return path


def _fragment(data):
    return b"\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little") + data


END = b"\xfe\xff\xdd\xe0\0\0\0\0"


def test_compressed_pixels_have_an_end(write, tmp_path):
    assert identify(_compressed(write, tmp_path / "whole", _fragment(b"") + _fragment(b"12") + END)).is_analysed
    assert _refusal(_compressed(write, tmp_path / "short", _fragment(b"") + _fragment(b"12"))) == "file.truncated"
    assert _refusal(_compressed(write, tmp_path / "cut", _fragment(b"12")[:-1])) == "file.truncated"
    assert _refusal(_compressed(write, tmp_path / "other", b"\1" * 16)) == "file.damaged"


def test_nesting_without_an_end_is_refused(write, tmp_path):
    content = write(tmp_path / "image", PixelData=None).read_bytes()
    opening = b"\x40\x00\x75\xa3SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    (tmp_path / "deep").write_bytes(content + opening * 50_000)
    assert _refusal(tmp_path / "deep") == "file.nested_too_deep"


def test_a_deflate_bomb_takes_little_memory(write, tmp_path):
    content = write(tmp_path / "image", PixelData=None, syntax=DEFLATED, PatientComments=None).read_bytes()
    start = content.index(DEFLATED.encode()) + len(DEFLATED)
    while content[start : start + 2] == b"\2\0" or content[start] == 0:
        if content[start] == 0:
            start += 1
            continue
        start += 8 + int.from_bytes(content[start + 6 : start + 8], "little")
    plain = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    long_text = struct.pack("<HH2sHI", 0x0020, 0x4000, b"UT", 0, 200 << 20)
    body = machine.compress(plain + long_text) + b"".join(machine.compress(bytes(1 << 20)) for _ in range(200))
    (tmp_path / "bomb").write_bytes(content[:start] + body + machine.flush())
    tracemalloc.start()
    with pytest.raises(NotDicomError):
        identify(tmp_path / "bomb")
    assert tracemalloc.get_traced_memory()[1] < 120 << 20
    tracemalloc.stop()


def test_giant_dimensions_are_bytes_like_others(write, tmp_path):
    """Nothing is decoded here: the analysis refuses them, in its own process."""
    assert identify(write(tmp_path / "image", Rows=65535, Columns=65535)).is_analysed


def _begun(path):
    """Identify in a thread; whether it has ended within a second."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(identify(path)))
    thread.start()
    thread.join(1.0)
    return thread, ended


def test_large_headers_are_read_one_at_a_time_and_hold_up_no_other(write, tmp_path):
    large = write(tmp_path / "large", PixelData=None)
    with large.open("ab") as stream:
        stream.write(struct.pack("<HH2sHI", 0x0040, 0xA160, b"UT", 0, 6 << 20) + bytes(6 << 20))
        stream.write(b"\x40\x00\x80\xa1UL\4\0\1\0\0\0" * 100_000)
    with identity._LARGE_HEADERS:
        _thread, ended = _begun(write(tmp_path / "small"))
        assert ended
        waiting, ended = _begun(large)
        assert not ended
    waiting.join(20)
    assert ended
    assert not identity._LARGE_HEADERS.locked()
