"""The geometry and calibration traps of real archives: the true size, or the right refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.uid import generate_uid
from scipy import ndimage

from calcreport.errors import CalibrationError, GeometryError, InputError
from calcreport.model.image import LOWEST_HU, NOT_IMAGED_HU


def refused(reader: Any, path: Any) -> str:
    with pytest.raises(InputError) as caught:
        reader.read(path)
    return caught.value.code


def test_plain_series_has_true_size_and_place(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    ct = reader.read(write_ct(recipe))
    check_true_size(ct, recipe)
    assert ct.geometry.spacing_mm == pytest.approx((1.0, 1.25, 2.0))
    assert ct.notes == ()
    assert [s.instance_number for s in ct.volume.slices] == list(range(1, 17))
    assert not ct.volume.hu.flags.writeable


# 1 gantry tilt
@pytest.mark.parametrize("tilt_deg", [-25.0, 5.0, 18.5])
def test_tilted_gantry_is_measured_through_the_affine(write_ct, reader, recipe_type, check_true_size, tilt_deg):
    tilt = np.radians(tilt_deg)
    recipe = recipe_type(orientation=(1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)), count=24)
    ct = reader.read(write_ct(recipe, GantryDetectorTilt="0", SpacingBetweenSlices="2.0"))
    check_true_size(ct, recipe)
    assert ct.geometry.tilt_deg == pytest.approx(abs(tilt_deg), abs=0.1)
    assert ct.geometry.spacing_mm[2] == pytest.approx(2.0 * np.cos(tilt), rel=1e-4)
    assert "tilted" in ct.notes[0]


def test_slices_lying_nearly_along_their_step_are_refused(write_ct, reader, recipe_type):
    recipe = recipe_type(step=(0.0, 4.0, 1.5))
    assert refused(reader, write_ct(recipe)) == "geometry.shear"


# 2 missing slice
@pytest.mark.parametrize(("skip", "where"), [((7,), "7 and 9"), ((7, 8), "7 and 10"), ((1,), "1 and 3")])
def test_missing_slices_are_refused_with_their_place(write_ct, reader, skip, where):
    with pytest.raises(GeometryError, match=f"{len(skip)} missing between images {where}") as caught:
        reader.read(write_ct(skip=skip))
    assert caught.value.code == "geometry.missing_slice"


def test_two_blocks_far_apart_are_refused(write_ct, reader, recipe_type):
    positions = np.array([[-25, -24, z] for z in (*range(0, 20, 2), *range(300, 320, 2))], dtype=float)
    assert refused(reader, write_ct(recipe_type(positions=positions))) == "geometry.missing_slice"


# 3 duplicate slices
def test_the_same_file_twice_counts_once(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    folder = write_ct(recipe)
    (folder / "copy").mkdir()
    for file in list(folder.glob("000*")):
        (folder / "copy" / file.name).write_bytes(file.read_bytes())
    ct = reader.read(folder)
    check_true_size(ct, recipe)
    assert ct.geometry.shape[0] == recipe.count
    assert "identical copies" in ct.notes[0]


def test_one_uid_with_two_images_is_refused(write_ct, reader):
    def edit(number, ds):
        if number == 3:
            ds.SOPInstanceUID = "1.2.3"
        if number == 4:
            ds.SOPInstanceUID = "1.2.3"

    assert refused(reader, write_ct(edit=edit)) == "geometry.conflicting_instances"


def repeat_slice(recipe, write_ct, make_slice, save_dataset, hu_shift):
    folder = write_ct(recipe)
    hu = recipe.paint()[5] + np.int16(hu_shift)
    ds = make_slice(recipe, 5, hu)
    ds.InstanceNumber = 99
    save_dataset(ds, folder / "again")
    return folder


def test_a_repeated_slice_with_equal_pixels_is_dropped(
    write_ct, reader, recipe_type, make_slice, save_dataset, check_true_size
):
    recipe = recipe_type()
    ct = reader.read(repeat_slice(recipe, write_ct, make_slice, save_dataset, 0))
    check_true_size(ct, recipe)
    assert ct.geometry.shape[0] == recipe.count
    assert "same position" in ct.notes[0]


def test_a_repeated_slice_with_other_pixels_is_refused(write_ct, reader, recipe_type, make_slice, save_dataset):
    folder = repeat_slice(recipe_type(), write_ct, make_slice, save_dataset, 30)
    assert refused(reader, folder) == "geometry.duplicate_positions"


# 4 uneven spacing
@pytest.mark.parametrize("name", ["mixed", "drift", "jitter"])
def test_uneven_spacing_is_refused(write_ct, reader, recipe_type, name):
    z = {
        "mixed": [*np.arange(0, 20, 1.25), *np.arange(20, 60, 7.0)],
        "drift": np.cumsum(np.linspace(1.96, 2.05, 60)),
        "jitter": np.arange(20) * 2.0 + 0.09 * np.array([0, 1] * 10),
    }[name]
    positions = np.column_stack([np.full(len(z), -25.0), np.full(len(z), -24.0), z])
    assert refused(reader, write_ct(recipe_type(positions=positions))) == "geometry.irregular_spacing"


def test_rounding_of_positions_is_not_uneven_spacing(write_ct, reader, recipe_type, check_true_size):
    z = np.round(100 + np.arange(40) * 0.625, 2)
    positions = np.column_stack([np.full(40, -25.0), np.full(40, -24.0), z])
    recipe = recipe_type(positions=positions, radius=8.0)
    ct = reader.read(write_ct(recipe))
    assert ct.geometry.spacing_mm[2] == pytest.approx(0.625, rel=1e-3)
    check_true_size(ct, recipe)


# 5, 6, 7 attributes that must not be believed
@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ({"SliceThickness": "5"}, "overlap"),
        ({"SliceThickness": "1"}, "gaps"),
        ({"SliceThickness": ""}, "not stated"),
        ({"SliceThickness": None}, "not stated"),
        ({"SpacingBetweenSlices": "-2.5"}, "not used"),
        ({"SpacingBetweenSlices": "5"}, "not used"),
        ({"SliceLocation": "7"}, ""),
        ({"SliceThickness": "0"}, "not stated"),
    ],
)
def test_size_does_not_follow_thickness_or_stated_spacing(write_ct, reader, recipe_type, check_true_size, tags, note):
    recipe = recipe_type()
    ct = reader.read(write_ct(recipe, **tags))
    check_true_size(ct, recipe)
    assert ct.geometry.spacing_mm[2] == pytest.approx(2.0)
    assert note in " ".join(ct.notes)


# 8 localizer and mixed orientation
def test_a_localizer_in_the_series_is_set_apart(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()

    def edit(number, ds):
        if number == 0:
            ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    folder = write_ct(recipe, edit=edit)
    check_true_size(reader.read(folder), recipe)
    ranking = reader.rank(folder)
    assert [(e.code, e.status, e.image_count) for e in ranking.entries] == [("series.localizer", "skipped", 1)]


def test_two_orientations_in_one_series_become_two_stacks(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    write_ct(recipe)
    other = recipe_type(orientation=(1, 0, 0, 0, 0, -1), step=(0, 2, 0), origin=(-25, 0, 140), uids=recipe.uids)
    write_ct(other, folder="ct/reformat", ImageType=["DERIVED", "SECONDARY", "MPR"], InstanceNumber=500)
    ranking = reader.rank(write_ct.root)
    assert len(ranking.candidates) == 2
    check_true_size(reader.read(write_ct.root), recipe)


# 9 mixed kernels
def test_two_kernels_in_one_series_become_two_stacks_soft_first(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    write_ct(recipe, folder="a", ConvolutionKernel="B70f")
    write_ct(recipe, folder="b", ConvolutionKernel="B30f")
    first, second = reader.rank(write_ct.root).candidates
    assert (first.planes[0].kernel, second.planes[0].kernel) == ("B30f", "B70f")
    assert "kernel B70f" in second.stack
    check_true_size(reader.read(write_ct.root), recipe)


def test_an_attribute_that_alternates_along_one_stack_is_refused(write_ct, reader):
    def edit(number, ds):
        ds.ConvolutionKernel = "B30f" if number % 2 else "B31f"

    assert refused(reader, write_ct(edit=edit)) == "series.interleaved"


# 10 phases
@pytest.mark.parametrize(
    "keyword", ["AcquisitionNumber", "TemporalPositionIdentifier", "AcquisitionTime", "ContentTime", "TriggerTime"]
)
def test_phases_in_one_series_are_split_by_their_key(write_ct, reader, recipe_type, check_true_size, keyword):
    recipe = recipe_type()
    write_ct(recipe, folder="a", **{"ContentTime": "101500", keyword: "1"})
    write_ct(recipe, folder="b", **{"ContentTime": "101500", keyword: "2", "InstanceNumber": 77})
    ranking = reader.rank(write_ct.root)
    assert [len(stack.planes) for stack in ranking.candidates] == [recipe.count] * 2
    assert len({stack.stack for stack in ranking.candidates}) == 2
    check_true_size(reader.read(write_ct.root), recipe)


def test_two_fields_of_view_in_one_series_are_split(write_ct, reader, recipe_type):
    recipe = recipe_type()
    write_ct(recipe, folder="left")
    right = recipe_type(origin=(125.0, -24.0, 100.0), uids=recipe.uids)
    write_ct(right, folder="right", InstanceNumber=300)
    candidates = reader.rank(write_ct.root).candidates
    assert [len(stack.planes) for stack in candidates] == [recipe.count] * 2


# 11 frames of reference
def test_two_frames_of_reference_are_refused(write_ct, reader):
    def edit(number, ds):
        if number > 8:
            ds.FrameOfReferenceUID = "1.2.840.9.9"

    assert refused(reader, write_ct(edit=edit)) == "geometry.frames_of_reference"


# 12 order and patient position
@pytest.mark.parametrize("position", ["HFS", "FFS", "HFP", "HFDR", "FFDL", "", "rubbish"])
@pytest.mark.parametrize("sign", [1, -1])
def test_order_follows_positions_and_not_numbers(write_ct, reader, recipe_type, check_true_size, position, sign):
    recipe = recipe_type(step=(0.0, 0.0, 2.0 * sign))
    ct = reader.read(write_ct(recipe, PatientPosition=position))
    check_true_size(ct, recipe)
    z = ct.volume.geometry.lps_mm(np.array([[0, 0, 0], [1, 0, 0]]))[:, 2]
    assert z[1] > z[0]
    assert ct.volume.slices[0].instance_number == (1 if sign > 0 else recipe.count)


def test_shuffled_instance_numbers_change_nothing(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    check_true_size(reader.read(write_ct(recipe, edit=lambda n, ds: setattr(ds, "InstanceNumber", 7 * n % 16))), recipe)


def test_missing_instance_numbers_change_nothing(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    check_true_size(reader.read(write_ct(recipe, edit=lambda _n, ds: setattr(ds, "InstanceNumber", None))), recipe)


# 13 any plane
@pytest.mark.parametrize(
    ("orientation", "step", "name"),
    [
        ((0, 1, 0, 0, 0, -1), (2, 0, 0), "sagittal"),
        ((0, 1, 0, 0, 0, -1), (-2, 0, 0), "sagittal"),
        ((1, 0, 0, 0, 0, -1), (0, 2, 0), "coronal"),
        ((-1, 0, 0, 0, -1, 0), (0, 0, 2), ""),
        ((0.8, 0.6, 0, 0, 0, -1), (1.2, -1.6, 0), ""),
    ],
)
def test_any_orientation_is_measured(  # noqa: PLR0917
    write_ct, reader, recipe_type, measure_mineral, orientation, step, name
):
    recipe = recipe_type(orientation=orientation, step=step, origin=(0, 0, 0), count=24)
    ct = reader.read(write_ct(recipe))
    volume, centroid, diameters = measure_mineral(ct)
    assert volume == pytest.approx(recipe.volume_mm3, rel=0.06)
    assert np.abs(centroid - recipe.centre).max() < 0.5
    assert np.abs(diameters - 18).max() < 0.5
    assert name in " ".join(ct.notes)


# 15 rescale of each slice
def test_every_slice_has_its_own_rescale(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()

    def edit(number, ds):
        if number % 2:
            ds.RescaleSlope, ds.RescaleIntercept = "0.5", "-1200"
            hu = np.frombuffer(ds.PixelData, dtype="<u2").astype(int) - 1024
            ds.PixelData = ((hu + 1200) * 2).astype("<u2").tobytes()
            ds.BitsStored, ds.HighBit = 16, 15

    ct = reader.read(write_ct(recipe, edit=edit))
    check_true_size(ct, recipe)
    assert sorted(np.unique(ct.volume.hu)) == [-1000, 40, 700]


# 16 not Hounsfield units
@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"RescaleType": "US"}, "calibration.rescale_type"),
        ({"RescaleType": "Z_EFF"}, "calibration.rescale_type"),
        ({"RescaleType": "ED"}, "calibration.rescale_type"),
        ({"RescaleType": "HU_MOD"}, "calibration.rescale_type"),
        ({"RescaleSlope": "0"}, "calibration.slope"),
        ({"RescaleSlope": "-1"}, "calibration.slope"),
        ({"RescaleSlope": "1e30"}, "calibration.slope"),
        ({"RescaleSlope": "NaN"}, "calibration.no_rescale"),
        ({"RescaleSlope": "inf"}, "calibration.no_rescale"),
        ({"RescaleSlope": None}, "calibration.no_rescale"),
        ({"RescaleIntercept": ""}, "calibration.no_rescale"),
        ({"RescaleIntercept": "1\\2"}, "calibration.no_rescale"),
        ({"RescaleIntercept": "0_8"}, "calibration.no_rescale"),
    ],
)
def test_values_that_are_not_hounsfield_units_are_refused(write_ct, reader, tags, code):
    with pytest.raises(CalibrationError) as caught:
        reader.read(write_ct(**tags))
    assert caught.value.code == code


@pytest.mark.parametrize("origin", ["ORIGINAL", "DERIVED"])
@pytest.mark.parametrize("unit", [None, ""])
def test_without_rescale_type_values_are_in_hounsfield_units(
    write_ct, reader, recipe_type, check_true_size, unit, origin
):
    recipe = recipe_type()
    ct = reader.read(write_ct(recipe, RescaleType=unit, ImageType=[origin, "SECONDARY", "AXIAL"]))
    check_true_size(ct, recipe)
    assert sum("unit of the values is not stated" in note for note in ct.notes) == (origin == "DERIVED")


@pytest.mark.parametrize("intercept", ["0", "-24", "86", "-914", "-2048"])
@pytest.mark.parametrize("unit", [None, "HU"])
def test_a_wrong_intercept_is_refused_whatever_the_header_says(write_ct, reader, unit, intercept):
    tags = {"RescaleType": unit, "ImageType": ["DERIVED", "PRIMARY", "AXIAL"], "RescaleIntercept": intercept}
    assert refused(reader, write_ct(**tags)).startswith("calibration.")


# 17 padding
@pytest.mark.parametrize(("value", "limit"), [(4095, None), (4000, 4090)])
def test_padding_is_not_imaged_before_anything_is_measured(
    write_ct, reader, recipe_type, check_true_size, value, limit
):
    recipe = recipe_type()

    def edit(_number, ds):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2").reshape(recipe.rows, recipe.columns).copy()
        pixels[:6] = value
        pixels[6:8] = limit or value
        ds.PixelData = pixels.tobytes()
        ds.add_new(0x00280120, "US", value)
        if limit:
            ds.add_new(0x00280121, "US", limit)

    ct = reader.read(write_ct(recipe, edit=edit))
    check_true_size(ct, recipe)
    assert (ct.volume.hu[:, :8] == NOT_IMAGED_HU).all()
    assert (ct.volume.hu[:, 8:] >= LOWEST_HU).all()


def test_padding_too_wide_for_the_stored_bits_is_found(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()

    def edit(_number, ds):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2").reshape(recipe.rows, recipe.columns).copy()
        pixels[:6] = 63536
        ds.PixelData = pixels.tobytes()
        ds.add_new(0x00280120, "US", 63536)

    ct = reader.read(write_ct(recipe, edit=edit))
    check_true_size(ct, recipe)
    assert (ct.volume.hu[:, :6] == NOT_IMAGED_HU).all()


def test_signed_padding(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()

    def edit(_number, ds):
        hu = np.frombuffer(ds.PixelData, dtype="<u2").astype(np.int16) - 1024
        pixels = hu.reshape(recipe.rows, recipe.columns)
        pixels[:6] = -2000
        ds.PixelData = pixels.astype("<i2").tobytes()
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit, ds.RescaleIntercept = 1, 16, 15, "0"
        ds.add_new(0x00280120, "SS", -2000)

    ct = reader.read(write_ct(recipe, edit=edit))
    check_true_size(ct, recipe)
    assert (ct.volume.hu[:, :6] == NOT_IMAGED_HU).all()
    assert (ct.volume.hu[:, 6:] > NOT_IMAGED_HU).all()


def test_undeclared_padding_in_the_corners_is_found(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()

    def edit(_number, ds):
        hu = np.frombuffer(ds.PixelData, dtype="<u2").astype(np.int16).reshape(recipe.rows, recipe.columns) - 1024
        hu[:3], hu[-3:] = -3024, -3024
        ds.PixelData = (hu + 1024).astype("<i2").tobytes()
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 16, 15

    ct = reader.read(write_ct(recipe, edit=edit))
    check_true_size(ct, recipe)
    assert (ct.volume.hu[:, :3] == NOT_IMAGED_HU).all()


def air_clipped_to_padding(recipe, is_declared, cut=None):
    """Skin blurred against air, which is clipped to the padding value; `cut` rows are padding, whatever lies there."""

    def edit(_number, ds):
        hu = np.frombuffer(ds.PixelData, dtype="<u2").astype(float).reshape(recipe.rows, recipe.columns) - 1024
        hu = ndimage.gaussian_filter(np.where(hu <= -1000, -1040.0, hu), 0.7).round().astype(int).clip(-1024)
        hu[:cut] = -1024 if cut else hu[:cut]
        ds.PixelData = (hu + 1024).astype("<u2").tobytes()
        if is_declared:
            ds.add_new(0x00280120, "US", 0)

    return edit


@pytest.mark.parametrize("is_declared", [True, False])
def test_air_clipped_to_the_padding_value_is_air(write_ct, reader, recipe_type, is_declared):
    recipe = recipe_type()
    ct = reader.read(write_ct(recipe, edit=air_clipped_to_padding(recipe, is_declared)))
    assert (ct.volume.hu >= LOWEST_HU).all()


@pytest.mark.parametrize("is_declared", [True, False])
def test_padding_that_cuts_the_body_is_not_imaged_although_air_has_its_value(
    write_ct, reader, recipe_type, is_declared
):
    recipe = recipe_type()
    cut = recipe.rows // 2 - 10
    ct = reader.read(write_ct(recipe, edit=air_clipped_to_padding(recipe, is_declared, cut)))
    is_tissue = ct.volume.hu[:, cut] > -300
    assert is_tissue.any(axis=1).all()
    assert (ct.volume.hu[:, cut - 1][is_tissue] == NOT_IMAGED_HU).all()
    assert (ct.volume.hu[:, cut + 9 :] >= LOWEST_HU).all(), "where nothing is cut, it is air"


def test_gas_with_the_padding_value_inside_the_body_is_imaged(write_ct, reader, recipe_type):
    recipe = recipe_type()

    def edit(_number, ds):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2").reshape(recipe.rows, recipe.columns).copy()
        middle = recipe.rows // 2
        pixels[middle - 13 : middle - 11, 18:24] = 0
        ds.PixelData = pixels.tobytes()
        ds.add_new(0x00280120, "US", 0)

    assert (reader.read(write_ct(recipe, edit=edit)).volume.hu >= LOWEST_HU).all()


# 19 clipped scale
def test_twelve_bits_clip_at_3071_and_say_so(write_ct, reader):
    assert reader.read(write_ct()).volume.ceiling_hu == 3071


def test_a_wide_scale_has_no_ceiling(write_ct, reader):
    assert reader.read(write_ct(BitsStored=16, HighBit=15)).volume.ceiling_hu is None


def test_sixteen_bits_that_still_stop_at_3071_have_a_ceiling(write_ct, reader):
    def edit(_number, ds):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2").copy()
        pixels[900:905] = 4095
        ds.PixelData = pixels.tobytes()

    assert reader.read(write_ct(edit=edit, BitsStored=16, HighBit=15)).volume.ceiling_hu == 3071


# 20 pixel spacing
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "0\\0",
        "-1\\-1",
        "1",
        "1\\1\\1",
        "1,5\\1,5",
        "0_8\\0_8",
        "NaN\\NaN",
        "inf\\1",
        "１\\１",
        "0.001\\1",
        "25\\25",
        "1e-5\\1",
        "0x1\\1",
        "one\\two",
        "1\\",
    ],
)
def test_a_doubtful_pixel_spacing_is_refused(write_ct, reader, value):
    def edit(_number, ds):
        del ds.PixelSpacing
        if value is not None:
            ds.add_new(0x00280030, "LO", value)
            ds.SpecificCharacterSet = "ISO_IR 192"

    assert refused(reader, write_ct(edit=edit)) == "geometry.pixel_spacing"


def test_row_spacing_comes_first(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type(spacing=(0.8, 1.6))
    ct = reader.read(write_ct(recipe))
    assert ct.geometry.spacing_mm[:2] == (0.8, 1.6)
    check_true_size(ct, recipe)


# position and orientation
@pytest.mark.parametrize("value", [None, "", "1\\2", "a\\b\\c", "NaN\\0\\0", "1\\2\\3\\4"])
def test_a_missing_position_is_refused(write_ct, reader, value):
    def edit(number, ds):
        if number == 4:
            del ds.ImagePositionPatient
            if value is not None:
                ds.add_new(0x00200032, "LO", value)

    assert refused(reader, write_ct(edit=edit)) == "geometry.no_position"


@pytest.mark.parametrize(
    "value", ["", "1\\0\\0\\1\\0\\0", "0\\0\\0\\0\\0\\0", "2\\0\\0\\0\\2\\0", "1\\0\\0\\0\\1", "1\\0\\0\\0.5\\0.866\\0"]
)
def test_a_doubtful_orientation_is_refused(write_ct, reader, value):
    def edit(_number, ds):
        del ds.ImageOrientationPatient
        ds.add_new(0x00200037, "LO", value)

    assert refused(reader, write_ct(edit=edit)) == "geometry.orientation"


def test_slices_shifted_sideways_are_refused(write_ct, reader, recipe_type):
    recipe = recipe_type()
    recipe.positions[9, 0] += 3.0
    assert refused(reader, write_ct(recipe)) == "geometry.shifted_slices"


# 21, 22 lossy and burned in
def test_lossy_compression_is_told(write_ct, reader):
    ct = reader.read(write_ct(LossyImageCompression="01", LossyImageCompressionRatio="8"))
    assert any("compressed lossily" in note for note in ct.notes)
    assert "lossily (ratio 8:1)" in " ".join(ct.notes)


def test_heavy_lossy_compression_is_refused(write_ct, reader):
    assert refused(reader, write_ct(LossyImageCompression="01", LossyImageCompressionRatio="40")) == "pixel.lossy_ratio"


def test_burned_in_text_is_told(write_ct, reader):
    assert "burned-in" in " ".join(reader.read(write_ct(BurnedInAnnotation="YES")).notes)


# 23 - 26 what is no CT of tissue
@pytest.mark.parametrize(
    ("tags", "code", "status"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "series.secondary_capture", "skipped"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, "series.secondary_capture", "skipped"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "series.secondary_capture", "refused"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "series.projection", "refused"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MINIP"]}, "series.projection", "refused"),
        ({"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]}, "series.projection", "refused"),
        ({"ImageType": ["DERIVED", "SECONDARY", "VRT"]}, "series.projection", "refused"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VMI"]}, "series.spectral", "refused"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VNC"]}, "series.spectral", "refused"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "IODINE"]}, "series.spectral", "refused"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VIRTUAL_NON_CONTRAST"]}, "series.spectral", "refused"),
        ({"MultienergyCTAcquisition": "YES"}, "series.spectral", "refused"),
        ({"ManufacturerModelName": "i-CAT"}, "series.not_ct_scanner", "refused"),
        ({"ManufacturerModelName": "NewTom VGi"}, "series.not_ct_scanner", "refused"),
        ({"AcquisitionType": "CONSTANT_ANGLE"}, "series.not_ct_scanner", "refused"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT"}, "series.pet", "skipped"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1", "Modality": "CR"}, "series.radiograph", "skipped"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "Modality": "DX"}, "series.radiograph", "skipped"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}, "series.mr", "skipped"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67", "Modality": "SR"}, "series.dose_report", "skipped"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33", "Modality": "SR"}, "series.structured_report", "skipped"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.3", "Modality": "RTSTRUCT"}, "series.rtstruct", "skipped"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Modality": "SEG"}, "series.segmentation", "skipped"),
        ({"SOPClassUID": "1.2.3.4", "Modality": "CT"}, "series.other", "skipped"),
        ({"PixelData": None}, "series.no_image", "skipped"),
    ],
)
def test_other_series_are_named_and_not_measured(write_ct, reader, tags, code, status):
    ranking = reader.rank(write_ct(**tags))
    assert ranking.candidates == ()
    assert [(entry.code, entry.status) for entry in ranking.entries] == [(code, status)]
    assert ranking.entries[0].image_count == 16


def test_a_derived_reformat_is_measured_with_a_note(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type(orientation=(1, 0, 0, 0, 0, -1), step=(0, 2, 0))
    ct = reader.read(write_ct(recipe, ImageType=["DERIVED", "SECONDARY", "MPR"]))
    check_true_size(ct, recipe)
    assert "derived" in " ".join(ct.notes)


@pytest.mark.parametrize("air", [-600, -500, -1400])
def test_air_far_from_minus_1000_is_refused(write_ct, reader, air):
    def edit(_number, ds):
        hu = np.frombuffer(ds.PixelData, dtype="<u2").astype(np.int32) - 1024
        noise = np.random.default_rng(0).normal(0, 15, hu.shape)
        ds.PixelData = (np.where(hu < -500, air + noise, hu) + 2000).astype("<u2").tobytes()
        ds.RescaleIntercept = "-2000"

    assert refused(reader, write_ct(edit=edit)) == "calibration.air"


def test_a_crop_without_air_is_read(write_ct, reader):
    def edit(_number, ds):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2")
        ds.PixelData = np.where(pixels < 500, 1064, pixels).astype("<u2").tobytes()

    ct = reader.read(write_ct(edit=edit))
    assert ct.volume.hu.min() == 40
    assert ct.notes == ("Too little of air, fat and muscle is imaged to check the HU scale.",)


# 27 patient mix
@pytest.mark.parametrize(
    "tags",
    [{"PatientID": "other"}, {"PatientBirthDate": "19800101"}, {"PatientName": "Roe^Richard"}, {"PatientID": ""}],
)
def test_two_patients_in_one_series_are_refused(write_ct, reader, tags):
    def edit(number, ds):
        if number > 7:
            for keyword, value in tags.items():
                setattr(ds, keyword, value)

    assert refused(reader, write_ct(edit=edit)) == "series.mixed_patients"


def test_one_series_uid_in_two_studies_is_refused(write_ct, reader):
    def edit(number, ds):
        if number > 7:
            ds.StudyInstanceUID = "1.2.3.4"

    with reader.discover(write_ct(edit=edit)) as found:
        problems = {series.problem for study in found.studies for series in study.series}
    assert problems == {"series.mixed_studies"}


def test_two_patients_in_one_study_are_refused(write_ct, reader, recipe_type):
    recipe = recipe_type()
    write_ct(recipe, folder="a")
    other = recipe_type(uids={**recipe.uids, "series": generate_uid()})
    write_ct(other, folder="b", PatientID="other")
    assert refused(reader, write_ct.root) == "study.mixed_patients"


# 28 too few slices
@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_slices_are_no_volume(write_ct, reader, recipe_type, count):
    recipe = recipe_type(positions=np.array([[-25.0, -24.0, 2.0 * i] for i in range(count)]))
    assert refused(reader, write_ct(recipe)) == "geometry.too_few_slices"


def test_three_slices_are_a_volume(write_ct, reader, recipe_type):
    recipe = recipe_type(positions=np.array([[-25.0, -24.0, 2.0 * i] for i in range(3)]))
    assert reader.read(write_ct(recipe)).geometry.shape[0] == 3
