"""Bones among the dense components: cortex around marrow, running out of the scan or lying at a joint.

Density alone never tells bone from a calcified lesion. What tells is architecture (a dense shell around marrow, fat
or trabeculae, where a soft-tissue core speaks for a rim-calcified lesion), continuity (bones run out of the scan) and
neighbourhood (a small bone lies against a large one). On calcification against ossification: Skeletal Radiol 2019,
doi 10.1007/s00256-019-03272-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.components import Components, paint

CORTEX_HU: Final = 600
"""Voxels this dense are cortical bone or dense mineral: trabecular bone and faint deposits stay below."""

TRABECULAR_HU: Final = 130
"""A core denser than this is no soft tissue, even where the growth limit lies above it (contrast studies)."""

SAMPLED_SLICES: Final = 10
"""Cross-sections looked at in a component: bones repeat themselves from slice to slice."""

SMALL_BONE_MM3: Final = 60.0
"""Below this a shell and a core cannot be told apart."""

HUGE_MM3: Final = 60_000.0
"""A component this large with cortical density that runs out of the scan is the skeleton itself."""

THROUGH_MM3: Final = 30_000.0
"""A component this large that runs through the scan from end to end with its section is spine, pelvis or shaft."""

MIN_TUBE_LENGTH_MM: Final = 60.0
"""A dense tube longer than this is a whole long bone inside the scan, such as a fibula."""

DENSE_CORE_HU: Final = 400.0
"""Around a core denser than this, cortex must stand out clearly: solid mineral has a fainter edge, or an overshoot."""

MIN_CUT_SHARE: Final = 0.3
"""A bone runs out of the scan with its section; ossified muscle that the scan just ends in shows it a cap."""

FABELLA_GAP_MM: Final = 5.5
MAX_FABELLA_MM3: Final = 1_500.0
MIN_ARTICULAR_MM2: Final = 1_100.0
"""A small dense ovoid this close behind the broad end of a bone lies where the fabella lies."""

JOINT_GAP_MM: Final = 4.0
"""A separate bone this close to the skeleton articulates with it (fabella, carpal bones)."""

PATELLA_GAP_MM: Final = 12.0
"""The patella lies this far off at most, on its cartilage, right under the skin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Shell and core of a component in cross-section."""

    shell_hu: float
    """90th percentile of the outermost layer, HU."""
    core_hu: float | None
    """Median of what lies deeper, enclosed gaps included, HU; ``None`` when nothing does."""
    core_spread_hu: float
    """Half the 16th-84th percentile range of the core, HU."""
    dense_core_fraction: float
    """Share of the core at or above the growth limit: trabeculae."""
    dense_fraction: float
    """Share of the component's voxels at or above `CORTEX_HU`."""
    filled_fraction: float
    """Component area over the area with enclosed gaps filled: well below 1 for tubes and closed shells."""

    @property
    def has_marrow(self) -> bool:
        """Whether a dense shell encloses fat or trabeculae, rather than soft tissue or still more mineral."""
        core = self.core_hu
        if core is None or self.shell_hu < 300 or self.shell_hu < (1.15 if core <= DENSE_CORE_HU else 1.4) * core:
            return False
        is_trabecular = self.dense_core_fraction > 0.45 or core > TRABECULAR_HU
        return core < -10 or (is_trabecular and core < 700)


def describe_architecture(
    hu: NDArray[np.int16],
    components: Components,
    component: int,
    *,
    spacing_mm: tuple[float, float, float],
    grow_hu: float,
) -> Architecture:
    """Shell and core of a component from up to `SAMPLED_SLICES` of its slices.

    Parameters
    ----------
    hu : NDArray[np.int16]
        The volume, HU.
    components : Components
        Dense components.
    component : int
        Which one.
    spacing_mm : tuple[float, float, float]
        Spacing along slice, row, column, mm.
    grow_hu : float
        Growth limit, HU.
    """
    (low, high), (top, bottom), (left, right) = components.box[component]
    chosen = np.zeros(components.count, dtype=bool)
    chosen[component] = True
    shells, cores, dense = [], [], []
    area = filled_area = 0
    pixel_mm = max(spacing_mm[1:])
    for i in np.unique(np.linspace(low, high - 1, min(SAMPLED_SLICES, high - low)).round().astype(int)):
        box = (slice(int(i), int(i) + 1), slice(int(top), int(bottom)), slice(int(left), int(right)))
        mask = np.pad(paint(components, chosen, box)[0], 1)
        plane = np.pad(hu[box][0], 1)
        filled = ndimage.binary_fill_holes(mask)
        inside = ndimage.distance_transform_edt(filled, sampling=spacing_mm[1:])
        # The outermost voxel is half air of partial volume; the shell proper is read up to two voxels deep.
        shells.append(plane[mask & (inside <= 2.01 * pixel_mm)])
        # Half-way in, even a thick cortex or a plate is behind.
        cores.append(plane[filled & (inside > max(3.5 * pixel_mm, 0.5 * float(inside.max())))])
        dense.append(plane[mask])
        area += int(mask.sum())
        filled_area += int(filled.sum())
    shell, core, all_dense = np.concatenate(shells), np.concatenate(cores), np.concatenate(dense)
    low_hu, middle_hu, high_hu = np.percentile(core, (16, 50, 84)) if core.size >= 8 else (0.0, 0.0, 0.0)
    return Architecture(
        shell_hu=float(np.percentile(shell, 90)),
        core_hu=float(middle_hu) if core.size >= 8 else None,
        core_spread_hu=float(high_hu - low_hu) / 2,
        dense_core_fraction=float((core >= grow_hu).mean()) if core.size >= 8 else 0.0,
        dense_fraction=float((all_dense >= CORTEX_HU).mean()),
        filled_fraction=area / max(filled_area, 1),
    )


def is_large_bone(
    architecture: Architecture,
    *,
    volume_mm3: float,
    extent_mm: float,
    peak_hu: float,
    cut_shares: tuple[float, float],
    is_cut_sideways: bool,
) -> bool:
    """Whether a component is one of the bones that frame the scan.

    Parameters
    ----------
    architecture : Architecture
        Shell and core.
    volume_mm3, extent_mm : float
        Volume and longest side of the bounding box, mm3 and mm.
    peak_hu : float
        Greatest density, HU.
    cut_shares : tuple[float, float]
        Its section in the scan's first and last slice, as a share of its largest section; 0 where not cut.
    is_cut_sideways : bool
        Whether it runs out of the scan through the side of a slice.
    """
    is_cortical = architecture.dense_fraction > 0.25 and peak_hu > 900
    if max(cut_shares) > 0 or is_cut_sideways:
        if volume_mm3 > HUGE_MM3 and peak_hu > 700:
            return True
        runs_out = is_cut_sideways or max(cut_shares) >= MIN_CUT_SHARE or extent_mm > MIN_TUBE_LENGTH_MM
        if runs_out and volume_mm3 > 300 and peak_hu > 300 and (is_cortical or architecture.has_marrow):
            return True
        # Spines and shafts run through the whole scan; noise and thick slices may hide their marrow.
        if min(cut_shares) > 0 and volume_mm3 > THROUGH_MM3 and peak_hu > 700 and architecture.shell_hu >= 300:
            return True
        # A bone cut lengthwise by the side of the picture shows no core; its density still tells.
        return is_cut_sideways and peak_hu > 700 and architecture.dense_fraction > 0.1
    is_long = extent_mm > MIN_TUBE_LENGTH_MM and is_cortical
    return (is_long or volume_mm3 > HUGE_MM3) and architecture.has_marrow
