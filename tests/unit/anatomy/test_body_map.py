"""The map of the body on painted bodies: cavities, regions, sides, and what must not be claimed."""

import numpy as np
import pytest

from calcreport.anatomy.body import find_body
from calcreport.anatomy.body_map import Cavity, find_body_map
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.terms import Laterality

AIR, LUNG, FAT, MUSCLE, BONE = -1000, -820, -105, 55, 700
STEP = 3.0


def disc(x, y, at, radius, high=None):
    return ((x - at[0]) / radius) ** 2 + ((y - at[1]) / (high or radius)) ** 2 < 1


def paint(hu, *parts):
    for where, value in parts:
        hu[where] = value
    return hu


def spine(x, y):
    """Vertebral body, canal and spinous process."""
    return [
        (disc(x, y, (0, 45), 20, 16), BONE), ((np.abs(x) < 14) & (y > 58) & (y < 88), BONE),
        (disc(x, y, (0, 68), 9), MUSCLE), ((np.abs(x) < 5) & (y > 78) & (y < 96), BONE),
    ]  # fmt: skip


def trunk(x, y, z, *, right_lung=True):
    """Chest above 150 mm, belly below."""
    ribs = np.abs(np.hypot(x / 145, y / 95) - 1) < 0.04
    hu = paint(
        np.full(x.shape, AIR), (disc(x, y, (0, 0), 175, 125), FAT), (disc(x, y, (0, 0), 160, 110), MUSCLE),
        (ribs & (z % 30 < 12) & (z > 60), BONE), *spine(x, y),
    )  # fmt: skip
    chest = z > 150
    paint(hu, (disc(x, y, (75, 0), 55, 80) & chest, LUNG))
    return paint(hu, (disc(x, y, (-75, 0), 55, 80) & chest, LUNG)) if right_lung else hu


def legs(x, y, _z, middle=90.0):
    """Two thighs with a femur each, apart."""
    hu = np.full(x.shape, AIR)
    for side in (-1, 1):
        paint(
            hu, (disc(x, y, (side * middle, 0), 75), FAT), (disc(x, y, (side * middle, 0), 62), MUSCLE),
            (disc(x, y, (side * middle, 0), 14.5), BONE),
        )  # fmt: skip
    return hu


def shin(side):
    """One lower leg; the fibula lies laterally."""

    def painted(x, y, _z):
        return paint(
            np.full(x.shape, AIR), (disc(x, y, (0, 0), 58), FAT), (disc(x, y, (0, 0), 50), MUSCLE),
            (disc(x, y, (0, -12), 13.5), BONE), (disc(x, y, (side * 34, 2), 6.5), BONE),
        )  # fmt: skip

    return painted


def thigh(x, y, _z):
    return paint(
        np.full(x.shape, AIR),
        (disc(x, y, (0, 0), 80), FAT),
        (disc(x, y, (0, 0), 68), MUSCLE),
        (disc(x, y, (0, 0), 14.5), BONE),
    )


def head(x, y, z):
    """Cranium with a closed shell, air in the nose below it."""
    hu = paint(
        np.full(x.shape, AIR), (disc(x, y, (0, 0), 80, 95), MUSCLE), (disc(x, y, (0, 0), 73, 88), BONE),
        (disc(x, y, (0, 0), 66, 81), 35),
    )  # fmt: skip
    face = z < 60
    return paint(
        hu,
        (face & disc(x, y, (0, 0), 73, 88), MUSCLE),
        (face & disc(x, y, (0, -40), 28, 24), BONE),
        (face & disc(x, y, (0, -40), 22, 18), AIR),
    )


