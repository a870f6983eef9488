"""Lesions that one line of the section tells together, and the parts a line is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from calcreport.model.report import Concern, Lesion, Recommendation, YesNo

_SURE = ("consistent with", "favoured")
"""Certainties with which a diagnosis names a group, whatever the patterns in it."""


class Part(NamedTuple):
    """A piece of a line with the blank or mark before it."""

    text: str
    rank: int = 0
    """0: always said; of others the highest rank is left out first where the text grows too long."""


Line = list[Part]
"""Its full stop is added at the end."""


def join_next(sentence: str) -> str:
    """Text of a part that is a sentence of its own behind another one."""
    text = sentence.strip(" .")
    return f". {text[:1].upper()}{text[1:]}"


def longest_mm(lesion: Lesion) -> float:
    """Longest dimension of the mass where it is known, otherwise of the mineral, otherwise 0, in mm."""
    return lesion.mass.max_diameter_mm or lesion.size.max_diameter_mm or 0.0


def changes_management(lesion: Lesion) -> bool:
    """Whether a lesion asks for more than a note: an alert, a flag, a referral, a call, or no biopsy."""
    is_flagged = lesion.concern in {Concern.HIGH, Concern.FLAGGED}
    return is_flagged or asks_for_action(lesion) or lesion.mass.present is YesNo.YES


def is_binding(entry: Recommendation) -> bool:
    """Whether a recommendation is never left out: a referral, a call on the same day, or no biopsy."""
    return entry.is_same_day or entry.forbids_biopsy or entry.is_referral


def asks_for_action(lesion: Lesion) -> bool:
    """Whether a lesion has a recommendation that is never left out."""
    return any(map(is_binding, lesion.recommendations))


def _urgency(lesion: Lesion) -> tuple[int, bool]:
    return list(Concern).index(lesion.concern), not asks_for_action(lesion)


def group_alike(lesions: Sequence[Lesion]) -> list[list[Lesion]]:
    """Group lesions of one concern and diagnosis, or where none leads of one pattern; a mass stands alone.

    Worst first, otherwise in the order given. What was seen on different radiographs may be one lesion and is not
    counted as two.
    """
    groups: dict[tuple[object, ...], list[Lesion]] = {}
    for lesion in sorted(lesions, key=_urgency):
        lead = next(iter(lesion.differential), None)
        is_sure = lead is not None and lead.certainty in _SURE
        films = tuple(place.sop_instance_uid for place in lesion.location.films)
        own = lesion.id if lesion.mass.present is YesNo.YES else ""
        diagnosis = (lead.id, lead.certainty) if lead is not None else ()
        key = (lesion.concern, diagnosis, "" if is_sure else lesion.pattern.id, own, films, asks_for_action(lesion))
        groups.setdefault(key, []).append(lesion)
    return list(groups.values())


def count_words(lines: Sequence[Line]) -> int:
    """Words of some lines."""
    return sum(len("".join(part.text for part in line).split()) for line in lines)


def shorten(lines: Sequence[Line], *, least_rank: int, is_short: Callable[[], bool]) -> None:
    """Leave out parts of `least_rank` or higher, the highest ranks and the last lines first, until it is short."""
    for rank in sorted({part.rank for line in lines for part in line if part.rank >= least_rank}, reverse=True):
        for line in reversed(lines):
            for place in [place for place, part in enumerate(line) if part.rank == rank][::-1]:
                if is_short():
                    return
                del line[place]
