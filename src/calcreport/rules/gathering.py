"""Facts of every lesion of a study, before any rule: what was measured, stated, tested, and what needs all lesions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from calcreport.model.clinical import Clinical
from calcreport.model.findings import Findings, LesionFinding
from calcreport.model.report import Laterality
from calcreport.rules.capabilities import SUSPECTED
from calcreport.rules.conditions import Facts, Value, Verdict
from calcreport.rules.facts import DECLARED, answer
from calcreport.rules.laboratory import LabFacts, weigh_labs
from calcreport.rules.lesion_facts import (
    complaint_facts,
    image_facts,
    is_elsewhere,
    policy_facts,
    size_facts,
    study_facts,
)
from calcreport.rules.lesion_rules import infer_pattern
from calcreport.rules.regions import are_apart
from calcreport.rules.ruleset import Ruleset
from calcreport.settings import PolicySettings

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
    shared |= policy_facts(policy) | study_facts(findings, clinical) | labs.facts
    apart = [is_elsewhere(lesion, clinical) for lesion in lesions]
    # Where every lesion seems to be elsewhere, side or region was mistyped: then the complaint counts for all.
    complaints = {is_apart: complaint_facts(clinical, applies=not is_apart or all(apart)) for is_apart in set(apart)}
    cases = []
    for lesion, is_apart in zip(lesions, apart, strict=True):
        images = (seen or {}).get(id(lesion)) or image_facts(lesion, findings, policy)
        case = {**shared, **complaints[is_apart], **images, "place.is_apart": answer(is_yes=is_apart)}
        infer_pattern(case, ruleset)
        cases.append(case)
    every = list(zip(lesions, cases, strict=True))
    together, phleboliths = _patient_facts(every, ruleset), _phleboliths_by_place(every, ruleset)
    is_only = len(apart) == 1 or apart.count(False) == 1
    for index in range(len(cases)) if only is None else only:
        lesion, facts = every[index]
        facts |= {**together, "patient.phleboliths_here": phleboliths.get(_place(lesion))}
        is_extent = _is("extent_pattern", facts, ruleset)
        facts |= size_facts(lesion, facts, policy, is_extent=is_extent, is_only=is_only)
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
    return {id(lesion): image_facts(lesion, findings, policy) for lesion in findings.lesions}


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
