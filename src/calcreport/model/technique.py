"""Series and films of a study in the report: how they were made, their outcome, and what was searched."""

from __future__ import annotations

from typing import Literal

from calcreport.model.terms import Record


class SeriesGeometry(Record):
    """Geometry of an analysed series."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    """Row, column, slice: distance between rows, between columns, perpendicular distance between slices."""
    tilt_deg: float
    affine_lps_mm: tuple[tuple[float, float, float, float], ...]
    """Four rows; maps (slice, row, column, 1) to LPS mm."""


class Thresholds(Record):
    """Hysteresis limits used, HU: what three or more slices show holds a voxel at `seed`; all grows down to `grow`."""

    grow: float
    seed: float


class SeriesEntry(Record):
    """One series and its outcome."""

    series_instance_uid: str
    modality: str
    status: Literal["analysed", "skipped", "refused"]
    code: str
    message: str
    series_number: int | None = None
    description: str | None = None
    image_count: int | None = None
    geometry: SeriesGeometry | None = None
    threshold_hu: Thresholds | None = None
    """Limits used on this CT series; ``None`` for what was not measured, and for radiographs."""


class Searched(Record):
    """A part of the body that a series of the study covers, and whether calcification was looked for there."""

    region: str
    """Side and region as the header names them, such as ``"right thigh"``; otherwise the series."""
    status: Literal["searched", "partly", "not_searched"]
    reason: str | None = None
    """Code of why it was not, or only partly, searched."""
    series_number: int | None = None
    image_count: int | None = None
    """Images of the series ..."""
    searched_count: int | None = None
    """... and how many of them were searched, where only a part of it was."""


class FilmTechnique(Record):
    """How one radiograph was made and what its lengths mean."""

    series_instance_uid: str
    sop_instance_uid: str
    instance_number: int | None
    view: str | None
    laterality: Literal["left", "right", "both"] | None
    body_part: str | None = None
    rows: int
    columns: int
    scale: Literal["calibrated", "detector", "none"]
    spacing_mm: tuple[float, float] | None
    """Distance between rows, between columns, in the plane that `scale` names."""
    calibration: str | None = None
    magnification: float | None = None
    kvp: float | None = None
    noise: float | None = None
    """Standard deviation in soft tissue, in the film's own grey values."""
    has_skin_line: bool = False
    notes: tuple[str, ...] = ()


class Technique(Record):
    """How the images were made and thresholded."""

    kvp: float | None
    slice_thickness_mm: float | None
    spacing_mm: tuple[float, float, float] | None
    """Row, column, slice; ``None`` for radiographs, whose scale stands with each film."""
    kernel: str | None
    contrast: Literal["none", "venous", "arterial", "given_phase_unknown", "unknown"]
    threshold_hu: Thresholds | None
    contrast_source: Literal["header", "clinician", "unknown"] = "unknown"
    threshold_reason: str = ""
    noise_hu: float | None = None
    patient_position: str | None = None
    notes: tuple[str, ...] = ()
    films: tuple[FilmTechnique, ...] = ()
    """Radiographs, in the order of the text; empty for CT."""
