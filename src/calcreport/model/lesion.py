"""What the image analysis hands on: measured lesions, masks for drawing, and what was excluded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calcreport.model import report
from calcreport.model.drawn import DrawnOutline
from calcreport.model.geometry import lock
from calcreport.model.incidental import Doubt, IncidentalFinding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoxelMask:
    """A mask cut out of a volume."""

    offset: tuple[int, int, int]
    """Index (slice, row, column) of the first voxel of `voxels` in the volume."""
    voxels: NDArray[np.bool_]
    """Shape ``(slices, rows, columns)`` of the cut-out; true inside; read-only."""

    def __post_init__(self) -> None:
        lock("voxels", self.voxels, np.bool_, 3)

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Slices that cut the same box out of the volume."""
        i, j, k = (slice(o, o + n) for o, n in zip(self.offset, self.voxels.shape, strict=True))
        return (i, j, k)

    def on_slice(self, index: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Slice of the mask, by its index in the volume, on a whole slice of `shape` ``(rows, columns)``."""
        plane = np.zeros(shape, dtype=np.bool_)
        if 0 <= index - self.offset[0] < self.voxels.shape[0]:
            plane[self.box[1:]] = self.voxels[index - self.offset[0]]
        return plane


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionContour:
    """A reader's contour of a whole lesion, laid into the voxel grid of a CT volume."""

    name: str
    """ROI or segment name as received; hostile text until escaped."""
    mask: VoxelMask
    """Voxels whose centre lies inside the contour."""
    is_cut: bool
    """Whether the contour reaches, or goes beyond, the edge of the volume: sizes are then minimum values."""
    notes: tuple[str, ...] = ()
    """What a reader must know about how the contour was laid into the grid (slices filled between drawn contours,
    contradictory references …); sentences without patient data."""
    outline: DrawnOutline | None = None
    """Surface on the grid of the drawing, which lengths are measured on; ``None`` where `mask` was drawn on the CT's
    own grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A measured line from one point to another, both LPS mm; `length_mm` is its length."""

    start_lps_mm: report.Point
    end_lps_mm: report.Point
    length_mm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionFacts:
    """What measuring says of a lesion on CT and on radiographs alike, before any rule applies."""

    size: report.Size
    foci: report.Foci
    mass: report.Mass = field(default_factory=report.Mass)
    density: report.Density = field(default_factory=report.Density)
    depth: report.Depth
    pattern: report.Pattern
    bone_relation: report.BoneRelation
    location: report.Location
    notes: tuple[str, ...] = ()
    failed_checks: tuple[str, ...] = ()
    """Codes of the `Doubt` of the series it was measured on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredLesion(LesionFacts):
    """A lesion as measured on one CT series."""

    mineral: VoxelMask | None
    """Mineralised voxels; ``None`` for a contour without mineral."""
    contour: VoxelMask | None = None
    key_slice: int
    """Index of the axial slice that shows it best."""
    longest: Segment | None = None
    """Longest diameter of the mineral (of the contour when there is no mineral)."""
    axial_longest: Segment | None = None
    """Longest diameter within `key_slice`, for the calliper of the key image."""
    to_skin: Segment | None = None
    to_fascia: Segment | None = None
    """Shortest lines from the outer edge to skin and to the investing fascia; ``None`` when not measurable."""
    series_index: int = 0
    """Which of the measured series of the study it was measured on, best first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtFindings:
    """Everything the analysis of one CT series found; of several, what holds of one of them is that of the first."""

    lesions: tuple[MeasuredLesion, ...]
    """Largest first."""
    excluded: tuple[report.Excluded, ...]
    thresholds: report.Thresholds
    threshold_reason: str
    noise_hu: float
    """Standard deviation of the noise in soft tissue, HU."""
    notes: tuple[str, ...]
    """Limits of this analysis that a reader must see (metal streaks, skin cut by the field of view …)."""
    maximum_intensity_hu: NDArray[np.int16]
    """Shape ``(slices, columns)``; maximum along rows (antero-posterior projection for axial slices), HU."""
    regions: tuple[str, ...] = ()
    """Parts of the body the image shows, from the head down, with their side where it is known."""
    incidental: tuple[IncidentalFinding, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    """Checks of the run on itself that failed; `notes` need not repeat them."""
