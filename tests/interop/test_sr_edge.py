"""Hostile headers, values that are missing, readers' decisions, and drafts that follow each other."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from calcreport.formats.dicom.structured_report import sections, write_structured_report
from calcreport.formats.dicom.subject import Subject, revise
from calcreport.model.evidence import LesionReview, ReviewChange
from calcreport.model.report import Concern, FlagState, Laterality, Lesion, RejectedLesion

Sample = Callable[[str], Subject]

FILMS = "phleboliths_leg_films"
CT = "myositis_calf"
LONG_UID = "1.2.826.0.1.3680043.10." + "9" * 41


def read(content: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(io.BytesIO(content))
        list(header.iterall())  # values are looked at once, here
        return header


def groups(content: bytes) -> list[hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    return hd.sr.srread(io.BytesIO(content)).content.get_planar_roi_measurement_groups()


def numbers(group) -> dict[str, float]:
    return {item.name.value: item.value for item in group.get_measurements()}


def said(group) -> dict[str, str]:
    return {item.name.value: item.value.value for item in group.get_qualitative_evaluations()}


def study_level(content: bytes) -> dict[str, str]:
    """Answers about the study as a whole."""
    items = read(content).ContentSequence[-1].ContentSequence
    return {
        item.ConceptNameCodeSequence[0].CodeValue: item.ConceptCodeSequence[0].CodeValue
        for item in items
        if item.ValueType == "CODE"
    }


def with_lesions(subject: Subject, change: Callable[[Lesion], Lesion]) -> Subject:
    report = subject.report.model_copy(update={"lesions": tuple(map(change, subject.report.lesions))})
    return replace(subject, report=report)


def rejecting(subject: Subject, *ids: str) -> Subject:
    """The study with these lesions rejected, apart from the others as ``render`` keeps them."""
    review = LesionReview(status="rejected", reason="suture")
    pairs = list(zip(subject.report.lesions, subject.order, strict=True))
    left = [(lesion, place) for lesion, place in pairs if lesion.id not in ids]
    rejected = tuple(
        RejectedLesion(lesion=lesion.model_copy(update={"review": review}), finding={})
        for lesion, _ in pairs
        if lesion.id in ids
    )
    update = {"lesions": tuple(lesion for lesion, _ in left), "rejected": rejected}
    if not left:
        update |= {"flags_summary": {}, "concern": Concern.NONE}
    order = tuple(place for _, place in left)
    return replace(subject, report=subject.report.model_copy(update=update), order=order)


# Names and identifiers


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Ωνάσης^Αριστοτέλης"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_a_name_in_any_script_is_kept(  # noqa: PLR0917
    analyse, edited, dciodvfy, dsrdump, tmp_path: Path, charset: str | list[str], name: str
) -> None:
    folder = edited(FILMS, SpecificCharacterSet=charset, PatientName=name)
    made = write_structured_report(analyse(folder))
    header = read(made)
    assert header.SpecificCharacterSet == "ISO_IR 192"
    assert str(header.PatientName) == name
    file = tmp_path / "made.sr"
    file.write_bytes(made)
    assert dciodvfy(file).errors == []
    assert name.encode() in made
    assert dsrdump(file).code == 0


def test_uids_of_64_characters_are_kept(analyse, edited, dciodvfy, tmp_path: Path) -> None:
    assert len(LONG_UID) == 64
    made = write_structured_report(analyse(edited(FILMS, StudyInstanceUID=LONG_UID)))
    header = read(made)
    assert header.StudyInstanceUID == LONG_UID
    evidence = header.CurrentRequestedProcedureEvidenceSequence
    assert [item.StudyInstanceUID for item in evidence] == [LONG_UID]
    file = tmp_path / "made.sr"
    file.write_bytes(made)
    assert dciodvfy(file).errors == []


def test_a_uid_with_leading_zeros_stays_that_of_the_study(analyse, edited) -> None:
    made = write_structured_report(analyse(edited(FILMS, StudyInstanceUID="1.2.0003.04")))
    assert read(made).StudyInstanceUID == "1.2.0003.04"


def test_missing_type_2_attributes_are_there_and_empty(analyse, edited, dciodvfy, tmp_path: Path) -> None:
    names = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
             "AccessionNumber", "ReferringPhysicianName")  # fmt: skip
    made = write_structured_report(analyse(edited(FILMS, StudyDescription=None, **dict.fromkeys(names))))
    header = read(made)
    for name in names:
        assert name in header
        assert not header[name].value
    file = tmp_path / "made.sr"
    file.write_bytes(made)
    assert dciodvfy(file).errors == []


def test_a_de_identified_study_says_how(analyse, edited, dciodvfy, tmp_path: Path) -> None:
    method = Dataset()
    method.CodeValue, method.CodingSchemeDesignator, method.CodeMeaning = "113100", "DCM", "Basic Profile"
    folder = edited(FILMS, DeidentificationMethod=None, DeidentificationMethodCodeSequence=[method])
    made = write_structured_report(analyse(folder))
    assert read(made).PatientIdentityRemoved == "YES"
    file = tmp_path / "made.sr"
    file.write_bytes(made)
    assert dciodvfy(file).errors == []


HOSTILE = {
    "PatientName": "O'Brien|^&~{br}<script>alert(1)</script>",
    "PatientID": "A\\B\\C",
    "StudyID": "1\x1b[31m",
    "AccessionNumber": "A" * 40,
    "StudyDescription": '{{7*7}} "x" \t\x07 ../../etc',
    "PatientSex": "Q",
    "PatientBirthDate": "last summer",
    "StudyTime": "99:99",
    "PatientAge": "old",
}


def test_hostile_text_is_kept_word_for_word_and_invalid_values_are_left_empty(analyse, edited) -> None:
    header = read(write_structured_report(analyse(edited(FILMS, **HOSTILE))))
    assert str(header.PatientName) == HOSTILE["PatientName"]
    assert list(header.PatientID) == ["A", "B", "C"]  # as an archive reads it in the images
    for keyword in ("StudyID", "AccessionNumber"):
        assert header[keyword].value == HOSTILE[keyword]
    assert header.StudyDescription.strip() == HOSTILE["StudyDescription"].strip()
    assert (header.PatientSex, header.PatientBirthDate, header.StudyTime) == ("", "", "")
    assert "PatientAge" not in header


def test_an_identity_reaches_no_log_and_no_warning(analyse, edited, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    subject = analyse(edited(FILMS, **HOSTILE))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_structured_report(subject)
    streams = capfd.readouterr()
    told = caplog.text + streams.out + streams.err + "".join(str(item.message) for item in caught)
    for value in ("Brien", "last summer", "99:99", "AAAA", "7*7"):
        assert value not in told
    assert "Brien" not in repr(subject)


# Values


def test_what_was_not_measured_is_left_out(sample: Sample) -> None:
    def forget(lesion: Lesion) -> Lesion:
        return lesion.model_copy(
            update={
                "depth": lesion.depth.model_copy(update={"skin_distance_mm": None}),
                "size": lesion.size.model_copy(update={"volume_mm3": None}),
                "density": lesion.density.model_copy(update={"max_hu": None}),
            }
        )

    plain = numbers(groups(write_structured_report(sample(CT)))[0])
    less = numbers(groups(write_structured_report(with_lesions(sample(CT), forget)))[0])
    assert set(plain) - set(less) == {"121243", "118565006", "112180"}
    assert 0 not in less.values() or 0 in plain.values()


@pytest.mark.parametrize("value", [1 / 3, 123456789.123456789, 1e-7, 0.1 + 0.2, 49.99999999999999, 5e-324])
def test_any_number_is_read_back_to_the_last_bit(sample: Sample, value: float) -> None:
    def change(lesion: Lesion) -> Lesion:
        return lesion.model_copy(update={"size": lesion.size.model_copy(update={"max_diameter_mm": value})})

    (group,) = groups(write_structured_report(with_lesions(sample(CT), change)))
    assert numbers(group)["L0JK"] == value


def test_without_a_scale_lengths_are_pixels(analyse, edited) -> None:
    folder = edited(FILMS, ImagerPixelSpacing=None, PixelSpacing=None)
    subject = analyse(folder)
    found = groups(write_structured_report(subject))
    places = [place for lesion in subject.report.lesions for place in lesion.location.films]
    for group, place in zip(found, places, strict=True):
        units = {item.name.value: item.unit.value for item in group.get_measurements()}
        assert units["PROJLENGTH"] == units["PROJWIDTH"] == "{pixels}"
        assert "mm" not in {unit for name, unit in units.items() if name != "SIZELIMIT"}
        assert numbers(group)["PROJLENGTH"] == place.max_diameter_px


def test_a_contour_without_mineral_is_a_mass(outlined: Subject) -> None:
    (measured,) = outlined.findings.lesions
    bare = replace(outlined, findings=replace(outlined.findings, lesions=(replace(measured, mineral=None),)))

    def forget(lesion: Lesion) -> Lesion:
        size = lesion.size.__class__()
        foci = lesion.foci.__class__(count=0)
        return lesion.model_copy(update={"size": size, "density": lesion.density.__class__(), "foci": foci})

    (group,) = groups(write_structured_report(with_lesions(bare, forget)))
    assert group.finding_type.value == "4147007"
    assert {"L0JK", "111038"}.isdisjoint(numbers(group))
    assert {"PATTERN", "111009", "BONERELATION"}.isdisjoint(said(group))
    assert numbers(group)["MASSDIAM"] == outlined.report.lesions[0].mass.max_diameter_mm
    line = group.roi.value
    contour = measured.contour
    area = contour.voxels[measured.key_slice - contour.offset[0]].sum()
    x, y = line[:, 0], line[:, 1]
    assert abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2 >= area


def test_an_unknown_region_and_side_claim_nothing(sample: Sample) -> None:
    def forget(lesion: Lesion) -> Lesion:
        where = lesion.location.model_copy(update={"region": None, "laterality": Laterality.UNKNOWN})
        return lesion.model_copy(update={"location": where})

    (group,) = groups(write_structured_report(with_lesions(sample(CT), forget)))
    (site,) = group.finding_sites
    assert (site.value.value, site.laterality) == ("87784001", None)


# Readers


def test_a_rejected_lesion_is_told_in_text_only(sample: Sample) -> None:
    subject = sample("phleboliths_thigh")
    first = subject.report.lesions[0].id

    made = write_structured_report(rejecting(subject, first))
    assert [group.tracking_identifier for group in groups(made)] == [
        lesion.id for lesion in subject.report.lesions if lesion.id != first
    ]
    texts = [item.TextValue for item in read(made).ContentSequence[-1].ContentSequence if item.ValueType == "TEXT"]
    assert f"not a finding of this report: {first}" in " ".join(" ".join(texts).split())


def test_a_study_whose_findings_were_all_rejected_has_no_group(sample: Sample, dciodvfy, tmp_path: Path) -> None:
    subject = sample(CT)
    made = write_structured_report(rejecting(subject, *(lesion.id for lesion in subject.report.lesions)))
    assert groups(made) == []
    assert study_level(made) == {}
    file = tmp_path / "made.sr"
    file.write_bytes(made)
    assert dciodvfy(file).errors == []


def test_a_value_by_a_reader_is_marked_as_such(sample: Sample) -> None:
    def correct(lesion: Lesion) -> Lesion:
        change = ReviewChange(field="size.max_diameter_mm", measured=lesion.size.max_diameter_mm, reader=31.0)
        return lesion.model_copy(
            update={
                "size": lesion.size.model_copy(update={"max_diameter_mm": 31.0}),
                "review": LesionReview(status="corrected", changes=(change,)),
            }
        )

    (group,) = groups(write_structured_report(with_lesions(sample(CT), correct)))
    by_reader = {
        item.name.value for item in group.get_measurements() if item.method and item.method.value == "BYREADER"
    }
    assert by_reader == {"L0JK"}
    assert numbers(group)["L0JK"] == 31.0
    assert said(group)["REVIEW"] == "CORRECTED"


def test_a_length_by_a_reader_stands_on_the_longest_film_and_no_other_beside_it(sample: Sample) -> None:
    """Two lengths of one lesion under one tracking UID: a viewer that merges them shows either."""

    def measured(lesion: Lesion) -> Lesion:
        first, *others = lesion.location.films
        films = (first.model_copy(update={"max_diameter_mm": 44.0}),
                 *(other.model_copy(update={"max_diameter_mm": 47.1}) for other in others))  # fmt: skip
        return lesion.model_copy(update={"location": lesion.location.model_copy(update={"films": films})})

    def correct(lesion: Lesion) -> Lesion:
        change = ReviewChange(field="size.max_diameter_mm", measured=47.1, reader=62.0)
        review = LesionReview(status="corrected", changes=(change,))
        size = lesion.size.__class__(max_diameter_mm=62.0, projected=True, plane=lesion.size.plane)
        return measured(lesion).model_copy(update={"size": size, "review": review})

    subject = sample("rim_mass_thigh_films")
    counts = [len(lesion.location.films) for lesion in subject.report.lesions]
    assert max(counts) > 1
    before = groups(write_structured_report(with_lesions(subject, measured)))
    assert all({"PROJLENGTH", "PROJWIDTH"} <= set(numbers(group)) for group in before)
    found = iter(groups(write_structured_report(with_lesions(subject, correct))))
    for count in counts:
        told = [next(found) for _ in range(count)]
        lengths = [numbers(group).get("PROJLENGTH") for group in told]
        assert lengths == [62.0 if place == min(1, count - 1) else None for place in range(count)]
        assert not any("PROJWIDTH" in numbers(group) for group in told)
        (by_reader,) = [
            item.name.value
            for group in told
            for item in group.get_measurements()
            if item.method and item.method.value == "BYREADER"
        ]
        assert by_reader == "PROJLENGTH"


def test_a_reported_lump_has_its_concern_without_a_lesion(sample: Sample, dciodvfy, tmp_path: Path) -> None:
    subject = sample("negative_calf")
    assert study_level(write_structured_report(subject)) == {}
    flags = dict.fromkeys(("size", "growth", "mass", "history"), FlagState.PRESENT)
    lump = subject.report.model_copy(update={"flags_summary": flags, "concern": Concern.HIGH})
    made = write_structured_report(replace(subject, report=lump))
    assert set(study_level(made)) == {"CONCERN", "FLAGSIZE", "FLAGGROWTH", "FLAGMASS", "FLAGHISTORY"}
    file = tmp_path / "made.sr"
    file.write_bytes(made)
    assert dciodvfy(file).errors == []


# Drafts


def test_a_changed_report_names_the_one_it_replaces(sample: Sample, dciodvfy, dcentvfy, tmp_path: Path) -> None:
    subject = sample(CT)
    first = write_structured_report(subject)
    words = [text for _, text in sections(subject.report, subject.statements, subject.section)]
    assert (
        write_structured_report(replace(subject, revision=revise(subject.report, text=words, previous=first))) == first
    )

    changed = subject.report.model_copy(update={"impression": ("Changed.",), "created": "2026-11-21T08:00:00+01:00"})
    follower = replace(subject, report=changed, revision=revise(changed, previous=first))
    second = write_structured_report(follower)
    before, after = read(first), read(second)
    (study,) = after.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == before.StudyInstanceUID
    assert series.SeriesInstanceUID == before.SeriesInstanceUID != after.SeriesInstanceUID
    assert document.ReferencedSOPInstanceUID == before.SOPInstanceUID != after.SOPInstanceUID
    assert document.ReferencedSOPClassUID == before.SOPClassUID
    assert (after.ContentDate, after.ContentTime) == ("20261121", "080000")

    later = changed.model_copy(update={"created": "2027-01-01T00:00:00+00:00"})
    again = replace(follower, report=later, revision=revise(later, previous=second))
    assert write_structured_report(again) == second

    files = []
    for number, content in enumerate((first, second)):
        files.append(tmp_path / f"{number}.sr")
        files[-1].write_bytes(content)
    assert dciodvfy(files[1]).errors == []
    assert dcentvfy(*files).errors == []
