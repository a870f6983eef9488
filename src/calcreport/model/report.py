"""The report: what `report.json` holds, named as users and scripts rely on it.

Lengths in mm, volumes in mm3, densities in HU, positions in patient LPS mm, all at full precision: rounding is the
template's. ``None`` means not measurable here, never zero and never "no".
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = "1.0"
"""Version of the report's names; a changed name needs a new one."""

Point = tuple[float, float, float]
"""Position in patient LPS mm."""


class Record(BaseModel):
    """Base of everything that crosses the edge as text: frozen, and no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@unique
class YesNo(StrEnum):
    """Three answers; unknown is never no."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@unique
class FlagState(StrEnum):
    """State of a red flag. Only `ABSENT` may be worded as a negative."""

    PRESENT = "present"
    ABSENT = "absent"
    POSSIBLE = "possible"
    CANNOT_DETERMINE = "cannot_determine"
    NOT_PROVIDED = "not_provided"
    EXPLAINED = "explained"


@unique
class Concern(StrEnum):
    """Aggregate of the flags, most worrying first."""

    HIGH = "high"
    FLAGGED = "flagged"
    MODIFIED = "modified"
    INDETERMINATE = "indeterminate"
    NONE = "none"


@unique
class DepthClass(StrEnum):
    """Layer a lesion lies in, from anatomy and never from millimetres."""

    CUTANEOUS = "cutaneous"
    SUBCUTANEOUS = "subcutaneous"
    ABUTS_FASCIA = "abuts_fascia"
    CROSSES_FASCIA = "crosses_fascia"
    SUBFASCIAL = "subfascial"
    JUXTACORTICAL = "juxtacortical"
    CANNOT_DETERMINE = "cannot_determine"


@unique
class BoneRelation(StrEnum):
    """Relation of the mineral to the skeleton."""

    SEPARATE = "separate"
    ABUTS = "abuts"
    CONTIGUOUS = "contiguous"
    CANNOT_DETERMINE = "cannot_determine"


@unique
class Confidence(StrEnum):
    """How sure a pattern reading is."""

    HIGH = "high"
    MODERATE = "moderate"
    LOW = "low"


@unique
class Laterality(StrEnum):
    """Side of the patient."""

    LEFT = "left"
    RIGHT = "right"
    MIDLINE = "midline"
    UNKNOWN = "unknown"


@unique
class ExclusionReason(StrEnum):
    """Why something dense is not a lesion."""

    SKELETON = "skeleton"
    EXTERNAL = "external"
    METAL = "metal"
    CONTRAST = "contrast"
    NOISE = "noise"
    ORGAN = "organ"


class Software(Record):
    """What made the report."""

    name: str
    version: str
    rules_version: str


class Patient(Record):
    """Identity as received; hostile text until escaped."""

    name: str | None = None
    id: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    age_years: float | None = None

    def __repr__(self) -> str:
        """Hide the identity from logs and tracebacks."""
        return "Patient(…)"

    __str__ = __repr__


class Study(Record):
    """The study reported on."""

    study_instance_uid: str
    study_date: str | None
    modality: str
    description: str | None
    patient: Patient
    accession_number: str | None = None
    body_part: str | None = None


