"""``sr.dcm``: the report as a Comprehensive 3D SR by template TID 1500.

One planar group (TID 1410) for each lesion that no reader rejected, on CT; on radiographs one for each film that shows
it, all with the tracking UID of the lesion. Sections of text and what holds for the study stand in the template's own
container for qualitative evaluations. Groups that refer to a segmentation are a document of their own (TID 1411),
because viewers exist that fail on a document that holds one.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pydicom
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code

from calcreport.dicom.header.image_header import MAKER
from calcreport.formats.characters import to_ascii
from calcreport.formats.dicom import codes
from calcreport.formats.dicom.instance import arguments_of, finish, stand_in, study_header, untroubled
from calcreport.formats.dicom.measurement_groups import planar_groups, volumetric_groups
from calcreport.formats.dicom.subject import Reference, Subject
from calcreport.model.film import FilmFindings
from calcreport.model.report import Report
from calcreport.model.uids import derive_uid
from calcreport.text.impression import is_assessed
from calcreport.text.narrative import narrate
from calcreport.text.statements import Statements

_LINE_BREAK: Final = "\r\n"  # as PS3.5 6.1.3 wants it in text of several lines
_NOTHING: Final = "Nothing was measured."  # where there is neither a group nor an impression
_STATUS: Final = "Draft for review and signature, not verified"  # of the document


def write_structured_report(subject: Subject) -> bytes:
    """Write the report of a study with the outline of each lesion; without a lesion it holds no measurement group.

    Raises `UsageError` ``render.damaged_shape`` when a lesion has no voxel or pixel.
    """
    with untroubled():
        made = _document(subject, planar_groups(subject), _evidence(subject), name="")
    return finish(made, subject, kind="sr")


def write_volumetric_report(subject: Subject, *segmentations: bytes) -> bytes:
    """Write the report of a CT study a second time, each lesion tied to its segment (TID 1411) of `segmentations`.

    Raises `ValueError` when a segmentation is not one of this report.
    """
    with untroubled():
        stored = [pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True) for content in segmentations]
        groups = volumetric_groups(subject, stored)
        made = _document(subject, groups, [*_evidence(subject), *map(stand_in, stored)], name="volumetric")
    return finish(made, subject, kind="sr", number=2, name="volumetric")


def _evidence(subject: Subject) -> list[Dataset]:
    """Name every image that was measured, whether or not it shows a lesion."""
    findings, source = subject.findings, subject.source
    if isinstance(findings, FilmFindings):
        references = [film.reference for film in findings.films]
    else:
        references = [reference for volume in subject.volumes for reference in volume.slices]
    first = stand_in(study_header(subject))
    uids = dict.fromkeys(reference.sop_instance_uid for reference in references)
    uids.pop(str(first.SOPInstanceUID), None)
    others = (Reference(first.StudyInstanceUID, source.series_uid(uid), source.sop_class_uid(uid), uid) for uid in uids)
    return [first, *(other.as_dataset() for other in others)]


def _document(
    subject: Subject, groups: Sequence[sr.ContentSequence], evidence: Sequence[Dataset], *, name: str
) -> Dataset:
    made: Dataset = sr.Comprehensive3DSR(
        evidence=evidence,
        content=_content(subject, groups),
        **arguments_of(subject, "sr", name),
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=[] if name else [reference.as_dataset() for reference in subject.revision.superseded],
        coding_schemes=[
            CodingSchemeIdentificationItem(
                codes.PRIVATE_SCHEME, name="calcreport private codes", responsible_organization=MAKER
            )
        ],
    )
    if not made.PredecessorDocumentsSequence:
        del made.PredecessorDocumentsSequence
    made.pop("ContributingEquipmentSequence", None)  # highdicom and the time of day: neither is a result
    made.CompletionFlagDescription = _STATUS
    return made


def _content(subject: Subject, groups: Sequence[sr.ContentSequence]) -> Dataset:
    """Root of the document by TID 1500; highdicom's own class cannot do without a measurement group."""
    software = subject.report.software
    observer = sr.ObserverContext(
        observer_type=standard.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=derive_uid("device", software.name),
            name=software.name,
            manufacturer_name=MAKER,
            model_name=f"{software.name} {software.version}",
        ),
    )
    procedure = codes.CT_PROCEDURE if subject.volume is not None else codes.RADIOGRAPH_PROCEDURE
    measurements = [item for group in groups for item in group]
    if not groups:  # readers fail on an empty container: it says why
        why = to_ascii(" ".join(subject.report.impression)) or _NOTHING
        measurements = [sr.TextContentItem(codes.NOT_MEASURED, why, "CONTAINS")]
    container = sr.ContainerContentItem(standard.DCM.ImagingMeasurements, relationship_type="CONTAINS")
    return _filled(
        sr.ContainerContentItem(standard.DCM.ImagingMeasurementReport, template_id="1500"),
        [
            *sr.LanguageOfContentItemAndDescendants(sr.CodedConcept("en-US", "RFC5646", "English (United States)")),
            *sr.ObservationContext(observer_device_context=observer),
            sr.CodeContentItem(standard.DCM.ProcedureReported, procedure, "HAS CONCEPT MOD"),
            _filled(container, measurements),
            _study_level(subject),
        ],
    )


def _filled(container: sr.ContainerContentItem, items: Iterable[sr.ContentItem]) -> sr.ContainerContentItem:
    container.ContentSequence = sr.ContentSequence()
    container.ContentSequence.extend(items)
    return container


def _study_level(subject: Subject) -> sr.ContainerContentItem:
    """What holds for the study as a whole, and the sections of text."""
    report, summary = subject.report, subject.report.flags_summary
    coded = [(codes.CONCERN, codes.CONCERNS[report.concern])] if is_assessed(report) else []
    coded += [(name, codes.FLAG_STATES[summary[flag]]) for flag, name in codes.FLAGS.items() if flag in summary]
    texts = sections(report, subject.statements, subject.section)
    return _filled(
        sr.ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type="CONTAINS"),
        [
            *(sr.CodeContentItem(name, value, "CONTAINS") for name, value in coded),
            *(sr.TextContentItem(name, text, "CONTAINS") for name, text in texts),
        ],
    )


def sections(report: Report, statements: Statements, section: str) -> Iterator[tuple[Code, str]]:
    """Name and text of every section; 7-bit ASCII, an empty one is left out, `section` is the report section."""
    words = narrate(report, statements)
    lesions = (text for lesion in words.lesions for text in (f"{lesion.title}: {lesion.place}", lesion.in_full))
    # of each lesion that a reader decided on: who, when, what, before and after
    decided = [f"{lesion.id}: {lesion.review}" for lesion in words.lesions if lesion.review]
    named = (
        (codes.FINDINGS, [*lesions, *words.other]),
        (codes.IMPRESSIONS, _number(words.impression)),
        (codes.RECOMMENDATIONS, [*_number(words.recommendations), words.communication]),
        (codes.LIMITATIONS, [*words.limitations, words.draft]),
        (codes.REVIEW_AUDIT, [*decided, *(entry.sentence for entry in words.rejected)]),
    )
    for name, lines in named:
        text = _LINE_BREAK.join(to_ascii(line) for line in lines if line)
        if text:
            yield name, text
    yield codes.REPORT_SECTION, _LINE_BREAK.join(map(to_ascii, section.rstrip("\n").split("\n")))


def _number(sentences: Sequence[str]) -> list[str]:
    return [f"{position}. {sentence}" for position, sentence in enumerate(sentences, start=1)]
