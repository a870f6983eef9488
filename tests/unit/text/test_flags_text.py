"""The red flag line of a study without a lesion: what was reported counts, and nothing else was assessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from calcreport.formats import load_templates
from calcreport.model.report import FlagState, RejectedLesion, Report
from calcreport.resources import template_texts
from calcreport.text.narrative import narrate

STATEMENTS = load_templates(template_texts()).statements
EXPECTED = Path(__file__).parents[2] / "golden" / "expected"


def line(*, reported: tuple[str, ...] = (), is_rejected: bool = False) -> str:
    negative, positive = (
        Report.model_validate_json((EXPECTED / f"{name}.json").read_bytes()) for name in ("negative", "phlebolith")
    )
    rejected = (RejectedLesion(lesion=positive.lesions[0], finding={}),) if is_rejected else ()
    flags = dict.fromkeys(reported, FlagState.PRESENT)
    return narrate(negative.model_copy(update={"flags_summary": flags, "rejected": rejected}), STATEMENTS).section.flags


def test_without_anything_to_assess_it_says_so() -> None:
    assert line() == "Not assessed: size >5 cm, deep location and the others (there is no calcification to assess)."


def test_what_was_rejected_is_not_called_absent() -> None:
    assert line(is_rejected=True) == ("Not assessed: size >5 cm, deep location and the others (no lesion is reported).")


@pytest.mark.parametrize("is_rejected", [False, True])
def test_a_reported_lump_is_told(*, is_rejected: bool) -> None:
    said = line(reported=("size", "growth"), is_rejected=is_rejected)
    assert said.startswith("Size >5 cm: PRESENT by the clinical information. Rapid growth: PRESENT by")
    assert said.endswith("no lesion is reported)." if is_rejected else "there is no calcification to assess).")
    assert "Not applicable" not in said
