"""The inputs of a study that are unknown, each with the answers it could have."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from typing import Final

from calcreport.model.clinical import Clinical, Lab
from calcreport.model.findings import FindingFeatures, FindingPrior, Findings, LesionFinding
from calcreport.model.laboratory import ANALYTES
from calcreport.model.report import BoneRelation, DepthClass, Record, YesNo
from calcreport.resources import packaged_text
from calcreport.rules.conditions import Relation, comparisons
from calcreport.rules.ruleset import Ruleset
from calcreport.settings import PolicySettings

UNKNOWN: Final = "unknown"  # answer of an input that nobody gave

_QUESTIONS: Final = tomllib.loads(packaged_text("rules/questions.toml"))  # as a reader extends them
UNASKED: Final[dict[str, str]] = _QUESTIONS["unasked"]
"""Inputs whose answer no rule waits for, and why."""
ASKED_WHEN: Final[dict[str, list[str]]] = _QUESTIONS["asked_when"]
"""Questions that only make sense after this answer to another one."""
FIRST_ASKED: Final[list[str]] = _QUESTIONS["first_asked"]
"""Questions in the order in which their answers are worth a telephone call; the others follow."""
ASKED_TOGETHER: Final[dict[str, str]] = _QUESTIONS["asked_together"]
"""The question that several inputs are about, of which one named in the text is enough."""
_CORE_LABS: Final = ("calcium", "phosphate", "pth", "alp")  # tests that are asked for together
_WORDS: Final = {
    "growth.rate": ("none", "slow", "rapid"),
    "mass.mobility": ("mobile", "fixed"),
    "symptoms.pain_explained_by": ("none", "another cause"),
}  # answers of facts that are words
_STAGES: Final = {"none": 0, "end stage": 5}  # stage of chronic kidney disease by answer
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
            is_known = value is not None and value != UNKNOWN
            if is_known or name in UNASKED or not _is_timely(name, clinical):
                continue
            if name == "patient.age_years" and findings.header.age_years is not None:
                continue
            for answer, typed in _field_answers(name, value, policy, ruleset):
                yield name, answer, clinical.model_copy(update={section: record.model_copy(update={field: typed})})


def _is_timely(name: str, clinical: Clinical) -> bool:
    """Whether the answer this question depends on was given."""
    if name not in ASKED_WHEN:
        return True
    asked, needed = ASKED_WHEN[name]
    section, _, field = asked.partition(".")
    return str(getattr(getattr(clinical, section), field)) == needed


def _field_answers(name: str, value: object, policy: PolicySettings, ruleset: Ruleset) -> Iterator[tuple[str, object]]:
    if isinstance(value, YesNo):
        yield from (("no", YesNo.NO), ("yes", YesNo.YES))
    elif name in _WORDS:
        yield from ((word, word) for word in _WORDS[name])
    elif name == "symptoms.functional_limitation":
        yield from (("no", ()), ("yes", ("not specified",)))
    elif name == "conditions.ckd_stage":
        yield from _STAGES.items()
    elif name == "mass.size_cm":
        yield from ((answer, length_mm / 10) for answer, length_mm in _lengths_mm(policy))
    elif name in _TIMES:
        fact = "age_years" if name == "patient.age_years" else name
        yield from _intervals(_limits_of(fact, ruleset))


def _lengths_mm(policy: PolicySettings) -> tuple[tuple[str, float], ...]:
    """A length below and one above the band of the size criterion."""
    low, high = policy.size_possible_mm, policy.size_limit_mm
    return ((f"<{low:g}", low * 0.8), (f">{high:g}", high * 1.2))


def _intervals(limits: tuple[float, ...]) -> Iterator[tuple[str, float]]:
    """One number from each interval between limits."""
    if not limits:
        return
    yield f"<{limits[0]:g}", limits[0] / 2
    for low, high in pairwise(limits):
        yield f"{low:g}-{high:g}", (low + high) / 2
    yield f">{limits[-1]:g}", limits[-1] * 1.25


@lru_cache(maxsize=32)
def _limits_of(fact: str, ruleset: Ruleset) -> tuple[float, ...]:
    """Numbers the rules hold a fact against, ascending."""
    conditions = [
        condition
        for rule in ruleset.rules
        for condition in (rule.when, rule.strong, *(remark.when for remark in rule.remarks))
        if condition is not None
    ]
    limits = {
        row.limit
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
    missing = [test for test in _CORE_LABS if getattr(clinical.labs, test) is None]
    if len(missing) > 1:
        yield "labs.core", "normal", with_labs(**{test: LAB_VALUES[test]["normal"] for test in missing})


def _lab_values() -> dict[str, dict[str, Lab]]:
    """A low, a normal and a high result of each test, where it has such a limit."""
    values: dict[str, dict[str, Lab]] = {}
    for test, analyte in ANALYTES.items():
        low, high = analyte.reference
        middle = (low + high) / 2 if low is not None and high is not None else low * 1.5 if low is not None else None
        chosen = {
            "low": None if low is None else max(analyte.possible[0], low * 0.8),
            "normal": middle if middle is not None else (high or 0.0) / 2,
            "high": None if high is None else min(analyte.possible[1], high * 1.1),
        }
        values[test] = {
            state: Lab(value=value, unit=analyte.unit, low=low, high=high)
            for state, value in chosen.items()
            if value is not None
        }
    return values


LAB_VALUES: Final = _lab_values()
"""A low, a normal and a high result of each test, as a laboratory would give it."""


def _lesion_answers(
    lesion: LesionFinding, findings: Findings, policy: PolicySettings
) -> Iterator[tuple[str, str, LesionFinding]]:
    """Answers a reader of the images could give; on a projection neither a mass nor the layer can be read."""

    def with_part(part: str, record: Record, **fields: object) -> LesionFinding:
        return lesion.model_copy(update={part: record.model_copy(update=fields)})

    unknown = [name for name in FindingFeatures.model_fields if getattr(lesion.features, name) is YesNo.UNKNOWN]
    for feature, answer in product(unknown, (YesNo.NO, YesNo.YES)):
        changed = with_part("features", lesion.features, **{feature: answer})
        yield f"lesion.features.{feature}", str(answer), changed
    if lesion.bone_relation in {None, BoneRelation.CANNOT_DETERMINE}:
        for relation in (BoneRelation.SEPARATE, BoneRelation.CONTIGUOUS):
            yield "lesion.bone_relation", str(relation), lesion.model_copy(update={"bone_relation": relation})
    if findings.modality in {None, "CT"}:
        yield from _soft_tissue_answers(lesion, policy, with_part)
    if lesion.prior is None:
        yield from _prior_answers(lesion, findings)


def _soft_tissue_answers(
    lesion: LesionFinding, policy: PolicySettings, with_part: Callable[..., LesionFinding]
) -> Iterator[tuple[str, str, LesionFinding]]:
    if lesion.mass.present is YesNo.UNKNOWN and lesion.mass.max_diameter_mm is None:
        for answer in (YesNo.NO, YesNo.YES):
            yield "lesion.mass.present", str(answer), with_part("mass", lesion.mass, present=answer)
    if lesion.mass.present is YesNo.YES and lesion.mass.max_diameter_mm is None:
        for word, length_mm in _lengths_mm(policy):
            yield "lesion.mass.max_diameter_mm", word, with_part("mass", lesion.mass, max_diameter_mm=length_mm)
    if lesion.depth.class_ in {None, DepthClass.CANNOT_DETERMINE}:
        for layer in (DepthClass.SUBCUTANEOUS, DepthClass.SUBFASCIAL):
            yield "lesion.depth.class", str(layer), with_part("depth", lesion.depth, class_=layer)


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
