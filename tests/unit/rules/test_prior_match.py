"""Which lesion of an earlier report is which: by place and side, and never by guess."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calcreport.errors import UsageError
from calcreport.model.findings import FindingPrior, Findings
from calcreport.model.overlay import EarlierPlace, Overlay
from calcreport.model.report import Patient
from calcreport.rules.prior_match import EarlierReport, compare_with_earlier, refuse_wrong_report


def _lesion(side: str = "right", region: str | None = "calf", depth: str = "subfascial", **more: Any) -> dict[str, Any]:
    place: dict[str, Any] = {"region": region, "laterality": side}
    if "at" in more:
        place["centroid_lps_mm"] = more.pop("at")
    return {"size": {"max_diameter_mm": 30}, "depth": {"class": depth}, "location": place} | more


def _findings(*lesions: dict[str, Any], day: str = "2026-07-01", **study: Any) -> Findings:
    return Findings.model_validate({"modality": "CT", "study_date": day, "lesions": lesions} | study)


def _earlier(*lesions: dict[str, Any], **study: Any) -> EarlierReport:
    named = [{"id": f"L{number}"} | lesion for number, lesion in enumerate(lesions, start=1)]
    return EarlierReport(findings=_findings(*named, day="2026-01-01", **study))


def _priors(now: Findings, earlier: EarlierReport) -> list[FindingPrior]:
    return [lesion.prior for lesion in compare_with_earlier(now, earlier).lesions if lesion.prior is not None]


def test_the_one_lesion_at_a_place_is_matched() -> None:
    (prior,) = _priors(_findings(_lesion()), _earlier(_lesion(size={"max_diameter_mm": 24, "uncertainty_mm": 0.5})))
    assert (prior.status, prior.lesion_id, prior.max_diameter_mm) == ("matched", "L1", 24)
    assert (prior.comparable, prior.basis, prior.modality) == ("yes", "mineral", "CT")
    assert prior.study_date == date(2026, 1, 1)
    assert prior.uncertainty_mm == 0.5


@pytest.mark.parametrize(
    ("then", "status"),
    [
        (_lesion("left"), "not_found"),
        (_lesion(region="forearm"), "not_found"),
        (_lesion(depth="subcutaneous"), "not_found"),
        (_lesion(region="lower leg"), "matched"),  # another word for the same area
        (_lesion(region="knee"), "ambiguous"),  # a neighbour: one name cannot be held apart from the other
        (_lesion("unknown"), "ambiguous"),
        (_lesion("midline"), "ambiguous"),
        (_lesion(region=None), "ambiguous"),
        (_lesion(depth="abuts_fascia"), "ambiguous"),
        (_lesion(depth="cannot_determine"), "ambiguous"),
    ],
)
def test_place_side_and_compartment_must_agree(then: dict[str, Any], status: str) -> None:
    (prior,) = _priors(_findings(_lesion()), _earlier(then))
    assert prior.status == status
    if status != "matched":
        assert prior.reason
        assert prior.max_diameter_mm is None


def test_two_at_one_place_are_not_told_apart_in_either_direction() -> None:
    for now, before in (([_lesion()], [_lesion(), _lesion()]), ([_lesion(), _lesion()], [_lesion()])):
        assert {prior.status for prior in _priors(_findings(*now), _earlier(*before))} == {"ambiguous"}


def test_a_lesion_of_unknown_side_makes_a_match_doubtful() -> None:
    priors = _priors(_findings(_lesion()), _earlier(_lesion(), _lesion("unknown")))
    assert priors[0].status == "ambiguous"


@pytest.mark.parametrize(
    ("now", "before", "comparable"),
    [
        ([_lesion()], [_lesion()], "yes"),
        ([_lesion(), _lesion("left")], [_lesion("left"), _lesion()], "yes"),  # each alone on its side
        ([_lesion(), _lesion(region="forearm")], [_lesion()], "yes"),
        ([_lesion(), _lesion(depth="subcutaneous")], [_lesion()], "unknown"),  # the layer alone holds them apart
        ([_lesion()], [_lesion(), _lesion(depth="subcutaneous")], "unknown"),
    ],
)
def test_without_images_a_lesion_that_is_not_alone_in_its_place_is_probably_the_same(now, before, comparable) -> None:
    for lesions in (now, before):
        lesions[0]["size"] = {"max_diameter_mm": 30, "uncertainty_mm": 1}
    prior = _priors(_findings(*now), _earlier(*before))[0]
    assert (prior.status, prior.comparable, "probably the same" in prior.reason) == (
        "matched", comparable, comparable == "unknown"
    )  # fmt: skip


def test_in_one_frame_of_reference_the_layer_beside_changes_nothing() -> None:
    frame = {"frame_of_reference_uid": "1.2.3"}
    lesions = [_lesion(at=(0, 0, 0)), _lesion(depth="subcutaneous", at=(0, 0, 60))]
    assert {prior.comparable for prior in _priors(_findings(*lesions, **frame), _earlier(*lesions, **frame))} == {"yes"}


def test_what_is_not_comparable_anyway_is_not_called_probable() -> None:
    now, before = [_lesion(), _lesion(depth="subcutaneous")], [_lesion(size={}), _lesion(depth="subcutaneous")]
    prior = _priors(_findings(*now), _earlier(*before))[0]
    assert (prior.comparable, prior.reason) == ("no", "mineral was measured on one of the studies only")
    doubted = compare_with_earlier(_findings(*now), _earlier(_lesion()), doubt="the images do not fit").lesions[0].prior
    assert doubted is not None
    assert (doubted.comparable, doubted.reason) == ("no", "the images do not fit")


def test_in_one_frame_of_reference_the_position_decides() -> None:
    frame = {"frame_of_reference_uid": "1.2.3"}
    now = _findings(_lesion(at=(0, 0, 0)), _lesion(at=(0, 0, 60)), **frame)
    earlier = _earlier(_lesion("left", at=(0, 0, 58)), _lesion(at=(2, 0, 0)), **frame)
    assert [prior.lesion_id for prior in _priors(now, earlier)] == ["L2", "L1"]


def test_positions_of_different_frames_mean_nothing() -> None:
    now = _findings(_lesion(at=(0, 0, 0)), _lesion(at=(0, 0, 60)), frame_of_reference_uid="1.2.3")
    earlier = _earlier(_lesion(at=(0, 0, 58)), _lesion(at=(2, 0, 0)), frame_of_reference_uid="1.2.4")
    assert {prior.status for prior in _priors(now, earlier)} == {"ambiguous"}


@pytest.mark.parametrize(
    ("longest_mm", "apart_mm", "status"),
    [
        (30, 15.0, "matched"),  # half the longer of the two lengths
        (30, 15.1, "not_found"),
        (12, 10.0, "matched"),  # at least 10 mm
        (12, 10.1, "not_found"),
    ],
)
def test_centres_reach_half_the_longest_length_and_at_least_10_mm(
    longest_mm: float, apart_mm: float, status: str
) -> None:
    frame = {"frame_of_reference_uid": "1.2"}
    now = _lesion(at=(0, 0, 0)) | {"size": {"max_diameter_mm": longest_mm}}
    then = _lesion(at=(0, apart_mm, 0)) | {"size": {"max_diameter_mm": longest_mm / 2}}
    for one, other in ((now, then), (then, now)):
        (prior,) = _priors(_findings(one, **frame), _earlier(other, **frame))
        assert prior.status == status


def test_two_near_one_position_are_ambiguous() -> None:
    frame = {"frame_of_reference_uid": "1.2.3"}
    now = _findings(_lesion(at=(0, 0, 0)), **frame)
    earlier = _earlier(_lesion(at=(0, 0, 5)), _lesion(at=(5, 0, 0)), **frame)
    assert _priors(now, earlier)[0].status == "ambiguous"


def test_what_a_reader_typed_stays() -> None:
    now = _findings(_lesion(prior={"max_diameter_mm": 11, "interval_days": 30}))
    assert _priors(now, _earlier(_lesion()))[0].max_diameter_mm == 11


@pytest.mark.parametrize(
    ("now", "then", "study"),
    [
        (_lesion(), _lesion(size={}), {}),
        (_lesion(), _lesion(size={"max_diameter_mm": 30, "projected": True}), {}),
        (_lesion(), _lesion(), {"threshold_hu": 300}),
    ],
)
def test_mineral_measured_in_another_way_is_matched_but_not_compared(
    now: dict[str, Any], then: dict[str, Any], study: dict[str, Any]
) -> None:
    (prior,) = _priors(_findings(now, threshold_hu=130), _earlier(then, **study))
    assert (prior.status, prior.comparable) == ("matched", "no")
    assert prior.reason


def test_masses_of_one_kind_are_compared_and_the_faster_part_counts() -> None:
    now = _lesion(mass={"present": "yes", "max_diameter_mm": 90, "source": "contour"})
    then = _lesion(mass={"present": "yes", "max_diameter_mm": 60, "source": "contour"})
    (prior,) = _priors(_findings(now), _earlier(then))
    assert (prior.basis, prior.max_diameter_mm) == ("mass", 60)
    other = _lesion(mass={"present": "yes", "max_diameter_mm": 60, "source": "reader"})
    (prior,) = _priors(_findings(now), _earlier(other))
    assert prior.basis == "mineral", "a contour and a reader's word are two ways of measuring"


@pytest.mark.parametrize(
    ("now_mm", "before_mm", "basis"),
    [((45, 90), (30, 60), "mass"), ((46, 90), (30, 60), "mineral"), ((44, 90), (30, 60), "mass"),
     ((None, 90), (30, 60), "mass"), ((45, 90), (None, 60), "mass")],
)  # fmt: skip
def test_of_mineral_and_mass_the_faster_growing_is_compared(
    now_mm: tuple[float | None, float], before_mm: tuple[float | None, float], basis: str
) -> None:
    now, then = (
        _lesion(
            size={"max_diameter_mm": mineral}, mass={"present": "yes", "max_diameter_mm": mass, "source": "contour"}
        )
        for mineral, mass in (now_mm, before_mm)
    )
    (prior,) = _priors(_findings(now), _earlier(then))
    assert prior.basis == basis


def test_how_the_earlier_length_was_measured_is_kept_with_it() -> None:
    by_reader = {"size": {"max_diameter_mm": 20, "is_by_reader": True}}
    for now, then, kept, comparable in (
        ({}, {}, False, "yes"),
        ({}, by_reader, True, "unknown"),
        (by_reader, by_reader, True, "unknown"),  # two readers may have taken other mineral for the lesion
        (by_reader, {}, False, "yes"),  # refused where the change is weighed, so that a review can be taken back
    ):
        (prior,) = _priors(_findings(_lesion(**now)), _earlier(_lesion(**then)))
        assert (prior.is_by_reader, prior.comparable) == (kept, comparable), (now, then)


def test_masses_are_compared_where_the_mineral_was_measured_by_other_hands() -> None:
    now = _lesion(size={"max_diameter_mm": 90, "is_by_reader": True}, mass={"max_diameter_mm": 60, "source": "contour"})
    then = _lesion(mass={"max_diameter_mm": 60, "source": "contour"})
    (prior,) = _priors(_findings(now), _earlier(then))
    assert (prior.basis, prior.is_by_reader) == ("mass", False)


def test_an_earlier_study_of_someone_else_is_refused() -> None:
    named = {"name": "Doe^Jane", "birth_date": "1970-01-01"}
    for theirs, ours, is_refused in (
        (Patient(id="1", birth_date="1970-01-01"), Patient(id="1", birth_date="1971-01-01"), True),
        (Patient(id="1"), Patient(id="2"), True),
        (Patient(id="1", name="Doe^Jane"), Patient(id="2", name="Doe^Jane"), True),
        (Patient(id="1", sex="F"), Patient(id="1", sex="M"), True),
        (Patient(id="1", sex="F"), Patient(id="1", sex="O"), False),
        (Patient(id="1", **named), Patient(id="2", **named), True),  # two people can share a name and a birthday
        (Patient(id="1", birth_date="1970-01-01"), Patient(id="1"), False),
        (Patient(), Patient(id="2"), False),
        (Patient(id="1"), Patient(id=" 1 "), False),
    ):
        assert _is_refused(theirs, ours) is is_refused


def _is_refused(theirs: Patient, ours: Patient, issuers: tuple[str | None, str | None] = (None, None)) -> bool:
    earlier = EarlierReport(findings=_findings(_lesion(), day=None), patient=theirs, id_issuer=issuers[0])
    try:
        refuse_wrong_report(earlier, study_date=None, patient=ours, id_issuer=issuers[1])
    except UsageError as error:
        return error.code == "prior.other_patient" and "Doe" not in error.message
    return False


@pytest.mark.parametrize(
    ("issuers", "birth_date", "is_refused"),
    [
        (("A", "B"), "1970-01-01", False),  # ids of two hospitals, and all else agrees
        (("A", "B"), None, True),
        (("A", "A"), "1970-01-01", True),
        (("A", None), "1970-01-01", True),
    ],
)
def test_ids_of_two_issuers_may_differ_where_name_and_birth_date_agree(issuers, birth_date, is_refused) -> None:
    one, other = (Patient(id=name, name="Doe^Jane", birth_date=birth_date) for name in "12")
    assert _is_refused(one, other, issuers) is is_refused


@pytest.mark.parametrize(("name", "is_refused"), [("Doe^Jane", False), ("Roe^Ann", True), (None, True)])
def test_the_same_id_of_two_issuers_is_no_identity(name, is_refused) -> None:
    """Two hospitals number their patients alike."""
    one = Patient(id="1", name="Doe^Jane", birth_date="1970-01-01")
    assert _is_refused(one, Patient(id="1", name=name, birth_date="1970-01-01"), ("A", "B")) is is_refused


def test_the_same_study_and_a_later_one_are_refused() -> None:
    same = EarlierReport(findings=_findings(_lesion(), day="2026-01-01"), study_instance_uid="1.2")
    with pytest.raises(UsageError) as caught:
        refuse_wrong_report(same, study_date=None, study_instance_uid="1.2")
    assert caught.value.code == "report.same_study"
    for day in ("2026-07-01", "2026-07-02"):
        with pytest.raises(UsageError) as caught:
            compare_with_earlier(_findings(_lesion()), EarlierReport(findings=_findings(_lesion(), day=day)))
        assert caught.value.code == "report.not_earlier"


_PLACES = st.builds(
    _lesion,
    side=st.sampled_from(["left", "right", "midline", "unknown"]),
    region=st.sampled_from(["calf", "lower leg", "knee", "thigh", "forearm", None]),
    depth=st.sampled_from(["subcutaneous", "abuts_fascia", "subfascial", "cannot_determine"]),
)


@given(now=st.lists(_PLACES, max_size=4), then=st.lists(_PLACES, max_size=4))
def test_no_earlier_lesion_is_matched_twice(now: list[dict[str, Any]], then: list[dict[str, Any]]) -> None:
    priors = _priors(_findings(*now), _earlier(*then))
    matched = [prior.lesion_id for prior in priors if prior.status == "matched"]
    assert len(priors) == len(now)
    assert len(matched) == len(set(matched))
    assert all(prior.max_diameter_mm is None for prior in priors if prior.status != "matched")


@given(now=st.lists(_PLACES, max_size=3), then=st.lists(_PLACES, max_size=3))
def test_a_match_does_not_depend_on_the_order(now: list[dict[str, Any]], then: list[dict[str, Any]]) -> None:
    forward = [prior.status for prior in _priors(_findings(*now), _earlier(*then))]
    backward = [prior.status for prior in _priors(_findings(*now[::-1]), _earlier(*then[::-1]))]
    assert forward == backward[::-1]


# --- images registered ------------------------------------------------------------------------------------


def _laid(now: Findings, earlier: EarlierReport, *places: EarlierPlace, vanished: tuple[int, ...] = ()) -> Findings:
    return compare_with_earlier(now, earlier, overlay=Overlay(places=places, vanished=vanished))


def test_what_the_images_pair_is_matched_whatever_side_and_region_say() -> None:
    compared = _laid(
        _findings(_lesion("left"), _lesion()),
        _earlier(_lesion(size={"max_diameter_mm": 8}), _lesion(size={"max_diameter_mm": 9}), _lesion()),
        EarlierPlace(status="matched", earlier=(1,)),
        EarlierPlace(status="new", reason="held no mineral"),
        vanished=(2,),
    )
    one, other = (lesion.prior for lesion in compared.lesions)
    assert one is not None
    assert other is not None
    assert (one.lesion_id, one.max_diameter_mm, other.status, other.reason) == ("L2", 9, "new", "held no mineral")
    assert compared.prior_study is not None
    assert (compared.prior_study.source, compared.prior_study.vanished) == ("images", ("L3",))


def test_lesions_that_became_one_are_compared_together() -> None:
    sizes = [{"max_diameter_mm": 8, "volume_mm3": 100, "uncertainty_mm": 1}, {"max_diameter_mm": 9, "volume_mm3": 50}]
    earlier = _earlier(*(_lesion(size=size) for size in sizes))
    compared = _laid(_findings(_lesion()), earlier, EarlierPlace(status="matched", earlier=(0, 1), joint_mm=25.0))
    prior = compared.lesions[0].prior
    assert prior is not None
    assert (prior.lesion_id, prior.max_diameter_mm, prior.volume_mm3, prior.uncertainty_mm) == ("L1 + L2", 25, 150, 1)


def test_a_reason_of_the_images_bars_the_comparison() -> None:
    place = EarlierPlace(status="matched", earlier=(0,), reason="L1 of the earlier study is now 2 lesions")
    prior = _laid(_findings(_lesion()), _earlier(_lesion()), place).lesions[0].prior
    assert prior is not None
    assert (prior.comparable, prior.reason) == ("no", place.reason)


@pytest.mark.parametrize(
    ("limits", "p95_hu", "comparable", "error_mm"),
    [
        ((130, 130), 450, "yes", 1.0),
        ((130, 170), 450, "yes", 1.4),  # 40 of 400 HU, at both ends, over a voxel of 2 mm
        ((170, 130), 450, "yes", 1.4),
        ((130, 170), 240, "no", 1.0),  # faint mineral: the limit decides how much of it is seen
        ((130, 230), 450, "no", 1.0),
        ((130, 170), None, "no", 1.0),
    ],
)
def test_limits_that_differ_little_add_to_the_error(limits, p95_hu, comparable, error_mm) -> None:
    lesion = _lesion(size={"max_diameter_mm": 30, "uncertainty_mm": 1.0}, density={"p95_hu": p95_hu})
    lesion["voxel_diagonal_mm"] = 2.0
    (prior,) = _priors(_findings(lesion, threshold_hu=limits[0]), _earlier(lesion, threshold_hu=limits[1]))
    assert prior.comparable == comparable
    if comparable == "yes":
        assert prior.uncertainty_mm == pytest.approx(error_mm)
