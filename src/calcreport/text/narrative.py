"""The report in prose and rows: what the text section and the page show, derived from the report alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from calcreport.model.lengths import Lengths
from calcreport.model.report import (
    BoneRelation,
    Concern,
    Density,
    Flag,
    FlagState,
    Lesion,
    Mass,
    Report,
    Size,
    Thresholds,
    YesNo,
)
from calcreport.model.terms import INDETERMINATE_PATTERN
from calcreport.text.clinical import ClinicalText, describe_clinical, describe_laboratory, describe_sources
from calcreport.text.comparison import describe_comparison, describe_growth
from calcreport.text.film import find_series, list_on_films, refer, say_other_views, say_projection
from calcreport.text.impression import list_flags, name_concerned
from calcreport.text.review import RejectedText, is_by_reader, say_rejected, say_review
from calcreport.text.section import Section, write_lines
from calcreport.text.statements import Statements
from calcreport.text.technique import describe_excluded, describe_incidental, say_no_lesion, say_technique
from calcreport.text.wording import (
    as_sentence,
    capitalise,
    lengths_of,
    name_finding,
    name_place,
    spell_distance,
    spell_volume,
)

MOST_IN_FULL: Final = 3
"""Lesions always described in full; of further ones whose pattern was already described the measurements suffice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionText:
    """One lesion in words."""

    id: str
    number: int
    """Name in the report and its position."""
    title: str
    """``"Lesion 1 (L1)"``."""
    place: str
    """Side, region, compartment, depth, with the image reference."""
    measured: tuple[tuple[str, str], ...]
    """Name of each measurement, and its value with unit."""
    sentences: tuple[str, ...]
    """Pattern, its caveats, change and notes."""
    review: str
    """What a reader decided; for the audit, never for the text that is signed."""

    @property
    def in_full(self) -> str:
        """Measurements in one sentence, then the others."""
        return " ".join((as_sentence("; ".join(map(": ".join, self.measured))), *self.sentences))


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrative:
    """The report's sections in words; each entry is one sentence or one line."""

    section: Section
    """What a radiologist pastes; all else is the full text."""
    clinical: tuple[str, ...]
    technique: tuple[str, ...]
    comparison: tuple[str, ...]
    lesions: tuple[LesionText, ...]
    rejected: tuple[RejectedText, ...]
    """Lesions of the draft that a reader rejected; for the audit, as `LesionText.review`."""
    other: tuple[str, ...]
    flags: tuple[tuple[str, tuple[tuple[str, Flag], ...]], ...]
    """Ids of the lesions that have the same flags, and name and state of each flag."""
    impression: tuple[str, ...]
    recommendations: tuple[str, ...]
    communication: str
    would_change: tuple[str, ...]
    limitations: tuple[str, ...]
    draft: str


def narrate(report: Report, statements: Statements) -> Narrative:
    """Put a report into words; `other` opens with the sentence for a study without lesions."""
    clinical = describe_clinical(report.clinical, report.study.patient, statements)
    negative = say_no_lesion(report, statements)
    software = report.software
    communication = _leave_blanks(report, statements)
    draft = statements.say("draft", software=software.name, version=software.version, rules=software.rules_version)
    return Narrative(
        section=write_lines(report, statements, frame=f"{communication} {draft}"),
        clinical=_clinical_sentences(report, clinical, statements),
        technique=say_technique(report, statements),
        comparison=(describe_comparison(report.comparison, report.lesions, statements),),
        lesions=tuple(_describe_lesion(report, number, statements) for number in range(1, len(report.lesions) + 1)),
        rejected=tuple(say_rejected(entry, statements, lengths_of(report)) for entry in report.rejected),
        other=(
            *(() if report.lesions else (as_sentence(negative),)),
            *_say_mass_unknown(report, statements),
            *describe_excluded(report.excluded, statements),
            *describe_incidental(report.incidental, statements, lengths_of(report)),
        ),
        flags=_group_flags(report, statements),
        impression=report.impression,
        recommendations=tuple(_recommend(report, position) for position in range(len(report.recommendations))),
        communication=communication,
        would_change=tuple(entry.text for entry in report.would_change if entry.is_told),
        limitations=tuple(as_sentence(sentence) for sentence in report.limitations),
        draft=draft,
    )


def _group_flags(report: Report, statements: Statements) -> tuple[tuple[str, tuple[tuple[str, Flag], ...]], ...]:
    groups: dict[tuple[tuple[str, Flag], ...], list[str]] = {}
    for lesion in report.lesions:
        groups.setdefault(list_flags(report, lesion, statements), []).append(lesion.id)
    return tuple((", ".join(ids), flags) for flags, ids in groups.items())


def _clinical_sentences(report: Report, clinical: ClinicalText, statements: Statements) -> tuple[str, ...]:
    """Say what was given, what follows from it, and what was not given."""
    sources = describe_sources(report.inputs, statements)
    if not clinical.given:
        return (statements.say("clinical.nothing"), *sources)
    missing = (statements.say("clinical.missing", list=", ".join(clinical.missing)),) if clinical.missing else ()
    return (*clinical.given, *describe_laboratory(report.laboratory, statements), *sources, *missing)


