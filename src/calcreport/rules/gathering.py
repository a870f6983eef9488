"""Facts of every lesion of a study, before any rule: what was measured, stated, tested, and what needs all lesions.

What was measured, typed or felt is joined without ever turning unknown into no.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from calcreport.model.clinical import Clinical
from calcreport.model.findings import Findings, LesionFinding
from calcreport.model.report import BoneRelation, Confidence, DepthClass, Laterality, YesNo
from calcreport.model.terms import DEPTH_ORDER, INDETERMINATE_PATTERN
from calcreport.rules.capabilities import SUSPECTED
from calcreport.rules.conditions import Facts, Value, Verdict
from calcreport.rules.facts import DECLARED, PRIOR_FACTS, answer, plain_answers, plain_value
from calcreport.rules.growth import weigh_growth
from calcreport.rules.laboratory import LabFacts, weigh_labs
from calcreport.rules.lesion_rules import infer_pattern
from calcreport.rules.regions import are_apart, name_areas
from calcreport.rules.ruleset import Ruleset
from calcreport.settings import PolicySettings

_FLOAT_NOISE: Final = 6  # decimals kept in a difference of lengths, so that 50.9 - 50.0 equals 0.9

_DEEP_TISSUES: Final = frozenset({"muscle", "tendon", "joint", "bursa"})
"""Tissues that lie beneath the investing fascia."""

_LOCAL_HISTORY: Final = frozenset(
    {
        "trauma", "trauma_weeks_ago", "compartment_syndrome", "surgery_at_site", "arthroplasty", "fracture",
        "injections_at_site", "infection_at_site", "haematoma", "excision_at_site", "radiotherapy_at_site",
        "prior_biopsy_benign",
    }
)  # fmt: skip
"""History that speaks of the site of the complaint only."""

_GROWTH_OF: Final = {
    "prior.growth_mm": "change_mm", "prior.growth_percent": "change_percent",
    "prior.mm_per_month": "change_mm_per_month", "prior.volume_percent": "volume_change_percent",
}  # fmt: skip
"""Fields of `LesionGrowth` whose fact has another name."""

_MANY_PHLEBOLITHS: Final = 3.0
"""From here on phleboliths in one place are many; an unknown count is not settled below it."""

_Place = tuple[str | None, Laterality]  # region and side
_Counted = list[tuple[LesionFinding, dict[str, Value]]]  # lesions with their facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Facts before any rule."""

    cases: tuple[dict[str, Value], ...]
    """Every declared fact of each lesion; ``None`` for unknown."""
    labs: LabFacts


def gather_facts(
    findings: Findings,
    clinical: Clinical,
    policy: PolicySettings,
    ruleset: Ruleset,
    *,
    seen: Mapping[int, dict[str, Value]] | None = None,
    only: Collection[int] | None = None,
) -> Gathered:
    """Gather the facts of a study: one case for each lesion, in the order given.

    A study without lesion is judged as one lesion of which nothing is known. The rules are needed for patterns read
    from features, and for what is an extent. `seen` are facts of lesions already read from the same kind of study, by
    identity (`see_lesions`); `only` the lesions whose facts are wanted, by index: those of the others stay without
    what all lesions give each.
    """
    lesions = findings.lesions or (LesionFinding(),)
    labs = weigh_labs(
        clinical,
        age_years=findings.header.age_years if clinical.patient.age_years is None else clinical.patient.age_years,
        study_date=findings.study_date,
        max_age_days=policy.max_laboratory_age_days,
        urgent_calcium_mmol_l=policy.urgent_calcium_mmol_l,
        sex=clinical.patient.sex or findings.header.sex,
    )
    shared: dict[str, Value] = dict.fromkeys((*DECLARED, *(f"{SUSPECTED}{name}" for name in ruleset.biopsy_forbidding)))
    shared |= _study_facts(findings, clinical, policy) | labs.facts
    apart = [_is_elsewhere(lesion, clinical) for lesion in lesions]
    # Where every lesion seems to be elsewhere, side or region was mistyped: then the complaint counts for all.
    complaints = {here: _complaint_facts(clinical, applies=here) for here in (False, True)}
    has_mass = any(lesion.mass.present is YesNo.YES for lesion in lesions)
    cases = []
    for lesion, is_apart in zip(lesions, apart, strict=True):
        images = (seen or {}).get(id(lesion)) or _image_facts(lesion, findings, policy)
        own = complaints[not is_apart or all(apart)] | images
        case = shared | own | {"place.is_apart": answer(is_yes=is_apart)}
        infer_pattern(case, ruleset)
        if has_mass and lesion.mass.present is not YesNo.YES and _is("named_vascular", case, ruleset):
            case |= complaints[False]  # symptoms, palpation and growth belong to the mass, not to a plaque beside it
        cases.append(case)
    every = list(zip(lesions, cases, strict=True))
    together, phleboliths = _patient_facts(every, ruleset), _phleboliths_by_place(every, ruleset)
    is_only = len(apart) == 1 or apart.count(False) == 1
    for index in range(len(cases)) if only is None else only:
        lesion, facts = every[index]
        facts |= {**together, "patient.phleboliths_here": phleboliths.get(_place(lesion))}
        is_extent = _is("extent_pattern", facts, ruleset)
        facts |= _size_facts(lesion, facts, policy, is_extent=is_extent, is_only=is_only)
    return Gathered(cases=tuple(cases), labs=labs)


