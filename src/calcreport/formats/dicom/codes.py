"""Coded concepts of the DICOM objects: of the standard's context groups where they exist, private ones where none does.

``docs/dicom_conformance.md`` lists what is reused outside its own context group and what every private code means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from pydicom.sr.coding import Code

from calcreport.formats.code_table import table_of
from calcreport.model.report import BoneRelation, Concern, Confidence, DepthClass, FlagState, Laterality
from calcreport.model.terms import PATTERN_LABELS
from calcreport.rules.regions import name_areas

PRIVATE_SCHEME: Final = "99CALCREPORT"  # Coding scheme designator of what the standard has no code for

KeyT = TypeVar("KeyT", bound=str)  # word of the report


def _table(name: str, key: Callable[[str], KeyT]) -> Mapping[KeyT, Code]:
    """Table of ``codes.toml``, each name read by `key`, which refuses one it does not know."""
    rows = table_of(name).items()
    return MappingProxyType({key(word): Code(value, scheme, meaning) for word, (scheme, value, meaning) in rows})


_CONCEPTS: Final = _table("concepts", str)  # names and values that the documents are built of


def __getattr__(name: str) -> Code:
    """Concept of the table by its name there, such as ``codes.MASS``."""
    try:
        return _CONCEPTS[name]
    except KeyError:
        raise AttributeError(name) from None


OF_MINERAL: Final = _table("of_mineral", str)
"""Numbers of the mineral on CT by their path in `Lesion`, in the order they are written."""

OF_MASS: Final = _table("of_mass", str)  # Numbers of the whole mass, which no name shares with the mineral

# Red flags by their names in the report, and the report's other words.
FLAGS: Final = _table("flags", str)
FLAG_STATES: Final = _table("flag_states", FlagState)
CONCERNS: Final = _table("concerns", Concern)
DEPTHS: Final = _table("depths", DepthClass)
BONE_RELATIONS: Final = _table("bone_relations", BoneRelation)
CONFIDENCES: Final = _table("confidences", Confidence)
REVIEWS: Final = _table("reviews", str)

PATTERNS: Final[Mapping[str, Code]] = MappingProxyType(
    {key: Code(key, PRIVATE_SCHEME, label) for key, label in PATTERN_LABELS.items()}
)
"""Pattern by its id in the report."""

# Radiographic calcification type and distribution of a pattern, where one says no more than the pattern does.
TYPES: Final = _table("types", str)
DISTRIBUTIONS: Final = _table("distributions", str)

LATERALITIES: Final[Mapping[Laterality, Code]] = MappingProxyType(
    {Laterality.LEFT: _CONCEPTS["LEFT"], Laterality.RIGHT: _CONCEPTS["RIGHT"]}
)
"""Sides; the midline is a modifier of the place, and an unknown side is left out."""

_SITES: Final = _table("sites", str)  # by area of the body


def code_site(region: str | None) -> Code:
    """Anatomic code of a region's name; soft tissue where the name is missing, not understood or has no code."""
    areas = name_areas(region) or ()
    return next((_SITES[area] for area in areas if area in _SITES), _CONCEPTS["SOFT_TISSUE"])
