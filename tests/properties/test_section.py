"""The section that is pasted, against the JSON of the same report: short, nothing twice, nothing stronger."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.formats.text.as_text import write_section
from calcreport.model.clinical import Clinical, parse_clinical
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.model.report import FlagState, Report, Software
from calcreport.model.terms import PATTERN_LABELS
from calcreport.rules import decide
from calcreport.rules.what_if import decide_and_ask
from calcreport.settings import Settings
from calcreport.text.impression import name_flags
from calcreport.text.statements import Statements
from calcreport.text.wording import present

sys.path.append(str(Path(__file__).parent))

from test_decision_laws import COUNT, SEED, random_clinical, random_lesion
from test_text_against_json import LENGTH_MM, STUDY, ruleset, templates

ANSWER = st.sampled_from(["yes", "no", "unknown"])
PARTS = 4
ALWAYS = ("size >5 cm", "deep location")
DEPTHS = ("cutaneous", "subcutaneous", "abuts_fascia", "crosses_fascia", "subfascial", "juxtacortical", None)


@st.composite
def lesions(draw: st.DrawFn) -> dict[str, Any]:
    longest_mm = draw(LENGTH_MM)
    mass = [{}, {"present": "no"}, {"present": "yes"}, {"present": "yes", "max_diameter_mm": longest_mm + 9}]
    confidence = draw(st.sampled_from(["high", "moderate", "low"]))
    lesion: dict[str, Any] = {
        "size": draw(st.sampled_from([{}, {"max_diameter_mm": longest_mm}])),
        "mass": draw(st.sampled_from(mass)),
        "depth": {"class": draw(st.sampled_from(DEPTHS))},
        "pattern": {"id": draw(st.sampled_from(sorted(PATTERN_LABELS))), "confidence": confidence},
        "bone_relation": draw(st.sampled_from(["separate", "abuts", "contiguous", None])),
        "location": {
            "region": draw(st.sampled_from(["thigh", "neck", "calf", "pelvis", None])),
            "laterality": draw(st.sampled_from(["left", "right", "unknown"])),
        },
    }
    if draw(st.booleans()):
        lesion["prior"] = {"max_diameter_mm": draw(LENGTH_MM), "interval_days": 400, "comparable": draw(ANSWER)}
    return lesion


CLINICAL = st.fixed_dictionaries(
    {
        "symptoms": st.fixed_dictionaries({"pain": ANSWER, "skin_necrosis": ANSWER}),
        "growth": st.fixed_dictionaries({"rate": st.sampled_from(["none", "slow", "rapid", "unknown"])}),
        "history": st.fixed_dictionaries({"trauma": ANSWER, "malignancy": ANSWER, "radiotherapy_at_site": ANSWER}),
        "conditions": st.fixed_dictionaries({"dialysis": ANSWER, "great_toe_malformation": ANSWER}),
    }
)


def report_on(typed: list[dict[str, Any]], said: dict[str, Any], modality: str) -> Report:
    return report_of(Findings.model_validate({"modality": modality, "lesions": typed}), Clinical.model_validate(said))


def report_of(
    findings: Findings,
    clinical: Clinical,
    answer: Callable[..., Decision] = decide_and_ask,
    wording: Statements | None = None,
) -> Report:
    chosen = Settings()
    context = DraftContext(
        study=STUDY.model_copy(update={"modality": findings.modality}),
        series=(),
        clinical=clinical.model_dump(mode="json"),
        settings=chosen,
        software=Software(name="calcreport", version="0", rules_version="0"),
        rules=ruleset().used,
    )
    decision = answer(findings, clinical, chosen.policy, ruleset())
    return compose_report(
        findings, decision, context=context, imaging=None, statements=wording or templates().statements
    )


def sentences(text: str) -> list[str]:
    body = text.rpartition("Draft generated")[0]
    lines = [re.sub(r"^(\d\. |[A-Z ]+: ?)", "", line) for line in body.split("\n")]
    return [part.strip(" .") for line in lines for part in re.split(r"\.\s+", line) if part.strip(" .")]


def items(text: str) -> list[str]:
    return re.findall(r"^\d\. (.*)$", text, flags=re.MULTILINE)


def told_of(item: str, report: Report) -> list[str]:
    """Ids of the lesions an item names; an item that names none is about all of them."""
    ids = [found for group in re.findall(r"\(((?:L\d+(?:, )?)+)\)", item) for found in group.split(", ")]
    return ids or [lesion.id for lesion in report.lesions]


@settings(max_examples=40, deadline=None)
@given(st.lists(lesions(), max_size=12), CLINICAL, st.sampled_from(["CT", "CT", "DX"]))
def test_the_section_is_one_screen_and_no_stronger_than_the_report(
    typed: list[dict[str, Any]], said: dict[str, Any], modality: str
) -> None:
    findings = Findings.model_validate({"modality": modality, "lesions": typed})
    check_section(report_of(findings, Clinical.model_validate(said), answer=decide))


@pytest.mark.parametrize("part", range(PARTS))
def test_the_section_holds_its_laws_on_random_typed_inputs(part: int) -> None:
    """`CALCREPORT_RANDOM_INPUTS` sets how many; 15,000 take a few minutes."""
    rng = random.Random(SEED + part)
    for _ in range(COUNT // PARTS):
        typed = [random_lesion(rng) for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 5, 12)))]
        findings = Findings.model_validate({"modality": rng.choice(("CT", "CT", "CT", "DX")), "lesions": typed})
        check_section(report_of(findings, parse_clinical(random_clinical(rng)), answer=decide))


def check_section(report: Report) -> None:
    """Short, in ASCII, every sentence once, no flag or diagnosis stronger than in the report, a film projected."""
    typed, modality = report.lesions, report.study.modality
    text = write_section(report, templates())
    assert all(character == "\n" or " " <= character <= "~" for character in text)
    assert len(text.split()) <= (160 if len(typed) <= 3 else 260), text
    assert len(text.strip().split("\n")) <= (22 if typed else 6 + ("[Actionable" in text)), text
    assert not re.search(r"\.\.|, ?\.|\(\)|\(,| ,|; ;|\) \(|None", text), text
    assert len(items(text)) <= 4, text
    told = sentences(text)
    assert len(told) == len(set(told)), sorted(sentence for sentence in told if told.count(sentence) > 1)
    assert all(name in text.lower() for name in ALWAYS), text
    _check_flags(report, text)
    _check_impression(report, text)
    if modality == "DX" and report.lesions:
        for number in re.findall(
            r"[^ ]+ (?:under )?\d[\d.]* [cm]m\b", text.split("FINDINGS:")[1].split("SARCOMA FLAGS:")[0]
        ):
            assert number.startswith(("projected", "mass")), text


def _check_flags(report: Report, text: str) -> None:
    line = text.split("SARCOMA FLAGS: ")[1].split("\n", maxsplit=1)[0]
    names = {name: key for key, name in name_flags(present(report, templates().statements)).items()}
    absent = re.findall(r"Absent: ([^.]*)\.", line)
    for name in absent[0].split(", ") if absent else ():
        assert all(getattr(lesion.flags, names[name]).state is FlagState.ABSENT for lesion in report.lesions), text
    for name, key in names.items():
        states = {getattr(lesion.flags, key).state for lesion in report.lesions}
        is_present = any(name in part.lower() for part in line.split(". ") if ": PRESENT" in part)
        assert is_present == (FlagState.PRESENT in states) or not report.lesions, text
        assert name in line.lower() or not report.lesions, text  # none of them is passed over


def _check_impression(report: Report, text: str) -> None:
    lesions = {lesion.id: lesion for lesion in report.lesions}
    for item in items(text):
        first = re.sub(r"; advice as in item \d", "", item.split(". ")[0])
        own = [lesions[name] for name in told_of(first, report)]
        if first.startswith("Overall distribution"):
            assert any(entry.label in first for entry in report.patient.differential), text
            continue
        labels = {entry.label: entry.certainty for lesion in report.lesions for entry in lesion.differential}
        for label in labels:
            for wording, certainty in (
                (f"consistent with {label}", "consistent with"),
                (f"; {label} favoured", "favoured"),
            ):
                if wording in first:
                    has = [{(entry.label, entry.certainty) for entry in lesion.differential} for lesion in own]
                    assert all((label, certainty) in entries for entries in has), text
        for entry in report.recommendations:
            if entry.is_referral and entry.text.split(". ")[0].rstrip(".") in item and "further lesion" not in first:
                ids = {lesion.id for lesion in own if any(e.id == entry.id for e in lesion.recommendations)}
                assert ids == {lesion.id for lesion in own} or len(own) == len(lesions), text


def test_what_a_tumour_adds_in_brackets_goes_where_room_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {
        "size": {"max_diameter_mm": 51.0},
        "depth": {"class": "subfascial"},
        "pattern": {"id": "P21", "confidence": "moderate"},
        "location": {"region": "back", "tissue": "nerve"},
    }
    others = [{"size": {"max_diameter_mm": 9.0}, "location": {"region": region}} for region in ("thigh", "calf")]
    said = {"growth": {"rate": "slow"}, "mass": {"palpable": "yes", "size_cm": 6.0}}
    report = report_on([node, *others], said, "CT")
    text = write_section(report, templates())
    monkeypatch.setattr("calcreport.text.section._MOST_WORDS", {3: len(text.split()) - 7})
    short = write_section(report, templates())
    assert "a nerve-sheath tumour (ancient schwannoma; the malignant form not excluded) not excluded" in text
    assert "a nerve-sheath tumour not excluded" in short
    for section in (text, short):
        assert "(the pattern does not separate benign from malignant nodes)" in section
        assert "Refer to a specialist sarcoma centre" in section


def test_where_room_is_short_a_possible_flag_is_not_also_not_assessed(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [{"size": {"max_diameter_mm": 49.0}, "location": {"region": "thigh"}}, {"location": {"region": "calf"}}]
    report = report_on(typed, {}, "CT")
    assert [lesion.flags.size.state for lesion in report.lesions] == [FlagState.POSSIBLE, FlagState.CANNOT_DETERMINE]
    text = write_section(report, templates())
    monkeypatch.setattr("calcreport.text.section._MOST_WORDS", {3: len(text.split()) // 2})
    short = write_section(report, templates())
    assert "size >5 cm (L2)" in text
    assert "Size >5 cm (4.9 cm)" in short.split(": possible")[0]
    assert "size >5 cm" not in short
