"""The envelope of the muscles: what is deep, and what only looks like muscle."""

from __future__ import annotations

import numpy as np

from calcreport.anatomy.body import find_body, find_envelope

FAT, MUSCLE, AIR = -105, 55, -1000


def envelope_of(coarse):
    return find_envelope(coarse, find_body(coarse), coarse.hu > 300)


def at(coarse, x_mm, y_mm):
    slices, rows, columns = coarse.hu.shape
    return slices // 2, round(y_mm / 3 + (rows - 1) / 2), round(x_mm / 3 + (columns - 1) / 2)


def test_the_envelope_of_a_limb_ends_where_muscle_ends(make_coarse, limb):
    coarse = make_coarse(limb)
    envelope = envelope_of(coarse)
    deep = np.isin(coarse.hu, (MUSCLE, 700))
    assert envelope.is_reliable
    assert (envelope.mask != deep).sum() <= 0.03 * deep.sum()


def test_no_tissue_gives_no_envelope(make_coarse):
    coarse = make_coarse(lambda x, _y, _z: np.full(x.shape, -1000.0))
    envelope = envelope_of(coarse)
    assert not envelope.mask.any()
    assert not envelope.is_reliable


def test_fat_alone_is_not_relied_on(make_coarse):
    coarse = make_coarse(lambda x, y, _z: np.where(np.hypot(x, y) < 60, FAT, AIR))
    envelope = envelope_of(coarse)
    assert not envelope.is_reliable
    assert not envelope.mask[at(coarse, 0, 0)]


def test_a_little_muscle_in_much_fat_is_not_relied_on(make_coarse):
    def mostly_fat(x, y, _z):
        r = np.hypot(x, y)
        return np.select([r < 9, r < 60], [MUSCLE, FAT], AIR)

    assert not envelope_of(make_coarse(mostly_fat)).is_reliable


def test_fat_between_muscles_is_deep(make_coarse, limb):
    def with_gap(x, y, z):
        return np.where((np.abs(x) < 5) & (y > 15) & (y < 40), FAT, limb(x, y, z))

    coarse = make_coarse(with_gap)
    assert coarse.hu[at(coarse, 0, 28)] == FAT
    assert envelope_of(coarse).mask[at(coarse, 0, 28)]


def test_fat_enclosed_by_muscle_is_deep_however_wide(make_coarse):
    """A lipoma within a muscle, wider than any gap that closing would bridge."""

    def with_lipoma(x, y, _z):
        r = np.hypot(x, y)
        return np.select([r < 30, r < 60, r < 75], [FAT, MUSCLE, FAT], AIR)

    assert envelope_of(make_coarse(with_lipoma)).mask[:, 30, 30].all()


def test_a_small_node_in_the_fat_is_not_deep(make_coarse, limb):
    def with_node(x, y, z):
        hu = np.where(np.hypot(x - 40, y) < 75, np.maximum(limb(x, y, z), FAT), limb(x, y, z))
        return np.where(np.sqrt((x - 80) ** 2 + y**2 + (z - 36) ** 2) < 8, MUSCLE, hu)

    coarse = make_coarse(with_node, size_mm=270.0, slices=25)
    assert coarse.hu[at(coarse, 80, 0)] == MUSCLE
    assert not envelope_of(coarse).mask[at(coarse, 80, 0)]


def test_a_vein_through_the_fat_is_not_deep(make_coarse, limb):
    coarse = make_coarse(lambda x, y, z: np.where((x > 35) & (x < 56) & (np.abs(y) < 3), MUSCLE, limb(x, y, z)))
    assert coarse.hu[at(coarse, 51, 0)] == MUSCLE
    assert not envelope_of(coarse).mask[at(coarse, 51, 0)]


def test_thick_skin_is_not_muscle(make_coarse, limb):
    coarse = make_coarse(lambda x, y, z: np.where((np.hypot(x, y) > 58) & (np.hypot(x, y) < 67), MUSCLE, limb(x, y, z)))
    assert not envelope_of(coarse).mask[at(coarse, 63, 0)]


def test_a_lump_in_the_fat_is_not_deep(make_coarse, limb):
    """Its density is that of muscle; fat all around it tells."""

    def with_lump(x, y, z):
        r = np.sqrt((x - 85) ** 2 + y**2 + (z - 36) ** 2)
        hu = np.where(np.hypot(x - 40, y) < 75, np.maximum(limb(x, y, z), FAT), limb(x, y, z))
        return np.where(r < 18, MUSCLE, hu)

    coarse = make_coarse(with_lump, size_mm=270.0, slices=25)
    place = at(coarse, 85, 0)
    assert coarse.hu[place] == MUSCLE
    assert not envelope_of(coarse).mask[place]


def test_a_lump_on_a_narrow_stalk_is_not_deep(make_coarse, limb):
    def with_stalk(x, y, z):
        hu = np.where(np.hypot(x - 40, y) < 75, np.maximum(limb(x, y, z), FAT), limb(x, y, z))
        hu = np.where((x > 38) & (x < 85) & (np.abs(y) < 5) & (np.abs(z - 36) < 5), MUSCLE, hu)
        return np.where(np.sqrt((x - 85) ** 2 + y**2 + (z - 36) ** 2) < 22, MUSCLE, hu)

    coarse = make_coarse(with_stalk, size_mm=270.0, slices=25)
    envelope = envelope_of(coarse)
    assert not envelope.mask[at(coarse, 85, 0)]
    assert envelope.mask[at(coarse, 0, 30)]


def test_a_muscle_that_lies_broadly_on_the_others_stays_deep(make_coarse, limb):
    def with_neighbour(x, y, z):
        hu = np.where(np.hypot(x - 20, y) < 80, np.maximum(limb(x, y, z), FAT), limb(x, y, z))
        return np.where(np.hypot(x - 50, y) < 26, MUSCLE, hu)

    coarse = make_coarse(with_neighbour, size_mm=270.0)
    assert envelope_of(coarse).mask[at(coarse, 60, 0)]


def test_skin_is_not_muscle(make_coarse, limb):
    def with_skin(x, y, z):
        r = np.hypot(x, y)
        return np.where((r > 56) & (r < 60), MUSCLE, limb(x, y, z))

    coarse = make_coarse(with_skin)
    envelope = envelope_of(coarse)
    assert not envelope.mask[at(coarse, 57, 0)]
    assert not envelope.mask[at(coarse, 50, 0)]
    assert envelope.mask[at(coarse, 30, 0)]


def test_muscle_cut_by_the_side_of_the_picture_stays_deep_to_the_edge(make_coarse):
    coarse = make_coarse(lambda x, _y, _z: np.where(x < 0, FAT, MUSCLE))
    envelope = envelope_of(coarse)
    assert envelope.mask[:, :, -1].all()
    assert not envelope.mask[:, :, 0].any()
