"""Limits of the study in sentences: facts that could not be seen, measured or known."""

from __future__ import annotations

from typing import Final

from calcreport.compose.technique import DraftContext
from calcreport.model.decision import Decision
from calcreport.model.film import FilmFindings
from calcreport.model.findings import Findings
from calcreport.model.lesion import CtFindings
from calcreport.model.report import DepthClass, FilmTechnique, Lesion, Report, Technique
from calcreport.text.clinical import describe_clinical
from calcreport.text.comparison import has_known_course
from calcreport.text.film import name_films, name_limit
from calcreport.text.searched import say_not_searched
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, spell_number

THICK_SLICE_MM: Final = 3.0
"""Slices further apart than this, in mm, show neither a thin rim nor a lucent centre."""


def collect_measured_limitations(
    findings: CtFindings | FilmFindings | Findings,
    technique: Technique | None,
    context: DraftContext,
    statements: Statements,
) -> tuple[str, ...]:
    """Collect the limits set by the images: of the search, of single films, of unanalysed parts."""
    sentences: list[str] = []
    if isinstance(findings, FilmFindings) and technique is not None:
        sentences += _limit_films(findings, technique.films, statements)
    if not isinstance(findings, Findings):
        sentences += findings.notes
    return (*sentences, *context.limitations)


def collect_limitations(
    report: Report, decision: Decision, lesions: tuple[Lesion, ...], statements: Statements
) -> tuple[str, ...]:
    """Collect the limits of a study, each sentence once."""
    technique = report.technique
    sentences = [*_limit_lesions(lesions, report.study.modality, technique, statements)]
    if technique is not None:
        sentences += _limit_technique(report, statements)
    sentences += say_not_searched(report.searched, statements, "limitation.not_searched")
    sentences += report.measured_limitations
    sentences += decision.limitations
    if lesions:
        missing = describe_clinical(report.clinical, report.study.patient, statements).missing_for_flags
        if missing:
            sentences.append(statements.say("limitation.clinical", list=", ".join(missing)))
    return tuple(dict.fromkeys(sentences))


def _limit_lesions(
    lesions: tuple[Lesion, ...], modality: str, technique: Technique | None, statements: Statements
) -> list[str]:
    if not lesions:
        return [statements.say("limitation.negative")]
    sentences = _limit_measuring(lesions, modality, technique, statements)
    cut = [lesion.id for lesion in lesions if lesion.size.is_minimum or lesion.mass.is_minimum]
    if cut:
        sentences.append(statements.say("limitation.truncated", ids=", ".join(cut)))
    open_ids = [lesion.id for lesion in lesions if not has_known_course(lesion)]
    if len(open_ids) == len(lesions) and all(lesion.growth is None for lesion in lesions):
        sentences.append(statements.say("limitation.stability"))
    elif open_ids:
        sentences.append(statements.say("limitation.stability_of", ids=", ".join(open_ids)))
    return sentences


def _limit_measuring(
    lesions: tuple[Lesion, ...], modality: str, technique: Technique | None, statements: Statements
) -> list[str]:
    """Limits of this kind of image in showing the lesions."""
    if technique is not None and technique.films:
        sentences = [*name_limit(technique.films, statements), statements.say("limitation.pattern_film")]
        apart = _seen_apart(lesions, technique.films)
        return [*sentences, statements.say("limitation.views_apart", ids=", ".join(apart))] if apart else sentences
    if modality in {"CR", "DX"} and technique is None:
        return [statements.say("limitation.radiograph")]
    sentences = []
    if any(lesion.mass.source != "contour" for lesion in lesions):
        sentences.append(statements.say("limitation.mineral_only"))
    unclear = [lesion.id for lesion in lesions if lesion.depth.class_ is DepthClass.CANNOT_DETERMINE]
    if unclear and (modality == "CT" or technique is not None):
        sentences.append(statements.say("limitation.fascia", ids=", ".join(unclear)))
    return sentences


def _seen_apart(lesions: tuple[Lesion, ...], films: tuple[FilmTechnique, ...]) -> list[str]:
    """Lesions seen on one film each, where another lesion was seen on another film of the same side and part."""
    parts = {film.sop_instance_uid: (film.laterality, film.body_part) for film in films}
    single = [
        (lesion.id, lesion.location.films[0].sop_instance_uid) for lesion in lesions if len(lesion.location.films) == 1
    ]
    return [
        lesion_id
        for lesion_id, uid in single
        if any(other != uid and parts.get(other) == parts.get(uid) for _, other in single)
    ]


def _limit_technique(report: Report, statements: Statements) -> list[str]:
    """Slices too far apart, the farthest of all measured series."""
    spacings = [entry.geometry.spacing_mm for entry in report.series if entry.geometry is not None]
    if report.technique is not None and report.technique.spacing_mm is not None:
        spacings.append(report.technique.spacing_mm)
    spacing_mm = max((spacing[2] for spacing in spacings), default=0.0)
    if spacing_mm <= THICK_SLICE_MM:
        return []
    return [statements.say("limitation.thick_slices", spacing=spell_number(spacing_mm))]


def _limit_films(findings: FilmFindings, films: tuple[FilmTechnique, ...], statements: Statements) -> list[str]:
    """Limits of the search on each film; a film is named where not all share a limit."""
    notes_of = [(*film.notes, *reading.notes) for film, reading in zip(findings.films, findings.readings, strict=True)]
    names = name_films(films, statements)
    sentences = [statements.say("limitation.searched")]
    for note in dict.fromkeys(note for notes in notes_of for note in notes):
        holders = [name for name, notes in zip(names, notes_of, strict=True) if note in notes]
        is_of_all = len(holders) == len(films)
        of = note if is_of_all else statements.say("film.of", film=statements.join(holders), text=note)
        sentences.append(as_sentence(of))
    return sentences
