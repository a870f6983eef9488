"""Words of the report: base of its records, answers, states, layers, sides."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Final

from pydantic import BaseModel, ConfigDict

Point = tuple[float, float, float]
"""Position in patient LPS mm."""


class Record(BaseModel):
    """Base of everything that crosses the edge as text: frozen, and no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Hidden(Record):
    """Base of what names a patient or is free text: neither stands in logs and tracebacks."""

    def __repr__(self) -> str:
        """Give the name of the record alone."""
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


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
    """Aggregate of the flags, most severe first."""

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


DEPTH_ORDER: Final = (
    DepthClass.CUTANEOUS,
    DepthClass.SUBCUTANEOUS,
    DepthClass.CANNOT_DETERMINE,
    DepthClass.ABUTS_FASCIA,
    DepthClass.CROSSES_FASCIA,
    DepthClass.SUBFASCIAL,
    DepthClass.JUXTACORTICAL,
)
"""Least severe first."""

DEEP: Final = frozenset({DepthClass.CROSSES_FASCIA, DepthClass.SUBFASCIAL, DepthClass.JUXTACORTICAL})
"""Classes with a part beneath the investing fascia."""


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


INDETERMINATE_PATTERN: Final = "P30"
"""Pattern of mineral that looks like none of the others."""

PATTERN_LABELS: Final = {
    "P01": "phlebolith",
    "P02": "tram-track arterial calcification",
    "P03": "arterial plaque",
    "P04": "fine net-like subcutaneous calcification",
    "P05": "zonal peripheral rim in muscle",
    "P06": "faint non-zonal mineral in muscle",
    "P07": "mature ossification with cortex and trabeculae",
    "P08": "multifocal bars and plates of bone",
    "P09": "amorphous focal deposit",
    "P10": "plate-like peripheral shell of a whole muscle",
    "P11": "sheet-like calcification along fascia",
    "P12": "nodular subcutaneous deposits",
    "P13": "lobulated deposit with fluid-calcium levels",
    "P14": "fine speckled calcification",
    "P15": "homogeneous ovoid tendon-like deposit",
    "P16": "mineral in cartilage or capsule of a joint",
    "P17": "faintly dense nodule near a joint",
    "P18": "reticular subcutaneous calcification",
    "P19": "small well-defined subcutaneous nodule",
    "P20": "rice-grain foci along muscle fibres",
    "P21": "nodal calcification",
    "P22": "rings-and-arcs (chondroid) mineral",
    "P23": "centre-dense cloud-like mineral",
    "P24": "stippled eccentric mineral",
    "P25": "mineral inside a fatty mass",
    "P26": "incomplete peripheral shell, subcutaneous",
    "P27": "thin rim around fluid or fat",
    INDETERMINATE_PATTERN: "indeterminate",
}
"""Names of the morphological patterns, for CT and radiographs alike."""
