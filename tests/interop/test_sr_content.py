"""What the structured report says, read back with highdicom, against the report and the images."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from skimage.measure import points_in_poly

from calcreport.formats.dicom.structured_report import write_structured_report
from calcreport.formats.dicom.subject import Subject
from calcreport.model.lesion import MeasuredLesion

Sample = Callable[[str], Subject]

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())

ON_CT = {
    "L0JK": ("size.max_diameter_mm", "mm"),
    "103339001": ("size.axial_long_mm", "mm"),
    "103340004": ("size.axial_short_mm", "mm"),
    "EXTENTAP": ("size.ap_mm", "mm"),
    "EXTENTTR": ("size.tr_mm", "mm"),
    "EXTENTCC": ("size.cc_mm", "mm"),
    "118565006": ("size.volume_mm3", "mm3"),
    "112181": ("density.mean_hu", "[hnsf'U]"),
    "112180": ("density.max_hu", "[hnsf'U]"),
    "112183": ("density.sd_hu", "[hnsf'U]"),
    "121243": ("depth.skin_distance_mm", "mm"),
    "FASCIADIST": ("depth.fascia_distance_mm", "mm"),
    "111038": ("foci.count", "1"),
    "MASSDIAM": ("mass.max_diameter_mm", "mm"),
    "MASSAP": ("mass.ap_mm", "mm"),
    "MASSTR": ("mass.tr_mm", "mm"),
    "MASSCC": ("mass.cc_mm", "mm"),
    "MASSVOLUME": ("mass.volume_mm3", "mm3"),
    "JUDGEDLENGTH": ("flags.size.value", "mm"),
    "SIZELIMIT": ("flags.size.limit", "mm"),
}
STATES = {
    "present": "52101004", "absent": "272519000", "possible": "POSSIBLE", "cannot_determine": "373068000",
    "not_provided": "NOTPROVIDED", "explained": "EXPLAINED",
}  # fmt: skip
FILMS = [name for name in NAMES if name.endswith("films")]
VOLUMES = [name for name in NAMES if name not in FILMS]


def read(content: bytes) -> hd.sr.Comprehensive3DSR:
    return hd.sr.srread(io.BytesIO(content))


@cache
def written(subject: Subject) -> bytes:
    return write_structured_report(subject)


def groups(subject: Subject) -> list[hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    return read(written(subject)).content.get_planar_roi_measurement_groups()


def numbers(group) -> dict[str, tuple[float, str]]:
    found = {item.name.value: (item.value, item.unit.value) for item in group.get_measurements()}
    assert len(found) == len(group.get_measurements()), "two numbers share a name"
    return found


def answers(items) -> dict[str, str]:
    return {item.ConceptNameCodeSequence[0].CodeValue: item.ConceptCodeSequence[0].CodeValue for item in items}


def evaluations(group) -> dict[str, str]:
    return {item.name.value: item.value.value for item in group.get_qualitative_evaluations()}


def texts(content: bytes) -> dict[str, str]:
    """Sections by the code of their name."""
    for item in read(content).ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == "C0034375":
            return {
                part.ConceptNameCodeSequence[0].CodeValue: part.TextValue
                for part in item.ContentSequence
                if part.ValueType == "TEXT"
            }
    msg = "no qualitative evaluations"
    raise AssertionError(msg)


def holes_too(line: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre the line encloses; the centre of the first one is (0.5, 0.5)."""
    column, row = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    return points_in_poly(np.column_stack([column.ravel(), row.ravel()]), line).reshape(shape)


@pytest.mark.parametrize("name", NAMES)
def test_two_runs_give_identical_bytes(sample: Sample, name: str) -> None:
    assert write_structured_report(sample(name)) == written(sample(name))


@pytest.mark.parametrize("name", NAMES)
def test_no_time_of_day_is_in_it_but_those_of_study_and_draft(sample: Sample, name: str) -> None:
    made = read(written(sample(name)))
    created = sample(name).report.created[:19].replace("-", "").replace(":", "")
    known = {"", *created.split("T"), made.StudyDate, made.StudyTime, made.PatientBirthDate}
    assert {element.value for element in made.iterall() if element.VR in {"DA", "TM", "DT"}} <= known


