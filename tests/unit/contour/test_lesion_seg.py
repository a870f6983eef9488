"""Segmentations written by highdicom are read back voxel for voxel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from calcreport.contour.read import read_lesion_masks
from calcreport.model.image import CtVolume
from calcreport.settings import ReadingSettings

MakeVolume = Callable[..., CtVolume]
Write = Callable[..., Path]
Truth = Callable[..., NDArray[np.bool_]]
CodeOf = Callable[..., str]

KINDS = ["isotropic", "anisotropic", "tilted", "flipped", "oblique"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_binary_segment_is_read_voxel_for_voxel(
    kind: str, make_volume: MakeVolume, write_seg: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume(kind)
    path = write_seg(volume, truth(volume).astype(np.uint8), ["one"])
    (contour,) = read_lesion_masks(path, volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))
    assert contour.name == "one"
    assert not contour.is_cut


def test_a_fractional_segment_is_cut_at_half(
    make_volume: MakeVolume, write_seg: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume("anisotropic")
    pixels = np.zeros(volume.hu.shape, dtype=np.float32)
    pixels[truth(volume, 1.3)] = 0.45
    pixels[truth(volume)] = 0.55
    (contour,) = read_lesion_masks(write_seg(volume, pixels, ["one"], "FRACTIONAL"), volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))


def _three(volume: CtVolume, truth: Truth) -> NDArray[np.uint8]:
    pixels = np.zeros(volume.hu.shape, dtype=np.uint8)
    pixels[truth(volume)] = 1
    pixels[1:3, 1:5, 1:6] = 2
    return pixels


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_every_segment_is_a_lesion_of_its_own(
    kind: str, make_volume: MakeVolume, write_seg: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume("tilted")
    pixels = _three(volume, truth)
    path = write_seg(volume, pixels, ["one", "two"], kind)
    first, second = read_lesion_masks(path, volume)
    np.testing.assert_array_equal(full(first, volume), pixels == 1)
    np.testing.assert_array_equal(full(second, volume), pixels == 2)
    assert (first.name, second.name) == ("one", "two")
    (chosen,) = read_lesion_masks(path, volume, roi="Two")
    np.testing.assert_array_equal(full(chosen, volume), pixels == 2)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_a_named_lesion_is_taken_and_the_anatomy_left(
    kind: str, make_volume: MakeVolume, write_seg: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume("anisotropic")
    pixels = _three(volume, truth)
    (contour,) = read_lesion_masks(write_seg(volume, pixels, ["tumour", "femur"], kind), volume)
    np.testing.assert_array_equal(full(contour, volume), pixels == 1)


def test_a_lesion_in_two_distant_parts_keeps_its_planes(make_volume: MakeVolume, write_seg: Write, full: Truth) -> None:
    volume = make_volume("tilted")
    pixels = np.zeros(volume.hu.shape, dtype=np.uint8)
    pixels[3, 10:20, 10:20] = 1
    pixels[12, 30:40, 30:40] = 1
    (contour,) = read_lesion_masks(write_seg(volume, pixels, ["one"]), volume)
    np.testing.assert_array_equal(full(contour, volume), pixels == 1)


def test_a_segmentation_of_a_thicker_series_is_laid_over_the_thin_one(
    make_volume: MakeVolume, write_seg: Write, truth: Truth, full: Truth
) -> None:
    thick, thin = make_volume("anisotropic"), make_volume("isotropic")
    (contour,) = read_lesion_masks(write_seg(thick, truth(thick).astype(np.uint8), ["one"]), thin)
    mask, expected = full(contour, thin), truth(thin)
    assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.93


def test_a_segmentation_of_another_frame_is_refused(
    make_volume: MakeVolume, write_seg: Write, truth: Truth, code_of: CodeOf
) -> None:
    volume = make_volume("anisotropic")
    path = write_seg(volume, truth(volume).astype(np.uint8), ["one"])
    other = make_volume("anisotropic", frame="1.2.77")
    assert code_of(read_lesion_masks, path, other) == "mask.other_frame"


def _lie(**elements: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for name, value in elements.items():
            setattr(dataset, name, value)

    return change


def _move_one_plane(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0].ImagePositionPatient = [1, 2, 3]


def _forget_positions(dataset: Dataset) -> None:
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_lie(NumberOfFrames=2_000_000_000), "mask.too_large"),
        (_lie(NumberOfFrames=3), "mask.damaged"),
        (_lie(Rows=60_000, Columns=60_000), "mask.too_large"),
        (_lie(Rows=0), "mask.too_large"),
        (_lie(Rows=300), "mask.damaged"),
        (_lie(PixelData=b"\0" * 10), "mask.damaged"),
        (_lie(PixelData=b"\0" * 100_000), "mask.empty"),
        (_move_one_plane, "mask.geometry"),
        (_forget_positions, "mask.geometry"),
    ],
)
def test_segmentations_that_lie_are_refused_by_name(
    change: Callable[[Dataset], None],
    code: str,
    make_volume: MakeVolume,
    write_seg: Write,
    truth: Truth,
    code_of: CodeOf,
) -> None:
    volume = make_volume("anisotropic")
    path = write_seg(volume, truth(volume).astype(np.uint8), ["one"], change=change)
    limits = ReadingSettings(max_volume_voxels=50_000_000)
    assert code_of(read_lesion_masks, path, volume, limits=limits) == code
