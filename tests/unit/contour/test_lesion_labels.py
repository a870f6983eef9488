"""Label maps written by SimpleITK are read back voxel for voxel; what they do not say is not guessed."""

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calcreport.contour.read import read_lesion_masks
from calcreport.model.image import CtVolume
from calcreport.settings import ReadingSettings

MakeVolume = Callable[..., CtVolume]
Write = Callable[..., Path]
Truth = Callable[..., NDArray[np.bool_]]
CodeOf = Callable[..., str]

ORTHOGONAL = ["isotropic", "anisotropic", "flipped", "oblique"]
FORMATS = [(".nii", False), (".nii.gz", True), (".nrrd", False), (".nrrd", True), (".mha", False), (".mha", True)]


@pytest.mark.parametrize("kind", ORTHOGONAL)
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_label_map_is_read_voxel_for_voxel(
    kind: str, file_format: tuple[str, bool], make_volume: MakeVolume, write_image: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume(kind)
    path = write_image(
        truth(volume).astype(np.uint8), volume.geometry.affine, file_format[0], is_compressed=file_format[1]
    )
    (contour,) = read_lesion_masks(path, volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))
    assert not contour.is_cut


@pytest.mark.parametrize("every", [2, 3])
def test_slices_left_out_of_a_mask_are_filled_in_shape_and_said_so(
    every: int, make_volume: MakeVolume, write_image: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume("isotropic")
    drawn = truth(volume).astype(np.uint8)
    drawn[np.arange(len(drawn)) % every != 0] = 0
    (contour,) = read_lesion_masks(write_image(drawn, volume.geometry.affine, ".nii"), volume)
    mask, expected = full(contour, volume), truth(volume)
    assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.97
    assert "filled between" in contour.notes[0]
    assert np.linalg.norm(contour.outline.ends_mm, axis=1).min() >= every


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_label_map_on_turned_axes_is_the_same_lesion(
    file_format: tuple[str, bool], make_volume: MakeVolume, write_image: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume("anisotropic")
    voxels, affine = truth(volume)[::-1, :, ::-1].transpose(2, 0, 1), volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.lps_mm(np.array([volume.hu.shape[0] - 1, 0, volume.hu.shape[2] - 1]))
    affine[:3, :3] = np.column_stack((-affine[:3, 2], -affine[:3, 0], affine[:3, 1]))
    path = write_image(voxels.astype(np.int16), affine, file_format[0], is_compressed=file_format[1])
    (contour,) = read_lesion_masks(path, volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))


def test_the_suffix_does_not_decide(make_volume: MakeVolume, write_image: Write, truth: Truth, full: Truth) -> None:
    volume = make_volume("anisotropic")
    path = write_image(truth(volume).astype(np.uint8), volume.geometry.affine, ".nii.gz", is_compressed=True)
    renamed = path.rename(path.with_name("mask.dcm"))
    (contour,) = read_lesion_masks(renamed, volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_every_label_is_a_lesion_whatever_the_stored_type(
    dtype: type[np.generic], suffix: str, make_volume: MakeVolume, write_image: Write, truth: Truth, full: Truth
) -> None:
    volume = make_volume("anisotropic")
    labels = np.where(truth(volume), 3, 0).astype(dtype)
    labels[1:3, 1:5, 1:6] = 7
    labels[1:3, 50:55, 1:6] = 7
    path = write_image(labels, volume.geometry.affine, suffix)
    first, second = read_lesion_masks(path, volume)
    np.testing.assert_array_equal(full(first, volume), labels == 3)
    np.testing.assert_array_equal(full(second, volume), labels == 7)
    assert (first.name, second.name) == ("label 3", "label 7")
    (chosen,) = read_lesion_masks(path, volume, roi="7")
    assert chosen.name == "label 7"


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_a_mask_on_a_finer_grid_of_its_own_fits_a_tilted_volume(
    suffix: str, make_volume: MakeVolume, write_image: Write, truth: Truth, full: Truth
) -> None:
    volume, fine = make_volume("tilted"), make_volume("isotropic")
    path = write_image(truth(fine).astype(np.uint8), fine.geometry.affine, suffix)
    (contour,) = read_lesion_masks(path, volume)
    mask, expected = full(contour, volume), truth(volume)
    assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.96


def _nifti(
    voxels: NDArray[np.bool_],
    to_lps: NDArray[np.float64],
    *,
    version: int = 1,
    order: str = "<",
    sform: int = 1,
    qform: int = 0,
) -> bytes:
    """A NIfTI file made by hand: sheared grids and other byte orders, which SimpleITK does not write."""
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_lps[:, [2, 1, 0, 3]]
    dim = (3, *voxels.shape[::-1], 1, 1, 1, 1)
    if version == 1:
        header = bytearray(352)
        struct.pack_into(order + "i", header, 0, 348)
        struct.pack_into(order + "8h", header, 40, *dim)
        struct.pack_into(order + "2h", header, 70, 4, 16)
        struct.pack_into(order + "3f", header, 108, 352, 0, 0)
        header[123] = 2
        struct.pack_into(order + "2h", header, 252, qform, sform)
        struct.pack_into(order + "12f", header, 280, *to_ras[:3].ravel())
        header[344:348] = b"n+1\0"
    else:
        header = bytearray(544)
        struct.pack_into(order + "i", header, 0, 540)
        header[4:12] = b"n+2\0\r\n\x1a\n"
        struct.pack_into(order + "2h", header, 12, 4, 16)
        struct.pack_into(order + "8q", header, 16, *dim)
        struct.pack_into(order + "q", header, 168, 544)
        struct.pack_into(order + "2i", header, 344, qform, sform)
        struct.pack_into(order + "12d", header, 400, *to_ras[:3].ravel())
        struct.pack_into(order + "i", header, 500, 2)
    return bytes(header) + voxels.astype(order + "i2").tobytes()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_sheared_nifti_is_read_voxel_for_voxel(
    version: int, order: str, make_volume: MakeVolume, truth: Truth, full: Truth, tmp_path: Path
) -> None:
    volume = make_volume("tilted")
    path = tmp_path / "mask"
    path.write_bytes(_nifti(truth(volume), volume.geometry.affine, version=version, order=order))
    (contour,) = read_lesion_masks(path, volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))


def test_a_nifti_that_does_not_say_where_it_lies_is_refused(
    make_volume: MakeVolume, truth: Truth, tmp_path: Path, code_of: CodeOf
) -> None:
    volume = make_volume("anisotropic")
    path = tmp_path / "mask.nii"
    path.write_bytes(_nifti(truth(volume), volume.geometry.affine, sform=0))
    assert code_of(read_lesion_masks, path, volume) == "mask.geometry"
    # The quaternion of this file is zero: an identity that contradicts its sform.
    path.write_bytes(_nifti(truth(volume), volume.geometry.affine, qform=1))
    assert code_of(read_lesion_masks, path, volume) == "mask.geometry"


def _patched(content: bytes, offset: int, form: str, values: tuple[float | bytes, ...]) -> bytes:
    changed = bytearray(content)
    struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ((40, "<4h", (3, 30000, 30000, 30000)), "mask.too_large"),
        ((40, "<4h", (3, -5, 10, 10)), "mask.unsupported"),
        ((40, "<5h", (4, 10, 10, 10, 9)), "mask.unsupported"),
        ((40, "<h", (2,)), "mask.unsupported"),
        ((70, "<h", (128,)), "mask.unsupported"),
        ((70, "<h", (64,)), "mask.damaged"),
        ((108, "<f", (float("nan"),)), "mask.damaged"),
        ((108, "<f", (3e9,)), "mask.damaged"),
        ((112, "<2f", (0.01, 0.0)), "mask.not_labels"),
        ((112, "<2f", (1.0, -1024.0)), "mask.not_labels"),
        ((123, "<b", (5,)), "mask.geometry"),
        ((280, "<f", (float("nan"),)), "mask.geometry"),
        ((280, "<12f", (0.0,) * 12), "mask.geometry"),
        ((280, "<f", (1e30,)), "mask.geometry"),
        ((344, "<4s", (b"ni1\0",)), "mask.unsupported"),
    ],
)
def test_a_nifti_that_lies_is_refused_by_name(
    patch: tuple[int, str, tuple[float | bytes, ...]],
    code: str,
    make_volume: MakeVolume,
    truth: Truth,
    tmp_path: Path,
    code_of: CodeOf,
) -> None:
    volume = make_volume("anisotropic")
    path = tmp_path / "mask.nii"
    path.write_bytes(_patched(_nifti(truth(volume), volume.geometry.affine), *patch))
    assert code_of(read_lesion_masks, path, volume) == code