@pytest.mark.parametrize("name", VOLUMES)
def test_every_number_of_a_ct_lesion_is_read_back_exactly(sample: Sample, name: str) -> None:
    subject = sample(name)
    found = groups(subject)
    assert len(found) == len(subject.report.lesions)
    for group, lesion in zip(found, subject.report.lesions, strict=True):
        told = {code: (attrgetter(field)(lesion), unit) for code, (field, unit) in ON_CT.items()}
        assert numbers(group) == {code: pair for code, pair in told.items() if pair[0] is not None}


@pytest.mark.parametrize("name", FILMS)
def test_every_number_of_a_film_is_read_back_exactly_and_called_projected(sample: Sample, name: str) -> None:
    subject = sample(name)
    found = iter(groups(subject))
    for lesion in subject.report.lesions:
        for view, place in enumerate(lesion.location.films):
            group = next(found)
            told = {
                "PROJLENGTH": (place.max_diameter_mm, "mm"),
                "PROJWIDTH": (place.perpendicular_mm, "mm"),
                "PROJSKINLINE": (place.projected_skin_line_mm, "mm"),
            }
            if view == 0:
                told["111038"] = (lesion.foci.count, "1")
                told["JUDGEDLENGTH"] = (lesion.flags.size.value, "mm")
                told["SIZELIMIT"] = (lesion.flags.size.limit, "mm")
            assert numbers(group) == {code: pair for code, pair in told.items() if pair[0] is not None}
            assert (group.tracking_identifier, group.tracking_uid) == (lesion.id, lesion.tracking_uid)
            methods = {item.method.value for item in group.get_measurements() if item.name.value.startswith("PROJ")}
            assert methods == {"DETECTORPLANE"}
    assert next(found, None) is None


@pytest.mark.parametrize("name", NAMES)
def test_flags_concern_and_tracking_are_those_of_the_report(sample: Sample, name: str) -> None:
    subject = sample(name)
    of_lesion = {group.tracking_uid: group for group in reversed(groups(subject))}  # the first film of each
    for lesion in subject.report.lesions:
        group = of_lesion[lesion.tracking_uid]
        said = evaluations(group)
        for flag in ("size", "depth", "growth", "pain", "mass", "history", "aggressive"):
            assert said[f"FLAG{flag.upper()}"] == STATES[getattr(lesion.flags, flag).state]
        assert said["PATTERN"] == lesion.pattern.id
        concern = {"high": "75540009", "flagged": "FLAGGED", "modified": "MODIFIED", "indeterminate": "82334004"}
        assert said["CONCERN"] == concern.get(lesion.concern, "NOCRITERION")
        assert group.finding_type.value == "129748009"
        side = {"left": "7771000", "right": "24028007"}.get(lesion.location.laterality)
        assert [site.laterality and site.laterality.value for site in group.finding_sites] == [side]


def test_the_site_is_the_region_of_the_report(sample: Sample) -> None:
    sites = {name: groups(sample(name))[0].finding_sites[0].value.meaning for name in NAMES if groups(sample(name))}
    assert sites == {
        "deep_mass_thigh": "Thigh",
        "dermatomyositis_thighs": "Thigh",
        "myonecrosis_calf": "Lower leg",
        "myositis_calf": "Lower leg",
        "phleboliths_thigh": "Thigh",
        "phleboliths_leg_films": "Lower leg",
        "rim_mass_thigh_films": "Thigh",
        "sternocleidomastoid_neck": "Neck",
        "tumoral_calcinosis_hip": "Hip",
    }


