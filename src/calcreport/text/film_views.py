"""What the other radiographs of the same part show of a finding seen on one view; absence is never claimed."""

from __future__ import annotations

from calcreport.model.report import FilmTechnique, Lesion, Report
from calcreport.text.film import is_known_view, name_films, name_view
from calcreport.text.statements import Statements
from calcreport.text.wording import name_body_part


def say_other_views(report: Report, lesion: Lesion, statements: Statements) -> str:
    """Say what the other views of the same part show of a lesion seen on one view only.

    Sentences without the last full stop: that it was not identified on another view, that it may be what another view
    shows apart, or, for the first lesion of a film, that there is no second view. Empty for a lesion seen on two views,
    and where headers leave it open whether another film shows the same part.
    """
    films = report.technique.films if report.technique else ()
    own = next((film for film in films if film.sop_instance_uid in _seen_on(lesion)), None)
    if own is None or len(lesion.location.films) != 1:
        return ""
    rest = [film for film in films if film is not own and not _is_apart(film, own, statements)]
    others = [film for film in rest if _shows_another_view(film, own, films, statements)]
    if not others:
        is_already_stated = any(_seen_on(earlier) == _seen_on(lesion) for earlier in _before(report, lesion))
        return (
            ""
            if is_already_stated or any(_may_be_another_view(film, own, statements) for film in rest)
            else statements.say("film.no_second_view")
        )
    apart = {uid for other in report.lesions if len(other.location.films) == 1 for uid in _seen_on(other)}
    names = dict(zip((film.sop_instance_uid for film in others), name_films(tuple(others), statements), strict=True))
    sentences = []
    for identifier, is_among in (("film.not_identified", False), ("film.may_be_the_same", True)):
        listed = [names[film.sop_instance_uid] for film in others if (film.sop_instance_uid in apart) is is_among]
        if listed:
            sentences.append(
                statements.say(identifier if len(listed) == 1 else f"{identifier}_many", views=statements.join(listed))
            )
    return ". ".join(sentences)


def _seen_on(lesion: Lesion) -> set[str]:
    return {place.sop_instance_uid for place in lesion.location.films}


def _before(report: Report, lesion: Lesion) -> tuple[Lesion, ...]:
    return report.lesions[: report.lesions.index(lesion)]


def _is_apart(film: FilmTechnique, own: FilmTechnique, statements: Statements) -> bool:
    """Whether two films show different sides or parts, as far as both headers state."""
    sides = {film.laterality, own.laterality}
    parts = {_part(film, statements), _part(own, statements)}
    return sides == {"left", "right"} or (len(parts) > 1 and None not in parts)


def _shows_another_view(
    film: FilmTechnique, own: FilmTechnique, films: tuple[FilmTechnique, ...], statements: Statements
) -> bool:
    """Whether a film was searched and surely shows the same part from another direction."""
    first, second = _part(film, statements), _part(own, statements)
    views = {name_view(each.view, statements) for each in (film, own) if is_known_view(each.view, statements)}
    if len(views) < 2 or not film.noise or film.laterality != own.laterality or film.laterality == "both":
        return False
    if film.laterality is not None:
        return first == second or None in {first, second}
    # without a side two films show one limb only where no third film may show the other
    return (
        first == second and first is not None and sum(_part(each, statements) in {first, None} for each in films) == 2
    )


def _may_be_another_view(film: FilmTechnique, own: FilmTechnique, statements: Statements) -> bool:
    """Whether a film of perhaps the same part is not known to repeat the view."""
    is_known = is_known_view(film.view, statements) and is_known_view(own.view, statements)
    return not is_known or name_view(film.view, statements) != name_view(own.view, statements)


def _part(film: FilmTechnique, statements: Statements) -> str | None:
    """Part of the body a film names, in words where its term is a known one; ``None`` when it names none."""
    return name_body_part(film.body_part, statements) or film.body_part or None
