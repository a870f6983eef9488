"""What a RIS can keep of a lesion apart from the text: every number with its unit, every answer as a word.

What was not measured is left out, never zero. An answer nobody could give is marked as unknown, never as "no": only
the flag state ``absent`` is a no.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import attrgetter
from typing import Final

from calcreport.formats.code_table import measured_of, rows_of, table_of
from calcreport.model.report import Flag, FlagState, Lesion, Report
from calcreport.text.film import refer
from calcreport.text.impression import FLAG_NAMES, is_assessed, name_flags
from calcreport.text.statements import Statements
from calcreport.text.wording import capitalise, name_finding


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept."""

    system: str
    """LOINC, SNOMED CT or the DICOM controlled terminology, as HL7 version 2 calls them."""
    value: str
    meaning: str


OUR_SYSTEM: Final = "99CALCREPORT"
"""Coding system of our own names in HL7 version 2 and in DICOM objects."""

UNITS: Final = {"mm": "mm", "mm3": "mm3", "[hnsf'U]": "HU", "1": "1", "{pixels}": "pixels"}
"""How units are read, by their UCUM code."""

STUDY_UID: Final = Code("DCM", "113014", "DICOM Study")
FINDING: Final = Code("DCM", "121071", "Finding")


def _table(name: str) -> dict[str, Code]:
    return {word: Code(*row) for word, row in rows_of(name).items()}


SERVICES: Final = _table("services")
"""What was reported on, by modality."""

REPORT: Final = Code("LN", "18748-4", "Diagnostic Imaging Report")
"""For every other modality, and for text outside any section."""

DEPARTMENTS: Final = table_of("departments")
"""Diagnostic service section (HL7 table 0074) by modality."""

OTHER_DEPARTMENT: Final = ("RAD", "Radiology")

SECTIONS: Final = _table("sections")
"""Sections of the text that have a code; the others go by our own names."""

SIDES: Final = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}

_SITES: Final = _table("sites") | _table("further_sites")
REGIONS: Final = {name: _SITES[name.replace(" ", "_")] for name in table_of("regions")}
"""Region by its name in the report; any other stays text."""

