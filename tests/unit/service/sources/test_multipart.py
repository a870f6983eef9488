import pytest
from hypothesis import given
from hypothesis import strategies as st

from calcreport.service.web import WebError, files_body, first_part

KIND = 'multipart/related; type="application/dicom"; boundary="a mark"'


def _message(*parts: bytes, preamble: bytes = b"") -> bytes:
    head = b"--a mark\r\nContent-Type: application/dicom\r\nContent-Location: /x\r\n\r\n"
    return preamble + b"".join(head + part + b"\r\n" for part in parts) + b"--a mark--\r\n"


def _first(message: bytes, size: int, kind: str = KIND) -> bytes:
    return b"".join(first_part((message[i : i + size] for i in range(0, len(message), size)), kind))


@given(
    part=st.binary(max_size=300)
    | st.sampled_from([b"\r\n", b"\r\n--a mar", b"--a mark", b"\r\n\r\n", b"\r\n--a marl"]),
    size=st.integers(1, 400),
    preamble=st.sampled_from([b"", b"\r\n", b"for people\r\n"]),
)
def test_the_first_part_is_found_however_the_bytes_come(part, size, preamble) -> None:
    if b"\r\n--a mark" in b"\r\n" + part:
        return
    assert _first(_message(part, b"another", preamble=preamble), size) == part


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (_message(b"image")[:-14], KIND),
        (b"", KIND),
        (b"--a mark\r\nContent-Type: x", KIND),
        (_message(b"image"), "application/json"),
        (_message(b"image"), "multipart/related"),
        (_message(b"image"), "multipart/related; boundary=other"),
    ],
)
def test_a_message_without_an_end_is_no_file(message, kind, size) -> None:
    with pytest.raises(WebError) as caught:
        _first(message, size, kind)
    assert caught.value.code == "web.unreadable"


def test_a_header_without_an_end_is_not_read_for_ever() -> None:
    def endless():
        yield b"--a mark\r\n"
        while True:
            yield b"x" * 4096

    with pytest.raises(WebError):
        list(first_part(endless(), KIND))


def test_what_follows_the_first_part_is_not_read_for_ever() -> None:
    def endless():
        yield _message(b"image")
        while True:
            yield b"x" * 4096

    with pytest.raises(WebError):
        list(first_part(endless(), KIND))


def test_what_is_written_can_be_read_and_has_its_length(tmp_path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(b"DICM" + file.name.encode() * 5000)
    body = files_body(files)
    for _again in range(2):  # a request that is sent anew begins at the start
        message = b"".join(body.blocks())
        assert len(message) == body.length
        assert _first(message, 999, body.kind) == files[0].read_bytes()
        assert files[1].read_bytes() in message
