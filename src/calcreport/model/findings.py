"""Findings of one study as the decision logic takes them: measured on images or typed by a reader.

Everything may be missing, and missing means unknown: never no, never zero. Lengths are mm, densities HU.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from calcreport.model.answers import Answer, ContrastPhase, Count, Day, Length, Number, Side, Word, as_word
from calcreport.model.overlay import PairStatus
from calcreport.model.report import BoneRelation, Confidence, DepthClass, Laterality, Record, YesNo

if TYPE_CHECKING:
    from calcreport.model.film import ProjectedLesion
    from calcreport.model.lesion import MeasuredLesion
    from calcreport.model.report import Lesion

# The tissue a lesion lies in.
Tissue = Annotated[
    Literal["muscle", "tendon", "bursa", "joint", "vessel", "node", "skin", "fat", "nerve", "organ"],
    BeforeValidator(as_word),
]
Volume = Annotated[Number, Field(ge=0)]  # mm3
ImageNumber = Annotated[Count, Field(ge=0)]  # Instance Number
Modality = Literal["CT", "CR", "DX", "MR", "US"]  # of an earlier study


def _as_code(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was typed
    """Compare codes without regard to case and outer blanks."""
    return value.strip().upper() if isinstance(value, str) else value


def _check_pattern(code: str) -> str:
    if re.fullmatch("P(0[1-9]|[12][0-9]|30)", code):
        return code
    msg = "must be one of P01 to P30"
    raise ValueError(msg)


class FindingSize(Record):
    """Size of the mineral; fields as in the report."""

    max_diameter_mm: Length | None = None
    ap_mm: Length | None = None
    tr_mm: Length | None = None
    cc_mm: Length | None = None
    axial_long_mm: Length | None = None
    axial_short_mm: Length | None = None
    volume_mm3: Volume | None = None
    uncertainty_mm: Length | None = None
    is_minimum: bool = False
    """The lesion is cut by the edge of the images: every length is a lower bound."""
    projected: bool = False
    """Measured on a projection, which enlarges."""
    max_diameter_px: Length | None = None
    """Radiographs: longest projected diameter in pixels, which is all there is without a scale."""
    is_by_reader: bool = False
    """A reader put the longest dimension in place of the one the images gave."""


class FindingMass(Record):
    """The whole lesion: from a contour, the reader or the clinician, never from thresholding."""

    present: Answer = YesNo.UNKNOWN
    """Whether there is a non-mineralised soft-tissue component."""
    max_diameter_mm: Length | None = None
    ap_mm: Length | None = None
    tr_mm: Length | None = None
    cc_mm: Length | None = None
    volume_mm3: Volume | None = None
    mineral_fraction: Annotated[Number, Field(ge=0, le=1)] | None = None
    depth_class: DepthClass | None = None
    is_minimum: bool = False
    uncertainty_mm: Length | None = None
    source: Literal["contour", "reader", "clinician", "none"] = "none"


class FindingDensity(Record):
    """Attenuation of the mineral, HU."""

    mean_hu: Number | None = None
    max_hu: Number | None = None
    p95_hu: Number | None = None
    sd_hu: Number | None = None
    is_certain: Answer = YesNo.UNKNOWN
    """``no`` when the mineral is so faint that calcification is not certain."""


class FindingDepth(Record):
    """Layer and distances."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    class_: Annotated[DepthClass | None, BeforeValidator(as_word)] = Field(default=None, alias="class")
    skin_distance_mm: Length | None = None
    fascia_distance_mm: Length | None = None


class FindingPattern(Record):
    """Morphological pattern P01-P30."""

    id: Annotated[str, AfterValidator(_check_pattern), BeforeValidator(_as_code)] | None = None
    confidence: Confidence | None = None
    """``None`` when a reader names the pattern without saying how sure: taken as the reader's word."""
    shape: Word | None = None
    """Plain shape that is seen, named or not, such as ``"punctate"``."""


