"""Whether values can be Hounsfield units at all: air lies near -1000 on every calibrated scanner."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codes import problem

_AIR_HU: Final = (-1100.0, -900.0)
_FAR_BELOW_AIR_HU: Final = -1124.0
_MOSTLY: Final = 0.9
_MANY: Final = 0.05
_BACKGROUND: Final = 0.2
"""When so many voxels lie at the low end, they are the background: air, or soft tissue of a crop."""
_SOME_AIR: Final = 0.002
_WIDTH_HU: Final = 60.0
_FAT_HU: Final = -150.0
_TISSUE_HU: Final = 150.0


def check(sample_hu: NDArray[np.float32]) -> tuple[str, ...]:
    """Refuse values that cannot be HU.

    Parameters
    ----------
    sample_hu : NDArray[np.float32]
        Shape ``(n,)``; HU of imaged voxels from all slices, not clipped.

    Returns
    -------
    tuple[str, ...]
        Notes for the reader.

    Raises
    ------
    CalibrationError
        ``calibration.air`` when a large even background lies where neither air nor tissue can, or many values lie far
        below air; ``calibration.implausible`` when nothing is imaged or everything is denser than tissue.
    """
    if not sample_hu.size:
        raise problem("calibration.implausible", "no imaged voxel")
    below = sample_hu[sample_hu < _FAR_BELOW_AIR_HU]
    if below.size > _MANY * sample_hu.size and np.mean(below == below.min()) < _MOSTLY:
        raise problem("calibration.air", f"{100 * below.size / sample_hu.size:.0f} % of voxels lie below -1124")
    plausible = sample_hu[sample_hu >= _FAR_BELOW_AIR_HU]
    if plausible.size < _SOME_AIR * sample_hu.size:
        raise problem("calibration.implausible", "nearly all values lie below air")
    if np.mean((plausible >= _AIR_HU[0]) & (plausible <= _AIR_HU[1])) >= _SOME_AIR:
        return ()
    low = float(np.percentile(plausible, 0.5))
    background = float(np.mean(plausible <= low + _WIDTH_HU))
    if low > _TISSUE_HU:
        raise problem("calibration.implausible", f"lowest value {low:.0f}")
    if background >= _BACKGROUND and low < _FAT_HU:
        raise problem("calibration.air", f"background at {low:.0f}")
    return ("No air is imaged: the HU scale could not be checked against it.",)