def mask_of(subject: Subject, measured: MeasuredLesion, uid: str, shape: tuple[int, int]) -> np.ndarray:
    index = next(i for i, item in enumerate(subject.volume.slices) if item.sop_instance_uid == uid)
    mask = np.zeros(shape, dtype=bool)
    _, rows, columns = measured.mineral.box
    mask[rows, columns] = measured.mineral.voxels[index - measured.mineral.offset[0]]
    return mask


@pytest.mark.parametrize("name", VOLUMES)
def test_the_outline_lies_on_the_mineral_of_the_key_image(sample: Sample, name: str) -> None:
    subject = sample(name)
    files = {header.SOPInstanceUID: header for header in map(pydicom.dcmread, sorted((SAMPLES / name).rglob("*.dcm")))}
    for group, (lesion, measured) in zip(groups(subject), subject.lesions, strict=True):
        region = group.roi
        item = region.ContentSequence[0].ReferencedSOPSequence[0]
        assert item.ReferencedSOPInstanceUID == lesion.location.key_image.sop_instance_uid
        file = files[item.ReferencedSOPInstanceUID]
        assert item.ReferencedSOPClassUID == file.SOPClassUID
        line = region.value
        assert region.graphic_type.value == "POLYLINE"
        assert (line[0] == line[-1]).all()
        assert line.min() >= 0
        assert (line <= (file.Columns, file.Rows)).all()
        inside = holes_too(line, (file.Rows, file.Columns))
        mask = mask_of(subject, measured, item.ReferencedSOPInstanceUID, inside.shape)
        assert (inside & mask).sum() >= 0.95 * mask.sum()
        if not file.file_meta.TransferSyntaxUID.is_compressed:
            hu = file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)
            limit = subject.report.technique.threshold_hu.grow
            assert (hu[mask] >= limit).mean() > 0.95, "the mask is not that of this image"
        # as stored, a line shifted by half a pixel or drawn through centres loses a border of the lesion
        assert (inside & mask).sum() == mask.sum()


@pytest.mark.parametrize("name", FILMS)
def test_the_outline_lies_on_the_shadow_of_each_film(sample: Sample, name: str) -> None:
    subject = sample(name)
    found = iter(groups(subject))
    for lesion, measured in subject.lesions:
        for place, shadow in zip(lesion.location.films, measured.shadows, strict=True):
            region = next(found).roi
            item = region.ContentSequence[0].ReferencedSOPSequence[0]
            assert item.ReferencedSOPInstanceUID == place.sop_instance_uid
            film = subject.findings.films[shadow.film]
            assert film.reference.sop_instance_uid == place.sop_instance_uid
            mask = np.zeros(film.picture.shape, dtype=bool)
            mask[shadow.mineral.box] = shadow.mineral.pixels
            inside = holes_too(region.value, mask.shape)
            assert (inside & mask).sum() == mask.sum()


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_that_of_the_section(sample: Sample, name: str) -> None:
    subject = sample(name)
    said = texts(written(subject))
    assert said["SECTION"].replace("\r\n", "\n") + "\n" == subject.section
    assert all(text.isascii() and "\n" not in text.replace("\r\n", "") for text in said.values())
    for sentence in subject.report.impression:
        assert sentence in said["19005-8"]
    for recommendation in subject.report.recommendations:
        assert recommendation.text.rstrip(".") in said["18783-1"]
    for lesion in subject.report.lesions:
        assert f"({lesion.id})" in said["59776-5"]
    assert "for review and signature" in said["LIMITATIONS"]


