"""Clinical information and laboratory values in the words of a report, and the missing information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from calcreport.model.report import Laboratory, Patient, UsedInput
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, capitalise, spell_person

_FLAG_INPUTS: Final = (
    "growth.rate",
    "symptoms.pain",
    "mass.palpable",
    "history.malignancy",
    "history.radiotherapy_at_site",
    "history.excision_at_site",
)
"""Answers a red flag waits for."""
_LONGEST_QUESTION: Final = 400
"""Characters of the referrer's question that are repeated; the request itself has the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalText:
    """Clinical information in words."""

    given: tuple[str, ...]
    missing: tuple[str, ...]
    missing_for_flags: tuple[str, ...]
    """Names of what matters and was not given, and of these what a red flag waits for."""


def describe_clinical(clinical: Mapping[str, Any], patient: Patient, statements: Statements) -> ClinicalText:
    """Put the clinical inputs into words, and name what is missing.

    `clinical` holds nested plain values; anything absent, null or ``"unknown"`` is unknown. Age and sex are those of
    the header where the clinician gave none.
    """
    age = _value(clinical, "patient", "age_years")
    age = patient.age_years if age is None else age
    sex = _text(clinical, "patient", "sex") or patient.sex
    sentences = [
        statements.reword(spell_person(age if isinstance(age, int | float) else None, sex)),
        _describe_answers(clinical, statements),
        _describe_laboratory(clinical, statements),
    ]
    question = _text(clinical, "request", "question")
    if question:
        shortened = question[:_LONGEST_QUESTION] + (" [...]" if len(question) > _LONGEST_QUESTION else "")
        sentences.append(statements.say("clinical.question", question=shortened))
    start = "clinical.absent_input."
    inputs = {key.removeprefix(start): text for key, text in statements.texts.items() if key.startswith(start)}
    unknown = [key for key in inputs if _text(clinical, *key.split(".", 1)) is None]
    missing = [inputs[key] for key in unknown]
    if not _labs(clinical):
        missing.append(statements.say("clinical.labs.missing"))
    return ClinicalText(
        given=tuple(as_sentence(sentence) for sentence in sentences if sentence),
        missing=tuple(missing),
        missing_for_flags=tuple(inputs[key] for key in unknown if key in _FLAG_INPUTS),
    )


def _value(clinical: Mapping[str, Any], group: str, name: str) -> Any:  # noqa: ANN401 - plain values of any kind
    block = clinical.get(group)
    value = block.get(name) if isinstance(block, Mapping) else None
    return None if value in (None, "unknown", "", [], ()) else value


def _text(clinical: Mapping[str, Any], group: str, name: str) -> str | None:
    value = _value(clinical, group, name)
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _describe_answers(clinical: Mapping[str, Any], statements: Statements) -> str:
    """What was affirmed or given, then what was denied; an input without wording is left out."""
    said: dict[bool, list[str]] = {False: [], True: []}
    place = " ".join(filter(None, (_text(clinical, "site", "laterality"), _text(clinical, "site", "region"))))
    if place:
        said[False].append(statements.say("clinical.site", place=place))
    for group, block in clinical.items():
        for name in block if isinstance(block, Mapping) else ():
            answer = _text(clinical, group, name)
            if answer is None:
                continue
            key = f"{group}.{name}"
            worded = (f"clinical.{answer}.{key}", f"clinical.value.{key}.{answer}", f"clinical.value.{key}")
            identifier = next((one for one in worded if one in statements.texts), None)
            value = statements.reword(answer.replace("_", " "))
            text = "" if identifier is None else statements.say(identifier, value=value)
            said[answer in {"no", "none", "0"}].append(text)
    return capitalise("; ".join(filter(None, (", ".join(filter(None, texts)) for texts in said.values()))))


def _labs(clinical: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    block = clinical.get("labs")
    entries = block.items() if isinstance(block, Mapping) else ()
    return {name: entry for name, entry in entries if isinstance(entry, Mapping) and entry.get("value") is not None}


def _describe_laboratory(clinical: Mapping[str, Any], statements: Statements) -> str:
    values = []
    for name, entry in _labs(clinical).items():
        label, value = statements.choose("clinical.labs", name, name), entry["value"]
        unit = f" {entry['unit']}" if entry.get("unit") else ""
        date = f" ({entry['date']})" if entry.get("date") not in {None, "", "unknown"} else ""
        values.append(f"{label} {f'{value:g}' if isinstance(value, float) else value}{unit}{date}")
    return statements.join(values) if len(values) < 3 else ", ".join(values)


_NAMED: Final = ("patient.age_years", "patient.sex", "site.laterality", "site.region")
"""Inputs whose source is named; that of contrast stands with the technique."""


def describe_laboratory(laboratory: Laboratory | None, statements: Statements) -> tuple[str, ...]:
    """State values outside their range, calculated values, and remarks on them; empty when there are none."""
    if laboratory is None:
        return ()
    parts = []
    for state in ("high", "low"):
        tests = [result.test for result in laboratory.results if result.state == state]
        names = [statements.choose("clinical.labs", test, test.replace("_", " ")) for test in tests]
        parts += [statements.say(f"labs.{state}", list=", ".join(names))] if names else []
    si, conventional = laboratory.adjusted_calcium_mmol_l, laboratory.adjusted_calcium_mg_dl
    if si is not None and conventional is not None:
        adjusted = statements.say("labs.adjusted", si=f"{si:.2f}", conventional=f"{conventional:.1f}")
        # An ionised value takes precedence over the adjusted one; printing both could look like a contradiction.
        is_deciding = not any(result.test == "ionised_calcium" and result.is_used for result in laboratory.results)
        parts.append(f"{adjusted}: {laboratory.calcium_state}" if is_deciding else adjusted)
    if laboratory.product_mg2_dl2 is not None and laboratory.product_band is not None:
        product = f"{laboratory.product_mg2_dl2:.1f}"
        parts.append(statements.say("labs.product", product=product, band=statements.reword(laboratory.product_band)))
    values = (as_sentence(statements.say("labs.told", list="; ".join(parts))),) if parts else ()
    return (*values, *(as_sentence(remark) for remark in laboratory.remarks))


def describe_sources(inputs: tuple[UsedInput, ...], statements: Statements) -> tuple[str, ...]:
    """Name the inputs read from the image header for want of typed ones; empty when there are none."""
    used = [entry.name for entry in inputs if entry.source == "header" and entry.name in _NAMED]
    names = [statements.say(f"inputs.{name}") for name in used]
    return (as_sentence(statements.say("inputs.from_header", list=", ".join(names))),) if names else ()
