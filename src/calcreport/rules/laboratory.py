"""Facts from laboratory values: low, normal or high against the right range, renal function, product."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from calcreport.model.clinical import Clinical
from calcreport.model.laboratory import (
    ANALYTES,
    MG_DL_PER_MMOL_L_CALCIUM,
    adjust_calcium,
    calcium_phosphate_product,
)
from calcreport.model.report import Laboratory, LabResult, YesNo
from calcreport.rules.conditions import Value
from calcreport.rules.facts import answer
from calcreport.rules.laboratory_values import Band, State, band_of_product, product_limit, read_results, state_of

_RENAL_STAGE: Final = 3.0  # chronic kidney disease from this stage on reduces phosphate excretion (KDIGO)

_CORE: Final = ("calcium", "phosphate", "pth", "alp")  # tests that are normal together or not at all

_OTHERS: Final = ("phosphate", "pth", "alp", "vitamin_d", "ck", "urate")  # tests beside calcium, creatinine and eGFR

_PTH_BAND: Final = (2.0, 9.0)  # times the upper limit: what KDIGO accepts on dialysis


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFacts:
    """Laboratory facts."""

    facts: dict[str, Value]
    """Every ``labs.`` fact."""
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
    """Compare laboratory values with their ranges.

    `clinical`: values with units, already checked for possibility; `age_years`: decides whether adult ranges apply;
    `study_date`: values further from it than `max_age_days` are not used; without it none is refused; `max_age_days`:
    oldest usable value; `urgent_calcium_mmol_l`: from here on calcium is the first thing said; `sex`: ``F`` or ``M``
    chooses between ranges that differ; the wider one without it. Gives ``None`` for every test that is missing, too
    old, or has no range at this age. Calcium is judged by the ionised value where there is one, else adjusted for
    albumin where that is known. The product uses adjusted calcium.
    """
    results = read_results(
        clinical.labs, age_years=age_years, sex=sex, study_date=study_date, max_age_days=max_age_days
    )
    usable = {result.test: result for result in results if result.is_used}
    calcium = _adjusted_calcium(clinical, usable)
    states = {name: _state(usable.get(name)) for name in _OTHERS}
    states["calcium"] = _calcium_state(usable, calcium)
    renal = _renal(clinical, usable)
    core = [states[name] for name in _CORE]
    abnormal = any(state in {"low", "high"} for state in core)
    complete = all(state is not None for state in core)
    limit = product_limit(age_years)
    phosphate = usable.get("phosphate")
    product = None if calcium is None or phosphate is None else calcium_phosphate_product(calcium, phosphate.si_value)
    facts: dict[str, Value] = {f"labs.{name}": state for name, state in states.items()}
    facts |= {
        "labs.calcium_mmol_l": calcium,
        "labs.renal": renal,
        "labs.core_normal": answer(is_yes=False if abnormal else (True if complete else None)),
        "labs.core_complete": answer(is_yes=complete),
        "labs.product_limit": limit,
        "labs.product": product,
    }
    is_adjusted = calcium is not None and _is_adjusted(clinical, usable)
    limitations = [*_unused(results, max_age_days)]
    if is_adjusted and renal == "reduced":
        limitations.append("Calcium adjusted for albumin is unreliable in renal failure.")
    band = None if product is None else band_of_product(product, limit)
    return LabFacts(
        facts=facts,
        notes=(*_calcium_note(calcium, urgent_calcium_mmol_l), *_product_note(product, band)),
        limitations=tuple(limitations),
        laboratory=Laboratory(
            results=results,
            calcium_state=states["calcium"] or "unknown",
            is_calcium_urgent=bool(_calcium_note(calcium, urgent_calcium_mmol_l)),
            adjusted_calcium_mmol_l=calcium if is_adjusted else None,
            adjusted_calcium_mg_dl=calcium * MG_DL_PER_MMOL_L_CALCIUM if is_adjusted and calcium is not None else None,
            product_mg2_dl2=product,
            product_mmol2_l2=None if calcium is None or phosphate is None else calcium * phosphate.si_value,
            product_band=band,
            product_limit_mg2_dl2=None if product is None else limit,
            remarks=tuple(_remarks(clinical, usable, calcium)),
        )
        if results
        else None,
    )


def _state(result: LabResult | None) -> State | None:
    return None if result is None or result.state == "unknown" else result.state


def _is_adjusted(clinical: Clinical, usable: dict[str, LabResult]) -> bool:
    calcium = clinical.labs.calcium
    return "calcium" in usable and ("albumin" in usable or (calcium is not None and calcium.adjusted is YesNo.YES))


def _adjusted_calcium(clinical: Clinical, usable: dict[str, LabResult]) -> float | None:
    """Calcium in mmol/L, adjusted when albumin is known and the value is not adjusted already."""
    calcium, albumin = usable.get("calcium"), usable.get("albumin")
    if calcium is None:
        return None
    given = clinical.labs.calcium
    if albumin is None or (given is not None and given.adjusted is YesNo.YES):
        return calcium.si_value
    return adjust_calcium(calcium.si_value, albumin.si_value)


def _calcium_state(usable: dict[str, LabResult], calcium: float | None) -> State | None:
    """Ionised calcium decides where it is known: it needs no adjusting."""
    ionised, total = _state(usable.get("ionised_calcium")), usable.get("calcium")
    if ionised is not None or total is None or calcium is None:
        return ionised
    return state_of(calcium, total.low, total.high)


def _renal(clinical: Clinical, usable: dict[str, LabResult]) -> str | None:
    """Reduced when anything says so; normal when something says so and nothing else; ``None`` otherwise."""
    conditions = clinical.conditions
    filtration, creatinine = _state(usable.get("egfr")), _state(usable.get("creatinine"))
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


def _unused(results: tuple[LabResult, ...], max_age_days: int) -> list[str]:
    """Sentence on values that were left out, and what that means."""
    old = [ANALYTES[result.test].name for result in results if not result.is_used]
    if not old:
        return []
    return [f"Laboratory values further than {max_age_days} days from the study were not used: {', '.join(old)}."]


def _remarks(clinical: Clinical, usable: dict[str, LabResult], calcium: float | None) -> list[str]:
    """Remarks on the values and on calculated ones."""
    remarks = []
    if "calcium" in usable and not _is_adjusted(clinical, usable):
        remarks.append("calcium is not adjusted: albumin is not known")
    ionised, total = _state(usable.get("ionised_calcium")), usable.get("calcium")
    if ionised is not None and total is not None and calcium is not None:
        by_total = state_of(calcium, total.low, total.high)
        if by_total != ionised:
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


def _calcium_note(calcium: float | None, urgent_mmol_l: float) -> tuple[str, ...]:
    if calcium is None or calcium < urgent_mmol_l:
        return ()
    return (f"URGENT: severe hypercalcaemia, calcium {calcium:.2f} mmol/L",)


def _product_note(product: float | None, band: Band | None) -> tuple[str, ...]:
    """Name a raised product with its band."""
    if product is None or band in {None, "normal"}:
        return ()
    return (f"Calcium x phosphate product {product:.1f} mg2/dL2 ({band})",)
