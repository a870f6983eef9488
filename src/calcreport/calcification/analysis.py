"""The whole image analysis of one CT series."""

from __future__ import annotations

from collections.abc import Callable

from calcreport.model.image import Acquisition, Contrast, CtVolume
from calcreport.model.lesion import CtFindings, LesionContour
from calcreport.settings import DetectionSettings


def analyse_ct(
    volume: CtVolume,
    acquisition: Acquisition,
    *,
    settings: DetectionSettings,
    contrast: Contrast | None = None,
    contours: tuple[LesionContour, ...] = (),
    on_progress: Callable[[str], None] | None = None,
) -> CtFindings:
    """Find, group and measure soft-tissue calcification on one CT series.

    Parameters
    ----------
    volume : CtVolume
        Hounsfield units with geometry.
    acquisition : Acquisition
        kVp and contrast choose the thresholds.
    settings : DetectionSettings
        Limits; typed thresholds override everything.
    contrast : Contrast | None
        The clinician's word on contrast; overrides the header when given.
    contours : tuple[LesionContour, ...]
        Contours of whole lesions; each becomes one lesion.
    on_progress : Callable[[str], None] | None
        Told the name of each step.

    Returns
    -------
    CtFindings
        Lesions, largest first, and what was excluded.
    """
    raise NotImplementedError
