"""Which parts of the body were searched for calcification, which were not, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from calcreport.model.incidental import Doubt
from calcreport.model.report import Searched
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, name_body_part


def name_region(
    side: str | None, words: Sequence[str | None], series_number: int | None, statements: Statements
) -> str:
    """Name a part of the body as a header does.

    `side` is ``"left"``, ``"right"``, ``"both"`` or ``None``. Of `words` (Body Part Examined, description and the like)
    the first that holds a known term counts; `series_number` names what no word names.
    """
    part = next(filter(None, (_known_term(text or "", statements) for text in words)), "")
    part = part or name_series(series_number, statements)
    if side == "both":
        return statements.say("film.both_sides", region=part)
    return f"{statements.say(f'side.{side}')} {part}" if side in {"left", "right"} else part


def name_series(number: int | None, statements: Statements) -> str:
    """Name a series by its number: ``"series 4"``."""
    return statements.say("searched.unnamed") if number is None else statements.say("searched.series", number=number)


def _known_term(text: str, statements: Statements) -> str:
    """First known body part in a text, the whole text or one of its words; empty without any."""
    words = (text, *re.findall(r"[^\W_]+", text))
    return next(filter(None, (name_body_part(word, statements) for word in words)), "")


def merge_searched(searched: Sequence[Searched], missing: Sequence[Searched]) -> tuple[Searched, ...]:
    """Merge to one row per region; a region with searched and unsearched series counts as searched in part."""
    rows: dict[str, Searched] = {}
    for row in searched:
        rows.setdefault(row.region, row)
    for row in missing:
        known = rows.get(row.region)
        if known is None or known.status == "searched":
            rows[row.region] = row if known is None else row.model_copy(update={"status": "partly"})
    return tuple(rows.values())


def limit_searched(searched: Sequence[Searched], doubts: Iterable[tuple[str, Sequence[Doubt]]]) -> tuple[Searched, ...]:
    """Count regions as searched in part whose search failed a check of its own; the reason is the first such check."""
    rows = {row.region: row for row in searched}
    for region, failed in doubts:
        row = rows.get(region)
        if failed and row is not None and row.status == "searched":
            rows[region] = row.model_copy(update={"status": "partly", "reason": failed[0].code})
    return tuple(rows.values())


def name_searched(searched: Sequence[Searched], statements: Statements) -> str:
    """Regions that were searched, in words; empty where the study covers one only, or nothing was recorded."""
    if len(searched) == 1 and searched[0].status == "searched":
        return ""
    names = [
        statements.say("searched.within", region=row.region) if row.status == "partly" else row.region
        for row in searched
        if row.status != "not_searched"
    ]
    return statements.join(names)


def say_not_searched(
    searched: Sequence[Searched], statements: Statements, identifier: str = "searched.not"
) -> tuple[str, ...]:
    """State the unsearched and partly searched regions, with series and reason; empty when all were searched."""
    missing = [_say_missing(row, statements) for row in searched if row.status != "searched"]
    return (as_sentence(statements.say(identifier, list="; ".join(missing))),) if missing else ()


def _say_missing(row: Searched, statements: Statements) -> str:
    series = name_series(row.series_number, statements)
    why = ", ".join(filter(None, ("" if series in row.region else series, row.reason)))
    if row.status == "not_searched":
        return f"{row.region} ({why})"
    if row.searched_count is None:
        return statements.say("searched.part", region=row.region, why=why)
    counts = {"count": row.searched_count, "total": row.image_count or 0}
    return statements.say("searched.images", region=row.region, why=why, **counts)