def test_truncated_and_bombed_files_are_refused(
    make_volume: MakeVolume, truth: Truth, tmp_path: Path, code_of: CodeOf
) -> None:
    volume = make_volume("anisotropic")
    content = _nifti(truth(volume), volume.geometry.affine)
    path = tmp_path / "mask"
    path.write_bytes(content[:-1])
    assert code_of(read_lesion_masks, path, volume) == "mask.damaged"
    path.write_bytes(gzip.compress(content)[:-500])
    assert code_of(read_lesion_masks, path, volume) == "mask.damaged"
    damaged = bytearray(gzip.compress(content))
    damaged[40:80] = b"\xff" * 40
    path.write_bytes(damaged)
    assert code_of(read_lesion_masks, path, volume) in {"mask.damaged", "mask.unknown_format"}
    path.write_bytes(gzip.compress(_patched(content, 40, "<4h", (3, 1000, 1000, 1000)) + b"\0" * 10_000_000))
    limits = ReadingSettings(max_volume_voxels=100_000_000)
    assert code_of(read_lesion_masks, path, volume, limits=limits) == "mask.too_large"


def _nrrd(**fields: str | None) -> bytes:
    header = {
        "type": "unsigned char",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "4 4 4",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)",
        "space origin": "(0,0,0)",
        "encoding": "raw",
    } | {name.replace("_", " "): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in header.items() if value is not None]
    return "\n".join(["NRRD0004", "# by hand", *lines, "", ""]).encode() + b"\1" * 64


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"space": None}, "mask.geometry"),
        ({"space": "scanner-xyz"}, "mask.geometry"),
        ({"space_origin": None}, "mask.geometry"),
        ({"space_directions": "(1,0,0) (0,1,0) none"}, "mask.geometry"),
        ({"space_directions": "(1,0,0) (0,1,0) (nan,0,1)"}, "mask.geometry"),
        ({"space_directions": "(1,0,0) (0,1,0) (1_0,0,1)"}, "mask.geometry"),
        ({"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, "mask.geometry"),
        ({"space_units": '"cm" "cm" "cm"'}, "mask.geometry"),
        ({"sizes": "4 4 -4"}, "mask.unsupported"),
        ({"sizes": "4 4 0"}, "mask.damaged"),
        ({"sizes": "40000 40000 40000"}, "mask.too_large"),
        ({"sizes": "4 4 5"}, "mask.damaged"),
        ({"dimension": "4", "sizes": "2 4 4 4"}, "mask.unsupported"),
        ({"type": "block"}, "mask.unsupported"),
        ({"type": "short"}, "mask.unsupported"),
        ({"encoding": "ascii"}, "mask.unsupported"),
        ({"encoding": "gzip"}, "mask.damaged"),
        ({"data_file": "/etc/hostname"}, "mask.unsupported"),
        ({"byte_skip": "-1"}, "mask.unsupported"),
        ({"space_origin": "(500,0,0)"}, "mask.outside_volume"),
    ],
)
def test_a_nrrd_that_lies_is_refused_by_name(
    fields: dict[str, str | None], code: str, make_volume: MakeVolume, tmp_path: Path, code_of: CodeOf
) -> None:
    path = tmp_path / "mask.nrrd"
    path.write_bytes(_nrrd(**fields))
    assert code_of(read_lesion_masks, path, make_volume("isotropic")) == code