def make(painted, *, levels=60, width_mm=420.0, x_from=None, turn=(1, 1, 1)):
    """Coarse volume about the middle; `turn` gives the directions of the stored axes up, back, left."""
    count = round(width_mm / STEP)
    line = (np.arange(count) - (count - 1) / 2) * STEP
    across = line if x_from is None else line[line > x_from]
    z, y, x = np.meshgrid(np.arange(levels) * STEP, line, across, indexing="ij")
    hu = painted(x, y, z).astype(np.int16)[:: turn[0], :: turn[1], :: turn[2]]
    steps = np.array(turn) * STEP
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *steps, 1
    start = [z[0 if turn[0] > 0 else -1, 0, 0], y[0, 0 if turn[1] > 0 else -1, 0], x[0, 0, 0 if turn[2] > 0 else -1]]
    affine[:3, 3] = start[::-1]
    coarse = CoarseVolume(hu=hu, is_imaged=np.ones(hu.shape, bool), step=(1, 1, 1), spacing_mm=(STEP,) * 3)
    geometry = VolumeGeometry(affine=affine, shape=hu.shape)
    return find_body_map(coarse, find_body(coarse), coarse.hu > 180, geometry)


@pytest.fixture(scope="module")
def chest_and_belly():
    return make(trunk, levels=90)


CHEST_Z, BELLY_Z = 220.0, 90.0


@pytest.mark.parametrize(
    ("at", "cavity", "region", "side"),
    [
        ((80, 0, CHEST_Z), Cavity.THORAX, "thorax", Laterality.LEFT),
        ((0, 0, CHEST_Z), Cavity.THORAX, "thorax", Laterality.MIDLINE),
        ((-152, 0, CHEST_Z), Cavity.NONE, "chest wall", Laterality.RIGHT),
        ((40, 95, CHEST_Z), Cavity.NONE, "back", Laterality.LEFT),
        ((-60, -30, BELLY_Z), Cavity.ABDOMEN, "abdomen", Laterality.RIGHT),
        ((155, 0, BELLY_Z), Cavity.NONE, "abdominal wall", Laterality.LEFT),
        ((30, 90, BELLY_Z), Cavity.NONE, "back", Laterality.LEFT),
        ((-170, 0, BELLY_Z), Cavity.NONE, "abdominal wall", Laterality.RIGHT),
    ],
)
def test_trunk_has_cavities_walls_and_sides(chest_and_belly, at, cavity, region, side):
    place = chest_and_belly.place(np.array(at, float))
    assert (place.cavity, place.region, place.laterality) == (cavity, region, side)


def test_ribs_run_in_the_cage_and_lungs_do_not(chest_and_belly):
    index = np.rint(
        chest_and_belly.geometry.index(np.array([[140.0, 0, CHEST_Z], [75, 0, CHEST_Z], [172, 0, CHEST_Z]]))
    )
    assert chest_and_belly.cage[tuple(index.astype(int).T)].tolist() == [True, False, False]


@pytest.mark.parametrize("turn", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1), (1, 1, -1)])
def test_patient_axes_decide_and_not_the_order_of_storage(turn):
    body = make(trunk, levels=90, turn=turn)
    inside, wall = body.place(np.array([80.0, 0, CHEST_Z])), body.place(np.array([-152.0, 0, CHEST_Z]))
    assert (inside.cavity, inside.laterality, wall.laterality) == (Cavity.THORAX, Laterality.LEFT, Laterality.RIGHT)


def test_half_a_chest_is_claimed_to_the_cut_side():
    body = make(trunk, levels=90, x_from=-12.0)
    assert body.trunk.is_cut.all()
    assert body.place(np.array([5.0, -10, CHEST_Z])).cavity is Cavity.THORAX
    assert body.place(np.array([152.0, 0, CHEST_Z])).cavity is Cavity.NONE


def test_two_legs_give_sides_and_no_cavity():
    body = make(legs)
    left, right = body.place(np.array([100.0, 20, 90])), body.place(np.array([-70.0, 0, 90]))
    assert (left.region, left.laterality, right.laterality) == ("thigh", Laterality.LEFT, Laterality.RIGHT)
    assert not body.cavity.any()
    assert body.regions == ("thigh",)


@pytest.mark.parametrize(("lateral", "side"), [(1, Laterality.LEFT), (-1, Laterality.RIGHT)])
def test_fibula_lies_laterally(lateral, side):
    body = make(shin(lateral), width_mm=180.0)
    place = body.place(np.array([0.0, 30, 90]))
    assert (place.region, place.laterality) == ("lower leg", side)
    assert body.regions == (f"{side} lower leg",)


