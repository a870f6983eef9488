"""Text of a findings file, YAML or JSON, to checked findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calcreport.errors import ClinicalError
from calcreport.files.typed_text import values_from_text
from calcreport.model.findings import Findings
from calcreport.model.typed_findings import parse_findings


def findings_from_text(text: str) -> Findings:
    """Read a findings file, YAML or JSON (which is YAML), and check it.

    Raises `ClinicalError` ``findings.not_yaml`` when the text is neither YAML nor JSON, too long, repeats a key or uses
    references; ``findings.not_mapping`` when it is not a mapping with ``lesions``; else as `parse_findings`.
    """
    return checked_findings(values_from_text(text, area="findings"))


def checked_findings(data: Any) -> Findings:  # noqa: ANN401 - plain values of any kind
    """Check findings that are plain values, as `findings_from_text` does."""
    if isinstance(data, Mapping):
        findings = parse_findings(data)  # a misspelt "lesions" is named with its near match
        if isinstance(data.get("lesions"), list):
            return findings
    msg = "The findings file must be a mapping that holds 'lesions:', a list; write 'lesions: []' when there is none."
    raise ClinicalError(msg, code="findings.not_mapping")
