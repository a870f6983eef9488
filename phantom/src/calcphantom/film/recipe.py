"""What to expose: the recipe of a synthetic radiograph around the recipe of its patient."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from calcphantom.recipe import PhantomRecipe


@unique
class View(StrEnum):
    """Projection; AP and lateral are orthogonal and share the long axis of the limb. Feet are seen from above."""

    AP = "AP"
    LATERAL = "LAT"
    DORSOPLANTAR = "DP"


@unique
class Photometric(StrEnum):
    """Photometric Interpretation: whether low or high stored values are shown white."""

    MONOCHROME1 = "MONOCHROME1"
    MONOCHROME2 = "MONOCHROME2"


@unique
class Collimation(StrEnum):
    """What the film shows outside the exposed field, and whether the header says where that is."""

    NONE = "none"
    HEADER = "header"
    VISIBLE = "visible"
    MASKED = "masked"


@unique
class Spacing(StrEnum):
    """What the header says about millimetres."""

    DETECTOR = "detector"
    CALIBRATED = "calibrated"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureRecipe:
    """How a film is taken and stored.

    Parameters
    ----------
    pixel_mm : float
        Distance between detector pixels, mm.
    sid_mm : float
        Distance from source to detector, mm.
    gap_mm : float
        Air between the skin and the detector (table top, grid, bent knee), mm.
    energy_kev : float
        Effective energy, keV: about 38 for a lower leg at 55 kV, 48 for a thigh at 75 kV; see
        `calcphantom.attenuation`.
    kvp : float
        Tube voltage for the header, kV.
    quanta_per_mm2 : float
        Noise-equivalent quanta behind average soft tissue, per mm2 of detector. 5 uGy, the dose of a speed class of
        200, are about 150 000 quanta; a detector uses half of them, and its own blur smooths their noise again.
    electronic_quanta : float
        Electronic noise, standard deviation in detected quanta a pixel.
    scatter_ratio : float
        Scattered over primary radiation behind average soft tissue.
    blur_mm : float
        Blur by focal spot and detector at the detector, standard deviation, mm.
    noise_grain_pixels : float
        Correlation length of the noise, standard deviation in pixels; its level stays that of the quanta.
    bits : int
        Bits stored, 10 to 16.
    photometric : Photometric
        Polarity of the stored values.
    is_linear : bool
        Stored proportional to exposure, FOR PROCESSING; otherwise logarithmic, FOR PRESENTATION.
    is_processed : bool
        Whether a logarithmic film went through a sigmoid curve and a mild unsharp mask.
    spacing : Spacing
        What the header says about millimetres.
    collimation : Collimation
        Border outside the exposed field.
    has_marker : bool
        Whether a lead letter for the side lies in the field.
    has_text : bool
        Whether text is burned into a corner.
    modality : str
        ``"DX"`` or ``"CR"``.

    Raises
    ------
    ValueError
        A DX film without spacing, or an unprocessed CR film: there are no such files.
    """

    pixel_mm: float = 0.15
    sid_mm: float = 1150.0
    gap_mm: float = 25.0
    energy_kev: float = 45.0
    kvp: float = 60.0
    quanta_per_mm2: float = 200000.0
    electronic_quanta: float = 4.0
    scatter_ratio: float = 0.4
    blur_mm: float = 0.12
    noise_grain_pixels: float = 0.45
    bits: int = 12
    photometric: Photometric = Photometric.MONOCHROME2
    is_linear: bool = False
    is_processed: bool = False
    spacing: Spacing = Spacing.DETECTOR
    collimation: Collimation = Collimation.NONE
    has_marker: bool = True
    has_text: bool = False
    modality: str = "DX"

    def __post_init__(self) -> None:
        if self.modality == "DX" and self.spacing is Spacing.NONE:
            msg = "a DX film always has a spacing: choose CR"
            raise ValueError(msg)
        if self.modality == "CR" and self.is_linear:
            msg = "an unprocessed film is a DX film"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmRecipe:
    """A synthetic study of radiographs.

    Parameters
    ----------
    phantom : PhantomRecipe
        The patient: region, lesions, extras, seed. Its scanner settings are ignored.
    views : tuple[View, ...]
        Films, in order; one exposure each.
    exposure : ExposureRecipe
        How they are taken and stored.
    """

    phantom: PhantomRecipe
    views: tuple[View, ...] = (View.AP, View.LATERAL)
    exposure: ExposureRecipe = ExposureRecipe()