_LARGEST: Final = 1e9
"""No length, volume or density of a patient comes near it; what does is damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number: three decimals, which is finer than any image; `is_minimum` when the true one is at least that."""

    number: float
    unit: str
    """In UCUM."""
    is_minimum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A word of the report."""

    word: str
    """As in ``report.json``."""
    text: str
    """What it says, for readers."""
    code: Code | None = None
    """Standard code, where there is one."""
    is_unknown: bool = False
    """Not determined or not provided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing known of a lesion."""

    name: str
    """Our own code: the path in ``report.json``, with ``projected.`` before lengths in the plane of a radiograph."""
    text: str
    """What it is, for readers."""
    value: Amount | Answer | str
    """Text is only for places and identifiers."""
    code: Code | None = None
    """Standard code, where there is one."""


_Row = tuple[str, str, str, Code | None]


def _rows(group: str) -> tuple[_Row, ...]:
    return tuple((path, words, unit, Code(*code) if code else None) for path, words, unit, code in measured_of(group))


_SIZE, _PROJECTED, _PIXELS, _MASS, _LEVELS, _PLAIN = map(
    _rows, ("size", "projected", "pixels", "mass", "levels", "plain")
)
_PLANES: Final = {"detector": ", at the detector", "calibrated": ", in the calibrated plane", None: ""}


_OF_MINERAL: Final = frozenset(
    ("foci.count", "mass.mineral_fraction", "pattern.id", "pattern.confidence", "bone_relation")
)
"""Items that say something false of a contour in which no mineral was found: none above the threshold is not none."""
_FROM_FOCI: Final = frozenset(("foci.count", "mass.mineral_fraction"))


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


def items_of(lesion: Lesion, report: Report, statements: Statements) -> tuple[Item, ...]:
    """Everything a RIS can keep of a lesion: identity, amounts, answers, place, flags, concern; no name twice."""
    items = (
        *_identity(lesion),
        *_amounts(lesion),
        *_answers(lesion, statements),
        *_place(lesion, report, statements),
        *_flags(lesion, report, statements),
        _word("concern", "Concern", lesion.concern, statements.choose("concern", lesion.concern, lesion.concern)),
    )
    untold = _untold(lesion)
    return tuple(item for item in items if item.name not in untold)


def _untold(lesion: Lesion) -> frozenset[str]:
    """Items that would claim what nobody saw."""
    if not has_mineral(lesion):
        return _OF_MINERAL
    untold = _FROM_FOCI if lesion.foci.count == 0 else frozenset()
    # beside bone in a projection is not apart from bone
    return untold | {"bone_relation"} if lesion.size.projected else untold


def _identity(lesion: Lesion) -> list[Item]:
    code = Code("DCM", "112039", "Tracking Identifier")
    told = [Item(name="id", text="Name in the report", code=code, value=lesion.id)]
    if lesion.tracking_uid:
        code = Code("DCM", "112040", "Tracking Unique Identifier")
        told.append(Item(name="tracking_uid", text="Unique identifier", code=code, value=lesion.tracking_uid))
    if lesion.review is not None:
        told.append(_word("review.status", "Review by a reader", lesion.review.status))
    return told


def _amounts(lesion: Lesion) -> list[Item]:
    size = lesion.size
    plain = _measured(lesion, _PLAIN)
    if not size.projected:
        sizes = _measured(lesion, _SIZE, is_minimum=size.is_minimum)
    else:
        rows = _PIXELS if size.max_diameter_mm is None else _PROJECTED
        plane = _PLANES[size.plane] if rows is _PROJECTED else ""
        sizes = [
            Item(name=f"projected.{item.name}", text=f"{item.text}{plane} (not the true size)", value=item.value)
            for item in _measured(lesion, rows, is_minimum=size.is_minimum)
        ]
        words = f"Distance from the skin line in the image plane{plane} (not the depth)"
        line = ("depth.projected_skin_line_mm", words, "mm", None)
        sizes += [replace(item, name="projected.skin_line_mm") for item in _measured(lesion, (line,))]
    masses = _measured(lesion, _MASS, is_minimum=lesion.mass.is_minimum)
    return [*sizes, *masses, *_measured(lesion, _LEVELS, is_minimum=lesion.density.is_clipped), *plain]


def _measured(lesion: Lesion, rows: tuple[_Row, ...], *, is_minimum: bool = False) -> list[Item]:
    told = []
    for path, text, unit, code in rows:
        number = attrgetter(path)(lesion)
        if number is None or not math.isfinite(number) or abs(number) >= _LARGEST:
            continue
        # -0.0 is written as 0
        amount = Amount(number=round(number, 3) + 0.0, unit=unit, is_minimum=is_minimum)
        told.append(Item(name=path, text=text, code=code, value=amount))
    return told


def _answers(lesion: Lesion, statements: Statements) -> list[Item]:
    mass, pattern, relation = lesion.mass, lesion.pattern, lesion.bone_relation
    told = [
        _word("depth.class", "Layer", lesion.depth.class_, statements.choose("depth", lesion.depth.class_)),
        _word("pattern.id", "Pattern", pattern.id, _name_pattern(lesion, statements)),
        _word("pattern.confidence", "Confidence of the pattern", pattern.confidence),
        _word("bone_relation", "Relation to bone", relation, statements.choose("bone", relation)),
        _word("mass.present", "Soft-tissue mass", mass.present),
    ]
    if mass.source != "none":
        told.append(_word("mass.source", "Source of what is told of the mass", mass.source))
    if mass.depth_class is not None:
        layer = statements.choose("depth", mass.depth_class)
        told.append(_word("mass.depth_class", "Layer of the mass", mass.depth_class, layer))
    return told


def _name_pattern(lesion: Lesion, statements: Statements) -> str:
    """What is seen, as the text has it: a radiograph does not show which tissue the mineral lies in."""
    on_ct = name_finding(lesion.pattern, statements)
    return statements.choose("pattern.film", lesion.pattern.id, on_ct) if lesion.size.projected else on_ct


def _word(name: str, text: str, word: str, spelled: str = "", code: Code | None = None) -> Item:
    is_unknown = word in {"unknown", "cannot_determine"}
    answer = Answer(word=word, text=spelled or word.replace("_", " "), code=code, is_unknown=is_unknown)
    return Item(name=name, text=text, value=answer)


def _place(lesion: Lesion, report: Report, statements: Statements) -> list[Item]:
    place = lesion.location
    side = place.laterality
    told = [_word("location.laterality", "Side", side, statements.choose("side", side), SIDES.get(side))]
    told += [
        Item(name=f"location.{name}", text=text, value=value)
        for name, text, value in (
            ("region", "Region", place.region),
            ("compartment", "Tissue around it", place.compartment),
            ("images", "Images", refer(report, lesion, statements).strip("()")),
        )
        if value
    ]
    return told


def _flags(lesion: Lesion, report: Report, statements: Statements) -> list[Item]:
    return [
        Item(name=f"flags.{key}", text=capitalise(name), value=_state(getattr(lesion.flags, key), statements))
        for key, name in zip(FLAG_NAMES, name_flags(report, statements), strict=True)
    ]


def _state(flag: Flag, statements: Statements) -> Answer:
    details = [detail.strip(" .") for detail in (flag.evidence, *flag.notes)]
    return answer_flag(flag.state, statements, evidence="; ".join(filter(None, details)))


def answer_flag(state: FlagState, statements: Statements, *, evidence: str = "") -> Answer:
    """State of a flag as an answer, with the evidence behind it."""
    told = statements.choose("state", state, state)
    return Answer(
        word=state,
        text=f"{told}: {evidence}" if evidence else told,
        is_unknown=state in {FlagState.CANNOT_DETERMINE, FlagState.NOT_PROVIDED},
    )


def study_items(report: Report, statements: Statements) -> tuple[Item, ...]:
    """Concern of the study, then the worst state of each flag; without a lesion the flags reported of the patient.

    Empty where no flag was assessed.
    """
    if not is_assessed(report):
        return ()
    answer = Answer(word=report.concern, text=statements.choose("concern", report.concern, report.concern))
    flags = (
        _study_flag(name, report, statements, answer_flag(report.flags_summary[name], statements))
        for name in FLAG_NAMES
        if name in report.flags_summary
    )
    return (_study_concern(answer), *flags)


def withdrawn_study_items(report: Report, statements: Statements) -> Iterator[Item]:
    """Items, without value, that an earlier draft may have sent of the study and that left with rejected findings."""
    if not report.rejected:
        return
    if not is_assessed(report):
        yield _study_concern("")
    for name in FLAG_NAMES:
        if name not in report.flags_summary:
            yield _study_flag(name, report, statements, "")


def _study_concern(value: Answer | str) -> Item:
    return Item(name="report.concern", text="Concern of the study", value=value)


def _study_flag(name: str, report: Report, statements: Statements, value: Answer | str) -> Item:
    flag = name_flags(report, statements)[FLAG_NAMES.index(name)]
    return Item(name=f"flags_summary.{name}", text=f"{capitalise(flag)}, whole study", value=value)
