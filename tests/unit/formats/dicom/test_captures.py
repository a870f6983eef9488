"""Secondary captures: which pictures, in which order, and what stands in them and around them."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from calcreport.errors import UsageError
from calcreport.formats.dicom.captures import (
    DRAFT,
    LONGEST_EDGE_PX,
    OF_CONCERN,
    draw_film_capture,
    draw_lesion_capture,
    draw_summary,
    fold,
    write_captures,
)
from calcreport.formats.dicom.instance import untroubled
from calcreport.formats.dicom.subject import Subject
from calcreport.model.report import Concern, FlagState
from calcreport.text.wording import present

sys.path.append(str(Path(__file__).parent))

import made_subjects as made

CELLS = np.zeros((3, 8, 8), bool)
CELLS[1, 2:5, 2:5] = True
GREYS = {"images/L1.png": 40, "images/L2.png": 80, "images/overview.png": 120, "images/film_1.png": 160}


def picture(grey: int, size: tuple[int, int] = (1000, 300)) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size, grey).convert("P").save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = {name: picture(grey) for name, grey in GREYS.items()}


def ct_study(*sides: str, **header: object) -> Subject:
    lesions = tuple(made.lesion_of(number, side=side) for number, side in enumerate(sides, start=1))
    subject = made.ct_subject(made.volume_of(CELLS.shape), [(CELLS, None)] * len(sides), lesions=lesions)
    for known in subject.source.headers.values():
        with untroubled():
            for keyword, value in header.items():
                setattr(known, keyword, value)
    return subject


def read(written: dict[str, bytes]) -> list[Dataset]:
    return [pydicom.dcmread(io.BytesIO(content)) for content in written.values()]


def test_a_summary_then_every_key_image_in_order() -> None:
    written = write_captures(ct_study("right", "right"), PICTURES)
    assert list(written) == ["sc_1.dcm", "sc_2.dcm", "sc_3.dcm"]
    files = read(written)
    assert [file.InstanceNumber for file in files] == [1, 2, 3]
    assert len({str(file.SeriesInstanceUID) for file in files}) == 1
    assert len({str(file.SOPInstanceUID) for file in files}) == 3
    for file, grey in zip(files[1:], (40, 80), strict=True):
        pixels = file.pixel_array
        assert pixels.shape[2] == 3
        assert (pixels[-300:, :1000] == grey).all()
    for file in files:
        assert file.BurnedInAnnotation == "YES"
        assert file.ConversionType == "WSD"
        assert file.PhotometricInterpretation == "RGB"
        assert file.SeriesDescription == "calcreport: 2 findings, flags not fully assessable"
        assert "draft, not verified" in file.DerivationDescription
        assert [item.ReferencedSOPInstanceUID for item in file.SourceImageSequence] == [made.slice_uid(0)]


def test_rejected_lesions_and_missing_pictures_are_left_out() -> None:
    subject = made.rejecting(ct_study("right", "right"), 1)
    files = read(write_captures(subject, PICTURES))
    assert len(files) == 2
    assert (files[1].pixel_array[-300:, :1000] == 80).all()
    assert len(write_captures(ct_study("right", "right"), {})) == 1


def test_an_image_that_the_study_does_not_have_is_refused() -> None:
    subject = ct_study("right")
    (lesion,) = subject.report.lesions
    key = lesion.location.key_image.model_copy(update={"sop_instance_uid": "1.2.3"})
    elsewhere = lesion.model_copy(update={"location": lesion.location.model_copy(update={"key_image": key})})
    report = subject.report.model_copy(update={"lesions": (elsewhere,)})
    with pytest.raises(UsageError) as caught:
        write_captures(replace(subject, report=report), PICTURES)
    assert caught.value.code == "render.other_images"


def test_a_study_without_lesion_has_its_summary() -> None:
    (file,) = read(write_captures(ct_study(), PICTURES))
    assert file.SeriesDescription == "calcreport: no finding"
    assert "SourceImageSequence" not in file


def colours(picture: Image.Image, height: int | None = None) -> set[tuple[int, ...]]:
    """Colours of a picture, or of its upper rows."""
    rows = np.asarray(picture)[:height]
    return {tuple(colour) for colour in np.unique(rows.reshape(-1, 3), axis=0).tolist()}


def film_capture(subject: Subject) -> Image.Image:
    return draw_film_capture(picture(160), subject.words)


def test_a_film_without_an_assessed_finding_claims_nothing() -> None:
    """Green words over a film say to whoever scrolls by that all is well."""
    shadow = np.zeros((30, 21), bool)
    shadow[3:9, 2:7] = True
    found, nothing = made.film_subject([[shadow]]), made.film_subject([[]])
    rejected = made.rejecting(found, 1)
    height = film_capture(nothing).height - 300
    assert OF_CONCERN[Concern.INDETERMINATE] in colours(film_capture(found), height)
    for subject in (nothing, rejected):
        drawn = colours(film_capture(subject), height)
        assert not drawn & set(OF_CONCERN.values())
        assert DRAFT in drawn


def test_a_reported_lump_is_told_without_a_finding() -> None:
    flags = dict.fromkeys(("size", "growth"), FlagState.PRESENT)
    nothing = made.film_subject([[]])
    assert not colours(draw_summary(nothing, {})) & set(OF_CONCERN.values())

    def reporting(**flags: FlagState) -> Subject:
        update = {"flags_summary": flags, "concern": Concern.HIGH}
        return replace(nothing, report=nothing.report.model_copy(update=update))

    lump = reporting(**flags)
    for drawn in (draw_summary(lump, {}), film_capture(lump)):
        assert OF_CONCERN[Concern.HIGH] in colours(drawn)
    other = draw_summary(reporting(history=FlagState.PRESENT), {})
    assert draw_summary(lump, {}).tobytes() != other.tobytes()  # which flags they are is told


def test_whole_radiographs_follow_and_are_shown_at_a_sensible_size() -> None:
    shadow = np.zeros((30, 21), bool)
    shadow[3:9, 2:7] = True
    subject = made.film_subject([[shadow]])
    pictures = {**PICTURES, "images/film_1.png": picture(160, (2400, 3000))}
    summary, key, film = read(write_captures(subject, pictures))
    assert max(film.Rows, film.Columns) <= LONGEST_EDGE_PX + 100
    assert (film.pixel_array[-1000:, :1000] == 160).all()
    uid = subject.findings.films[0].reference.sop_instance_uid
    for file in (summary, key, film):
        assert file.SourceImageSequence[0].ReferencedSOPInstanceUID == uid


@pytest.mark.parametrize(
    ("sides", "header", "side"),
    [
        (("right", "right"), {}, "R"),
        (("left", "unknown"), {}, ""),
        (("left", "right"), {}, ""),
        (("left",), {"Laterality": "R"}, ""),  # who is right is not for a header to say
        (("unknown",), {"Laterality": "R"}, "R"),
        ((), {"ImageLaterality": "L"}, "L"),
        ((), {"ImageLaterality": "B"}, ""),
        (("left",), {"BodyPartExamined": "THIGH"}, "L"),
        (("left",), {"BodyPartExamined": "PELVIS"}, None),
    ],
)
def test_the_side_is_that_of_all_lesions_or_open(
    sides: tuple[str, ...], header: dict[str, str], side: str | None
) -> None:
    for file in read(write_captures(ct_study(*sides, **header), PICTURES)):
        assert file.get("Laterality") == side


def test_no_picture_depends_on_who_the_patient_is() -> None:
    subject = ct_study("right")
    other = subject.report.study.model_copy(update={"patient": {"name": "Roe^Richard", "id": "8"}})
    renamed = replace(subject, report=subject.report.model_copy(update={"study": other}))
    assert draw_summary(subject, PICTURES).tobytes() == draw_summary(renamed, PICTURES).tobytes()


def test_summary_and_key_image_change_with_the_flags() -> None:
    subject = ct_study("right")
    flagged = subject.report.lesions[0].model_copy(update={"flags": made.flags_of(size="present")})
    report = subject.report.model_copy(update={"lesions": (flagged,)})
    assert (
        draw_summary(subject, PICTURES).tobytes() != draw_summary(replace(subject, report=report), PICTURES).tobytes()
    )
    before, after = (
        draw_lesion_capture(PICTURES["images/L1.png"], told.lesions[0], present(told, subject.statements))
        for told in (subject.report, report)
    )
    assert before.tobytes() != after.tobytes()


def test_long_hostile_text_neither_breaks_nor_widens_a_picture() -> None:
    subject = ct_study("right")
    report = subject.report.model_copy(update={"impression": ("x" * 3000, "\u202e\x00 山田 " * 50, "word " * 4000)})
    drawn = draw_summary(replace(subject, report=report), PICTURES)
    assert drawn.width == draw_summary(subject, PICTURES).width
    assert drawn.height < 3000
    whole = subject.report.model_copy(update={"impression": ("x" * 3000, "\u202e\x00 山田 " * 50)})
    assert (
        drawn.height > draw_summary(replace(subject, report=whole), PICTURES).height
    )  # says that something is missing


def test_a_number_stays_with_its_unit() -> None:
    text = "size >5 cm and 12 mm of it " * 30
    for width in range(200, 900, 7):
        lines = fold(text, 22, width, 0)
        assert " ".join(lines).split() == text.split()
        assert not any(line.startswith(("cm", "mm")) for line in lines)


def test_written_again_they_are_the_same_files() -> None:
    assert write_captures(ct_study("right"), PICTURES) == write_captures(ct_study("right"), PICTURES)


def test_another_picture_of_the_same_draft_is_another_instance() -> None:
    subject = ct_study("right")
    before, after = (read(write_captures(subject, {**PICTURES, "images/L1.png": picture(grey)})) for grey in (40, 41))
    assert before[0].SOPInstanceUID == after[0].SOPInstanceUID
    assert before[1].SOPInstanceUID != after[1].SOPInstanceUID


def test_pixels_of_a_lossy_image_stay_marked_as_such() -> None:
    assert all(file.LossyImageCompression == "01" for file in read(
        write_captures(ct_study("right", LossyImageCompression="01"), PICTURES)
    ))  # fmt: skip


def test_hostile_names_are_kept_and_not_told_to_a_log(caplog: pytest.LogCaptureFixture) -> None:
    name = "Жук^Анна=山田^花子"
    written = write_captures(ct_study("right", PatientName=name, PatientID="p" * 90), PICTURES)
    with untroubled():
        for file in read(written):
            assert str(file.PatientName) == name
            assert file.PatientID == "p" * 90
    assert "Анна" not in caplog.text
    assert "ppp" not in caplog.text