def _is(kind: str, facts: Facts, ruleset: Ruleset) -> bool:
    """Whether the named condition on the kind of pattern is met."""
    return ruleset.conditions[kind].judge(facts) is Verdict.MET


def _patient_facts(every: _Counted, ruleset: Ruleset) -> dict[str, Value]:
    """Facts that need all lesions at once; what lies in an organ or is no lesion does not count."""
    counted = [
        (lesion, case)
        for lesion, case in every
        if case["place.tissue"] != "organ" and not _is("no_lesion_pattern", case, ruleset)
    ]
    placed = [(areas[0], case) for _, case in counted if isinstance(areas := case["place.areas"], tuple)]
    ossified = {
        area
        for area, case in placed
        if _is("ossified_pattern", case, ruleset) or case["features.trabeculated"] == "yes"
    }
    sides = {(case["pattern.id"], lesion.location.laterality) for lesion, case in counted}
    both = any(pattern and (pattern, Laterality.RIGHT) in sides for pattern, side in sides if side is Laterality.LEFT)
    return {
        "patient.ossified_areas": float(len(ossified)),
        "patient.calcified_areas": float(len({area for area, _ in placed})),
        "patient.vessel_lesions": float(sum(_is("vessel_wall_pattern", case, ruleset) for _, case in counted)),
        "patient.metabolic_lesions": float(sum(_is("metabolic_pattern", case, ruleset) for _, case in counted)),
        "patient.both_sides": "yes" if both else None,
    }


def see_lesions(findings: Findings, policy: PolicySettings) -> dict[int, dict[str, Value]]:
    """Facts that each lesion has by itself, by its identity: valid while these findings are kept."""
    return {id(lesion): _image_facts(lesion, findings, policy) for lesion in findings.lesions}


def _phleboliths_by_place(counted: _Counted, ruleset: Ruleset) -> dict[_Place, float | None]:
    """Phlebolith-like foci at each place of such a lesion; ``None`` when they may be more than were counted."""
    found: dict[_Place, list[Value]] = {}
    for lesion, case in counted:
        if _is("phlebolith_pattern", case, ruleset):
            found.setdefault(_place(lesion), []).append(case["foci.count"])
    totals: dict[_Place, float | None] = {}
    for place in found:
        counts = [count for other, foci in found.items() if _is_same_place(place, other) for count in foci]
        least = float(sum(count if isinstance(count, float) else 1.0 for count in counts))
        totals[place] = None if None in counts and least < _MANY_PHLEBOLITHS else least
    return totals


def _place(lesion: LesionFinding) -> _Place:
    return lesion.location.region, lesion.location.laterality


def _is_same_place(one: _Place, other: _Place) -> bool:
    if {one[1], other[1]} == {Laterality.LEFT, Laterality.RIGHT} or (one[0] is None) != (other[0] is None):
        return False
    return one[0] == other[0] or not are_apart(one[0], other[0])


def place_by_complaint(findings: Findings, clinical: Clinical) -> Findings:
    """Give a single lesion the region and side of the complaint where it has none: the complaint is about no other."""
    if len(findings.lesions) != 1:
        return findings
    lesion = findings.lesions[0]
    place = lesion.location
    side = clinical.site.laterality if place.laterality is Laterality.UNKNOWN else place.laterality
    placed = place.model_copy(update={"region": place.region or clinical.site.region, "laterality": side})
    return findings.model_copy(update={"lesions": (lesion.model_copy(update={"location": placed}),)})


def _study_facts(findings: Findings, clinical: Clinical, policy: PolicySettings) -> dict[str, Value]:
    """Facts that hold for every lesion: policies, modality, age and sex (typed before header), systemic history."""
    age = clinical.patient.age_years
    is_projection = None if findings.modality is None else findings.modality != "CT"
    facts: dict[str, Value] = {
        "modality": findings.modality,
        "projection": answer(is_yes=is_projection),
        "age_years": findings.header.age_years if age is None else age,
        "sex": clinical.patient.sex or findings.header.sex,
        "patient.lesions": float(len(findings.lesions)),
    }
    facts |= plain_answers("conditions", clinical.conditions)
    for name, value in policy:
        facts[f"policy.{name}"] = answer(is_yes=value) if isinstance(value, bool) else plain_value(value)
    if facts["conditions.dialysis"] == "yes":
        facts["conditions.ckd_stage"] = 5.0
    return facts