@pytest.mark.parametrize(("space", "signs"), [("RAS", (-1, -1, 1)), ("left-anterior-superior", (1, -1, 1))])
def test_a_nrrd_says_which_way_its_axes_point(
    space: str, signs: tuple[int, int, int], make_volume: MakeVolume, centre_mm: NDArray[np.float64], tmp_path: Path
) -> None:
    volume = make_volume("isotropic")
    origin = centre_mm * signs
    path = tmp_path / "mask"
    path.write_bytes(_nrrd(space=space, space_origin="({},{},{})".format(*origin)))
    (contour,) = read_lesion_masks(path, volume)
    middle = np.argwhere(contour.mask.voxels).mean(axis=0) + contour.mask.offset
    np.testing.assert_allclose(volume.geometry.lps_mm(middle), centre_mm + 1.5 * np.array(signs), atol=0.51)


def test_segment_names_of_a_nrrd_are_kept(
    make_volume: MakeVolume, centre_mm: NDArray[np.float64], tmp_path: Path
) -> None:
    volume = make_volume("isotropic")
    path = tmp_path / "mask.seg.nrrd"
    content = _nrrd(space_origin="({},{},{})".format(*centre_mm))
    path.write_bytes(content.replace(b"encoding", b"Segment0_Name:=Lesion A\nSegment0_LabelValue:=1\nencoding"))
    (contour,) = read_lesion_masks(path, volume)
    assert contour.name == "Lesion A"


