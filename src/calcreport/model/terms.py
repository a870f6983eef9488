"""Words of the report: base of its records, answers, states, layers, sides."""

from __future__ import annotations

from enum import StrEnum, unique

from pydantic import BaseModel, ConfigDict

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
