"""One patient, one name: the same in every output, whatever character set the images are written in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pydicom
import pytest

FILM = Path(__file__).parents[2] / "sample_dicoms" / "phleboliths_leg_films" / "film_01_ap.dcm"


def element(tag: bytes, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return tag + vr + len(value).to_bytes(2, "little") + value


def write_film(path: Path, charset: bytes | None, name: bytes) -> None:
    """The sample film with these bytes as character set and name; pydicom would encode them itself."""
    film = pydicom.dcmread(FILM)
    del film.SpecificCharacterSet
    film.PatientName, film.StudyDescription = "MARK", "leg"
    film.save_as(path, enforce_file_format=True)
    data = path.read_bytes().replace(element(b"\x10\0\x10\0", b"PN", b"MARK"), element(b"\x10\0\x10\0", b"PN", name))
    start = data.index(b"\x08\0\x08\0CS")
    stated = b"" if charset is None else element(b"\x08\0\x05\0", b"CS", charset)
    path.write_bytes(data[:start] + stated + data[start:])


@pytest.mark.parametrize(
    ("charset", "raw", "name", "shown", "hl7"),
    [
        (b"ISO_IR 144", "Иванов^Пётр".encode("iso8859_5"), "Иванов^Пётр", "Иванов, Пётр", "Иванов^Пётр^^^^^^A"),
        (
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
            "ﾔﾏﾀﾞ, ﾀﾛｳ",
            "ﾔﾏﾀﾞ^ﾀﾛｳ^^^^^^A~山田^太郎^^^^^^I",
        ),
        (None, b"M\xfcller^J\xf6rg", "Müller^Jörg", "Müller, Jörg", "Müller^Jörg^^^^^^A"),
        (b"\\idna", b"M\x1b$B;3ED\x1b(B", "M山田", "M山田", "M山田^^^^^^^A"),
        (b"idna", b"M\x1b\xfcller", "M üller", "M üller", "M üller^^^^^^^A"),
        (b"\\ISO 2022 IR 87", b"=\x1b$B=ULn\x1b(B", "=春野", "春野", "春野^^^^^^^I"),
        (b"\\ISO 2022 IR 87", b"=\x1b$B\xff\xff\xff\x1b(B", None, None, "^^^^^^U"),
    ],
)
def test_every_output_has_the_same_name(run, tmp_path, *, charset, raw, name, shown, hl7) -> None:
    (tmp_path / "in").mkdir()
    write_film(tmp_path / "in" / "film.dcm", charset, raw)
    done = run("analyze", tmp_path / "in", "--out", tmp_path / "out", "--format", "text,json,html,hl7,fhir,sr")
    assert done.returncode == 0, done.stderr
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    report = json.loads((folder / "report.json").read_text())
    assert report["study"]["patient"]["name"] == name
    header = pydicom.dcmread(folder / "sr.dcm")
    assert str(header.PatientName or "") == (name or "")
    assert header.SpecificCharacterSet == "ISO_IR 192"
    page = (folder / "report.html").read_text()
    assert shown is None or shown in page
    message = (folder / "oru.hl7").read_bytes().decode("utf-8").split("\r")
    assert message[0].split("|")[17] == "UNICODE UTF-8"
    assert message[1].split("|")[5] == hl7
    bundle = json.loads((folder / "fhir.json").read_text())
    (patient,) = (e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    told = [part.get("family", "") for part in patient.get("name", [])]
    assert told == [group.split("^")[0] for group in (name or "").split("=") if group]
    text = (folder / "report.txt").read_bytes()
    assert text.isascii()
    assert not re.search(rb"\?\?", text)
