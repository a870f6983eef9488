"""FHIR R4 elements: codings, quantities, identifiers, names, narratives; plain dictionaries, nothing empty in them."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from calcreport.formats.characters import make_visible
from calcreport.formats.ris.codes import Code, Unit
from calcreport.formats.ris.items import Amount, Answer, Item
from calcreport.model.uids import derive_uid

Element = dict[str, Any]

SYSTEMS: Final[Mapping[str, str]] = {
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
}
"""URI of a coding system by its name in HL7 version 2."""

UCUM: Final = "http://unitsofmeasure.org"
URIS: Final = "urn:ietf:rfc:3986"
ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

OURS: Final = f"urn:oid:{derive_uid('code system', 'calcreport')}"
"""Coding system of our own names; fixed, as the name it is derived from."""

_UID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+\Z", re.ASCII)
_LONGEST_UID: Final = 64
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS: Final = ("ABC", "IDE", "SYL")
_GENDERS: Final = {"F": "female", "M": "male", "O": "other"}


def prune(element: Element) -> Element:
    """Leave out what says nothing: FHIR knows no empty value."""
    return {name: value for name, value in element.items() if value not in (None, "", [], {}, ())}


def clean(text: str | None) -> str:
    """Text that may stand in a FHIR string: nothing hidden, no blanks around it."""
    return make_visible(text or "").strip()


def urn(*parts: str) -> str:
    """``urn:uuid:`` derived from names: the same names give the same one on every machine."""
    return f"urn:uuid:{UUID(int=int(derive_uid('fhir', *parts).removeprefix('2.25.')))}"


def refer(target: str) -> Element:
    """Reference to another entry of the bundle."""
    return {"reference": target}


def oid(uid: str | None) -> str:
    """UID as a URI; empty when it is none."""
    text = uid or ""
    return f"urn:oid:{text}" if len(text) <= _LONGEST_UID and _UID.match(text) else ""


def standard(code: Code) -> Element:
    """Coding of a standard concept."""
    return {"system": SYSTEMS[code.system], "code": code.value, "display": code.meaning}


def own(name: str, text: str = "") -> Element:
    """Coding by one of our own names; `text` where it says what the name alone does not."""
    return prune({"system": OURS, "code": clean(name), "display": clean(text)})


def concept(*codings: Element, text: str = "") -> Element:
    """CodeableConcept."""
    return prune({"coding": list(codings), "text": clean(text)})


def described(item: Item) -> Element:
    """What an item is: the standard's code first, ours beside it."""
    codings = [standard(item.code)] if item.code else []
    return concept(*codings, own(item.name), text=item.text)


def valued(item: Item) -> Element:
    """Value of an item, as the ``value[x]`` or the ``dataAbsentReason`` of an observation or a component."""
    value = item.value
    if isinstance(value, Amount):
        return {"valueQuantity": quantity(value.number, value.unit, is_minimum=value.is_minimum)}
    if isinstance(value, Answer):
        return _answered(value)
    return {"valueString": clean(value)} if clean(value) else {"dataAbsentReason": _unknown()}


def _answered(answer: Answer) -> Element:
    if answer.is_unknown:
        return {"dataAbsentReason": _unknown(own(answer.word), text=answer.text)}
    codings = [standard(answer.code)] if answer.code else []
    return {"valueCodeableConcept": concept(*codings, own(answer.word), text=answer.text)}


def _unknown(*codings: Element, text: str = "") -> Element:
    return concept({"system": ABSENT, "code": "unknown"}, *codings, text=text)


def quantity(number: float, unit: Unit, *, is_minimum: bool = False) -> Element:
    """Quantity in UCUM; a minimum has the comparator ``>=``."""
    value = int(number) if number.is_integer() else number
    return prune({"comparator": ">=" if is_minimum else None, "unit": unit.text, "system": UCUM, "code": unit.code}) | {
        "value": value
    }


def narrative(text: str, *, status: str) -> Element:
    """Text for readers, its lines kept; `status` as FHIR has it: ``generated`` or ``additional``."""
    visible = "\n".join(map(make_visible, text.split("\n")))
    return {
        "status": status,
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><pre>{html.escape(visible)}</pre></div>',
    }


def names(name: str | None) -> list[Element]:
    """Write a DICOM person name as HumanNames: alphabetic, ideographic, phonetic, those that say something.

    What stands beyond the fifth component of a group stays with it.
    """
    written = []
    for group, kind in zip((name or "").split("=", 2), _GROUPS, strict=False):
        family, given, middle, prefix, suffix = map(clean, [*group.split("^", 4), "", "", "", ""][:5])
        parts = prune(
            {
                "family": family,
                "given": [part for part in (given, middle) if part],
                "prefix": [prefix] if prefix else [],
                "suffix": [suffix] if suffix else [],
            }
        )
        if parts:
            written.append({"extension": [{"url": _REPRESENTATION, "valueCode": kind}], **parts})
    return written


def gender(sex: str | None) -> str | None:
    """Administrative gender of Patient's Sex; ``None`` for anything but F, M and O."""
    return _GENDERS.get(sex or "")


def day(text: str | None) -> str | None:
    """Day, with or without hyphens, as ``YYYY-MM-DD``; ``None`` when it is no day of the calendar."""
    try:
        return date.fromisoformat((text or "").strip()).isoformat()
    except ValueError:
        return None


def instant(text: str | None) -> str | None:
    """Time with its zone; ``None`` when it is no time or its zone is not stated."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.isoformat(timespec="seconds") if moment.tzinfo else None
