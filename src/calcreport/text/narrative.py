"""The report in prose and rows: what the text section and the page show, derived from the report alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from calcreport.model import report as model
from calcreport.model.report import Concern, Flag, Lesion, Report, Size, YesNo
from calcreport.model.terms import INDETERMINATE_PATTERN
from calcreport.text import wording
from calcreport.text.clinical import describe_clinical, describe_laboratory, describe_sources
from calcreport.text.comparison import describe_comparison, describe_growth
from calcreport.text.film import find_series, list_on_films, refer, say_other_views, say_projection
from calcreport.text.impression import list_flags, name_concerned
from calcreport.text.review import RejectedText, is_by_reader, say_rejected, say_review
from calcreport.text.section import Section, write_lines
from calcreport.text.statements import Statements
from calcreport.text.technique import describe_excluded, describe_incidental, say_no_lesion, say_technique
from calcreport.text.wording import Presenter, as_sentence, capitalise, name_finding, name_place

MOST_IN_FULL: Final = 3
"""Lesions always described in full; of further ones whose pattern was already described the measurements suffice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionText:
    """One lesion in words."""

    id: str
    number: int
    title: str
    """``"Lesion 1 (L1)"``."""
    place: str
    """Side, region and compartment, with the image reference."""
    measured: tuple[tuple[str, str], ...]
    """Name of each measurement, and its value with unit."""
    sentences: tuple[str, ...]
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
    words, software = wording.present(report, statements), report.software
    communication = _leave_blanks(words)
    rules = words.reword(software.rules_version)
    draft = words.say("draft", software=software.name, version=software.version, rules=rules)
    flags: dict[tuple[tuple[str, Flag], ...], list[str]] = {}
    for lesion in report.lesions:
        flags.setdefault(list_flags(lesion, words), []).append(lesion.id)
    return Narrative(
        section=write_lines(words, frame=f"{communication} {draft}"),
        clinical=_clinical_sentences(words),
        technique=say_technique(words),
        comparison=(describe_comparison(report.comparison, report.lesions, words),),
        lesions=tuple(_describe_lesion(number, words) for number in range(1, len(report.lesions) + 1)),
        rejected=tuple(say_rejected(entry, words, words.lengths) for entry in report.rejected),
        other=(
            *(() if report.lesions else (as_sentence(say_no_lesion(words)),)),
            *_say_mass_unknown(words),
            *describe_excluded(report.excluded, words),
            *describe_incidental(report.incidental, words, words.lengths),
        ),
        flags=tuple((", ".join(ids), states) for states, ids in flags.items()),
        impression=report.impression,
        recommendations=tuple(
            as_sentence(_with_ids(entry.text, name_concerned(entry, report.lesions), report))
            for entry in report.recommendations
        ),
        communication=communication,
        would_change=tuple(entry.text for entry in report.would_change if entry.is_told),
        limitations=tuple(map(as_sentence, report.limitations)),
        draft=draft,
    )


def _with_ids(text: str, ids: list[str], report: Report) -> str:
    """Name the lesions that something is said of where it is not said of all, or of the patient."""
    return text if not ids or len(ids) == len(report.lesions) else f"{text.rstrip('. ')} ({', '.join(ids)})"


def _clinical_sentences(words: Presenter) -> tuple[str, ...]:
    """Say what was given, what follows from it, and what was not given."""
    report = words.report
    clinical = describe_clinical(report.clinical, report.study.patient, words)
    sources = describe_sources(report.inputs, words)
    if not clinical.given:
        return (words.say("clinical.nothing"), *sources)
    missing = (words.say("clinical.missing", list=", ".join(clinical.missing)),) if clinical.missing else ()
    return (*clinical.given, *describe_laboratory(report.laboratory, words), *sources, *missing)


