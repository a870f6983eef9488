"""Findings files as text: what is read, and every mistake named at once without its value."""

from __future__ import annotations

import json

import pytest

from calcreport.errors import ClinicalError
from calcreport.files.findings import findings_from_text
from calcreport.model.findings import Findings

EXAMPLE = """
modality: CT
study_date: 2026-10-02
lesions:
  - size: {ap_mm: 24, tr_mm: 21, cc_mm: 43}
    mass: {present: yes, max_diameter_mm: 60}
    depth: {class: subfascial}
    pattern: {id: P05}
    features: {rim_complete: true, trabeculated: no, chondroid: unknown}
    location: {region: Calf, laterality: right, tissue: muscle}
"""


def _refusal(text: str) -> ClinicalError:
    with pytest.raises(ClinicalError) as caught:
        findings_from_text(text)
    assert caught.value.__context__ is None, "the cause would carry what was typed into a traceback"
    return caught.value


def test_yaml_is_read_as_meant() -> None:
    (lesion,) = findings_from_text(EXAMPLE).lesions
    assert lesion.depth.class_ == "subfascial"
    assert (lesion.features.rim_complete, lesion.features.trabeculated, lesion.features.chondroid) == (
        "yes",
        "no",
        "unknown",
    )
    assert lesion.location.region == "calf"


def test_json_gives_the_same() -> None:
    as_json = findings_from_text(EXAMPLE).model_dump_json(exclude_defaults=True)
    assert findings_from_text(as_json) == findings_from_text(EXAMPLE)


def test_the_longest_extent_is_the_longest_dimension_where_none_was_given() -> None:
    assert findings_from_text(EXAMPLE).lesions[0].size.max_diameter_mm == 43
    one = findings_from_text("lesions: [{size: {ap_mm: 24}}]")
    assert one.lesions[0].size.max_diameter_mm is None, "one extent says nothing of the others"


def test_a_path_may_stand_for_a_section() -> None:
    by_path = "lesions: [{size.max_diameter_mm: 44, depth.class: subfascial, size: {ap_mm: 20}}]"
    by_section = "lesions: [{size: {max_diameter_mm: 44, ap_mm: 20}, depth: {class: subfascial}}]"
    assert findings_from_text(by_path) == findings_from_text(by_section)


def test_a_field_given_as_path_and_in_its_section_is_a_mistake() -> None:
    assert _refusal("lesions: [{size: {ap_mm: 20}, size.ap_mm: 30}]").code == "findings.unknown_key"


def test_unknown_is_missing_wherever_it_is_typed() -> None:
    text = "modality: unknown\nlesions: [{size: {max_diameter_mm: unknown}, depth: {class: Unknown}, prior: unknown}]"
    assert findings_from_text(text) == findings_from_text("lesions: [{}]")


def test_no_lesion_has_to_be_said() -> None:
    assert findings_from_text("lesions: []") == Findings()
    for text in ("", "modality: CT", "lesions:", "lesions: unknown", "[]", "text"):
        assert _refusal(text).code == "findings.not_mapping", text


@pytest.mark.parametrize(
    "text", ["a: [", "a: &x 1\nb: *x", "lesions: []\nlesions: []", "[" * 5000, "x" * 200_001, "\x00"]
)
def test_what_is_no_yaml_is_refused(text: str) -> None:
    assert _refusal(text).code == "findings.not_yaml"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("lesion: []", "did you mean lesions?"),
        ("lesions: [{}, {siz: {}}]", "lesion 2: siz: unknown key; did you mean size?"),
        ("lesions: [{depth: {clas: subfascial}}]", "lesion 1: depth.clas: unknown key; did you mean depth.class?"),
        ("lesions: [{features: {rim_compleet: yes}}]", "did you mean features.rim_complete"),
        ("lesions: [{tissue: muscle}]", "did you mean lesions.location.tissue?"),
        ('lesions: [{"Doe, Jane": 1}]', "(unreadable key)"),
    ],
)
def test_an_unknown_key_is_named_with_its_lesion_and_near_matches(text: str, hint: str) -> None:
    error = _refusal(text)
    assert error.code == "findings.unknown_key"
    assert hint in error.message
    assert "Doe" not in error.message


