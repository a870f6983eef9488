"""The facts rules may speak of: every name, its kind, its unit and what it means. A rule can name only these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel

from calcreport.model.clinical import Conditions, FeltMass, Growth, History, Symptoms
from calcreport.model.findings import FindingFeatures
from calcreport.model.report import Flags, FlagState, YesNo
from calcreport.rules.conditions import Value
from calcreport.rules.regions import AREA_NAMES
from calcreport.settings import PolicySettings


@unique
class Kind(StrEnum):
    """What a fact is."""

    NUMBER = "number"
    WORD = "word"
    WORDS = "words"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Declaration of a fact."""

    kind: Kind
    """Number, one word, or several words."""
    meaning: str
    """In a reader's words."""
    unit: str = ""
    """Of a number; empty for words and counts."""
    words: frozenset[str] = frozenset()
    """The words possible; empty when any word is."""


YES_NO: Final = frozenset({"yes", "no"})
"""Words of an answer; unknown is no word but the absence of one."""

_SECTIONS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {"symptoms": Symptoms, "felt": FeltMass, "growth": Growth, "history": History, "conditions": Conditions}
)  # sections of the clinical file whose fields are facts
_LAB_STATE: Final = frozenset({"low", "normal", "high"})  # words of a result


def _answer(meaning: str) -> Fact:
    return Fact(kind=Kind.WORD, meaning=meaning, words=YES_NO)


def _number(meaning: str, unit: str = "") -> Fact:
    return Fact(kind=Kind.NUMBER, meaning=meaning, unit=unit)


def _word(meaning: str, *words: str) -> Fact:
    return Fact(kind=Kind.WORD, meaning=meaning, words=frozenset(words))


def _words(meaning: str, words: Iterable[str]) -> Fact:
    return Fact(kind=Kind.WORDS, meaning=meaning, words=frozenset(words))


_OWN: Final[Mapping[str, Fact]] = {  # facts that are no field of the clinical file
    "modality": _word("modality", "CT", "CR", "DX"),
    "projection": _answer("measured on a projection radiograph"),
    "age_years": _number("age", "years"),
    "sex": _word("sex", "F", "M", "O"),
    "size.mineral_mm": _number("longest dimension of the mineral", "mm"),
    "size.mass_mm": _number("longest dimension of the whole lesion", "mm"),
    "size.felt_mm": _number("longest dimension of the lump as palpated", "mm"),
    "size.longest_mm": _number("longest dimension that the size criterion is about", "mm"),
    "size.extent_mm": _number("extent along a vessel, tendon or fascia, which is no mass dimension", "mm"),
    "size.focus_mm": _number("longest dimension of the largest single focus", "mm"),
    "size.focus_at_most_mm": _number("upper bound of the longest dimension of any single focus", "mm"),
    "size.short_axis_mm": _number("short axis in the axial plane, or the longest dimension without one", "mm"),
    "size.across_mm": _number("least extent of the one focus", "mm"),
    "size.basis": _word("what the longest dimension was measured on", "whole lesion", "mineralised component"),
    "size.possible_from_mm": _number("longest dimension from which the size criterion is possible", "mm"),
    "size.error_mm": _number("measurement error: one voxel diagonal", "mm"),
    "size.uncertainty_mm": _number("half-width of the 95 % interval of a dimension measured on a contour", "mm"),
    "size.over_mm": _number("how far the longest dimension lies above the size limit", "mm"),
    "size.is_minimum": _answer("cut by the edge of the images, so that sizes are lower bounds"),
    "size.is_projected": _answer("the longest dimension is a projected one"),
    "size.has_scale": _answer("the mineral was measured in millimetres, not in pixels only"),
    "size.is_settled": _answer("the whole lesion was measured, not its mineral alone"),
    "mass.present": _answer("non-mineralised soft-tissue mass on imaging"),
    "mass.felt_beyond_mm": _number("how far the palpated lump exceeds the mineral", "mm"),
    "depth.class": _word(
        "layer", "cutaneous", "subcutaneous", "abuts_fascia", "crosses_fascia", "subfascial", "juxtacortical",
        "cannot_determine",
    ),
    "depth.from": _word("what the layer rests on when it was not given", "given", "tissue", "region", "bone"),
    "pattern.id": _word("pattern", *(f"P{number:02d}" for number in range(1, 31))),
    "pattern.is_sure": _answer("the pattern was read with at least moderate confidence"),
    "pattern.confidence": _word("confidence the pattern was read with", "high", "moderate", "low"),
    "pattern.shape": _word(
        "plain shape", "clustered", "rim", "linear", "sheet-like", "plate", "tram-track", "phlebolith-like", "punctate",
        "amorphous",
    ),
    "pattern.read_by": _word("rule that read the pattern from a reader's features"),
    "bone.relation": _word("relation to bone", "separate", "abuts", "contiguous", "cannot_determine"),
    "foci.count": _number("number of foci"),
    "density.max_hu": _number("maximum attenuation", "HU"),
    "density.mean_hu": _number("mean attenuation", "HU"),
    "density.is_certain": _answer("dense enough to be certain of calcification"),
    "place.areas": _words("body areas", AREA_NAMES),
    "place.tissue": _word(
        "tissue", "muscle", "tendon", "bursa", "joint", "vessel", "node", "skin", "fat", "nerve", "organ"
    ),
    "checks.failed": _answer("a check of the run on itself failed: the lesion raises no alert"),
    "place.is_apart": _answer("the clinician's complaint is at another site or side"),
    "prior.growth_mm": _number("increase since the prior study", "mm"),
    "prior.growth_percent": _number("increase since the prior study", "%"),
    "prior.mm_per_month": _number("increase since the prior study, by the month", "mm/month"),
    "prior.error_mm": _number("error of both lengths together", "mm"),
    "prior.before_mm": _number("length on the prior study", "mm"),
    "prior.volume_percent": _number("increase of the volume since the prior study", "%"),
    "prior.course": _word("course since the prior study", "stable", "smaller", "larger", "larger_in_volume"),
    "prior.stable_days": _number("time over which comparable studies show no growth", "days"),
    "prior.reason": _word("why lengths of the prior study are not compared"),
    "prior.interval_days": _number("time since the prior study", "days"),
    "prior.comparable": _answer("the prior study can be compared"),
    "symptoms.explanation": _word("what explains the pain"),
    "symptoms.limited": _answer("functional limitation"),
    "labs.calcium": _word("serum calcium, adjusted for albumin where known", *_LAB_STATE),
    "labs.calcium_mmol_l": _number("serum calcium, adjusted for albumin where known", "mmol/L"),
    "labs.phosphate": _word("serum phosphate", *_LAB_STATE),
    "labs.pth": _word("parathyroid hormone", *_LAB_STATE),
    "labs.alp": _word("alkaline phosphatase", *_LAB_STATE),
    "labs.vitamin_d": _word("25-hydroxyvitamin D", *_LAB_STATE),
    "labs.ck": _word("creatine kinase", *_LAB_STATE),
    "labs.urate": _word("serum urate", *_LAB_STATE),
    "labs.renal": _word("renal function", "normal", "reduced"),
    "labs.core_normal": _answer("calcium, phosphate, PTH and ALP all normal"),
    "labs.core_complete": _answer("calcium, phosphate, PTH and ALP all given"),
    "labs.product": _number("calcium x phosphate product", "mg2/dL2"),
    "labs.product_limit": _number("limit of the calcium x phosphate product at this age", "mg2/dL2"),
    "patient.lesions": _number("number of lesions"),
    "patient.ossified_areas": _number("number of body areas with ossification"),
    "patient.calcified_areas": _number("number of body areas with calcification"),
    "patient.vessel_lesions": _number("number of lesions in vessel walls"),
    "patient.metabolic_lesions": _number("number of lesions with a pattern of metabolic calcification"),
    "patient.phleboliths_here": _number("number of phlebolith-like foci in the region of the lesion"),
    "patient.both_sides": _answer("the same pattern on both sides"),
    "flags.present": _words("red flags that are present", Flags.model_fields),
    "flags.explained": _words("red flags that are explained", Flags.model_fields),
    "flags.named": _word("red flags that are present, in words"),
    "flags.major_count": _number("how many of size, growth, mass and aggressive features are present"),
    "class.leading": _word("leading class"),
    "class.leading_label": _word("label of the leading class"),
    "class.leading_weight": _word("weight of the leading class", "++", "+", "-"),
    "class.leading_is_benign": _answer("the leading class is benign"),
}  # fmt: skip


