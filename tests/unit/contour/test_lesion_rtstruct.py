"""Contours of an RT Structure Set become exactly the voxels whose centre they enclose."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from scipy.spatial.distance import pdist

from calcreport.contour.read import read_lesion_masks
from calcreport.model.image import NOT_IMAGED_HU, CtVolume

MakeVolume = Callable[..., CtVolume]
Outline = Callable[..., list[NDArray[np.float64]]]
Write = Callable[..., Path]
Truth = Callable[..., NDArray[np.bool_]]
CodeOf = Callable[..., str]

KINDS = ["isotropic", "anisotropic", "tilted", "flipped", "oblique"]


def _box_mm(
    volume: CtVolume, low: tuple[float, float], high: tuple[float, float], position: float
) -> NDArray[np.float64]:
    """Rectangle in the plane of a slice, given in (row, column), as points in LPS mm."""
    corners = [(low[0], low[1]), (low[0], high[1]), (high[0], high[1]), (high[0], low[1])]
    return volume.geometry.lps_mm(np.array([(position, r, c) for r, c in corners], dtype=np.float64))


@pytest.mark.parametrize("kind", KINDS)
def test_an_outlined_ellipsoid_is_its_true_voxel_set(
    kind: str, make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume(kind)
    (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", outline(volume, points=3000))]), volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))
    assert contour.name == "GTV"
    assert not contour.is_cut
    assert contour.notes == ()


def test_the_longest_diameter_is_the_true_one(make_volume: MakeVolume, outline: Outline, write_rtstruct: Write) -> None:
    volume = make_volume("tilted")
    (contour,) = read_lesion_masks(write_rtstruct([("mass", "", outline(volume))]), volume)
    points_mm = volume.geometry.lps_mm(np.argwhere(contour.mask.voxels) + contour.mask.offset)
    assert pdist(points_mm[::3]).max() == pytest.approx(2 * 17.3, abs=1.5)


@pytest.mark.parametrize("kind", ["anisotropic", "flipped"])
def test_contours_of_a_shifted_series_fill_as_many_slices_as_there_are_contours(
    kind: str, make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, full: Truth, truth: Truth
) -> None:
    volume = make_volume(kind)
    for shift in (-0.5, -0.3, 0.4, 0.5):
        contours = outline(volume, np.arange(volume.geometry.shape[0]) + shift)
        (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", contours)]), volume)
        mask, expected = full(contour, volume), truth(volume)
        assert np.count_nonzero(mask.any(axis=(1, 2))) == len(contours)
        assert (mask & expected).sum() > 0.9 * max(mask.sum(), expected.sum())


def test_contours_finer_than_slices_give_the_slices_their_own_contour(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, full: Truth, truth: Truth
) -> None:
    volume = make_volume("anisotropic")
    fine = np.arange(0, volume.geometry.shape[0], 0.25)
    (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", outline(volume, fine))]), volume)
    mask = full(contour, volume)
    inner = truth(volume).any(axis=(1, 2))
    np.testing.assert_array_equal(mask[inner], truth(volume)[inner])


@pytest.mark.parametrize("step", [2, 3])
def test_skipped_slices_are_filled_in_shape_and_said_so(
    step: int, make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, full: Truth, truth: Truth
) -> None:
    volume = make_volume("isotropic")
    contours = outline(volume, np.arange(0, volume.geometry.shape[0], step))
    (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", contours)]), volume)
    mask, expected = full(contour, volume), truth(volume)
    assert mask.any(axis=(1, 2)).sum() >= expected.any(axis=(1, 2)).sum() - 2
    assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.97
    assert "filled between" in contour.notes[0]


def test_a_single_forgotten_slice_is_filled(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, full: Truth, truth: Truth
) -> None:
    volume = make_volume("anisotropic")
    contours = outline(volume)
    del contours[4]
    (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", contours)]), volume)
    mask, expected = full(contour, volume), truth(volume)
    assert mask.any(axis=(1, 2)).sum() == expected.any(axis=(1, 2)).sum()
    assert (mask ^ expected).sum() < 0.02 * expected.sum()
    assert "1 were filled" in contour.notes[0]


def test_a_wide_break_stays_open_and_is_said_so(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write
) -> None:
    volume = make_volume("isotropic")
    contours = outline(volume)
    middle = len(contours) // 2
    drawn = contours[: middle - 7] + contours[middle + 7 :]
    (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", drawn)]), volume)
    assert np.count_nonzero(contour.mask.voxels.any(axis=(1, 2))) == len(drawn)
    assert "wide break" in contour.notes[0]


def test_holes_islands_keyholes_and_repeats(make_volume: MakeVolume, write_rtstruct: Write, full: Truth) -> None:
    volume = make_volume("isotropic")
    outer, hole, island = ((9.5, 9.5), (40.5, 40.5)), ((19.5, 19.5), (30.5, 30.5)), ((23.5, 23.5), (26.5, 26.5))
    expected = np.zeros(volume.hu.shape, dtype=np.bool_)
    expected[30, 10:41, 10:41] = True
    expected[30, 20:31, 20:31] = False
    ring = [_box_mm(volume, *outer, 30), _box_mm(volume, *hole, 30)]
    keyhole = np.concatenate((ring[0], ring[0][:1], ring[1][:1], ring[1][::-1]))
    for contours in (ring, ring[::-1], [keyhole], [*ring, ring[0]], [ring[0][::-1], *ring]):
        (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", contours)]), volume)
        np.testing.assert_array_equal(full(contour, volume), expected)
    expected[30, 24:27, 24:27] = True
    (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", [*ring, _box_mm(volume, *island, 30)])]), volume)
    np.testing.assert_array_equal(full(contour, volume), expected)


def test_overlapping_outlines_are_joined_unless_declared_exclusive(
    make_volume: MakeVolume, write_rtstruct: Write
) -> None:
    volume = make_volume("isotropic")
    contours = [_box_mm(volume, (9.5, 9.5), (20.5, 20.5), 30), _box_mm(volume, (14.5, 9.5), (30.5, 20.5), 30)]
    (joined,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", contours)]), volume)
    assert joined.mask.voxels.sum() == 21 * 11
    path = write_rtstruct([("GTV", "GTV", contours)], geometric_type="CLOSEDPLANAR_XOR")
    (exclusive,) = read_lesion_masks(path, volume)
    assert exclusive.mask.voxels.sum() == (5 + 10) * 11


def test_parts_of_one_structure_stay_one_lesion(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write
) -> None:
    volume = make_volume("isotropic")
    away = _box_mm(volume, (1.5, 1.5), (5.5, 5.5), 30)
    (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", [*outline(volume), away])]), volume)
    assert contour.mask.offset[1:] == (2, 2)


def test_a_contour_beyond_the_volume_is_cut(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, full: Truth, truth: Truth
) -> None:
    for axis in range(3):
        shift = [0, 0, 0]
        shift[axis] = 25
        volume = make_volume("isotropic", shift)
        (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", outline(volume, range(-20, 90)))]), volume)
        assert contour.is_cut
        np.testing.assert_array_equal(full(contour, volume), truth(volume))


def test_a_contour_reaching_what_was_not_imaged_is_cut(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write
) -> None:
    whole = make_volume("isotropic")
    hu = whole.hu.copy()
    hu[:, :, :20] = NOT_IMAGED_HU
    volume = CtVolume(
        hu=hu, geometry=whole.geometry, slices=whole.slices, frame_of_reference_uid="1.2.826.0.1.3680043.10.1.1"
    )
    (contour,) = read_lesion_masks(write_rtstruct([("GTV", "GTV", outline(volume))]), volume)
    assert contour.is_cut


def test_contours_of_another_place_frame_or_plane_are_refused(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, code_of: CodeOf
) -> None:
    volume = make_volume("isotropic")
    far = [points + np.array((0, 0, 500.0)) for points in outline(volume)]
    assert code_of(read_lesion_masks, write_rtstruct([("GTV", "", far)]), volume) == "mask.outside_volume"
    aside = [points + np.array((300.0, 0, 0)) for points in outline(volume)]
    assert code_of(read_lesion_masks, write_rtstruct([("GTV", "", aside)]), volume) == "mask.outside_volume"
    path = write_rtstruct([("GTV", "", outline(volume))], frame="1.2.99")
    assert code_of(read_lesion_masks, path, volume) == "mask.other_frame"
    turned = [points[:, [0, 2, 1]] - (0, 125, -125) for points in outline(volume)]
    assert code_of(read_lesion_masks, write_rtstruct([("GTV", "", turned)]), volume) == "mask.not_axial"


def test_a_contour_in_air_is_refused(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, code_of: CodeOf
) -> None:
    tissue = make_volume("isotropic")
    volume = CtVolume(
        hu=np.full(tissue.hu.shape, -1000, dtype=np.int16), geometry=tissue.geometry, slices=tissue.slices
    )
    assert code_of(read_lesion_masks, write_rtstruct([("GTV", "", outline(volume))]), volume) == "mask.not_in_body"


def test_an_unknown_frame_of_reference_is_no_reason_to_refuse(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write
) -> None:
    volume = make_volume("isotropic", frame=None)
    assert len(read_lesion_masks(write_rtstruct([("GTV", "", outline(volume))]), volume)) == 1


def test_two_frames_in_one_file_pass_only_on_the_slices_and_are_told(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, code_of: CodeOf
) -> None:
    volume = make_volume("isotropic")
    path = write_rtstruct([("GTV", "", outline(volume))], roi_frame="1.2.99")
    (contour,) = read_lesion_masks(path, volume)
    assert "two frames of reference" in contour.notes[0]
    between = outline(volume, np.arange(60) + 0.3)
    path = write_rtstruct([("GTV", "", between)], roi_frame="1.2.99")
    assert code_of(read_lesion_masks, path, volume) == "mask.other_frame"


def test_the_lesion_is_chosen_among_the_structures_of_a_plan(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, code_of: CodeOf, full: Truth, truth: Truth
) -> None:
    volume = make_volume("anisotropic")
    small, large = outline(volume), outline(volume, scale=1.2)
    plan = [("BODY", "EXTERNAL", large), ("Femur_L", "ORGAN", large), ("GTV_Mass", "", small), ("PTV1", "PTV", large)]
    (contour,) = read_lesion_masks(write_rtstruct(plan), volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))
    (named,) = read_lesion_masks(write_rtstruct(plan), volume, roi="femur_l ")
    np.testing.assert_array_equal(full(named, volume), truth(volume, 1.2))
    assert code_of(read_lesion_masks, write_rtstruct(plan), volume, roi="Tibia") == "mask.unknown_structure"
    undecided = [("A", "", small), ("B", "", large)]
    assert code_of(read_lesion_masks, write_rtstruct(undecided), volume) == "mask.which_structure"
    assert code_of(read_lesion_masks, write_rtstruct(plan[3:]), volume) == "mask.which_structure"
    twice = [("GTV", "GTV", small), ("GTV boost", "GTV", large)]
    assert code_of(read_lesion_masks, write_rtstruct(twice), volume) == "mask.overlapping"


def test_structures_without_contours_are_passed_over(
    make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, code_of: CodeOf
) -> None:
    volume = make_volume("anisotropic")
    path = write_rtstruct([("GTV old", "GTV", []), ("ROI-1", "", outline(volume))])
    (contour,) = read_lesion_masks(path, volume)
    assert contour.name == "ROI-1"
    assert code_of(read_lesion_masks, write_rtstruct([("GTV", "GTV", [])]), volume) == "mask.empty"
    points = write_rtstruct([("GTV", "GTV", outline(volume))], geometric_type="POINT")
    assert code_of(read_lesion_masks, points, volume) == "mask.empty"


def _set_contour(**elements: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        contour = dataset.ROIContourSequence[0].ContourSequence[0]
        for name, value in elements.items():
            if name == "raw":
                contour[0x30060050] = RawDataElement(Tag(0x30060050), "DS", len(value), value, 0, True, True)
            else:
                setattr(contour, name, value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set_contour(NumberOfContourPoints=2_000_000_000),
        _set_contour(ContourData=["1", "2", "3", "4"]),
        _set_contour(raw=b"nan\\1\\2\\3\\4\\5\\6\\7\\8 "),
        _set_contour(raw=b"1_0\\1\\2\\3\\4\\5\\6\\7\\8 "),
        _set_contour(raw=b"1e99999\\1\\2\\3\\4\\5\\6\\7\\8 "),
        _set_contour(raw=b"1\\\\2\\3\\4\\5\\6\\7\\8"),
        _set_contour(raw=b"\\" * 30),
        _set_contour(raw=b"<script>"),
    ],
)
def test_damaged_contours_are_refused_by_name(
    change: Callable[[Dataset], None], make_volume: MakeVolume, outline: Outline, write_rtstruct: Write, code_of: CodeOf
) -> None:
    volume = make_volume("anisotropic")
    path = write_rtstruct([("GTV", "GTV", outline(volume, points=20))], change=change)
    assert code_of(read_lesion_masks, path, volume) == "mask.damaged"


def test_no_error_repeats_what_the_file_says(make_volume: MakeVolume, outline: Outline, write_rtstruct: Write) -> None:
    volume = make_volume("anisotropic")
    path = write_rtstruct([("DOE^JANE", "", outline(volume)), ("ROE^JIM", "", outline(volume))])
    with pytest.raises(Exception, match="lesion") as caught:
        read_lesion_masks(path, volume)
    assert "DOE" not in str(caught.value)
    assert str(path) not in str(caught.value)


def test_deep_nesting_is_refused_by_name(make_volume: MakeVolume, tmp_path: Path, code_of: CodeOf) -> None:
    nested = b""
    for _ in range(5000):
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + nested + b"\xfe\xff\x0d\xe0\0\0\0\0"
        nested = b"\x06\x30\x39\x00SQ\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    path = tmp_path / "nested"
    path.write_bytes(b"\x08\0\x16\0UI\x1e\x001.2.840.10008.5.1.4.1.1.481.3\0" + nested)
    assert code_of(read_lesion_masks, path, make_volume("isotropic")) == "mask.damaged"
