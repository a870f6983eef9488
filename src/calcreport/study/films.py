"""Measurement of the radiographs of a study without measurable CT: every view and both sides in one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Final

from calcreport.compose.lesions import film_image_name, key_image_name
from calcreport.dicom import FilmHeader, StudyFiles, read_film
from calcreport.dicom.codes import problem
from calcreport.dicom.coverage import side_of
from calcreport.errors import InputError
from calcreport.formats.page.as_html import PREVIEW
from calcreport.model.film import FilmFindings, FilmImage
from calcreport.model.report import Report, Searched, SeriesEntry
from calcreport.processes.threads import map_in_threads
from calcreport.settings import ReadingSettings
from calcreport.study.findings import film_findings_for_rules
from calcreport.study.request import MeasuredStudy, Pictures, RefusedStudyError, ReportEvidence, Request
from calcreport.text.statements import Statements
from calcreport.text.technique import merge_searched, name_region
from calcreport.text.wording import lengths_of

_MEASURED: Final = "series.analysed"  # code of a film that was searched
_NEXT_TO_NOTHING: Final = 0.03  # a film of which less than this share was searched says nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmsReading:
    """The radiographs of a study, read, and the outcome of every series."""

    films: tuple[FilmImage, ...]
    modality: str
    entries: tuple[SeriesEntry, ...]


def read_films(
    films: Sequence[FilmHeader], entries: tuple[SeriesEntry, ...], settings: ReadingSettings
) -> FilmsReading:
    """Read the radiographs of a study; one that is refused is listed, and the others go on.

    `entries` are the rows of everything else in the study. Raises `RefusedStudyError` when no film can be read: the
    reason of the first.
    """
    with ThreadPoolExecutor(1) as ahead:  # what searches is loaded while pixels are read: 0.2 s, with scipy
        for name in ("analysis", "exposure"):
            ahead.submit(import_module, f"calcreport.film.{name}")
        outcomes = map_in_threads(lambda film: _read(film, settings), list(films))
    rows = (*entries, *_list_films(films, outcomes))
    refusals = [outcome for outcome in outcomes if isinstance(outcome, InputError)]
    read = tuple(outcome for outcome in outcomes if isinstance(outcome, FilmImage))
    if not read:
        raise RefusedStudyError(refusals[0], rows)
    first = next(film for film, outcome in zip(films, outcomes, strict=True) if isinstance(outcome, FilmImage))
    return FilmsReading(films=read, modality="DX" if first.image.series.modality == "DX" else "CR", entries=rows)


def _read(film: FilmHeader, settings: ReadingSettings) -> FilmImage | InputError:
    try:
        read = read_film(film, settings=settings)
    except InputError as error:
        return error
    from calcreport.film.exposure import settle_polarity  # see read_films

    return settle_polarity(read) or problem("calibration.film_polarity")


def _list_films(films: Sequence[FilmHeader], outcomes: Sequence[FilmImage | InputError]) -> tuple[SeriesEntry, ...]:
    """Rows for the films of each series: one for those measured, one for each reason of a refusal."""
    groups: dict[tuple[str, str, str], list[FilmHeader]] = {}
    for film, outcome in zip(films, outcomes, strict=True):
        reason = (outcome.code, outcome.message) if isinstance(outcome, InputError) else ("", "Measured.")
        groups.setdefault((film.image.series_uid, *reason), []).append(film)
    return tuple(
        SeriesEntry(
            series_instance_uid=uid,
            modality=held[0].image.series.modality or "OT",
            status="refused" if code else "analysed",
            code=code or _MEASURED,
            message=message,
            series_number=held[0].image.series.number,
            description=held[0].image.series.description,
            image_count=len(held),
        )
        for (uid, code, message), held in sorted(groups.items(), key=lambda group: group[0])
    )


def measure_films(
    study: StudyFiles, reading: FilmsReading, request: Request, on_step: Callable[[str], None]
) -> MeasuredStudy:
    """Search the radiographs of a study; `on_step` receives the name of each step.

    Raises `RefusedStudyError` ``series.not_searchable`` when no film shows soft tissue off bone: nothing was looked at,
    so nothing is absent.
    """
    from calcreport.film.analysis import analyse_films  # see read_films

    findings = analyse_films(reading.films, on_progress=on_step)
    if not findings.lesions and all(film.searched_share < _NEXT_TO_NOTHING for film in findings.readings):
        raise RefusedStudyError(problem("series.not_searchable"), reading.entries)
    about = study.study.model_copy(update={"modality": reading.modality})
    return MeasuredStudy(
        study=about,
        series=reading.entries,
        evidence=film_evidence(findings, study),
        rule_findings=film_findings_for_rules(findings, about, request.clinical),
        imaging=(),
        image_count=len(reading.films),
        searched=_list_searched(study, reading, findings, request.templates.statements),
    )


def _list_searched(
    study: StudyFiles, reading: FilmsReading, findings: FilmFindings, statements: Statements
) -> tuple[Searched, ...]:
    """Parts of the body that the films show, and those that only refused images of the study show."""
    entries = {entry.series_instance_uid: entry for entry in reading.entries}

    def name(side: str | None, part: str | None, uid: str) -> str:
        entry = entries.get(uid)
        words = (part, entry.description if entry else None, study.study.body_part)
        return name_region(side, words, entry.series_number if entry else None, statements)

    searched = []
    for film, part in zip(reading.films, findings.readings, strict=True):
        region = name(film.view.laterality, film.view.body_part, film.series_instance_uid)
        if part.searched_share < _NEXT_TO_NOTHING:
            searched.append(Searched(region=region, status="partly", reason="series.not_searchable"))
        else:
            searched.append(Searched(region=region, status="searched"))
    missing = [
        Searched(
            region=name(side_of(series), series.instances[0].series.body_part, series.uid),
            status="not_searched",
            reason=entry.code,
            series_number=series.number,
        )
        for series in study.series
        for entry in reading.entries
        if entry.status == "refused" and entry.series_instance_uid == series.uid
    ]
    known = {row.region for row in searched}  # another view, or the CT, of what a film shows adds no part of the body
    return merge_searched(searched, [row for row in missing if row.region not in known])


def film_evidence(findings: FilmFindings, study: StudyFiles) -> ReportEvidence:
    """Masks and images behind the report of radiographs."""
    measured = {film.reference.sop_instance_uid for film in findings.films}
    films = (film.image for series in study.series for film in series.films)
    images = tuple(image for image in films if image.instance_uid in measured)
    return ReportEvidence(findings=findings, draw=partial(_draw, findings), images=images)


def _draw(findings: FilmFindings, report: Report, order: tuple[int, ...], statements: Statements) -> Pictures:
    """Prepare every film, whole and for the page, and each lesion on every film that shows it."""
    from calcreport.formats.pictures.as_film import FilmMark, render_film, render_film_lesion, render_film_preview

    lengths = lengths_of(report)
    marks: list[list[FilmMark]] = [[] for _ in findings.films]
    pictures: dict[str, Callable[[], bytes]] = {}
    for lesion, index in zip(report.lesions, order, strict=True):
        for view, shadow in enumerate(findings.lesions[index].shadows, start=1):
            marks[shadow.film].append(FilmMark(lesion_id=lesion.id, shadow=shadow))
            if lesion.images:
                drawing = partial(render_film_lesion, findings.films[shadow.film], shadow, lesion, statements)
                pictures[key_image_name(lesion.id, view=view)] = partial(drawing, lengths=lengths)
    wholes: dict[str, Callable[[], bytes]] = {}
    for number, film in enumerate(findings.films, start=1):
        name, part = film_image_name(number), report.study.body_part
        wholes[name] = partial(render_film, film, marks[number - 1], statements, body_part=part)
        wholes[f"{PREVIEW}{name}"] = partial(render_film_preview, film, marks[number - 1], statements, body_part=part)
    return wholes | pictures  # whole films first: one takes as long as several parts, which then fill the other thread
