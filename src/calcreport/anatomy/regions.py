"""Names of limbs and girdles from the bones of their sections, and the side of a limb seen alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from calcreport.anatomy.arrays import Floats, Mask
from calcreport.anatomy.axial import Axial, Sections, find_sections, lasting
from calcreport.anatomy.morphology import outside_planes
from calcreport.anatomy.trunk import PAIR_RATIO, Trunk

MIN_BONE_MM2: Final = 70.0  # A fibula's section; smaller pieces are not counted
MIN_LIMB_MM2: Final = 800.0  # A wrist's section
FEMUR_MM2: Final = (430.0, 1_300.0)  # section of the shaft with its marrow: 24-41 mm across
HUMERUS_MM2: Final = (200.0, 400.0)  # 16-22 mm across
MIN_TIBIA_MM2: Final = 300.0  # section of a tibia ...
MIN_LEG_RATIO: Final = 2.2  # ... and of tibia over fibula
MAX_FOREARM: Final = (350.0, 2.0)  # Largest section of radius or ulna, and of one over the other
JOINT_MM: Final = 50.0  # Ends of femur, tibia, humerus are at least this broad; shafts are not
SHAFT_RATIO: Final = 4.0  # A bone this much larger than the next stands alone
MIN_APART_MM: Final = 80.0  # Distance of the bones of two legs
MIN_RUN_MM: Final = 30.0  # a shaft is believed over this length ...
MIN_JOINT_MM: Final = 9.0  # ... and a joint over this
SHIN_MM: Final = (18.0, 60.0)  # Distance of tibia and fibula; the hip bone lies farther from the femur
MIN_ROUNDNESS: Final = 0.42  # Share of the square around it that a shaft fills; a disc fills 0.79, of few blocks less
MIN_THIGH_MM2: Final = 6_000.0  # Section of a thigh of 9 cm across; an ankle whose bones the blocks join has less
MAX_ARM_MM2: Final = 13_000.0
"""Section of an upper arm; a thigh that the picture cuts may be as small, and is not named."""
REACH_MM: Final = 110.0  # A joint reaches this far beyond the end of the shaft that names it
MIN_ASIDE: Final = 0.4  # share of the distance of two bones that lies across the patient, to state a side
MIN_VOTES: Final = 0.8  # share of levels that agree on it
MIN_HIP_MM: Final = 12.0  # The shaft of the femur lies this far to the side of the bones of hip and pelvis


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limbs:
    """What each level shows of limbs."""

    region: tuple[str | None, ...]
    """Name per level for levels that show limbs alone; ``None`` where it is not seen."""
    middle: Floats
    """Shape ``(levels,)``; column midway between a pair of limbs, not a number where there is no pair."""
    side: int
    """1 where a limb seen alone is the left one, -1 the right one, 0 where it is not seen."""
    axis: Floats
    """Shape ``(levels,)``; column of the shaft of a limb seen alone, carried on to its joints."""
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
    kinds: list[str | None] = [None] * levels
    middle, axis, aside = np.full(levels, np.nan), np.full(levels, np.nan), np.zeros(levels)
    arms: dict[int, str] = {}
    for level in range(levels):
        parts = [i for i in sections.of_level(level) if i in bones_of and sections.area_mm2[i] >= MIN_LIMB_MM2]
        if trunk.part[level]:
            for i in parts:
                if i != sections.of_level(level)[0]:
                    arms[int(i)] = _arm(axial, bones, bones_of[i])
        elif parts:
            middle[level], own = _pair(axial, sections, bones, parts, bones_of)
            kinds[level] = _fitting(_kind(axial, bones, own), sections.area_mm2[parts[0]], is_cut=trunk.is_cut[level])
            axis[level] = bones.column[own[0]]
            aside[level] = _fibula(axial, bones, own) if kinds[level] == "lower leg" else 0
    kinds = _runs(axial, kinds)
    least = axial.levels(MIN_RUN_MM)
    middle[~lasting(np.isfinite(middle), least, gap=max(1, least // 3))] = np.nan
    region = _with_joints(axial, kinds, trunk.part == "pelvis")
    side = 0 if np.isfinite(middle).any() else _side(axial, bone, aside, region)
    shaft = np.flatnonzero([name in _SHAFTS for name in region] & np.isfinite(axis))
    axis = np.interp(np.arange(levels), shaft, axis[shaft]) if shaft.size else np.full(levels, np.nan)
    return Limbs(region=region, middle=middle, side=side, axis=axis, arms=arms)


def _extent_mm(axial: Axial, bones: Sections, bone: int) -> float:
    height, width = np.ptp(bones.box[bone], axis=1) + 1
    return float(max(height * axial.spacing_mm[1], width * axial.spacing_mm[2]))


def _pair(
    axial: Axial, sections: Sections, bones: Sections, parts: list[int], of: dict[int, list[int]]
) -> tuple[float, list[int]]:
    """Column midway between two legs, apart or touching, and the bones of the larger one, largest first."""
    own = sorted(of[parts[0]], key=lambda i: -bones.area_mm2[i])
    if len(parts) > 1 and sections.area_mm2[parts[1]] >= PAIR_RATIO * sections.area_mm2[parts[0]]:
        first, second = (bones.area_mm2[of[part]].max() for part in parts[:2])
        if min(first, second) >= PAIR_RATIO * max(first, second):
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
    if len(own) == 1 or (len(own) > 2 and area[0] >= SHAFT_RATIO * area[1]):
        is_round = area[0] >= MIN_ROUNDNESS * _extent_mm(axial, bones, own[0]) ** 2
        is_shaft = is_round and not _is_at_side(axial, bones, own[0])
        ranges = {"thigh": FEMUR_MM2, "upper arm": HUMERUS_MM2}
        return next((name for name, (low, high) in ranges.items() if is_shaft and low <= area[0] <= high), None)
    if len(own) > 2:
        return "joint"
    if area[0] >= max(MIN_TIBIA_MM2, MIN_LEG_RATIO * area[1]):
        first, second = (
            np.array([bones.row[i] * axial.spacing_mm[1], bones.column[i] * axial.spacing_mm[2]]) for i in own
        )
        return "lower leg" if SHIN_MM[0] <= float(np.linalg.norm(first - second)) <= SHIN_MM[1] else None
    return "forearm" if area[0] <= MAX_FOREARM[0] and area[0] <= MAX_FOREARM[1] * area[1] else "joint"


def _fitting(kind: str | None, area_mm2: float, *, is_cut: bool) -> str | None:
    """What the bones of a section say of it, unless its own size speaks against it."""
    is_no_arm = kind == "upper arm" and (is_cut or area_mm2 > MAX_ARM_MM2)
    return None if is_no_arm or (kind == "thigh" and area_mm2 < MIN_THIGH_MM2) else kind


def _is_at_side(axial: Axial, bones: Sections, bone: int) -> bool:
    """Whether the side of the picture may cut a bone."""
    return bool((bones.box[bone, :, 0] <= 1).any() or (bones.box[bone, :, 1] >= np.array(axial.hu.shape[1:]) - 2).any())


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


def _runs(axial: Axial, kinds: list[str | None]) -> list[str | None]:
    """Kinds that hold over some length."""
    result: list[str | None] = [None] * len(kinds)
    for kind in sorted({k for k in kinds if k}):
        least = axial.levels(MIN_JOINT_MM if kind == "joint" else MIN_RUN_MM)
        for level in np.flatnonzero(lasting(np.array([k == kind for k in kinds]), least, gap=max(1, least // 3))):
            result[level] = kind if kinds[level] == kind else result[level] or kind
    return result


def _with_joints(axial: Axial, kinds: list[str | None], is_pelvis: Mask) -> tuple[str | None, ...]:
    """Names: joints by the shaft they continue, upwards in the patient; arms may be raised, so theirs stay open."""
    reach = axial.levels(REACH_MM)
    names: list[str | None] = [k if k in _SHAFTS else None for k in kinds]
    thigh, leg = (np.flatnonzero([k == kind for k in kinds]) for kind in ("thigh", "lower leg"))
    ends: list[tuple[int, int, str, str]] = []
    if thigh.size:
        # Femur and seat bone look like tibia and fibula; no lower leg lies above a thigh.
        leg = leg[leg < thigh[0]]
        names[int(thigh[0]) : int(thigh[-1]) + 1] = ["thigh"] * (int(np.ptp(thigh)) + 1)
        ends += [(int(thigh[-1]), 1, "thigh", "hip"), (int(thigh[0]), -1, "thigh", "knee")]
    if leg.size:
        ends += [(int(leg[-1]), 1, "lower leg", "knee"), (int(leg[0]), -1, "lower leg", "ankle")]
    for end, step, shaft, joint in ends:
        beyond = [level for level in range(end + step, end + step * reach, step) if 0 <= level < len(kinds)]
        _name_joint(kinds, names, beyond, shaft, joint)
    pelvis = np.flatnonzero(is_pelvis)
    if pelvis.size:
        for level in range(max(0, int(pelvis[0]) - reach), int(pelvis[0])):
            names[level] = names[level] if names[level] in _SHAFTS else "thigh"
    return tuple(names)


_SHAFTS: Final = ("thigh", "lower leg", "upper arm", "forearm")  # regions with a single shaft or two


def _name_joint(kinds: list[str | None], names: list[str | None], beyond: list[int], shaft: str, joint: str) -> None:
    """Name levels beyond the end of a shaft: the shaft as far as its bone broadens, then the joint."""
    first = next((n for n, level in enumerate(beyond) if kinds[level] == "joint"), None)
    if first is None:
        return
    for n, level in enumerate(beyond):
        if n < first:
            names[level] = shaft
        elif joint != "hip" and names[level] in _SHAFTS and kinds[level] != "joint":
            return
        else:
            names[level] = joint


def _side(axial: Axial, bone: Mask, aside: Floats, region: tuple[str | None, ...]) -> int:
    """Side of a limb seen alone: its fibula lies laterally, and its femur laterally of the hip bone."""
    votes, least = aside[aside != 0], axial.levels(MIN_RUN_MM)
    if votes.size >= least and abs(votes.mean()) >= 2 * MIN_VOTES - 1:
        return int(np.sign(votes.mean()))
    thigh, hip = (np.flatnonzero([r == name for r in region]) for name in ("thigh", "hip"))
    shaft, above = np.nonzero(bone[thigh[-least:]])[2], np.nonzero(bone[hip])[2]
    if not (shaft.size and above.size):
        return 0
    offset_mm = (float(np.median(shaft)) - float(above.mean())) * axial.spacing_mm[2]
    return int(np.sign(offset_mm)) if abs(offset_mm) >= MIN_HIP_MM else 0
