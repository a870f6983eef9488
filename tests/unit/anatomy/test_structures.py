"""Names of labelled structures, and the vote of a component's voxels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calcreport.anatomy.structures import StructureTable, parse_structures, structure_of
from calcreport.model.anatomy_labels import AnatomyLabels, Structure, StructureKind
from calcreport.model.incidental import IncidentalKind
from calcreport.resources import packaged_text

BONE, VESSEL, MUSCLE, GUT, RIB = 1, 2, 3, 4, 5
KINDS = {BONE: "bone", VESSEL: "vessel", MUSCLE: "muscle", GUT: "gut", RIB: "bone"}


@pytest.fixture(scope="module")
def table() -> StructureTable:
    return parse_structures(packaged_text("anatomy/structures.toml"))


@pytest.mark.parametrize(
    ("name", "kind", "full_name", "incidental"),
    [
        ("aorta", "vessel", "aorta", "vascular"),
        ("kidney_right", "organ", "right kidney", "stone"),
        ("Left Kidney", "organ", "left kidney", "stone"),
        ("rib_left_7", "bone", "left rib 7", "other"),
        ("vertebrae_T12", "bone", "vertebra T12", "other"),
        ("vertebrae_S1", "bone", "vertebra S1", "other"),
        ("lung_lower_lobe_left", "lung", "left lung", "organ"),
        ("heart_atrium_left", "heart", "left heart", "organ"),
        ("iliac_vena_right", "vessel", "right iliac vein", "vascular"),
        ("costal_cartilages", "cartilage", "costal cartilage", "other"),
        ("small_bowel", "gut", "small bowel", "enteric"),
        ("gluteus_maximus_left", "muscle", "left gluteus maximus", "other"),
        ("patella", "bone", "patella", "other"),
    ],
)
def test_a_class_name_names_a_structure(
    table: StructureTable, name: str, kind: str, full_name: str, incidental: str
) -> None:
    found = table.find(name)
    assert found is not None
    assert (found.kind, found.full_name, found.incidental) == (kind, full_name, incidental)


@pytest.mark.parametrize("name", ["", "label 3", "tumour", "ct", "left", "<script>aorta", "kidney_left_right", "12"])
def test_other_names_name_nothing(table: StructureTable, name: str) -> None:
    found = table.find(name)
    assert found is None


@pytest.mark.parametrize(
    ("version", "count", "some"),
    [
        ("v2", 117, {1: "spleen", 52: "aorta", 75: "femur_left", 92: "rib_left_1", 117: "costal_cartilages"}),
        ("v1", 104, {7: "aorta", 58: "rib_left_1", 88: "femur_left", 104: "urinary_bladder"}),
    ],
)
def test_classes_by_number(table: StructureTable, version: str, count: int, some: dict[int, str]) -> None:
    classes = table.numbered[version]
    assert len(classes) == len(set(classes)) == count
    assert {number: classes[number - 1] for number in some} == some
    assert {name for name in classes if table.find(name) is None} <= {"face"}


def labelled(fill: dict[int, tuple[slice, ...]]) -> AnatomyLabels:
    labels = np.zeros((5, 40, 40), dtype=np.uint8)
    for value, box in fill.items():
        labels[box] = value
    structures = tuple(
        Structure(value=value, name=str(value), kind=StructureKind(kind), incidental=IncidentalKind.OTHER)
        for value, kind in KINDS.items()
    )
    return AnatomyLabels(labels=labels, structures=structures)


def deposit() -> NDArray[np.int64]:
    return np.argwhere(np.ones((3, 6, 6))) + np.array((1, 17, 17))


ALL = slice(None)
HALF, LESS, BESIDE = slice(20, None), slice(21, None), slice(23, None)


@pytest.mark.parametrize(
    ("fill", "value"),
    [
        ({}, None),
        ({BONE: (ALL, ALL, ALL)}, BONE),
        ({BONE: (ALL, ALL, HALF)}, BONE),
        ({BONE: (ALL, ALL, LESS)}, None),  # on a bone is not in it
        ({BONE: (ALL, ALL, BESIDE)}, None),
        ({BONE: (ALL, slice(0, 20), HALF), RIB: (ALL, slice(20, None), slice(19, None))}, RIB),  # kinds vote together
        ({VESSEL: (ALL, ALL, LESS)}, VESSEL),  # a plaque beside the lumen
        ({VESSEL: (ALL, ALL, BESIDE)}, None),  # merely near
        ({VESSEL: (ALL, ALL, LESS), MUSCLE: (ALL, ALL, slice(0, 21))}, MUSCLE),  # never hidden in muscle
        ({VESSEL: (ALL, ALL, LESS), BONE: (ALL, ALL, slice(0, 19))}, VESSEL),  # between spine and aorta
        ({GUT: (ALL, slice(0, 21), ALL)}, GUT),
    ],
)
def test_most_of_a_component_decides(fill: dict[int, tuple[slice, ...]], value: int | None) -> None:
    found = structure_of(labelled(fill), deposit())
    assert (found.value if found else None) == value


def test_a_component_at_the_edge_of_the_volume_has_surroundings() -> None:
    index = np.argwhere(np.ones((5, 2, 2)))
    assert structure_of(labelled({VESSEL: (ALL, slice(2, None), ALL)}), index).value == VESSEL
