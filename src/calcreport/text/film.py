"""Radiographs in words: views, scales, where a lesion is seen, projected sizes, and what other views show of it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Final

from calcreport.model.lengths import Lengths
from calcreport.model.report import FilmPlace, FilmTechnique, Lesion, Report, SeriesEntry
from calcreport.text import wording
from calcreport.text.review import is_by_reader, longest_film
from calcreport.text.statements import Statements
from calcreport.text.wording import Presenter, as_sentence, name_body_part, plain

_MIDLINE: Final = frozenset(
    {"abdomen", "chest", "cspine", "face", "head", "headneck", "lspine", "neck", "pelvis", "sspine", "thorax", "tspine"}
)
"""Body parts, as the header names them, that have no side."""

_LIMITS: Final = {"detector": "", "calibrated": "_calibrated", "none": "_unscaled"}
"""End of the name of the statement of a limit by kind of scale."""


def known_view(view: str | None, statements: Statements) -> str:
    """Name a view, such as ``"AP"`` or ``"lateral"``; empty where the header holds no known term."""
    return statements.choose("view", plain(view))


def name_view(view: str | None, statements: Statements) -> str:
    """Name a view; where it is not known a blank for the reader."""
    return known_view(view, statements) or statements.say("film.view_unknown")


def name_films(films: tuple[FilmTechnique, ...], statements: Statements) -> tuple[str, ...]:
    """Name each film so that no two have the same name: by view, then side, then image number, then position."""
    views = [name_view(film.view, statements) for film in films]
    sides = [
        f"{statements.say(f'side.{film.laterality}')} " if film.laterality in {"left", "right"} else ""
        for film in films
    ]
    images = ["" if film.instance_number is None else f" (Im {film.instance_number})" for film in films]
    sided = [side + view for side, view in zip(sides, views, strict=True)]
    numbered = [view + image for view, image in zip(sided, images, strict=True)]
    placed = [statements.say("film.numbered", view=view, number=number) for number, view in enumerate(sided, start=1)]
    return tuple(next((names for names in (views, sided, numbered) if len(set(names)) == len(films)), placed))


def say_views(films: tuple[FilmTechnique, ...], body_part: str | None, statements: Statements) -> str:
    """Name the views by side and region; `body_part` is for films that name none."""
    said = []
    for place, group in groupby(films, key=lambda film: _name_place(film, body_part, statements)):
        names = [name_view(film.view, statements) for film in group]
        counts = {name: names.count(name) for name in names}
        if max(counts.values()) > 1:
            names = [f"{statements.choose('number', str(count), str(count))} {name}" for name, count in counts.items()]
        identifier = "film.view" if sum(counts.values()) == 1 else "film.views"
        said.append(statements.say(identifier, views=statements.join(names), place=place))
    return "; ".join(said)


def _name_place(film: FilmTechnique, body_part: str | None, statements: Statements) -> str:
    header = film.body_part if name_body_part(film.body_part, statements) else body_part
    part = name_body_part(header, statements)
    has_side = plain(header) not in _MIDLINE
    if not part and film.laterality not in {"left", "right"}:
        return statements.say("place.unknown")
    if film.laterality == "both":
        return statements.say("film.both_sides", region=part)
    if film.laterality is None:
        return f"{statements.say('place.side_unknown')} {part}" if has_side else part
    side = statements.say(f"side.{film.laterality}")
    return f"{side} {part}" if part else statements.say("place.region_unknown", side=side)


def say_scales(films: tuple[FilmTechnique, ...], statements: Statements) -> tuple[str, ...]:
    """State each fact about the scale once, with the films it applies to unless it applies to all."""
    by_film = [_say_scale(film, statements) for film in films]
    of = {sentence: tuple(sentence in sentences for sentences in by_film) for each in by_film for sentence in each}
    names = name_films(films, statements)
    sentences = []
    for holds, group in groupby(of, key=of.__getitem__):
        text = " ".join(group)
        listed = statements.join([name for name, is_of in zip(names, holds, strict=True) if is_of])
        sentences.append(text if all(holds) else statements.say("film.of", film=listed, text=text))
    return tuple(map(as_sentence, sentences))


def _say_scale(film: FilmTechnique, statements: Statements) -> tuple[str, ...]:
    kind = film.scale
    if kind == "calibrated":
        fallback = statements.say("scale.calibrated_other")
        sentences = [statements.choose("scale", f"calibrated_{(film.calibration or '').lower()}", fallback)]
    else:
        sentences = [statements.say(f"scale.{kind}")]
    if film.magnification is not None:
        sentences.append(statements.say("scale.magnification", factor=wording.spell_number(film.magnification)))
    return tuple(as_sentence(sentence) for sentence in (*sentences, *film.notes))


def name_limit(films: tuple[FilmTechnique, ...], statements: Statements) -> tuple[str, ...]:
    """State once what no radiograph shows, then what each further kind of scale leaves undetermined."""
    kinds = {film.scale for film in films}
    ends = [end for kind, end in _LIMITS.items() if kind in kinds]
    return tuple(statements.say(f"limitation.radiograph{'_and' if number else ''}{e}") for number, e in enumerate(ends))


def find_series(report: Report, series_instance_uid: str) -> SeriesEntry | None:
    """Look up the entry of a series, or ``None`` when the report lists none with this UID."""
    return next((entry for entry in report.series if entry.series_instance_uid == series_instance_uid), None)


def refer(lesion: Lesion, words: Presenter, *, whole_extent: bool = True) -> str:
    """Reference of a lesion to its images in brackets; with `whole_extent` to every CT slice that shows it."""
    report = words.report
    if not lesion.location.films:
        series = find_series(report, lesion.series_instance_uid)
        return wording.refer_to_images(lesion.location, series, whole_extent=whole_extent)
    entries = {film.sop_instance_uid: find_series(report, film.series_instance_uid) for film in words.films}
    return refer_to_films(lesion.location.films, entries, words)


def refer_to_films(
    places: tuple[FilmPlace, ...], series: Mapping[str, SeriesEntry | None], statements: Statements
) -> str:
    """Image reference in brackets, such as ``"(S 1, Im 1, AP; S 1, Im 2, lateral)"``.

    `series` holds the series of each film by its SOP Instance UID.
    """
    references = []
    for place in places:
        entry = series.get(place.sop_instance_uid)
        parts = (
            "" if entry is None or entry.series_number is None else f"S {entry.series_number}",
            "" if place.instance_number is None else f"Im {place.instance_number}",
            known_view(place.view, statements),
        )
        references.append(", ".join(filter(None, parts)))
    return f"({'; '.join(references)})" if any(references) else ""


def say_other_views(lesion: Lesion, words: Presenter) -> str:
    """Say what the other views of the same part show of a lesion seen on one view only.

    Sentences without the last full stop: that it was not identified on another view, that it may be what another view
    shows apart, or, for the first lesion of a film, that there is no second view. Empty for a lesion seen on two views,
    and where headers leave it open whether another film shows the same part.
    """
    films, lesions = words.films, words.report.lesions
    own = next((film for film in films if film.sop_instance_uid in _seen_on(lesion)), None)
    if own is None or len(lesion.location.films) != 1:
        return ""
    rest = [film for film in films if film is not own and not _is_apart(film, own, words)]
    others = [film for film in rest if _shows_another_view(film, own, words)]
    if not others:
        is_stated = any(_seen_on(earlier) == _seen_on(lesion) for earlier in lesions[: lesions.index(lesion)])
        view = known_view(own.view, words)
        # a film of perhaps the same part may show another view unless it is known to repeat this one
        is_open = is_stated or any(not view or known_view(film.view, words) != view for film in rest)
        return "" if is_open else words.say("film.no_second_view")
    apart = {uid for other in lesions if len(other.location.films) == 1 for uid in _seen_on(other)}
    names = dict(zip((film.sop_instance_uid for film in others), name_films(tuple(others), words), strict=True))
    sentences = []
    for identifier, is_among in (("film.not_identified", False), ("film.may_be_the_same", True)):
        listed = [names[film.sop_instance_uid] for film in others if (film.sop_instance_uid in apart) is is_among]
        if listed:
            many = "" if len(listed) == 1 else "_many"
            sentences.append(words.say(f"{identifier}{many}", views=words.join(listed)))
    return ". ".join(sentences)


def _seen_on(lesion: Lesion) -> set[str]:
    return {place.sop_instance_uid for place in lesion.location.films}


def _is_apart(film: FilmTechnique, own: FilmTechnique, statements: Statements) -> bool:
    """Whether two films show different sides or parts, as far as both headers state."""
    parts = {_part(film, statements), _part(own, statements)}
    return {film.laterality, own.laterality} == {"left", "right"} or (len(parts) > 1 and None not in parts)


def _shows_another_view(film: FilmTechnique, own: FilmTechnique, words: Presenter) -> bool:
    """Whether a film was searched and surely shows the same part from another direction."""
    first, second = _part(film, words), _part(own, words)
    views = {known_view(film.view, words), known_view(own.view, words)}
    if "" in views or len(views) < 2 or not film.noise or film.laterality != own.laterality:
        return False
    if film.laterality == "both":
        return False
    if film.laterality is not None:
        return first == second or None in {first, second}
    # without a side two films show one limb only where no third film may show the other
    return first == second and first is not None and sum(_part(e, words) in {first, None} for e in words.films) == 2


def _part(film: FilmTechnique, statements: Statements) -> str | None:
    """Part of the body a film names, in words where its term is a known one; ``None`` when it names none."""
    return name_body_part(film.body_part, statements) or film.body_part or None


def say_projection(places: tuple[FilmPlace, ...], statements: Statements) -> str:
    """Say whether a lesion projects over soft tissue or over bone; the views are named where they differ."""
    over_bone = [name_view(place.view, statements) for place in places if place.is_over_bone]
    clear = [name_view(place.view, statements) for place in places if not place.is_over_bone]
    if not over_bone:
        return statements.say("film.over_soft_tissue")
    if not clear:
        return statements.say("film.over_bone")
    return statements.say("film.over_both", clear=statements.join(clear), bone=statements.join(over_bone))


def list_on_films(lesion: Lesion, statements: Statements, lengths: Lengths) -> list[tuple[str, str]]:
    """List what was measured on each film: name and value with its unit.

    A longest dimension by a reader stands for the film on which the program found the longest, marked as the reader's;
    what the program measured on others is left out where it is longer.
    """
    size, rows = lesion.size, []
    longest_mm = size.max_diameter_mm if is_by_reader(lesion, "size.max_diameter_mm") else None
    for place in lesion.location.films:
        view = name_view(place.view, statements)
        if longest_mm is None or (place.max_diameter_mm or 0.0) <= longest_mm:
            extent = wording.spell_projected(place, statements, lengths)
        else:
            extent = ""
        if longest_mm is not None and place is longest_film(lesion):
            extent = statements.say("film.projected_reader", extent=lengths.spell(longest_mm))
        if extent:
            extent = statements.say("measure.at_least", length=extent) if size.is_minimum else extent
            plane = statements.choose("film.plane", size.plane or "") if place.max_diameter_mm is not None else ""
            rows.append((statements.say("measure.projected", view=view), f"{extent} {plane}".strip()))
        if place.projected_skin_line_mm is not None:
            distance = wording.spell_distance(place.projected_skin_line_mm)
            rows.append((statements.say("measure.skin_line", view=view), distance))
    return rows
