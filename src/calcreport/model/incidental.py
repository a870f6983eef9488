"""Mineral that belongs to an organ, vessel, gut or airway, and the checks of a run that failed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, NamedTuple

from calcreport.model.terms import Point, Record


@unique
class IncidentalKind(StrEnum):
    """What incidental mineral belongs to, in the order of the report."""

    VASCULAR = "vascular"
    VALVE = "valve"
    ORGAN = "organ"
    STONE = "stone"
    NODE = "node"
    AIRWAY = "airway"
    CARTILAGE = "cartilage"
    ENTERIC = "enteric"
    FOREIGN = "foreign"
    OTHER = "other"


class Incidental(Record):
    """Mineral of one kind and structure on one series: no lesion, stated in one line."""

    kind: IncidentalKind
    structure: str | None = None
    """In words, such as ``"abdominal aorta"``; ``None`` when only the kind is known."""
    count: int
    largest_mm: float
    """Longest dimension of the largest one."""
    bbox_lps_mm: tuple[Point, Point]
    """Lowest and highest corner of the box around all of them, outer edges."""
    first_image: int | None = None
    last_image: int | None = None
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentalFinding:
    """One deposit that belongs to an organ, vessel, gut or airway, on one CT series; fields as in `Incidental`."""

    kind: IncidentalKind
    structure: str | None = None
    bbox_lps_mm: tuple[Point, Point]
    largest_mm: float
    first_slice: int
    last_slice: int
    """Index of the first and the last axial slice that show it, both inclusive."""
    series_index: int = 0
    """Which of the measured series of the study it was found on, best first."""


class Doubt(NamedTuple):
    """A check of the run on itself that failed: no lesion of the series raises an alert, and the report says why."""

    code: str
    """Stable; the reason under ``searched``."""
    text: str
    """One sentence: what could not be judged."""


# Bone takes too small a share of the body.
SKELETON_IMPLAUSIBLE: Final = Doubt(
    "check.skeleton_implausible",
    "The skeleton that was recognised is implausible: what is reported may be part of a bone.",
)
LUMEN_IMPLAUSIBLE: Final = Doubt(
    "check.lumen_implausible",
    "Vessels look enhanced although the scan is recorded as non-contrast: what is reported may be contrast.",
)
LUMEN_UNMEASURED: Final = Doubt(
    "check.lumen_unmeasured",
    "The scan is recorded as arterial phase, but no enhanced vessel was measured: what is reported may be a vessel.",
)
# Dozens of deposits in one cavity.
MANY_IN_CAVITY: Final = Doubt(
    "check.many_in_cavity", "Many deposits lie in one body cavity: they may belong to organs, vessels or bowel."
)
# The kernel of the series overshoots at edges.
SHARP_KERNEL: Final = Doubt(
    "check.sharp_kernel", "A sharp lung or bone kernel exaggerates density: small deposits may be edges or noise."
)
