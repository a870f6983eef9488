"""The report: what `report.json` holds, named as users and scripts rely on it.

Lengths in mm, volumes in mm3, densities in HU, positions in patient LPS mm, all at full precision: rounding is the
template's. ``None`` means not measurable here, never zero and never "no".
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from calcreport.model.evidence import (
    Laboratory,
    LabResult,
    LesionGrowth,
    LesionReview,
    OtherAnswer,
    OtherAnswerLesion,
    PriorStudy,
    RulesUsed,
    UsedInput,
)
from calcreport.model.incidental import Incidental, IncidentalKind
from calcreport.model.shape import LesionShape
from calcreport.model.technique import FilmTechnique, Searched, SeriesEntry, SeriesGeometry, Technique, Thresholds
from calcreport.model.terms import (
    BoneRelation,
    Concern,
    Confidence,
    DepthClass,
    ExclusionReason,
    FlagState,
    Hidden,
    Laterality,
    Point,
    Record,
    YesNo,
)

SCHEMA_VERSION: Final = "1.1"
"""Version of the report's names; a changed name needs a new one."""

READABLE_VERSIONS: Final = ("1.0", SCHEMA_VERSION)
"""Versions whose reports can be read: 1.1 only added fields, which have defaults."""

__all__ = [
    "READABLE_VERSIONS", "SCHEMA_VERSION", "BoneRelation", "Concern", "Confidence", "Density", "Depth", "DepthClass",
    "Differential", "Excluded", "ExclusionReason", "FilmPlace", "FilmTechnique", "Flag", "FlagState", "Flags", "Foci",
    "Incidental", "IncidentalKind", "KeyImage", "LabResult", "Laboratory", "Laterality", "Lesion", "LesionGrowth",
    "LesionReview", "LesionShape", "Location", "Mass", "OtherAnswer", "OtherAnswerLesion", "Patient", "PatientLevel",
    "Pattern", "PlaceSource", "Point", "PriorStudy", "Recommendation", "Record", "RejectedLesion", "Report",
    "RulesUsed", "Searched", "SeriesEntry", "SeriesGeometry", "Size", "Software", "Study", "Technique", "Thresholds",
    "UsedInput", "YesNo",
]  # fmt: skip


class Software(Record):
    """What made the report."""

    name: str
    version: str
    rules_version: str


class Patient(Hidden):
    """Identity as received; hostile text until escaped."""

    name: str | None = None
    id: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    age_years: float | None = None


class Study(Record):
    """The study reported on."""

    study_instance_uid: str
    study_date: str | None
    modality: str
    description: str | None
    patient: Patient
    accession_number: str | None = None
    body_part: str | None = None


class Size(Record):
    """Size of the mineral. The longest dimension is the maximum 3-D Feret diameter between outer edges.

    On radiographs `projected` is true, `max_diameter_mm` is the longest projected diameter in the plane named by
    `plane`, and without a scale only the lengths in pixels are there.
    """

    max_diameter_mm: float | None = None
    ap_mm: float | None = None
    tr_mm: float | None = None
    cc_mm: float | None = None
    axial_long_mm: float | None = None
    axial_short_mm: float | None = None
    volume_mm3: float | None = None
    uncertainty_mm: float | None = None
    is_minimum: bool = False
    projected: bool = False
    perpendicular_mm: float | None = None
    """Radiographs: widest extent perpendicular to the longest projected diameter."""
    plane: Literal["calibrated", "detector"] | None = None
    """Radiographs: the plane in which the lengths hold."""
    max_diameter_px: float | None = None
    perpendicular_px: float | None = None


class Foci(Record):
    """Separate deposits in the lesion."""

    count: int | None = None
    largest_max_diameter_mm: float | None = None


class Mass(Record):
    """The whole lesion with its non-mineralised part: from a contour or the clinician, never from thresholding."""

    present: YesNo = YesNo.UNKNOWN
    max_diameter_mm: float | None = None
    ap_mm: float | None = None
    tr_mm: float | None = None
    cc_mm: float | None = None
    volume_mm3: float | None = None
    depth_class: DepthClass | None = None
    mineral_fraction: float | None = None
    source: Literal["contour", "clinician", "none"] = "none"
    uncertainty_mm: float | None = None
    is_minimum: bool = False


