"""What the clinician tells: every field optional, every yes/no three-valued, unknown never a no."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from calcreport.model.answers import Answer, ContrastPhase, Count, Day, Number, Side, Word, as_word, reads
from calcreport.model.laboratory import ANALYTES, convert
from calcreport.model.report import Laterality, Record, YesNo
from calcreport.model.terms import Hidden
from calcreport.model.typed_mistakes import checked, without_unknown


def _as_list(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was typed
    """Read ``no`` as nothing and ``yes`` as a limitation nobody named."""
    word = {True: "yes", False: "no"}[value] if isinstance(value, bool) else as_word(value)
    known = {"no": (), "none": (), "yes": ("not specified",), "unknown": None}
    return known.get(word, (word,)) if isinstance(word, str) else value


def _as_explanation(value: Any) -> Any:  # noqa: ANN401
    """Read ``no`` and ``none`` as: no explanation was found."""
    if value is True:
        msg = "must name what explains the pain (trauma, tendon, arthritis, ...)"
        raise ValueError(msg)
    word = "none" if value is False else as_word(value)
    return (
        {"": None, "unknown": None, "no": "none", "nothing": "none"}.get(word, word) if isinstance(word, str) else word
    )


def _as_stage(value: Any) -> Any:  # noqa: ANN401
    """Read ``3a``, ``5D`` and ``none`` as stage numbers."""
    word = "none" if value is False else as_word(value)
    if not isinstance(word, str):
        return value
    match = re.fullmatch(r"(?:ckd\s*)?g?([1-5])[abdt]?", word)
    return int(match.group(1)) if match else {"no": 0, "none": 0, "unknown": None}.get(word, value)


def _as_sex(value: Any) -> Any:  # noqa: ANN401
    """Read the words as the letters."""
    words = {"female": "F", "male": "M", "other": "O", "unknown": None}
    return words.get(as_word(value), value.strip().upper()) if isinstance(value, str) else value


Years = Annotated[Number, Field(ge=0, le=130)]  # age in years
Weeks = Annotated[Number, Field(ge=0, le=6800)]  # weeks; as many as the longest age
Months = Annotated[Number, Field(ge=0, le=1560)]  # months; as many as the longest age


class PatientGiven(Record):
    """Age and sex as typed."""

    age_years: Years | None = None
    sex: Annotated[Literal["F", "M", "O"] | None, BeforeValidator(_as_sex)] = None


class Site(Record):
    """Where the complaint is."""

    region: Word | None = None
    laterality: Side = Laterality.UNKNOWN


class Symptoms(Record):
    """Complaints at the site."""

    symptomatic: Answer = YesNo.UNKNOWN
    pain: Answer = YesNo.UNKNOWN
    pain_explained_by: Annotated[Word | None, BeforeValidator(_as_explanation)] = None
    """What explains the pain; ``"none"`` when it was looked for and not found."""
    point_tenderness: Answer = YesNo.UNKNOWN
    inflammation: Answer = YesNo.UNKNOWN
    fever: Answer = YesNo.UNKNOWN
    functional_limitation: Annotated[tuple[Word, ...] | None, BeforeValidator(_as_list)] = None
    """Named limitations; empty when there is none, ``None`` when not asked."""
    cosmetic_concern: Answer = YesNo.UNKNOWN
    skin_necrosis: Answer = YesNo.UNKNOWN
    rash_or_weakness: Answer = YesNo.UNKNOWN


class FeltMass(Record):
    """The mass as felt."""

    palpable: Answer = YesNo.UNKNOWN
    size_cm: Annotated[Number, Field(gt=0, le=100)] | None = None
    mobility: Annotated[Literal["fixed", "mobile", "unknown"], BeforeValidator(as_word)] = "unknown"


class Growth(Record):
    """The course as described."""

    rate: Annotated[Literal["none", "slow", "rapid", "unknown"], reads({None: "unknown", "no": "none"})] = "unknown"
    weeks: Weeks | None = None
    """Time over which it grew."""
    stable_months: Months | None = None
    """Time over which it was seen not to change."""


class History(Record):
    """What happened before."""

    trauma: Answer = YesNo.UNKNOWN
    trauma_weeks_ago: Weeks | None = None
    compartment_syndrome: Answer = YesNo.UNKNOWN
    surgery_at_site: Answer = YesNo.UNKNOWN
    arthroplasty: Answer = YesNo.UNKNOWN
    fracture: Answer = YesNo.UNKNOWN
    burns: Answer = YesNo.UNKNOWN
    cns_injury: Answer = YesNo.UNKNOWN
    immobility: Answer = YesNo.UNKNOWN
    injections_at_site: Answer = YesNo.UNKNOWN
    infection_at_site: Answer = YesNo.UNKNOWN
    parasite_exposure: Answer = YesNo.UNKNOWN
    venous_disease: Answer = YesNo.UNKNOWN
    haematoma: Answer = YesNo.UNKNOWN
    anticoagulation: Answer = YesNo.UNKNOWN
    diabetes: Answer = YesNo.UNKNOWN
    vascular_disease: Answer = YesNo.UNKNOWN
    radiotherapy_at_site: Answer = YesNo.UNKNOWN
    excision_at_site: Answer = YesNo.UNKNOWN
    malignancy: Answer = YesNo.UNKNOWN
    sarcoma: Answer = YesNo.UNKNOWN
    predisposition_syndrome: Answer = YesNo.UNKNOWN
    prior_biopsy_benign: Answer = YesNo.UNKNOWN


class Conditions(Record):
    """Known diseases."""

    ckd_stage: Annotated[Annotated[Count, Field(ge=0, le=5)] | None, BeforeValidator(_as_stage)] = None
    """0 when there is no chronic kidney disease."""
    dialysis: Answer = YesNo.UNKNOWN
    hyperparathyroidism: Answer = YesNo.UNKNOWN
    vitamin_d_excess: Answer = YesNo.UNKNOWN
    dermatomyositis: Answer = YesNo.UNKNOWN
    juvenile_dermatomyositis: Answer = YesNo.UNKNOWN
    systemic_sclerosis: Answer = YesNo.UNKNOWN
    sle: Answer = YesNo.UNKNOWN
    mctd: Answer = YesNo.UNKNOWN
    fop: Answer = YesNo.UNKNOWN
    acvr1_variant: Answer = YesNo.UNKNOWN
    great_toe_malformation: Answer = YesNo.UNKNOWN


class Lab(Record):
    """One laboratory result, with the laboratory's own range in the same unit."""

    value: Annotated[Number, Field(ge=0)]
    unit: Annotated[str, Field(max_length=40)]
    date: Day | None = None
    low: Annotated[Number, Field(ge=0)] | None = None
    high: Annotated[Number, Field(ge=0)] | None = None
    adjusted: Answer = YesNo.UNKNOWN
    """Calcium only: ``yes`` when the value is already adjusted for albumin."""


