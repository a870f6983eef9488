"""Names in every character set of DICOM, in wrong ones and in none: one decoder, never a question mark."""

from __future__ import annotations

import pytest

from calcreport.dicom.header import values
from calcreport.dicom.header.charsets import decode

NAMES = [
    # declared terms, raw bytes, name (PS3.5 annexes H, I, J and K where they give an example)
    (b"ISO_IR 100", "Buc^Jérôme".encode("latin_1"), "Buc^Jérôme"),
    (b"ISO_IR 101", "Wałęsa^Łukasz".encode("iso8859_2"), "Wałęsa^Łukasz"),
    (b"ISO_IR 109", "Ħal^Ġorġ".encode("iso8859_3"), "Ħal^Ġorġ"),
    (b"ISO_IR 110", "Bērziņš^Jānis".encode("iso8859_4"), "Bērziņš^Jānis"),
    (b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
    (b"ISO_IR 127", "قباني^لنزار".encode("iso8859_6"), "قباني^لنزار"),
    (b"ISO_IR 126", "Διονυσιος".encode("iso8859_7"), "Διονυσιος"),
    (b"ISO_IR 138", "שרון^דבורה".encode("iso8859_8"), "שרון^דבורה"),
    (b"ISO_IR 148", "Çavuşoğlu^İrem".encode("iso8859_9"), "Çavuşoğlu^İrem"),
    (b"ISO_IR 166", "นามสกุล^ชื่อ".encode("iso8859_11"), "นามสกุล^ชื่อ"),
    (b"ISO_IR 203", "Œuvré^Zoë".encode("iso8859_15"), "Œuvré^Zoë"),
    (b"ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    (b"ISO_IR 192", "Wang^XiaoDong=王^小东".encode(), "Wang^XiaoDong=王^小东"),
    (b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    (b"GBK", "Wang^XiaoDong=王^小东".encode("gbk"), "Wang^XiaoDong=王^小东"),
    (b"ISO 2022 GBK", "王^小东".encode("gbk"), "王^小东"),
    (
        b"\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        b"ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    (b"ISO 2022 IR 6\\ISO 2022 IR 87", b"Haruno=\x1b$B=ULn\x1b(B", "Haruno=春野"),  # 0x3D of the first is no "="
    (b"ISO 2022 IR 6\\ISO 2022 IR 159", b"A=\x1b$(D\x30\x21\x1b(B", "A=丂"),
    (
        b"\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (b"\\ISO 2022 IR 149", b"Hong=\x1b$)C\xc8\xab^\xb1\xe6\xb5\xbf", "Hong=홍^길동"),  # designated once only
    (
        b"\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
        "Zhang^XiaoDong=张^小东",
    ),
    (
        b"ISO 2022 IR 6\\ISO 2022 IR 100\\ISO 2022 IR 144",
        b"J\x1b-A\xe9r^\x1b-L\xbb\xee\xda=x",
        "Jér^Люк=x",
    ),
    (b"ISO_IR 100\\ISO 2022 IR 144", b"\xe9^\x1b-L\xbb\xee\xda^\xe9", "é^Люк^é"),  # "^" ends the escape
    # misspelt terms, terms nobody defined, Python's names of codecs, none at all
    (b"ISO-IR 100", b"M\xfcller", "Müller"),
    (b"ISO IR 192", "Müller".encode(), "Müller"),
    (b"ISO 2022 IR 100", b"M\xfcller", "Müller"),
    *(
        (term, "Müller^Jörg".encode(codec), "Müller^Jörg")
        for term in (None, b"", b"ISO_IR 6", b"ISO_IR 999", b"\\idna", b"idna", b"punycode", b"hex", b"rot13", b"\xff")
        for codec in ("utf_8", "latin_1")
    ),
    (b"ISO_IR 192", b"M\xfcller^J\xf6rg", "Müller^Jörg"),
    (b"ISO_IR 192", b"\x8aimi\xe6", "Šimiæ"),
    (b"ISO_IR 100", b"\x8aimi\xe6", "Šimiæ"),
    (b"\\ISO 2022 IR 149", b"\xc8\xab^\xb1\xe6\xb5\xbf", "홍^길동"),  # its escape sequences left out
    (None, b"Yamada=\x1b$B;3ED\x1b(B", "Yamada=山田"),  # the sequence says it, whatever is declared
    # escape sequences alone, unknown or cut; bytes that fit nothing
    (b"\\ISO 2022 IR 87", b"\x1b$B\x1b(B", None),
    (b"\\ISO 2022 IR 87", b"\x1b$B", None),
    (b"idna", b"M\x1b\xfcller", "M üller"),
    (b"ISO_IR 100", b"Doe\x1b(Z^J", "Doe (Z^J"),
    (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B\xff\xff\xff\x1b(B=x", "Yamada^Tarou==x"),
    (b"\\ISO 2022 IR 87", b"=\x1b$B\xff\xff\xff\x1b(B", None),
    (b"ISO_IR 192", b"Doe^Jane^^ ", "Doe^Jane"),
]


@pytest.mark.parametrize(("charset", "raw", "name"), NAMES)
def test_a_name_is_read_in_its_character_set(charset: bytes | None, raw: bytes, name: str | None) -> None:
    assert values.person_name(raw, charset) == name


@pytest.mark.parametrize(
    ("charset", "raw", "words"),
    [
        (b"ISO_IR 100", b"M\xfcller", None),
        (b"ISO_IR 192", "Müller".encode(), None),
        (b"\\ISO 2022 IR 149", b"\xc8\xab", None),
        (None, b"Doe", None),
        (None, None, None),
        (None, b"M\xfcller", "may be misspelt"),
        (b"ISO_IR 192", b"M\xfcller", "may be misspelt"),
        (b"\\ISO 2022 IR 87", b"A=\x1b$B\xff\xff\x1b(B", "cannot be read in full"),
    ],
)
def test_a_name_outside_its_character_set_is_said_to_be(
    charset: bytes | None, raw: bytes | None, words: str | None
) -> None:
    note = values.name_note(raw, charset)
    assert note is None if words is None else words in (note or "")


def test_every_byte_in_every_set_is_decoded_without_a_failure() -> None:
    terms = [b"ISO_IR %d" % n for n in (6, 13, 58, 87, 100, 149, 159, 192)] + [b"GBK", b"idna", b"undefined"]
    for term in terms:
        for byte in range(256):
            for raw in (bytes((byte,)), bytes((0x1B, byte)), b"\x1b$B" + bytes((byte,)), b"\x1b$)C" + bytes((byte,))):
                assert isinstance(decode(raw, term).text, str)
