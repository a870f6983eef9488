"""What a PACS shows in its lists: findings and red flags, never more than is known and never the patient."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from calcreport.formats.dicom.instance import LONGEST, series_description
from calcreport.model.report import RejectedLesion, Report

sys.path.append(str(Path(__file__).parent))

import made_subjects as made


@pytest.mark.parametrize(
    ("flags", "concern", "said"),
    [
        (({"size": "present", "depth": "present"},), "high", "calcreport: 1 finding, >5 cm + deep"),
        (({"size": "present"}, {"depth": "present"}), "flagged", "calcreport: 2 findings, >5 cm + deep"),
        (({"size": "possible"},), "indeterminate", "calcreport: 1 finding, possible >5 cm"),
        (({"depth": "present", "size": "possible"},), "flagged", "calcreport: 1 finding, deep"),
        (({"depth": "explained"},), "modified", "calcreport: 1 finding, flag explained by pattern"),
        (({"size": "cannot_determine"},), "indeterminate", "calcreport: 1 finding, flags not fully assessable"),
        (({"size": "absent"},), "none", "calcreport: 1 finding, no red flag"),
        ((), "none", "calcreport: no finding"),
    ],
)
def test_flags_are_named_as_far_as_they_are_known(flags: tuple[dict[str, str], ...], concern: str, said: str) -> None:
    lesions = tuple(
        made.lesion_of(number, flags=made.flags_of(**states), concern=concern)
        for number, states in enumerate(flags, start=1)
    )
    assert series_description(made.report_of(lesions)) == said


def test_every_combination_of_flags_fits_and_says_when_some_are_left_out() -> None:
    everything = dict.fromkeys(("size", "depth", "growth", "pain", "mass", "history", "aggressive"), "present")
    report = made.report_of((made.lesion_of(1, flags=made.flags_of(**everything), concern="high"),))
    said = series_description(report)
    assert len(said) <= LONGEST
    assert said == "calcreport: 1 finding, >5 cm + deep + rapid growth + 4 more"
    possible = report.model_copy(
        update={"lesions": (made.lesion_of(1, flags=made.flags_of(**dict.fromkeys(everything, "possible"))),) * 12}
    )
    assert len(series_description(possible)) <= LONGEST


def test_the_limit_is_that_of_the_policy() -> None:
    lesion = made.lesion_of(1, flags=made.flags_of(size="present"))
    report = made.report_of((lesion,), settings={"policy": {"size_limit_mm": 45.0, "size_operator": ">="}})
    assert series_description(report) == "calcreport: 1 finding, >=4.5 cm"


def test_rejected_lesions_do_not_count_and_are_not_hidden() -> None:
    lesion = made.lesion_of(1, flags=made.flags_of(size="present"))
    report = made.report_of((), rejected=(RejectedLesion(lesion=lesion, finding={}),))
    assert series_description(report) == "calcreport: 1 rejected by reader"


@pytest.mark.parametrize("is_rejected", [False, True])
def test_what_was_reported_counts_without_a_lesion(*, is_rejected: bool) -> None:
    rejected = (RejectedLesion(lesion=made.lesion_of(1), finding={}),) if is_rejected else ()
    flags = dict.fromkeys(("size", "growth", "mass", "history"), "present")
    report = made.report_of((), rejected=rejected, flags_summary=flags, concern="high")
    said = series_description(Report.model_validate(report.model_dump(by_alias=True)))
    head = "1 rejected by reader" if is_rejected else "no finding"
    assert said.startswith(f"calcreport: {head}, reported >5 cm + ")
    assert said.endswith(" more")
    assert len(said) <= LONGEST
