"""Technique in words, and the negative statement of a study without a lesion."""

from __future__ import annotations

from calcreport.model.report import Report, Technique
from calcreport.text.film import say_films
from calcreport.text.review import say_nothing_accepted
from calcreport.text.searched import name_searched, name_series
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, name_body_part, spell_number


def say_technique(report: Report, statements: Statements) -> tuple[str, ...]:
    """Say how the images were made: images and thresholds of CT, views and meaning of lengths of radiographs."""
    technique = report.technique
    if technique is None:
        return (statements.say("technique.none"),)
    if technique.films:
        return say_films(technique, report.study.body_part, statements)
    parts = [say_contrast(report, technique, statements)]
    if technique.kvp is not None:
        parts.append(statements.say("technique.kvp", kvp=f"{technique.kvp:.0f}"))
    if technique.spacing_mm is not None:
        parts.append(describe_slices(technique.spacing_mm[2], technique.slice_thickness_mm, statements))
    if technique.kernel:
        parts.append(statements.say("technique.kernel", kernel=technique.kernel))
    sentences = [as_sentence(", ".join(parts))]
    limits = technique.threshold_hu
    if limits is not None:
        sentences.append(statements.say("technique.threshold", grow=f"{limits.grow:.0f}", seed=f"{limits.seed:.0f}"))
    return (*sentences, *_say_further(report, statements), *map(as_sentence, technique.notes))


def say_contrast(report: Report, technique: Technique, statements: Statements) -> str:
    """Name the kind of CT, its body part and its contrast."""
    part = name_body_part(report.study.body_part, statements)
    how = statements.say(f"contrast.{technique.contrast}", part=f" {part}" if part else "")
    return how + (statements.say("technique.contrast_clinician") if technique.contrast_source == "clinician" else "")


def _say_further(report: Report, statements: Statements) -> tuple[str, ...]:
    """Name the CT series measured beside the first."""
    further = [
        statements.say(
            "technique.further_series",
            series=name_series(entry.series_number, statements),
            spacing=spell_number(entry.geometry.spacing_mm[2]),
            grow=f"{entry.threshold_hu.grow:.0f}",
        )
        for entry in report.series
        if entry.geometry is not None and entry.threshold_hu is not None
    ][1:]
    return (as_sentence(statements.say("technique.further", list=statements.join(further))),) if further else ()


def describe_slices(spacing_mm: float, thickness_mm: float | None, statements: Statements) -> str:
    """Name thickness and distance of the slices."""
    spacing = spell_number(spacing_mm)
    if thickness_mm is None:
        return statements.say("technique.spaced", spacing=spacing)
    thickness = spell_number(thickness_mm)
    identifier = "technique.slices" if thickness == spacing else "technique.slices_spaced"
    return statements.say(identifier, thickness=thickness, spacing=spacing)


def say_no_lesion(report: Report, statements: Statements) -> str:
    """Finding of a study without lesions: every one was rejected, or how and where it was searched."""
    return say_nothing_accepted(report, statements) or say_negative(report, statements)


def say_negative(report: Report, statements: Statements) -> str:
    """State that nothing was found, with the searched regions and the threshold; never that the study is normal."""
    technique = report.technique
    if technique is None:
        return statements.say("findings.no_lesion_given")
    if technique.threshold_hu is None:
        return statements.say("findings.negative_film" if len(technique.films) == 1 else "findings.negative_films")
    limits = [entry.threshold_hu.grow for entry in report.series if entry.threshold_hu is not None]
    threshold = f"{max([technique.threshold_hu.grow, *limits]):.0f}"
    regions = name_searched(report.searched, statements)
    if regions:
        return statements.say("findings.negative_in", threshold=threshold, regions=regions)
    return statements.say("findings.negative", threshold=threshold)