def test_a_fibula_behind_the_tibia_tells_no_side():
    def painted(x, y, z):
        return paint(shin(1)(x, y, z), (disc(x, y, (34, 2), 9), MUSCLE), (disc(x, y, (9, 24), 6.5), BONE))

    place = make(painted, width_mm=180.0).place(np.array([0.0, 30, 90]))
    assert (place.region, place.laterality) == ("lower leg", Laterality.UNKNOWN)


def test_a_thigh_alone_has_no_side():
    place = make(thigh, width_mm=240.0).place(np.array([20.0, 0, 90]))
    assert (place.region, place.laterality, place.cavity) == ("thigh", Laterality.UNKNOWN, Cavity.NONE)


@pytest.mark.parametrize(("radius_mm", "is_thigh"), [(18.5, True), (22.0, False)])
def test_the_broad_upper_shaft_of_a_femur_is_one(radius_mm, is_thigh):
    """1150 mm2 where the shaft is cut obliquely below the trochanters; 1500 mm2 would be the end of a bone."""

    def painted(x, y, z):
        return paint(thigh(x, y, z), (disc(x, y, (0, 0), radius_mm), BONE))

    assert (make(painted, width_mm=240.0).place(np.array([20.0, 0, 90])).region == "thigh") is is_thigh


def test_skull_encloses_brain_and_nose_but_not_the_scalp():
    body = make(head, levels=60, width_mm=270.0)
    inside = [body.place(np.array(at, float)).cavity for at in ((0, 0, 150), (0, -40, 45), (0, -62, 45))]
    outside = [body.place(np.array(at, float)) for at in ((0, -93, 120), (60, 40, 30))]
    assert inside == [Cavity.SKULL] * 3
    assert [(place.cavity, place.region) for place in outside] == [(Cavity.NONE, "head")] * 2


@pytest.mark.parametrize(("cut_mm", "cavity"), [(-50.0, Cavity.SKULL), (40.0, Cavity.NONE)])
def test_a_cranium_that_the_picture_cuts_is_one_where_most_of_its_border_is_bone(cut_mm, cavity):
    body = make(head, levels=60, width_mm=270.0, x_from=cut_mm)
    assert body.place(np.array([50.0, 0, 150])).cavity is cavity


def test_muscle_that_the_picture_cuts_all_around_is_no_brain():
    assert not make(lambda x, _y, _z: np.full(x.shape, MUSCLE), width_mm=120.0).cavity.any()


def pelvis(x, y, z):
    """Hip bones on both sides, sacrum behind, pubis in front below 60 mm; trunk above."""
    hu = paint(np.full(x.shape, AIR), (disc(x, y, (0, 0), 185, 115), FAT), (disc(x, y, (0, 0), 165, 98), MUSCLE))
    for side in (-1, 1):
        paint(hu, (disc(x - side * 95, y - 10, (0, 0), 22, 48), BONE))
    return paint(
        hu,
        ((np.abs(x) < 30) & (y > 62) & (y < 85) & (z > 45), BONE),
        ((np.abs(x) < 40) & (np.abs(y + 60) < 12) & (z < 60) & (z > 20), BONE),
    )


def test_true_pelvis_lies_between_the_hip_bones_in_front_of_the_sacrum():
    body = make(pelvis, levels=50)
    assert body.place(np.array([20.0, 10, 90])).cavity is Cavity.PELVIS
    assert body.place(np.array([150.0, 10, 90])).cavity is Cavity.NONE
    assert body.place(np.array([40.0, 72, 36])).cavity is Cavity.NONE, "behind the line of the sacrum, below it"
    assert body.place(np.array([60.0, 92, 90])).region == "buttock"
    assert body.place(np.array([0.0, 10, 6])).cavity is Cavity.NONE, "between the thighs, below the symphysis"


@pytest.mark.parametrize(("behind_mm", "is_pelvis"), [(27.0, False), (60.0, True)])
def test_bone_before_the_middle_ends_the_pelvis_below_it_unless_a_vertebra_lies_behind(behind_mm, is_pelvis):
    def slim(x, y, z):
        bone = (np.abs(x) < 20) & (y > -20) & (y < behind_mm) & (z > 120)
        front = (np.abs(x) < 40) & (np.abs(y + 60) < 12)
        return paint(pelvis(x, y, z), (front | ((np.abs(x) < 30) & (z > 120)), MUSCLE), (bone, BONE))

    assert (make(slim, levels=50).place(np.array([20.0, -40, 90])).cavity is Cavity.PELVIS) is is_pelvis


