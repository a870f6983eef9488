r"""``oru.hl7``: the report for the RIS as an HL7 version 2.5.1 message, ORU^R01, always preliminary.

The text stands section by section, then what is known of every lesion, one observation each; what an earlier draft said
of a lesion that was rejected since is withdrawn. Written by hand: the message has five kinds of segment, and a library
would be one more thing that every installation carries. Values are escaped (``\F\`` and so on), characters that hide
or end something become visible first, and a value that reads ``""``, the order to delete what the receiver holds, is
left out.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from calcreport.formats.characters import make_visible
from calcreport.formats.ris import items as ris
from calcreport.formats.ris.sections import WHOLE, Section, cut_sections
from calcreport.formats.templates import Templates
from calcreport.model.report import Patient, Report
from calcreport.text.wording import Presenter, present

# Fixed fields of the message.
_VERSION: Final = "2.5.1"
_APPLICATION: Final = "calcreport"
_SEXES: Final = frozenset(("F", "M", "O"))
_END: Final = "\r"

# Status of an observation: a draft's, that of the study's UID, which is no result (IHE RAD-128), and that of what an
# earlier draft sent under the same code and name, which the receiver deletes.
_PRELIMINARY: Final = "P"
_ORDER_DETAIL: Final = "O"
_WITHDRAWN: Final = "D"

_NAMING: Final = frozenset(("id", "tracking_uid"))  # items that say which lesion is withdrawn
_MOST_TEXT: Final = 60_000  # Characters of one formatted text, escapes included; the standard allows 65,536
_LONGEST_ID: Final = 20  # characters that a message control id and a sub-id may have
_LONGEST_TEXT: Final = 199
"""Characters of a string (ST); longer texts for readers end in dots, identifiers are never cut."""

_CHARACTERS: Final = "^~\\&"
"""Encoding characters after the field separator: component, repetition, escape, subcomponent."""
_LINE_BREAK: Final = "\\.br\\"  # line end within formatted text (FT)
_ESCAPES: Final = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
"""Delimiters within a value."""
_DELETE: Final = '""'  # value that orders to delete what the receiver holds


def escape(text: str | None) -> str:
    """Write a value so that it holds no delimiter and no line break; ``None`` as an empty one."""
    if text is None:
        return ""
    visible = make_visible(text).strip()
    return "" if visible == _DELETE else visible.translate(_ESCAPES)


def shorten(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Cut a text that is only read, never compared, to what a string may hold; dots show that it was."""
    visible = make_visible(text).strip()
    return visible if len(visible) <= longest else f"{visible[: longest - 3]}..."


def components(*values: str | None) -> str:
    """Join values, escaped, as the components of a field; empty ones at the end are left out."""
    return "^".join(map(escape, values)).rstrip("^")


def segment(name: str, fields: Sequence[str]) -> str:
    """Join finished fields; empty ones at the end are left out."""
    return "|".join((name, *fields)).rstrip("|")


def timestamp(text: str | None) -> str:
    """Time of the report as ``YYYYMMDDHHMMSS`` with its zone where it has one; empty when it is no time."""
    time = ris.moment(text)
    return f"{time:%Y%m%d%H%M%S%z}"[:19] if time else ""


def day_digits(text: str | None) -> str:
    """Day as ``YYYYMMDD``; empty when it is no day of the calendar."""
    return ris.day(text).replace("-", "")


