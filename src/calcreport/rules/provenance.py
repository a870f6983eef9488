"""Provenance of the inputs of a decision: typed or read from the header, compared, converted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from calcreport.model.clinical import Clinical
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.model.report import Laterality, UsedInput
from calcreport.rules.growth import weigh_growth
from calcreport.rules.laboratory import LabFacts
from calcreport.rules.regions import are_apart
from calcreport.settings import PolicySettings

_AGE_TOLERANCE_YEARS: Final = 1.0  # A header holds the age on the day of the study, or in whole years

_NAMES: Final = {
    "patient.age_years": "age",
    "patient.sex": "sex",
    "imaging.contrast": "contrast",
    "site.laterality": "side",
    "site.region": "region",
}  # printed names of the inputs

Given = float | str | None  # value as given; None for none


def add_provenance(
    decision: Decision, findings: Findings, clinical: Clinical, policy: PolicySettings, labs: LabFacts
) -> Decision:
    """Add the provenance of its inputs to a decision.

    `decision`: on the lesions of `findings`, in their order; `findings`, `clinical` and `policy`: what was decided on;
    `labs`: laboratory values as weighed. Gives with laboratory values, growth of each lesion, sources of the inputs;
    each contradiction between what was typed and what the header says is a limitation.
    """
    inputs = tuple(used_inputs(findings, clinical))
    lesions = tuple(
        decided.model_copy(update={"growth": weigh_growth(lesion, findings, policy)})
        for decided, lesion in zip(decision.lesions, findings.lesions, strict=True)
    )
    return decision.model_copy(
        update={
            "lesions": lesions,
            "laboratory": labs.laboratory,
            "inputs": inputs,
            "limitations": (*decision.limitations, *map(_contradiction, filter(_is_contradicted, inputs))),
        }
    )


def used_inputs(findings: Findings, clinical: Clinical) -> Iterator[UsedInput]:
    """Inputs from clinician and image header: typed input takes precedence, differences are marked."""
    header, site = findings.header, clinical.site
    age_years = clinical.patient.age_years
    is_other_age = (
        age_years is not None
        and header.age_years is not None
        and abs(age_years - header.age_years) > _AGE_TOLERANCE_YEARS
    )
    yield from _used("patient.age_years", age_years, header.age_years, differs=is_other_age)
    sex = clinical.patient.sex
    yield from _used("patient.sex", sex, header.sex, differs=_both(sex, header.sex) and sex != header.sex)
    contrast = None if clinical.imaging.contrast == "unknown" else clinical.imaging.contrast
    is_given = header.contrast == "given_phase_unknown"
    differs = _both(contrast, header.contrast) and (contrast == "none" if is_given else contrast != header.contrast)
    yield from _used("imaging.contrast", contrast, header.contrast, differs=differs)
    side = None if site.laterality is Laterality.UNKNOWN else site.laterality.value
    differs = _both(side, header.laterality) and side not in {header.laterality, "midline"}
    yield from _used("site.laterality", side, header.laterality, differs=differs)
    apart = are_apart(site.region, header.body_part)
    yield from _used("site.region", site.region, header.body_part, differs=apart)


def _both(typed: Given, header: Given) -> bool:
    return typed is not None and header is not None


def _used(name: str, typed: Given, header: Given, *, differs: bool) -> Iterator[UsedInput]:
    value = header if typed is None else typed
    if value is not None:
        source = "header" if typed is None else "clinician"
        yield UsedInput.model_validate(
            {"name": name, "value": value, "source": source, "header_value": header, "is_contradicted": differs}
        )


def _is_contradicted(used: UsedInput) -> bool:
    return used.is_contradicted


def _contradiction(used: UsedInput) -> str:
    typed, header = (
        f"{value:g}" if isinstance(value, float) else str(value).removesuffix("_phase_unknown")
        for value in (used.value, used.header_value)
    )
    return (
        f"Contradiction: the {_NAMES[used.name]} was entered as {typed}, the image header says {header}; what was "
        "entered was used."
    )
