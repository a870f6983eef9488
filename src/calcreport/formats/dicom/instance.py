"""What every DICOM object of a report has in common: whose it is, what made it, when, and how it is written.

The patient and the study are copied here and nowhere else, from a cleaned header: highdicom, which builds the rest, is
given a stand-in without them, because it checks, logs and refuses values that a hospital sends nevertheless.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import pydicom
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from calcreport.dicom.header.image_header import MAKER
from calcreport.dicom.source_images import PATIENT_AND_STUDY
from calcreport.formats.code_table import table_of
from calcreport.formats.dicom.subject import Subject
from calcreport.model.lesion import CtFindings
from calcreport.model.report import Concern, FlagState, Report
from calcreport.text.impression import FLAG_NAMES, size_limit

LONGEST: Final = 64  # Characters of a DICOM long string

# Words of the Series Description: of flags, and of the worst concern where no flag is met.
_WORDS: Final = table_of("flag_words")
_WITHOUT_FLAG: Final = table_of("concern_words")


def series_description(report: Report) -> str:
    """Series Description of every object of a report, such as ``"calcreport: 1 finding, >5 cm + deep"``.

    ASCII, at most `LONGEST` characters, no patient data. Only flags that are present are named, and possible ones as
    such; what was not assessed is never called absent. Without a lesion those are named that were reported of the
    patient; lesions that a reader rejected do not count.
    """
    lesions, states = report.lesions, report.flags_summary
    count = f"{len(report.rejected)} rejected by reader" if report.rejected else "no finding"
    leads, held = {FlagState.PRESENT: "reported "}, {name: {state} for name, state in states.items()}
    if lesions:
        count = f"{len(lesions)} finding{'' if len(lesions) == 1 else 's'}"
        leads = {FlagState.PRESENT: "", FlagState.POSSIBLE: "possible "}
        held = {name: {getattr(lesion.flags, name).state for lesion in lesions} for name in FLAG_NAMES}
    operator, limit_mm = size_limit(report)
    size = f"{operator}{limit_mm / 10:g} cm"
    for wanted, lead in leads.items():
        words = [_WORDS.get(name) or size for name in FLAG_NAMES if wanted in held.get(name, ())]
        if words:
            head = f"calcreport: {count}, {lead}"
            return head + _join_words(words, LONGEST - len(head))
    worst = min((lesion.concern for lesion in lesions), key=list(Concern).index, default=None)
    return f"calcreport: {count}" + (f", {_WITHOUT_FLAG[worst]}" if worst else "")


def _join_words(words: Sequence[str], room: int) -> str:
    """As many words as there is room for; that some are missing is shown."""
    for count in range(len(words), 0, -1):
        left = len(words) - count
        text = " + ".join([*words[:count], *([f"{left} more"] if left else [])])
        if len(text) <= room:
            return text
    return f"{len(words)} red flags"


SERIAL_NUMBER: Final = "0"  # The standard wants one of every device; software has none

SERIES_NUMBERS: Final = MappingProxyType({"sr": 9901, "seg": 9902, "sc": 9903, "pdf": 9904})
"""Series Number of each kind of object, behind those a scanner gives."""

_IMPLEMENTATION: Final = "2.25.206166347519431184296011713240911215905"  # a fixed random UUID
_SEXES: Final = frozenset(("M", "F", "O"))  # that the standard knows


def study_header(subject: Subject) -> Dataset:
    """Header of one measured image: what patient and study are called; there is one without any lesion too."""
    findings, volume = subject.findings, subject.volume
    if not isinstance(findings, CtFindings):
        return subject.source.header(findings.films[0].reference.sop_instance_uid)
    if volume is None:
        msg = "a CT report without its series cannot be written"
        raise ValueError(msg)
    return subject.source.header(volume.slices[len(volume.slices) // 2].sop_instance_uid)


def stand_in(header: Dataset) -> Dataset:
    """Header for highdicom to build upon: which image of which study, and nothing about the patient."""
    bare = Dataset()
    bare.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        setattr(bare, keyword, header.get(keyword))
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(bare, keyword, "")
    bare.StudyDate = bare.StudyTime = bare.ReferringPhysicianName = None
    bare.Modality = header.get("Modality") or "OT"
    return bare


def arguments_of(subject: Subject, kind: str, name: str = "") -> dict[str, Any]:
    """What highdicom asks for whatever object it builds; `finish` writes it again, and all else."""
    return {
        "series_instance_uid": subject.revision.series_uid(kind),
        "series_number": SERIES_NUMBERS[kind],
        "sop_instance_uid": subject.revision.instance_uid(kind, name),
        "instance_number": 1,
        "manufacturer": MAKER,
    }


def refer_to(header: Dataset) -> Dataset:
    """Item that refers to an image."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


@contextmanager
def untroubled() -> Iterator[None]:
    """Take values as they are, and keep quiet about them: a warning of pydicom quotes what it warns of."""
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def finish(made: Dataset, subject: Subject, *, kind: str, number: int = 1, name: str = "") -> bytes:
    """Give an object its patient, study, series, maker and time, and write it: explicit VR little endian.

    The object has its SOP Class UID already, and is changed. `kind` is a key of `SERIES_NUMBERS`: objects of one kind
    are one series, and `name` tells them apart; a segmentation is one of its own: OHIF shows the first of a series.
    """
    report, revision = subject.report, subject.revision
    with untroubled():
        _identify(made, study_header(subject))
        made.SpecificCharacterSet = "ISO_IR 192"
        made.SeriesInstanceUID = revision.series_uid(kind + name if kind == "seg" else kind)
        made.SeriesNumber = SERIES_NUMBERS[kind]
        made.SeriesDescription = series_description(report)
        made.SOPInstanceUID = revision.instance_uid(kind, name)
        made.InstanceNumber = number
        made.Manufacturer = made.ManufacturerModelName = MAKER
        made.SoftwareVersions = report.software.version[:64]
        made.DeviceSerialNumber = SERIAL_NUMBER
        day, time = revision.created.strftime("%Y%m%d"), revision.created.strftime("%H%M%S")
        for event in ("Series", "Content", "InstanceCreation"):
            setattr(made, f"{event}Date", day)
            setattr(made, f"{event}Time", time)
        for equipment in made.get("ContributingEquipmentSequence") or ():
            equipment.ContributionDateTime = day + time
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = made.SOPClassUID
        meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = UID(_IMPLEMENTATION)
        meta.ImplementationVersionName = MAKER.upper()
        plain = pydicom.FileDataset("", dict(made.items()), preamble=b"\0" * 128, file_meta=meta)
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, plain, enforce_file_format=True)
        return buffer.getvalue()


def _identify(made: Dataset, header: Dataset) -> None:
    for keyword in PATIENT_AND_STUDY:
        if keyword in header:
            made[keyword] = copy.copy(header[keyword])
        elif keyword in made:
            del made[keyword]
    if made.get("PatientSex") not in _SEXES:
        made.PatientSex = ""
