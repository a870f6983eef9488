"""Body regions: words a reader or a header uses, and the areas the rules speak of."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_AREAS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "lower_leg": ("calf", "lower leg", "leg", "shin", "tibia", "tibial", "tibialis", "fibula", "soleus",
                      "gastrocnemius", "peroneal", "gaiter", "achilles"),
        "thigh": ("thigh", "femur", "femoral", "quadriceps", "rectus femoris", "vastus", "hamstring", "adductor"),
        "knee": ("knee", "fibular head", "tibial plateau", "patella", "patellar", "popliteal"),
        "foot": ("foot", "ankle", "toe", "heel", "plantar", "feet"),
        "hip": ("hip", "femoral head", "femoral neck", "groin", "trochanter", "trochanteric"),
        "buttock": ("buttock", "gluteal", "gluteus"),
        "hand": ("hand", "finger", "wrist", "thumb", "palm", "palmar"),
        "forearm": ("forearm", "radius", "ulna"),
        "elbow": ("elbow", "radial head", "olecranon"),
        "upper_arm": ("upper arm", "arm", "humerus", "biceps", "triceps", "brachialis"),
        "shoulder": ("shoulder", "humeral head", "humeral neck", "supraspinatus", "deltoid", "scapula", "axilla",
                     "clavicle", "trapezius"),
        "neck": ("neck", "cervical", "sternocleidomastoid", "scm", "strap muscle", "infrahyoid", "larynx", "cspine"),
        "head": ("head", "face", "jaw", "masseter", "cheek", "scalp", "parotid", "skull", "mandible", "temporal"),
        "back": ("back", "paraspinal", "spine", "lumbar", "flank", "lspine", "tspine"),
        "chest_wall": ("chest wall", "pectoral", "chest", "thorax", "rib", "thoracic"),
        "abdominal_wall": ("abdominal wall", "rectus abdominis"),
        "pelvis": ("pelvis", "pelvic", "hemipelvis"),
        "retroperitoneum": ("retroperitoneum", "retroperitoneal", "psoas"),
        "abdomen": ("abdomen", "abdominal cavity", "peritoneal", "mesentery", "mesenteric"),
        "mediastinum": ("mediastinum", "mediastinal"),
        "organ": ("breast", "heart", "cardiac", "valve", "aortic valve", "mitral", "coronary", "kidney", "renal",
                  "bladder", "ureter", "lung", "pulmonary", "brain", "thyroid", "liver", "spleen", "pancreas",
                  "gallbladder", "prostate", "uterus", "ovary", "bowel", "adrenal", "stomach"),
    }
)  # fmt: skip
"""Area to the words that name it."""

REGIONS: Final = tuple(words[0] for words in _AREAS.values())
"""One word for each area, for a reader to choose from."""

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "hand_or_foot": ("hand", "foot"),
        "head_or_neck": ("head", "neck"),
        "axial_or_girdle": ("neck", "back", "shoulder", "chest_wall"),
        "body_cavity": ("pelvis", "retroperitoneum", "abdomen", "mediastinum"),
        "lower_limb": ("lower_leg", "thigh", "knee", "foot", "hip", "buttock"),
    }
)
"""Group of areas, as the rules use them, to its areas."""

_NEIGHBOURS: Final = (
    ("pelvis", "hip", "buttock"),
    ("buttock", "hip", "thigh"),
    ("pelvis", "abdomen", "retroperitoneum", "abdominal_wall", "organ"),
    ("thigh", "knee"),
    ("knee", "lower_leg"),
    ("lower_leg", "foot"),
    ("shoulder", "upper_arm"),
    ("shoulder", "chest_wall"),
    ("upper_arm", "elbow"),
    ("elbow", "forearm"),
    ("forearm", "hand"),
    ("head", "neck"),
    ("neck", "back"),
    ("neck", "shoulder"),
    ("back", "shoulder"),
    ("back", "chest_wall"),
    ("back", "retroperitoneum"),
    ("chest_wall", "mediastinum", "organ"),
)
"""Areas one name cannot be held apart from: a header says "pelvis" where the clinician says "hip"."""

_OTHER_MEANING: Final = ("medial head", "lateral head", "long head", "short head", "back of", "hand side")
"""Phrases that hold the name of an area without meaning it: heads of a muscle, the back of the thigh."""

_WORDS: Final = tuple(
    sorted(
        (
            (re.compile(rf"\b{re.escape(word)}s?\b"), area, word)
            for area, words in (*_AREAS.items(), ("", _OTHER_MEANING))
            for word in words
        ),
        key=lambda entry: -len(entry[2]),
    )
)
"""Longest words first, so that "lower leg" is read before "leg" and "chest wall" before "chest"."""

AREA_NAMES: Final = frozenset(_AREAS) | frozenset(_GROUPS)
"""Every area and group a rule may name."""


@functools.lru_cache(maxsize=256)
def name_areas(region: str | None) -> tuple[str, ...] | None:
    """Areas a region's name means.

    `region`: words such as ``"right calf"`` or ``"BACK"``. Gives areas and their groups; ``None`` when the region is
    unknown or its name is not understood.
    """
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
    return not any(set(first) & set(near) and set(second) & set(near) for near in _NEIGHBOURS)
