"""Which of the structures, segments or labels in a mask file are lesions.

A planning file outlines the body, bones and the couch beside the tumour, and margins around it. A margin (CTV, PTV) is
larger than the lesion, so it is never taken as the lesion unless the reader names it.

References
----------
PS3.3 C.8.8.8.1 (RT ROI Interpreted Type); ICRU Report 83 (GTV is the demonstrable extent of the tumour; CTV and PTV add
margins).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from calcreport.contour.grid import refuse

MAX_LESIONS: Final = 50  # more contours than this in one file is an organ atlas, not the lesions of one patient

# Names of a contoured lesion, and of what else is contoured.
_LESION_NAME: Final = re.compile(r"(?:^|[^a-z])(gtv|tumou?r|mass(?!et)|lesion|neoplasm|sarcoma)")
_OTHER_NAME: Final = re.compile(
    r"(?:^|[^a-z])([cpi]tv|o?edema|body|external|skin|couch|table|margin|ring|dose|bed)(?:[^a-z]|$)"
)
_OTHER_TYPES: Final = frozenset(  # RT ROI Interpreted Type of what is no lesion
    {
        "EXTERNAL", "PTV", "CTV", "TREATED_VOLUME", "IRRAD_VOLUME", "BOLUS", "AVOIDANCE", "MARKER", "REGISTRATION",
        "ISOCENTER", "CONTRAST_AGENT", "SUPPORT", "FIXATION", "DOSE_REGION", "DOSE_MEASUREMENT", "BRACHY_CHANNEL",
        "BRACHY_ACCESSORY", "BRACHY_SRC_APP", "BRACHY_CHNL_SHLD",
    }
)  # fmt: skip


@unique
class Kind(StrEnum):
    """What a structure is taken for."""

    LESION = "lesion"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A structure that could be a lesion: its number in the file, its name as received, what it is taken for."""

    key: int
    name: str
    kind: Kind


def kind_of(name: str, interpreted_type: str = "") -> Kind:
    """Tell from its name and RT ROI Interpreted Type (empty when not known) what a structure is.

    ``ORGAN`` and ``CONTROL`` decide nothing: several planning systems write them by default. A margin or oedema is
    `Kind.OTHER` even when its name also says tumour.
    """
    lowered, declared = name.casefold(), interpreted_type.strip().upper()
    if _OTHER_NAME.search(lowered) or declared in _OTHER_TYPES:
        return Kind.OTHER
    return Kind.LESION if declared == "GTV" or _LESION_NAME.search(lowered) else Kind.UNKNOWN


def choose(candidates: Sequence[Candidate], *, wanted: str | None, is_drawn_for_lesions: bool) -> tuple[int, ...]:
    """Keys of the structures that are lesions, at least one, in the order of the file.

    `candidates` are all structures with a contour; `wanted`, a name or number given by the user, decides alone. With
    `is_drawn_for_lesions` several structures of unknown kind are all lesions: a label map holds what its author wanted
    to hold, a planning file holds the anatomy too.

    Raises `InputError` ``mask.empty``, ``mask.unknown_structure``, ``mask.which_structure`` or ``mask.too_many``. Names
    are not repeated in messages: they may hold patient data.
    """
    if not candidates:
        refuse("mask.empty", "the lesion mask holds no contour; draw the lesion and export it again")
    keys = _named(candidates, wanted) if wanted is not None else _guessed(candidates, is_drawn_for_lesions)
    if len(keys) > MAX_LESIONS:
        refuse(
            "mask.too_many",
            f"the lesion mask holds {len(keys)} structures, more than {MAX_LESIONS}; name the lesion with --lesion-roi",
        )
    return keys


def _named(candidates: Sequence[Candidate], wanted: str) -> tuple[int, ...]:
    text = wanted.strip().casefold()
    keys = tuple(c.key for c in candidates if c.name.strip().casefold() == text)
    keys = keys or tuple(c.key for c in candidates if str(c.key) == text)
    if not keys:
        refuse(
            "mask.unknown_structure",
            f"none of the {len(candidates)} structures in the lesion mask has the name or number given with "
            "--lesion-roi; use the name shown by the program that drew it",
        )
    return keys


def _guessed(candidates: Sequence[Candidate], is_drawn_for_lesions: bool) -> tuple[int, ...]:  # noqa: FBT001 - private
    lesions = tuple(c.key for c in candidates if c.kind is Kind.LESION)
    unknown = tuple(c.key for c in candidates if c.kind is Kind.UNKNOWN)
    if lesions:
        return lesions
    if len(unknown) == len(candidates) and (len(candidates) == 1 or is_drawn_for_lesions):
        return unknown
    return refuse(
        "mask.which_structure",
        f"the lesion mask holds {len(candidates)} structure(s) and does not say which is the lesion; "
        "name it with --lesion-roi, or call it GTV, tumor, mass or lesion (a CTV or PTV holds a margin)",
    )
