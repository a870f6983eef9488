"""Which of the structures, segments or labels in a mask file are lesions.

A planning file outlines the body, bones and the couch beside the tumour, and margins around it. A margin (CTV, PTV) is
larger than the lesion (ICRU Report 83), so it is never taken as the lesion unless the reader names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum, unique
from typing import Final

from calcreport.contour.grid import refuse

MAX_LESIONS: Final = 50  # more contours than this in one file is an organ atlas, not the lesions of one patient

# Names of a contoured lesion, and of what else is contoured.
_LESION_NAME: Final = re.compile(r"(?:^|[^a-z])(gtv|tumou?r|mass(?!et)|lesion|neoplasm|sarcoma)")
_OTHER_NAME: Final = re.compile(
    r"(?:^|[^a-z])([cpi]tv|o?edema|body|external|skin|couch|table|margin|ring|dose|bed)(?:[^a-z]|$)"
)
_OTHER_TYPES: Final = frozenset((  # RT ROI Interpreted Type (PS3.3 C.8.8.8.1) of what is no lesion
    "EXTERNAL", "PTV", "CTV", "TREATED_VOLUME", "IRRAD_VOLUME", "BOLUS", "AVOIDANCE", "MARKER", "REGISTRATION",
    "ISOCENTER", "CONTRAST_AGENT", "SUPPORT", "FIXATION", "DOSE_REGION", "DOSE_MEASUREMENT", "BRACHY_CHANNEL",
    "BRACHY_ACCESSORY", "BRACHY_SRC_APP", "BRACHY_CHNL_SHLD",
))  # fmt: skip


@unique
class Kind(StrEnum):
    """What a structure is taken for."""

    LESION = "lesion"
    OTHER = "other"
    UNKNOWN = "unknown"


def kind_of(name: str, interpreted_type: str = "") -> Kind:
    """Tell from its name and RT ROI Interpreted Type (empty when not known) what a structure is.

    ``ORGAN`` and ``CONTROL`` decide nothing: several planning systems write them by default. A margin or oedema is
    `Kind.OTHER` even when its name also says tumour.
    """
    lowered, declared = name.casefold(), interpreted_type.strip().upper()
    if _OTHER_NAME.search(lowered) or declared in _OTHER_TYPES:
        return Kind.OTHER
    return Kind.LESION if declared == "GTV" or _LESION_NAME.search(lowered) else Kind.UNKNOWN


def choose(
    names: Mapping[int, str], kinds: Iterable[Kind], *, wanted: str | None, is_drawn_for_lesions: bool
) -> tuple[int, ...]:
    """Numbers of the structures that are lesions, at least one, in the order of the file.

    `names` and `kinds` are of all structures with a contour, by number; `wanted`, a name or number given by the user,
    decides alone. With `is_drawn_for_lesions` several structures of unknown kind are all lesions: a label map holds
    what its author wanted to hold, a planning file holds the anatomy too.

    Raises `InputError` ``mask.empty``, ``mask.unknown_structure``, ``mask.which_structure`` or ``mask.too_many``. Names
    are not repeated in messages: they may hold patient data.
    """
    if not names:
        refuse("mask.empty", "the lesion mask holds no contour; draw the lesion and export it again")
    if wanted is not None:
        keys = _named(names, wanted.strip().casefold())
    else:
        keys = _guessed(dict(zip(names, kinds, strict=True)), is_drawn_for_lesions)
    if len(keys) > MAX_LESIONS:
        refuse(
            "mask.too_many",
            f"the lesion mask holds {len(keys)} structures, more than {MAX_LESIONS}; name the lesion with --lesion-roi",
        )
    return keys


def _named(names: Mapping[int, str], wanted: str) -> tuple[int, ...]:
    keys = tuple(key for key, name in names.items() if name.strip().casefold() == wanted)
    return (
        keys
        or tuple(key for key in names if str(key) == wanted)
        or refuse(
            "mask.unknown_structure",
            f"none of the {len(names)} structures in the lesion mask has the name or number given with "
            "--lesion-roi; use the name shown by the program that drew it",
        )
    )


def _guessed(kinds: Mapping[int, Kind], is_drawn_for_lesions: bool) -> tuple[int, ...]:  # noqa: FBT001 - private
    lesions = tuple(key for key, kind in kinds.items() if kind is Kind.LESION)
    is_unknown = set(kinds.values()) == {Kind.UNKNOWN} and (len(kinds) == 1 or is_drawn_for_lesions)
    return (
        lesions
        or (tuple(kinds) if is_unknown else ())
        or refuse(
            "mask.which_structure",
            f"the lesion mask holds {len(kinds)} structure(s) and does not say which is the lesion; "
            "name it with --lesion-roi, or call it GTV, tumor, mass or lesion (a CTV or PTV holds a margin)",
        )
    )