def _leave_blanks(report: Report, statements: Statements) -> str:
    """Blanks for who was notified and when, where notification is required; empty otherwise."""
    asked = report.recommendations
    category = (
        "same_day"
        if any(entry.is_same_day for entry in asked)
        else "no_biopsy"
        if any(entry.forbids_biopsy for entry in asked)
        else "cancer"
        if report.concern is Concern.HIGH and any(entry.is_referral for entry in asked)
        else ""
    )
    if not category:
        return ""
    return statements.say("communication.line", category=statements.say(f"communication.{category}"))


def find_limits(report: Report, lesion: Lesion | None) -> Thresholds | None:
    """Limits a lesion was found with: those of its series, otherwise of the study; ``None`` for radiographs."""
    series = find_series(report, lesion.series_instance_uid) if lesion else None
    if series is not None and series.threshold_hu is not None:
        return series.threshold_hu
    return report.technique.threshold_hu if report.technique else None


def _describe_lesion(report: Report, number: int, statements: Statements) -> LesionText:
    lesion = report.lesions[number - 1]
    brief = _is_one_of_many(report, number)
    films = lesion.location.films
    reference = refer(report, lesion, statements)
    parts = [name_place(lesion.location, statements)]
    compartment = statements.choose("tissue", lesion.location.compartment or "", lesion.location.compartment or "")
    if compartment and compartment.lower() not in statements.say(f"depth.{lesion.depth.class_}").lower():
        parts.append(compartment)
    if films:
        parts.append(say_projection(films, statements))
    pattern = _describe_pattern(lesion, statements)
    sentences = [pattern] if brief else _describe_in_full(report, lesion, pattern, statements)
    place = as_sentence(", ".join(parts))
    return LesionText(
        id=lesion.id,
        number=number,
        title=statements.say("findings.lesion", number=number, id=lesion.id),
        place=f"{place} {reference}".strip(),
        measured=list_measurements(lesion, statements, lengths_of(report)),
        sentences=tuple(map(as_sentence, filter(None, sentences))),
        review=as_sentence(say_review(lesion, statements, lengths_of(report))),
    )


def _is_one_of_many(report: Report, number: int) -> bool:
    """Whether a lesion without a flag of its own repeats a pattern already described."""
    lesion = report.lesions[number - 1]
    known = {earlier.pattern.id for earlier in report.lesions[: number - 1]}
    is_plain = lesion.concern not in {Concern.HIGH, Concern.FLAGGED} and lesion.mass.present is not YesNo.YES
    return number > MOST_IN_FULL and is_plain and lesion.pattern.id in known


def _describe_in_full(report: Report, lesion: Lesion, pattern: str, statements: Statements) -> list[str]:
    """What a table of lengths does not say; empty where nothing is to say."""
    lengths, limits = lengths_of(report), find_limits(report, lesion)
    is_searched = lesion.shape is not None and lesion.shape.contour is not None and lesion.shape.mineral is None
    has_none = lesion.size.max_diameter_mm is None and (is_searched or lesion.mass.source == "contour")
    return [
        statements.say("size.no_mineral") if has_none and lesion.mass.present is YesNo.YES else "",
        statements.say("density.faint", seed=f"{limits.seed:.0f}") if limits and not lesion.density.is_certain else "",
        pattern,
        *_new_caveats(report, lesion),
        say_other_views(report, lesion, statements),
        describe_growth(lesion.growth, statements, lengths),
        *_notes_not_concluded(report, lesion),
    ]


def _say_mass_unknown(report: Report, statements: Statements) -> tuple[str, ...]:
    """Say once that only mineral was seen, for the lesions whose size flag does not say so itself."""
    unknown = [
        lesion.id
        for lesion in report.lesions
        if lesion.mass.present is YesNo.UNKNOWN and lesion.flags.size.state is not FlagState.CANNOT_DETERMINE
    ]
    if not unknown:
        return ()
    text = statements.say("size.mass_unknown")
    return (as_sentence(text if len(unknown) == len(report.lesions) else f"{text} ({', '.join(unknown)})"),)


def _describe_pattern(lesion: Lesion, statements: Statements) -> str:
    """Describe the mineral, on radiographs in terms that hold for a projection."""
    finding = name_finding(lesion.pattern, statements)
    family = "pattern.confidence"
    if lesion.location.films:
        finding, family = statements.choose("pattern.film", lesion.pattern.id, finding), "film.pattern"
    is_open = lesion.pattern.id == INDETERMINATE_PATTERN
    return capitalise(finding if is_open else statements.say(f"{family}.{lesion.pattern.confidence}", finding=finding))


def _notes_not_concluded(report: Report, lesion: Lesion) -> list[str]:
    """List the notes of a lesion that the impression does not repeat."""
    return [
        note for note in lesion.notes if not any(capitalise(note.strip(". ")) in item for item in report.impression)
    ]