def numeric(value: float) -> str:
    """Number as NM: at most three decimals, never an exponent."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def person_name(name: str | None) -> str:
    """Write a DICOM person name as repetitions of XPN, those that say something; type U (unspecified) without any."""
    written = []
    for (family, given, middle, prefix, suffix), kind in zip(ris.name_groups(name), "AIP", strict=False):
        parts = components(family, given, middle, suffix, prefix)
        if parts:
            written.append(parts + "^" * (7 - parts.count("^")) + kind)
    return "~".join(written) or "^^^^^^U"


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:  # noqa: ARG001 - one signature
    """Render the report as an ORU^R01 message in UTF-8; parameters as in every renderer, pictures are not used.

    Segments each end in a carriage return. The same report gives the same message, control id included.
    """
    observed = enumerate(_observed(present(report, templates.statements), templates), start=1)
    observations = [segment("OBX", (str(number), *fields)) for number, fields in observed]
    order = segment("ORC", ("RE", "", escape(report.study.accession_number)))
    rest = [_pid(report.study.patient), order, _obr(report), *observations]
    control_id = hashlib.sha256(_END.join((_msh(report, ""), *rest)).encode()).hexdigest()[:_LONGEST_ID]
    return _END.join((_msh(report, control_id), *rest, "")).encode()


def _msh(report: Report, control_id: str) -> str:
    fields = [""] * 17
    fields[0] = _CHARACTERS  # MSH-2: the field separator itself is MSH-1
    fields[1] = _APPLICATION
    fields[5] = timestamp(report.created)
    fields[7] = "ORU^R01^ORU_R01"
    fields[8] = control_id
    fields[9] = "P"  # production, as against training and debugging
    fields[10] = _VERSION
    fields[16] = "UNICODE UTF-8"
    return segment("MSH", fields)


def _pid(patient: Patient) -> str:
    sex = patient.sex if patient.sex is not None and patient.sex in _SEXES else ""
    name = person_name(patient.name)
    return segment("PID", ("1", "", escape(patient.id), "", name, "", day_digits(patient.birth_date), sex))


def _obr(report: Report) -> str:
    study = report.study
    accession = escape(study.accession_number)
    service = ris.SERVICES.get(study.modality, ris.REPORT)
    description = shorten(study.description or "")
    fields = [""] * 25
    fields[0] = "1"
    fields[2] = accession  # filler order number
    fields[3] = components(service.value, service.meaning, service.system, "", description)
    fields[6] = day_digits(study.study_date)
    fields[17] = accession  # where IHE has the accession number
    fields[21] = timestamp(report.created)
    fields[23] = ris.DEPARTMENTS.get(study.modality, ris.OTHER_DEPARTMENT)[0]
    fields[24] = _PRELIMINARY
    return segment("OBR", fields)


def _observed(words: Presenter, templates: Templates) -> Iterator[tuple[str, ...]]:
    """Fields of every observation from the value type (OBX-2) on."""
    report = words.report
    uid = escape(report.study.study_instance_uid)
    if uid:
        study = components(ris.STUDY_UID.value, ris.STUDY_UID.meaning, ris.STUDY_UID.system)
        yield _fields("ST", study, "", uid, status=_ORDER_DETAIL)
    for section in cut_sections(report, templates):
        yield from _text(section)
    yield from (_item(item, "") for item in ris.study_items(words))
    for lesion in report.lesions:
        yield from (_item(item, lesion.id) for item in ris.items_of(lesion, words))
    yield from (_withdrawn(item, "") for item in ris.study_items(words, is_withdrawn=True))
    for lesion in (rejected.lesion for rejected in report.rejected):
        yield from (_withdrawn(item, lesion.id) for item in ris.items_of(lesion, words))


def _text(section: Section) -> Iterator[tuple[str, ...]]:
    """One observation a section, or several where a text has no room in one."""
    code = ris.SECTIONS.get(section.name, ris.REPORT if section.name == WHOLE else None)
    identifier = _coded(f"text.{section.name}", section.heading.capitalize() or section.name.capitalize(), code)
    parts = [""]
    # of a longer paragraph each part is its own observation: escaped, a character takes up to three
    pieces = (piece for line in section.text.split("\n") for piece in textwrap.wrap(line, _MOST_TEXT // 3))
    for line in (make_visible(piece).translate(_ESCAPES) for piece in pieces):  # blanks at its start are kept
        if len(parts[-1]) + len(line) > _MOST_TEXT:
            parts.append("")
        parts[-1] += f"{_LINE_BREAK}{line}" if parts[-1] else line
    for number, part in enumerate(parts, start=1):
        yield _fields("FT", identifier, str(number) if len(parts) > 1 else "", part)


def _item(item: ris.Item, lesion_id: str) -> tuple[str, ...]:
    named, value = _named(item, lesion_id), item.value
    if isinstance(value, ris.Amount):
        unit = components(value.unit, ris.UNITS[value.unit], "UCUM")
        number = numeric(value.number)
        # SN is a number with a comparator: what the edge of the scan cuts is at least so long
        kind, written = ("SN", f">=^{number}") if value.is_minimum else ("NM", number)
        return _fields(kind, *named, written, unit)
    if isinstance(value, ris.Answer):
        return _fields("CWE", *named, _coded(value.word, value.text, value.code))
    return _fields("ST", *named, escape(shorten(value)))


def _withdrawn(item: ris.Item, lesion_id: str) -> tuple[str, ...]:
    """What a rejected lesion was said to be, to be deleted: nothing of it is sent again but its name."""
    value = escape(shorten(str(item.value))) if item.name in _NAMING else ""
    return _fields("ST", *_named(item, lesion_id), value, status=_WITHDRAWN)


def _named(item: ris.Item, lesion_id: str) -> tuple[str, str]:
    """Observation identifier and sub-id: what is observed, and of which lesion."""
    return _coded(item.name, item.text, item.code), escape(shorten(lesion_id, _LONGEST_ID))


def _fields(
    kind: str, identifier: str, sub_id: str, value: str, unit: str = "", *, status: str = _PRELIMINARY
) -> tuple[str, ...]:
    return (kind, identifier, sub_id, value, unit, "", "", "", "", status)


def _coded(name: str, text: str, code: ris.Code | None) -> str:
    """Coded element: the standard's code first, ours beside it, so that both can be mapped."""
    ours = (name, shorten(text), ris.OUR_SYSTEM)
    return components(*((code.value, code.meaning, code.system, *ours) if code else ours))
