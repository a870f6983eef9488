"""A study whose best CT series is measured: which one, with which contours and contrast, and what is drawn of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from calcreport.compose import OVERVIEW_IMAGE, Imaging, Statements, key_image_name
from calcreport.compose.wording import lengths_of
from calcreport.dicom import CtSeries, SeriesFiles, SeriesRanking, StudyFiles, read_ct
from calcreport.errors import InputError
from calcreport.model.image import Contrast, CtVolume
from calcreport.model.lesion import CtFindings, LesionContour
from calcreport.model.report import Report, SeriesEntry
from calcreport.output import Rendered
from calcreport.request import Request
from calcreport.study_findings import findings_for_rules
from calcreport.study_measured import Basis, MeasuredStudy, Pictures, RefusedStudyError, entry_of_series

_FILM: Final = "series.radiograph_beside_ct"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtReading:
    """The CT series to measure, read, and what became of every series of the study."""

    ct: CtSeries
    source: SeriesFiles
    contours: tuple[LesionContour, ...]
    entries: tuple[SeriesEntry, ...]
    series_instance_uid: str


def read_best_ct(ranking: SeriesRanking, request: Request) -> CtReading:
    """Read the best CT series that can be read, with the contours that fit it.

    Raises
    ------
    RefusedStudyError
        When no series can be read: the reason of the best one, and the rows of the refused ones alone.
    """
    refusals: list[InputError] = []
    refused: list[SeriesEntry] = []
    for position, candidate in enumerate(ranking.candidates):
        try:
            ct = read_ct(candidate, settings=request.settings.reading)
            contours = _read_contours(ct, request)
        except InputError as error:
            refusals.append(error)
            refused.append(entry_of_series(candidate, "refused", error.code, error.message))
            continue
        message = f"Measured. {' '.join(ct.notes)}".strip()
        analysed = entry_of_series(candidate, "analysed", "series.analysed", message)
        others = [
            entry_of_series(other, "skipped", "series.not_best", "Another series of the study is better for measuring.")
            for other in ranking.candidates[position + 1 :]
        ]
        entries = (*ranking.entries, *refused, analysed.model_copy(update={"geometry": ct.geometry}), *others)
        return CtReading(ct=ct, source=candidate, contours=contours, entries=entries, series_instance_uid=candidate.uid)
    raise RefusedStudyError(refusals[0], tuple(refused))


def _read_contours(ct: CtSeries, request: Request) -> tuple[LesionContour, ...]:
    if request.lesion_mask is None:
        return ()
    from calcreport.dicom.lesion_mask import read_lesion_masks

    reading = request.settings.reading
    return read_lesion_masks(request.lesion_mask, ct.volume, roi=request.lesion_roi, limits=reading)


def measure_ct(
    study: StudyFiles, reading: CtReading, request: Request, on_step: Callable[[str], None]
) -> MeasuredStudy:
    """Measure a CT series.

    Parameters
    ----------
    study : StudyFiles
        As found.
    reading : CtReading
        The series.
    request : Request
        What to analyse and how.
    on_step : Callable[[str], None]
        Told the name of each step.
    """
    from calcreport.calcification.analysis import analyse_ct  # 0.1 s, which a study of radiographs does without

    volume, acquisition = reading.ct.volume, reading.ct.acquisition
    contrast, source = _contrast(request, acquisition.contrast)
    findings = analyse_ct(
        volume,
        acquisition,
        settings=request.settings.detection,
        contrast=contrast if source == "clinician" else None,
        contours=reading.contours,
        on_progress=on_step,
    )
    taken = findings_for_rules(findings, study.study, acquisition, request.clinical, contrast=contrast, volume=volume)
    imaging = Imaging(
        series_instance_uid=reading.series_instance_uid,
        acquisition=acquisition,
        spacing_mm=reading.ct.geometry.spacing_mm,
        contrast=contrast,
        contrast_source=source,
    )
    return MeasuredStudy(
        study=study.study,
        series=reading.entries,
        basis=ct_basis(findings, volume, reading.source),
        taken=taken,
        imaging=imaging,
        image_count=volume.hu.shape[0],
        limitations=_name_films(reading.entries, request.templates.statements),
    )


def ct_basis(findings: CtFindings, volume: CtVolume, series: SeriesFiles) -> Basis:
    """Masks and images behind the report of a CT series."""
    images = tuple(dict.fromkeys(plane.image for plane in series.planes))  # slices of one file share it
    return Basis(findings=findings, draw=partial(_draw, findings, volume), images=images, volume=volume)


def _contrast(request: Request, header: Contrast) -> tuple[Contrast, Literal["header", "clinician", "unknown"]]:
    """Contrast phase and who told it: the clinician's word counts more than the header's."""
    told = Contrast(request.clinical.imaging.contrast or Contrast.UNKNOWN)
    if told is not Contrast.UNKNOWN:
        return told, "clinician"
    return header, "unknown" if header is Contrast.UNKNOWN else "header"


def _name_films(entries: tuple[SeriesEntry, ...], statements: Statements) -> tuple[str, ...]:
    """Say how many radiographs of the study were not analysed, because its CT was."""
    count = sum(entry.image_count or 0 for entry in entries if entry.code == _FILM)
    if not count:
        return ()
    identifier = "limitation.other_radiograph" if count == 1 else "limitation.other_radiographs"
    return (statements.say(identifier, count=count),)


def _draw(
    findings: CtFindings, volume: CtVolume, report: Report, order: tuple[int, ...], statements: Statements
) -> Pictures:
    """Prepare the overview and a key image of each lesion."""
    from calcreport.output.as_overview import render_overview
    from calcreport.output.as_png import render_key_image

    numbered = tuple((lesion.id, index) for lesion, index in zip(report.lesions, order, strict=True))
    series = next(entry for entry in report.series if entry.status == "analysed")
    lesions = {lesion.id: lesion for lesion in report.lesions}
    pictures: dict[str, Callable[[], Rendered]] = {
        OVERVIEW_IMAGE: partial(render_overview, volume, findings, numbered, statements)
    }
    for lesion_id, index in numbered:
        pictures[key_image_name(lesion_id)] = partial(
            render_key_image,
            volume,
            findings.lesions[index],
            lesions[lesion_id],
            statements,
            lengths=lengths_of(report),
            series=series,
        )
    return pictures