def _new_caveats(report: Report, lesion: Lesion) -> list[str]:
    """Caveats of the pattern that no earlier lesion has: a sentence is printed once."""
    earlier = report.lesions[: report.lesions.index(lesion)]
    said = {caveat for other in earlier for caveat in (*other.pattern.caveats, *other.notes)}
    return [caveat for caveat in lesion.pattern.caveats if caveat not in said]


def _recommend(report: Report, position: int) -> str:
    """Repeat a recommendation, with the lesions that have its rule row where not all of them have."""
    entry = report.recommendations[position]
    ids = name_concerned(entry, report.lesions)
    whole = not ids or len(ids) == len(report.lesions)
    return as_sentence(entry.text if whole else f"{entry.text.rstrip('. ')} ({', '.join(ids)})")


Rows = list[tuple[str, str]]  # key of the name in ``measure.*``, and value with unit


def list_measurements(lesion: Lesion, statements: Statements, lengths: Lengths) -> tuple[tuple[str, str], ...]:
    """List what was measured on a lesion: name, and value with its unit."""
    on_films = list_on_films(lesion, statements, lengths)
    rows: Rows = [
        *_mass_rows(lesion, statements),
        *_length_rows(lesion.mass, ("mass", "mass_longest", "mass_volume"), statements, lengths),
        *([] if on_films else _length_rows(lesion.size, ("extents", "longest", "volume"), statements, lengths)),
        *_foci_rows(lesion, statements, lengths),
        *_density_rows(lesion.density, statements),
        ("depth", statements.say(f"depth.{lesion.depth.class_}")),
    ]
    if lesion.depth.skin_distance_mm is not None:
        rows.append(("skin", spell_distance(lesion.depth.skin_distance_mm)))
    if lesion.depth.fascia_distance_mm is not None:
        rows.append(("fascia", spell_distance(lesion.depth.fascia_distance_mm)))
    family = "film.bone_" if on_films and lesion.bone_relation is not BoneRelation.SEPARATE else "bone."
    rows.append(("bone", statements.say(f"{family}{lesion.bone_relation}")))
    if lesion.mass.mineral_fraction is not None:
        share = f"{lesion.mass.mineral_fraction * 100:.0f}"
        rows.insert(0, ("mineral_fraction", statements.say("measure.percent", share=share)))
    return (*on_films, *((statements.say(f"measure.{name}"), value) for name, value in rows))


def _length_rows(part: Mass | Size, names: tuple[str, str, str], statements: Statements, lengths: Lengths) -> Rows:
    """Rows of extents, longest diameter and volume under their names; in the plane of the slices for mineral alone."""
    rows: Rows = []
    extents = [extent for extent in (part.ap_mm, part.tr_mm, part.cc_mm) if extent is not None]
    if len(extents) == 3:
        rows.append((names[0], lengths.spell_extents(extents)))
    if part.max_diameter_mm is not None:
        longest = lengths.spell(part.max_diameter_mm)
        if part.is_minimum:
            longest = statements.say("measure.at_least", length=longest)
        if isinstance(part, Size) and part.projected:
            longest = statements.say("section.projected", size=longest)
        if part.uncertainty_mm is not None:
            longest = statements.say("measure.plus_minus", length=longest, uncertainty=f"{part.uncertainty_mm:.1f}")
        rows.append((names[1], longest))
    if isinstance(part, Size) and part.axial_long_mm is not None and part.axial_short_mm is not None:
        rows.append(("axial", lengths.spell_extents((part.axial_long_mm, part.axial_short_mm))))
    if part.volume_mm3 is not None:
        rows.append((names[2], spell_volume(part.volume_mm3)))
    return rows


def _mass_rows(lesion: Lesion, statements: Statements) -> Rows:
    """Whether a mass is known, and by whom; that it is unknown is said once for all lesions."""
    mass = lesion.mass
    if mass.present is YesNo.UNKNOWN:
        return []
    source = statements.say(f"size.mass_{'reader' if is_by_reader(lesion, 'mass.source') else mass.source}")
    return [("mass_present", f"{statements.say(f'review.mass.{mass.present}')}{source}")]


def _foci_rows(lesion: Lesion, statements: Statements, lengths: Lengths) -> Rows:
    count, largest_mm = lesion.foci.count, lesion.foci.largest_max_diameter_mm
    if count is None or count < 2:
        return []
    if largest_mm is None:
        return [("foci", str(count))]
    largest = lengths.spell(largest_mm)
    largest = statements.say("section.projected", size=largest) if lesion.size.projected else largest
    return [("foci", statements.say("measure.foci_value", count=count, largest=largest))]


def _density_rows(density: Density, statements: Statements) -> Rows:
    if density.mean_hu is None or density.max_hu is None:
        return []
    more = [f"{value:.0f}" for value in (density.max_hu, density.p95_hu, density.sd_hu) if value is not None]
    value = f"{density.mean_hu:.0f} HU ({'; '.join(more)})"
    return [("density", statements.say("measure.clipped", value=value) if density.is_clipped else value)]