def test_all_mistakes_come_at_once_and_hold_no_value() -> None:
    error = _refusal(
        "modality: MR4711\n"
        "lesions:\n"
        "  - {size: {max_diameter_mm: -4712}, colour: white}\n"
        "  - {pattern: {id: P31}, depth: {class: deep4713}, foci: {count: yes}}\n"
        "  - 4714\n"
    )
    assert error.code == "findings.invalid"
    for name in (
        "modality: ",
        "lesion 1: size.max_diameter_mm: ",
        "lesion 1: colour: ",
        "lesion 2: pattern.id: ",
        "lesion 2: depth.class: ",
        "lesion 2: foci.count: ",
        "lesion 3: ",
    ):
        assert name in error.message
    assert "471" not in error.message


@pytest.mark.parametrize(
    ("lesion", "name"),
    [
        ("{size: {max_diameter_mm: 30, cc_mm: 31}}", "size.max_diameter_mm: shorter than cc_mm"),
        ("{mass: {max_diameter_mm: 30, ap_mm: 31}}", "mass.max_diameter_mm: shorter than ap_mm"),
        ("{size: {max_diameter_mm: 30}, foci: {largest_max_diameter_mm: 31}}", "foci.largest_max_diameter_mm"),
        ("{mass: {present: no, max_diameter_mm: 60}}", "mass.present: no, although"),
        ("{prior: {study_date: 2026-10-02}}", "prior.study_date: not before"),
        ("{prior: {study_date: 2026-09-02, interval_days: 31}}", "prior.interval_days: contradicts"),
        ("{id: a}, {id: a}", "lesion 2: id: another lesion has the same"),
    ],
)
def test_what_cannot_be_true_together_is_named(lesion: str, name: str) -> None:
    error = _refusal(f"study_date: 2026-10-02\nlesions: [{lesion}]")
    assert error.code == "findings.value"
    assert name in error.message


def test_lengths_rounded_to_the_millimetre_do_not_contradict_each_other() -> None:
    findings_from_text("study_date: 2026-10-02\nlesions: [{size: {max_diameter_mm: 30, cc_mm: 30.5}}]")
    findings_from_text("study_date: 2026-10-02\nlesions: [{prior: {study_date: 2026-09-02, interval_days: 30}}]")


def test_every_field_of_the_contract_is_known() -> None:
    features = [
        "rim_complete", "rim_incomplete", "cleft_to_cortex", "trabeculated", "lucent_centre", "fluid_calcium_level",
        "bilateral", "multifocal_sites", "bone_destruction", "centre_dense", "fatty_mass", "chondroid",
        "growing_soft_tissue",
    ]  # fmt: skip
    lesion = {
        "size": {"max_diameter_mm": 30, "ap_mm": 1, "tr_mm": 1, "cc_mm": 1, "volume_mm3": 5, "uncertainty_mm": 1}
        | {"axial_long_mm": 5, "axial_short_mm": 4, "is_minimum": True, "projected": False},
        "mass": {"present": "yes", "max_diameter_mm": 60, "ap_mm": 1, "tr_mm": 1, "cc_mm": 1, "volume_mm3": 9},
        "depth": {"class": "subfascial", "skin_distance_mm": 3, "fascia_distance_mm": 1},
        "pattern": {"id": "P05", "confidence": "high"},
        "bone_relation": "separate",
        "density": {"mean_hu": 1, "max_hu": 2, "p95_hu": 2, "sd_hu": 0},
        "foci": {"count": 2, "largest_max_diameter_mm": 9},
        "location": {"region": "calf", "laterality": "left", "tissue": "muscle"},
        "features": dict.fromkeys(features, True),
        "prior": {"max_diameter_mm": 20, "interval_days": 90, "comparable": "yes"},
    }
    text = json.dumps({"modality": "DX", "contrast": "none", "slice_thickness_mm": 1, "lesions": [lesion]})
    assert findings_from_text(text).lesions[0].prior is not None


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("modality: ct\nlesions: []", "modality: CT\nlesions: []"),
        ("contrast: no\nlesions: []", "contrast: none\nlesions: []"),
        ("lesions: [{pattern.id: p05}]", "lesions: [{pattern.id: P05}]"),
        ("lesions: [{location.laterality: L}]", "lesions: [{location.laterality: left}]"),
        ("lesions: [{location.tissue: Muscle}]", "lesions: [{location.tissue: muscle}]"),
        ("lesions: [{depth.class: Subfascial}]", "lesions: [{depth.class: subfascial}]"),
        ("lesions: [{bone_relation: Abuts}]", "lesions: [{bone_relation: abuts}]"),
    ],
)
def test_case_and_common_spellings_make_no_difference(typed: str, read: str) -> None:
    assert findings_from_text(typed) == findings_from_text(read)
