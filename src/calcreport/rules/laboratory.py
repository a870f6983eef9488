"""Facts from laboratory values: low, normal or high against the right range, renal function, product."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from calcreport.model.clinical import Clinical, Lab, Labs
from calcreport.model.laboratory import ANALYTES, adjust_calcium, calcium_phosphate_product, convert
from calcreport.model.report import YesNo
from calcreport.rules.conditions import Value
from calcreport.rules.facts import answer

ADULT_YEARS: Final = 18.0
"""Below this age adult ranges of growing bone and muscle mass do not apply."""

_PRODUCT_LIMIT: Final = 55.0
"""mg2/dL2; KDOQI guideline 6."""
_PRODUCT_LIMIT_CHILD: Final = 65.0
"""mg2/dL2 up to 12 years; KDOQI paediatric guideline 7."""
_CHILD_YEARS: Final = 12.0
_PRODUCT_MARKED: Final = 70.0
"""mg2/dL2; the figure usually taught as the point where ectopic calcification is expected."""
_RENAL_STAGE: Final = 3.0
"""Chronic kidney disease from this stage on reduces phosphate excretion (KDIGO)."""
_CORE: Final = ("calcium", "phosphate", "pth", "alp")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFacts:
    """Laboratory facts.

    Parameters
    ----------
    facts : dict[str, Value]
        Every ``labs.`` fact.
    notes : tuple[str, ...]
        For the impression: a raised product.
    limitations : tuple[str, ...]
        What was not used and why, and which value to trust less.
    """

    facts: dict[str, Value]
    notes: tuple[str, ...]
    limitations: tuple[str, ...]


def weigh_labs(clinical: Clinical, *, age_years: float | None, study_date: date | None, max_age_days: int) -> LabFacts:
    """Compare laboratory values with their ranges.

    Parameters
    ----------
    clinical : Clinical
        Values with units, already checked for possibility.
    age_years : float | None
        Decides whether adult ranges apply.
    study_date : date | None
        Values further from it than `max_age_days` are not used; without it none is refused.
    max_age_days : int
        Oldest usable value.

    Returns
    -------
    LabFacts
        ``None`` for every test that is missing, too old, or has no range at this age.
    """
    usable, old = _usable(clinical.labs, study_date, max_age_days)
    values = {name: convert(ANALYTES[name], lab.value, lab.unit) for name, lab in usable.items()}
    calcium = _adjusted_calcium(usable, values)
    facts: dict[str, Value] = {
        f"labs.{name}": _state(name, usable.get(name), values.get(name), age_years)
        for name in ("phosphate", "pth", "alp", "vitamin_d", "ck", "urate")
    }
    facts["labs.calcium"] = _state("calcium", usable.get("calcium"), calcium, age_years)
    facts["labs.renal"] = _renal(clinical, usable, values, age_years)
    states = [facts[f"labs.{name}"] for name in _CORE]
    abnormal = any(state in {"low", "high"} for state in states)
    complete = all(state is not None for state in states)
    facts["labs.core_normal"] = answer(is_yes=False if abnormal else (True if complete else None))
    facts["labs.core_complete"] = answer(is_yes=complete)
    limit = _PRODUCT_LIMIT_CHILD if age_years is not None and age_years <= _CHILD_YEARS else _PRODUCT_LIMIT
    facts["labs.product_limit"] = limit
    phosphate = values.get("phosphate")
    product = None if calcium is None or phosphate is None else calcium_phosphate_product(calcium, phosphate)
    facts["labs.product"] = product
    limitations = (
        [f"Laboratory values further than {max_age_days} days from the study were not used: {', '.join(old)}."]
        if old
        else []
    )
    if calcium is not None and facts["labs.renal"] == "reduced" and _is_adjusted(usable):
        limitations.append("Calcium adjusted for albumin is unreliable in renal failure.")
    return LabFacts(facts=facts, notes=_product_note(product, limit), limitations=tuple(limitations))


def _usable(labs: Labs, study_date: date | None, max_age_days: int) -> tuple[dict[str, Lab], list[str]]:
    """Values near enough to the study, and the names of those that are not."""
    given = {name: lab for name in ANALYTES if (lab := getattr(labs, name)) is not None}
    old = [
        name
        for name, lab in given.items()
        if study_date is not None and lab.date is not None and abs((study_date - lab.date).days) > max_age_days
    ]
    return {name: lab for name, lab in given.items() if name not in old}, old


def _is_adjusted(usable: dict[str, Lab]) -> bool:
    return "albumin" in usable or usable["calcium"].adjusted is YesNo.YES


def _adjusted_calcium(usable: dict[str, Lab], values: dict[str, float | None]) -> float | None:
    """Calcium in mmol/L, adjusted when albumin is known and the value is not adjusted already."""
    calcium, albumin = values.get("calcium"), values.get("albumin")
    if calcium is None or albumin is None or usable["calcium"].adjusted is YesNo.YES:
        return calcium
    return adjust_calcium(calcium, albumin)


def _state(name: str, lab: Lab | None, value: float | None, age_years: float | None) -> str | None:
    """Low, normal or high; ``None`` without a value or without a range that fits the age."""
    if lab is None or value is None:
        return None
    analyte = ANALYTES[name]
    default_low, default_high = analyte.reference
    if analyte.is_adult_only and age_years is not None and age_years < ADULT_YEARS:
        default_low = default_high = None
        if lab.high is None:
            return None
    low = default_low if lab.low is None else convert(analyte, lab.low, lab.unit)
    high = default_high if lab.high is None else convert(analyte, lab.high, lab.unit)
    if low is not None and value < low:
        return "low"
    return "high" if high is not None and value > high else "normal"


def _renal(
    clinical: Clinical, usable: dict[str, Lab], values: dict[str, float | None], age_years: float | None
) -> str | None:
    """Reduced when anything says so; normal when something says so and nothing else; ``None`` otherwise."""
    conditions = clinical.conditions
    filtration = _state("egfr", usable.get("egfr"), values.get("egfr"), age_years)
    creatinine = _state("creatinine", usable.get("creatinine"), values.get("creatinine"), age_years)
    stage = conditions.ckd_stage
    if (
        conditions.dialysis is YesNo.YES
        or (stage is not None and stage >= _RENAL_STAGE)
        or filtration == "low"
        or creatinine == "high"
    ):
        return "reduced"
    says_normal = filtration is not None or creatinine is not None or stage is not None
    return "normal" if says_normal else None


def _product_note(product: float | None, limit: float) -> tuple[str, ...]:
    """Name a raised product with its band."""
    if product is None or product < limit:
        return ()
    band = "markedly raised" if product >= _PRODUCT_MARKED else "raised"
    return (f"Calcium x phosphate product {product:.1f} mg2/dL2 ({band})",)
