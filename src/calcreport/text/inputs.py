"""Laboratory values against their ranges, and what came from the image header, in words."""

from __future__ import annotations

from typing import Final

from calcreport.model.report import Laboratory, UsedInput
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence

_NAMED: Final = ("patient.age_years", "patient.sex", "site.laterality", "site.region")
"""Inputs whose source is named; that of contrast stands with the technique."""


def describe_laboratory(laboratory: Laboratory | None, statements: Statements) -> tuple[str, ...]:
    """State values outside their range, calculated values, and remarks on them; empty when there are none."""
    if laboratory is None:
        return ()
    parts = []
    for state in ("high", "low"):
        names = [
            statements.choose("clinical.labs", result.test, result.test.replace("_", " "))
            for result in laboratory.results
            if result.state == state
        ]
        if names:
            parts.append(statements.say(f"labs.{state}", list=", ".join(names)))
    if laboratory.adjusted_calcium_mmol_l is not None and laboratory.adjusted_calcium_mg_dl is not None:
        si, conventional = laboratory.adjusted_calcium_mmol_l, laboratory.adjusted_calcium_mg_dl
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
