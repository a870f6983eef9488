"""Names of limbs and girdles from the bones of their sections, and the side of a limb seen alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.axial import Axial, Sections, find_sections
from calcreport.anatomy.cavities import Trunk
from calcreport.anatomy.morphology import outside_planes

MIN_BONE_MM2: Final = 70.0
"""A fibula's section; smaller pieces are not counted."""

MIN_LIMB_MM2: Final = 800.0
"""A wrist's section."""

FEMUR_MM2: Final = (430.0, 1_100.0)
HUMERUS_MM2: Final = (200.0, 400.0)
"""Sections of the shafts with their marrow: 24-36 mm and 16-22 mm across."""

MIN_TIBIA_MM2: Final = 300.0
MIN_LEG_RATIO: Final = 2.2
"""Section of a tibia, and of tibia over fibula."""

MAX_FOREARM: Final = (350.0, 2.0)
"""Largest section of radius or ulna, and of one over the other."""

JOINT_MM: Final = 50.0
"""Ends of femur, tibia, humerus are at least this broad; shafts are not."""

SHAFT_RATIO: Final = 4.0
"""A bone this much larger than the next stands alone."""

PAIR_RATIO: Final = 0.4
"""Two sections are a pair of limbs when the smaller has at least this share of the larger."""

MIN_APART_MM: Final = 80.0
"""Distance of the bones of two legs."""

MIN_RUN_MM: Final = 18.0
"""A kind of section is believed over this length."""

REACH_MM: Final = 110.0
"""A joint reaches this far beyond the end of the shaft that names it."""

MIN_ASIDE: Final = 0.5
MIN_VOTES: Final = 0.8
"""Share of the distance of two bones that lies across the patient, and share of levels that agree, to tell a side."""

