"""Growth since an earlier study: the numbers, "stable since", and what is never compared."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.model.clinical import Clinical, parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import LesionGrowth
from calcreport.rules import Ruleset, decide
from calcreport.rules.growth import PROBABLY_SAME, weigh_growth, with_older
from calcreport.settings import PolicySettings

POLICY = PolicySettings()


def _findings(lesion: dict[str, Any], **study: Any) -> Findings:
    given = {"modality": "CT", "study_date": "2026-07-01", "lesions": [lesion]} | study
    return Findings.model_validate(given)


def _growth(lesion: dict[str, Any], **study: Any) -> LesionGrowth:
    findings = _findings(lesion, **study)
    growth = weigh_growth(findings.lesions[0], findings, POLICY)
    assert growth is not None
    return growth


def _lesion(now_mm: float, before_mm: float, **prior: Any) -> dict[str, Any]:
    earlier = {"max_diameter_mm": before_mm, "comparable": "yes", "study_date": "2026-04-01", "modality": "CT"}
    return {"size": {"max_diameter_mm": now_mm}, "prior": earlier | prior}


def test_without_an_earlier_study_there_is_no_growth_to_tell() -> None:
    findings = _findings({"size": {"max_diameter_mm": 30}})
    assert weigh_growth(findings.lesions[0], findings, POLICY) is None


def test_growth_is_told_in_mm_in_percent_and_by_the_month() -> None:
    growth = _growth(_lesion(50, 40))
    assert (growth.change_mm, growth.change_percent, growth.interval_days) == (10.0, 25.0, 91)
    assert growth.change_mm_per_month == pytest.approx(10 * 30.4375 / 91)
    assert growth.stable_since is None


def test_without_dates_nothing_is_told_by_the_month() -> None:
    growth = _growth(_lesion(50, 40, study_date=None))
    assert (growth.change_mm, growth.interval_days, growth.change_mm_per_month) == (10.0, None, None)


@pytest.mark.parametrize(
    ("before", "days"),
    [("2026-06-30", 1), ("2025-07-01", 365), ("2026-07-01", None), ("2026-07-02", None), (None, None)],
)
def test_an_interval_is_of_at_least_a_day(before: str | None, days: int | None) -> None:
    assert _growth(_lesion(50, 40, study_date=before)).interval_days == days


def test_a_typed_interval_stands_for_the_dates() -> None:
    assert _growth(_lesion(50, 40, study_date=None, interval_days=30)).interval_days == 30


@pytest.mark.parametrize(
    ("now_mm", "before_mm", "state"),
    [
        (42.0, 40.0, "absent"),  # the error of two lengths that come without one: 1 mm each
        (42.1, 40.0, "possible"),
        (47.9, 40.0, "possible"),  # 19.75 %
        (48.0, 40.0, "present"),  # 20 % and 8 mm
        (24.9, 20.0, "possible"),  # 24.5 % but 4.9 mm
        (25.0, 20.0, "present"),  # 25 % and 5 mm
        (119.0, 100.0, "possible"),  # 19 mm but 19 %
        (61.0, 53.0, "possible"),
        (30.0, 40.0, "absent"),
    ],
)
def test_both_limits_are_growth_and_anything_beyond_the_error_may_be(
    now_mm: float, before_mm: float, state: str, ruleset: Ruleset
) -> None:
    for rate in ("unknown", "none", "slow"):  # what was reported outweighs no measured change
        clinical = parse_clinical({"growth": {"rate": rate}})
        decision = decide(_findings(_lesion(now_mm, before_mm)), clinical, POLICY, ruleset)
        assert decision.lesions[0].flags.growth.state == state


def test_the_flag_holds_its_numbers(ruleset: Ruleset) -> None:
    flag = decide(_findings(_lesion(50, 40)), Clinical(), POLICY, ruleset).lesions[0].flags.growth
    assert (flag.value, flag.limit, flag.unit) == (25.0, 20.0, "%")
    told = " ".join((flag.evidence, *flag.notes))
    for part in ("1.0 cm", "25%", "91 days", "3.3 mm/month"):
        assert part in told


@pytest.mark.parametrize(
    ("now_mm", "before_mm", "errors_mm", "course"),
    [
        (40.0, 40.0, (0.7, 0.8), "stable"),
        (41.5, 40.0, (0.7, 0.8), "stable"),  # at the error of both
        (38.5, 40.0, (0.7, 0.8), "stable"),
        (41.6, 40.0, (0.7, 0.8), "larger"),
        (38.4, 40.0, (0.7, 0.8), "smaller"),
        # Within the error, yet at one limit: 20 % alone, or 5 mm alone.
        (6.0, 5.0, (0.7, 0.8), "larger"),
        (5.9, 5.0, (0.7, 0.8), "stable"),
        (105.0, 100.0, (4.0, 4.0), "larger"),
        (104.9, 100.0, (4.0, 4.0), "stable"),
        (95.0, 100.0, (4.0, 4.0), "smaller"),
    ],
)
def test_stable_is_no_change_beyond_the_error_and_below_every_limit(
    now_mm: float, before_mm: float, errors_mm: tuple[float, float], course: str
) -> None:
    lesion = _lesion(now_mm, before_mm, uncertainty_mm=errors_mm[1])
    lesion["size"]["uncertainty_mm"] = errors_mm[0]
    growth = _growth(lesion)
    assert (growth.course, growth.error_mm) == (course, pytest.approx(sum(errors_mm)))
    assert (growth.stable_since == "2026-04-01") is (course == "stable")


def test_the_error_of_a_length_without_one_is_a_voxel_or_the_calliper() -> None:
    assert _growth(_lesion(40, 40)).error_mm == 2 * POLICY.typed_length_error_mm
    assert _growth(_lesion(40, 40) | {"voxel_diagonal_mm": 3.4}).error_mm == 4.4


@pytest.mark.parametrize(
    ("volume_mm3", "before_mm3", "course"),
    [
        (12_400, 10_000, "stable"),  # error of both: 1 mm of diameters of 29 and 27 mm
        (12_450, 10_000, "larger_in_volume"),
        (7_000, 10_000, "stable"),
        (1_150_000, 1_000_000, "stable"),  # the least error of a change of volume: 20 %
        (1_200_000, 1_000_000, "stable"),
        (1_210_000, 1_000_000, "larger_in_volume"),
        (12_600, None, "stable"),
    ],
)
def test_a_larger_volume_is_possible_growth(
    volume_mm3: float, before_mm3: float | None, course: str, ruleset: Ruleset
) -> None:
    lesion = _lesion(40, 40, volume_mm3=before_mm3)
    lesion["size"]["volume_mm3"] = volume_mm3
    assert _growth(lesion).course == course
    flag = decide(_findings(lesion), Clinical(), POLICY, ruleset).lesions[0].flags.growth
    assert flag.state == ("possible" if course == "larger_in_volume" else "absent")
    if course == "larger_in_volume":
        assert flag.value == pytest.approx(100 * (volume_mm3 / (before_mm3 or 1) - 1))
        assert _growth(lesion).stable_since is None


def test_stability_goes_on_from_what_the_earlier_report_said() -> None:
    chain = {"stable_since": "2025-01-01", "stable_from_mm": 39}
    growth = _growth(_lesion(41, 40, **chain))
    assert (growth.stable_since, growth.stable_from_mm, growth.stable_days) == ("2025-01-01", 39, 546)
    assert _growth(_lesion(50, 40, **chain)).stable_since is None


def test_slow_growth_does_not_add_up_to_stability() -> None:
    growth = _growth(_lesion(42, 40, stable_since="2020-01-01", stable_from_mm=39.9))
    assert growth.change_percent == 5
    assert (growth.stable_since, growth.stable_from_mm) == ("2026-04-01", 40), "2.1 mm larger than in 2020"


def test_a_year_of_stability_may_be_shown_by_several_studies(ruleset: Ruleset) -> None:
    """Each interval is short; together they make the year that an asymptomatic lesion without a mass needs."""
    clinical = parse_clinical({"symptoms": {"symptomatic": "no", "pain": "no"}, "mass": {"palpable": "no"}})
    lesion = _lesion(15, 15) | {"depth": {"class": "subfascial"}, "mass": {"present": "no"}}
    lesion["bone_relation"] = "separate"
    days = {"2025-06-30": "explained", "2025-07-01": "explained", "2025-07-02": "present", None: "present"}
    for since, state in days.items():
        chain = {"stable_from_mm": 15, "stable_since": since}
        findings = _findings(lesion | {"prior": lesion["prior"] | chain})
        assert decide(findings, clinical, POLICY, ruleset).lesions[0].flags.depth.state == state


@pytest.mark.parametrize("comparable", ["no", "unknown"])
def test_nothing_is_called_stable_that_nobody_called_comparable(comparable: str) -> None:
    assert _growth(_lesion(40, 40, comparable=comparable)).stable_since is None


@pytest.mark.parametrize(
    ("lesion", "study"),
    [
        (_lesion(50, 40, modality="DX"), {}),
        (_lesion(50, 40, modality="US"), {}),
        (_lesion(50, 40, modality=None), {"prior_study": {"modality": "DX"}}),
        (_lesion(50, 40, is_minimum=True), {}),
        (_lesion(50, 40, basis="mass"), {}),
        ({"mass": {"max_diameter_mm": 50}, "prior": _lesion(50, 40, basis="mineral")["prior"]}, {}),
    ],
)
def test_what_was_measured_in_another_way_is_not_compared(
    lesion: dict[str, Any], study: dict[str, Any], ruleset: Ruleset
) -> None:
    growth = _growth(lesion, **study)
    assert growth.comparable == "no"
    assert growth.reason
    assert (growth.change_mm, growth.change_percent, growth.stable_since) == (None, None, None)
    flag = decide(_findings(lesion, **study), Clinical(), POLICY, ruleset).lesions[0].flags.growth
    assert flag.state == "cannot_determine"
    assert growth.reason in flag.evidence


def test_radiographs_of_both_kinds_may_be_compared_where_a_reader_says_so() -> None:
    assert _growth(_lesion(50, 40, modality="CR"), modality="DX").change_mm == 10


def test_a_lesion_cut_now_and_larger_all_the_same_may_have_grown(ruleset: Ruleset) -> None:
    lesion = _lesion(50, 40) | {"size": {"max_diameter_mm": 50, "is_minimum": True}}
    growth = _growth(lesion)
    assert (growth.comparable, growth.change_mm) == ("no", 10)
    assert decide(_findings(lesion), Clinical(), POLICY, ruleset).lesions[0].flags.growth.state == "possible"


def test_a_lesion_cut_now_and_not_larger_tells_nothing() -> None:
    lesion = _lesion(40, 40) | {"size": {"max_diameter_mm": 40, "is_minimum": True}}
    growth = _growth(lesion)
    assert (growth.change_mm, growth.stable_since) == (None, None)


@pytest.mark.parametrize(
    ("basis", "size", "mass", "compared"),
    [
        (None, {}, {"max_diameter_mm": 50}, ("mass", 50)),
        (None, {"max_diameter_mm": 30}, {"max_diameter_mm": 50}, ("mineral", 30)),
        ("mineral", {"max_diameter_mm": 30}, {"max_diameter_mm": 50}, ("mineral", 30)),
        ("mass", {"max_diameter_mm": 30}, {"max_diameter_mm": 50}, ("mass", 50)),
    ],
)
def test_the_mineral_is_compared_unless_the_mass_was_named_or_is_all_that_is_known(
    basis: str | None, size: dict[str, Any], mass: dict[str, Any], compared: tuple[str, float]
) -> None:
    growth = _growth(_lesion(0, 20, basis=basis) | {"size": size, "mass": mass})
    assert (growth.basis, growth.now_mm) == compared


def test_the_mass_is_compared_with_the_mass() -> None:
    lesion = _lesion(20, 40, basis="mass") | {"mass": {"max_diameter_mm": 60}}
    growth = _growth(lesion)
    assert (growth.basis, growth.now_mm, growth.change_mm) == ("mass", 60, 20)


@pytest.mark.parametrize(
    ("now", "before", "reason"),
    [
        ({"is_by_reader": True}, False, "measured by the program before and by a reader now"),
        ({}, True, "measured by a reader before and by the program now"),
        ({"is_by_reader": True}, True, ""),
        ({}, False, ""),
        ({"is_by_reader": True}, None, ""),  # typed: who states that lengths are comparable is believed
    ],
)
def test_a_readers_length_is_not_compared_with_one_of_the_program(
    now: dict[str, Any], before: bool | None, reason: str, ruleset: Ruleset
) -> None:
    lesion = _lesion(50, 20, is_by_reader=before)
    lesion["size"] |= now
    growth = _growth(lesion)
    assert growth.reason == reason
    assert (growth.change_mm is None) is bool(reason)
    decided = decide(_findings(lesion), Clinical(), POLICY, ruleset).lesions[0]
    assert (decided.flags.growth.state == "present") is not bool(reason)


def test_a_readers_mass_is_not_compared_with_a_contour() -> None:
    prior = {"max_diameter_mm": 40, "basis": "mass", "comparable": "yes", "is_by_reader": False}
    growth = _growth({"mass": {"present": "yes", "max_diameter_mm": 80, "source": "reader"}, "prior": prior})
    assert (growth.change_mm, growth.reason) == (None, "measured along a contour before and by a reader now")


@pytest.mark.parametrize(
    ("now_mm", "flag"),
    [(60.0, "possible"), (30.5, "cannot_determine"), (30.0, "cannot_determine"), (20.0, "cannot_determine")],
)
def test_a_lesion_that_is_only_probably_the_same_neither_grew_nor_is_stable(
    now_mm: float, flag: str, ruleset: Ruleset
) -> None:
    lesion = _lesion(now_mm, 30, comparable="unknown", reason=PROBABLY_SAME, uncertainty_mm=1)
    growth = _growth(lesion)
    assert (growth.comparable, growth.reason, growth.stable_since) == ("unknown", PROBABLY_SAME, None)
    assert growth.change_mm == now_mm - 30
    assert decide(_findings(lesion), Clinical(), POLICY, ruleset).lesions[0].flags.growth.state == flag


def test_what_was_measured_in_another_way_is_not_compared_though_probably_the_same() -> None:
    lesion = _lesion(60, 30, comparable="unknown", reason=PROBABLY_SAME, modality="DX")
    assert _growth(lesion).reason == "measured on DX before and on CT now"


@pytest.mark.parametrize(
    ("changes", "curve_mm"),
    [
        ({}, (30, 20)),
        ({"comparable": "no"}, ()),
        ({"comparable": "unknown", "reason": PROBABLY_SAME}, ()),
        ({"basis": "mass"}, ()),
        ({"study_date": None}, ()),
        ({"status": "ambiguous"}, ()),
        ({"is_minimum": True}, ()),
    ],
)
def test_lengths_on_studies_before_the_earlier_one_are_a_curve(
    changes: dict[str, Any], curve_mm: tuple[float, ...]
) -> None:
    known = {"lesion_id": "L1", "basis": "mineral", "is_by_reader": False}
    now = _findings(_lesion(40, 40, **known))
    older = [
        _findings(_lesion(40, length_mm, **(known | {"study_date": f"{year}-04-01"} | changes)))
        for year, length_mm in ((2025, 20), (2024, 30))
    ]
    findings = with_older(now, older, POLICY)
    growth = weigh_growth(findings.lesions[0], findings, POLICY)
    assert growth is not None
    assert (growth.stable_since, tuple(mm for _, mm in growth.earlier_lengths)) == ("2026-04-01", curve_mm)


def test_what_was_handed_on_and_what_is_compared_are_one_curve() -> None:
    known = {"lesion_id": "L1", "basis": "mineral", "is_by_reader": False}
    handed_on = {"earlier_lengths": [["2024-04-01", 31], ["2023-04-01", 10]]}
    now = _findings(_lesion(40, 40, **known, **handed_on))
    (lesion,) = with_older(now, [_findings(_lesion(40, 30, **(known | {"study_date": "2024-04-01"})))], POLICY).lesions
    assert lesion.prior is not None
    assert [(day.year, mm) for day, mm in lesion.prior.earlier_lengths] == [(2023, 10), (2024, 31)]


def test_a_lesion_without_an_earlier_one_has_no_curve() -> None:
    findings, older = _findings({"size": {"max_diameter_mm": 30}}), _findings(_lesion(30, 20))
    assert with_older(findings, [older], POLICY) == findings
