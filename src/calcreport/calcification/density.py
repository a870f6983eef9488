"""Attenuation of a deposit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calcreport.model.report import Density


def measure_density(
    hu: NDArray[np.int16], inside: NDArray[np.bool_], *, ceiling_hu: int | None, certain_hu: float
) -> tuple[Density, tuple[str, ...]]:
    """Attenuation of the voxels inside a deposit's surface.

    `hu`: shape ``(slices, rows, columns)``, HU; `inside`: same shape; at least one voxel true; `ceiling_hu`: top of the
    scale, HU; ``None`` when it cannot clip; `certain_hu`: a maximum below this, HU, is not certain to be calcification.
    Gives HU; `notes`: what limits the values.
    """
    values = hu[inside].astype(np.float64)
    peak = float(values.max())
    is_clipped = ceiling_hu is not None and peak >= ceiling_hu
    notes: tuple[str, ...] = ()
    if is_clipped:
        notes = ("Attenuation is clipped at the top of the scale; mean and maximum are lower bounds.",)
    return (
        Density(
            mean_hu=float(values.mean()),
            max_hu=peak,
            p95_hu=float(np.percentile(values, 95)),
            sd_hu=float(values.std()),
            is_clipped=is_clipped,
            is_certain=peak >= certain_hu,
        ),
        notes,
    )
