"""What may be asked of a clinician or a reader: what is not asked, what is asked first.

Inputs are named as in the clinical file; those of a lesion carry ``lesion.`` before the name of the finding's field.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UNKNOWN: Final = "unknown"  # answer of an input that nobody gave

UNASKED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "patient.sex": "no rule rests on it",
        "site.region": "says where the complaint is, not what it is",
        "site.laterality": "says where the complaint is, not what it is",
        "growth.stable_months": "a clinician's word on stability is printed and clears nothing",
        "labs.albumin": "only serves to adjust calcium",
        "labs.ck": "no rule rests on it",
        "imaging.contrast": "sets the threshold of the measurement, not the decision",
        "request.question": "free text",
        "request.referrer": "free text",
    }
)
"""Inputs whose answer no rule waits for, and why."""

ASKED_WHEN: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "symptoms.pain_explained_by": ("symptoms.pain", "yes"),
        "history.trauma_weeks_ago": ("history.trauma", "yes"),
        "mass.size_cm": ("mass.palpable", "yes"),
        "growth.weeks": ("growth.rate", "slow"),
        "lesion.mass.max_diameter_mm": ("lesion.mass.present", "yes"),
    }
)
"""Questions that only make sense after this answer to another one."""

FIRST_ASKED: Final = (
    "growth.rate", "lesion.prior", "lesion.mass.present", "mass.palpable", "history.trauma",
    "history.trauma_weeks_ago", "labs.phosphate", "labs.core", "labs.calcium", "labs.pth", "conditions.dialysis",
    "conditions.ckd_stage", "labs.creatinine", "labs.egfr", "patient.age_years", "symptoms.pain",
    "symptoms.pain_explained_by", "lesion.features.bone_destruction",
    "conditions.dermatomyositis", "conditions.systemic_sclerosis", "history.compartment_syndrome",
    "history.venous_disease", "history.injections_at_site", "history.surgery_at_site", "history.arthroplasty",
    "history.cns_injury", "symptoms.skin_necrosis", "lesion.mass.max_diameter_mm", "mass.size_cm",
    "lesion.depth.class", "lesion.features.rim_complete", "history.excision_at_site",
    "history.radiotherapy_at_site", "history.sarcoma", "history.malignancy",
)  # fmt: skip
"""Questions in the order in which their answers are worth a telephone call; the others follow."""


def rank(name: str) -> int:
    """Place of an input among those worth asking."""
    return FIRST_ASKED.index(name) if name in FIRST_ASKED else len(FIRST_ASKED)