def _lab_problem(name: str, lab: Lab) -> str | None:
    """Say what is wrong with a result: ``"kind|field: text"`` without the value, ``None`` when nothing is."""
    analyte = ANALYTES[name]
    value = convert(analyte, lab.value, lab.unit)
    if value is None:
        return f"lab_unit|labs.{name}.unit: not a unit of this test; use one of {', '.join(analyte.factors)}"
    low, high = analyte.possible
    if not low <= value <= high:
        limits = f"{low:g} to {high:g} {analyte.unit}"
        return f"lab_impossible|labs.{name}.value: not physiologically possible ({limits}); check value and unit"
    for side, limit in (("low", lab.low), ("high", lab.high)):
        bound = None if limit is None else convert(analyte, limit, lab.unit)
        if bound is not None and (bound > high or (side == "high" and bound < low)):
            return f"lab_impossible|labs.{name}.{side}: not possible in the unit of the value; is it in another unit?"
    if lab.low is not None and lab.high is not None and lab.low > lab.high:
        return f"value|labs.{name}.low: the lower limit lies above the upper one"
    if name != "calcium" and lab.adjusted is not YesNo.UNKNOWN:
        return f"value|labs.{name}.adjusted: only calcium is adjusted"
    return None


class Labs(Record):
    """Laboratory results; each checked for unit and possibility when built."""

    calcium: Lab | None = None
    ionised_calcium: Lab | None = None
    albumin: Lab | None = None
    phosphate: Lab | None = None
    pth: Lab | None = None
    alp: Lab | None = None
    creatinine: Lab | None = None
    egfr: Lab | None = None
    vitamin_d: Lab | None = None
    ck: Lab | None = None
    urate: Lab | None = None

    @field_validator("*")
    @classmethod
    def _check(cls, lab: Lab | None, info: ValidationInfo) -> Lab | None:
        problem = None if lab is None else _lab_problem(str(info.field_name), lab)
        if problem:
            raise ValueError(problem)
        return lab


