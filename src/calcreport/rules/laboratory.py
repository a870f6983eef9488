"""Facts from laboratory values: low, normal or high against the right range, renal function, product."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from calcreport.model.clinical import Clinical, Lab, Labs
from calcreport.model.laboratory import (
    ANALYTES,
    MG_DL_PER_MMOL_L_CALCIUM,
    Analyte,
    adjust_calcium,
    calcium_phosphate_product,
    convert,
)
from calcreport.model.report import Laboratory, LabResult, YesNo
from calcreport.rules.conditions import Value
from calcreport.rules.facts import answer

_RENAL_STAGE: Final = 3.0  # chronic kidney disease from this stage on reduces phosphate excretion (KDIGO)

# Tests that are normal together or not at all, with their printed names.
CORE_TESTS: Final = {"calcium": "calcium (adjusted)", "phosphate": "phosphate", "pth": "PTH", "alp": "ALP"}

_OTHERS: Final = ("phosphate", "pth", "alp", "vitamin_d", "ck", "urate")  # tests beside calcium, creatinine and eGFR

_PTH_BAND: Final = (2.0, 9.0)  # times the upper limit: what KDIGO accepts on dialysis


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFacts:
    """Laboratory facts."""

    facts: dict[str, Value]
    notes: tuple[str, ...]
    """For the impression: a raised product."""
    limitations: tuple[str, ...]
    """What was not used and why, and which value to trust less."""
    laboratory: Laboratory | None = None
    """Every value with its range and what was calculated; ``None`` when none was given."""


def weigh_labs(
    clinical: Clinical,
    *,
    age_years: float | None,
    study_date: date | None,
    max_age_days: int,
    sex: str | None = None,
    urgent_calcium_mmol_l: float = 3.0,
) -> LabFacts:
    """Compare laboratory values, already checked for possibility, with their ranges.

    ``None`` for every test that is missing, has no range at this age, or is further from the study than `max_age_days`;
    without a study date none is refused. Without `sex` (``F``, ``M``) the wider of ranges that differ holds. Calcium is
    judged by the ionised value where there is one, else adjusted for albumin where that is known, and is the first
    thing said from `urgent_calcium_mmol_l` on. The product uses adjusted calcium.
    """
    results = read_results(
        clinical.labs, age_years=age_years, sex=sex, study_date=study_date, max_age_days=max_age_days
    )
    usable = {result.test: result for result in results if result.is_used}
    calcium = _adjusted_calcium(clinical, usable)
    states = {name: _state(usable.get(name)) for name in _OTHERS} | {"calcium": _calcium_state(usable, calcium)}
    renal = _renal(clinical, usable)
    missing = [name for test, name in CORE_TESTS.items() if states[test] is None]
    wanted = "; ".join(filter(None, (", ".join(missing), "" if renal else "creatinine/eGFR (renal function)")))
    is_abnormal, is_complete = not {"low", "high"}.isdisjoint(states[test] for test in CORE_TESTS), not missing
    limit = product_limit(age_years)
    phosphate = usable["phosphate"].si_value if "phosphate" in usable else None
    product = None if calcium is None or phosphate is None else calcium_phosphate_product(calcium, phosphate)
    facts: dict[str, Value] = {f"labs.{name}": state for name, state in states.items()}
    facts |= {
        "labs.calcium_mmol_l": calcium,
        "labs.renal": renal,
        "labs.core_normal": answer(is_yes=False if is_abnormal else is_complete or None),
        "labs.core_complete": answer(is_yes=is_complete),
        "labs.missing": wanted or None,
        "labs.product_limit": limit,
        "labs.product": product,
    }
    adjusted = calcium if _is_adjusted(clinical, usable) else None
    old = ", ".join(ANALYTES[result.test].name for result in results if not result.is_used)
    unused = f"Laboratory values further than {max_age_days} days from the study were not used: {old}."
    limitations = [unused] if old else []
    if adjusted is not None and renal == "reduced":
        limitations.append("Calcium adjusted for albumin is unreliable in renal failure.")
    band = None if product is None else band_of_product(product, limit)
    is_urgent = calcium is not None and calcium >= urgent_calcium_mmol_l
    notes = [f"URGENT: severe hypercalcaemia, calcium {calcium:.2f} mmol/L"] if is_urgent else []
    if product is not None and band != "normal":
        notes.append(f"Calcium x phosphate product {product:.1f} mg2/dL2 ({band})")
    laboratory = Laboratory(
        results=results,
        calcium_state=states["calcium"] or "unknown",
        is_calcium_urgent=is_urgent,
        adjusted_calcium_mmol_l=adjusted,
        adjusted_calcium_mg_dl=None if adjusted is None else adjusted * MG_DL_PER_MMOL_L_CALCIUM,
        product_mg2_dl2=product,
        product_mmol2_l2=None if calcium is None or phosphate is None else calcium * phosphate,
        product_band=band,
        product_limit_mg2_dl2=None if product is None else limit,
        remarks=tuple(_remarks(clinical, usable, calcium)),
    )
    return LabFacts(
        facts=facts, notes=tuple(notes), limitations=tuple(limitations), laboratory=laboratory if results else None
    )


def _state(result: LabResult | None) -> State | None:
    return None if result is None or result.state == "unknown" else result.state


def _is_given_adjusted(clinical: Clinical) -> bool:
    return clinical.labs.calcium is not None and clinical.labs.calcium.adjusted is YesNo.YES


def _is_adjusted(clinical: Clinical, usable: dict[str, LabResult]) -> bool:
    return "calcium" in usable and ("albumin" in usable or _is_given_adjusted(clinical))


def _adjusted_calcium(clinical: Clinical, usable: dict[str, LabResult]) -> float | None:
    """Calcium in mmol/L, adjusted when albumin is known and the value is not adjusted already."""
    calcium, albumin = usable.get("calcium"), usable.get("albumin")
    if calcium is None or albumin is None or _is_given_adjusted(clinical):
        return None if calcium is None else calcium.si_value
    return adjust_calcium(calcium.si_value, albumin.si_value)


def _calcium_state(usable: dict[str, LabResult], calcium: float | None) -> State | None:
    """Ionised calcium decides where it is known: it needs no adjusting."""
    ionised, total = _state(usable.get("ionised_calcium")), usable.get("calcium")
    if ionised is not None or total is None or calcium is None:
        return ionised
    return state_of(calcium, total.low, total.high)


def _renal(clinical: Clinical, usable: dict[str, LabResult]) -> str | None:
    """Reduced when anything says so; normal when something says so and nothing else; ``None`` otherwise."""
    stage = clinical.conditions.ckd_stage
    filtration, creatinine = _state(usable.get("egfr")), _state(usable.get("creatinine"))
    is_stated = clinical.conditions.dialysis is YesNo.YES or (stage or 0) >= _RENAL_STAGE
    if is_stated or filtration == "low" or creatinine == "high":
        return "reduced"
    return None if {filtration, creatinine, stage} == {None} else "normal"


def _remarks(clinical: Clinical, usable: dict[str, LabResult], calcium: float | None) -> list[str]:
    """Remarks on the values and on calculated ones."""
    remarks = []
    if "calcium" in usable and not _is_adjusted(clinical, usable):
        remarks.append("calcium is not adjusted: albumin is not known")
    ionised, total = _state(usable.get("ionised_calcium")), usable.get("calcium")
    by_total = None if total is None or calcium is None else state_of(calcium, total.low, total.high)
    if None not in {ionised, by_total} and by_total != ionised:
        remarks.append(f"total calcium is {by_total} and ionised calcium {ionised}: the ionised value decides")
    undated = [ANALYTES[name].name for name, result in usable.items() if result.age_days is None]
    if undated:
        remarks.append(f"the age of these values could not be checked: {', '.join(undated)}")
    pth = usable.get("pth")
    if clinical.conditions.dialysis is YesNo.YES and pth is not None:
        times = pth.si_value / (pth.high or ANALYTES["pth"].reference[1] or 1.0)
        within = "within" if _PTH_BAND[0] <= times <= _PTH_BAND[1] else "outside"
        remarks.append(f"PTH is {times:.1f} times the upper limit, {within} the band of 2-9 accepted on dialysis")
    return remarks


ADULT_YEARS: Final = 18.0  # Below this age adult ranges of growing bone and muscle mass do not apply

_PRODUCT_LIMIT: Final = 55.0  # mg2/dL2; KDOQI guideline 6
_PRODUCT_LIMIT_CHILD: Final = 65.0  # mg2/dL2 up to 12 years; KDOQI paediatric guideline 7
_CHILD_YEARS: Final = 12.0  # upper age of `_PRODUCT_LIMIT_CHILD`
_PRODUCT_MARKED: Final = 70.0  # mg2/dL2; the figure usually taught as the point where ectopic calcification is expected

Band = Literal["normal", "raised", "markedly raised"]  # Band of the calcium x phosphate product

State = Literal["low", "normal", "high"]  # A value against its range

_Range = tuple[float | None, float | None]  # lower and upper limit; None where there is none
_Source = Literal["laboratory", "adult default", "none"]  # of a range


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
    """Take over every value given, in the order of `ANALYTES`; one too far from the study is kept and not used."""
    given = {name: lab for name in ANALYTES if (lab := getattr(labs, name)) is not None}
    ages = {name: (study_date - lab.date).days for name, lab in given.items() if study_date and lab.date}
    return tuple(
        _read(name, lab, _range(ANALYTES[name], lab, age_years, sex), ages.get(name), max_age_days)
        for name, lab in given.items()
    )


def _read(name: str, lab: Lab, limits: tuple[_Range, _Source], age_days: int | None, max_age_days: int) -> LabResult:
    analyte, ((low, high), source) = ANALYTES[name], limits
    value = convert(analyte, lab.value, lab.unit) or 0.0  # unknown units are refused when the value is typed
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


def _range(analyte: Analyte, lab: Lab, age_years: float | None, sex: str | None) -> tuple[_Range, _Source]:
    """Range in the unit of calculation: each limit of the laboratory wins over the adult one."""
    own = tuple(None if limit is None else convert(analyte, limit, lab.unit) for limit in (lab.low, lab.high))
    if analyte.is_adult_only and age_years is not None and age_years < ADULT_YEARS:
        # Without the upper limit of the laboratory nothing can be called normal in a child.
        return ((own[0], own[1]), "laboratory") if own[1] is not None else ((None, None), "none")
    low, high = (analyte.reference_of or {}).get(sex or "", analyte.reference)
    source: _Source = "adult default" if own == (None, None) else "laboratory"
    return (low if own[0] is None else own[0], high if own[1] is None else own[1]), source


def state_of(value: float, low: float | None, high: float | None) -> State:
    """State of a value against limits in the same unit; a limit itself is normal."""
    if low is not None and value < low:
        return "low"
    return "high" if high is not None and value > high else "normal"
