"""What a RIS can keep of a lesion apart from the text: every number with its unit, every answer as a word.

What was not measured is left out, never zero. An answer nobody could give is marked as unknown, never as "no": only
the flag state ``absent`` is a no.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Final, NamedTuple

from calcreport.formats.code_table import table_of
from calcreport.model.report import FlagState, Lesion
from calcreport.text.film import refer
from calcreport.text.impression import FLAG_NAMES, is_assessed, name_flags
from calcreport.text.statements import Statements
from calcreport.text.wording import Presenter, capitalise, name_finding


class Code(NamedTuple):
    """A coded concept; `system` is the name of LOINC, SNOMED CT or the DICOM terminology in HL7 version 2."""

    system: str
    value: str
    meaning: str


OUR_SYSTEM: Final = "99CALCREPORT"  # Coding system of our own names in HL7 version 2 and in DICOM objects

UNITS: Final = {"mm": "mm", "mm3": "mm3", "[hnsf'U]": "HU", "1": "1", "{pixels}": "pixels"}
"""How units are read, by their UCUM code."""

STUDY_UID: Final = Code("DCM", "113014", "DICOM Study")  # Concept of the study's identifier
FINDING: Final = Code("DCM", "121071", "Finding")  # Concept of a lesion


def _table(name: str) -> dict[str, Code]:
    return {word: Code(*row) for word, row in table_of(name).items()}


SERVICES: Final = _table("services")  # What was reported on, by modality

REPORT: Final = Code("LN", "18748-4", "Diagnostic Imaging Report")
"""For every other modality, and for text outside any section."""

DEPARTMENTS: Final = table_of("departments")  # Diagnostic service section (HL7 table 0074) by modality

OTHER_DEPARTMENT: Final = ("RAD", "Radiology")  # The same for every other modality

SECTIONS: Final = _table("sections")  # Sections of the text that have a code; the others go by our own names

SIDES: Final = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}
"""Sides that have a code."""

_SITES: Final = _table("sites") | _table("further_sites")  # parts of the body, with underscores for blanks
REGIONS: Final = {name: _SITES[name.replace(" ", "_")] for name in table_of("regions")}
"""Region by its name in the report; any other stays text."""

_LARGEST: Final = 1e9  # No length, volume or density of a patient comes near it; what does is damage


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number: three decimals, which is finer than any image; `is_minimum` when the true one is at least that."""

    number: float
    unit: str
    """In UCUM."""
    is_minimum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A word of ``report.json``, what it says for readers, and a standard code where there is one."""

    word: str
    text: str
    code: Code | None = None
    is_unknown: bool = False
    """Not determined or not provided."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing known of a lesion."""

    name: str
    """Our own code: the path in ``report.json``, with ``projected.`` before lengths in the plane of a radiograph."""
    text: str
    value: Amount | Answer | str
    """Text is only for places and identifiers."""
    code: Code | None = None


_PLANES: Final = {"detector": ", at the detector", "calibrated": ", in the calibrated plane", None: ""}
"""Words for the plane of projected lengths."""
_ID: Final = Code("DCM", "112039", "Tracking Identifier")  # names of a lesion
_UID: Final = Code("DCM", "112040", "Tracking Unique Identifier")  # names of a lesion

_FROM_FOCI: Final = frozenset(("foci.count", "mass.mineral_fraction"))  # that follow from the number of foci
_OF_MINERAL: Final = _FROM_FOCI | {"pattern.id", "pattern.confidence", "bone_relation"}
"""Items that say something false of a contour in which no mineral was found: none above the threshold is not none."""


def day(text: str | None) -> str:
    """Day, with or without hyphens, as ``YYYY-MM-DD``; empty when it is no day of the calendar."""
    try:
        return date.fromisoformat((text or "").strip()).isoformat()
    except ValueError:
        return ""


def moment(text: str | None) -> datetime | None:
    """Time of the report, ISO 8601; ``None`` when it is no time."""
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None


def name_groups(name: str | None) -> Iterator[list[str]]:
    """Groups of a DICOM person name, alphabetic, ideographic, phonetic: family, given, middle name, prefix and suffix.

    What stands beyond the fifth component of a group stays with it.
    """
    for group in (name or "").split("=", 2):
        yield [*group.split("^", 4), "", "", "", ""][:5]


def has_mineral(lesion: Lesion) -> bool:
    """Whether a lesion has mineral, found or stated: a reader's contour may hold none."""
    size = lesion.size
    return lesion.foci.count != 0 or size.max_diameter_mm is not None or size.max_diameter_px is not None


def items_of(lesion: Lesion, words: Presenter) -> tuple[Item, ...]:
    """Everything a RIS can keep of a lesion: identity, amounts, answers, place, flags, concern; no name twice.

    Items that would claim what nobody saw are left out.
    """
    left_out = frozenset[str]()
    if not has_mineral(lesion):
        left_out = _OF_MINERAL
    elif lesion.foci.count == 0:
        left_out = _FROM_FOCI
    if lesion.size.projected:  # beside bone in a projection is not apart from bone
        left_out |= {"bone_relation"}
    items = (*_identity(lesion), *_amounts(lesion), *_answers(lesion, words), *_place(lesion, words))
    return tuple(item for item in items if item.name not in left_out)