@pytest.mark.parametrize("cut_from_mm", [20.0, None])
def test_a_scapula_beside_the_lung_that_the_picture_shows_alone_is_no_spine(cut_from_mm):
    """Behind the outer part of the lung, in plates as body, canal and arch of a vertebra."""

    def shouldered(x, y, z):
        arm = disc(x, y, (185, 0), 30)
        plates = [((np.abs(x - 118) < 8) & (y > low) & (y < high), BONE) for low, high in ((40, 58), (70, 96))]
        hu = trunk(x, y, np.maximum(z, 160))
        return paint(hu, (arm, MUSCLE), *plates)

    body = make(shouldered, levels=60, width_mm=460.0, x_from=cut_from_mm)
    assert body.place(np.array([185.0, 0, 90])).cavity is Cavity.NONE
    assert body.place(np.array([60.0, 0, 90])).cavity is Cavity.THORAX


@pytest.mark.parametrize(
    ("depth_mm", "fat", "cavity"),
    [(22, True, Cavity.NONE), (22, False, Cavity.ABDOMEN), (12, False, Cavity.NONE), (34, True, Cavity.ABDOMEN)],
)
def test_a_thick_wall_of_the_belly_goes_on_to_its_fat(depth_mm, fat, cavity):
    def painted(x, y, z):
        return paint(trunk(x, y, z), (disc(x, y, (0, 0), 136, 86) & (y < 30) & (z < 150), FAT if fat else MUSCLE))

    body = make(painted, levels=90)
    assert body.place(np.array([-160.0 + depth_mm, -10, BELLY_Z])).cavity is cavity


def test_half_a_pelvis_claims_no_cavity():
    body = make(pelvis, levels=50, x_from=-30.0)
    assert not body.cavity.any()


def test_bones_that_do_not_mirror_each_other_are_no_pelvis():
    def painted(x, y, z):
        hu = paint(pelvis(x, y, z), (np.abs(x) < 60, MUSCLE))
        return paint(hu, *((disc(x, y, (42, at), 24), BONE) for at in (-52, 0, 52)))

    assert not make(painted, levels=50).cavity.any()


def test_closed_ribs_without_lungs_are_no_skull():
    body = make(trunk, levels=45)
    assert not (body.cavity == Cavity.SKULL).any()


def test_nothing_in_the_picture_is_nothing():
    body = make(lambda x, _y, _z: np.full(x.shape, AIR))
    assert not body.cavity.any()
    assert body.regions == ()
    assert body.place(np.zeros(3)).region is None


def belly(x, y, z):
    """Trunk whose belly is fat with psoas muscles, a kidney, a stone before the psoas and mineral in it."""
    inside = (z < 150) & disc(x, y, (0, 0), 140, 92) & (y < 62)
    return paint(
        trunk(x, y, z), (inside, FAT), *[(inside & where, hu) for where, hu in spine(x, y)[:1]],
        *[(inside & disc(x, y, (side * 40, 48), 17), MUSCLE) for side in (-1, 1)],
        (inside & disc(x, y, (-98, 40), 24), 35), (disc(x, y, (40, 26), 5) & (np.abs(z - 90) < 5), BONE),
        (disc(x, y, (40, 48), 6) & (np.abs(z - 90) < 7), 400),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("at", "cavity"),
    [
        ((40, 48), Cavity.NONE), ((40, 58), Cavity.NONE), ((-40, 48), Cavity.NONE), ((40, 26), Cavity.ABDOMEN),
        ((-98, 40), Cavity.ABDOMEN), ((0, 10), Cavity.ABDOMEN), ((75, 48), Cavity.ABDOMEN),
    ],
)  # fmt: skip
def test_psoas_and_what_lies_in_it_is_no_belly_but_a_stone_before_it_and_a_kidney_are(belly_map, at, cavity):
    assert belly_map.place(np.array([*at, BELLY_Z], float)).cavity is cavity


