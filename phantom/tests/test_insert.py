"""Lesions put into a host: how much, how dense, where, and nothing else; read and written as DICOM."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from calcphantom import Kernel, PhantomRecipe, Region, ScanRecipe, make_phantom, write_study
from calcphantom.insert import (
    KINDS,
    ROUGH_KINDS,
    Host,
    HostError,
    Inserted,
    Tissue,
    Wish,
    insert_lesions,
    map_tissues,
    read_host,
    write_host,
)
from calcphantom.insert.blur import DEFAULT_PIXELS, measure_blur_mm, measure_noise_hu
from pydicom import dcmread

from calcreport.model.image import NOT_IMAGED_HU

SCAN = ScanRecipe(pixel_mm=0.9, spacing_mm=3.0, noise_hu=15.0)


def recipe(scan: ScanRecipe = SCAN, *, length_mm: float = 90.0) -> PhantomRecipe:
    return PhantomRecipe(
        kind="host", region=Region.THIGH, seed=5, scan=scan, length_mm=length_mm, fat_mm=22.0, laterality="left"
    )


def written(folder: Path, scan: ScanRecipe = SCAN, *, length_mm: float = 90.0, syntax: str = "explicit") -> Path:
    made = recipe(scan, length_mm=length_mm)
    write_study(*make_phantom(made), made, folder, transfer_syntax=syntax)
    return folder


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return read_host(written(tmp_path_factory.mktemp("host")))


def wish(kind: str, diameter_mm: float, tissue: Tissue = Tissue.LIMB, hu: float = 600.0) -> Wish:
    return Wish(kind=kind, diameter_mm=diameter_mm, hu=hu, tissue=tissue)


@pytest.fixture(scope="module")
def put(host: Host) -> Callable[..., Inserted]:
    """Put lesions into the host, whose tissues are mapped once."""
    return partial(insert_lesions, host, tissues=map_tissues(host.hu(), host.geometry))


@pytest.fixture(scope="module")
def inserted(put: Callable[..., Inserted]) -> Inserted:
    wishes = (wish("punctate", 9.0), wish("solid", 12.0, Tissue.SUBCUTANEOUS), wish("solid", 24.0, hu=500.0))
    return put(wishes, seed=2)


def window_of(inserted: Inserted, number: int, margin: float = 6.0) -> tuple[slice, ...]:
    geometry = inserted.host.geometry
    low, high = (geometry.index(np.array(corner)) for corner in inserted.lesions[number].box_lps_mm)
    first, last = np.minimum(low, high) - margin, np.maximum(low, high) + margin
    return tuple(slice(max(0, int(a)), int(b) + 2) for a, b in zip(first, last, strict=True))


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "rle", "jpeg-lossless", "jpeg-ls", "jpeg2000"])
def test_a_series_comes_back_as_it_was_whatever_its_compression(syntax: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "first", length_mm=12.0, syntax=syntax)
    first = read_host(folder)
    write_host(first, tmp_path / "second", salt="a")
    second = read_host(tmp_path / "second")
    assert np.array_equal(first.stored, second.stored)
    assert np.allclose(first.geometry.affine, second.geometry.affine, atol=1e-6)
    volume, _ = make_phantom(recipe(length_mm=12.0))
    assert np.array_equal(second.hu().astype(int), volume.hu)


def test_every_uid_is_new_the_same_for_the_same_salt_and_the_rest_stays(host: Host, tmp_path: Path) -> None:
    for folder, salt in (("a", "one"), ("b", "one"), ("c", "two")):
        write_host(host, tmp_path / folder, salt=salt)
    a, b, c = (dcmread(tmp_path / f / "slice_0002.dcm") for f in "abc")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        values = [str(getattr(ds, keyword)) for ds in (a, b, c, host.headers[1])]
        assert values[0] == values[1]
        assert len(set(values)) == 3
    assert (tmp_path / "a" / "slice_0002.dcm").read_bytes() == (tmp_path / "b" / "slice_0002.dcm").read_bytes()
    assert a.file_meta.MediaStorageSOPInstanceUID == a.SOPInstanceUID
    assert (a.PatientID, a.ConvolutionKernel, a.SOPClassUID) == (
        host.headers[1].PatientID, host.headers[1].ConvolutionKernel, host.headers[1].SOPClassUID,
    )  # fmt: skip
    uids = {str(dcmread(p, stop_before_pixels=True).SOPInstanceUID) for p in (tmp_path / "a").iterdir()}
    assert len(uids) == len(host.headers)


def test_the_mineral_added_is_as_much_as_the_lesion_holds(inserted: Inserted, host: Host) -> None:
    for number, lesion in enumerate(inserted.lesions):
        window = window_of(inserted, number)
        change = inserted.change_hu[window]
        tissue = float(np.median(host.hu()[window][change > 50]))
        expected = lesion.volume_mm3 * (lesion.mean_hu - tissue)
        if lesion.kind == "punctate" or lesion.tissue == Tissue.LIMB:
            assert change.sum() * host.geometry.voxel_volume_mm3 == pytest.approx(expected, rel=0.06)


def test_a_lesion_larger_than_the_blur_reaches_its_density(inserted: Inserted) -> None:
    punctate = inserted.lesions[0]
    assert 0.85 * punctate.hu < punctate.peak_hu < 1.05 * punctate.hu
    assert all(lesion.is_detectable for lesion in inserted.lesions)


def test_a_lesion_thinner_than_the_voxels_is_fainter(put: Callable[..., Inserted]) -> None:
    (lesion,) = put((wish("punctate", 2.5),), seed=1).lesions
    assert lesion.peak_hu < 0.75 * lesion.hu


def test_a_lesion_lies_where_its_truth_says_to_half_a_voxel(inserted: Inserted) -> None:
    geometry = inserted.host.geometry
    window = window_of(inserted, 0)
    weight = inserted.change_hu[window].astype(float)
    index = np.indices(weight.shape).reshape(3, -1) + np.array([[s.start] for s in window])
    middle = (index * weight.reshape(-1)).sum(axis=1) / weight.sum()
    assert np.abs(middle - geometry.index(np.array(inserted.lesions[0].centre_lps_mm))).max() < 0.5


def test_the_host_is_untouched_elsewhere(inserted: Inserted, host: Host) -> None:
    elsewhere = np.ones(host.stored.shape, dtype=bool)
    for number in range(len(inserted.lesions)):
        elsewhere[window_of(inserted, number)] = False
    assert np.array_equal(inserted.host.stored[elsewhere], host.stored[elsewhere])
    assert elsewhere.mean() > 0.9


def test_the_noise_of_the_host_stays_in_the_mineral(put: Callable[..., Inserted]) -> None:
    made = put((wish("punctate", 11.0, hu=700.0),), seed=3)
    window = window_of(made, 0)
    full = made.change_hu[window] > 0.9 * made.change_hu.max()
    inside = made.host.hu()[window][full]
    assert full.sum() > 30
    assert 0.5 * SCAN.noise_hu < inside.std() < 1.6 * SCAN.noise_hu


def test_the_same_seed_puts_the_same_lesions_and_another_others(put: Callable[..., Inserted]) -> None:
    first, again, other = (put((wish("rim", 18.0),), seed=s) for s in (4, 4, 5))
    assert np.array_equal(first.host.stored, again.host.stored)
    assert first.lesions == again.lesions
    assert first.lesions[0].centre_lps_mm != other.lesions[0].centre_lps_mm


@pytest.mark.parametrize("kind", [*KINDS, *ROUGH_KINDS])
def test_every_kind_finds_its_place_clear_of_bone(kind: str, put: Callable[..., Inserted]) -> None:
    made = put((wish(kind, 14.0), wish(kind, 12.0, Tissue.SUBCUTANEOUS)), seed=7)
    assert made.lesions
    for lesion in made.lesions:
        assert lesion.dense_distance_mm > 4.0
        assert lesion.depth == ("superficial" if lesion.tissue == Tissue.SUBCUTANEOUS else "deep")


def test_fat_and_muscle_are_told_apart_by_what_is_replaced(inserted: Inserted, host: Host) -> None:
    for number, lesion in enumerate(inserted.lesions):
        window = window_of(inserted, number)
        replaced = np.median(host.hu()[window][inserted.change_hu[window] > 50])
        assert (replaced < -50) == (lesion.depth == "superficial")


def test_values_are_clipped_to_what_the_series_can_store(
    host: Host, tmp_path: Path, put: Callable[..., Inserted]
) -> None:
    made = put((wish("punctate", 12.0, hu=9000.0),), seed=2)
    assert made.host.hu().max() == 3071
    write_host(made.host, tmp_path, salt="clipped")
    assert np.array_equal(read_host(tmp_path).stored, made.host.stored)
    assert dcmread(tmp_path / "slice_0001.dcm").BitsStored == host.headers[0].BitsStored


def test_a_given_place_is_used_as_it_is(host: Host, put: Callable[..., Inserted]) -> None:
    place = tuple(float(v) for v in host.geometry.lps_mm(np.array([15.0, 60.0, 60.0])))
    made = put(
        (
            Wish(
                kind="punctate", diameter_mm=6, hu=500, tissue=Tissue.LIMB, place_lps_mm=(place[0], place[1], place[2])
            ),
        ),
        seed=1,
    )
    assert np.allclose(made.lesions[0].centre_lps_mm, place, atol=0.3)


def test_boxes_to_avoid_are_kept_clear_and_lesions_apart(host: Host, put: Callable[..., Inserted]) -> None:
    wishes = tuple(wish("punctate", 6.0) for _ in range(4))
    half = host.geometry.lps_mm(np.array([[0.0, 0, 0], [14.0, 400, 400]]))
    low, high = half.min(axis=0), half.max(axis=0)
    box = ((float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2])))
    made = put(wishes, seed=1, avoid=(box,))
    centres = np.array([lesion.centre_lps_mm for lesion in made.lesions])
    assert centres[:, 2].min() > high[2] + 15
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(len(centres), 1)]
    assert gaps.min() > 20


def test_a_wish_without_room_is_told_and_the_others_go_on(put: Callable[..., Inserted]) -> None:
    made = put((wish("rim", 20.0, Tissue.GLUTEAL), wish("punctate", 6.0)), seed=1)
    assert [w.tissue for w in made.without_room] == [Tissue.GLUTEAL]
    assert len(made.lesions) == 1
    assert made.as_json()["without_room"][0]["kind"] == "rim"


def test_a_thigh_has_fat_and_muscle_and_no_trunk(host: Host) -> None:
    sites = map_tissues(host.hu(), host.geometry).sites
    assert sites[Tissue.SUBCUTANEOUS].any()
    assert sites[Tissue.LIMB].any()
    assert not any(sites[t].any() for t in (Tissue.WALL, Tissue.PARASPINAL, Tissue.GLUTEAL))


@pytest.mark.parametrize(("kernel", "sigma_mm"), [(Kernel.SOFT, 0.50), (Kernel.STANDARD, 0.40)])
def test_blur_is_measured_at_the_skin(kernel: Kernel, sigma_mm: float) -> None:
    pixel = 0.6
    volume, _ = make_phantom(recipe(ScanRecipe(pixel_mm=pixel, spacing_mm=3.0, kernel=kernel), length_mm=30.0))
    true = np.hypot(sigma_mm, pixel / np.sqrt(12))
    assert measure_blur_mm(volume.hu.astype(np.float32), pixel) == pytest.approx(true, rel=0.2)


def test_noise_is_measured_in_soft_tissue(host: Host) -> None:
    assert measure_noise_hu(host.hu()) == pytest.approx(SCAN.noise_hu, rel=0.2)
    assert measure_noise_hu(np.full((4, 30, 30), -1000, dtype=np.float32)) == 0.0


def test_blur_falls_back_where_no_air_is_seen() -> None:
    assert measure_blur_mm(np.full((4, 30, 30), 40, dtype=np.float32), 1.0) == DEFAULT_PIXELS


def test_padding_is_not_imaged_declared_or_not(host: Host) -> None:
    stored = host.stored.copy()
    stored[:, 0, :] = -976  # -2000 HU
    changed = Host(
        headers=host.headers, stored=stored, scale=host.scale, geometry=host.geometry, thickness_mm=host.thickness_mm
    )
    assert (changed.hu()[:, 0] == NOT_IMAGED_HU).all()


def test_a_folder_without_a_stack_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no image", encoding="utf-8")
    with pytest.raises(HostError, match="at least three slices"):
        read_host(tmp_path)


def test_slices_at_unequal_distances_are_refused(tmp_path: Path) -> None:
    written(tmp_path, length_mm=30.0)
    (tmp_path / "slice_0004.dcm").unlink()
    with pytest.raises(HostError, match="unequal"):
        read_host(tmp_path)