MIN_HIP_MM: Final = 12.0
"""The shaft of the femur lies this far to the side of the bones of hip and pelvis."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limbs:
    """What each level shows of limbs."""

    region: tuple[str | None, ...]
    """Name per level for levels that show limbs alone; ``None`` where it is not told."""
    middle: NDArray[np.float64]
    """Shape ``(levels,)``; column midway between a pair of limbs, not a number where there is no pair."""
    side: int
    """1 where a limb seen alone is the left one, -1 the right one, 0 where it is not told."""
    arms: dict[int, str]
    """Index of a section beside the trunk to the part of the arm it shows."""


def find_limbs(axial: Axial, sections: Sections, trunk: Trunk) -> Limbs:
    """Read limbs from their sections."""
    levels = axial.hu.shape[0]
    bone = ~outside_planes(axial.bone)
    bones = find_sections(bone, axial.pixel_mm2)
    owner = sections.labels[bones.level, np.rint(bones.row).astype(int), np.rint(bones.column).astype(int)] - 1
    bones_of: dict[int, list[int]] = {}
    for i in np.flatnonzero((bones.area_mm2 >= MIN_BONE_MM2) & (owner >= 0)):
        bones_of.setdefault(int(owner[i]), []).append(int(i))
    is_trunk = trunk.has_lung | trunk.is_abdomen | trunk.is_pelvis | trunk.is_head | trunk.is_neck
    kinds: list[str | None] = [None] * levels
    middle, aside = np.full(levels, np.nan), np.zeros(levels)
    arms: dict[int, str] = {}
    for level in range(levels):
        parts = [i for i in sections.of_level(level) if i in bones_of and sections.area_mm2[i] >= MIN_LIMB_MM2]
        if is_trunk[level]:
            for i in parts:
                if not trunk.main[level][sections.labels[level] == i + 1].any():
                    arms[int(i)] = _arm(axial, bones, bones_of[i])
        elif parts:
            own = sorted(bones_of[parts[0]], key=lambda i: -bones.area_mm2[i])
            middle[level], own = _pair(axial, sections, bones, parts, own)
            kinds[level] = _kind(axial, bones, own)
            aside[level] = _fibula(axial, bones, own) if kinds[level] == "lower leg" else 0
    kinds = _runs(kinds, axial.levels(MIN_RUN_MM))
    region = _with_joints(axial, kinds, trunk.is_pelvis)
    side = 0 if np.isfinite(middle).any() else _side(axial, bone, bones, aside, region, sections)
    return Limbs(region=region, middle=middle, side=side, arms=arms)


def _extent_mm(axial: Axial, bones: Sections, bone: int) -> float:
    height, width = np.ptp(bones.box[bone], axis=1) + 1
    return float(max(height * axial.spacing_mm[1], width * axial.spacing_mm[2]))


def _pair(
    axial: Axial, sections: Sections, bones: Sections, parts: list[int], own: list[int]
) -> tuple[float, list[int]]:
    """Column midway between two legs, apart or touching, and the bones of the larger one."""
    if len(parts) > 1 and sections.area_mm2[parts[1]] >= PAIR_RATIO * sections.area_mm2[parts[0]]:
        return float(sections.column[parts[:2]].mean()), own
    if len(own) > 1 and bones.area_mm2[own[1]] >= MIN_TIBIA_MM2:
        apart = abs(bones.column[own[0]] - bones.column[own[1]]) * axial.spacing_mm[2]
        lower = abs(bones.row[own[0]] - bones.row[own[1]]) * axial.spacing_mm[1]
        is_alike = bones.area_mm2[own[1]] >= 0.6 * bones.area_mm2[own[0]]
        if is_alike and apart >= MIN_APART_MM and lower <= apart / 3:
            centre = float(bones.column[own[:2]].mean())
            is_left = bones.column[own[0]] > centre
            return centre, [i for i in own if (bones.column[i] > centre) == is_left]
    return np.nan, own


def _kind(axial: Axial, bones: Sections, own: list[int]) -> str | None:
    """What the bones of a section, largest first, say of it."""
    area = bones.area_mm2[own]
    if _extent_mm(axial, bones, own[0]) >= JOINT_MM:
        return "joint"
    if len(own) == 1 or area[0] >= SHAFT_RATIO * area[1:].max() and len(own) > 2:
        if FEMUR_MM2[0] <= area[0] <= FEMUR_MM2[1]:
            return "thigh"
        return "upper arm" if HUMERUS_MM2[0] <= area[0] <= HUMERUS_MM2[1] else None
    if len(own) == 2:
        if area[0] >= max(MIN_TIBIA_MM2, MIN_LEG_RATIO * area[1]):
            return "lower leg"
        return "forearm" if area[0] <= MAX_FOREARM[0] and area[0] <= MAX_FOREARM[1] * area[1] else "joint"
    return "many"


def _arm(axial: Axial, bones: Sections, own: list[int]) -> str:
    """Part of an arm that lies beside the trunk."""
    area = np.sort(bones.area_mm2[own])[::-1]
    if len(own) == 1 and _extent_mm(axial, bones, own[0]) < JOINT_MM:
        return "upper arm"
    if len(own) == 2 and area[0] <= MAX_FOREARM[0]:
        return "forearm"
    return "hand" if len(own) >= 4 else "arm"


def _fibula(axial: Axial, bones: Sections, own: list[int]) -> float:
    """1 where the smaller of two bones lies to the left of the larger, -1 to the right, 0 before or behind it."""
    across = (bones.column[own[1]] - bones.column[own[0]]) * axial.spacing_mm[2]
    down = (bones.row[own[1]] - bones.row[own[0]]) * axial.spacing_mm[1]
    return float(np.sign(across)) if abs(across) >= MIN_ASIDE * float(np.hypot(across, down)) else 0.0


def _runs(kinds: list[str | None], least: int) -> list[str | None]:
    """Kinds that hold over some levels; single levels between two of the same kind follow them."""
    result: list[str | None] = [None] * len(kinds)
    for kind in {k for k in kinds if k}:
        mask = ndimage.binary_closing(np.pad([k == kind for k in kinds], least), iterations=max(1, least // 3))
        labels, count = ndimage.label(mask[least : least + len(kinds)])
        for run in range(1, count + 1):
            at = np.flatnonzero(labels == run)
            if at.size >= least:
                for level in at:
                    result[level] = kind if kinds[level] in {kind, None} or result[level] is None else result[level]
    return result


def _with_joints(axial: Axial, kinds: list[str | None], is_pelvis: NDArray[np.bool_]) -> tuple[str | None, ...]:
    """Names: joints by the shaft they continue, upwards in the patient; arms may be raised, so theirs stay open."""
    reach = axial.levels(REACH_MM)
    names: list[str | None] = [k if k in {"thigh", "lower leg", "upper arm", "forearm"} else None for k in kinds]
    at = {name: np.flatnonzero([k == name for k in kinds]) for name in ("thigh", "lower leg", "forearm", "upper arm")}
    thigh, leg = at["thigh"], at["lower leg"]
    has_arm = at["forearm"].size or at["upper arm"].size
    pelvis = np.flatnonzero(is_pelvis)
    for level, name in enumerate(names):
        if name or has_arm:
            continue
        if thigh.size and thigh[-1] < level <= thigh[-1] + reach:
            names[level] = "hip"
        elif thigh.size and thigh[0] - reach <= level < thigh[0]:
            names[level] = "knee"
        elif leg.size and leg[-1] < level <= leg[-1] + reach:
            names[level] = "knee"
        elif leg.size and leg[0] - reach <= level < leg[0]:
            names[level] = "foot" if kinds[level] == "many" else "ankle"
        elif pelvis.size and pelvis[0] - reach <= level < pelvis[0]:
            names[level] = "thigh"
    return tuple(names)


def _side(
    axial: Axial,
    bone: NDArray[np.bool_],
    bones: Sections,
    aside: NDArray[np.float64],
    region: tuple[str | None, ...],
    sections: Sections,
) -> int:
    """Side of a limb seen alone: its fibula lies laterally, and its femur laterally of the hip bone."""
    votes = aside[aside != 0]
    if votes.size >= axial.levels(MIN_RUN_MM) and abs(votes.mean()) >= 2 * MIN_VOTES - 1:
        return int(np.sign(votes.mean()))
    thigh = np.flatnonzero([r == "thigh" for r in region])
    hip = np.flatnonzero([r == "hip" for r in region])
    if not (thigh.size and hip.size):
        return 0
    shaft = np.nonzero(bone[thigh[-axial.levels(MIN_RUN_MM) :]])[2]
    above = np.nonzero(bone[hip])[2]
    if not (shaft.size and above.size):
        return 0
    offset = (float(np.median(shaft)) - float(above.mean())) * axial.spacing_mm[2]
    return int(np.sign(offset)) if abs(offset) >= MIN_HIP_MM else 0