@pytest.mark.parametrize("name", ["negative_calf", "nail_thigh"])
def test_a_study_without_lesions_says_what_was_searched_and_measures_nothing(sample: Sample, name: str) -> None:
    content = written(sample(name))
    assert groups(sample(name)) == []
    (container,) = [item for item in read(content).ContentSequence if item.ValueType == "CONTAINER"][:-1]
    assert [item.TextValue for item in container.ContentSequence] == list(sample(name).report.impression)
    assert "No soft-tissue calcification detected above 130 HU" in texts(content)["59776-5"]
    assert not [item for item in read(content).ContentSequence[-1].ContentSequence if item.ValueType == "CODE"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_draft_of_the_same_study_and_patient(sample: Sample, name: str) -> None:
    made = read(written(sample(name)))
    source = pydicom.dcmread(next((SAMPLES / name).rglob("*.dcm")), stop_before_pixels=True)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyInstanceUID",
                    "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber",
                    "ReferringPhysicianName"):  # fmt: skip
        assert made.get(keyword, "") == source.get(keyword, ""), keyword
    assert (made.PreliminaryFlag, made.VerificationFlag, made.CompletionFlag) == (
        "PRELIMINARY",
        "UNVERIFIED",
        "COMPLETE",
    )
    assert f"{made.ContentDate}T{made.ContentTime}" == sample(name).report.created[:19].replace("-", "").replace(
        ":", ""
    )
    assert "PredecessorDocumentsSequence" not in made
    assert len(made.SeriesDescription) <= 64
    assert made.SeriesDescription.startswith("calcreport: ")


@pytest.mark.parametrize("name", NAMES)
def test_every_measured_image_is_named_as_evidence(sample: Sample, name: str) -> None:
    subject = sample(name)
    listed = {instance for *_, instance, _ in read(written(subject)).get_evidence()}
    if subject.volume is not None:
        assert listed == {item.sop_instance_uid for item in subject.volume.slices}
    else:
        assert listed == {film.reference.sop_instance_uid for film in subject.findings.films}


def test_a_mass_is_told_apart_from_its_mineral(outlined: Subject) -> None:
    (lesion,) = outlined.report.lesions
    assert lesion.mass.source == "contour"
    (group,) = groups(outlined)
    said = numbers(group)
    assert said["MASSDIAM"] == (lesion.mass.max_diameter_mm, "mm")
    assert said["L0JK"] == (lesion.size.max_diameter_mm, "mm")
    assert said["MASSDIAM"][0] > said["L0JK"][0] + 5
    methods = {item.name.value: item.method and item.method.value for item in group.get_measurements()}
    assert methods["MASSDIAM"] == "BYCONTOUR"
    assert methods["L0JK"] is None


def test_a_frame_of_a_multi_frame_object_is_named(multiframe: Subject, sample: Sample) -> None:
    plain = sample("phleboliths_thigh")
    assert len(groups(multiframe)) == len(groups(plain))
    for group, same in zip(groups(multiframe), groups(plain), strict=True):
        item = group.roi.ContentSequence[0].ReferencedSOPSequence[0]
        assert item.ReferencedSOPInstanceUID == "2.25.2"
        uid = same.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        frame = multiframe.source.header("2.25.2").PerFrameFunctionalGroupsSequence[item.ReferencedFrameNumber - 1]
        assert frame.PlanePositionSequence[0].ImagePositionPatient == plain.source.header(uid).ImagePositionPatient
        assert (group.roi.value == same.roi.value).all()


def test_nothing_names_this_machine_or_its_files(sample: Sample) -> None:
    content = written(sample("myositis_calf"))
    assert str(Path(__file__).parents[2]).encode() not in content


@pytest.mark.parametrize("name", VOLUMES)
def test_the_first_five_numbers_are_those_a_viewer_draws(name: str, sample: Sample) -> None:
    for group in groups(sample(name)):
        shown = [item.name.value for item in group.get_measurements()]
        first = [code for code in ("L0JK", "118565006", "121243", "112181", "103340004") if code in shown]
        assert shown[: len(first)] == first
    file = pydicom.dcmread(io.BytesIO(written(sample(name))))  # highdicom fills Numeric Value anew
    values = [
        value for element in file.iterall() if element.keyword == "MeasuredValueSequence" for value in element.value
    ]
    assert bool(values) == bool(sample(name).lesions)
    for value in values:
        precise = float(value.get("FloatingPointValue", value.NumericValue))
        assert len(str(value.NumericValue)) <= len(f"{precise:.1f}") + 1
        assert float(value.NumericValue) == pytest.approx(precise, abs=0.5)
