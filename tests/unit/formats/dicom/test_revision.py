"""The same draft keeps its UIDs, a changed one supersedes it, and one UID never stands for two contents."""

from __future__ import annotations

import base64
import io
import sys
import zlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from calcreport.formats.dicom.subject import Reference, Revision, revise
from calcreport.model.report import Concern, PatientLevel, Report
from calcreport.model.shape import LesionShape, PackedMask, pack_mask

sys.path.append(str(Path(__file__).parent))

import made_subjects as made

STUDY = "1.2.826.0.1.3680043.10.1.1"


def report(impression: str = "1. Nothing.", *, created: str | None = "2026-11-20T09:30:15+01:00") -> Report:
    return Report(
        software={"name": "calcreport", "version": "0.1.0", "rules_version": "1"},
        study={"study_instance_uid": STUDY, "study_date": None, "modality": "CT", "description": None, "patient": {}},
        series=(), technique=None, lesions=(), excluded=(), patient=PatientLevel(), concern=Concern.NONE,
        flags_summary={}, impression=(impression,), recommendations=(), limitations=(), clinical={}, settings={},
        created=created,
    )  # fmt: skip


def document(revision: Revision, **changed: str) -> bytes:
    """Structured report of a draft, as far as the next draft reads it."""
    made = Dataset()
    made.StudyInstanceUID = revision.study_instance_uid
    made.SeriesInstanceUID = revision.series_uid("sr")
    made.SOPClassUID = Comprehensive3DSRStorage
    made.SOPInstanceUID = revision.instance_uid("sr")
    made.ContentDate = revision.created.strftime("%Y%m%d")
    made.ContentTime = revision.created.strftime("%H%M%S")
    if revision.superseded:
        made.PredecessorDocumentsSequence = [predecessor(revision.superseded[0])]
    for keyword, value in changed.items():
        setattr(made, keyword, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, enforce_file_format=True)
    return file.getvalue()


def predecessor(reference: Reference) -> Dataset:
    study, series, item = Dataset(), Dataset(), Dataset()
    study.StudyInstanceUID = reference.study_instance_uid
    study.ReferencedSeriesSequence = [series]
    series.SeriesInstanceUID = reference.series_instance_uid
    series.ReferencedSOPSequence = [item]
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return study


def test_the_same_report_has_the_same_uids_whenever_it_is_drafted() -> None:
    first, later = revise(report()), revise(report(created="2027-01-01T00:00:00+00:00"))
    assert first.instance_uid("sr") == later.instance_uid("sr")
    assert first.series_uid("sr") == later.series_uid("sr")
    assert first.superseded == ()


def test_kinds_and_names_have_uids_of_their_own() -> None:
    draft = revise(report())
    uids = [draft.instance_uid(kind, name) for kind in ("sr", "seg", "sc") for name in ("", "L1", "L2")]
    uids += [draft.series_uid(kind) for kind in ("sr", "seg", "sc")]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 64 and pydicom.uid.UID(uid).is_valid for uid in uids)


def test_written_again_it_keeps_time_and_uids() -> None:
    first = revise(report())
    again = revise(report(created="2027-01-01T00:00:00+00:00"), previous=document(first))
    assert again == first


def test_a_changed_report_supersedes_the_last_one() -> None:
    first = revise(report())
    changed = revise(report("1. Something."), previous=document(first))
    assert changed.instance_uid("sr") != first.instance_uid("sr")
    assert [reference.sop_instance_uid for reference in changed.superseded] == [first.instance_uid("sr")]
    again = revise(report("1. Something."), previous=document(changed))
    assert again == changed


def test_a_report_changed_and_changed_back_is_a_new_draft() -> None:
    first = revise(report())
    second = revise(report("1. Something."), previous=document(first))
    third = revise(report(), previous=document(second))
    assert [reference.sop_instance_uid for reference in third.superseded] == [second.instance_uid("sr")]
    assert third.instance_uid("sr") not in {first.instance_uid("sr"), second.instance_uid("sr")}
    assert revise(report(), previous=document(third)) == third


def test_a_site_s_own_words_are_another_draft() -> None:
    ours, theirs = revise(report(), text=["FINDINGS", "a"]), revise(report(), text=["BEFUND", "a"])
    assert ours.instance_uid("sr") != theirs.instance_uid("sr")
    assert ours == revise(report(created=None), text=iter(["FINDINGS", "a"]), previous=document(ours))
    follower = revise(report(), text=["BEFUND", "a"], previous=document(ours))
    assert [reference.sop_instance_uid for reference in follower.superseded] == [ours.instance_uid("sr")]


def shaped(mineral: PackedMask, *, key_slice: int = 3) -> Report:
    """Report of a lesion with these voxels."""
    lesion = made.lesion_of(1, shape=LesionShape(key_slice=key_slice, mineral=mineral))
    return made.report_of((lesion,))


def test_other_voxels_are_another_draft_and_other_bits_of_the_same_are_not() -> None:
    cells = np.ones((2, 3, 5), bool)
    mineral = pack_mask((0, 1, 2), cells)
    squeezed = base64.b64encode(zlib.compress(np.packbits(cells).tobytes(), 0)).decode()
    assert squeezed != mineral.bits
    first = revise(shaped(mineral)).instance_uid("seg")
    assert revise(shaped(mineral.model_copy(update={"bits": squeezed}))).instance_uid("seg") == first
    cells[1, 2, 4] = False
    other = [shaped(pack_mask((0, 1, 2), cells)), shaped(mineral.model_copy(update={"offset": (0, 1, 3)})),
             shaped(mineral, key_slice=2)]  # fmt: skip
    assert first not in {revise(report).instance_uid("seg") for report in other}


def test_the_time_is_that_of_the_clock_on_the_wall_in_whole_seconds() -> None:
    drafted = revise(report(created="2026-11-20T09:30:15.999+05:30")).created
    assert drafted == datetime.fromisoformat("2026-11-20T09:30:15")
    assert revise(report(created=None)).created == datetime.fromisoformat("1970-01-01")


@pytest.mark.parametrize(
    "previous",
    [
        b"",
        b"not DICOM at all",
        document(revise(report()))[:150],
        document(revise(report()), StudyInstanceUID="1.2.3"),
        document(revise(report()), SOPClassUID=EncapsulatedPDFStorage),
    ],
    ids=["empty", "text", "cut", "another study", "no report"],
)
def test_what_is_no_earlier_report_of_the_study_counts_as_none(previous: bytes) -> None:
    assert revise(report("1. Other."), previous=previous) == revise(report("1. Other."))


def test_a_uid_that_cannot_be_referred_to_is_not() -> None:
    with pydicom.config.disable_value_validation():
        previous = document(revise(report()), SOPInstanceUID="../../etc")
    assert revise(report("1. Other."), previous=previous).superseded == ()


def test_a_damaged_list_of_predecessors_counts_as_a_changed_report() -> None:
    first = revise(report())
    second = revise(report("1. Something."), previous=document(first))
    with pydicom.config.disable_value_validation():
        damaged = pydicom.dcmread(io.BytesIO(document(second)))
        del damaged.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
        file = io.BytesIO()
        damaged.save_as(file)
    draft = revise(report("1. Something."), previous=file.getvalue())
    assert [reference.sop_instance_uid for reference in draft.superseded] == [second.instance_uid("sr")]
