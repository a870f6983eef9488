"""Whether values can be Hounsfield units: air, fat and soft tissue have places on every calibrated scale.

Two of the three fix a linear scale. Peaks of the histogram are compared with the places rather than means, because
bone, metal, contrast medium and lung take any share of a scan. Limits are set between right and wrong scales of real
and synthetic scans, which `tests/accuracy/run_scales.py` tabulates (docs/scales.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codes import problem

# Places, HU. Air is clipped at -1024 or -1000, and rises to -880 below a starved shoulder.
_AIR_HU: Final = (-1060.0, -900.0)
_ROUND_AIR_HU: Final = (-1124.0, -800.0)
_DEEP_HU: Final = (-1124.0, -1060.0)
_BACKGROUND_HU: Final = (-1124.0, -200.0)
_LUNG_HU: Final = (-950.0, -450.0)
_BETWEEN_HU: Final = (-450.0, -145.0)  # no tissue lies here, only edges of the body, cushions and clothes
_FAT_HU: Final = (-140.0, -55.0)  # fat
_SOFT_HU: Final = (-15.0, 95.0)  # fluid, brain and muscle, enhanced or not
_TISSUE_HU: Final = (-140.0, 95.0)  # fat to muscle
_ABOVE_HU: Final = (105.0, 2400.0)  # Enhanced organs and vessels, bone, contrast medium; metal is clipped above

# Bins of the histogram, the lowest HU of its first, and how many.
_BIN_HU, _LOWEST_HU, _BINS = 10, -1500, 400
_SMOOTHING: Final = np.array((1, 2, 3, 2, 1)) / 9  # weights of neighbours
_PEAK_BINS: Final = 3  # A peak is the highest bin of this many on both sides
_PEAK_HU: Final = 40.0  # half width of a peak
_ROUND_PEAK_HU: Final = 120.0  # and of the surroundings its purity refers to
_LARGEST_SAMPLE: Final = 400_000  # more values say no more about peaks
_FEW: Final = 10.0  # peaks of fewer values a bin are chance

_ENOUGH: Final = 2  # so many of air, fat and soft tissue fix the scale
# Parts of all values: air that was imaged; a value that is frequent.
_SOME_AIR: Final = 0.002
_MANY: Final = 0.05
_MOSTLY: Final = 0.8  # of values far below air so many are equal when they are padding; means at its edge are not
_NOISE_OF_AIR: Final = 0.15  # noise puts no larger part of air below -1060
_SHARP: Final = 0.9  # purity of air, around which there is nothing but noise; that of lung is 0.83 at most
_EDGE_HU: Final = 25.0  # half width of the flank of a peak
_DISTINCT: Final = 0.42  # purity of a tissue; a third where all values are equally frequent
_NEAR_ZERO_HU: Final = 30.0  # distance from 0 or 24 of an even background
_EVEN_HU: Final = 8.0  # a background of 0, or of 24 (stored value 0 with 1024 too much), is this even; tissue never is
_PICTURE_TOP_HU: Final = (120.0, 255.0)  # highest value when a picture of 8 bits shows more than soft tissue
# What counts as body, and the part of all values it has at least.
_DENSER_THAN_LUNG_HU: Final = -700.0
_LEAST_BODY: Final = 0.0005
_LEAST_TISSUE: Final = 0.3  # of what is denser than lung, soft tissue is 0.39 at least, in a small field around bone
_LUNG_ALONE: Final = 0.6  # lung is 0.54 at most of what is no air, unless the field of view lies within it
_LEAST_TISSUE_OF_LUNG: Final = 0.065  # there its vessels are 0.08 at least
_AROUND_TISSUE_HU: Final = 60.0  # half width of the peak of tissue
_CLEAR: Final = 0.12  # least part that the peak of tissue takes of what is denser than -450
_CLEAR_IN_LUNG: Final = 0.35
"""Part that the peak of tissue takes of what is denser than -450: 0.28 at least; 0.29 at most of bone, which takes the
place of tissue on a scale too low by 1000."""
_THOUSAND_HIGH_HU: Final = (600.0, 1200.0)  # fat and muscle on a scale too high by 1000 or 1024; bone has no such peak
_HIGHEST_FLUID_HU: Final = 30.0  # a lower peak up to here may be fat or air of a scale too high


@dataclass(frozen=True, slots=True, eq=False)
class _Peak:
    """Highest bin of a stretch: ``hu``, how many values a bin, and how much of what lies around it is in it."""

    hu: float = np.nan
    height: float = 0.0
    purity: float = 0.0

    def exceeds(self, other: _Peak, ratio: float) -> bool:
        """Whether it is so many times as high, and no chance."""
        return self.height >= _FEW and self.height > ratio * other.height


class _Values:
    """The sample above -1124 HU with its histogram."""

    def __init__(self, sample_hu: NDArray[np.float32]) -> None:
        self.hu = sample_hu
        bins = ((sample_hu - _LOWEST_HU) / _BIN_HU).astype(np.int32)
        counts = np.bincount(bins[bins < _BINS], minlength=_BINS)
        self.heights = np.convolve(counts, _SMOOTHING, "same")
        padded = np.pad(self.heights, _PEAK_BINS)
        highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * _PEAK_BINS + 1).max(axis=1)
        self.centres = _LOWEST_HU + _BIN_HU * (np.arange(_BINS) + 0.5)
        self.is_peak = (self.heights == highest) & (self.heights > 0)

    def share(self, low: float, high: float = np.inf) -> float:
        """Part of the values above `low` and below `high`."""
        return float(np.count_nonzero((self.hu > low) & (self.hu < high)) / self.hu.size)

    def near(self, hu: float, reach: float) -> float:
        """Part of the values closer than `reach`."""
        return self.share(hu - reach, hu + reach)

    def peak(self, low: float, high: float) -> _Peak:
        """Highest peak between two values."""
        found = np.flatnonzero(self.is_peak & (self.centres > low) & (self.centres < high))
        if not found.size:
            return _Peak()
        best = found[np.argmax(self.heights[found])]
        hu = float(self.centres[best])
        return _Peak(hu, float(self.heights[best]), self.near(hu, _PEAK_HU) / self.near(hu, _ROUND_PEAK_HU))


def check(sample_hu: NDArray[np.float32]) -> tuple[str, ...]:
    """Refuse values that cannot be HU; give notes for the reader.

    `sample_hu`, shape ``(n,)``, is of imaged places in all slices, not clipped, each the mean of a few voxels. Raises
    `CalibrationError` ``calibration.air`` when a background lies where air cannot, or many values lie far below air;
    ``calibration.tissue`` when fat or soft tissue do not lie where they must; ``calibration.implausible`` when nothing
    is imaged or the values are those of a picture.
    """
    if not sample_hu.size:
        raise problem("calibration.implausible", "no imaged voxel")
    sample_hu = sample_hu[:: -(-sample_hu.size // _LARGEST_SAMPLE)]
    below = sample_hu[sample_hu < _ROUND_AIR_HU[0]]
    if below.size > _MANY * sample_hu.size and np.mean(below == below.min()) < _MOSTLY:
        raise problem("calibration.air", f"{100 * below.size / sample_hu.size:.0f} % of voxels lie below -1124")
    plausible = sample_hu[sample_hu >= _ROUND_AIR_HU[0]]
    if plausible.size < _SOME_AIR * sample_hu.size:
        raise problem("calibration.implausible", "nearly all values lie below air")
    values = _Values(plausible)
    is_checked = int(_check_air(values)) + _check_tissue(values) >= _ENOUGH
    return () if is_checked else ("Too little of air, fat and muscle is imaged to check the HU scale.",)


def _check_air(values: _Values) -> bool:
    """Whether air lies at -1000; refuses a background that lies elsewhere."""
    air, deep = values.share(*_AIR_HU), values.share(*_DEEP_HU)
    if deep >= _MANY and deep > _NOISE_OF_AIR * air:
        raise problem("calibration.air", f"{100 * deep:.0f} % of voxels lie below -1060")
    if air >= _SOME_AIR and air >= _MANY * values.share(*_ROUND_AIR_HU):
        return True
    background = values.peak(*_BACKGROUND_HU)
    # The peak of air, below which nothing lies: a twentieth at most, in lung a sixth at least.
    low, flank, high = (background.hu + step for step in (-_ROUND_PEAK_HU, -_EDGE_HU, _EDGE_HU))
    is_even = background.purity >= _SHARP or values.share(low, flank) <= _MANY * values.share(low, high)
    if is_even and values.near(background.hu, _PEAK_HU) >= _MANY:
        raise problem("calibration.air", f"background at {background.hu:.0f}")
    lowest, highest = float(values.hu.min()), float(values.hu.max())
    if abs(lowest) <= _NEAR_ZERO_HU and values.share(-np.inf, lowest + _EVEN_HU) >= 2 * _MANY:
        raise problem("calibration.air", f"background at {lowest:.0f}")
    if lowest >= 0 and _PICTURE_TOP_HU[0] < highest <= _PICTURE_TOP_HU[1]:
        raise problem("calibration.implausible", f"all values lie between {lowest:.0f} and {highest:.0f}")
    return False


def _check_tissue(values: _Values) -> int:
    """How many of fat and soft tissue are seen; refuses values in which they lie elsewhere or are missing."""
    tissue, between, above = (values.peak(*place) for place in (_TISSUE_HU, _BETWEEN_HU, _ABOVE_HU))
    fat, soft, lung = (values.peak(*place) for place in (_FAT_HU, _SOFT_HU, _LUNG_HU))
    is_lung = lung.purity < _SHARP and values.share(*_LUNG_HU) > _LUNG_ALONE * values.share(_LUNG_HU[0])
    body = values.share(_DENSER_THAN_LUNG_HU)
    share = values.share(*_TISSUE_HU) / body if body >= _LEAST_BODY else 0.0
    if share < (_LEAST_TISSUE_OF_LUNG if is_lung else _LEAST_TISSUE):
        raise problem("calibration.tissue", f"{100 * share:.0f} % of what is no air has the density of soft tissue")
    of_tissue = values.near(tissue.hu, _AROUND_TISSUE_HU) / max(values.share(_BETWEEN_HU[0], 1500.0), _LEAST_BODY)
    if is_lung and not (above.hu > _THOUSAND_HIGH_HU[0] and above.exceeds(tissue, 5.0)):
        return int(of_tissue >= _CLEAR_IN_LUNG)
    is_odd = between.exceeds(tissue, 0.25) and between.purity >= _DISTINCT
    for peak, is_wrong in (
        # Fat and muscle both where they must be, and more of each, fix the scale: the rest is a cushion under a hand.
        (between, is_odd and between.height >= min(fat.height, soft.height)),
        (above, above.exceeds(tissue, 5.0)),
        (above, not fat.height > 0.05 * max(tissue.height, above.height) and _is_raised(values, tissue, above)),
    ):
        if is_wrong:
            raise problem("calibration.tissue", f"the peak at {peak.hu:.0f} is neither fat nor soft tissue")
    if of_tissue < _CLEAR:
        raise problem("calibration.tissue", "no peak of fat or soft tissue")
    return 2 if fat.height and soft.height else 1


def _is_raised(values: _Values, low: _Peak, high: _Peak) -> bool:
    """Whether, in a scan without fat, the lower peak is fat (or air) of a scale too high, and the upper one muscle."""
    if high.height < _FEW or high.purity < _DISTINCT:
        return False
    if _THOUSAND_HIGH_HU[0] < high.hu < _THOUSAND_HIGH_HU[1]:
        dense = values.share(600.0)
        return dense >= 0.03 and dense >= 0.8 * values.share(300.0)
    low_hu = low.hu if low.height else 0.0
    return low_hu <= _HIGHEST_FLUID_HU and high.exceeds(low, 0.3) and 115.0 <= high.hu - low_hu <= 175.0
