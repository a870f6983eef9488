"""Body regions: words a reader or a header uses, and the areas the rules speak of."""

from __future__ import annotations

import functools
import re
import tomllib
from typing import Any, Final

from calcreport.resources import packaged_text

_TABLE: Final[dict[str, dict[str, list[Any]]]] = tomllib.loads(packaged_text("rules/regions.toml"))
"""Words of areas, groups of areas, neighbours."""
_AREAS, _GROUPS = _TABLE["areas"], _TABLE["groups"]  # words of each area; areas of each group
REGIONS: Final = tuple(words[0] for words in _AREAS.values())  # One word for each area, for a reader to choose from

_WORDS: Final = tuple(
    sorted(
        (
            (re.compile(rf"\b{re.escape(word)}s?\b"), area, word)
            for area, words in (*_AREAS.items(), ("", _TABLE["other_meaning"]["words"]))
            for word in words
        ),
        key=lambda entry: -len(entry[2]),
    )
)
"""Longest words first, so that "lower leg" is read before "leg" and "chest wall" before "chest"."""

AREA_NAMES: Final = frozenset(_AREAS) | frozenset(_GROUPS)  # Every area and group a rule may name


@functools.lru_cache(maxsize=256)
def name_areas(region: str | None) -> tuple[str, ...] | None:
    """Areas, and their groups, that words such as ``"right calf"`` mean; ``None`` when unknown or not understood."""
    if not region:
        return None
    rest = region.lower().replace("_", " ")
    areas = []
    for pattern, area, _ in _WORDS:
        rest, found = pattern.subn(" ", rest)
        if found and area and area not in areas:
            areas.append(area)
    if not areas:
        return None
    groups = [group for group, members in _GROUPS.items() if any(area in members for area in areas)]
    return (*areas, *groups)


def are_apart(one: str | None, other: str | None) -> bool:
    """Whether two regions are known to be different places; ``False`` for neighbours and for what is not understood."""
    first, second = name_areas(one), name_areas(other)
    if first is None or second is None or set(first) & set(second) & set(_AREAS):
        return False
    return not any(set(first) & set(near) and set(second) & set(near) for near in _TABLE["neighbours"]["areas"])
