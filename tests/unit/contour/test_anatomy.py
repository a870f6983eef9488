"""Anatomy masks of any format, on any grid, laid into a CT volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calcreport.contour.anatomy import read_anatomy
from calcreport.model.image import CtVolume


def bony(volume: CtVolume, inside: NDArray[np.bool_]) -> CtVolume:
    """The same volume with bone where the ellipsoid is."""
    return CtVolume(
        hu=np.where(inside, 700, 50).astype(np.int16), geometry=volume.geometry, slices=volume.slices,
        frame_of_reference_uid=volume.frame_of_reference_uid,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["isotropic", "anisotropic", "flipped", "oblique"])
def test_a_segmentation_is_laid_voxel_for_voxel(
    make_volume: Callable[..., CtVolume],
    write_seg: Callable[..., Path],
    truth: Callable[..., NDArray[np.bool_]],
    kind: str,
) -> None:
    volume = make_volume(kind)
    inside = truth(volume)
    volume = bony(volume, inside)
    path = write_seg(volume, np.stack([inside, np.roll(inside, 9, axis=2) & ~inside], axis=-1), ["Left Femur", "liver"])
    found = read_anatomy(path, volume)
    names = {found.find(int(value)).full_name: found.labels == value for value in np.unique(found.labels) if value}
    assert set(names) == {"left femur", "liver"}
    assert np.array_equal(names["left femur"], inside)


@pytest.mark.parametrize(("seg_kind", "labels"), [("BINARY", ["femur_left"]), ("LABELMAP", ["femur_left"])])
def test_every_kind_of_segmentation(
    make_volume: Callable[..., CtVolume], write_seg: Callable[..., Path], truth: Callable[..., NDArray[np.bool_]],
    seg_kind: str, labels: list[str],
) -> None:  # fmt: skip
    volume = bony(made := make_volume(), inside := truth(made))
    found = read_anatomy(write_seg(volume, inside.astype(np.uint8), labels, seg_kind), volume)
    assert np.array_equal(found.labels == 1, inside)


def test_a_segmentation_of_another_frame_of_reference_is_refused(
    make_volume: Callable[..., CtVolume], write_seg: Callable[..., Path], truth: Callable[..., NDArray[np.bool_]],
    code_of: Callable[..., str],
) -> None:  # fmt: skip
    volume = make_volume()
    path = write_seg(volume, truth(volume), ["femur_left"])
    assert code_of(read_anatomy, path, make_volume(frame="1.2.9")) == "mask.other_frame"


def test_labels_on_a_coarser_grid_take_the_nearest(
    make_volume: Callable[..., CtVolume], write_image: Callable[..., Path], truth: Callable[..., NDArray[np.bool_]]
) -> None:
    volume = bony(made := make_volume(), inside := truth(made))
    coarse = volume.geometry.affine.copy()
    coarse[:3, :3] *= 3
    coarse[:3, 3] = volume.geometry.lps_mm(np.array([1, 1, 1]))
    path = write_image((inside[1::3, 1::3, 1::3] * 116).astype(np.uint8), coarse, ".nii.gz")
    found = read_anatomy(path, volume)
    agreed = np.count_nonzero((found.labels > 0) & inside) / np.count_nonzero((found.labels > 0) | inside)
    assert agreed > 0.85
    assert "TotalSegmentator v2" in found.notes[0]
