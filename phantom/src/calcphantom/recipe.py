"""What to build: the recipe of a synthetic study. Everything random follows from its seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from calcreport.model.image import Contrast


@unique
class Region(StrEnum):
    """Part of the body."""

    CALF = "calf"
    THIGH = "thigh"
    PELVIS = "pelvis"
    NECK = "neck"
    THORAX = "thorax"
    ABDOMEN = "abdomen"
    SHOULDER = "shoulder"
    HAND = "hand"
    FOOT = "foot"


@unique
class Layer(StrEnum):
    """Where a lesion is put. The truth states the depth class that came of it."""

    SUBCUTANEOUS = "subcutaneous"
    ABUTTING = "abutting"
    SUBFASCIAL = "subfascial"
    JUXTACORTICAL = "juxtacortical"
    FUSED = "fused"


@unique
class Kernel(StrEnum):
    """Reconstruction kernel."""

    SOFT = "soft"
    STANDARD = "standard"
    SHARP = "sharp"
    LUNG = "lung"


@unique
class Extra(StrEnum):
    """Dense or odd things that are not lesions."""

    NAIL = "nail"
    FRAGMENT = "metal fragment"
    CAST = "cast"
    CLOTHES = "clothes"
    LEAD = "lead"
    SECOND_LEG = "second leg"
    BOWEL_CONTRAST = "bowel contrast"
    BLADDER_CONTRAST = "bladder contrast"
    KNEE_END = "knee end"
    ARMS_UP = "arms up"
    ARMS_DOWN = "arms down"
    CUT_FIELD = "cut field of view"
    INJECTED_VEIN = "injected vein"
    OLD_CARTILAGE = "calcified cartilage"
    PLAQUES = "vascular plaques"
    AIRWAY_MINERAL = "calcified airway"
    ORGAN_MINERAL = "organ calcification"
    STONES = "stones"
    EXCRETED_CONTRAST = "excreted contrast"
    PILLS = "pills"
    CLIPS = "surgical clips"
    SPREAD_FINGERS = "spread fingers"
    GROWTH_PLATES = "growth plates"
    OSTEOPHYTES = "osteophytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRecipe:
    """One lesion.

    Parameters
    ----------
    pattern : str
        ``"P01"`` … ``"P27"``; see `calcphantom.lesions.PATTERNS`.
    diameter_mm : float
        Longest diameter wished for, mm; the truth states what came of it.
    layer : Layer
        Where it is put.
    hu : float
        Density of its mineral, HU.
    mass_mm : float | None
        Longest diameter of the soft-tissue mass around it, mm; ``None`` lets the pattern choose.
    site : str | None
        Named place to put it into, where the region has one; ``None`` for any place in the layer.
    """

    pattern: str
    diameter_mm: float
    layer: Layer = Layer.SUBFASCIAL
    hu: float = 450.0
    mass_mm: float | None = None
    site: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoughLesionRecipe(LesionRecipe):
    """A lesion of the second definition of its pattern; see `calcphantom.insert.rough`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRecipe:
    """Scanner settings.

    Parameters
    ----------
    pixel_mm : float
        Distance between pixels, mm.
    spacing_mm : float
        Distance from slice to slice along the table, mm.
    thickness_mm : float | None
        Slice thickness, mm; ``None`` means equal to the spacing. Thicker overlaps, thinner leaves gaps.
    tilt_deg : float
        Gantry tilt about the left-right axis, degrees.
    noise_hu : float
        Standard deviation of the noise in soft tissue, HU.
    kernel : Kernel
        Sharpness.
    contrast : Contrast
        Phase of intravenous contrast; `Contrast.UNKNOWN` is not a state of a phantom.
    kvp : float
        Tube voltage, kV; written to the header, HU are those of 120 kV.
    ceiling_hu : int
        Highest value the scale can hold, HU.
    """

    pixel_mm: float = 0.8
    spacing_mm: float = 2.0
    thickness_mm: float | None = None
    tilt_deg: float = 0.0
    noise_hu: float = 12.0
    kernel: Kernel = Kernel.SOFT
    contrast: Contrast = Contrast.NONE
    kvp: float = 120.0
    ceiling_hu: int = 3071

    @property
    def slice_thickness_mm(self) -> float:
        """Slice thickness in mm, the spacing when none is given."""
        return self.spacing_mm if self.thickness_mm is None else self.thickness_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomRecipe:
    """A synthetic study.

    Parameters
    ----------
    kind : str
        Name of the study; free.
    region : Region
        Part of the body.
    seed : int
        Drives everything random.
    lesions : tuple[LesionRecipe, ...]
        Lesions, in order of placing.
    extras : tuple[Extra, ...]
        Things that are not lesions.
    scan : ScanRecipe
        Scanner settings.
    length_mm : float | None
        Length of the scan, mm; ``None`` makes it fit the lesions.
    fat_mm : float | None
        Typical thickness of the subcutaneous fat, mm; ``None`` draws it, thick enough for the lesions.
    laterality : str
        ``"left"`` or ``"right"`` limb.
    description : str
        Study description for the header.
    age_years : int | None
        Age for the header; ``None`` leaves it empty.
    sex : str
        ``"F"``, ``"M"`` or empty, for the header.
    """

    kind: str
    region: Region
    seed: int
    lesions: tuple[LesionRecipe, ...] = ()
    extras: tuple[Extra, ...] = ()
    scan: ScanRecipe = field(default_factory=ScanRecipe)
    length_mm: float | None = None
    fat_mm: float | None = None
    laterality: str = "right"
    description: str = "CT phantom"
    age_years: int | None = None
    sex: str = ""


CLASSIC_REGIONS: Final = (Region.CALF, Region.THIGH, Region.PELVIS, Region.NECK)
"""What a random recipe is drawn from when no region is named; their anatomy is painted sample by sample."""
WHOLE_BODY_REGIONS: Final = (Region.THORAX, Region.ABDOMEN, Region.SHOULDER, Region.HAND, Region.FOOT)
"""Detailed anatomies, painted on a `Canvas`."""

SCATTERED: Final = frozenset({"P02", "P04", "P08", "P10", "P11", "P12", "P14", "P16", "P18", "P19", "P20", "P24"})
"""Patterns whose extent is reported but whose longest diameter has no sharp meaning: nets, speckles, sheets, tracks."""
