"""Laws of the decision logic, searched over its input space."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from calcreport.model.clinical import Clinical, Conditions, History, Symptoms, parse_clinical
from calcreport.model.decision import Decision
from calcreport.model.findings import FindingFeatures, Findings, LesionFinding
from calcreport.model.report import Concern, FlagState, YesNo
from calcreport.resources import rule_texts
from calcreport.rules import Ruleset, decide, load_rules
from calcreport.settings import PolicySettings

sys.path.append(str(Path(__file__).parents[1]))
from worries import inputs_of_the_rules, worry_ladder

ANSWERS = ("yes", "no", "unknown")
WORRY = (Concern.NONE, Concern.INDETERMINATE, Concern.MODIFIED, Concern.FLAGGED, Concern.HIGH)
LEADS_TO_BIOPSY = {"R05", "R06", "R07", "R09", "R16", "R18"}
BENIGN_CLASSES = {f"C{number:02d}" for number in range(1, 20)} | {"C01b", "C08b"}
LADDER = {"consistent with", "favoured", "possible", "less likely", "cannot be determined"}

LAWS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)

answers = st.sampled_from(ANSWERS)
lengths = st.none() | st.sampled_from([3.0, 8.0, 15.0, 15.1, 19.9, 20.0, 30.0, 44.9, 45.0, 50.0, 50.1, 90.0])


@functools.cache
def rules() -> Ruleset:
    return load_rules(rule_texts())


@st.composite
def lesions(draw: st.DrawFn) -> dict[str, Any]:
    named = draw(st.lists(st.sampled_from(sorted(FindingFeatures.model_fields)), max_size=4, unique=True))
    return {
        "size": {"max_diameter_mm": draw(lengths), "is_minimum": draw(st.booleans())},
        "mass": {"present": draw(answers), "max_diameter_mm": draw(st.none() | lengths)},
        "depth": {"class": draw(st.sampled_from([
            None, "cutaneous", "subcutaneous", "abuts_fascia", "crosses_fascia", "subfascial", "juxtacortical",
            "cannot_determine",
        ]))},
        "pattern": {
            "id": draw(st.none() | st.sampled_from([f"P{number:02d}" for number in range(1, 31)])),
            "confidence": draw(st.sampled_from([None, "low", "moderate", "high"])),
        },
        "bone_relation": draw(st.sampled_from([None, "separate", "abuts", "contiguous", "cannot_determine"])),
        "foci": {"count": draw(st.sampled_from([None, 1, 5]))},
        "location": {
            "region": draw(st.sampled_from([None, "calf", "neck", "hand", "pelvis", "hip", "thigh", "nowhere known"])),
            "laterality": draw(st.sampled_from(["left", "right", "unknown"])),
            "tissue": draw(st.sampled_from([None, "muscle", "tendon", "vessel", "fat", "skin", "node", "organ"])),
        },
        "features": {name: draw(answers) for name in named},
        "prior": draw(st.none() | st.fixed_dictionaries({
            "max_diameter_mm": lengths, "interval_days": st.sampled_from([None, 20, 28, 400]), "comparable": answers,
        })),
        "voxel_diagonal_mm": draw(st.sampled_from([None, 0.9])),
    }  # fmt: skip


def _fields(model: type[BaseModel]) -> list[str]:
    """Yes/no fields of a section, so that a new one is searched too."""
    return [name for name, field in model.model_fields.items() if field.annotation is YesNo]


def _some(draw: st.DrawFn, model: type[BaseModel], most: int) -> dict[str, str]:
    names = draw(st.lists(st.sampled_from(_fields(model)), max_size=most, unique=True))
    return {name: draw(answers) for name in names}


@st.composite
def clinicals(draw: st.DrawFn) -> dict[str, Any]:
    lab = st.sampled_from([None, "low", "normal", "high"])
    values = {
        "calcium": ("mmol/L", {"low": 1.9, "normal": 2.4, "high": 3.0}),
        "phosphate": ("mmol/L", {"low": 0.5, "normal": 1.1, "high": 2.4}),
        "pth": ("pmol/L", {"low": 0.5, "normal": 4.0, "high": 60.0}),
        "alp": ("U/L", {"low": 20.0, "normal": 80.0, "high": 400.0}),
        "egfr": ("mL/min", {"low": 20.0, "normal": 90.0, "high": 120.0}),
    }
    labs = {}
    for name, (unit, states) in values.items():
        state = draw(lab)
        if state is not None:
            labs[name] = {"value": states[state], "unit": unit}
    symptoms: dict[str, Any] = _some(draw, Symptoms, 4)
    symptoms["pain_explained_by"] = draw(st.sampled_from([None, "none", "trauma"]))
    return {
        "patient": {"age_years": draw(st.sampled_from([None, 6, 19, 20, 45, 70]))},
        "site": {"laterality": draw(st.sampled_from(["left", "right", "unknown"]))},
        "symptoms": symptoms,
        "mass": {
            "palpable": draw(answers), "size_cm": draw(st.sampled_from([None, 2.0, 6.0])),
            "mobility": draw(st.sampled_from(["unknown", "fixed", "mobile"])),
        },
        "growth": {
            "rate": draw(st.sampled_from(["none", "slow", "rapid", "unknown"])),
            "weeks": draw(st.sampled_from([None, 6, 40])),
            "stable_months": draw(st.sampled_from([None, 11, 12])),
        },
        "history": _some(draw, History, 6)
        | {"trauma_weeks_ago": draw(st.sampled_from([None, 5, 6, 60]))},
        "conditions": _some(draw, Conditions, 2)
        | {"ckd_stage": draw(st.sampled_from([None, 0, 3, 5]))},
        "labs": labs,
    }  # fmt: skip


@st.composite
def inputs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], PolicySettings]:
    findings = {
        "modality": draw(st.sampled_from([None, "CT", "CT", "CT", "DX"])),
        "lesions": draw(st.lists(lesions(), min_size=1, max_size=3)),
    }
    policy = PolicySettings(
        strict_s1=draw(st.sampled_from([False, False, True])),
        followup_for_definite_benign=draw(st.booleans()),
        size_operator=draw(st.sampled_from([">", ">="])),
    )
    return findings, draw(clinicals()), policy


def _decide(findings: dict[str, Any], clinical: dict[str, Any] | Clinical, policy: PolicySettings) -> Decision:
    typed = clinical if isinstance(clinical, Clinical) else parse_clinical(clinical)
    return decide(Findings.model_validate(findings), typed, policy, rules())


@LAWS
@given(inputs())
def test_a_benign_conclusion_beside_growth_mass_or_aggression_always_carries_the_referral(case: Any) -> None:
    for lesion in _decide(*case).lesions:
        alarming = any(
            getattr(lesion.flags, name).state is FlagState.PRESENT for name in ("growth", "mass", "aggressive")
        )
        leading = lesion.differential[0] if lesion.differential else None
        ids = {entry.id for entry in lesion.recommendations}
        if alarming and leading is not None and leading.id in BENIGN_CLASSES:
            assert ids & {"R09", "R11"}
            assert not ids & {"R01", "R02", "R03", "R06"}
        if alarming:
            assert FlagState.EXPLAINED not in {lesion.flags.depth.state}


def _known_for_absent(lesion: LesionFinding, told: Clinical, *, is_projection: bool) -> dict[str, bool]:
    """Whether what each flag rests on was determined, so that it may be called absent."""
    mass, prior, history = lesion.mass, lesion.prior, told.history
    lengths = [length for length in (mass.max_diameter_mm, (told.mass.size_cm or 0) * 10 or None) if length]
    is_whole = bool(lengths) or mass.present == "no"
    is_cut = mass.is_minimum or (lesion.size.is_minimum and mass.max_diameter_mm is None)
    return {
        "size": is_whole and not is_cut and max(lengths, default=0) < 45,
        "depth": lesion.depth.class_ in {"cutaneous", "subcutaneous"} and not is_projection,
        "growth": told.growth.rate in {"none", "slow"} or (prior is not None and prior.comparable == "yes"),
        "pain": told.symptoms.pain != "unknown"
        or told.symptoms.symptomatic == "no"
        or told.symptoms.pain_explained_by not in {None, "none"},
        "mass": mass.present == "no",
        "history": {history.sarcoma, history.malignancy, history.excision_at_site} == {"no"},
        "aggressive": lesion.features.bone_destruction == "no",
    }


@LAWS
@given(inputs())
def test_absent_is_never_said_of_what_is_unknown(case: Any) -> None:
    findings, clinical, _ = case
    typed, told = Findings.model_validate(findings), parse_clinical(clinical)
    for given_lesion, lesion in zip(typed.lesions, _decide(*case).lesions, strict=True):
        known = _known_for_absent(given_lesion, told, is_projection=typed.modality == "DX")
        if len(typed.lesions) > 1:
            del known["size"]  # the lump told of may be another lesion's
        for name, is_known in known.items():
            if getattr(lesion.flags, name).state is FlagState.ABSENT:
                assert is_known, name


NEVER_IN_ONE_REPORT = {"R11": LEADS_TO_BIOPSY | {"R03", "R20"}, "R09": {"R03"}}
NEVER_FOR_ONE_LESION = {
    "R09": {"R01", "R02", "R06", "R07"},
    "R11": {"R01", "R02"},
    "R13": {"R01", "R02", "R03", "R06"},
    "R16": {"R05"},
    "R18": {"R05"},
    "R01": {"R02"},
    "R08": {"R02"},
    "R07": {"R06"},
}


@LAWS
@given(inputs())
def test_recommendations_never_contradict_each_other(case: Any) -> None:
    decision = _decide(*case)
    every = {entry.id for lesion in decision.lesions for entry in lesion.recommendations}
    assert every == {entry.id for entry in decision.recommendations}
    for name, others in NEVER_IN_ONE_REPORT.items():
        assert name not in every or not every & others
    for lesion in decision.lesions:
        ids = [entry.id for entry in lesion.recommendations]
        assert len(ids) == len(set(ids))
        for name, others in NEVER_FOR_ONE_LESION.items():
            assert name not in ids or not set(ids) & others
    order = list(dict.fromkeys(rule.concludes for rule in rules().tables["recommendation"]))
    places = [order.index(entry.id) for entry in decision.recommendations]
    assert places == sorted(places)


@LAWS
@given(inputs())
def test_nothing_leads_to_biopsy_in_words_beside_suspected_fibrodysplasia(case: Any) -> None:
    decision = _decide(*case)
    if "R11" in {entry.id for entry in decision.recommendations}:
        others = " ".join(entry.text for entry in decision.recommendations if entry.id != "R11")
        for words in (
            "biopsy route",
            "tissue confirmation",
            "xcision may be considered",
            "complete excision",
            "injection",
        ):
            assert words not in others


@LAWS
@given(inputs())
def test_every_input_has_a_conclusion_in_words_of_the_ladder(case: Any) -> None:
    decision = _decide(*case)
    for lesion in decision.lesions:
        out_of_scope = "not evaluated" in lesion.flags.size.evidence
        assert lesion.differential or out_of_scope
        assert {entry.certainty for entry in lesion.differential} <= LADDER
        for flag in (getattr(lesion.flags, name) for name in type(lesion.flags).model_fields):
            assert flag.evidence
            assert "{" not in flag.evidence
        for entry in lesion.recommendations:
            assert entry.sources
            assert "{" not in entry.text


@LAWS
@given(inputs())
def test_no_concern_only_when_everything_was_determined_and_absent(case: Any) -> None:
    for lesion in _decide(*case).lesions:
        if lesion.concern is Concern.NONE:
            states = {getattr(lesion.flags, name).state for name in type(lesion.flags).model_fields}
            assert states == {FlagState.ABSENT}


@LAWS
@given(inputs())
def test_a_low_confidence_pattern_is_never_characteristic_and_explains_nothing(case: Any) -> None:
    findings, clinical, policy = case
    clinical["conditions"] = {}
    for lesion in findings["lesions"]:
        lesion["pattern"] = {"id": lesion["pattern"]["id"] or "P01", "confidence": "low"}
        lesion["features"] = {}
    clinical["growth"]["stable_months"] = None
    for lesion in findings["lesions"]:
        lesion["prior"] = None
    for lesion in _decide(findings, clinical, policy).lesions:
        assert all(entry.weight != "++" for entry in lesion.differential)
        assert lesion.flags.size.state is not FlagState.EXPLAINED
        assert lesion.flags.depth.state is not FlagState.EXPLAINED


@LAWS
@given(inputs())
def test_strict_policy_refers_every_flag(case: Any) -> None:
    findings, clinical, _ = case
    for lesion in _decide(findings, clinical, PolicySettings(strict_s1=True)).lesions:
        flags = lesion.flags
        states = {name: getattr(flags, name).state for name in type(flags).model_fields}
        assert FlagState.EXPLAINED not in states.values()
        if FlagState.PRESENT in {states[name] for name in ("size", "depth", "growth", "pain")}:
            assert {entry.id for entry in lesion.recommendations} & {"R09", "R11"}


LADDERS = {(name, ladder) for name in inputs_of_the_rules() if (ladder := worry_ladder(name)) is not None} | {
    ("growth.rate", ("none", "slow", "rapid")),
    ("lesion.depth.class", ("subcutaneous", "abuts_fascia", "subfascial", "crosses_fascia")),
    ("lesion.depth.class", ("subcutaneous", "cannot_determine", "juxtacortical")),
}
LENGTHS = {
    "length of the mass": (("mass", "max_diameter_mm"), (20.0, 47.0, 80.0)),
    "length of the mineral": (("size", "max_diameter_mm"), (20.0, 47.0, 80.0)),
}


def _answered(name: str, answer: str, findings: dict[str, Any], clinical: dict[str, Any]) -> None:
    """Give one answer, to the first lesion where it is about a finding."""
    value = None if answer == "unknown" else answer
    section, _, field = name.removeprefix("lesion.").partition(".")
    if name == "lesion.prior":
        findings["lesions"][0]["prior"] = PRIORS[answer]
    elif name.startswith("lesion."):
        findings["lesions"][0].setdefault(section, {})[field] = value if field == "class" else answer
    elif field == "pain_explained_by":
        clinical[section][field] = value
    else:
        clinical[section][field] = answer


PRIORS: dict[str, dict[str, Any] | None] = {
    "unknown": None,
    "stable for a year": {"max_diameter_mm": 30.0, "interval_days": 366, "comparable": "yes"},
    "grown": {"max_diameter_mm": 20.0, "interval_days": 90, "comparable": "yes"},
}


@pytest.mark.parametrize(("name", "ladder"), sorted(LADDERS))
@settings(LAWS, max_examples=12)
@given(case=inputs())
def test_a_more_worrying_answer_never_lowers_the_concern(name: str, ladder: tuple[str, ...], case: Any) -> None:
    findings, clinical, policy = case
    if name == "lesion.prior":
        findings["lesions"][0]["size"]["max_diameter_mm"] = 30.0
    # A pattern named by the reader: otherwise the answer would also change what pattern is read from the features.
    for lesion in findings["lesions"]:
        lesion["pattern"]["id"] = lesion["pattern"]["id"] or "P30"
    ranks = []
    for answer in ladder:
        _answered(name, answer, findings, clinical)
        ranks.append(WORRY.index(_decide(findings, clinical, policy).concern))
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("name", sorted(LENGTHS))
@settings(LAWS, max_examples=12)
@given(case=inputs())
def test_a_longer_lesion_never_lowers_the_concern(name: str, case: Any) -> None:
    findings, clinical, policy = case
    (part, field), lengths_mm = LENGTHS[name]
    for lesion in findings["lesions"]:
        lesion["pattern"]["id"] = lesion["pattern"]["id"] or "P30"
        lesion["prior"] = None  # a longer lesion would also have grown more
    clinical["mass"]["size_cm"] = None  # longer mineral accounts for more of a lump that was felt
    ranks = []
    for length_mm in lengths_mm:
        findings["lesions"][0][part][field] = length_mm
        ranks.append(WORRY.index(_decide(findings, clinical, policy).concern))
    assert ranks == sorted(ranks)
