"""What the judgement of a dense component looks at: volume, body, all components, limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from calcreport.anatomy.arrays import Ints, Mask, Spacing
from calcreport.anatomy.body import Body
from calcreport.anatomy.body_map import BodyMap
from calcreport.anatomy.bone_map import BONE_HU, MIN_SMALL_BONE_MM3, BoneMap
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.components import Components, box_of
from calcreport.anatomy.labelling import label
from calcreport.anatomy.morphology import dilate
from calcreport.anatomy.trunk import GAS_HU
from calcreport.model.image import CtVolume
from calcreport.model.report import Thresholds

BULGE_MM: Final = 9.0  # Ribs reach this far inside the hull of the lungs, pleural calcification with them
EDGE_MM: Final = 4.0  # Partial volume and the edges of a sharp kernel imitate specks this close to cortex
HALF: Final = 0.5  # A component belongs to what holds this share of it: a bone, cartilage, lumen, cavity
SAMPLED_VOXELS: Final = 4_000  # Voxels of a component that a share is taken from


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What every judgement looks at."""

    volume: CtVolume
    coarse: CoarseVolume
    body: Body
    bones: BoneMap
    """Bones, cartilage and enhanced blood, found at a low limit of their own."""
    places: BodyMap
    components: Components
    limits: Thresholds
    noise_hu: float
    """Noise of soft tissue, HU."""

    @cached_property
    def spacing_mm(self) -> Spacing:
        """Spacing along slice, row, column, mm."""
        return self.volume.geometry.spacing_mm

    def share_in(self, blocks: Mask, component: int) -> float:
        """Share of a component's voxels that lie in some coarse blocks (coarse shape, true where they are)."""
        index = self.components.sampled(component, SAMPLED_VOXELS)
        return float(blocks[tuple(self.coarse.of_fine(index).T)].mean())

    def share_on_grid(self, mask: Mask, component: int) -> float:
        """Share of a component's voxels that lie in a mask on the grid of the bones."""
        index = self.components.sampled(component, SAMPLED_VOXELS)
        return float(mask[tuple(self.bones.grid.of_fine(index).T)].mean())

    def is_near(self, component: int, blocks: Mask, reach_mm: float, *, along_mm: float = 0.0) -> bool:
        """Whether a component's box, grown by mm within its slices and along the scan, meets some coarse blocks."""
        step, (low, high) = np.array(self.coarse.step), self.components.box[component].T
        reach = np.ceil(np.array([along_mm, reach_mm, reach_mm]) / np.array(self.coarse.spacing_mm)).astype(int)
        box = box_of(np.maximum(low // step - reach, 0), (high - 1) // step + reach + 1)
        return bool(blocks[box].any())

    def mark(self, components: Iterable[int]) -> Mask:
        """Coarse mask of the blocks some components touch."""
        mask = np.zeros(self.coarse.hu.shape, dtype=bool)
        for i in components:
            mask[tuple(self.coarse.of_fine(self.components.indices(i)).T)] = True
        return mask

    def region(self, component: int) -> str | None:
        """Region of the body that holds the middle of a component's box, ``None`` where the image does not tell."""
        middle = (self.components.box[component].sum(axis=1) - 1) / 2
        return self.places.place(self.volume.geometry.lps_mm(middle)).region

    def dense_voxels(self, component: int, limit_hu: int) -> Ints:
        """Voxels of a component at or above a limit, shape ``(n, 3)``."""
        if self.components.peak_hu[component] < limit_hu:
            return np.zeros((0, 3), dtype=np.int64)
        index = self.components.indices(component)
        return np.asarray(index[self.volume.hu[tuple(index.T)] >= limit_hu])

    def behind_bones_mm(self, component: int) -> float:
        """How far behind the middle of the bones of its level a component lies, mm; negative in front, nan without."""
        middle = (self.components.box[component].sum(axis=1) - 1) / 2
        grid = self.bones.grid
        found = np.argwhere(self.bones.bone[int(grid.of_fine(np.rint(middle).astype(np.int64))[0])])
        if not len(found):
            return float("nan")
        bones = (np.array([0.0, *found.mean(axis=0)]) + 0.5) * np.array(grid.step) + np.array(grid.first) - 0.5
        bones[0] = middle[0]
        own, other = self.volume.geometry.lps_mm(np.stack([middle, bones]))
        return float(own[1] - other[1])

    @cached_property
    def gas(self) -> Mask:
        """Coarse mask of gas enclosed in the body."""
        return (self.coarse.hu < GAS_HU) & self.body.mask

    @cached_property
    def inner_wall(self) -> Mask:
        """Coarse mask of the cage and of the rim of the cavities against it, where ribs bulge inwards."""
        return dilate(self.places.cage, "cross", steps=self.coarse.steps(BULGE_MM))

    @cached_property
    def caged(self) -> Mask:
        """Dense pieces on the grid of the bones, without bones and blood, half of which lies in the cage."""
        grid, bones = self.bones.grid, self.bones
        dense = (grid.hu >= BONE_HU) & ~bones.bone & ~bones.lumen
        labels, count = label(dense, corners=True)
        blocks = self.coarse.of_fine(np.argwhere(dense) * np.array(grid.step) + np.array(grid.first))
        held = np.bincount(labels[dense], self.places.cage[tuple(blocks.T)], count + 1)
        share = held / np.maximum(np.bincount(labels[dense], minlength=count + 1), 1)
        return np.asarray((share >= HALF)[labels])

    @cached_property
    def cortex_hu(self) -> float:
        """Median of the peaks of bones, HU; 0 without."""
        volume_mm3 = self.components.voxels * self.volume.geometry.voxel_volume_mm3
        large = np.flatnonzero(volume_mm3 >= MIN_SMALL_BONE_MM3)
        peaks = [self.components.peak_hu[i] for i in large if self.share_on_grid(self.bones.bone, int(i)) >= HALF]
        return float(np.median(peaks)) if peaks else 0.0

    @cached_property
    def bone_edge(self) -> Mask:
        """Bones and what lies within `EDGE_MM` of them, on their grid."""
        return dilate(self.bones.bone, "cross", steps=self.bones.grid.steps(EDGE_MM))

    def border(self, component: int) -> tuple[bool, bool]:
        """Whether a component runs out of the scan at all, and through the side of a slice."""
        low, high = self.components.box[component].T
        touches = (low == 0) | (high == np.array(self.volume.hu.shape))
        return bool(touches.any()), bool(touches[1:].any())
