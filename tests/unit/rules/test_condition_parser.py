"""Conditions as written in rule tables: what is read, and the sentence for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.rules.conditions import ALWAYS, All, AnyOf, Certainly, Comparison, Condition, Not, Relation
from calcreport.rules.facts import DECLARED
from calcreport.rules.rule_rows import ConditionParser

PAIN: dict[str, Any] = {"fact": "symptoms.pain", "is": "yes"}
IN_PAIN = Comparison(fact="symptoms.pain", relation=Relation.IS, limit="yes")


def _parse(raw: Any) -> tuple[Condition, list[str]]:
    problems: list[str] = []
    named = {"pain": PAIN, "ring": {"condition": "ring"}}
    return ConditionParser(DECLARED, named).parse("row", raw, problems), problems


@pytest.mark.parametrize(
    ("raw", "condition"),
    [
        ({}, ALWAYS),
        (PAIN, IN_PAIN),
        ({"all": [PAIN]}, All(parts=(IN_PAIN,))),
        ({"any": [PAIN, PAIN]}, AnyOf(parts=(IN_PAIN, IN_PAIN))),
        ({"not": PAIN}, Not(part=IN_PAIN)),
        ({"certainly": PAIN}, Certainly(part=IN_PAIN)),
        ({"condition": "pain"}, IN_PAIN),
        ({"fact": "age_years", "known": True}, Comparison(fact="age_years", relation=Relation.KNOWN, limit="yes")),
        ({"fact": "age_years", "known": False}, Comparison(fact="age_years", relation=Relation.KNOWN, limit="no")),
        ({"fact": "age_years", "above": 5}, Comparison(fact="age_years", relation=Relation.ABOVE, limit=5.0)),
        ({"fact": "age_years", "is": 5}, Comparison(fact="age_years", relation=Relation.IS, limit=5.0)),
        ({"fact": "size.longest_mm", "above": "policy.size_limit_mm"},
         Comparison(fact="size.longest_mm", relation=Relation.ABOVE, other="policy.size_limit_mm")),
        ({"fact": "pattern.id", "one_of": ["P05", "P06"]},
         Comparison(fact="pattern.id", relation=Relation.ONE_OF, limit=("P05", "P06"))),
        ({"fact": "pattern.id", "one_of": "P05"},
         Comparison(fact="pattern.id", relation=Relation.ONE_OF, limit=("P05",))),
        ({"fact": "pattern.id", "is": ["P05"]}, Comparison(fact="pattern.id", relation=Relation.IS, limit="P05")),
        ({"fact": "place.areas", "includes": ["hand"]},
         Comparison(fact="place.areas", relation=Relation.INCLUDES, limit=("hand",))),
    ],
)  # fmt: skip
def test_a_condition_is_read(raw: Any, condition: Condition) -> None:
    assert _parse(raw) == (condition, [])


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (3, "a condition is written { ... }"),
        ([], "a condition is written { ... }"),
        ({"colour": "red"}, "a condition has one of all, any, not, certainly, condition, or a fact"),
        ({"all": [PAIN], "any": [PAIN]}, "a condition has one of all, any, not, certainly, condition, or a fact"),
        ({"not": PAIN, "all": [PAIN]}, "a condition has one of all, any, not, certainly, condition, or a fact"),
        ({"condition": "pain", "all": []}, "a condition has one of all, any, not, certainly, condition, or a fact"),
        ({"all": []}, "'all' needs a list of conditions"),
        ({"any": PAIN}, "'any' needs a list of conditions"),
        ({"condition": 3}, "a condition is named by a word"),
        ({"condition": "pian"}, "unknown condition 'pian'; did you mean 'pain'"),
        ({"condition": "ring"}, "condition 'ring' refers to itself"),
        ({"fact": 3, "is": "yes"}, "unknown fact '3'"),
        ({"fact": "symptoms.pain"}, "'symptoms.pain' needs one of"),
        ({"fact": "symptoms.pain", "is": "yes", "one_of": ["yes"]}, "'symptoms.pain' needs one of"),
        ({"fact": "symptoms.pain", "equals": "yes"}, "'symptoms.pain' needs one of"),
        ({"fact": "symptoms.pain", "above": 3}, "cannot be compared with above"),
        ({"fact": "symptoms.pain", "known": "yes"}, "known is true or false"),
        ({"fact": "age_years", "above": "ten"}, "is compared with a number or a numeric fact, not 'ten'"),
        ({"fact": "age_years", "above": True}, "is compared with a number or a numeric fact, not 'True'"),
        ({"fact": "age_years", "above": "symptoms.pain"}, "is compared with a number or a numeric fact"),
        ({"fact": "symptoms.pain", "is": ["yes", "no"]}, "'symptoms.pain' needs one word"),
        ({"fact": "symptoms.pain", "one_of": []}, "'symptoms.pain' needs at least one word"),
        ({"fact": "symptoms.pain", "is": "yess"}, "'symptoms.pain' is never 'yess'; did you mean 'yes'"),
        ({"fact": "symptoms.pain", "one_of": ["yes", 3]}, "'symptoms.pain' is never '3'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_once(raw: Any, problem: str) -> None:
    _, problems = _parse(raw)
    assert len(problems) == 1
    assert problem in problems[0]
