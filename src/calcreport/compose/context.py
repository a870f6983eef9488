"""What a report is about and by whom it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calcreport.compose.technique import Imaging
from calcreport.model.findings import Findings
from calcreport.model.report import RulesUsed, Searched, SeriesEntry, Software, Study
from calcreport.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftContext:
    """What a report is about and by whom it is made.

    Parameters
    ----------
    study : Study
        As the header says.
    series : tuple[SeriesEntry, ...]
        Every series of the study and what became of it.
    clinical : Mapping[str, Any]
        Clinical inputs as plain values, every unknown named.
    settings : Settings
        Effective settings.
    software : Software
        Name and versions.
    created : str | None
        Date and time of the draft, ISO 8601.
    rules : RulesUsed | None
        Rules the decision was made with.
    taken : Findings | None
        Findings as the rules took them, where the report is made from measured ones: same lesions, same order.
    limitations : tuple[str, ...]
        Sentences on what of the study was not looked at.
    searched : tuple[Searched, ...]
        Parts of the body that the study covers, and whether each was searched.
    further_imaging : tuple[Imaging, ...]
        How the CT series after the first were made.
    """

    study: Study
    series: tuple[SeriesEntry, ...]
    clinical: Mapping[str, Any]
    settings: Settings
    software: Software
    created: str | None = None
    rules: RulesUsed | None = None
    taken: Findings | None = None
    limitations: tuple[str, ...] = ()
    searched: tuple[Searched, ...] = ()
    further_imaging: tuple[Imaging, ...] = ()