def _metaimage(**fields: str | None) -> bytes:
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": "1 1 1",
        "DimSize": "4 4 4",
        "ElementType": "MET_UCHAR",
    } | fields
    lines = [f"{name} = {value}" for name, value in header.items() if value is not None]
    lines += [] if "ElementDataFile" in fields else ["ElementDataFile = LOCAL"]
    return "\n".join([*lines, ""]).encode() + b"\1" * 64


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"TransformMatrix": None}, "mask.geometry"),
        ({"Offset": None}, "mask.geometry"),
        ({"Offset": "1 2"}, "mask.geometry"),
        ({"Offset": "0 0 nan"}, "mask.geometry"),
        ({"Position": "1 2 3"}, "mask.geometry"),
        ({"ElementSpacing": None}, "mask.geometry"),
        ({"ElementSpacing": "1 1 0"}, "mask.geometry"),
        ({"ElementSpacing": "1 1 1000"}, "mask.geometry"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "mask.geometry"),
        ({"DistanceUnits": "cm"}, "mask.geometry"),
        ({"CenterOfRotation": "0 0 5"}, "mask.geometry"),
        ({"NDims": "4"}, "mask.unsupported"),
        ({"ElementNumberOfChannels": "3"}, "mask.unsupported"),
        ({"BinaryData": "False"}, "mask.unsupported"),
        ({"HeaderSize": "-1"}, "mask.unsupported"),
        ({"ElementToIntensityFunctionSlope": "2"}, "mask.unsupported"),
        ({"ElementType": "MET_NONSENSE"}, "mask.unsupported"),
        ({"DimSize": "4 4 -4"}, "mask.too_large"),
        ({"DimSize": "40000 40000 40000"}, "mask.too_large"),
        ({"DimSize": "4 4 0"}, "mask.damaged"),
        ({"DimSize": "4 4 5"}, "mask.damaged"),
        ({"ElementType": "MET_SHORT"}, "mask.damaged"),
        ({"CompressedData": "True"}, "mask.damaged"),
        ({"Offset": "500 0 0"}, "mask.outside_volume"),
        ({"ElementDataFile": "/etc/hostname"}, "mask.unsupported"),
        ({"ElementDataFile": "../mask.raw"}, "mask.unsupported"),
        ({"ElementDataFile": "LIST"}, "mask.unsupported"),
        ({"ElementDataFile": "slice%03d.raw 1 4 1"}, "mask.unsupported"),
        ({"ElementDataFile": "absent.raw"}, "mask.not_readable"),
    ],
)
def test_a_metaimage_that_lies_is_refused_by_name(
    fields: dict[str, str | None], code: str, make_volume: MakeVolume, tmp_path: Path, code_of: CodeOf
) -> None:
    path = tmp_path / "mask.mha"
    path.write_bytes(_metaimage(**fields))
    assert code_of(read_lesion_masks, path, make_volume("isotropic")) == code


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_metaimage_header_beside_its_voxels(
    *, is_compressed: bool, make_volume: MakeVolume, write_image: Write, truth: Truth, full: Truth, code_of: CodeOf
) -> None:
    volume = make_volume("oblique")
    path = write_image(truth(volume).astype(np.int16), volume.geometry.affine, ".mhd", is_compressed=is_compressed)
    (contour,) = read_lesion_masks(path, volume)
    np.testing.assert_array_equal(full(contour, volume), truth(volume))
    (voxels,) = path.parent.glob("mask.*raw")
    voxels.write_bytes(voxels.read_bytes()[:-9])
    assert code_of(read_lesion_masks, path, volume) == "mask.damaged"


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_compressed_voxels_that_were_altered_are_refused(
    suffix: str, make_volume: MakeVolume, write_image: Write, truth: Truth, code_of: CodeOf
) -> None:
    """SimpleITK alone returns a damaged MetaImage, and what lay in memory for a NIfTI file that is cut short."""
    volume = make_volume("anisotropic")
    labels = truth(volume) * np.random.default_rng(0).integers(1, 3, volume.hu.shape)
    path = write_image(labels.astype(np.uint8), volume.geometry.affine, suffix, is_compressed=True)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20] = bytes(value ^ 255 for value in content[middle : middle + 20])
    path.write_bytes(content)
    assert code_of(read_lesion_masks, path, volume) == "mask.damaged"


