"""The inputs of a study that are unknown, each with the answers it could have."""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from calcreport.model.clinical import Clinical, Lab
from calcreport.model.findings import FindingPrior, Findings, LesionFinding
from calcreport.model.laboratory import ANALYTES
from calcreport.model.report import BoneRelation, DepthClass, YesNo
from calcreport.resources import packaged_text
from calcreport.rules.conditions import ALWAYS, Relation, comparisons
from calcreport.rules.laboratory import CORE_TESTS
from calcreport.rules.ruleset import Ruleset
from calcreport.settings import PolicySettings

UNKNOWN: Final = "unknown"  # answer of an input that nobody gave

_QUESTIONS: Final = tomllib.loads(packaged_text("rules/questions.toml"))  # as a reader extends them
UNASKED: Final[dict[str, str]] = _QUESTIONS["unasked"]  # Inputs whose answer no rule waits for, and why
ASKED_WHEN: Final[dict[str, list[str]]] = _QUESTIONS["asked_when"]
"""Questions that only make sense after this answer to another one."""
FIRST_ASKED: Final[list[str]] = _QUESTIONS["first_asked"]
"""Questions in the order in which their answers are worth a telephone call; the others follow."""
ASKED_TOGETHER: Final[dict[str, str]] = _QUESTIONS["asked_together"]
"""The question that several inputs are about, of which one named in the text is enough."""
_NO_YES: Final = (("no", YesNo.NO), ("yes", YesNo.YES))  # answers to a question about yes and no
_ANSWERS: Final[dict[str, dict[str, object]]] = {
    "growth.rate": {word: word for word in ("none", "slow", "rapid")},
    "mass.mobility": {word: word for word in ("mobile", "fixed")},
    "symptoms.pain_explained_by": {word: word for word in ("none", "another cause")},
    "symptoms.functional_limitation": {"no": (), "yes": ("not specified",)},
    "conditions.ckd_stage": {"none": 0, "end stage": 5},
}  # what is typed for an answer to a question about neither yes and no nor a length or a time
_YEAR_DAYS: Final = 366  # an earlier study a year ago
_MONTHS_DAYS: Final = 90  # an earlier study three months ago
_SHRUNK: Final = 0.5  # of the present length, for a prior that shows growth beyond any limit a site may set
_TIMES: Final = ("patient.age_years", "growth.weeks", "history.trauma_weeks_ago")  # facts that are durations


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleAnswer:
    """One answer to one unknown input."""

    name: str
    answer: str
    """Answer in a word; of a number, the interval between limits of the rules such as ``"6-12"`` or ``">26"``."""
    lesion: int | None
    """Index of the lesion a finding is about; ``None`` for what a clinician tells."""
    findings: Findings
    clinical: Clinical
    """The study with this answer."""


def possible_answers(
    findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset
) -> Iterator[PossibleAnswer]:
    """List every answer to every unknown input: first those of the clinical file in its order, then of each lesion.

    An input that only makes sense after another answer is left out until that answer is known.
    """
    for name, answer, changed in _clinical_answers(findings, clinical, policy, ruleset):
        yield PossibleAnswer(name=name, answer=answer, lesion=None, findings=findings, clinical=changed)
    for index, lesion in enumerate(findings.lesions):
        if lesion.location.tissue == "organ":
            continue
        for name, answer, changed_lesion in _lesion_answers(lesion, findings, policy):
            lesions = (*findings.lesions[:index], changed_lesion, *findings.lesions[index + 1 :])
            changed_findings = findings.model_copy(update={"lesions": lesions})
            yield PossibleAnswer(name=name, answer=answer, lesion=index, findings=changed_findings, clinical=clinical)


def _clinical_answers(
    findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset
) -> Iterator[tuple[str, str, Clinical]]:
    for section, record in clinical:
        if section in {"site", "request", "imaging"}:
            continue
        if section == "labs":
            yield from _lab_answers(clinical)
            continue
        for field, value in record:
            name = f"{section}.{field}"
            is_known = value not in {None, UNKNOWN} or (
                name == "patient.age_years" and findings.header.age_years is not None
            )
            if is_known or name in UNASKED or not _is_timely(name, clinical):
                continue
            for answer, typed in _field_answers(name, value, policy, ruleset):
                yield name, answer, clinical.model_copy(update={section: record.model_copy(update={field: typed})})


def _is_timely(name: str, clinical: Clinical) -> bool:
    """Whether the answer this question depends on was given."""
    if name not in ASKED_WHEN:
        return True
    asked, needed = ASKED_WHEN[name]
    return str(operator.attrgetter(asked)(clinical)) == needed


def _field_answers(name: str, value: object, policy: PolicySettings, ruleset: Ruleset) -> Iterable[tuple[str, object]]:
    if isinstance(value, YesNo):
        return _NO_YES
    if name == "mass.size_cm":
        return [(answer, length_mm / 10) for answer, length_mm in _lengths_mm(policy)]
    if name in _TIMES:
        return _intervals(_limits_of("age_years" if name == "patient.age_years" else name, ruleset))
    return _ANSWERS.get(name, {}).items()


def _lengths_mm(policy: PolicySettings) -> tuple[tuple[str, float], ...]:
    """A length below and one above the band of the size criterion."""
    low, high = policy.size_possible_mm, policy.size_limit_mm
    return ((f"<{low:g}", low * 0.8), (f">{high:g}", high * 1.2))


