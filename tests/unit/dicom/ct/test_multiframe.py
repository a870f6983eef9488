"""Enhanced and legacy converted CT: geometry and scale frame by frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from calcreport.errors import InputError

ENHANCED = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY = "1.2.840.10008.5.1.4.1.1.2.2"


def item(**values: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def enhanced(recipe, make_slice, *, order=None, shared=True, sop_class=ENHANCED, volumetric="VOLUME") -> Dataset:
    """One multi-frame image of a recipe; frames in `order`."""
    hu = recipe.paint()
    order = list(range(len(hu))) if order is None else order
    ds = make_slice(recipe, 0, hu[0])
    for keyword in [
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
        "KVP",
        "ConvolutionKernel",
        "AcquisitionNumber",
    ]:
        delattr(ds, keyword)
    ds.SOPClassUID, ds.NumberOfFrames, ds.ImageType = sop_class, len(order), ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.VolumetricProperties = "VOLUME"
    common = {
        "PlaneOrientationSequence": Sequence([item(ImageOrientationPatient=list(recipe.orientation))]),
        "PixelMeasuresSequence": Sequence([item(PixelSpacing=list(recipe.spacing), SliceThickness=2.0)]),
        "PixelValueTransformationSequence": Sequence([item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")]),
        "CTReconstructionSequence": Sequence([item(ConvolutionKernel="Br40")]),
        "CTXRayDetailsSequence": Sequence([item(KVP=100)]),
    }
    frames = []
    for number, k in enumerate(order):
        group = item(
            FrameContentSequence=Sequence([item(StackID="1", InStackPositionNumber=number + 1)]),
            PlanePositionSequence=Sequence([item(ImagePositionPatient=[float(v) for v in recipe.positions[k]])]),
            CTImageFrameTypeSequence=Sequence(
                [item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], VolumetricProperties=volumetric)]
            ),
        )
        if not shared:
            for keyword, value in common.items():
                setattr(group, keyword, value)
        frames.append(group)
    ds.SharedFunctionalGroupsSequence = Sequence([item(**common)] if shared else [])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.PixelData = (hu[order].astype(np.int32) + 1024).astype("<u2").tobytes()
    return ds


@pytest.fixture
def write_enhanced(tmp_path, make_slice, save_dataset):
    def write(recipe, *, change=None, syntax=ExplicitVRLittleEndian, **options) -> Path:
        ds = enhanced(recipe, make_slice, **options)
        if change is not None:
            change(ds)
        (tmp_path / "mf").mkdir(exist_ok=True)
        save_dataset(ds, tmp_path / "mf" / "image", syntax)
        return tmp_path / "mf"

    return write


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("sop_class", [ENHANCED, LEGACY])
def test_functional_groups_shared_or_of_each_frame(  # noqa: PLR0917
    write_enhanced, reader, recipe_type, check_true_size, shared, syntax, sop_class
):
    recipe = recipe_type()
    ct = reader.read(write_enhanced(recipe, shared=shared, syntax=syntax, sop_class=sop_class))
    check_true_size(ct, recipe)
    assert [s.frame for s in ct.volume.slices] == list(range(1, 17))
    assert (ct.acquisition.kvp, ct.acquisition.kernel) == (100.0, "Br40")


def test_frames_in_any_order(write_enhanced, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    order = [int(k) for k in np.random.default_rng(1).permutation(16)]
    ct = reader.read(write_enhanced(recipe, order=order))
    check_true_size(ct, recipe)
    assert [order[s.frame - 1] for s in ct.volume.slices] == list(range(16))


def test_undefined_lengths_are_walked(write_enhanced, reader, recipe_type, check_true_size):
    def undefine(ds: Dataset) -> None:
        for element in ds:
            if element.VR == "SQ":
                element.is_undefined_length = True
                for inner in element.value:
                    inner.is_undefined_length_sequence_item = True
                    undefine(inner)

    recipe = recipe_type()
    check_true_size(reader.read(write_enhanced(recipe, change=undefine)), recipe)


def test_tilted_frames(write_enhanced, reader, recipe_type, check_true_size):
    tilt = np.radians(20)
    recipe = recipe_type(orientation=(1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)), count=24)
    ct = reader.read(write_enhanced(recipe))
    check_true_size(ct, recipe)
    assert ct.geometry.tilt_deg == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("fragments", [1, 3])
def test_compressed_frames(write_enhanced, reader, recipe_type, fragments):
    recipe = recipe_type()

    def compress(ds: Dataset) -> None:
        stored = np.frombuffer(ds.PixelData, dtype="<u2").reshape(-1, recipe.rows, recipe.columns)
        frames = [bytes(imagecodecs.jpegls_encode(frame)) for frame in stored]
        ds.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=True)
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True

    folder = write_enhanced(recipe, change=compress, syntax="1.2.840.10008.1.2.4.80")
    assert (reader.read(folder).volume.hu == recipe.paint()).all()


def test_two_temporal_positions_are_two_stacks(write_enhanced, reader, recipe_type, check_true_size):
    recipe = recipe_type()

    def number(ds: Dataset) -> None:
        for k, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
            group.FrameContentSequence[0].TemporalPositionIndex = k // 16 + 1

    folder = write_enhanced(recipe, order=[*range(16), *range(16)], change=number)
    assert [len(stack.planes) for stack in reader.rank(folder).candidates] == [16, 16]
    check_true_size(reader.read(folder), recipe)


@pytest.mark.parametrize("value", ["SAMPLED", "DISTORTED", "MIXED"])
def test_frames_that_are_no_volume_are_refused(write_enhanced, reader, recipe_type, value):
    assert refused(reader, write_enhanced(recipe_type(), volumetric=value)) == "geometry.not_a_volume"


def refused(reader: Any, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        reader.read(path)
    return caught.value.code


def test_a_missing_frame_is_refused(write_enhanced, reader, recipe_type):
    order = [k for k in range(16) if k != 6]
    assert refused(reader, write_enhanced(recipe_type(), order=order)) == "geometry.missing_slice"


def drop_group(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence = Sequence(list(ds.PerFrameFunctionalGroupsSequence)[:-1])


def drop_all_groups(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence


def claim_more_frames(ds: Dataset) -> None:
    ds.NumberOfFrames = 2_000_000_000


@pytest.mark.parametrize("change", [drop_group, drop_all_groups, claim_more_frames])
def test_frames_without_description_are_named(write_enhanced, reader, recipe_type, change):
    with reader.discover(write_enhanced(recipe_type(), change=change)) as found:
        assert [row.code for row in found.set_aside] == ["geometry.functional_groups"]


def drop_position(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence


def drop_orientation(ds: Dataset) -> None:
    del ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence


def drop_rescale(ds: Dataset) -> None:
    del ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (drop_position, "geometry.no_position"),
        (drop_orientation, "geometry.orientation"),
        (drop_rescale, "calibration.no_rescale"),
    ],
)
def test_a_frame_without_geometry_or_scale_is_refused(write_enhanced, reader, recipe_type, change, code):
    assert refused(reader, write_enhanced(recipe_type(), change=change)) == code


@pytest.mark.parametrize(("unit", "code"), [("US", "calibration.rescale_type"), ("HU_MOD", "calibration.rescale_type")])
def test_frames_in_another_unit_are_refused(write_enhanced, reader, recipe_type, unit, code):
    def change(ds: Dataset) -> None:
        ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleType = unit

    assert refused(reader, write_enhanced(recipe_type(), change=change)) == code


def test_derived_frames_without_a_unit_are_in_hounsfield_units(write_enhanced, reader, recipe_type, check_true_size):
    def change(ds: Dataset) -> None:
        del ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleType
        for group in ds.PerFrameFunctionalGroupsSequence:
            group.CTImageFrameTypeSequence[0].FrameType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]

    recipe = recipe_type()
    ct = reader.read(write_enhanced(recipe, change=change))
    check_true_size(ct, recipe)
    assert any("unit of the values is not stated" in note for note in ct.notes)