def test_an_unpacked_size_beyond_the_limit_is_refused_before_it_is_unpacked(
    make_volume: MakeVolume, write_image: Write, truth: Truth, code_of: CodeOf
) -> None:
    volume = make_volume("anisotropic")
    path = write_image(truth(volume).astype(np.float64), volume.geometry.affine, ".mha", is_compressed=True)
    limits = ReadingSettings(max_file_bytes=volume.hu.size * 8 - 1)
    assert code_of(read_lesion_masks, path, volume, limits=limits) == "mask.too_large"


def test_images_and_probabilities_are_not_masks(
    make_volume: MakeVolume, write_image: Write, truth: Truth, code_of: CodeOf
) -> None:
    volume = make_volume("anisotropic")
    probability = np.where(truth(volume), 0.7, 0.0).astype(np.float32)
    path = write_image(probability, volume.geometry.affine, ".nii")
    assert code_of(read_lesion_masks, path, volume) == "mask.not_labels"
    path = write_image(volume.hu - np.int16(100), volume.geometry.affine, ".nrrd")
    assert code_of(read_lesion_masks, path, volume) == "mask.not_labels"
    atlas = np.arange(volume.hu.size, dtype=np.int32).reshape(volume.hu.shape) % 117
    assert code_of(read_lesion_masks, write_image(atlas, volume.geometry.affine, ".nii"), volume) == "mask.too_many"


def test_a_mask_over_the_edge_is_cut_and_one_outside_refused(
    make_volume: MakeVolume, write_image: Write, truth: Truth, full: Truth, code_of: CodeOf
) -> None:
    volume = make_volume("anisotropic")
    larger = make_volume("anisotropic", shift=(9, 0, 0))
    path = write_image(truth(volume).astype(np.uint8), volume.geometry.affine, ".nii")
    (contour,) = read_lesion_masks(path, larger)
    assert contour.is_cut
    np.testing.assert_array_equal(full(contour, larger), truth(larger))
    affine = volume.geometry.affine.copy()
    affine[2, 3] += 400
    path = write_image(truth(volume).astype(np.uint8), affine, ".nii")
    assert code_of(read_lesion_masks, path, volume) == "mask.outside_volume"
    path = write_image(np.zeros(volume.hu.shape, dtype=np.uint8), volume.geometry.affine, ".nii")
    assert code_of(read_lesion_masks, path, volume) == "mask.empty"


@pytest.mark.parametrize(
    "content", [b"", b"x", b"DICM", b"\x1f\x8b", b"\0" * 132 + b"DICM", b"<html>" * 100, b"\2\0\0\0" * 50]
)
def test_foreign_files_are_refused_by_name(
    content: bytes, make_volume: MakeVolume, tmp_path: Path, code_of: CodeOf
) -> None:
    path = tmp_path / "mask"
    path.write_bytes(content)
    code = code_of(read_lesion_masks, path, make_volume("anisotropic"))
    assert code in {"mask.unknown_format", "mask.damaged"}


def test_what_is_no_file_is_refused_by_name(make_volume: MakeVolume, tmp_path: Path, code_of: CodeOf) -> None:
    volume = make_volume("anisotropic")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "pipe"):
        assert code_of(read_lesion_masks, path, volume) == "mask.not_readable"
    (tmp_path / "big").write_bytes(b"\0" * 2000)
    limits = ReadingSettings(max_file_bytes=1000)
    assert code_of(read_lesion_masks, tmp_path / "big", volume, limits=limits) == "mask.too_large"