def _leave_blanks(words: Presenter) -> str:
    """Blanks for who was notified and when, where notification is required; empty otherwise."""
    asked = words.report.recommendations
    categories = {
        "same_day": any(entry.is_same_day for entry in asked),
        "no_biopsy": any(entry.forbids_biopsy for entry in asked),
        "cancer": words.report.concern is Concern.HIGH and any(entry.is_referral for entry in asked),
    }
    met = next((name for name, is_met in categories.items() if is_met), None)
    return words.say("communication.line", category=words.say(f"communication.{met}")) if met else ""


def find_limits(report: Report, lesion: Lesion | None) -> model.Thresholds | None:
    """Limits a lesion was found with: those of its series, otherwise of the study; ``None`` for radiographs."""
    series = find_series(report, lesion.series_instance_uid) if lesion else None
    if series is not None and series.threshold_hu is not None:
        return series.threshold_hu
    return report.technique.threshold_hu if report.technique else None


def _describe_lesion(number: int, words: Presenter) -> LesionText:
    lesion = words.report.lesions[number - 1]
    location = lesion.location
    parts = [name_place(location, words)]
    compartment = words.choose("tissue", location.compartment or "", location.compartment or "")
    if compartment and compartment.lower() not in words.say(f"depth.{lesion.depth.class_}").lower():
        parts.append(compartment)
    if location.films:
        parts.append(say_projection(location.films, words))
    return LesionText(
        id=lesion.id,
        number=number,
        title=words.say("findings.lesion", number=number, id=lesion.id),
        place=f"{as_sentence(', '.join(parts))} {refer(lesion, words)}".strip(),
        measured=_list_measurements(lesion, words),
        sentences=tuple(map(as_sentence, filter(None, _describe_findings(lesion, number, words)))),
        review=as_sentence(say_review(lesion, words, words.lengths)),
    )


def _describe_findings(lesion: Lesion, number: int, words: Presenter) -> list[str]:
    """What a table of lengths does not say; empty where nothing is to say.

    The pattern alone of a further lesion without a flag of its own that repeats one already described.
    """
    report, pattern = words.report, _describe_pattern(lesion, words)
    earlier = report.lesions[: number - 1]
    is_plain = lesion.concern not in {Concern.HIGH, Concern.FLAGGED} and lesion.mass.present is not YesNo.YES
    if number > MOST_IN_FULL and is_plain and lesion.pattern.id in {other.pattern.id for other in earlier}:
        return [pattern]
    limits, shape = find_limits(report, lesion), lesion.shape
    is_searched = shape is not None and shape.contour is not None and shape.mineral is None
    has_none = lesion.size.max_diameter_mm is None and (is_searched or lesion.mass.source == "contour")
    said = {caveat for other in earlier for caveat in (*other.pattern.caveats, *other.notes)}
    concluded = report.impression
    return [
        words.say("size.no_mineral") if has_none and lesion.mass.present is YesNo.YES else "",
        words.say("density.faint", seed=f"{limits.seed:.0f}") if limits and not lesion.density.is_certain else "",
        pattern,
        *(caveat for caveat in lesion.pattern.caveats if caveat not in said),
        say_other_views(lesion, words),
        describe_growth(lesion.growth, words, words.lengths),
        *(n for n in lesion.notes if not any(capitalise(n.strip(". ")) in item for item in concluded)),
    ]


def _say_mass_unknown(words: Presenter) -> tuple[str, ...]:
    """Say once that only mineral was seen, for the lesions whose size flag does not say so itself."""
    unsure = [one for one in words.report.lesions if one.mass.present is YesNo.UNKNOWN]
    ids = [one.id for one in unsure if one.flags.size.state is not model.FlagState.CANNOT_DETERMINE]
    return (as_sentence(_with_ids(words.say("size.mass_unknown"), ids, words.report)),) if ids else ()


def _describe_pattern(lesion: Lesion, words: Presenter) -> str:
    """Describe the mineral, on radiographs in terms that hold for a projection."""
    finding = name_finding(lesion.pattern, words)
    family = "pattern.confidence"
    if lesion.location.films:
        finding, family = words.choose("pattern.film", lesion.pattern.id, finding), "film.pattern"
    is_open = lesion.pattern.id == INDETERMINATE_PATTERN
    return capitalise(finding if is_open else words.say(f"{family}.{lesion.pattern.confidence}", finding=finding))