class FindingFoci(Record):
    """Separate deposits in the lesion."""

    count: Annotated[Count, Field(ge=0)] | None = None
    largest_max_diameter_mm: Length | None = None


class FindingLocation(Record):
    """Where a lesion is."""

    region: Word | None = None
    laterality: Side = Laterality.UNKNOWN
    tissue: Tissue | None = None
    compartment: Word | None = None
    first_image: ImageNumber | None = None
    last_image: ImageNumber | None = None
    centroid_lps_mm: tuple[Number, Number, Number] | None = None
    """Centre in patient LPS mm, within the frame of reference of the study."""


class FindingFeatures(Record):
    """Named features, each ``yes``, ``no`` or ``unknown``."""

    rim_complete: Answer = YesNo.UNKNOWN
    rim_incomplete: Answer = YesNo.UNKNOWN
    cleft_to_cortex: Answer = YesNo.UNKNOWN
    trabeculated: Answer = YesNo.UNKNOWN
    lucent_centre: Answer = YesNo.UNKNOWN
    fluid_calcium_level: Answer = YesNo.UNKNOWN
    bilateral: Answer = YesNo.UNKNOWN
    multifocal_sites: Answer = YesNo.UNKNOWN
    """Three or more separate body sites."""
    bone_destruction: Answer = YesNo.UNKNOWN
    centre_dense: Answer = YesNo.UNKNOWN
    """Cloud-like mineral, densest in the middle of the lesion, without a rim."""
    fatty_mass: Answer = YesNo.UNKNOWN
    """The mineral lies inside a fatty mass."""
    chondroid: Answer = YesNo.UNKNOWN
    """Rings and arcs, or stippled."""
    growing_soft_tissue: Answer = YesNo.UNKNOWN
    """The non-mineralised component grew between studies."""
    ill_defined: Answer = YesNo.UNKNOWN
    """The margin of the mineral fades out."""
    venous_tail: Answer = YesNo.UNKNOWN
    """A vein runs into the deposit."""
    coiled_string: Answer = YesNo.UNKNOWN
    """Long coiled string, as a calcified worm."""


class FindingPrior(Record):
    """The same lesion on an earlier study: typed by a reader, or matched in an earlier report."""

    max_diameter_mm: Length | None = None
    basis: Literal["mass", "mineral"] | None = None
    """What was measured; ``None`` means the mineral where it is measured now, else the mass."""
    interval_days: Annotated[Count, Field(gt=0, le=36525)] | None = None
    comparable: Answer = YesNo.UNKNOWN
    """Same modality and plane, so that the lengths may be compared."""
    study_date: Day | None = None
    """Day of the earlier study; gives the interval where `interval_days` does not."""
    modality: Modality | None = None
    is_minimum: bool = False
    """The lesion was cut by the edge of the earlier images."""
    uncertainty_mm: Length | None = None
    volume_mm3: Volume | None = None
    """Volume of what `basis` names."""
    is_by_reader: bool | None = None
    """Whether a reader put the length in place of a measured one; ``None`` when nobody said how it was measured."""
    status: PairStatus = "matched"
    lesion_id: Annotated[str, Field(max_length=64)] | None = None
    """Name in the earlier report."""
    reason: Annotated[str, Field(max_length=400)] = ""
    """Why the lesion was not matched, or why the lengths may not be compared."""
    stable_since: Day | None = None
    """Since when the earlier report already called it stable ..."""
    stable_from_mm: Length | None = None
    """... and its length at that time: years of growth too slow for any two studies must not add up to stability."""
    earlier_lengths: tuple[tuple[Day, Length], ...] = ()
    """Of comparable studies before that one, the first first."""


