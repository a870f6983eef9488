"""A lesion on radiographs in words: projection, shape, and relation to skin and bone."""

from __future__ import annotations

from calcreport.model.lengths import Lengths
from calcreport.model.report import FilmPlace, Lesion, Report
from calcreport.model.terms import INDETERMINATE_PATTERN
from calcreport.text.film import name_view, say_projected, say_skin_line, spell_on_films
from calcreport.text.film_views import say_other_views
from calcreport.text.statements import Statements
from calcreport.text.wording import capitalise, name_finding, spell_distance


def say_projection(places: tuple[FilmPlace, ...], statements: Statements) -> str:
    """Say whether a lesion projects over soft tissue or over bone; the views are named where they differ."""
    over_bone = [name_view(place.view, statements) for place in places if place.is_over_bone]
    clear = [name_view(place.view, statements) for place in places if not place.is_over_bone]
    if not over_bone:
        return statements.say("film.over_soft_tissue")
    if not clear:
        return statements.say("film.over_bone")
    return statements.say("film.over_both", clear=statements.join(clear), bone=statements.join(over_bone))


def describe_on_films(report: Report, lesion: Lesion, statements: Statements, lengths: Lengths) -> list[str]:
    """Describe a lesion on radiographs in sentences without full stop, empty where nothing is to say.

    Projected size (mm where there is a scale, else pixels), foci, pattern, distance to the skin line in the image
    plane, relation to bone, other views.
    """
    return [
        say_projected(lesion, statements, lengths),
        _say_foci(lesion, statements, lengths),
        _say_pattern(lesion, statements),
        capitalise(say_skin_line(lesion.location.films, statements)),
        statements.say(f"film.bone_{lesion.bone_relation}"),  # "clear of bone" stands with the place
        say_other_views(report, lesion, statements),
    ]


def _say_foci(lesion: Lesion, statements: Statements, lengths: Lengths) -> str:
    count, largest_mm = lesion.foci.count, lesion.foci.largest_max_diameter_mm
    if count is None or count < 2:
        return ""
    if largest_mm is None:
        return statements.say("size.foci_cluster_unsized", count=count)
    return statements.say("film.foci", count=count, largest=lengths.spell(largest_mm))


def _say_pattern(lesion: Lesion, statements: Statements) -> str:
    """Describe the mineral in terms that hold for a projection."""
    pattern = lesion.pattern
    finding = statements.choose("pattern.film", pattern.id, name_finding(pattern, statements))
    if pattern.id == INDETERMINATE_PATTERN:
        return capitalise(finding)
    return capitalise(statements.say(f"film.pattern_{pattern.confidence}", finding=finding))


def list_on_films(lesion: Lesion, statements: Statements, lengths: Lengths) -> list[tuple[str, str]]:
    """List what was measured on each film: name and value with its unit."""
    rows = []
    by_film = spell_on_films(lesion, statements, lengths)
    extents = {place.sop_instance_uid: extent for place, extent in by_film}
    for place in lesion.location.films:
        view = name_view(place.view, statements)
        extent = extents.get(place.sop_instance_uid, "")  # without one where a reader's length took its place
        if lesion.size.is_minimum and extent:
            extent = statements.say("measure.at_least", length=extent)
        plane = statements.choose("film.plane", lesion.size.plane or "") if place.max_diameter_mm is not None else ""
        if extent:
            rows.append((statements.say("measure.projected", view=view), " ".join(filter(None, (extent, plane)))))
        if place.projected_skin_line_mm is not None:
            distance = spell_distance(place.projected_skin_line_mm)
            rows.append((statements.say("measure.skin_line", view=view), distance))
    return rows
