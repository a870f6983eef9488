"""What a receiver makes of ``oru.hl7``: parsed with hl7apy, escapes undone. And reports to send, good and hostile."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hl7apy.base_datatypes import BaseDataType, TextualDataType
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.exceptions import ValidationError
from hl7apy.parser import parse_message
from hl7apy.validation import Validator

from calcreport.model.report import Concern, FlagState, Lesion, LesionReview, RejectedLesion, Report

ESCAPES = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", ".br": "\n"}

KNOWN_GAPS = re.compile(
    r"Warning: Value (99CALCREPORT|SCT|UCUM) not in table HL70396 .*|Warning: Value CWE not in table HL70125 .*"
)
"""Systems and the type that the tables of hl7apy do not list; sites use all of them with version 2.5.1."""


@dataclass(frozen=True)
class Field:
    """A field: repetitions of components; only the first subcomponent of each has a meaning here."""

    repetitions: tuple[dict[int, str], ...] = ()

    def __getitem__(self, component: int) -> str:
        return self.repetitions[0].get(component, "") if self.repetitions else ""

    @property
    def text(self) -> str:
        return self[1]


@dataclass(frozen=True)
class Segment:
    name: str
    fields: dict[int, Field]

    def __getitem__(self, number: int) -> Field:
        return self.fields.get(number, Field())


def unescape(text: str) -> str:
    return re.sub(r"\\(\.br|[FSTRE])\\", lambda match: ESCAPES[match[1]], text)


def validate(content: bytes, folder: Path) -> list[str]:
    """Errors and warnings of hl7apy against the structure of ORU_R01, 2.5.1, known gaps left out."""
    message = parse_message(content.decode("utf-8"), validation_level=VALIDATION_LEVEL.TOLERANT)
    assert [child.name for child in message.children] == ["MSH", "ORU_R01_PATIENT_RESULT"]
    found = folder / "found.txt"
    with suppress(ValidationError):  # the first of what the file lists
        Validator.validate(message, report_file=str(found))
    return [line for line in found.read_text().splitlines() if not KNOWN_GAPS.fullmatch(line)]


def read(content: bytes) -> list[Segment]:
    """Segments of a message as a receiver reads them."""
    text = content.decode("utf-8")
    assert text.endswith("\r")
    message = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
    return [_segment(child) for child in message.children]


def _segment(segment: Message) -> Segment:
    fields: dict[int, list[dict[int, str]]] = {}
    for field in segment.children:
        parts = {}
        for component in field.children:
            subcomponents = [_as_sent(part.value) for part in component.children]
            assert len(subcomponents) == 1, f"{field.name} was split at an ampersand"
            number = component.name.rsplit("_", 1)[-1]
            parts[int(number) if number.isdigit() else 1] = unescape(subcomponents[0])
        fields.setdefault(int(field.name.rsplit("_", 1)[-1]), []).append(parts)
    return Segment(segment.name, {number: Field(tuple(repeated)) for number, repeated in fields.items()})


def _as_sent(value: BaseDataType) -> str:
    """Characters of a value: those of a text are kept, numbers and times are written again."""
    return value.value or "" if isinstance(value, TextualDataType) else value.to_er7()


def observations(content: bytes, lesion: str | None = None) -> dict[str, Segment]:
    """Observations by our own code: those of the whole report, or those of a lesion."""
    return by_own_code(read(content), lesion)


def by_own_code(segments: list[Segment], lesion: str | None = None) -> dict[str, Segment]:
    """The same of segments that were read."""
    found = {}
    for segment in segments:
        if segment.name != "OBX" or segment[4].text != (lesion or ""):
            continue
        codes = [segment[3][number] for number in (1, 4) if segment[3][number + 2] == "99CALCREPORT"]
        if codes:
            assert codes[0] not in found
            found[codes[0]] = segment
    return found


def with_lesion(report: Report, **update: object) -> Report:
    """The report with its first lesion changed, and no other lesion."""
    return report.model_copy(update={"lesions": (report.lesions[0].model_copy(update=update),)})


def rejecting(report: Report, *ids: str) -> Report:
    """The report with these lesions rejected; with none left no flag is assessed."""
    review = LesionReview(status="rejected", reason="a tattoo")
    rejected = tuple(
        RejectedLesion(lesion=lesion.model_copy(update={"review": review}), finding={})
        for lesion in report.lesions
        if lesion.id in ids
    )
    left = tuple(lesion for lesion in report.lesions if lesion.id not in ids)
    nothing = {} if left else {"flags_summary": {}, "concern": Concern.NONE}
    return report.model_copy(update={"lesions": left, "rejected": rejected} | nothing)


def lump_without_lesion(report: Report) -> Report:
    """The report with no lesion, and a lump that was reported and counts nevertheless."""
    flags = dict.fromkeys(("size", "growth", "mass", "history"), FlagState.PRESENT)
    return report.model_copy(update={"lesions": (), "rejected": (), "flags_summary": flags, "concern": Concern.HIGH})


def unmeasured(lesion: Lesion) -> Lesion:
    """The lesion with nothing measured and nothing answered."""
    flag = {"state": "not_provided", "evidence": ""}
    return Lesion.model_validate(
        lesion.model_dump(by_alias=True)
        | {name: {} for name in ("size", "foci", "mass", "density", "location")}
        | {
            "depth": {"class": "cannot_determine"},
            "flags": dict.fromkeys(type(lesion.flags).model_fields, flag),
            "bone_relation": "cannot_determine",
            "tracking_uid": None,
        }
    )
