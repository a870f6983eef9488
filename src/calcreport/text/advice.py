"""Recommendations of a study: one entry per rule, with the wording of each lesion where it differs."""

from __future__ import annotations

import re
from typing import Final

from calcreport.model.report import Lesion, Recommendation
from calcreport.text.impression import join_ids

_BRACKETS: Final = re.compile(r"\(([^()]*)\)")  # one pair of brackets and its content


def join_advice(advice: tuple[Recommendation, ...], lesions: tuple[Lesion, ...]) -> tuple[Recommendation, ...]:
    """Merge the recommendations of one rule that differ in wording between lesions, in the order given.

    Words in one pair of brackets that differ are given for each lesion: ``"(L1: size; L2: deep location)"``; a row
    whose words differ elsewhere stays in as many entries as it has wordings.
    """
    rows: dict[str, list[Recommendation]] = {}
    for entry in advice:
        rows.setdefault(entry.rule or entry.text, []).append(entry)
    return tuple(joined for entries in rows.values() for joined in _join_row(entries, lesions))


def _join_row(entries: list[Recommendation], lesions: tuple[Lesion, ...]) -> list[Recommendation]:
    parts = [_BRACKETS.split(entry.text) for entry in entries]
    differing = [place for place, words in enumerate(zip(*parts, strict=False)) if len(set(words)) > 1]
    if len({len(part) for part in parts}) > 1 or len(differing) != 1 or differing[0] % 2 == 0:
        return entries
    by_lesion = [
        f"{join_ids(name_concerned(entry, lesions))}: {part[differing[0]]}"
        for entry, part in zip(entries, parts, strict=True)
    ]
    words = [*parts[0]]
    words[differing[0]] = "; ".join(by_lesion)
    text = "".join(f"({word})" if place % 2 else word for place, word in enumerate(words))
    return [entries[0].model_copy(update={"text": text})]


def name_concerned(entry: Recommendation, lesions: tuple[Lesion, ...]) -> list[str]:
    """Ids of the lesions with this recommendation, or with its rule where the entry merges several wordings."""
    own = [lesion.id for lesion in lesions if entry in lesion.recommendations]
    if own or not entry.rule:
        return own
    return [lesion.id for lesion in lesions if any(item.rule == entry.rule for item in lesion.recommendations)]