def _declare() -> dict[str, Fact]:
    declared = dict(_OWN)
    for section, model in _SECTIONS.items():
        for name, field in model.model_fields.items():
            declared.update(_declare_field(f"{section}.{name}", field.annotation))
    for name in FindingFeatures.model_fields:
        declared[f"features.{name}"] = _answer(name.replace("_", " "))
    for name in Flags.model_fields:
        declared[f"flag.{name}"] = _word(f"state of the {name} flag", *(state.value for state in FlagState))
    for name, field in PolicySettings.model_fields.items():
        declared[f"policy.{name}"] = _declare_policy(name.replace("_", " "), field.annotation)
    return declared


def _declare_policy(meaning: str, annotation: Any) -> Fact:  # noqa: ANN401 - a type annotation
    """Declare a policy: switches as answers, choices as words, limits as numbers."""
    if annotation is bool:
        return _answer(meaning)
    if get_origin(annotation) is Literal:
        return _word(meaning, *get_args(annotation))
    return _number(meaning)


def _declare_field(name: str, annotation: Any) -> dict[str, Fact]:  # noqa: ANN401 - a type annotation
    """Declare a clinical field: answers, words from a list, and numbers; free text is not for rules."""
    meaning = name.partition(".")[2].replace("_", " ")
    text = str(annotation)
    if annotation is YesNo:
        return {name: _answer(meaning)}
    if "Literal" in text:
        words = tuple(word for word in annotation.__args__ if isinstance(word, str) and word != "unknown")
        return {name: _word(meaning, *words)}
    if "float" in text or "int" in text:
        return {name: _number(meaning)}
    return {}


DECLARED: Final[Mapping[str, Fact]] = MappingProxyType(_declare())
"""Every fact a rule may name. Facts ``class.C02`` and so on are declared by the class table itself."""


PRIOR_FACTS: Final = tuple(name for name in DECLARED if name.startswith("prior."))
"""Facts of the comparison with an earlier study."""


def plain_answers(section: str, record: BaseModel) -> dict[str, Value]:
    """Facts of one clinical section: answers, words and numbers as typed, ``None`` for unknown."""
    facts: dict[str, Value] = {}
    for name in type(record).model_fields:
        key = f"{section}.{name}"
        if key in DECLARED:
            facts[key] = plain_value(getattr(record, name))
    return facts


def plain_value(value: object) -> Value:
    """Value of a fact: numbers as float, words as text, the word "unknown" as ``None``."""
    if value is None or value == "unknown":
        return None
    if isinstance(value, int | float):
        return float(value)
    return str(value)


def answer(*, is_yes: bool | None) -> str | None:
    """Word of an answer."""
    return None if is_yes is None else ("yes" if is_yes else "no")