class Density(Record):
    """Attenuation of the mineral, HU."""

    mean_hu: float | None = None
    max_hu: float | None = None
    p95_hu: float | None = None
    sd_hu: float | None = None
    is_clipped: bool = False
    """Voxels lie at the ceiling of the scale: mean and maximum are lower bounds."""
    is_certain: bool = True
    """``False`` when the maximum stays below the seed of certain calcification (faint)."""


class Depth(Record):
    """Layer and distances, edge to edge."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    class_: DepthClass = Field(alias="class")
    skin_distance_mm: float | None = None
    fascia_distance_mm: float | None = None
    projected_skin_line_mm: float | None = None
    """Radiographs: distance to the skin line in the image plane, which is not the depth below the skin."""
    reason: str = ""
    """Why the class could not be determined, or what it rests on."""


class Pattern(Record):
    """Morphological pattern P01-P30."""

    id: str
    label: str
    confidence: Confidence
    scores: dict[str, float]
    features: dict[str, float | int | bool | str | None]
    caveats: tuple[str, ...] = ()
    """Sentences that limit the reading, such as slices too thick for a rim."""


class KeyImage(Record):
    """The image that shows a lesion best."""

    sop_instance_uid: str
    instance_number: int | None
    frame: int | None = None


class FilmPlace(Record):
    """Where a lesion lies on one radiograph."""

    sop_instance_uid: str
    instance_number: int | None
    view: str | None
    centroid_px: tuple[float, float]
    """Row, column; whole numbers are pixel centres."""
    bbox_px: tuple[tuple[float, float], tuple[float, float]]
    """Lowest and highest (row, column) of the outer edges; a pixel reaches half a unit around its centre."""
    max_diameter_mm: float | None = None
    perpendicular_mm: float | None = None
    max_diameter_px: float
    perpendicular_px: float
    projected_skin_line_mm: float | None = None
    is_over_bone: bool = False
    contrast_to_noise: float | None = None


PlaceSource = Annotated[
    Literal["image", "header", "clinician", "reader"] | None,
    BeforeValidator(lambda said: None if said == "none" else said),
]
"""Who said where a lesion is, ``"reader"`` after a review; ``None``, in earlier drafts ``"none"``, when nobody did."""


class Location(Record):
    """Where a lesion is."""

    centroid_lps_mm: Point | None = None
    bbox_lps_mm: tuple[Point, Point] | None = None
    """Lowest and highest corner of the box around the outer edges."""
    laterality: Laterality = Laterality.UNKNOWN
    laterality_source: PlaceSource = None
    region: str | None = None
    region_source: PlaceSource = None
    compartment: str | None = None
    """Tissue around the lesion in words, such as ``"intramuscular"`` or ``"subcutaneous fat"``."""
    first_image: int | None = None
    last_image: int | None = None
    key_image: KeyImage | None = None
    films: tuple[FilmPlace, ...] = ()
    """Radiographs that show the lesion, the best first; empty for CT."""


class Flag(Record):
    """A red flag with the evidence it rests on."""

    state: FlagState
    evidence: str
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    notes: tuple[str, ...] = ()
    rule: str = ""
    """Row of the rule table that spoke: the id of this statement."""


class Flags(Record):
    """The red flags of a lesion."""

    size: Flag
    depth: Flag
    growth: Flag
    pain: Flag
    mass: Flag
    history: Flag
    aggressive: Flag


class Differential(Record):
    """One entry of a differential."""

    id: str
    label: str
    weight: Literal["++", "+", "-"]
    because: tuple[str, ...]
    certainty: Literal["consistent with", "favoured", "possible", "less likely", "cannot be determined"] = "possible"
    """Step of the certainty ladder; an indeterminate entry reads "cannot be determined"."""
    rule: str = ""
    is_tumour: bool = False
    """The class is a tumour: behind something likelier the text names it as not excluded."""


class Recommendation(Record):
    """A recommendation with its sources."""

    id: str
    text: str
    sources: tuple[str, ...]
    rule: str = ""
    is_referral: bool = False
    """It calls for sarcoma-centre opinion."""
    forbids_biopsy: bool = False
    is_same_day: bool = False
    """It calls for contact on the same day."""


class Lesion(Record):
    """One mineralised deposit, or several foci that belong together."""

    id: str
    series_instance_uid: str
    size: Size
    foci: Foci
    mass: Mass
    density: Density
    depth: Depth
    pattern: Pattern
    bone_relation: BoneRelation
    location: Location
    flags: Flags
    concern: Concern
    differential: tuple[Differential, ...]
    recommendations: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    """File names of the key images, relative to the study's folder."""
    growth: LesionGrowth | None = None
    """Change since an earlier study; ``None`` when there is none."""
    tracking_uid: str | None = None
    """The same in every object that tells of this lesion; follows from where its voxels are."""
    shape: LesionShape | None = None
    """Voxels and measured lines; ``None`` for a typed finding."""
    measured_notes: tuple[str, ...] = ()
    """Those of `notes` that measuring gave; the others follow from the rules."""
    review: LesionReview | None = None
    """What a reader decided; ``None`` before anybody has looked."""


