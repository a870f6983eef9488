"""Findings: typed by a reader or taken over from a measured lesion."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from calcreport.model.findings import Findings, LesionFinding, finding_of
from calcreport.model.lesion import MeasuredLesion
from calcreport.model.report import (
    BoneRelation,
    Confidence,
    Density,
    Depth,
    DepthClass,
    Foci,
    Location,
    Mass,
    Pattern,
    Size,
    YesNo,
)


def _measured(**features: Any) -> MeasuredLesion:
    return MeasuredLesion(
        size=Size(max_diameter_mm=31.5, is_minimum=True),
        foci=Foci(count=3, largest_max_diameter_mm=9.0),
        mass=Mass(present=YesNo.YES, max_diameter_mm=60.0, source="contour", depth_class=DepthClass.SUBFASCIAL),
        density=Density(mean_hu=300.0, is_certain=False),
        depth=Depth(class_=DepthClass.ABUTS_FASCIA, skin_distance_mm=4.0),
        pattern=Pattern(id="P05", label="rim", confidence=Confidence.MODERATE, scores={}, features=features),
        bone_relation=BoneRelation.SEPARATE,
        location=Location(region="calf"),
        mineral=None,
        key_slice=0,
    )


def test_a_measured_lesion_is_taken_over_number_for_number() -> None:
    finding = finding_of(_measured(), lesion_id="L1", voxel_diagonal_mm=0.9)
    assert (finding.size.max_diameter_mm, finding.size.is_minimum) == (31.5, True)
    assert (finding.mass.present, finding.mass.max_diameter_mm, finding.mass.source) == ("yes", 60.0, "contour")
    assert (finding.depth.class_, finding.mass.depth_class) == ("abuts_fascia", "subfascial")
    assert (finding.pattern.id, finding.pattern.confidence) == ("P05", "moderate")
    assert (finding.foci.count, finding.density.is_certain, finding.location.region) == (3, "no", "calf")


def test_features_the_rules_know_are_taken_over_and_others_left_out() -> None:
    finding = finding_of(_measured(rim_complete=True, centre_dense=False, coverage=0.9, chondroid=None), lesion_id="L1")
    assert finding.features.rim_complete == "yes"
    assert finding.features.centre_dense == "no"
    assert finding.features.chondroid == "unknown"
    assert finding.features.lucent_centre == "unknown"


def test_nothing_typed_means_everything_unknown() -> None:
    lesion = LesionFinding()
    assert lesion.size.max_diameter_mm is None
    assert lesion.mass.present == "unknown"
    assert {answer for _, answer in lesion.features} == {"unknown"}


@pytest.mark.parametrize(
    "lesion",
    [
        {"size": {"max_diameter_mm": -1}},
        {"size": {"max_diameter_mm": float("inf")}},
        {"size": {"max_diameter_mm": 30_000}},
        {"size": {"max_diameter_mm": True}},
        {"pattern": {"id": "P31"}},
        {"depth": {"class": "deep"}},
        {"prior": {"interval_days": 0}},
        {"features": {"rim": True}},
        {"colour": "white"},
    ],
)
def test_impossible_findings_are_refused(lesion: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Findings.model_validate({"modality": "CT", "lesions": [lesion]})