class SeriesGeometry(Record):
    """Geometry of an analysed series."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    """Row, column, slice: distance between rows, between columns, perpendicular distance between slices."""
    tilt_deg: float
    affine_lps_mm: tuple[tuple[float, float, float, float], ...]
    """Four rows; maps (slice, row, column, 1) to LPS mm."""


class SeriesEntry(Record):
    """One series and what became of it."""

    series_instance_uid: str
    modality: str
    status: Literal["analysed", "skipped", "refused"]
    code: str
    message: str
    series_number: int | None = None
    description: str | None = None
    image_count: int | None = None
    geometry: SeriesGeometry | None = None


class Thresholds(Record):
    """Hysteresis limits used, HU: a deposit holds one voxel at `seed` or more and grows down to `grow`."""

    grow: float
    seed: float


class Technique(Record):
    """How the images were made and thresholded."""

    kvp: float | None
    slice_thickness_mm: float | None
    spacing_mm: tuple[float, float, float]
    """Row, column, slice."""
    kernel: str | None
    contrast: Literal["none", "venous", "arterial", "unknown"]
    threshold_hu: Thresholds
    contrast_source: Literal["header", "clinician", "unknown"] = "unknown"
    threshold_reason: str = ""
    noise_hu: float | None = None
    patient_position: str | None = None
    notes: tuple[str, ...] = ()


class Size(Record):
    """Size of the mineral. The longest dimension is the maximum 3-D Feret diameter between outer edges."""

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


class Location(Record):
    """Where a lesion is."""

    centroid_lps_mm: Point | None = None
    bbox_lps_mm: tuple[Point, Point] | None = None
    """Lowest and highest corner of the box around the outer edges."""
    laterality: Laterality = Laterality.UNKNOWN
    laterality_source: Literal["clinician", "header", "image", "none"] = "none"
    region: str | None = None
    compartment: str | None = None
    """Tissue around the lesion in words, such as ``"intramuscular"`` or ``"subcutaneous fat"``."""
    first_image: int | None = None
    last_image: int | None = None
    key_image: KeyImage | None = None


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
    """Row of the rule table that spoke: the id of this statement."""


class Recommendation(Record):
    """A recommendation with its sources."""

    id: str
    text: str
    sources: tuple[str, ...]
    rule: str = ""
    """Row of the rule table that spoke: the id of this statement."""


class LesionGrowth(Record):
    """Change of a lesion since an earlier study, and how sure it is that it is the same lesion."""

    status: Literal["matched", "ambiguous", "not_found"]
    """``matched``: named by the reader, or the one lesion of the earlier report that can be meant."""
    comparable: YesNo = YesNo.UNKNOWN
    reason: str = ""
    """Why nothing is claimed; empty when the lengths may be compared."""
    prior_id: str | None = None
    """Name in the earlier report."""
    prior_date: str | None = None
    """ISO 8601."""
    basis: Literal["mass", "mineral"] | None = None
    before_mm: float | None = None
    now_mm: float | None = None
    interval_days: int | None = None
    change_mm: float | None = None
    change_percent: float | None = None
    change_mm_per_month: float | None = None
    """Month of 30.4375 days; ``None`` when the interval is not known."""
    stable_since: str | None = None
    """Day of the earliest study in an unbroken chain of comparable ones without growth, ISO 8601."""
    stable_from_mm: float | None = None
    """Length on that day: the present one is held against it too."""
    stable_days: int | None = None
    """Days since then."""


class PriorStudy(Record):
    """The earlier study lesions were compared with."""

    source: Literal["reader", "report"]
    date: str | None = None
    """ISO 8601."""
    modality: str | None = None


class LabResult(Record):
    """One laboratory value as used: as given, in both systems of units, and what it is against its range."""

    test: str
    value: float
    unit: str
    si_value: float
    si_unit: str
    conventional_value: float
    conventional_unit: str
    low: float | None = None
    high: float | None = None
    """Limits the value was held against, in the SI unit."""
    range_source: Literal["laboratory", "adult default", "none"] = "none"
    state: Literal["low", "normal", "high", "unknown"] = "unknown"
    date: str | None = None
    """ISO 8601."""
    age_days: int | None = None
    """Days from the sample to the study; negative when it was taken afterwards."""
    is_used: bool = True
    reason: str = ""
    """Why the value is not used, or why it has no state."""


class Laboratory(Record):
    """Laboratory values and what is calculated from them."""

    results: tuple[LabResult, ...] = ()
    calcium_state: Literal["low", "normal", "high", "unknown"] = "unknown"
    """What the rules go by: the ionised value where there is one, else total calcium, adjusted if albumin is known."""
    adjusted_calcium_mmol_l: float | None = None
    """Adjusted for albumin; ``None`` when albumin is unknown."""
    adjusted_calcium_mg_dl: float | None = None
    product_mg2_dl2: float | None = None
    """Calcium x phosphate, with adjusted calcium where albumin is known."""
    product_mmol2_l2: float | None = None
    product_band: Literal["normal", "raised", "markedly raised"] | None = None
    product_limit_mg2_dl2: float | None = None
    remarks: tuple[str, ...] = ()


class UsedInput(Record):
    """One input that a person or the image header can give: what was used, from whom, and whether they agree."""

    name: str
    """As in the clinical file, such as ``"patient.age_years"``."""
    value: float | str
    source: Literal["clinician", "header"]
    header_value: float | str | None = None
    is_contradicted: bool = False
    """The header says something else; the typed value was used."""


class RulesUsed(Record):
    """The rules a report was made with."""

    name: str
    version: str
    sha256: str
    """Of the tables' text, the site's own included."""


class OtherAnswerLesion(Record):
    """What another answer would change about one lesion; only what differs is named."""

    lesion: str
    concern: Concern
    flags: dict[str, FlagState]
    """Flag to the state it would have."""
    leading: str | None
    """Class that would lead, or lead with another certainty; ``None`` when nothing of that changes."""
    label: str
    certainty: str
    is_weaker: bool = False
    """The same class would lead as now, with less certainty."""
    recommended: tuple[str, ...]
    """Of referral (R09), no biopsy (R11) and same-day contact (R13): what would be said."""
    withdrawn: tuple[str, ...]
    """… and what would no longer be said."""


class OtherAnswer(Record):
    """An answer to an input that is unknown now, and what it would change; found by asking the rules again."""

    input: str
    """As in the clinical file; ``lesion.`` before a field of the findings."""
    answer: str
    """A word, or of a number the interval between two limits of the rules."""
    text: str
    is_told: bool
    """Among the few that the text section names."""
    concern: Concern
    """Of the study with this answer."""
    lesions: tuple[OtherAnswerLesion, ...]


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


class Excluded(Record):
    """Something dense that is not a lesion."""

    reason: ExclusionReason
    centroid_lps_mm: Point
    max_diameter_mm: float
    volume_mm3: float
    detail: str = ""
    count: int = 1
    """How many separate parts this row stands for."""


class PatientLevel(Record):
    """What holds for the patient rather than for one lesion."""

    differential: tuple[Differential, ...] = ()
    notes: tuple[str, ...] = ()


class Report(Record):
    """`report.json`."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    software: Software
    study: Study
    series: tuple[SeriesEntry, ...]
    technique: Technique | None
    lesions: tuple[Lesion, ...]
    excluded: tuple[Excluded, ...]
    patient: PatientLevel
    concern: Concern
    flags_summary: dict[str, FlagState]
    impression: tuple[str, ...]
    recommendations: tuple[Recommendation, ...]
    limitations: tuple[str, ...]
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
    """Findings as the rules took them, lesions in report order: input of ``decide`` and of ``rules explain``."""
