"""How components are sorted before and after the rules, what lies inside the body, and what masks say of it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import calcreport.calcification.detect as detection_module
from calcreport.anatomy.body_map import Cavity
from calcreport.calcification.analysis import failed_checks
from calcreport.calcification.detect import _is_bone, detect, list_excluded
from calcreport.calcification.foci import examine
from calcreport.calcification.inner import (
    PHLEBOLITH,
    WHICH_IS_FELT,
    FeltMass,
    list_incidental,
    sort_by_labels,
    sort_inner,
)
from calcreport.calcification.reject import is_solid
from calcreport.model.anatomy_labels import AnatomyLabels, Structure, StructureKind
from calcreport.model.image import Acquisition, Contrast
from calcreport.model.incidental import (
    LUMEN_IMPLAUSIBLE,
    LUMEN_UNMEASURED,
    MANY_IN_CAVITY,
    SKELETON_IMPLAUSIBLE,
    IncidentalKind,
)
from calcreport.model.lesion import LesionContour, VoxelMask
from calcreport.model.report import ExclusionReason
from calcreport.model.terms import Laterality

BOX = ((18, 24), (18, 24), (18, 24))
OTHER = ((18, 24), (18, 24), (60, 66))


def kinds(detection):
    return len(detection.foci), len(detection.inner), len(detection.rejected), detection.noise_count


def details(detection):
    return [r.detail for r in detection.rejected]


def listed(scene, detection):
    return list_incidental(scene, detection, lambda _: False, is_sharp=False)


@pytest.mark.parametrize(
    ("box", "hu", "least_mm3", "is_seen"),
    [
        (BOX, 500, 216.0, True),
        (BOX, 500, 216.1, False),
        (BOX, 200, 10.0, True),
        (BOX, 199, 10.0, False),
        (((18, 19), (18, 19), (18, 21)), 900, 1.0, True),  # three voxels
        (((18, 19), (18, 19), (18, 20)), 900, 1.0, False),
    ],
)
def test_a_focus_has_a_seed_three_voxels_and_the_least_volume(make_scene, box, hu, least_mm3, is_seen):
    found = detect(make_scene(box, hu=hu), min_volume_mm3=least_mm3)
    assert kinds(found) == ((1, 0, 0, 0) if is_seen else (0, 0, 0, 0))


@pytest.mark.parametrize(("eighths", "reasons"), [(4, []), (3, [ExclusionReason.EXTERNAL])])
def test_half_of_a_component_lies_in_the_body(make_scene, eighths, reasons):
    scene = make_scene(BOX)
    scene.body.mask[:] = False
    set_blocks(scene.body.mask, eighths)
    found = detect(scene, min_volume_mm3=10.0)
    assert [r.reason for r in found.rejected] == reasons
    assert len(found.foci) == (not reasons)


def set_blocks(mask, eighths, value=True):
    """Set so many of the eight blocks of `BOX`."""
    for n in range(eighths):
        mask[6 + n // 4, 6 + n // 2 % 2, 6 + n % 2] = value


@pytest.mark.parametrize("eighths", [3, 4])
def test_half_of_a_bone_lies_in_the_map_of_bones(make_scene, monkeypatch, eighths):
    scene = make_scene(BOX, OTHER)
    monkeypatch.setattr(detection_module, "_is_parted", lambda *_: False)
    set_blocks(scene.bones.bone, eighths)
    found = detect(scene, min_volume_mm3=10.0)
    is_bone = eighths == 4
    assert kinds(found) == ((1, 0, 1, 0) if is_bone else (2, 0, 0, 0))
    assert details(found) == ["bone"] * is_bone
    assert [bool(found.skeleton[i]) for i in np.argsort(found.components.box[:, 2, 0])] == [is_bone, False]


def shell(scene, box, inner_hu=400):
    """Make a box of 1000 HU fainter inside, as a bone with its marrow."""
    outer = tuple(slice(*pair) for pair in box)
    scene.volume.hu[outer] = 1_000
    scene.volume.hu[tuple(slice(a + 3, b - 3) for a, b in box)] = inner_hu
    scene.bones.bone[:] = True
    return scene


SMALL, LARGE = ((20, 39), (20, 42), (20, 43)), ((20, 40), (20, 40), (20, 45))
"""9,614 mm3 and 10,000 mm3."""


@pytest.mark.parametrize(
    ("box", "inner_hu", "region", "grow", "is_bone"),
    [
        (SMALL, 400, None, 130, True),
        (SMALL, 400, "knee", 130, True),
        (SMALL, 400, "thigh", 130, False),
        (SMALL, 400, "lower leg", 130, False),
        (SMALL, 400, "upper arm", 130, False),
        (SMALL, 400, "forearm", 130, False),
        (SMALL, 1_000, "knee", 130, False),  # mineral through and through
        (SMALL, 1_000, "knee", 180, False),
        (SMALL, 1_000, None, 130, False),
        (((20, 34), (20, 34), (20, 35)), 1_000, None, 130, True),  # or a phalanx
        (((20, 34), (20, 34), (20, 35)), 1_000, "knee", 130, False),
        (SMALL, 1_000, "thigh", 181, True),  # bones fall into pieces at such a limit
        (LARGE, 1_000, "thigh", 130, True),
        (((0, 19), *SMALL[1:]), 1_000, "thigh", 130, True),  # cut by the end of the scan
        (((41, 60), *SMALL[1:]), 1_000, "thigh", 130, True),
        ((SMALL[0], SMALL[1], (97, 120)), 1_000, "thigh", 130, True),
        (((1, 20), (1, 23), (1, 24)), 1_000, "thigh", 130, False),
    ],
)
def test_what_only_blocks_join_to_a_bone_is_mineral_beside_it(make_scene, box, inner_hu, region, grow, is_bone):
    scene = shell(make_scene(box, region=region, grow=grow), box, inner_hu)
    scene.components.peak_hu[:] = 1_000
    found = detect(scene, min_volume_mm3=10.0)
    assert bool(found.skeleton[0]) is is_bone
    assert len(found.foci) == (not is_bone)


@pytest.mark.parametrize(
    ("box", "is_doubtful"),
    [
        (((0, 30), (12, 30), (12, 30)), True),  # 9,720 mm3, cut by one end
        (((30, 60), (12, 30), (12, 30)), True),
        (((1, 31), (12, 30), (12, 30)), False),
        (((0, 60), (18, 30), (18, 30)), False),  # cut by both ends
        (((0, 25), (10, 30), (10, 30)), False),  # 10,000 mm3
        (((0, 25), (10, 30), (11, 30)), True),
    ],
)
def test_a_small_bone_cut_by_one_end_of_the_scan_is_doubtful(make_scene, box, is_doubtful):
    scene = make_scene(box, grow=181)
    scene.bones.bone[:] = True
    (detail,) = details(detect(scene, min_volume_mm3=10.0))
    assert detail == ("cut by the end of the scan, taken as bone; check the source images" if is_doubtful else "bone")


@pytest.mark.parametrize(
    ("voxels", "peak_hu", "looked_at"), [(149, 210, 0), (150, 210, 1), (149, 2_399, 0), (149, 2_400, 1)]
)
def test_small_noise_is_counted_at_first_sight_and_larger_or_metal_looked_at(
    make_scene, monkeypatch, voxels, peak_hu, looked_at
):
    seen = []
    monkeypatch.setattr(detection_module, "is_plain_noise", lambda *_: True)
    monkeypatch.setattr(detection_module, "judge", lambda _, focus, *__: seen.append(focus.component))
    scene = make_scene(BOX)
    few = dataclasses.replace(scene.components, voxels=np.array([voxels]), peak_hu=np.array([peak_hu], dtype=np.int16))
    found = detect(dataclasses.replace(scene, components=few), min_volume_mm3=10.0)
    assert len(seen) == looked_at
    assert found.noise_count == 1 - looked_at


@pytest.mark.parametrize(
    ("blocks", "lumen_hu", "weak"),
    [(0, None, [0]), (3, None, [0]), (4, None, []), (0, -169.0, [0]), (0, -168.0, [])],
)
def test_what_is_not_told_from_noise_is_weak_outside_of_cavities_and_blood(make_scene, blocks, lumen_hu, weak):
    """In a cavity edges of organs line up as plaques do, and so does blood: 131 HU, noise of 60 HU."""
    scene = make_scene(BOX, hu=210, lumen_hu=lumen_hu)
    rough = np.random.default_rng(2).normal(0, 60, scene.volume.hu.shape)
    is_tissue = scene.volume.hu < 130
    scene.volume.hu[is_tissue] = np.minimum(55 + rough, 129)[is_tissue]
    scene.volume.hu[18:24, 18:24, 18:24] = 131
    for n in range(blocks):
        scene.places.cavity[6 + n // 4, 6 + n // 2 % 2, 6 + n % 2] = 2
    found = detect(dataclasses.replace(scene, noise_hu=60.0), min_volume_mm3=10.0)
    assert [f.component for f in found.weak] == weak
    assert kinds(found) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("cavity", "eighths", "is_inside"),
    [
        (Cavity.ABDOMEN, 4, True),
        (Cavity.ABDOMEN, 3, False),
        (Cavity.THORAX, 8, True),
        (Cavity.AIRWAY, 4, True),
        (Cavity.AIRWAY, 3, False),  # a deposit that touches the larynx
    ],
)
def test_mineral_in_a_cavity_is_incidental_and_no_focus(make_scene, cavity, eighths, is_inside):
    scene = make_scene(BOX)
    set_blocks(scene.places.cavity, eighths, int(cavity))
    found = detect(scene, min_volume_mm3=10.0)
    assert kinds(found) == ((0, 1, 0, 0) if is_inside else (1, 0, 0, 0))


@pytest.mark.parametrize(("hu", "has_metal"), [(2_400, True), (2_399, False)])
def test_metal_is_noted_for_its_streaks(make_scene, hu, has_metal):
    found = detect(make_scene(BOX, hu=hu), min_volume_mm3=10.0)
    assert found.has_metal is has_metal
    assert len(found.foci) == (not has_metal)


def test_an_implant_in_bone_is_metal_and_the_bone_stays_bone(make_scene):
    scene = make_scene(((0, 60), (18, 36), (18, 36)), hu=900)
    scene.volume.hu[20:30, 26:28, 26] = 2_600
    scene.components.peak_hu[:] = 2_600
    scene.bones.bone[:] = True
    found = detect(scene, min_volume_mm3=10.0)
    assert details(found) == ["bone", "metal in or on bone"]
    assert int(found.components.voxels[found.rejected[1].component]) == 20
    scene.volume.hu[20, 26, 26] = 2_399
    assert details(detect(scene, min_volume_mm3=10.0)) == ["bone"]


def voxels_of(*box):
    return np.stack(np.meshgrid(*(np.arange(*pair) for pair in box), indexing="ij"), -1).reshape(-1, 3)


@pytest.mark.parametrize("has_implant", [False, True])
@pytest.mark.parametrize(
    ("outgrowth", "hu", "is_focus"),
    [
        (voxels_of((20, 26), (30, 36), (30, 36)), 700, True),
        (voxels_of((20, 22), (30, 36), (30, 36)), 700, True),
        (voxels_of((20, 21), (30, 36), (30, 36)), 700, False),  # one slice: the cap of the next bone
        (voxels_of((20, 26), (30, 36), (30, 36)), 2_399, True),
        (voxels_of((20, 26), (30, 36), (30, 36)), 2_400, False),  # part of the implant
    ],
)
def test_mineral_fused_with_bone_is_a_focus_at_no_distance_from_it(
    make_scene, monkeypatch, outgrowth, hu, is_focus, has_implant
):
    scene = make_scene(((0, 60), (18, 36), (18, 36)), hu=900)
    scene.volume.hu[tuple(outgrowth.T)] = hu
    scene.bones.bone[:] = True
    implant = [voxels_of((40, 50), (26, 28), (26, 28))] if has_implant else []
    monkeypatch.setattr(detection_module, "find_outgrowths", lambda *_: [outgrowth])
    monkeypatch.setattr(detection_module, "metal_in_bone", lambda *_: implant)
    found = detect(scene, min_volume_mm3=10.0)
    assert details(found) == ["bone"] + ["metal in or on bone"] * has_implant
    assert len(found.skeleton) == found.components.count
    assert found.skeleton.tolist() == [True] + [False] * (found.components.count - 1)
    assert len(found.foci) == is_focus
    if is_focus:
        assert (found.foci[0].bone_gap_mm, found.foci[0].volume_mm3) == (0.0, len(outgrowth))
    if has_implant:
        assert int(found.components.voxels[found.rejected[1].component]) == 40


def test_a_bony_process_is_no_fused_mineral(make_scene, monkeypatch):
    scene = make_scene(((0, 60), (18, 40), (18, 40)), hu=900)
    scene.volume.hu[20:35, 23:35, 23:35] = 400
    scene.bones.bone[:] = True
    monkeypatch.setattr(detection_module, "find_outgrowths", lambda *_: [voxels_of((20, 35), (20, 38), (20, 38))])
    found = detect(scene, min_volume_mm3=10.0)
    assert (found.foci, found.components.count) == ((), 1)


def test_what_the_scan_cuts_beside_enteric_contrast_is_the_next_loop(make_scene):
    def loops(gap, first=0):
        scene = make_scene(((24, 40), (12, 30), (12, 30)), ((first, 6), (12, 18), (30 + gap, 36 + gap)), hu=250)
        scene.volume.hu[scene.volume.hu < 130] = -100
        scene.coarse.hu[10, 6, 20] = -900
        return detect(scene, min_volume_mm3=10.0)

    beside = "cut by the scan beside enteric contrast, probably the same"
    assert details(loops(6)) == ["homogeneous fluid density, probably enteric or urinary contrast", beside]
    assert loops(6).foci == ()
    assert len(loops(60).foci) == 1
    assert len(loops(6, first=1).foci) == 1


@pytest.mark.parametrize(
    ("row", "first_column", "first_slice", "size", "is_bone"),
    [
        (12, 90, 0, 6, True),
        (22, 90, 0, 6, True),
        (23, 90, 0, 6, False),  # 11 mm behind
        (12, 101, 0, 6, False),  # 11 mm farther out
        (12, 90, 1, 6, False),  # not cut
        (12, 90, 0, 14, False),  # as large as a lesion
        (12, 24, 0, 6, False),  # on the same side
    ],
)
def test_of_what_the_scan_cuts_a_mirrored_pair_is_bone(make_scene, row, first_column, first_slice, size, is_bone):
    """The bones lie around column 60; the one piece is 33 mm beside it."""
    scene = make_scene(
        ((0, 5), (12, 18), (24, 30)), ((first_slice, 5), (row, row + size), (first_column, first_column + size)),
    )  # fmt: skip
    scene.bones.bone[:, 15, 19:21] = True
    found = detect(scene, min_volume_mm3=10.0)
    alike = "alike on both sides where the scan ends, taken as bone; check the source images"
    assert details(found) == [alike] * 2 * is_bone
    assert bool(found.foci) != is_bone


def test_in_limbs_a_mirrored_pair_stays(make_scene):
    """Arteries of both legs mirror each other too."""
    scene = make_scene(((0, 5), (12, 18), (24, 30)), ((0, 5), (12, 18), (90, 96)))
    scene.bones.bone[:, 15, 19:21] = True
    scene.places.trunk.part[:] = ""
    assert len(detect(scene, min_volume_mm3=10.0).foci) == 2


@pytest.mark.parametrize("first_column", [24, 57])  # beside the middle, and on it: its own mirror image
def test_without_a_mirror_image_what_the_scan_cuts_stays(make_scene, first_column):
    scene = make_scene(((0, 5), (12, 18), (first_column, first_column + 6)), ((0, 5), (40, 46), (90, 96)))
    scene.bones.bone[:, 15, 19:21] = True
    assert len(detect(scene, min_volume_mm3=10.0).foci) == 2


def test_a_readers_contour_stands_above_a_mirrored_pair(make_scene):
    scene = make_scene(((0, 5), (18, 24), (18, 24)), ((0, 5), (18, 24), (96, 102)))
    scene.bones.bone[:, 15, 19:21] = True
    mask = VoxelMask(voxels=np.ones((5, 6, 6), bool), offset=(0, 18, 18))
    drawn_one = LesionContour(name="", mask=mask, is_cut=False)
    assert detect(scene, min_volume_mm3=10.0).foci == ()
    assert len(detect(scene, min_volume_mm3=10.0, contours=(drawn_one,)).foci) == 2


def grid_of_boxes(count):
    """So many boxes of 4 voxels apart from each other in the abdomen."""
    return [((9 * (n // 12), 9 * (n // 12) + 4), (30, 34), (9 * (n % 12) + 3, 9 * (n % 12) + 7)) for n in range(count)]


@pytest.mark.parametrize("count", [24, 25])
def test_a_cavity_with_more_deposits_than_a_reader_lists_is_a_doubt(make_scene, count):
    scene = make_scene(*grid_of_boxes(count), ((54, 58), (6, 10), (6, 10)))
    scene.places.cavity[:15] = Cavity.ABDOMEN
    scene.places.cavity[15:] = Cavity.PELVIS
    detection = detect(scene, min_volume_mm3=10.0)
    assert len(detection.inner) == count + 1
    found, doubts = listed(scene, detection)
    # The other cavity is listed whatever there is in the first.
    assert [f.structure for f in found].count("pelvis") == 1
    assert [f.structure for f in found].count("abdomen") == (count if count == 24 else 0)
    assert doubts == (() if count == 24 else (MANY_IN_CAVITY,))


@pytest.mark.parametrize(
    ("cavity", "structure"),
    [
        (Cavity.THORAX, "chest"),
        (Cavity.ABDOMEN, "abdomen"),
        (Cavity.PELVIS, "pelvis"),
        (Cavity.SKULL, "head"),
        (Cavity.AIRWAY, "larynx, trachea or thyroid"),
    ],
)
def test_incidental_mineral_has_its_cavity_its_box_and_its_length(make_scene, cavity, structure):
    scene = make_scene(((18, 24), (18, 26), (18, 42)))
    scene.places.cavity[:] = cavity
    detection = detect(scene, min_volume_mm3=10.0)
    ((found,), doubts) = listed(scene, detection)
    assert found.structure == structure
    assert found.kind is (IncidentalKind.AIRWAY if cavity is Cavity.AIRWAY else IncidentalKind.OTHER)
    assert np.array(found.bbox_lps_mm) == pytest.approx(np.array([[17.5, 17.5, 17.5], [41.5, 25.5, 23.5]]))
    assert found.largest_mm == pytest.approx(np.sqrt(6**2 + 8**2 + 24**2))
    assert (found.first_slice, found.last_slice) == (18, 23)
    assert doubts == ()


@pytest.mark.parametrize(
    ("cavity", "side", "box", "name"),
    [
        (Cavity.PELVIS, Laterality.LEFT, ((18, 24), (18, 24), (18, 24)), PHLEBOLITH),
        (Cavity.PELVIS, Laterality.RIGHT, ((18, 24), (18, 24), (18, 24)), PHLEBOLITH),
        (Cavity.PELVIS, Laterality.LEFT, ((18, 28), (18, 24), (18, 23)), PHLEBOLITH),
        (Cavity.PELVIS, Laterality.LEFT, ((18, 29), (18, 24), (18, 24)), "pelvis"),  # 11 mm
        (Cavity.PELVIS, Laterality.LEFT, ((18, 27), (18, 24), (18, 22)), "pelvis"),  # 9 by 4 mm
        (Cavity.PELVIS, Laterality.MIDLINE, ((18, 24), (18, 24), (18, 24)), "pelvis"),
        (Cavity.PELVIS, Laterality.UNKNOWN, ((18, 24), (18, 24), (18, 24)), "pelvis"),
        (Cavity.ABDOMEN, Laterality.LEFT, ((18, 24), (18, 24), (18, 24)), "abdomen"),
    ],
)
def test_a_small_round_stone_beside_the_middle_of_the_pelvis_lies_in_its_veins(make_scene, cavity, side, box, name):
    scene = make_scene(box)
    scene.places.cavity[:] = cavity
    scene.places.place = lambda _: SimpleNamespace(laterality=side)
    ((found,), _) = listed(scene, detect(scene, min_volume_mm3=10.0))
    assert found.structure == name
    assert found.kind is (IncidentalKind.VASCULAR if name == PHLEBOLITH else IncidentalKind.OTHER)


def test_the_cavity_of_a_deposit_holds_most_of_it(make_scene):
    scene = make_scene(((18, 24), (18, 24), (18, 33)))
    scene.places.cavity[:, :, 6:8] = Cavity.ABDOMEN
    scene.places.cavity[:, :, 8:] = Cavity.PELVIS
    ((found,), _) = listed(scene, detect(scene, min_volume_mm3=10.0))
    assert found.structure == "pelvis"


@pytest.mark.parametrize(
    ("lumen", "kind"),
    [
        ((slice(None), slice(None), 8), IncidentalKind.VASCULAR),  # a block of 3 mm beside it
        ((slice(None), slice(None), 9), IncidentalKind.OTHER),
        ((slice(None), slice(None), 5), IncidentalKind.VASCULAR),
        ((slice(None), 8, slice(None)), IncidentalKind.VASCULAR),
        ((8, slice(None), slice(None)), IncidentalKind.VASCULAR),  # in the next slice
        ((9, slice(None), slice(None)), IncidentalKind.OTHER),
        ((6, 7, 8), IncidentalKind.OTHER),  # one block of eight lies on it
        ((6, slice(6, 8), 8), IncidentalKind.OTHER),
        ((slice(6, 8), slice(6, 8), 8), IncidentalKind.VASCULAR),
    ],
)
def test_mineral_on_enhanced_blood_is_vascular(make_scene, lumen, kind):
    scene = make_scene(BOX)
    scene.places.cavity[:] = Cavity.ABDOMEN
    scene.bones.lumen[lumen] = True
    ((found,), _) = listed(scene, detect(scene, min_volume_mm3=10.0))
    assert found.kind is kind


def test_blood_in_the_first_slice_alone_counts(make_scene):
    scene = make_scene(((0, 6), (0, 6), (18, 24)))
    scene.places.cavity[:] = Cavity.ABDOMEN
    scene.bones.lumen[0, :2, 6:8] = True
    inside = dataclasses.replace(detect(scene, min_volume_mm3=10.0), inner=(look_at_first(scene),))
    ((found,), _) = listed(scene, inside)
    assert found.kind is IncidentalKind.VASCULAR


def look_at_first(scene):
    return examine(scene, 0, np.zeros(scene.components.count, dtype=bool))


def labels_of(scene, kind, box=BOX, incidental=IncidentalKind.OTHER):
    painted = np.zeros(scene.volume.hu.shape, dtype=np.uint8)
    painted[tuple(slice(*pair) for pair in box)] = 7
    one = Structure(value=7, name="thing", kind=kind, side="left", incidental=incidental)
    return AnatomyLabels(labels=painted, structures=(one,))


@pytest.mark.parametrize(
    ("kind", "goes_to"),
    [
        (StructureKind.BONE, "rejected"),
        (StructureKind.CARTILAGE, "rejected"),
        (StructureKind.VESSEL, "incidental"),
        (StructureKind.HEART, "incidental"),
        (StructureKind.ORGAN, "incidental"),
        (StructureKind.GUT, "incidental"),
        (StructureKind.AIRWAY, "incidental"),
        (StructureKind.LUNG, "incidental"),
        (StructureKind.MUSCLE, "foci"),
        (StructureKind.SKIN, "foci"),
        (StructureKind.NERVE, "foci"),
        (StructureKind.OTHER, "foci"),
    ],
)
@pytest.mark.parametrize("is_inner", [False, True])
def test_masks_take_out_bone_and_the_insides_of_the_body(make_scene, kind, goes_to, is_inner):
    scene = make_scene(BOX, OTHER)
    if is_inner:
        scene.places.cavity[:, :, :12] = Cavity.ABDOMEN
    labels = labels_of(scene, kind, incidental=IncidentalKind.STONE)
    detection = detect(scene, min_volume_mm3=10.0)
    sorted_, incidental = sort_by_labels(detection, labels, scene.volume.geometry, lambda _: False)
    stays = goes_to == "foci"
    assert len(sorted_.foci) + len(sorted_.inner) == 1 + stays
    assert len(sorted_.inner) == (is_inner and stays)
    assert [(r.reason, r.detail) for r in sorted_.rejected] == (
        [(ExclusionReason.SKELETON, "left thing by the anatomy masks")] if goes_to == "rejected" else []
    )
    assert [(f.kind, f.structure, f.first_slice) for f in incidental] == (
        [(IncidentalKind.STONE, "left thing", 18)] if goes_to == "incidental" else []
    )


@pytest.mark.parametrize("kind", [StructureKind.BONE, StructureKind.ORGAN])
def test_a_readers_contour_stands_above_masks(make_scene, kind):
    scene = make_scene(BOX)
    detection = detect(scene, min_volume_mm3=10.0)
    kept, incidental = sort_by_labels(detection, labels_of(scene, kind), scene.volume.geometry, lambda _: True)
    assert kept.foci == detection.foci
    assert (kept.rejected, incidental) == ((), ())


@pytest.mark.parametrize("kind", [StructureKind.BONE, StructureKind.VESSEL])
def test_what_is_not_told_from_noise_is_dropped_in_masks_and_not_listed(make_scene, make_focus, kind):
    scene = make_scene(BOX)
    weak = dataclasses.replace(detect(scene, min_volume_mm3=10.0), foci=(), weak=(make_focus(),))
    kept, incidental = sort_by_labels(weak, labels_of(scene, kind), scene.volume.geometry, lambda _: False)
    assert (kept.weak, kept.rejected, incidental) == ((), (), ())


def test_twelve_of_a_kind_are_listed_and_the_rest_counted_in_one_row(make_scene):
    boxes = [((0, 60), (5 * n, 5 * n + 3), (5 * n, 5 * n + 3 + n)) for n in range(10)]
    boxes += [((0, 60), (5 * n, 5 * n + 3), (70 + 3 * n, 73 + 3 * n)) for n in range(4)]
    scene = make_scene(*boxes)
    scene.bones.bone[:] = True
    detection = detect(scene, min_volume_mm3=10.0)
    assert len(detection.rejected) == 14
    rows = list_excluded(detection, scene.volume)
    assert [row.count for row in rows] == [1] * 12 + [2]
    sizes = [row.volume_mm3 for row in rows[:12]]
    assert sizes == sorted(sizes, reverse=True)
    assert rows[0].volume_mm3 == 60 * 3 * 12
    assert rows[0].max_diameter_mm == pytest.approx(np.sqrt(60**2 + 3**2 + 12**2))
    assert rows[0].centroid_lps_mm == pytest.approx((45 + 5.5, 46.0, 29.5))
    assert rows[-1].volume_mm3 == 2 * 60 * 3 * 3


@pytest.mark.parametrize(("inner_hu", "expected"), [(850, True), (840, False), (1_200, True)])
def test_an_outgrowth_with_a_fainter_inside_is_a_bony_process(inner_hu, expected):
    hu = np.full((3, 21, 21), 1_000, dtype=np.int16)
    hu[:, 5:16, 5:16] = inner_hu
    assert is_solid(hu, np.argwhere(hu > 0)) is expected


def test_an_outgrowth_one_voxel_thick_is_solid():
    hu = np.full((1, 1, 5), 900, dtype=np.int16)
    assert is_solid(hu, np.argwhere(hu > 0))


def with_slices_of_2_mm(scene):
    affine = scene.volume.geometry.affine.copy()
    affine[2, 0] = 2
    geometry = dataclasses.replace(scene.volume.geometry, affine=affine)
    return dataclasses.replace(scene, volume=dataclasses.replace(scene.volume, geometry=geometry))


def test_volumes_are_millimetres_and_not_voxels(make_scene):
    scene = with_slices_of_2_mm(make_scene(BOX))
    assert len(detect(scene, min_volume_mm3=432.0).foci) == 1
    assert detect(scene, min_volume_mm3=432.1).foci == ()
    for stop, detail in ((29, "cut by the end of the scan, taken as bone; check the source images"), (30, "bone")):
        scene = with_slices_of_2_mm(make_scene(((0, 20), (20, 30), (6, stop + 1)), grow=181))
        scene.bones.bone[:] = True
        assert details(detect(scene, min_volume_mm3=10.0)) == [detail]
    for rows, is_bone in ((24, False), (25, True)):
        scene = with_slices_of_2_mm(make_scene(((20, 40), (20, 20 + rows), (20, 30)), region="thigh"))
        scene.bones.bone[:] = True
        assert detect(scene, min_volume_mm3=10.0).skeleton.tolist() == [is_bone]


@pytest.mark.parametrize(("eighths", "is_listed"), [(3, True), (4, False)])
@pytest.mark.parametrize("is_claimed", [False, True])
def test_mineral_at_the_inner_side_of_the_ribs_is_excluded_and_not_dropped(make_scene, eighths, is_listed, is_claimed):
    scene = make_scene(BOX)
    scene.places.cavity[:] = Cavity.THORAX
    set_blocks(scene.inner_wall, eighths)
    found, _ = sort_inner(scene, detect(scene, min_volume_mm3=10.0), lambda _: is_claimed, None)
    assert len(found.inner) == (is_listed or is_claimed)
    told = [(row.reason, row.detail) for row in list_excluded(found, scene.volume)]
    wall = "at the inner side of the ribs, rib or calcified pleura; check the source images"
    assert told == ([] if is_listed or is_claimed else [(ExclusionReason.SKELETON, wall)])


def felt(at="abdomen", side=Laterality.UNKNOWN, reach_mm=80.0):
    return FeltMass(is_at=lambda region: region == at, laterality=side, size_mm=50.0, reach_mm=reach_mm)


@pytest.mark.parametrize(
    ("mass", "cavity", "lumen", "is_lesion"),
    [
        (felt(), Cavity.ABDOMEN, False, True),
        (None, Cavity.ABDOMEN, False, False),
        (felt("thigh"), Cavity.ABDOMEN, False, False),
        (felt(side=Laterality.LEFT), Cavity.ABDOMEN, False, True),
        (felt(side=Laterality.RIGHT), Cavity.ABDOMEN, False, False),
        (felt(side=Laterality.MIDLINE), Cavity.ABDOMEN, False, True),
        (felt(), Cavity.ABDOMEN, True, False),  # a plaque
        (felt(), Cavity.AIRWAY, False, False),  # every larynx calcifies
        (felt(), Cavity.SKULL, False, False),  # bone lies between
        (felt(reach_mm=15.0), Cavity.ABDOMEN, False, True),
        (felt(reach_mm=12.0), Cavity.ABDOMEN, False, False),
    ],
)
def test_mineral_where_a_mass_was_felt_is_a_lesion(make_scene, mass, cavity, lumen, is_lesion):
    scene = make_scene(BOX, region="abdomen")
    scene.places.place = lambda _: SimpleNamespace(region="abdomen", laterality=Laterality.LEFT)
    scene.places.cavity[:] = cavity
    scene.bones.lumen[:] = lumen
    scene.body.outside[:, :, :2] = True  # 12 mm before the deposit
    found, notes = sort_inner(scene, detect(scene, min_volume_mm3=10.0), lambda _: False, mass)
    assert (len(found.foci), len(found.inner), notes) == ((1, 0, ()) if is_lesion else (0, 1, ()))


@pytest.mark.parametrize(("size_mm", "is_one"), [(48.8, True), (48.7, False)])
def test_deposits_farther_apart_than_the_mass_is_large_are_not_all_it(make_scene, size_mm, is_one):
    scene = make_scene(BOX, OTHER)  # 6 x 6 x 48 mm
    scene.places.place = lambda _: SimpleNamespace(region="abdomen", laterality=Laterality.LEFT)
    scene.places.cavity[:] = Cavity.ABDOMEN
    scene.body.outside[:, :2] = True
    mass = dataclasses.replace(felt(), size_mm=size_mm)
    found, notes = sort_inner(scene, detect(scene, min_volume_mm3=10.0), lambda _: False, mass)
    assert (len(found.foci), len(found.inner)) == ((2, 0) if is_one else (0, 2))
    assert notes == (() if is_one else (WHICH_IS_FELT,))


def drawn(voxels):
    return LesionContour(name="", mask=VoxelMask(voxels=np.ones(voxels, bool), offset=(18, 18, 18)), is_cut=False)


@pytest.mark.parametrize("name", ["cage", "cartilage"])
@pytest.mark.parametrize(("rows", "is_kept"), [(4, True), (3, False)])  # more than half of it
def test_a_readers_contour_stands_above_ribs_and_cartilage(make_scene, name, rows, is_kept):
    scene = make_scene(BOX)
    scene.volume.hu[scene.volume.hu < 130] = 100  # cartilage
    (scene.places.cage if name == "cage" else scene.bones.cartilage)[:] = True
    found = detect(scene, min_volume_mm3=10.0, contours=(drawn((6, rows, 6)),))
    assert (len(found.foci), len(found.rejected)) == ((1, 0) if is_kept else (0, 1))


def test_a_readers_contour_makes_no_mineral_of_enhanced_blood(make_scene):
    scene = make_scene(BOX, lumen_hu=600.0)
    scene.bones.lumen[:] = True
    assert detect(scene, min_volume_mm3=10.0, contours=(drawn((6, 6, 6)),)).foci == ()


@pytest.mark.parametrize(
    ("box", "peak_hu", "is_seen"),
    [
        (BOX, 749, True),
        (BOX, 750, False),  # three quarters of the cortex
        (((18, 23), (18, 28), (18, 28)), 700, False),  # 500 mm3, a phalanx
        (((18, 23), (18, 28), (18, 27)), 700, True),
    ],
)
def test_among_small_bones_a_fainter_piece_is_mineral(make_scene, monkeypatch, box, peak_hu, is_seen):
    bone = ((0, 60), (40, 50), (40, 50))
    scene = make_scene(box, bone)
    scene.bones.bone[:] = True
    monkeypatch.setattr(type(scene.bones), "is_crowded", lambda *_: True)
    at_bone = int(np.argmax(scene.components.voxels))
    scene.components.peak_hu[:] = peak_hu
    scene.components.peak_hu[at_bone] = 1_000
    scene.__dict__["cortex_hu"] = 1_000.0
    found = detect(scene, min_volume_mm3=10.0)
    assert len(found.foci) == is_seen


def test_the_cortex_of_a_scan_is_that_of_its_larger_bones(make_scene):
    boxes = [((0, 60), (10 * n, 10 * n + 3), (10, 13)) for n in range(4)]
    scene = make_scene(*boxes, BOX)
    assert scene.cortex_hu == 0.0
    scene = make_scene(*boxes, BOX)
    scene.bones.bone[:, :10] = True
    order = np.argsort(scene.components.box[:, 1, 0])
    scene.components.peak_hu[order] = [900, 1_000, 300, 1_200, 2_000]  # the third is small, the last no bone
    assert scene.cortex_hu == 1_000.0


@pytest.mark.parametrize(("count", "is_doubted"), [(24, False), (25, True)])
def test_dozens_of_foci_along_the_ribs_doubt_the_skeleton(make_scene, make_focus, count, is_doubted):
    boxes = [((5 * i, 5 * i + 3), (10, 13), (10, 13)) for i in range(count)]
    scene = make_scene(*boxes, shape=(130, 60, 60))
    scene.places.cage[:, :4] = True
    foci = [make_focus(component=i) for i in range(count)]
    assert (SKELETON_IMPLAUSIBLE in failed_checks(scene, Acquisition(), foci)) == is_doubted


@pytest.mark.parametrize("phase", list(Contrast))
@pytest.mark.parametrize("lumen_hu", [None, 300.0])
def test_blood_that_contradicts_the_recorded_phase_is_a_doubt(make_scene, phase, lumen_hu):
    expected = {(Contrast.NONE, 300.0): (LUMEN_IMPLAUSIBLE,), (Contrast.ARTERIAL, None): (LUMEN_UNMEASURED,)}
    scene = make_scene(BOX, lumen_hu=lumen_hu)
    assert failed_checks(scene, Acquisition(contrast=phase), ()) == expected.get((phase, lumen_hu), ())


@pytest.mark.parametrize(
    ("inside", "grow", "is_bone"), [(2, 300, True), (1, 300, False), (2, 130, False), (3, 130, True)]
)
def test_a_chip_of_cortex_above_a_raised_limit_is_bone_with_a_share_in_it(make_scene, inside, grow, is_bone):
    """Six blocks long; the map of bones holds some of them, its edge of 4 mm one block more at each side."""
    scene = make_scene(((30, 33), (30, 33), (30, 48)), grow=grow)
    scene.bones.bone[10, 10, 10 : 10 + inside] = True
    scene.bones.bone[10, 9, 10:16] = True
    assert _is_bone(scene, 0) == is_bone


@pytest.mark.parametrize(
    ("rows", "grow", "is_bone"),
    [
        (slice(10, 20), 130, True),  # cortex on three sides: the faint inside lies between them
        (slice(10, 14), 130, False),  # mineral that reaches far beyond a bone
        (slice(10, 20), 180, False),
    ],
)
def test_spongiosa_too_faint_for_the_map_lies_between_the_cortex_of_its_bone(make_scene, rows, grow, is_bone):
    """Ten blocks square, 180 HU at most but for the cortex of a bone open to one side."""
    scene = make_scene(((30, 48), (30, 60), (30, 60)), hu=max(160, grow), grow=grow)
    for place in ((rows, 10), (rows.start, slice(10, 20)), (rows.stop - 1, slice(10, 20))):
        scene.bones.bone[(slice(10, 16), *place)] = True
    scene.bones.grid.hu[scene.bones.bone] = 400
    scene.bones.grid.hu[~scene.bones.bone & (scene.bones.grid.hu > 100)] = 160
    assert 0 < scene.share_on_grid(scene.bones.bone, 0) < 0.5
    assert _is_bone(scene, 0) == is_bone
