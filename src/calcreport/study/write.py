"""Rendering of a report and its evidence to every requested file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Final

from calcreport.formats import FILE_NAMES, OBJECTS, RENDERERS, Templates
from calcreport.formats.page.as_html import PAGE_TEMPLATE, PREVIEW
from calcreport.formats.templates import compile_template
from calcreport.formats.text.as_text import TEXT_TEMPLATE, write_section
from calcreport.model.report import Report
from calcreport.processes.threads import map_in_threads
from calcreport.study.request import ReportEvidence
from calcreport.text.statements import Statements

if TYPE_CHECKING:
    from calcreport.formats.dicom.subject import Subject

SOURCES_FILE: Final = "sources.json"
"""Where the images lay that a report was made from, so that it can be rendered again; for this machine only."""

EARLIER_FILE: Final = "earlier/{}.png"  # of a lesion, see `Draft.evidence`
_MOST_PLACES: Final = 10_000  # image files noted in sources.json; 1 MB of paths
# Formats that show the key images, objects that show none, and formats that hold voxel masks.
_WITH_PICTURES: Final = frozenset({"png", "html", "pdf", "sc"})
_WITHOUT_PICTURES: Final = frozenset({"sr", "seg", "sr-volumetric"})
_MASKS: Final = frozenset({"seg", "sr-volumetric"})


def needs_pictures(formats: Collection[str]) -> bool:
    """Whether one of the formats shows pictures."""
    return not _WITH_PICTURES.isdisjoint(formats)


def load_output(templates: Templates, formats: Collection[str]) -> None:
    """Import what draws and writes, and compile the layouts; for a thread of its own while voxels are measured."""
    if needs_pictures(formats):
        import_module("calcreport.formats.pictures.as_png")
    if not OBJECTS.isdisjoint(formats):
        from calcreport.formats.dicom import objects

        objects.load()
    compile_template(templates, TEXT_TEMPLATE, is_html=False)
    if not {"html", "pdf"}.isdisjoint(formats):
        compile_template(templates, PAGE_TEMPLATE, is_html=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """A report and its evidence."""

    report: Report = field(repr=False)
    evidence: ReportEvidence
    order: tuple[int, ...]
    """For each lesion of the report its index among those measured."""
    previous_sr: bytes | None = field(default=None, repr=False)
    """Structured report of the last draft of the same study, where there is one."""


def write_outputs(
    draft: Draft, formats: tuple[str, ...], templates: Templates, *, on_step: Callable[[str], None]
) -> tuple[str, dict[str, bytes]]:
    """Draw, render and write: the section as text, and content by file name within the study's folder.

    `on_step` receives the name of each step.
    """
    on_step("drawing and writing")
    report = draft.report
    frames = {image.frame_of_reference_uid for image in draft.evidence.images}
    if len(frames) > 1 and any(volume.frame_of_reference_uid is None for volume in draft.evidence.volumes):
        formats = tuple(name for name in formats if name not in _MASKS)  # no frame of reference that a mask lies in
    section = write_section(report, templates)
    is_nameless = any(image.lacks_identity for image in draft.evidence.images)
    subject = None if is_nameless or OBJECTS.isdisjoint(formats) else _subject(draft, section, templates.statements)
    more = {"earlier": draft.evidence.earlier} if draft.evidence.earlier else {}
    pictures = draft.evidence.draw(report, draft.order, templates.statements, **more) if report.images else {}
    with ThreadPoolExecutor(1) as beside:  # what needs no picture is written while pictures are drawn
        plain = beside.submit(_write_objects, subject, _WITHOUT_PICTURES.intersection(formats), {})
        drawn = dict(zip(pictures, map_in_threads(lambda draw: draw(), pictures.values()), strict=True))
    files = {name: content for name, content in drawn.items() if not name.startswith(PREVIEW)} | plain.result()
    for name in formats:
        if name in RENDERERS:
            # With the time of its objects a document about an unchanged draft does not change.
            now = {"created": subject.revision.created.isoformat()} if subject is not None and name == "pdf" else {}
            files[FILE_NAMES[name]] = RENDERERS[name](report.model_copy(update=now), templates, drawn)
    if pictures:
        files |= _earlier_files(draft)
    files |= _write_objects(subject, {"sc"}.intersection(formats), drawn, pdf=files.get(FILE_NAMES["pdf"]))
    if not {"nifti", "coco"}.isdisjoint(formats):
        from calcreport.formats.masks import COCO_FILE, coco, nifti_files

        files |= nifti_files(report) if "nifti" in formats else {}
        files |= {COCO_FILE: coco(report)} if "coco" in formats else {}
    places = list(dict.fromkeys(image.source.place for image in draft.evidence.images))
    files[SOURCES_FILE] = f"{json.dumps({'places': places[:_MOST_PLACES]}, indent=2)}\n".encode()
    return section, files


def _earlier_files(draft: Draft) -> dict[str, bytes]:
    """Earlier images beside the key image of each lesion, so that they are there when it is drawn again."""
    from calcreport.formats.pictures.as_png import slice_as_png

    earlier = draft.evidence.earlier
    pairs = zip(draft.report.lesions, draft.order, strict=True)
    return {EARLIER_FILE.format(lesion.id): slice_as_png(earlier[i].hu) for lesion, i in pairs if i in earlier}


def _write_objects(
    subject: Subject | None, formats: Collection[str], pictures: Mapping[str, bytes], *, pdf: bytes | None = None
) -> dict[str, bytes]:
    if subject is None or (not formats and pdf is None):
        return {}
    from calcreport.formats.dicom.objects import write_objects

    return write_objects(subject, formats, pictures=pictures, pdf=pdf)


def formats_present(names: Collection[str]) -> tuple[str, ...]:
    """Formats that were written into a study's folder, by the names of its files."""
    kinds = {FILE_NAMES[name]: name for name in FILE_NAMES} | {
        "seg.dcm": "seg",
        "sc_1.dcm": "sc",
        "images": "png",
        "sr_seg.dcm": "sr-volumetric",
        "lesions_1.nii.gz": "nifti",
        "coco.json": "coco",
    }
    return tuple(kinds[name] for name in sorted(names) if name in kinds)


def _subject(draft: Draft, section: str, statements: Statements) -> Subject:
    from calcreport.dicom.source_images import SourceImages
    from calcreport.formats.dicom.structured_report import sections
    from calcreport.formats.dicom.subject import Subject, revise

    evidence = draft.evidence
    texts = sections(draft.report, statements, section)
    return Subject(
        report=draft.report,
        findings=evidence.findings,
        order=draft.order,
        volume=next(iter(evidence.volumes), None),
        further_volumes=evidence.volumes[1:],
        source=SourceImages(evidence.images),
        section=section,
        statements=statements,
        revision=revise(draft.report, text=[text for _, text in texts], previous=draft.previous_sr),
    )
