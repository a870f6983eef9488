"""What a run doubts of its own reading of a series; a lesion of such a series raises no alert."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from calcreport.calcification.foci import Focus
from calcreport.calcification.inner import MOST_IN_CAVITY
from calcreport.calcification.scene import BULGE_MM, Scene
from calcreport.model.image import Acquisition, Contrast
from calcreport.model.incidental import LUMEN_IMPLAUSIBLE, SHARP_KERNEL, SKELETON_IMPLAUSIBLE, Doubt

LUNG_KERNEL: Final = re.compile(r"LUNG|^BL\d\d|^B[789]\d|^FC8\d", re.IGNORECASE)
"""Names of kernels for lung: GE; Siemens from the second and the first generation of names; Canon. Their edges
overshoot by hundreds of HU."""


def has_lung_kernel(acquisition: Acquisition) -> bool:
    """Whether the header names a kernel for lung."""
    return LUNG_KERNEL.search(acquisition.kernel or "") is not None


def failed_checks(scene: Scene, acquisition: Acquisition, foci: Iterable[Focus]) -> tuple[Doubt, ...]:
    """Doubts about bones, enhanced blood and the kernel of a series; dozens of `foci` along the ribs are ribs."""
    # Fused mineral and implants are parts of bones, which the scene counts whole.
    own = (f.component for f in foci if f.component < scene.components.count)
    at_ribs = sum(scene.is_near(component, scene.places.cage, BULGE_MM) for component in own)
    failed = {
        SKELETON_IMPLAUSIBLE: scene.bones.doubt is not None or at_ribs > MOST_IN_CAVITY,
        LUMEN_IMPLAUSIBLE: acquisition.contrast is Contrast.NONE and scene.bones.lumen_hu is not None,
        SHARP_KERNEL: has_lung_kernel(acquisition),
    }
    return tuple(doubt for doubt, has_failed in failed.items() if has_failed)