def _intervals(limits: tuple[float, ...]) -> list[tuple[str, float]]:
    """One number from each interval between limits."""
    if not limits:
        return []
    between = [(f"{low:g}-{high:g}", (low + high) / 2) for low, high in pairwise(limits)]
    return [(f"<{limits[0]:g}", limits[0] / 2), *between, (f">{limits[-1]:g}", limits[-1] * 1.25)]


@lru_cache(maxsize=32)
def _limits_of(fact: str, ruleset: Ruleset) -> tuple[float, ...]:
    """Numbers the rules hold a fact against, ascending."""
    asked = ((rule.when, rule.strong or ALWAYS, *(remark.when for remark in rule.remarks)) for rule in ruleset.rules)
    limits = {
        row.limit
        for conditions in asked
        for condition in conditions
        for row in comparisons(condition)
        if row.fact == fact and row.relation is not Relation.KNOWN and isinstance(row.limit, float) and row.limit > 0
    }
    return tuple(sorted(limits))


def _lab_answers(clinical: Clinical) -> Iterator[tuple[str, str, Clinical]]:
    """Each missing test low, normal and high; and the four core tests normal together."""

    def with_labs(**results: Lab) -> Clinical:
        return clinical.model_copy(update={"labs": clinical.labs.model_copy(update=results)})

    for test, states in LAB_VALUES.items():
        if getattr(clinical.labs, test) is None and f"labs.{test}" not in UNASKED:
            yield from ((f"labs.{test}", state, with_labs(**{test: lab})) for state, lab in states.items())
    missing = [test for test in CORE_TESTS if getattr(clinical.labs, test) is None]
    if len(missing) > 1:
        yield "labs.core", "normal", with_labs(**{test: LAB_VALUES[test]["normal"] for test in missing})


def _lab_values() -> dict[str, dict[str, Lab]]:
    """A low, a normal and a high result of each test, where it has such a limit."""
    values: dict[str, dict[str, Lab]] = {}
    for test, analyte in ANALYTES.items():
        low, high = analyte.reference
        normal = (high or 0.0) / 2 if low is None else low * 1.5 if high is None else (low + high) / 2
        chosen = {
            "low": None if low is None else max(analyte.possible[0], low * 0.8),
            "normal": normal,
            "high": None if high is None else min(analyte.possible[1], high * 1.1),
        }
        values[test] = {
            state: Lab(value=value, unit=analyte.unit, low=low, high=high)
            for state, value in chosen.items()
            if value is not None
        }
    return values


LAB_VALUES: Final = _lab_values()  # A low, a normal and a high result of each test, as a laboratory would give it


def _lesion_answers(
    lesion: LesionFinding, findings: Findings, policy: PolicySettings
) -> Iterator[tuple[str, str, LesionFinding]]:
    """Answers a reader of the images could give; on a projection neither a mass nor the layer can be read."""
    is_ct, mass = findings.modality in {None, "CT"}, lesion.mass
    is_unsized = is_ct and mass.max_diameter_mm is None
    relations = [(str(value), value) for value in (BoneRelation.SEPARATE, BoneRelation.CONTIGUOUS)]
    layers = [(str(value), value) for value in (DepthClass.SUBCUTANEOUS, DepthClass.SUBFASCIAL)]
    rows: list[tuple[bool, str, str, Iterable[tuple[str, object]]]] = [
        *((said is YesNo.UNKNOWN, "features", name, _NO_YES) for name, said in lesion.features),
        (lesion.bone_relation in {None, BoneRelation.CANNOT_DETERMINE}, "", "bone_relation", relations),
        (is_unsized and mass.present is YesNo.UNKNOWN, "mass", "present", _NO_YES),
        (is_unsized and mass.present is YesNo.YES, "mass", "max_diameter_mm", _lengths_mm(policy)),
        (is_ct and lesion.depth.class_ in {None, DepthClass.CANNOT_DETERMINE}, "depth", "class_", layers),
    ]  # whether it is asked, part of the lesion, field, answers
    for _, part, field, answers in (row for row in rows if row[0]):
        name = ".".join(filter(None, ("lesion", part, field.removesuffix("_"))))
        for word, value in answers:
            given = getattr(lesion, part).model_copy(update={field: value}) if part else value
            yield name, word, lesion.model_copy(update={part or field: given})
    if lesion.prior is None:
        yield from _prior_answers(lesion, findings)


def _prior_answers(lesion: LesionFinding, findings: Findings) -> Iterator[tuple[str, str, LesionFinding]]:
    now_mm = lesion.mass.max_diameter_mm if lesion.size.max_diameter_mm is None else lesion.size.max_diameter_mm
    if now_mm is None:
        return
    for answer, before_mm, days in (
        ("stable for three months", now_mm, _MONTHS_DAYS),
        ("stable for a year", now_mm, _YEAR_DAYS),
        ("grown", now_mm * _SHRUNK, _MONTHS_DAYS),
    ):
        prior = FindingPrior(
            max_diameter_mm=before_mm, interval_days=days, comparable=YesNo.YES, modality=findings.modality
        )
        yield "lesion.prior", answer, lesion.model_copy(update={"prior": prior})


def rank(name: str) -> int:
    """Place of an input among those worth asking."""
    return FIRST_ASKED.index(name) if name in FIRST_ASKED else len(FIRST_ASKED)
