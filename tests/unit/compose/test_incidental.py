"""Incidental mineral, and runs that failed their own checks."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.compose.lesions import list_incidental
from calcreport.model.clinical import Clinical
from calcreport.model.findings import Findings, LesionFinding
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference
from calcreport.model.incidental import MANY_IN_CAVITY, SHARP_KERNEL, IncidentalFinding, IncidentalKind
from calcreport.model.lengths import Lengths
from calcreport.model.report import Location, Searched
from calcreport.resources import rule_texts, template_texts
from calcreport.rules import decide, load_rules
from calcreport.settings import PolicySettings
from calcreport.text.statements import parse_statements
from calcreport.text.technique import describe_incidental, limit_searched, say_not_searched

STATEMENTS = parse_statements(template_texts()["statements.toml"])
LENGTHS = Lengths(limits_mm=(50.0,))
RULES = load_rules(rule_texts())


def volume(uid: str, numbers: tuple[int | None, ...]) -> CtVolume:
    shape = (len(numbers), 4, 4)
    slices = tuple(SliceReference(sop_instance_uid=f"{uid}.{i}", instance_number=n) for i, n in enumerate(numbers))
    geometry = VolumeGeometry(affine=np.eye(4), shape=shape)
    return CtVolume(hu=np.zeros(shape, dtype=np.int16), geometry=geometry, slices=slices, series_instance_uid=uid)


def found(kind: str, structure: str | None, at: int, **fields: object) -> IncidentalFinding:
    given = {"bbox_lps_mm": ((at, 0.0, 0.0), (at + 2.0, 1.0, 1.0)), "largest_mm": float(at), "first_slice": at}
    return IncidentalFinding(kind=IncidentalKind(kind), structure=structure, last_slice=at, **(given | fields))


def test_deposits_of_one_structure_are_one_row() -> None:
    series = [volume("1.1", (9, 8, 7, 6)), volume("1.2", (None,) * 4)]
    rows = list_incidental(
        [
            found("stone", "left kidney", 2), found("vascular", "aorta", 1), found("vascular", "aorta", 3),
            found("vascular", "aorta", 2, series_index=1), found("vascular", None, 2),
        ],
        series,
    )  # fmt: skip
    assert [(row.kind, row.structure, row.count, row.largest_mm, row.first_image, row.last_image) for row in rows] == [
        ("vascular", "aorta", 2, 3.0, 6, 8), ("vascular", None, 1, 2.0, 7, 7),
        ("vascular", "aorta", 1, 2.0, None, None), ("stone", "left kidney", 1, 2.0, 7, 7),
    ]  # fmt: skip
    assert rows[0].bbox_lps_mm == ((1.0, 0.0, 0.0), (5.0, 1.0, 1.0))
    assert [row.series_instance_uid for row in rows] == ["1.1", "1.1", "1.2", "1.1"]
    assert describe_incidental(rows, STATEMENTS, LENGTHS) == (
        "Incidental: vascular calcification (aorta 3, others 1; largest 3 mm), stone (left kidney 1; largest 2 mm); "
        "not assessed further.",
    )


def test_nothing_incidental_is_not_told() -> None:
    assert describe_incidental((), STATEMENTS, LENGTHS) == ()


def test_without_a_structure_the_kind_is_counted() -> None:
    rows = list_incidental([found("valve", None, 1)] * 2, [volume("1.1", (1, 2))])
    (sentence,) = describe_incidental(rows, STATEMENTS, LENGTHS)
    assert sentence == "Incidental: valve calcification (2; largest 1 mm); not assessed further."


def test_many_structures_share_a_word() -> None:
    rows = list_incidental([found("organ", f"organ {n}", 1) for n in range(7)], [volume("1.1", (1, 2))])
    (sentence,) = describe_incidental(rows, STATEMENTS, LENGTHS)
    assert "organ 3 1, others 3; largest" in sentence


WORST = {"mass": {"present": "yes", "max_diameter_mm": 80}, "depth": {"class": "subfascial"}}
SARCOMA = {"history": {"sarcoma": "yes"}}


@pytest.mark.parametrize(
    ("fields", "clinical", "before", "after"),
    [
        (WORST, {}, "high", "flagged"),
        ({}, SARCOMA, "high", "flagged"),
        (WORST | {"features": {"bone_destruction": "yes"}}, SARCOMA, "high", "flagged"),
        ({"size": {"max_diameter_mm": 80}}, {}, "flagged", "flagged"),
    ],
)
def test_a_run_that_failed_its_checks_raises_no_alert(
    fields: dict[str, object], clinical: dict[str, object], before: str, after: str
) -> None:
    for checks, concern in (((), before), ((MANY_IN_CAVITY.code,), after)):
        lesion = LesionFinding.model_validate(fields | {"failed_checks": checks})
        findings = Findings(modality="CT", lesions=(lesion,))
        decision = decide(findings, Clinical.model_validate(clinical), PolicySettings(), RULES)
        assert (decision.concern, decision.lesions[0].concern) == (concern, concern)


def test_what_failed_its_checks_was_searched_in_part() -> None:
    rows = (
        Searched(region="chest", status="searched", series_number=2), Searched(region="left thigh", status="searched"),
        Searched(region="neck", status="not_searched", reason="series.not_best"),
    )  # fmt: skip
    doubts = [("chest", (SHARP_KERNEL, MANY_IN_CAVITY)), ("left thigh", ()), ("neck", (SHARP_KERNEL,))]
    limited = limit_searched(rows, doubts)
    assert [(row.status, row.reason) for row in limited] == [
        ("partly", "check.sharp_kernel"), ("searched", None), ("not_searched", "series.not_best"),
    ]  # fmt: skip
    (sentence,) = say_not_searched(limited[:1], STATEMENTS)
    assert sentence == "Not searched for calcification: part of chest (series 2, check.sharp_kernel)."


@pytest.mark.parametrize(
    ("written", "read"), [("none", None), (None, None), ("header", "header"), ("reader", "reader")]
)
def test_earlier_drafts_say_none_for_nobody(written: str | None, read: str | None) -> None:
    assert Location.model_validate({"laterality_source": written}).laterality_source == read
