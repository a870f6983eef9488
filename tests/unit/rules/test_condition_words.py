"""Conditions and comparisons in words: what `calcreport rules` and the reasons of a decision print."""

from __future__ import annotations

import pytest

from calcreport.rules.condition_words import ConditionWords, describe_evidence
from calcreport.rules.conditions import (
    ALWAYS,
    All,
    AnyOf,
    Certainly,
    Comparison,
    Condition,
    Evidence,
    Not,
    Relation,
    Value,
    Verdict,
)  # fmt: skip

DEEP = Comparison(fact="depth.class", relation=Relation.IS, limit="subfascial")
PAIN = Comparison(fact="symptoms.pain", relation=Relation.IS, limit="yes")
NAMED = All(parts=(DEEP, PAIN))
LONGEST = "longest dimension"
WORDS = ConditionWords({"deep": NAMED, "nothing": ALWAYS})


@pytest.mark.parametrize(
    ("relation", "limit", "value", "verdict", "is_wanted", "expected"),
    [
        (Relation.ABOVE, 50.0, 64.0, Verdict.MET, True, "64 mm (is above 50 mm? yes)"),
        (Relation.AT_LEAST, 50.0, 49.96, Verdict.NOT_MET, True, "49.96 mm (is at least 50 mm? no)"),
        (Relation.AT_MOST, 50.0, None, Verdict.UNKNOWN, True, "not provided (is at most 50 mm? unknown)"),
        (Relation.BELOW, 50.0, 40.0, Verdict.MET, False, "40 mm (must not be so: is below 50 mm? yes)"),
        (Relation.KNOWN, "yes", 40.0, Verdict.MET, True, "40 mm"),
        (Relation.KNOWN, "yes", None, Verdict.NOT_MET, True, "not provided"),
    ],
)
def test_a_comparison_with_its_answer(
    relation: Relation, limit: Value, value: Value, verdict: Verdict, is_wanted: bool, expected: str
) -> None:
    row = Evidence(
        fact="size.longest_mm", value=value, relation=relation, limit=limit, verdict=verdict, is_wanted=is_wanted
    )
    name, _, rest = describe_evidence(row).partition(": ")
    assert name.startswith(LONGEST)
    assert rest == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (PAIN, "pain"),
        (Comparison(fact="symptoms.pain", relation=Relation.IS, limit="no"), "no pain"),
        (Comparison(fact="symptoms.pain", relation=Relation.KNOWN, limit="yes"), "pain is known"),
        (Comparison(fact="symptoms.pain", relation=Relation.KNOWN, limit="no"), "pain is not known"),
        (Comparison(fact="pattern.id", relation=Relation.ONE_OF, limit=("P05", "P06")), "pattern is P05 or P06"),
        (Comparison(fact="place.areas", relation=Relation.INCLUDES, limit=("hand", "foot")),
         "body areas includes hand or foot"),
        (Comparison(fact="age_years", relation=Relation.BELOW, limit=10.0), "age is below 10 years"),
        (Comparison(fact="age_years", relation=Relation.BELOW, other="age_years"), "age is below age"),
        (ALWAYS, "always"),
        (NAMED, "<deep>"),
        (Not(part=PAIN), "not pain"),
        (Not(part=NAMED), "not <deep>"),
        (Not(part=AnyOf(parts=(PAIN, NAMED))), "not (pain or <deep>)"),
        (Certainly(part=PAIN), "it is known that pain"),
        (Not(part=Certainly(part=PAIN)), "it is not known that pain"),
        (All(parts=(PAIN, AnyOf(parts=(PAIN, PAIN)))), "pain and (pain or pain)"),
    ],
)  # fmt: skip
def test_a_condition(condition: Condition, expected: str) -> None:
    assert WORDS.describe(condition) == expected


def test_a_named_condition_is_spelled_out_where_it_is_defined() -> None:
    depth = WORDS.describe(DEEP)
    assert depth.endswith(" is subfascial")
    assert WORDS.spell_out(NAMED) == f"{depth} and pain"