_Rows = list[tuple[str, str | None]]
"""Key of a name in ``measure.*``, and value with unit; ``None`` or empty where it was not measured."""


def _list_measurements(lesion: Lesion, words: Presenter) -> tuple[tuple[str, str], ...]:
    """List what was measured on a lesion: name, and value with its unit."""
    mass, depth, share = lesion.mass, lesion.depth, lesion.mass.mineral_fraction
    on_films = list_on_films(lesion, words, words.lengths)
    # that it is unknown whether there is a mass is said once for all lesions
    source = "reader" if is_by_reader(lesion, "mass.source") else mass.source
    is_known = mass.present is not YesNo.UNKNOWN
    family = "film.bone_" if on_films and lesion.bone_relation is not model.BoneRelation.SEPARATE else "bone."
    rows: _Rows = [
        ("mineral_fraction", None if share is None else words.say("measure.percent", share=f"{share * 100:.0f}")),
        (
            "mass_present",
            words.say(f"review.mass.{mass.present}") + words.say(f"size.mass_{source}") if is_known else "",
        ),
        *_length_rows(mass, ("mass", "mass_longest", "mass_volume"), words),
        *([] if on_films else _length_rows(lesion.size, ("extents", "longest", "volume"), words)),
        ("foci", _spell_foci(lesion, words)),
        ("density", _spell_density(lesion.density, words)),
        ("depth", words.say(f"depth.{depth.class_}")),
        ("skin", None if depth.skin_distance_mm is None else wording.spell_distance(depth.skin_distance_mm)),
        ("fascia", None if depth.fascia_distance_mm is None else wording.spell_distance(depth.fascia_distance_mm)),
        ("bone", words.say(f"{family}{lesion.bone_relation}")),
    ]
    return (*on_films, *((words.say(f"measure.{name}"), value) for name, value in rows if value))


def _length_rows(part: model.Mass | Size, names: tuple[str, str, str], words: Presenter) -> _Rows:
    """Rows of extents, longest diameter and volume under their names; in the plane of the slices for mineral alone."""
    lengths, rows = words.lengths, _Rows()
    extents = [extent for extent in (part.ap_mm, part.tr_mm, part.cc_mm) if extent is not None]
    if len(extents) == 3:
        rows.append((names[0], lengths.spell_extents(extents)))
    if part.max_diameter_mm is not None:
        longest = words.at_least(lengths.spell(part.max_diameter_mm), is_minimum=part.is_minimum)
        if isinstance(part, Size) and part.projected:
            longest = words.say("section.projected", size=longest)
        if part.uncertainty_mm is not None:
            longest = words.say("measure.plus_minus", length=longest, uncertainty=f"{part.uncertainty_mm:.1f}")
        rows.append((names[1], longest))
    if isinstance(part, Size) and part.axial_long_mm is not None and part.axial_short_mm is not None:
        rows.append(("axial", lengths.spell_extents((part.axial_long_mm, part.axial_short_mm))))
    if part.volume_mm3 is not None:
        rows.append((names[2], wording.spell_volume(part.volume_mm3)))
    return rows


def _spell_foci(lesion: Lesion, words: Presenter) -> str:
    count, largest_mm = lesion.foci.count, lesion.foci.largest_max_diameter_mm
    if count is None or count < 2 or largest_mm is None:
        return str(count) if count and count > 1 else ""
    largest = words.lengths.spell(largest_mm)
    largest = words.say("section.projected", size=largest) if lesion.size.projected else largest
    return words.say("measure.foci_value", count=count, largest=largest)


def _spell_density(density: model.Density, words: Presenter) -> str:
    if density.mean_hu is None or density.max_hu is None:
        return ""
    more = [f"{value:.0f}" for value in (density.max_hu, density.p95_hu, density.sd_hu) if value is not None]
    value = f"{density.mean_hu:.0f} HU ({'; '.join(more)})"
    return words.say("measure.clipped", value=value) if density.is_clipped else value
