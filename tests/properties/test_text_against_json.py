"""The text against the JSON of the same report: one form for each length, and no advice for a lesion without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.formats import Templates, load_templates
from calcreport.formats.page import as_html
from calcreport.model.clinical import Clinical
from calcreport.model.findings import Findings
from calcreport.model.lengths import Lengths, spell_change
from calcreport.model.report import Patient, Report, Software, Study
from calcreport.resources import rule_texts, template_texts
from calcreport.rules import Ruleset, load_rules
from calcreport.rules.what_if import decide_and_ask
from calcreport.settings import Settings
from calcreport.text.narrative import Narrative, narrate
from calcreport.text.wording import lengths_of

STUDY = Study(study_instance_uid="", study_date=None, modality="CT", description=None, patient=Patient())
PRINTED = re.compile(r"(?<![\d.])((?:\d+(?:\.\d+)? x )*\d+(?:\.\d+)?) (mm|cm)\b(?! a month|/month)")
LENGTH_MM = st.sampled_from([0.3, 4.0, 9.7, 12.0, 15.1, 19.9, 20.2, 44.8, 45.2, 49.8, 50.0, 50.02, 50.2, 61.0])
PATTERNS = (None, "P01", "P02", "P05", "P09", "P15", "P19", "P20", "P21", "P30")
DEPTHS = (None, "subcutaneous", "abuts_fascia", "subfascial")


@cache
def templates() -> Templates:
    return load_templates(template_texts())


@cache
def ruleset() -> Ruleset:
    return load_rules(rule_texts())


@st.composite
def lesions(draw: st.DrawFn) -> dict[str, Any]:
    longest_mm = draw(LENGTH_MM)
    size: dict[str, Any] = {"max_diameter_mm": longest_mm}
    if draw(st.booleans()):
        size |= {"ap_mm": longest_mm / 2, "tr_mm": longest_mm / 3, "cc_mm": longest_mm, "volume_mm3": 90.0}
    lesion: dict[str, Any] = {
        "size": size,
        "depth": {"class": draw(st.sampled_from(DEPTHS))},
        "mass": draw(st.sampled_from([{}, {"present": "no"}, {"present": "yes", "max_diameter_mm": longest_mm + 0.4}])),
        "bone_relation": draw(st.sampled_from(["separate", "contiguous", None])),
        "location": {"region": draw(st.sampled_from(["thigh", "neck", "calf"])), "laterality": "left"},
    }
    if (pattern := draw(st.sampled_from(PATTERNS))) is not None:
        lesion["pattern"] = {"id": pattern, "confidence": "high"}
    if draw(st.booleans()):
        prior = {"max_diameter_mm": draw(LENGTH_MM), "interval_days": draw(st.sampled_from([40, 400]))}
        lesion["prior"] = prior | {"comparable": draw(st.sampled_from(["yes", "unknown"]))}
    return lesion


def report_on(*typed: dict[str, Any]) -> Report:
    chosen, clinical = Settings(), Clinical()
    findings = Findings.model_validate({"modality": "CT", "lesions": typed})
    return compose_report(
        findings,
        decide_and_ask(findings, clinical, chosen.policy, ruleset()),
        context=DraftContext(
            study=STUDY,
            series=(),
            clinical={},
            settings=chosen,
            software=Software(name="calcreport", version="0", rules_version="0"),
            created="2026-07-01T00:00:00Z",
            rules=ruleset().used,
        ),
        imaging=None,
        statements=templates().statements,
    )


def forms(report: Report) -> set[str]:
    """Every form in which a length of the report may be printed."""
    lengths = lengths_of(report)
    printed = {"1 mm"}  # as in "under 1 mm"
    for lesion in report.lesions:
        for name, value in _numbers(lesion.model_dump(mode="json")):
            if name in {"change_mm", "error_mm", "uncertainty_mm"}:
                printed.add(spell_change(abs(value)))
            elif name.endswith("_mm") or name == "value":
                printed |= {lengths.spell(value), *_as_extent(lengths, value)}
            elif name == "change":
                printed.add(spell_change(value))
    limits = {value for name, value in report.settings["policy"].items() if name.endswith("_mm")} | {30.0, 40.0}
    return printed | {f"{limit / 10:g} cm" for limit in limits}


def _as_extent(lengths: Lengths, value_mm: float) -> Iterator[str]:
    """Forms beside longer and shorter extents, which share one unit."""
    for other_mm in (0.6, 100.0):
        number, _, rest = lengths.spell_extents((value_mm, other_mm)).partition(" x ")
        yield f"{number} {rest.split()[1]}"


def _numbers(tree: Any) -> Iterator[tuple[str, float]]:
    for name, value in tree.items() if isinstance(tree, dict) else ():
        if isinstance(value, float | int) and not isinstance(value, bool):
            yield name, float(value)
        for entry in value if isinstance(value, list) else [value]:
            yield from _numbers(entry)


def sentences(report: Report, told: Narrative) -> Iterator[str]:
    """What the text, and with it HL7, FHIR and SR, says of lesions."""
    for lesion in told.lesions:
        yield from (lesion.place, lesion.in_full)
    yield from (*told.impression, *told.recommendations)
    for lesion in report.lesions:
        yield from (getattr(lesion.flags, name).evidence for name in type(lesion.flags).model_fields)
        yield from (reason for entry in lesion.differential for reason in entry.because)


@settings(max_examples=15, deadline=None)
@given(st.lists(lesions(), min_size=1, max_size=4))
def test_each_length_of_a_report_has_one_form(typed: list[dict[str, Any]]) -> None:
    report = report_on(*typed)
    allowed = forms(report)
    page = as_html.render(report, templates(), {}).decode("utf-8")
    page = re.sub("<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    page = " ".join(page.partition("LIMITATIONS")[0].split())
    for sentence in (*sentences(report, narrate(report, templates().statements)), page):
        for numbers, unit in PRINTED.findall(sentence):
            for number in numbers.split(" x "):
                assert f"{number} {unit}" in allowed, sentence if len(sentence) < 500 else (number, unit)


@settings(max_examples=15, deadline=None)
@given(st.lists(lesions(), min_size=1, max_size=4))
def test_advice_is_printed_for_exactly_the_lesions_that_have_it(typed: list[dict[str, Any]]) -> None:
    report = report_on(*typed)
    everyone = {lesion.id for lesion in report.lesions}
    rows: dict[str, set[str]] = {name: set() for name in everyone}
    own = {lesion.id: {entry.rule: entry.text for entry in lesion.recommendations} for lesion in report.lesions}
    told = narrate(report, templates().statements).recommendations
    for entry, line in zip(report.recommendations, told, strict=True):
        text, _, ids = line.rstrip(".)").partition(entry.text.rstrip(". "))[0:3]
        assert not text
        for name in set(re.findall(r"L\d+", ids)) or everyone:
            rows[name].add(entry.rule)
            if entry.text != own[name].get(entry.rule):  # the words in brackets are given for each lesion
                (words,) = re.findall(rf"[(;] ?(?:L\d+, )*{name}(?:, L\d+)*: ([^;)]*)", entry.text)
                assert f"({words})" in own[name][entry.rule]
    assert rows == {name: set(texts) for name, texts in own.items()}
