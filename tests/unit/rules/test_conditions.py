"""Three-valued logic: unknown is never no."""

from __future__ import annotations

import itertools

import pytest

from calcreport.rules.conditions import (
    ALWAYS,
    All,
    AnyOf,
    Certainly,
    Comparison,
    Not,
    Relation,
    Value,
    Verdict,
    gather,
    judge,
)

PART = {
    Verdict.MET: Comparison(fact="yes", relation=Relation.IS, limit="yes"),
    Verdict.NOT_MET: Comparison(fact="yes", relation=Relation.IS, limit="no"),
    Verdict.UNKNOWN: Comparison(fact="nothing", relation=Relation.IS, limit="yes"),
}
FACTS: dict[str, Value] = {"yes": "yes", "nothing": None, "length": 50.0, "limit": 50.0, "areas": ("neck", "head")}
TRUTH = {Verdict.NOT_MET: 0, Verdict.UNKNOWN: 1, Verdict.MET: 2}


@pytest.mark.parametrize("verdicts", list(itertools.product(Verdict, repeat=2)))
def test_all_is_the_least_and_any_the_greatest_of_its_parts(verdicts: tuple[Verdict, Verdict]) -> None:
    parts = tuple(PART[verdict] for verdict in verdicts)
    assert judge(All(parts=parts), FACTS) is min(verdicts, key=TRUTH.__getitem__)
    assert judge(AnyOf(parts=parts), FACTS) is max(verdicts, key=TRUTH.__getitem__)


def test_not_keeps_unknown_and_certainly_does_not() -> None:
    assert judge(Not(part=PART[Verdict.UNKNOWN]), FACTS) is Verdict.UNKNOWN
    assert judge(Certainly(part=PART[Verdict.UNKNOWN]), FACTS) is Verdict.NOT_MET
    assert judge(Not(part=Certainly(part=PART[Verdict.UNKNOWN])), FACTS) is Verdict.MET


@pytest.mark.parametrize(
    ("relation", "limit", "verdict"),
    [
        (Relation.ABOVE, 50.0, Verdict.NOT_MET),
        (Relation.AT_LEAST, 50.0, Verdict.MET),
        (Relation.AT_MOST, 50.0, Verdict.MET),
        (Relation.BELOW, 50.0, Verdict.NOT_MET),
        (Relation.BELOW, 50.1, Verdict.MET),
        (Relation.ABOVE, 49.9, Verdict.MET),
    ],
)
def test_numbers_at_their_limit(relation: Relation, limit: float, verdict: Verdict) -> None:
    assert judge(Comparison(fact="length", relation=relation, limit=limit), FACTS) is verdict
    other = Comparison(fact="length", relation=relation, other="limit")
    assert other.resolved(FACTS) == 50.0


def test_comparison_with_an_unknown_fact_is_unknown() -> None:
    assert judge(Comparison(fact="length", relation=Relation.ABOVE, other="nothing"), FACTS) is Verdict.UNKNOWN


def test_known_has_two_answers() -> None:
    assert judge(Comparison(fact="nothing", relation=Relation.KNOWN, limit="no"), FACTS) is Verdict.MET
    assert judge(Comparison(fact="nothing", relation=Relation.KNOWN, limit="yes"), FACTS) is Verdict.NOT_MET


def test_several_words_include_any_of_the_limits() -> None:
    assert judge(Comparison(fact="areas", relation=Relation.INCLUDES, limit=("neck",)), FACTS) is Verdict.MET
    assert judge(Comparison(fact="areas", relation=Relation.INCLUDES, limit=("calf",)), FACTS) is Verdict.NOT_MET


def test_evidence_lists_every_comparison_with_its_own_answer() -> None:
    rows = gather(All(parts=(PART[Verdict.MET], Not(part=PART[Verdict.UNKNOWN]))), FACTS)
    assert [(row.fact, row.verdict) for row in rows] == [("yes", Verdict.MET), ("nothing", Verdict.UNKNOWN)]


def test_no_condition_is_always_met() -> None:
    assert judge(ALWAYS, {}) is Verdict.MET
