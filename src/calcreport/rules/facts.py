"""The facts rules may speak of: every name, its kind, its unit and what it means. A rule can name only these."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from pydantic import BaseModel

from calcreport.model.clinical import Conditions, FeltMass, Growth, History, Symptoms
from calcreport.model.findings import FindingFeatures
from calcreport.model.report import Flags, FlagState, YesNo
from calcreport.resources import packaged_text
from calcreport.rules.conditions import Value
from calcreport.rules.regions import AREA_NAMES
from calcreport.settings import PolicySettings

Kind = Literal["number", "word", "words"]  # What a fact is


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Declaration of a fact."""

    kind: Kind
    meaning: str
    unit: str = ""
    """Of a number; empty for words and counts."""
    words: frozenset[str] = frozenset()
    """The words possible; empty when any word is."""


YES_NO: Final = frozenset({"yes", "no"})  # Words of an answer; unknown is no word but the absence of one

_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "symptoms": Symptoms, "felt": FeltMass, "growth": Growth, "history": History, "conditions": Conditions,
}  # fmt: skip
"""Sections of the clinical file whose fields are facts."""


def declare(kind: str, meaning: str, *rest: str) -> Fact:
    """Declare a fact: ``number`` with its unit, ``answer``, ``word`` or ``words`` with those possible."""
    if kind == "number":
        return Fact(kind="number", meaning=meaning, unit="".join(rest))
    words = YES_NO if kind == "answer" else frozenset(rest)
    return Fact(kind="words" if kind == "words" else "word", meaning=meaning, words=words)


_WORDS_OF: Final[Mapping[str, Iterable[str]]] = {
    "place.areas": AREA_NAMES, "flags.present": Flags.model_fields, "flags.explained": Flags.model_fields,
}  # fmt: skip
"""Words that other parts of the program know."""


def _declare() -> dict[str, Fact]:
    rows = tomllib.loads(packaged_text("rules/facts.toml"))  # facts that are no field of the clinical file
    declared = {name: declare(kind, text, *_WORDS_OF.get(name, rest)) for name, (kind, text, *rest) in rows.items()}
    for section, model in _SECTIONS.items():
        declared |= _declare_fields(section, model)
    for name in FindingFeatures.model_fields:
        declared[f"features.{name}"] = declare("answer", name.replace("_", " "))
    for name in Flags.model_fields:
        declared[f"flag.{name}"] = declare("word", f"state of the {name} flag", *(state.value for state in FlagState))
    return declared | _declare_fields("policy", PolicySettings)


def _declare_fields(section: str, model: type[BaseModel]) -> dict[str, Fact]:
    """Declare the fields of a record by type: answers, words from a list, numbers; free text is not for rules."""
    declared = {}
    for name, field in model.model_fields.items():
        text, meaning, words = str(field.annotation), name.replace("_", " "), getattr(field.annotation, "__args__", ())
        if field.annotation in {YesNo, bool}:
            declared[f"{section}.{name}"] = declare("answer", meaning)
        elif "Literal" in text:
            known = (word for word in words if isinstance(word, str) and word != "unknown")
            declared[f"{section}.{name}"] = declare("word", meaning, *known)
        elif "float" in text or "int" in text:
            declared[f"{section}.{name}"] = declare("number", meaning)
    return declared


DECLARED: Final[Mapping[str, Fact]] = MappingProxyType(_declare())
"""Every fact a rule may name. Facts ``class.C02`` and so on are declared by the class table itself."""


PRIOR_FACTS: Final = tuple(name for name in DECLARED if name.startswith("prior."))
"""Facts of the comparison with an earlier study."""


def plain_answers(section: str, record: BaseModel) -> dict[str, Value]:
    """Facts of one clinical section: answers, words and numbers as typed, ``None`` for unknown."""
    return {key: plain_value(value) for name, value in record if (key := f"{section}.{name}") in DECLARED}


def plain_value(value: object) -> Value:
    """Value of a fact: numbers as float, words as text, no word and the word "unknown" as ``None``."""
    if value is None or value in {"unknown", ""}:
        return None
    if isinstance(value, int | float):
        return float(value)
    return str(value)


def answer(*, is_yes: bool | None) -> str | None:
    """Word of an answer."""
    return None if is_yes is None else ("yes" if is_yes else "no")