@pytest.fixture(scope="module")
def belly_map():
    return make(belly, levels=90)


def test_mineral_in_psoas_is_not_taken_for_a_rib(belly_map):
    index = np.rint(belly_map.geometry.index(np.array([[40.0, 48, z] for z in range(30, 148, 12)]))).astype(int)
    assert not belly_map.cage[tuple(index.T)].any()


def test_a_bronchus_of_the_hilum_is_chest_and_the_trachea_goes_on_to_the_top_of_the_lungs():
    def painted(x, y, z):
        return paint(
            trunk(x, y, z),
            (disc(x, y, (0, -5), 9) & (z > 225), AIR),
            (disc(x, y, (8, -5), 7) & (z > 165) & (z < 195), AIR),
        )

    body = make(painted, levels=90)
    assert [body.place(np.array([at, -5.0, z])).cavity for at, z in ((0, 250), (12, 250), (8, 180))] == [
        Cavity.AIRWAY, Cavity.AIRWAY, Cavity.THORAX,
    ]  # fmt: skip


def neck(x, y, z):
    """Neck with an airway up to the glottis at 90 mm, vertebrae, and mineral in the fat under its skin."""
    return paint(
        np.full(x.shape, AIR), (disc(x, y, (0, 0), 66), FAT), (disc(x, y, (0, 0), 54), MUSCLE),
        (disc(x, y, (0, 30), 16, 18), BONE), (disc(x, y, (0, -26), 9) & (z < 90), AIR),
        (disc(x, y, (0, -60), 4) & (np.abs(z - 60) < 6), 400),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("at", "cavity"),
    [
        ((0, -26, 60), Cavity.AIRWAY), ((18, -28, 60), Cavity.AIRWAY), ((0, -46, 60), Cavity.AIRWAY),
        ((0, -40, 120), Cavity.AIRWAY), ((0, -26, 170), Cavity.NONE), ((0, -60, 60), Cavity.NONE),
        ((38, -20, 60), Cavity.NONE), ((8, 8, 60), Cavity.NONE), ((24, -46, 60), Cavity.NONE),
    ],
)  # fmt: skip
def test_larynx_holds_cartilage_and_hyoid_and_no_skin_no_muscle_beside_it_and_none_before_the_spine(at, cavity):
    assert make(neck, levels=70, width_mm=180.0).place(np.array(at, float)).cavity is cavity


def test_arms_beside_the_trunk_do_not_draw_the_pelvis_up():
    def with_arms(x, y, z):
        hu = np.where(z < 90, pelvis(x, y, z), trunk(x, y, 0 * z))
        flesh, bone = (disc(np.abs(x), y, (215, 0), radius) for radius in (30, 12))
        return paint(hu, (flesh, MUSCLE), (bone, BONE))

    found = make(with_arms, levels=70, width_mm=520.0)
    parts = list(found.trunk.part)
    assert "pelvis" in parts[:30]
    assert "pelvis" not in parts[36:]


def shoulders(x, y, z):
    """Chest with lungs below 120 mm, a neck between broad shoulders above."""
    above = paint(
        np.full(x.shape, AIR), (disc(x, y, (0, 20), 170, 70), FAT), (disc(x, y, (0, 20), 160, 60), MUSCLE),
        (disc(x, y, (0, 45), 16, 14), BONE), (disc(x, y, (0, -5), 9), AIR),
    )  # fmt: skip
    return np.where(z < 120, trunk(x, y, z + 180), above)


@pytest.mark.parametrize(
    ("x_mm", "region", "side"),
    [
        (60, "neck", Laterality.LEFT), (-60, "neck", Laterality.RIGHT), (75, "neck", Laterality.LEFT),
        (90, "shoulder", Laterality.LEFT), (-140, "shoulder", Laterality.RIGHT),
    ],
)  # fmt: skip
def test_above_the_lungs_shoulders_begin_80_mm_from_the_midline(x_mm, region, side):
    place = make(shoulders, levels=60).place(np.array([x_mm, 20.0, 150.0]))
    assert (place.region, place.laterality) == (region, side)