class LesionFinding(Record):
    """One lesion as the decision logic takes it."""

    id: Annotated[str, Field(max_length=64)] | None = None
    size: FindingSize = FindingSize()
    mass: FindingMass = FindingMass()
    density: FindingDensity = FindingDensity()
    depth: FindingDepth = FindingDepth()
    pattern: FindingPattern = FindingPattern()
    bone_relation: Annotated[BoneRelation | None, BeforeValidator(as_word)] = None
    foci: FindingFoci = FindingFoci()
    location: FindingLocation = FindingLocation()
    features: FindingFeatures = FindingFeatures()
    prior: FindingPrior | None = None
    voxel_diagonal_mm: Length | None = None
    """Space diagonal of one voxel: the least error of a length."""
    failed_checks: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    """Codes of the checks of the run on itself that failed: the lesion raises no alert."""


class HeaderFacts(Record):
    """What the image header says about the patient; what the clinician typed wins, contradictions are printed."""

    age_years: Annotated[Number, Field(ge=0, le=130)] | None = None
    sex: Literal["F", "M", "O"] | None = None
    contrast: Literal["none", "venous", "arterial", "given_phase_unknown"] | None = None
    laterality: Literal["left", "right"] | None = None
    body_part: Word | None = None


class PriorOfStudy(Record):
    """The earlier study, where one study holds for all lesions."""

    source: Literal["reader", "report", "images"] = "reader"
    """``images``: of both studies, registered."""
    study_date: Day | None = None
    modality: Modality | None = None
    vanished: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    """Earlier lesions whose place was searched now and holds no mineral."""


class Findings(Record):
    """All lesions of one study."""

    modality: Annotated[Literal["CT", "CR", "DX"] | None, BeforeValidator(_as_code)] = None
    contrast: ContrastPhase = "unknown"
    slice_thickness_mm: Length | None = None
    lesions: tuple[LesionFinding, ...] = ()
    study_date: Day | None = None
    """Laboratory values are judged by their age on this day."""
    header: HeaderFacts = HeaderFacts()
    prior_study: PriorOfStudy | None = None
    frame_of_reference_uid: Annotated[str, Field(max_length=64)] | None = None
    """Positions in two studies may be compared only when this is the same."""
    threshold_hu: Annotated[Number, Field(gt=0)] | None = None
    """Limit the mineral was grown down to; lengths found with different limits are not comparable."""


def finding_of(
    lesion: MeasuredLesion | ProjectedLesion, *, lesion_id: str, voxel_diagonal_mm: float | None = None
) -> LesionFinding:
    """Take over a measured lesion for the decision logic: the same numbers, and those features that the rules know."""
    return LesionFinding(
        id=lesion_id, location=FindingLocation(**_shared(lesion.location, FindingLocation)),
        voxel_diagonal_mm=voxel_diagonal_mm, failed_checks=lesion.failed_checks, **finding_facts(lesion),
    )  # fmt: skip


def finding_facts(lesion: MeasuredLesion | ProjectedLesion | Lesion) -> dict[str, Any]:
    """Facts of a lesion as the decision logic takes them, by field of `LesionFinding`; its place is not among them."""
    features = {name: said for name, said in lesion.pattern.features.items() if name in FindingFeatures.model_fields}
    words = {name: said for name, said in features.items() if isinstance(said, bool | str | None)}
    return {
        "pattern": FindingPattern(
            id=lesion.pattern.id,
            confidence=lesion.pattern.confidence,
            shape=shape if isinstance(shape := lesion.pattern.features.get("morphology"), str) else None,
        ),
        "bone_relation": lesion.bone_relation,
        "features": FindingFeatures.model_validate(words),
    } | {name: kind.model_validate(_shared(getattr(lesion, name), kind)) for name, kind in _PARTS.items()}


_PARTS: Final[dict[str, type[Record]]] = {
    "size": FindingSize, "mass": FindingMass, "density": FindingDensity, "depth": FindingDepth,
    "foci": FindingFoci,
}  # fmt: skip
"""Parts of a lesion that are taken over field by field."""


def _shared(measured: Record, kind: type[Record]) -> dict[str, Any]:
    """Fields of `measured` that `kind` also has, as plain values."""
    return {name: getattr(measured, name) for name in kind.model_fields if name in type(measured).model_fields}