def _is_elsewhere(lesion: LesionFinding, clinical: Clinical) -> bool:
    """Whether the clinician's complaint is known to be at another region or side than the lesion."""
    sides = {lesion.location.laterality, clinical.site.laterality}
    other_side = sides == {Laterality.LEFT, Laterality.RIGHT}
    return other_side or are_apart(lesion.location.region, clinical.site.region)


def _complaint_facts(clinical: Clinical, *, applies: bool) -> dict[str, Value]:
    """Symptoms, palpated mass, course and history; what one answer implies for another is filled in.

    For a lesion elsewhere (`applies` is ``False``) what was said of the site is unknown.
    """
    facts = plain_answers("symptoms", clinical.symptoms) | plain_answers("felt", clinical.mass)
    facts |= plain_answers("growth", clinical.growth)
    limited = clinical.symptoms.functional_limitation
    facts["symptoms.limited"] = answer(is_yes=None if limited is None else bool(limited))
    facts["symptoms.explanation"] = clinical.symptoms.pain_explained_by
    history = plain_answers("history", clinical.history)
    if not applies:
        facts = dict.fromkeys(facts)
        history |= dict.fromkeys(f"history.{name}" for name in _LOCAL_HISTORY)
    facts |= history
    # An answer that was given is never changed to a milder one.
    if facts["symptoms.pain"] is None and facts["symptoms.symptomatic"] == "no":
        facts["symptoms.pain"] = "no"
    if facts["symptoms.pain"] is None and facts["symptoms.explanation"] not in {None, "none"}:
        facts["symptoms.pain"] = "yes"
    complaints = ("pain", "point_tenderness", "inflammation", "limited")
    if any(facts[f"symptoms.{name}"] == "yes" for name in complaints):
        facts["symptoms.symptomatic"] = "yes"
    for name, implied_by in (("felt.palpable", "felt.size_cm"), ("history.trauma", "history.trauma_weeks_ago")):
        if facts[name] is None and facts[implied_by] is not None:
            facts[name] = "yes"
    return facts


def _image_facts(lesion: LesionFinding, findings: Findings, policy: PolicySettings) -> dict[str, Value]:
    """Facts of a lesion that do not depend on any rule."""
    is_projection = findings.modality in {"CR", "DX"}
    confidence = lesion.pattern.confidence
    is_sure = confidence in {Confidence.HIGH, Confidence.MODERATE} or (confidence is None and not is_projection)
    pattern = lesion.pattern.id
    relation, size, largest_mm = lesion.bone_relation, lesion.size, lesion.foci.largest_max_diameter_mm
    is_one = lesion.foci.count in {None, 1}
    sides_mm = (size.axial_short_mm, size.ap_mm, size.tr_mm, size.cc_mm)
    extents = [side_mm for side_mm in sides_mm if side_mm is not None]
    facts: dict[str, Value] = {
        "pattern.id": pattern,
        "pattern.is_sure": None if pattern is None else answer(is_yes=is_sure and pattern != INDETERMINATE_PATTERN),
        "pattern.confidence": plain_value(confidence),
        "pattern.shape": lesion.pattern.shape,
        "bone.relation": None if relation in {None, BoneRelation.CANNOT_DETERMINE} else plain_value(relation),
        "foci.count": plain_value(lesion.foci.count),
        "density.max_hu": plain_value(lesion.density.max_hu),
        "density.mean_hu": plain_value(lesion.density.mean_hu),
        "density.is_certain": plain_value(lesion.density.is_certain),
        "place.areas": name_areas(lesion.location.region),
        "place.tissue": lesion.location.tissue,
        # Of one focus alone the extents of the deposit are its own; a vessel cannot exceed the least of them across.
        "size.focus_mm": (size.max_diameter_mm if is_one else None) if largest_mm is None else largest_mm,
        "size.focus_at_most_mm": largest_mm or size.max_diameter_mm,
        "size.short_axis_mm": size.axial_short_mm or size.max_diameter_mm,
        "size.across_mm": min(extents, default=None) if is_one else None,
        "checks.failed": answer(is_yes=bool(lesion.failed_checks)),
    }
    facts |= {f"features.{name}": plain_value(value) for name, value in lesion.features}
    facts |= _depth(lesion, is_projection=is_projection)
    growth = weigh_growth(lesion, findings, policy)  # where not measured in the same way: why nothing is known
    if growth is None:
        return facts | dict.fromkeys(PRIOR_FACTS)
    changes = {name: getattr(growth, _GROWTH_OF.get(name, name.removeprefix("prior."))) for name in PRIOR_FACTS}
    return facts | {name: plain_value(value) for name, value in changes.items()}


