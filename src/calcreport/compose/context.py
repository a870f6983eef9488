"""Subject and origin of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calcreport.compose.technique import Imaging
from calcreport.model.findings import Findings
from calcreport.model.report import Incidental, RulesUsed, Searched, SeriesEntry, Software, Study
from calcreport.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftContext:
    """Subject and origin of a report."""

    study: Study
    """As the header says."""
    series: tuple[SeriesEntry, ...]
    """Every series of the study and its outcome."""
    clinical: Mapping[str, Any]
    """Clinical inputs as plain values, every unknown named."""
    settings: Settings
    """Effective settings."""
    software: Software
    """Name and versions."""
    created: str | None = None
    """Date and time of the draft, ISO 8601."""
    rules: RulesUsed | None = None
    """Rules the decision was made with."""
    rule_findings: Findings | None = None
    """Input of the rules, where the report is made from measured findings: same lesions, same order."""
    limitations: tuple[str, ...] = ()
    """Sentences on the parts of the study that were not analysed."""
    searched: tuple[Searched, ...] = ()
    """Parts of the body that the study covers, and whether each was searched."""
    incidental: tuple[Incidental, ...] = ()
    """Mineral of organs, vessels, gut and airway."""
    further_imaging: tuple[Imaging, ...] = ()
    """How the CT series after the first were made."""
