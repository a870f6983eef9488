"""Laboratory values one by one: both systems of units, the range they are held against, their age."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal

from calcreport.model.clinical import Lab, Labs
from calcreport.model.laboratory import ANALYTES, Analyte, convert
from calcreport.model.report import LabResult

ADULT_YEARS: Final = 18.0
"""Below this age adult ranges of growing bone and muscle mass do not apply."""

_PRODUCT_LIMIT: Final = 55.0  # mg2/dL2; KDOQI guideline 6
_PRODUCT_LIMIT_CHILD: Final = 65.0  # mg2/dL2 up to 12 years; KDOQI paediatric guideline 7
_CHILD_YEARS: Final = 12.0  # upper age of `_PRODUCT_LIMIT_CHILD`
_PRODUCT_MARKED: Final = 70.0
"""mg2/dL2; the figure usually taught as the point where ectopic calcification is expected."""

Band = Literal["normal", "raised", "markedly raised"]
"""Band of the calcium x phosphate product."""

State = Literal["low", "normal", "high"]
"""A value against its range."""

_Range = tuple[float | None, float | None]  # lower and upper limit; None where there is none


def product_limit(age_years: float | None) -> float:
    """Limit of the calcium x phosphate product in mg2/dL2; that of adults when the age is not known."""
    return _PRODUCT_LIMIT_CHILD if age_years is not None and age_years <= _CHILD_YEARS else _PRODUCT_LIMIT


def band_of_product(product_mg2_dl2: float, limit_mg2_dl2: float) -> Band:
    """Band of a product: normal below the limit, raised from it, markedly raised from 70 mg2/dL2."""
    if product_mg2_dl2 < limit_mg2_dl2:
        return "normal"
    return "markedly raised" if product_mg2_dl2 >= _PRODUCT_MARKED else "raised"


def read_results(
    labs: Labs, *, age_years: float | None, sex: str | None, study_date: date | None, max_age_days: int
) -> tuple[LabResult, ...]:
    """Take over every value given.

    `labs`: checked for unit and possibility; `age_years`: decides whether adult ranges apply; `sex`: ``F`` or ``M``;
    `study_date`: the age of a value counts to this day; without it no age is known; `max_age_days`: a value further
    from the study is not used. Gives in the order of `ANALYTES`.
    """
    given = [(name, lab) for name in ANALYTES if (lab := getattr(labs, name)) is not None]
    return tuple(
        _read(name, lab, age_years, sex, _age(lab, study_date), max_age_days=max_age_days) for name, lab in given
    )


def _age(lab: Lab, study_date: date | None) -> int | None:
    return None if study_date is None or lab.date is None else (study_date - lab.date).days


def _read(
    name: str, lab: Lab, age_years: float | None, sex: str | None, age_days: int | None, *, max_age_days: int
) -> LabResult:
    analyte = ANALYTES[name]
    value = convert(analyte, lab.value, lab.unit) or 0.0  # unknown units are refused when the value is typed
    (low, high), source = _range(analyte, lab, age_years, sex)
    is_used = age_days is None or abs(age_days) <= max_age_days
    unit, factor = analyte.conventional
    reason = "" if is_used else f"further than {max_age_days} days from the study"
    if is_used and source == "none":
        reason = "no adult range applies at this age; the laboratory's own is needed"
    return LabResult(
        test=name,
        value=lab.value,
        unit=lab.unit,
        si_value=value,
        si_unit=analyte.unit,
        conventional_value=value * factor,
        conventional_unit=unit,
        low=low,
        high=high,
        range_source=source,
        state="unknown" if source == "none" or not is_used else state_of(value, low, high),
        date=None if lab.date is None else lab.date.isoformat(),
        age_days=age_days,
        is_used=is_used,
        reason=reason,
    )


def _range(
    analyte: Analyte, lab: Lab, age_years: float | None, sex: str | None
) -> tuple[_Range, Literal["laboratory", "adult default", "none"]]:
    """Range in the unit of calculation: each limit of the laboratory wins over the adult one."""
    own = tuple(None if limit is None else convert(analyte, limit, lab.unit) for limit in (lab.low, lab.high))
    if analyte.is_adult_only and age_years is not None and age_years < ADULT_YEARS:
        # Without the upper limit of the laboratory nothing can be called normal in a child.
        return ((own[0], own[1]), "laboratory") if own[1] is not None else ((None, None), "none")
    low, high = (analyte.reference_of or {}).get(sex or "", analyte.reference)
    source: Literal["laboratory", "adult default"] = "adult default" if own == (None, None) else "laboratory"
    return (low if own[0] is None else own[0], high if own[1] is None else own[1]), source


def state_of(value: float, low: float | None, high: float | None) -> State:
    """State of a value against limits in the same unit; a limit itself is normal."""
    if low is not None and value < low:
        return "low"
    return "high" if high is not None and value > high else "normal"
