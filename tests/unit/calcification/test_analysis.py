"""The whole analysis on small limbs with known truth: found, measured, in its layer, and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calcreport.calcification.analysis import IN_JOINTS, analyse_ct
from calcreport.model.image import Acquisition, Contrast, CtVolume
from calcreport.model.lesion import LesionContour, VoxelMask
from calcreport.model.report import BoneRelation, DepthClass, ExclusionReason, YesNo
from calcreport.settings import DetectionSettings

PLAIN = Acquisition(kvp=120, slice_thickness_mm=2.0, contrast=Contrast.NONE)


def analyse(volume, **options):
    return analyse_ct(
        volume, options.pop("acquisition", PLAIN), settings=DetectionSettings(**options.pop("settings", {})), **options
    )


def with_ball(limb, centre, diameter, hu=500.0):
    def paint(x, y, z):
        field = limb(x, y, z)
        inside = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2) < diameter / 2
        field[inside] = hu
        return field

    return paint


def test_a_limb_without_mineral_has_no_lesion_and_lists_its_bone(make_volume, limb):
    found = analyse(make_volume(limb, size_mm=90.0, noise_hu=12.0))
    assert found.lesions == ()
    assert [e.reason for e in found.excluded] == [ExclusionReason.SKELETON]


@pytest.mark.parametrize(("radius", "depth_class"), [(18.0, DepthClass.SUBFASCIAL), (35.0, DepthClass.SUBCUTANEOUS)])
def test_layer_and_distance_to_the_skin(make_volume, limb, radius, depth_class):
    volume = make_volume(with_ball(limb, (radius * 0.6, radius * 0.8, 2.0), 5.0), size_mm=90.0, noise_hu=8.0)
    (lesion,) = analyse(volume).lesions
    assert lesion.depth.class_ is depth_class
    assert lesion.depth.skin_distance_mm == pytest.approx(40.0 - radius - 2.5, abs=0.7)
    assert lesion.size.max_diameter_mm == pytest.approx(5.0, abs=1.0)
    assert lesion.bone_relation is BoneRelation.SEPARATE
    assert np.linalg.norm(np.subtract(lesion.location.centroid_lps_mm, (radius * 0.6, radius * 0.8, 2.0))) < 0.6


@pytest.mark.parametrize(("hu", "is_stated"), [(185.0, False), (500.0, True)])
def test_a_length_is_stated_with_its_interval_unless_the_mineral_hardly_exceeds_the_threshold(
    make_volume, limb, hu, is_stated
):
    volume = make_volume(with_ball(limb, (18.0, 12.0, 0.0), 12.0, hu), size_mm=90.0)
    (lesion,) = analyse(volume, settings={"seed_hu": 150.0}).lesions
    assert lesion.size.max_diameter_mm == pytest.approx(12.0, abs=1.0)
    assert (lesion.size.uncertainty_mm is not None) is is_stated


@pytest.mark.parametrize(
    ("slices", "settings", "lesions"), [(1, {}, 1), (2, {}, 1), (4, {}, 0), (1, {"seed_hu": 200.0}, 0)]
)
def test_only_a_focus_in_one_or_two_slices_may_stay_below_the_seed(make_volume, limb, slices, settings, lesions):
    def paint(x, y, z):
        field = limb(x, y, z)
        field[(np.hypot(x - 18.0, y - 12.0) < 2.5) & (z > -2.0) & (z < 4.0 * slices - 2.0)] = 165.0
        return field

    volume = make_volume(paint, size_mm=90.0, spacing_mm=(4.0, 0.8, 0.8), noise_hu=8.0)
    assert len(analyse(volume, settings=settings).lesions) == lesions


def test_a_speck_in_one_thick_slice_is_as_long_as_in_that_slice(make_volume, limb):
    def paint(x, y, z):
        field = limb(x, y, z)
        field[(np.hypot(x - 28.0, y - 21.0) < 2.0) & (np.abs(z) < 3.0)] = 900.0
        return field

    (lesion,) = analyse(make_volume(paint, size_mm=90.0, spacing_mm=(10.0, 0.8, 0.8), blur_mm=1.0)).lesions
    assert lesion.size.max_diameter_mm >= lesion.size.axial_long_mm


def test_a_skin_cut_by_the_picture_gives_no_distance(make_volume, limb):
    volume = make_volume(with_ball(limb, (20.0, 0.0, 0.0), 6.0), size_mm=72.0)
    (lesion,) = analyse(volume).lesions
    assert lesion.depth.skin_distance_mm is None
    assert "cut by the field of view" in lesion.depth.reason


def test_mineral_fused_with_the_shaft_is_bone_contiguous_and_not_lost(make_volume, limb):
    volume = make_volume(with_ball(limb, (6.0, 0.0, 0.0), 16.0, 450.0), size_mm=110.0, spacing_mm=(2.0, 0.8, 0.8))
    (lesion,) = analyse(volume).lesions
    assert lesion.bone_relation is BoneRelation.CONTIGUOUS
    assert lesion.depth.class_ is DepthClass.JUXTACORTICAL


def test_metal_is_listed_and_never_a_lesion(make_volume, limb):
    volume = make_volume(with_ball(limb, (15.0, 10.0, 0.0), 6.0, 3071.0), size_mm=90.0)
    found = analyse(volume)
    assert found.lesions == ()
    assert ExclusionReason.METAL in {e.reason for e in found.excluded}


def test_dense_things_outside_the_body_are_external(make_volume, limb):
    def paint(x, y, z):
        field = limb(x, y, z)
        field[np.sqrt((x - 0) ** 2 + (y - 46) ** 2 + z**2) < 3] = 700.0
        return field

    found = analyse(make_volume(paint, size_mm=110.0))
    assert found.lesions == ()
    assert ExclusionReason.EXTERNAL in {e.reason for e in found.excluded}


@pytest.mark.parametrize(("radius_mm", "is_on_the_skin"), [(35.0, False), (36.5, False), (39.0, True), (41.0, True)])
def test_a_staple_half_in_the_skin_is_no_lesion_and_a_deposit_beneath_it_is_one(
    make_volume, limb, radius_mm, is_on_the_skin
):
    """The skin lies 40 mm out: about half of what surrounds the staple is air, far more than beneath the skin."""
    found = analyse(make_volume(with_ball(limb, (0.0, radius_mm, 0.0), 6.0, 700.0), size_mm=110.0))
    assert len(found.lesions) == (0 if is_on_the_skin else 1)
    assert (ExclusionReason.EXTERNAL in {e.reason for e in found.excluded}) is is_on_the_skin


def test_foci_within_the_group_distance_are_one_lesion(make_volume, limb):
    def paint(x, y, z):
        field = limb(x, y, z)
        for dx in (0.0, 11.0):
            field[np.sqrt((x - 8 - dx) ** 2 + (y - 12) ** 2 + z**2) < 2.5] = 600.0
        return field

    volume = make_volume(paint, size_mm=90.0)
    (lesion,) = analyse(volume).lesions
    assert lesion.foci.count == 2
    assert lesion.size.max_diameter_mm == pytest.approx(16.0, abs=0.8)
    assert len(analyse(volume, settings={"group_distance_mm": 3.0}).lesions) == 2


def test_foci_on_both_sides_of_the_fascia_are_two_lesions(make_volume, limb):
    def paint(x, y, z):
        field = limb(x, y, z)
        for radius in (24.0, 34.5):
            field[np.sqrt((x - radius) ** 2 + y**2 + z**2) < 2.5] = 600.0
        return field

    found = analyse(make_volume(paint, size_mm=90.0), settings={"group_distance_mm": 20.0}).lesions
    assert {lesion.depth.class_ for lesion in found} == {DepthClass.SUBFASCIAL, DepthClass.SUBCUTANEOUS}


def test_a_lesion_at_the_end_of_the_scan_is_a_minimum(make_volume, limb):
    volume = make_volume(with_ball(limb, (15.0, 10.0, 45.0), 20.0), size_mm=90.0)
    (lesion,) = analyse(volume).lesions
    assert lesion.size.is_minimum


def test_typed_thresholds_override_everything(make_volume, limb):
    volume = make_volume(with_ball(limb, (15.0, 10.0, 0.0), 8.0, 400.0), size_mm=90.0)
    assert len(analyse(volume).lesions) == 1
    found = analyse(volume, settings={"grow_hu": 500.0, "seed_hu": 600.0})
    assert found.lesions == ()
    assert (found.thresholds.grow, found.thresholds.seed) == (500.0, 600.0)


@pytest.mark.parametrize(("phase", "limit"), [(Contrast.VENOUS, 300.0), (Contrast.ARTERIAL, 300.0)])
def test_the_clinician_overrides_the_header_on_contrast(make_volume, limb, phase, limit):
    volume = make_volume(with_ball(limb, (15.0, 10.0, 0.0), 8.0, 250.0), size_mm=90.0)
    found = analyse(volume, contrast=phase)
    assert found.lesions == ()
    assert found.thresholds.grow == limit


@pytest.mark.parametrize(
    ("body_part", "is_joint"), [("KNEE", True), ("left hip", True), ("SHOULDER", True), ("THIGH", False), (None, True)]
)
def test_at_joints_and_where_nothing_tells_the_place_cartilage_at_bone_is_said_not_to_be_searched(
    make_volume, limb, body_part, is_joint
):
    acquisition = dataclasses.replace(PLAIN, body_part=body_part)
    found = analyse(make_volume(limb, size_mm=90.0, spacing_mm=(4.0, 2.0, 2.0)), acquisition=acquisition)
    assert found.regions == ()
    assert (IN_JOINTS in found.notes) == is_joint


@pytest.mark.parametrize("header", list(Contrast))
def test_the_limit_lies_above_the_blood_whatever_the_phase_recorded(make_volume, limb, header):
    def paint(x, y, z):
        field = limb(x, y, z)
        field[np.hypot(x - 18, y - 5) < 5] = 240.0
        return field

    found = analyse(
        make_volume(paint, size_mm=90.0, noise_hu=8.0), acquisition=dataclasses.replace(PLAIN, contrast=header)
    )
    # 2.75 noise deviations above the upper value of the blood.
    assert found.thresholds.grow == pytest.approx(240 + 2.75 * 8, abs=6)
    assert found.thresholds.seed == found.thresholds.grow
    assert found.lesions == ()
    assert any("fainter than the raised threshold" in note for note in found.notes)


@pytest.mark.parametrize(
    ("header", "limit", "note"),
    [
        (Contrast.UNKNOWN, 130.0, ""),
        (Contrast.GIVEN, 300.0, "Contrast study: calcification fainter than the raised threshold may be missed."),
        (Contrast.ARTERIAL, 300.0, "Contrast study: calcification fainter than the raised threshold may be missed."),
    ],
)
def test_where_no_blood_is_seen_contrast_given_raises_the_limit_and_silence_does_not(
    make_volume, limb, header, limit, note
):
    found = analyse(
        make_volume(limb, size_mm=90.0, noise_hu=8.0), acquisition=dataclasses.replace(PLAIN, contrast=header)
    )
    assert found.thresholds.grow == limit
    assert [said for said in found.notes if "contrast" in said.lower()] == ([note] if note else [])


@pytest.mark.parametrize(("first_mm", "limit"), [(-8.0, 262.0), (42.0, 130.0)])
def test_a_vessel_enhanced_over_50_mm_raises_the_limit_and_a_stump_does_not(make_volume, limb, first_mm, limit):
    def paint(x, y, z):
        field = limb(x, y, z)
        field[(np.hypot(x - 18, y - 5) < 5) & (z > first_mm)] = 240.0
        return field

    unknown = dataclasses.replace(PLAIN, contrast=Contrast.UNKNOWN)
    volume = make_volume(paint, size_mm=100.0, noise_hu=8.0)
    assert analyse(volume, acquisition=unknown).thresholds.grow == pytest.approx(limit, abs=6)


def contour_of(volume, centre, radius):
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.hu.shape), indexing="ij"), -1)
    inside = np.linalg.norm(volume.geometry.lps_mm(index) - np.array(centre), axis=-1) < radius
    return LesionContour(name="mass", mask=VoxelMask(offset=(0, 0, 0), voxels=inside), is_cut=False)


def test_a_contour_is_one_lesion_with_its_mineral_inside(make_volume, limb):
    volume = make_volume(with_ball(limb, (15.0, 5.0, 0.0), 6.0), size_mm=90.0)
    contour = contour_of(volume, (15.0, 5.0, 0.0), 12.0)
    (lesion,) = analyse(volume, contours=(contour,)).lesions
    assert lesion.mass.present is YesNo.YES
    assert lesion.mass.max_diameter_mm == pytest.approx(24.0, abs=1.5)
    assert lesion.mass.depth_class is DepthClass.SUBFASCIAL
    assert lesion.size.max_diameter_mm == pytest.approx(6.0, abs=1.0)
    assert lesion.mass.mineral_fraction == pytest.approx((3 / 12) ** 3, rel=0.3)


def test_a_contour_of_a_few_voxels_is_measured_and_keeps_its_notes(make_volume, limb):
    volume = make_volume(limb, size_mm=90.0)
    tiny = dataclasses.replace(contour_of(volume, (15.0, 5.0, 0.0), 1.1), notes=("drawn on one slice",))
    (lesion,) = analyse(volume, contours=(tiny,)).lesions
    assert 0 < lesion.mass.max_diameter_mm < 6
    assert lesion.notes == ("drawn on one slice",)


def test_a_contour_without_mineral_is_still_a_lesion(make_volume, limb):
    volume = make_volume(limb, size_mm=90.0)
    (lesion,) = analyse(volume, contours=(contour_of(volume, (15.0, 5.0, 0.0), 12.0),)).lesions
    assert lesion.size.max_diameter_mm is None
    assert lesion.foci.count == 0
    assert lesion.mass.mineral_fraction == 0.0


def test_deposits_outside_every_contour_stay_lesions(make_volume, limb):
    volume = make_volume(with_ball(limb, (-15.0, 18.0, 20.0), 5.0), size_mm=90.0)
    found = analyse(volume, contours=(contour_of(volume, (18.0, -5.0, -10.0), 8.0),))
    assert len(found.lesions) == 2


def resliced(volume, order):
    """The same patient stored the other way round along the given axes."""
    affine = np.array(volume.geometry.affine)
    hu = volume.hu
    for axis in order:
        affine[:3, 3] = affine[:3, 3] + affine[:3, axis] * (hu.shape[axis] - 1)
        affine[:3, axis] = -affine[:3, axis]
        hu = np.flip(hu, axis)
    slices = volume.slices[::-1] if 0 in order else volume.slices
    geometry = dataclasses.replace(volume.geometry, affine=affine)
    return CtVolume(hu=np.ascontiguousarray(hu), geometry=geometry, slices=slices)


@pytest.mark.parametrize("order", [(0,), (1,), (2,), (0, 1, 2)])
def test_flips_change_no_measurement(make_volume, limb, order):
    volume = make_volume(with_ball(limb, (15.0, 8.0, 3.0), 9.0), size_mm=90.0, noise_hu=5.0)
    (before,), (after,) = analyse(volume).lesions, analyse(resliced(volume, order)).lesions
    assert after.size.max_diameter_mm == pytest.approx(before.size.max_diameter_mm, abs=0.05)
    assert after.size.volume_mm3 == pytest.approx(before.size.volume_mm3, rel=0.01)
    assert after.depth.skin_distance_mm == pytest.approx(before.depth.skin_distance_mm, abs=0.3)
    assert np.allclose(after.location.centroid_lps_mm, before.location.centroid_lps_mm, atol=0.1)
    assert after.location.key_image.sop_instance_uid == before.location.key_image.sop_instance_uid


def test_spacing_scales_lengths(make_volume):
    def ball(x, y, z):
        return np.where(np.sqrt(x**2 + y**2 + z**2) < 4, 600.0, np.where(np.hypot(x, y) < 25, 55.0, -1000.0))

    volume = make_volume(ball, size_mm=60.0)
    affine = np.array(volume.geometry.affine)
    affine[:3] *= 1.5
    larger = CtVolume(
        hu=volume.hu.copy(), geometry=dataclasses.replace(volume.geometry, affine=affine), slices=volume.slices
    )
    (one,), (other,) = analyse(volume).lesions, analyse(larger).lesions
    assert other.size.max_diameter_mm == pytest.approx(1.5 * one.size.max_diameter_mm, rel=0.06)
    assert other.size.volume_mm3 == pytest.approx(1.5**3 * one.size.volume_mm3, rel=0.06)


@pytest.mark.parametrize(
    ("centre_mm", "diameter_mm", "expected"),
    [
        # Skin 40 mm out, fascia 30 mm out.
        (20.0, 16.0, DepthClass.SUBFASCIAL),
        (24.0, 30.0, DepthClass.CROSSES_FASCIA),  # 20 mm deep at its far side, and it reaches the skin
        (35.0, 28.0, DepthClass.CROSSES_FASCIA),  # most of it outside the fascia, and it reaches the skin
        (33.5, 12.0, DepthClass.CROSSES_FASCIA),
        (34.9, 9.8, DepthClass.ABUTS_FASCIA),  # from the fascia to the skin
        (36.0, 7.0, DepthClass.CUTANEOUS),
        (35.0, 5.0, DepthClass.SUBCUTANEOUS),
    ],
)
def test_any_part_beneath_the_fascia_makes_a_mass_deep(make_volume, limb, centre_mm, diameter_mm, expected):
    volume = make_volume(limb, size_mm=100.0)
    contour = contour_of(volume, (centre_mm * 0.8, centre_mm * 0.6, 0.0), diameter_mm / 2)
    (lesion,) = analyse(volume, contours=(contour,)).lesions
    assert (lesion.mass.depth_class, lesion.depth.class_) == (expected, expected)


@pytest.mark.parametrize(
    ("centre_mm", "diameter_mm", "expected"),
    [
        (20.0, 16.0, DepthClass.SUBFASCIAL),
        (28.0, 16.0, DepthClass.CROSSES_FASCIA),
        (34.0, 4.0, DepthClass.CANNOT_DETERMINE),
        (32.5, 6.0, DepthClass.CANNOT_DETERMINE),
    ],
)
def test_no_superficial_layer_is_claimed_where_the_picture_cuts_the_body(
    make_volume, limb, centre_mm, diameter_mm, expected
):
    volume = make_volume(limb, size_mm=74.0)
    contour = contour_of(volume, (centre_mm, 0.0, 0.0), diameter_mm / 2)
    (lesion,) = analyse(volume, contours=(contour,)).lesions
    assert lesion.mass.depth_class is expected
    assert "cut by the field of view" in lesion.depth.reason


def test_a_mass_that_the_picture_cuts_is_not_muscle_for_being_as_dense(make_volume, limb):
    def paint(x, y, z):
        field = np.where(limb(x, y, z) > -900, -100.0, -1000.0)
        field[np.hypot(x + 20, y) < 14] = 55.0
        field[np.hypot(x + 20, y) < 8] = 1300.0
        field[np.hypot(x + 20, y) < 5] = -60.0
        field[(x - 24) ** 2 + y**2 + z**2 < 14**2] = 50.0
        return field

    volume = make_volume(paint, size_mm=72.0)
    contour = contour_of(volume, (24.0, 0.0, 0.0), 14.0)
    (lesion,) = analyse(volume, contours=(contour,)).lesions
    assert lesion.mass.depth_class is DepthClass.CANNOT_DETERMINE


def test_a_mass_is_no_more_superficial_than_the_mineral_in_it(make_volume, limb):
    volume = make_volume(with_ball(limb, (28.2, 0.0, 0.0), 3.0), size_mm=100.0)
    # The contour takes in most of the mineral, and too little beneath the fascia to be told from its uncertain border.
    contour = contour_of(volume, (35.0, 0.0, 0.0), 7.2)
    bare = analyse(make_volume(limb, size_mm=100.0), contours=(contour,)).lesions[0]
    (lesion,) = analyse(volume, contours=(contour,)).lesions
    assert bare.mass.depth_class is DepthClass.ABUTS_FASCIA
    assert lesion.foci.count == 1
    assert lesion.mass.depth_class in {DepthClass.SUBFASCIAL, DepthClass.CROSSES_FASCIA}