class Imaging(Record):
    """What the clinician knows about the imaging."""

    contrast: ContrastPhase = "unknown"


class Request(Hidden):
    """The request; free text, hostile until escaped."""

    question: Annotated[str, Field(max_length=2000)] | None = None
    referrer: Annotated[str, Field(max_length=200)] | None = None


_Input = TypeVar("_Input", bound="Clinical")  # a typed section of the clinical data


class Clinical(Record):
    """Everything a clinician may tell; all of it may be missing."""

    patient: PatientGiven = PatientGiven()
    site: Site = Site()
    symptoms: Symptoms = Symptoms()
    mass: FeltMass = FeltMass()
    growth: Growth = Growth()
    history: History = History()
    conditions: Conditions = Conditions()
    labs: Labs = Labs()
    imaging: Imaging = Imaging()
    request: Request = Request()


def _as_key(value: Any) -> Any:  # noqa: ANN401
    """Read a whole number as its digits; `typed_text` keeps the zeros in front of it."""
    if isinstance(value, bool | float):
        msg = "must be text; put it in quotes"
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError only
    return str(value).strip() or None if isinstance(value, int | str) else value


# What a row of a clinical table is found by; None where it is empty
Key = Annotated[Annotated[str, Field(max_length=200)] | None, BeforeValidator(_as_key)]


class ClinicalRow(Hidden, Clinical):
    """Clinical input that names the study or the patient it is about: a row of a table, or a whole file."""

    study_instance_uid: Key = None
    accession_number: Key = None
    patient_id: Key = None


KEYS: Final = tuple(name for name in ClinicalRow.model_fields if name not in Clinical.model_fields)
"""What a row may be keyed by, the most specific first."""


def parse_row(data: Mapping[str, Any]) -> tuple[dict[str, str], Clinical]:
    """Check clinical input that may name its study or patient; its `KEYS` that were given, and the input without them.

    Raises `ClinicalError` as `parse_clinical`.
    """
    row = _validated(data, ClinicalRow)
    keys = {name: key for name in KEYS if (key := getattr(row, name)) is not None}
    return keys, Clinical(**{name: getattr(row, name) for name in Clinical.model_fields})


def parse_clinical(data: Mapping[str, Any]) -> Clinical:
    """Check clinical input, as read from YAML or JSON, and take it over; everything not given is unknown.

    Raises `ClinicalError` with every mistake at once, one a line, by the name of its field and without its value:
    ``clinical.unknown_key``, ``clinical.lab_unit``, ``clinical.lab_impossible``, ``clinical.value``;
    ``clinical.invalid`` when there are several kinds.
    """
    return _validated(data, Clinical)


def _validated(data: Mapping[str, Any], root: type[_Input]) -> _Input:
    return checked(without_unknown(data, root), root, area="clinical", data=data)


def as_given(clinical: Clinical) -> dict[str, Any]:
    """Clinical input for the report: sections and fields as given, plain values, every unknown named ``"unknown"``."""

    def named(value: Any) -> Any:  # noqa: ANN401 - plain values of any kind
        if isinstance(value, dict):
            return {key: named(inner) for key, inner in value.items()}
        return "unknown" if value is None else value

    return dict(named(clinical.model_dump(mode="json")))
