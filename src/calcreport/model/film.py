"""Projection radiographs, and what was found on them. No Hounsfield units, no depth, no true size.

Only a `FilmImage` reaches the radiograph analysis and only a `CtVolume` the CT analysis: nobody can apply a Hounsfield
threshold to a film. Positions are pixel-centre indices ``(row, column)``; a film has no patient coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

import numpy as np
from numpy.typing import NDArray

from calcreport.model.geometry import lock
from calcreport.model.image import SliceReference
from calcreport.model.lesion import LesionFacts
from calcreport.model.report import Excluded

PixelPoint = tuple[float, float]
"""Row and column of a point; whole numbers are pixel centres."""


@unique
class ScaleKind(StrEnum):
    """What the millimetres of a film mean."""

    CALIBRATED = "calibrated"
    """In the plane of a calibration device or of the patient, as Pixel Spacing Calibration Type says."""
    DETECTOR = "detector"
    """At the detector: everything is enlarged by an unknown factor."""
    NONE = "none"
    """No usable spacing: lengths are pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmScale:
    """Distance between pixels of a film, and in which plane it holds."""

    kind: ScaleKind
    spacing_mm: tuple[float, float] | None = None
    """Distance between rows, between columns, in mm; ``None`` exactly when `kind` is `ScaleKind.NONE`."""
    calibration: str | None = None
    """``"GEOMETRY"`` or ``"FIDUCIAL"`` for a calibrated film; ``None`` otherwise."""
    magnification: float | None = None
    """Estimated Radiographic Magnification Factor, or source-detector over source-patient distance, when plausible and
    not contradicted: shown, never applied."""
    notes: tuple[str, ...] = ()
    """Sentences on where the spacing comes from and on contradictions; no patient data."""

    def __post_init__(self) -> None:
        if (self.spacing_mm is None) != (self.kind is ScaleKind.NONE):
            msg = "a scale has a spacing exactly when its kind is not none"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmView:
    """How a film was taken, as its header says; ``None`` where it is silent or contradicts itself."""

    position: str | None = None
    """View Position in capitals: ``"AP"``, ``"PA"``, ``"LL"``, ``"LAT"`` …, also taken from View Code Sequence."""
    laterality: str | None = None
    """``"left"``, ``"right"`` or ``"both"``; never inferred from the picture."""
    body_part: str | None = None
    """Body Part Examined in capitals."""
    patient_orientation: tuple[str, str] | None = None
    """Patient Orientation: direction of rising columns, then of rising rows (``("L", "F")``)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmImage:
    """One film, ready to search."""

    intensity: NDArray[np.float32]
    """Shape ``(rows, columns)``; output of the Modality LUT in the film's own unit, turned so that more attenuation is
    always more, whatever the Photometric Interpretation; read-only. Not Hounsfield units, and no fixed grey level means
    anything."""
    picture: NDArray[np.uint8]
    """Same shape; as a viewer shows it (VOI and presentation applied, dense is white); for drawing only; read-only."""
    is_imaged: NDArray[np.bool_]
    """Same shape; false outside collimator and shutter as the header draws them, and for padding; read-only."""
    scale: FilmScale
    view: FilmView
    reference: SliceReference
    series_instance_uid: str = ""
    frame_of_reference_uid: str | None = None
    """As the header says; films rarely have one."""
    is_logarithmic: bool | None = None
    """Whether the intensity is proportional to the logarithm of exposure (Pixel Intensity Relationship); ``None`` when
    the header does not tell."""
    kvp: float | None = None
    has_polarity_conflict: bool = False
    """Whether the header contradicts itself about which end is dense."""
    notes: tuple[str, ...] = ()
    """Sentences a reader must see (FOR PROCESSING, lossy, burned-in annotation, stitched …); no patient data."""

    def __post_init__(self) -> None:
        lock("intensity", self.intensity, np.float32, 2)
        lock("picture", self.picture, np.uint8, self.intensity.shape)
        lock("is_imaged", self.is_imaged, np.bool_, self.intensity.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelMask:
    """A mask cut out of a film."""

    offset: tuple[int, int]
    """Row and column of the first pixel of `pixels` on the film."""
    pixels: NDArray[np.bool_]
    """Shape ``(rows, columns)`` of the cut-out; true inside; read-only."""

    def __post_init__(self) -> None:
        lock("pixels", self.pixels, np.bool_, 2)

    @property
    def box(self) -> tuple[slice, slice]:
        """Slices that cut the same box out of the film."""
        i, j = (slice(o, o + n) for o, n in zip(self.offset, self.pixels.shape, strict=True))
        return (i, j)

    def padded_box(self, room: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Slices of the same box with `room` pixels around it, within a film of `shape`."""
        i, j = (slice(max(p.start - room, 0), min(p.stop + room, n)) for p, n in zip(self.box, shape, strict=True))
        return (i, j)

    def on_film(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Mask on its whole film of `shape` ``(rows, columns)``."""
        film = np.zeros(shape, dtype=np.bool_)
        film[self.box] = self.pixels
        return film


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmSegment:
    """A measured line on a film; `length_mm` is ``None`` without a scale."""

    start: PixelPoint
    end: PixelPoint
    length_px: float
    length_mm: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shadow:
    """A lesion's shadow on one film."""

    film: int
    """Index into `RadiographFindings.films`."""
    mineral: PixelMask
    longest: FilmSegment
    """Longest projected diameter between outer edges."""
    across: FilmSegment
    """Widest extent perpendicular to `longest`."""
    to_skin_line: FilmSegment | None
    """Shortest line from the outer edge to the skin line in the image plane; ``None`` without a skin line on the
    film."""
    contrast_to_noise: float
    """Mean contrast against the surroundings over the standard deviation of the noise there."""
    is_over_bone: bool
    """Whether any of it is projected over bone."""
    is_cut: bool
    """Whether it reaches the edge of the film or of the exposed field."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectedLesion(LesionFacts):
    """A lesion as seen on one film, or on two orthogonal ones that were tied.

    Facts as far as a projection allows: `size.projected` is true, there is no volume, no density, and the depth class
    is ``cannot_determine``.
    """

    shadows: tuple[Shadow, ...]
    """One a view, the best view first; never empty."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmReading:
    """What the search says about one film."""

    noise: float
    """Standard deviation of the noise in soft tissue, in units of `Radiograph.intensity`."""
    searched_share: float
    """Part of the exposed field that is soft tissue and was searched, 0 to 1."""
    has_skin_line: bool
    """Whether air lies beside the patient on the film."""
    notes: tuple[str, ...] = ()
    """Limits of the search a reader must see (bone over most of the field, no soft tissue off bone …)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmFindings:
    """Everything the search of the films of one study found."""

    films: tuple[FilmImage, ...]
    """As read, in the order of the report."""
    readings: tuple[FilmReading, ...]
    lesions: tuple[ProjectedLesion, ...]
    """Largest first."""
    excluded: tuple[Excluded, ...]
    notes: tuple[str, ...] = ()
    """Limits that concern more than one film (views that could not be tied …)."""
