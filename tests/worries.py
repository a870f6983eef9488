"""Which answer to an input of the rules worries more, and which cuts both ways."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from calcreport.rules.possible_answers import UNASKED, UNKNOWN

YES_RAISES_CONCERN: Final = frozenset(
    {
        "symptoms.symptomatic", "symptoms.pain", "symptoms.point_tenderness", "symptoms.inflammation",
        "symptoms.fever", "symptoms.functional_limitation", "symptoms.cosmetic_concern", "symptoms.skin_necrosis",
        "mass.palpable",
        "history.excision_at_site", "history.radiotherapy_at_site", "history.sarcoma", "history.malignancy",
        "history.predisposition_syndrome",
        "lesion.mass.present",
        "lesion.features.rim_incomplete", "lesion.features.bone_destruction", "lesion.features.centre_dense",
        "lesion.features.fatty_mass", "lesion.features.chondroid", "lesion.features.growing_soft_tissue",
        "lesion.features.ill_defined",
    }
)  # fmt: skip
"""Questions of which "yes" weighs more than "unknown", and that more than "no"."""

NO_RAISES_CONCERN: Final = frozenset(
    {"history.trauma", "history.fracture", "lesion.features.rim_complete", "lesion.features.cleft_to_cortex"}
)
"""Questions of which "no" weighs more: a cause, or a sign of benign ossification, is missing."""

LADDERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "growth.rate": ("none", UNKNOWN, "rapid"),
        "symptoms.pain_explained_by": ("another cause", UNKNOWN, "none"),
        "mass.mobility": ("mobile", UNKNOWN, "fixed"),
        "lesion.depth.class": ("subcutaneous", UNKNOWN, "subfascial"),
        "lesion.prior": ("stable for a year", UNKNOWN, "grown"),
    }
)
"""Answers of other questions, least severe first."""

CUTS_BOTH_WAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "patient.age_years": "each disease has its age",
        "mass.size_cm": "a small lump settles the size, a large one raises it",
        "growth.weeks": "the same growth within weeks is faster than over months",
        "history.trauma_weeks_ago": "recent trauma explains pain, remote trauma a complete rim",
        "history.compartment_syndrome": "speaks for calcific myonecrosis",
        "history.surgery_at_site": "a local cause of calcification",
        "history.arthroplasty": "a cause of heterotopic ossification",
        "history.burns": "a cause of heterotopic ossification",
        "history.cns_injury": "a cause of heterotopic ossification",
        "history.immobility": "a cause of heterotopic ossification",
        "history.injections_at_site": "explains a granuloma",
        "history.infection_at_site": "a local cause of calcification",
        "history.parasite_exposure": "speaks for a parasite",
        "history.venous_disease": "explains reticular subcutaneous calcification",
        "history.haematoma": "a local cause of calcification",
        "history.anticoagulation": "speaks for haematoma",
        "history.diabetes": "speaks for arterial calcification",
        "history.vascular_disease": "speaks for arterial calcification",
        "history.prior_biopsy_benign": "does not settle a mineralised lesion: changes nothing",
        "symptoms.rash_or_weakness": "speaks for dermatomyositis, which explains sheet-like calcification",
        "conditions.ckd_stage": "kidney disease explains metabolic calcification",
        "conditions.dialysis": "kidney disease explains metabolic calcification",
        "conditions.hyperparathyroidism": "explains metabolic calcification",
        "conditions.vitamin_d_excess": "explains metabolic calcification",
        "conditions.dermatomyositis": "explains sheet-like calcification",
        "conditions.juvenile_dermatomyositis": "explains sheet-like calcification",
        "conditions.systemic_sclerosis": "explains acral calcification",
        "conditions.sle": "explains acral calcification",
        "conditions.mctd": "explains acral calcification",
        "conditions.fop": "explains ossification and forbids biopsy",
        "conditions.acvr1_variant": "explains ossification and forbids biopsy",
        "conditions.great_toe_malformation": "explains ossification and forbids biopsy",
        "labs.core": "calcium, phosphate, PTH and ALP together; normal speaks for a dystrophic cause",
        "labs.calcium": "abnormal speaks for a metabolic cause, normal for a dystrophic one",
        "labs.ionised_calcium": "abnormal speaks for a metabolic cause, normal for a dystrophic one",
        "labs.phosphate": "abnormal speaks for a metabolic cause, normal for a dystrophic one",
        "labs.pth": "abnormal speaks for a metabolic cause, normal for a dystrophic one",
        "labs.alp": "abnormal speaks for a metabolic cause, normal for a dystrophic one",
        "labs.creatinine": "reduced renal function explains metabolic calcification",
        "labs.egfr": "reduced renal function explains metabolic calcification",
        "labs.vitamin_d": "excess speaks for a metabolic cause",
        "labs.ck": "raised creatine kinase speaks for necrotic muscle",
        "labs.urate": "raised urate speaks for gout",
        "lesion.mass.max_diameter_mm": "a small mass settles the size, a large one raises it",
        "lesion.bone_relation": "mineral continuous with bone needs its origin excluded",
        "lesion.features.trabeculated": "mature bone speaks for heterotopic ossification",
        "lesion.features.lucent_centre": "speaks for a phlebolith",
        "lesion.features.venous_tail": "speaks for a phlebolith",
        "lesion.features.coiled_string": "speaks for a calcified worm",
        "lesion.features.fluid_calcium_level": "speaks for tumoral calcinosis",
        "lesion.features.bilateral": "speaks for a disease of the whole patient",
        "lesion.features.multifocal_sites": "speaks for a disease of the whole patient",
    }
)
"""Questions without a more severe answer, and why."""


def inputs_of_the_rules() -> frozenset[str]:
    """Every input this module speaks of."""
    return YES_RAISES_CONCERN | NO_RAISES_CONCERN | LADDERS.keys() | CUTS_BOTH_WAYS.keys() | UNASKED.keys()


def worry_ladder(name: str) -> tuple[str, ...] | None:
    """Answers of an input, least severe first, "unknown" at its place; ``None`` when it cuts both ways."""
    if name in YES_RAISES_CONCERN:
        return ("no", UNKNOWN, "yes")
    return ("yes", UNKNOWN, "no") if name in NO_RAISES_CONCERN else LADDERS.get(name)
