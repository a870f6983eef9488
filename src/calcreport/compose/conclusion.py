"""Conclusions and limits of a report: the part that is rewritten when a reader changes its facts."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel

from calcreport.compose.technique import DraftContext
from calcreport.model.decision import Decision
from calcreport.model.film import FilmFindings
from calcreport.model.findings import Findings
from calcreport.model.lesion import CtFindings
from calcreport.model.report import DepthClass, Differential, FilmTechnique, Lesion, PriorStudy, Report, Technique
from calcreport.text.changes import describe_changes
from calcreport.text.clinical import describe_clinical
from calcreport.text.comparison import has_known_course
from calcreport.text.film import name_films, name_limit
from calcreport.text.impression import join_advice, name_flags, write_impression
from calcreport.text.statements import Statements
from calcreport.text.technique import say_no_lesion, say_not_searched
from calcreport.text.wording import Presenter, as_sentence, present, spell_number

_THICK_SLICE_MM: Final = 3.0  # Slices further apart than this, in mm, show neither a thin rim nor a lucent centre


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


def _limit_films(findings: FilmFindings, films: tuple[FilmTechnique, ...], statements: Statements) -> list[str]:
    """Limits of the search on each film; a film is named where not all share a limit."""
    notes_of = [(*film.notes, *reading.notes) for film, reading in zip(findings.films, findings.readings, strict=True)]
    names = name_films(films, statements)
    sentences = [statements.say("limitation.searched")]
    for note in dict.fromkeys(note for notes in notes_of for note in notes):
        holders = [name for name, notes in zip(names, notes_of, strict=True) if note in notes]
        if len(holders) < len(films):
            note = statements.say("film.of", film=statements.join(holders), text=note)  # noqa: PLW2901 - now complete
        sentences.append(as_sentence(note))
    return sentences


def _collect_limitations(words: Presenter, decision: Decision) -> tuple[str, ...]:
    """Collect the limits of a study, each sentence once."""
    report = words.report
    sentences = _limit_lesions(words)
    # the farthest slices of all measured series
    spacings = [entry.geometry.spacing_mm for entry in report.series if entry.geometry is not None]
    if report.technique is not None and report.technique.spacing_mm is not None:
        spacings.append(report.technique.spacing_mm)
    spacing_mm = max((spacing[2] for spacing in spacings), default=0.0)
    if report.technique is not None and spacing_mm > _THICK_SLICE_MM:
        sentences.append(words.say("limitation.thick_slices", spacing=spell_number(spacing_mm)))
    sentences += say_not_searched(report.searched, words, "limitation.not_searched")
    sentences += report.measured_limitations
    sentences += decision.limitations
    missing = describe_clinical(report.clinical, report.study.patient, words).missing_for_flags
    if report.lesions and missing:
        sentences.append(words.say("limitation.clinical", list=", ".join(missing)))
    return tuple(dict.fromkeys(sentences))


def _limit_lesions(words: Presenter) -> list[str]:
    lesions = words.report.lesions
    if not lesions:
        return [words.say("limitation.negative")]
    sentences = _limit_measuring(words)
    cut = [lesion.id for lesion in lesions if lesion.size.is_minimum or lesion.mass.is_minimum]
    if cut:
        sentences.append(words.say("limitation.truncated", ids=", ".join(cut)))
    open_ids = [lesion.id for lesion in lesions if not has_known_course(lesion)]
    if len(open_ids) == len(lesions) and all(lesion.growth is None for lesion in lesions):
        sentences.append(words.say("limitation.stability"))
    elif open_ids:
        sentences.append(words.say("limitation.stability_of", ids=", ".join(open_ids)))
    return sentences


def _limit_measuring(words: Presenter) -> list[str]:
    """Limits of this kind of image in showing the lesions."""
    lesions, technique = words.report.lesions, words.report.technique
    if words.films:
        sentences = [*name_limit(words.films, words), words.say("limitation.pattern_film")]
        apart = ", ".join(_seen_apart(words))
        return [*sentences, words.say("limitation.views_apart", ids=apart)] if apart else sentences
    if words.is_on_film and technique is None:
        return [words.say("limitation.radiograph")]
    sentences = []
    if any(lesion.mass.source != "contour" for lesion in lesions):
        sentences.append(words.say("limitation.mineral_only"))
    unclear = [lesion.id for lesion in lesions if lesion.depth.class_ is DepthClass.CANNOT_DETERMINE]
    if unclear and (words.report.study.modality == "CT" or technique is not None):
        sentences.append(words.say("limitation.fascia", ids=", ".join(unclear)))
    return sentences


def _seen_apart(words: Presenter) -> list[str]:
    """Lesions seen on one film each, where another lesion was seen on another film of the same side and part."""
    parts = {film.sop_instance_uid: (film.laterality, film.body_part) for film in words.films}
    placed = [(lesion.id, lesion.location.films) for lesion in words.report.lesions]
    single = [(name, films[0].sop_instance_uid) for name, films in placed if len(films) == 1]
    return [
        name for name, uid in single if any(other != uid and parts.get(other) == parts.get(uid) for _, other in single)
    ]


_WORDED: Final = frozenset({
    "text", "label", "evidence", "notes", "measured_notes", "because", "reason", "remarks", "limitations",
    "measured_limitations", "bans", "contacts",
})  # fmt: skip
"""Fields that hold sentences."""
_Record = TypeVar("_Record", bound=BaseModel)  # A record of the report


def _in_own_words(record: _Record, statements: Statements) -> _Record:
    """Record with every sentence of the core in the words of the site; as it is where the site replaces none."""
    if not statements.of_core:
        return record
    changed = {
        name: _reworded(value, statements, is_worded=name in _WORDED)
        for name in type(record).model_fields
        if isinstance(value := getattr(record, name), str | tuple | dict | BaseModel)
    }
    return record.model_copy(update=changed)


def _reworded(value: Any, statements: Statements, *, is_worded: bool) -> Any:  # noqa: ANN401 - values of any field
    if isinstance(value, str):
        return statements.reword(value) if is_worded and type(value) is str else value
    if isinstance(value, tuple):
        return tuple(_reworded(item, statements, is_worded=is_worded) for item in value)
    if isinstance(value, dict):
        return {key: _reworded(item, statements, is_worded=is_worded) for key, item in value.items()}
    return _in_own_words(value, statements) if isinstance(value, BaseModel) else value


def conclude(
    facts: Report, decision: Decision, *, order: tuple[int, ...], rule_findings: Findings | None, statements: Statements
) -> Report:
    """Write the conclusions of a decision into a report, in place of those it has.

    `order` gives for each lesion of the report its index among those the decision is about; `rule_findings`, the input
    of the rules, is in the order of the decision.
    """
    facts, decision = _in_own_words(facts, statements), _in_own_words(decision, statements)
    lesions = tuple(_with_answer(lesion, decision, index) for lesion, index in zip(facts.lesions, order, strict=True))
    numbered = tuple((lesion.id, index) for lesion, index in zip(lesions, order, strict=True))
    words = present(facts.model_copy(update={"lesions": lesions}), statements)
    concluded = words.report.model_copy(
        update={
            "patient": decision.patient,
            "concern": decision.concern,
            "flags_summary": decision.flags_summary,
            "recommendations": join_advice(decision.recommendations, lesions),
            "limitations": _collect_limitations(words, decision),
            "would_change": describe_changes(decision, numbered, statements, size_name=name_flags(words)["size"]),
            "comparison": _name_comparison(rule_findings),
            "laboratory": decision.laboratory,
            "inputs": decision.inputs,
            "findings": _keep(rule_findings, numbered),
        }
    )
    items = write_impression(present(concluded, statements), negative=say_no_lesion(words))
    return concluded.model_copy(update={"impression": tuple(item.text for item in items)})


def _with_answer(lesion: Lesion, decision: Decision, index: int) -> Lesion:
    decided = decision.lesions[index]
    return lesion.model_copy(
        update={
            "flags": decided.flags,
            "concern": decided.concern,
            "differential": mark_tumours(decided.differential, decision),
            "recommendations": decided.recommendations,
            "growth": decided.growth,
            "notes": tuple(dict.fromkeys((*lesion.measured_notes, *decided.notes))),
        }
    )


def mark_tumours(differential: tuple[Differential, ...], decision: Decision) -> tuple[Differential, ...]:
    """Say of each class of a decided differential whether it is a tumour, as the report does."""
    return tuple(
        entry.model_copy(update={"is_tumour": decision.capabilities.is_class(entry.id, "is_tumour")})
        for entry in differential
    )


def _keep(rule_findings: Findings | None, numbered: tuple[tuple[str, int], ...]) -> dict[str, Any] | None:
    """Findings given to the rules, in the order and with the ids of the report; unknown values are left out."""
    if rule_findings is None:
        return None
    lesions = tuple(rule_findings.lesions[index].model_copy(update={"id": name}) for name, index in numbered)
    return rule_findings.model_copy(update={"lesions": lesions}).model_dump(mode="json", exclude_defaults=True) | (
        {} if lesions else {"lesions": []}
    )


def _name_comparison(rule_findings: Findings | None) -> PriorStudy | None:
    """Earlier study compared with: that of the whole study, else that a reader typed for a lesion."""
    study = rule_findings.prior_study if rule_findings else None
    typed = [lesion.prior for lesion in rule_findings.lesions if lesion.prior is not None] if rule_findings else []
    if study is None and not typed:
        return None
    days = {prior.study_date for prior in typed} if study is None else {study.study_date}
    kinds = {prior.modality for prior in typed} if study is None else {study.modality}
    day = days.pop() if len(days) == 1 else None
    return PriorStudy(
        source="reader" if study is None else study.source,
        date=None if day is None else day.isoformat(),
        modality=kinds.pop() if len(kinds) == 1 else None,
        vanished=() if study is None else study.vanished,
    )