def _depth(lesion: LesionFinding, *, is_projection: bool) -> dict[str, Value]:
    """Layer of the lesion: the worse of mineral and mass; from tissue or body cavity when it was not given."""
    given = [depth for depth in (lesion.depth.class_, lesion.mass.depth_class) if depth is not None]
    layer = max(given, key=DEPTH_ORDER.index, default=None)
    is_open = layer in {None, DepthClass.CANNOT_DETERMINE}
    areas = name_areas(lesion.location.region) or ()
    is_in_deep_tissue = lesion.location.tissue in _DEEP_TISSUES and not is_projection
    if is_in_deep_tissue and (is_open or layer is DepthClass.ABUTS_FASCIA):
        return {"depth.class": "subfascial", "depth.from": "tissue"}
    if is_open and not is_projection and lesion.bone_relation is BoneRelation.CONTIGUOUS:
        return {"depth.class": "juxtacortical", "depth.from": "bone"}
    if is_open and not is_projection and "body_cavity" in areas and lesion.location.tissue not in {"skin", "fat"}:
        return {"depth.class": "subfascial", "depth.from": "region"}
    return {"depth.class": plain_value(layer), "depth.from": None if layer is None else "given"}


def _size_facts(
    lesion: LesionFinding, facts: dict[str, Value], policy: PolicySettings, *, is_extent: bool, is_only: bool
) -> dict[str, Value]:
    """Facts the size criterion rests on: the mass is preferred; as the mineral lies within it, the longer one counts.

    `is_extent`: the mineral follows a vessel, tendon or fascia: its length is an extent and no mass dimension;
    `is_only`: the only lesion the palpated mass can be: a palpated size may then settle the size of the whole lesion.
    """
    felt_cm = facts["felt.size_cm"]
    felt_mm = felt_cm * 10 if isinstance(felt_cm, float) else None
    measured = lesion.mass.max_diameter_mm
    mass_mm = _longest(measured, felt_mm)
    mineral_mm = lesion.size.max_diameter_mm
    longest_mm = _longest(mass_mm, None if is_extent else mineral_mm)
    is_film = facts["projection"] == "yes" or lesion.size.projected
    is_above = operator.ge if policy.size_operator == ">=" else operator.gt
    if is_film and felt_mm is not None and is_above(felt_mm, policy.size_limit_mm):
        longest_mm = felt_mm  # a palpated mass above the limit needs no projection to be there
    is_mineral = longest_mm is not None and (mass_mm is None or longest_mm > mass_mm)
    is_felt = longest_mm is not None and longest_mm == felt_mm
    is_minimum = lesion.mass.is_minimum if measured is not None and not is_mineral else lesion.size.is_minimum
    is_unmeasured = mineral_mm is None and lesion.size.max_diameter_px is None
    has_no_mass = lesion.mass.present is YesNo.NO and mineral_mm is not None and facts["projection"] != "yes"
    is_settled = (measured is not None or (felt_mm is not None and is_only) or has_no_mass) and not is_minimum
    error_mm = lesion.voxel_diagonal_mm
    # A contour's voxels say nothing of how finely it was drawn; its own uncertainty does.
    uncertainty_mm = lesion.mass.uncertainty_mm if longest_mm is not None and longest_mm == measured else None
    reference_mm = _longest(None if is_extent else mineral_mm, measured)  # no mass is as long as a vessel
    present = "yes" if lesion.mass.present is YesNo.UNKNOWN and measured is not None else lesion.mass.present
    return {
        "size.mineral_mm": mineral_mm,
        "size.mass_mm": mass_mm,
        "size.felt_mm": felt_mm,
        "size.longest_mm": longest_mm,
        "size.extent_mm": mineral_mm if is_extent else None,
        "size.basis": None if longest_mm is None else ("mineralised component" if is_mineral else "whole lesion"),
        "size.possible_from_mm": min(
            policy.size_possible_mm, policy.size_limit_mm - max(error_mm or 0.0, uncertainty_mm or 0.0)
        ),
        "size.error_mm": error_mm,
        "size.uncertainty_mm": uncertainty_mm,
        "size.over_mm": None if longest_mm is None else round(longest_mm - policy.size_limit_mm, _FLOAT_NOISE),
        "size.is_minimum": answer(is_yes=is_minimum),
        "size.is_projected": answer(is_yes=is_film and not is_felt),
        "size.has_scale": answer(is_yes=None if is_unmeasured else mineral_mm is not None),
        "size.is_settled": answer(is_yes=is_settled),
        "mass.present": plain_value(present),
        "mass.felt_beyond_mm": None if felt_mm is None or reference_mm is None else felt_mm - reference_mm,
    }


def _longest(*lengths_mm: float | None) -> float | None:
    return max((length for length in lengths_mm if length is not None), default=None)