def _identity(lesion: Lesion) -> Iterator[Item]:
    yield Item("id", "Name in the report", lesion.id, _ID)
    if lesion.tracking_uid:
        yield Item("tracking_uid", "Unique identifier", lesion.tracking_uid, _UID)
    if lesion.review is not None:
        yield _word("review.status", "Review by a reader", lesion.review.status)


def _amounts(lesion: Lesion) -> Iterator[Item]:
    size = lesion.size
    if not size.projected:
        yield from _measured(lesion, "size", is_minimum=size.is_minimum)
    else:
        has_scale = size.max_diameter_mm is not None
        plane = _PLANES[size.plane] if has_scale else ""
        for item in _measured(lesion, "projected" if has_scale else "pixels", is_minimum=size.is_minimum):
            yield Item(f"projected.{item.name}", f"{item.text}{plane} (not the true size)", item.value)
        for item in _measured(lesion, "skin_line"):
            yield Item("projected.skin_line_mm", f"{item.text}{plane} (not the depth)", item.value)
    yield from _measured(lesion, "mass", is_minimum=lesion.mass.is_minimum)
    yield from _measured(lesion, "levels", is_minimum=lesion.density.is_clipped)
    yield from _measured(lesion, "plain")


def _measured(lesion: Lesion, group: str, *, is_minimum: bool = False) -> Iterator[Item]:
    """Numbers of a group of ``codes.toml``: path in ``report.json``, words, UCUM unit, and a code or none."""
    for path, (text, unit, *code) in table_of(f"measured_{group}").items():
        number = attrgetter(path)(lesion)
        if number is not None and math.isfinite(number) and abs(number) < _LARGEST:
            # -0.0 is written as 0
            amount = Amount(number=round(number, 3) + 0.0, unit=unit, is_minimum=is_minimum)
            yield Item(path, text, amount, Code(*code) if code else None)


def _answers(lesion: Lesion, words: Presenter) -> Iterator[Item]:
    mass, pattern, relation = lesion.mass, lesion.pattern, lesion.bone_relation
    finding = name_finding(pattern, words)
    if lesion.size.projected:  # a radiograph does not show which tissue the mineral lies in
        finding = words.choose("pattern.film", pattern.id, finding)
    yield _word("depth.class", "Layer", lesion.depth.class_, words.choose("depth", lesion.depth.class_))
    yield _word("pattern.id", "Pattern", pattern.id, finding)
    yield _word("pattern.confidence", "Confidence of the pattern", pattern.confidence)
    yield _word("bone_relation", "Relation to bone", relation, words.choose("bone", relation))
    yield _word("mass.present", "Soft-tissue mass", mass.present)
    if mass.source != "none":
        yield _word("mass.source", "Source of what is told of the mass", mass.source)
    if mass.depth_class is not None:
        yield _word("mass.depth_class", "Layer of the mass", mass.depth_class, words.choose("depth", mass.depth_class))


def _word(name: str, text: str, word: str, spelled: str = "", code: Code | None = None) -> Item:
    is_unknown = word in {"unknown", "cannot_determine"}
    return Item(name, text, Answer(word=word, text=spelled or word.replace("_", " "), code=code, is_unknown=is_unknown))


def _place(lesion: Lesion, words: Presenter) -> Iterator[Item]:
    """Place, flags with the evidence behind them, and concern."""
    place, side = lesion.location, lesion.location.laterality
    yield _word("location.laterality", "Side", side, words.choose("side", side), SIDES.get(side))
    images = refer(lesion, words).strip("()")
    texts = (("region", "Region", place.region), ("compartment", "Tissue around it", place.compartment))
    for name, text, value in (*texts, ("images", "Images", images)):
        if value:
            yield Item(f"location.{name}", text, value)
    for name, text in name_flags(words).items():
        flag = getattr(lesion.flags, name)
        evidence = "; ".join(filter(None, (detail.strip(" .") for detail in (flag.evidence, *flag.notes))))
        yield Item(f"flags.{name}", capitalise(text), _answer_flag(flag.state, words, evidence))
    yield _word("concern", "Concern", lesion.concern, words.choose("concern", lesion.concern, lesion.concern))


def _answer_flag(state: FlagState, statements: Statements, evidence: str = "") -> Answer:
    said = statements.choose("state", state, state)
    is_unknown = state in {FlagState.CANNOT_DETERMINE, FlagState.NOT_PROVIDED}
    return Answer(word=state, text=f"{said}: {evidence}" if evidence else said, is_unknown=is_unknown)


def study_items(words: Presenter, *, is_withdrawn: bool = False) -> Iterator[Item]:
    """Concern of the study, then the worst state of each flag; without a lesion the flags reported of the patient.

    Empty where no flag was assessed. With `is_withdrawn` the items, without value, that an earlier draft may have sent
    and that left with rejected findings.
    """
    report, names = words.report, name_flags(words)
    if is_withdrawn and not report.rejected:
        return
    if is_assessed(report) is not is_withdrawn:
        text = words.choose("concern", report.concern, report.concern)
        answer = Answer(word=report.concern, text=text)
        yield Item("report.concern", "Concern of the study", "" if is_withdrawn else answer)
    for name in FLAG_NAMES:
        state = report.flags_summary.get(name)
        if (state is None) is is_withdrawn:
            value = "" if state is None else _answer_flag(state, words)
            yield Item(f"flags_summary.{name}", f"{capitalise(names[name])}, whole study", value)