class Excluded(Record):
    """Something dense that is not a lesion."""

    reason: ExclusionReason
    centroid_lps_mm: Point | None
    max_diameter_mm: float | None
    volume_mm3: float | None
    detail: str = ""
    count: int = 1
    """How many separate parts this row stands for."""
    sop_instance_uid: str | None = None
    """Radiographs: the film it lies on ..."""
    centroid_px: tuple[float, float] | None = None
    """... and its row and column there."""
    max_diameter_px: float | None = None


class RejectedLesion(Record):
    """A lesion of the draft that a reader rejected: kept, and part of nothing that the report concludes."""

    lesion: Lesion
    """As drafted, with `review`."""
    finding: dict[str, Any]
    """The same as given to the rules."""


class PatientLevel(Record):
    """What holds for the patient rather than for one lesion."""

    differential: tuple[Differential, ...] = ()
    notes: tuple[str, ...] = ()


class Report(Record):
    """`report.json`."""

    schema_version: Literal["1.1"] = SCHEMA_VERSION
    software: Software
    study: Study
    series: tuple[SeriesEntry, ...]
    technique: Technique | None
    lesions: tuple[Lesion, ...]
    rejected: tuple[RejectedLesion, ...] = ()
    """Lesions of the draft that a reader rejected."""
    excluded: tuple[Excluded, ...]
    incidental: tuple[Incidental, ...] = ()
    """Mineral of organs, vessels, gut and airway, which is no lesion."""
    searched: tuple[Searched, ...] = ()
    """Parts of the body that the study covers; empty where nothing was recorded (typed findings, schema 1.0)."""
    patient: PatientLevel
    concern: Concern
    flags_summary: dict[str, FlagState]
    impression: tuple[str, ...]
    recommendations: tuple[Recommendation, ...]
    limitations: tuple[str, ...]
    measured_limitations: tuple[str, ...] = ()
    """Those of `limitations` that the images gave; the others follow from lesions, rules and clinical input."""
    would_change: tuple[OtherAnswer, ...] = ()
    """Answers to unknown inputs that would change concern, a flag or the leading class, what matters most first."""
    clinical: dict[str, Any]
    settings: dict[str, Any]
    images: tuple[str, ...] = ()
    """File names of overview images, relative to the study's folder."""
    created: str | None = None
    """Date and time the draft was made, ISO 8601; injected so that output is reproducible."""
    comparison: PriorStudy | None = None
    laboratory: Laboratory | None = None
    inputs: tuple[UsedInput, ...] = ()
    """What the clinician and the image header both can say: age, sex, contrast, side, region."""
    rules: RulesUsed | None = None
    findings: dict[str, Any] | None = None
    """Findings as given to the rules, lesions in report order: input of ``decide`` and of ``rules explain``."""
