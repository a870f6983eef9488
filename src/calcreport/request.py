"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calcreport.model.clinical import Clinical
from calcreport.model.report import Software
from calcreport.output import Templates
from calcreport.rules import Ruleset
from calcreport.rules.prior_match import EarlierReport
from calcreport.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to analyse and how.

    Parameters
    ----------
    paths : tuple[Path, ...]
        Folders, files or zip archives.
    out : Path
        Where results go.
    settings : Settings
        Effective settings.
    clinical : Clinical
        What the clinician told; holds for every study.
    lesion_mask : Path | None
        Contours of whole lesions; only for a single study.
    lesion_roi : str | None
        Name or number of the structure in the mask that is the lesion.
    formats : tuple[str, ...]
        Names of renderers, and ``png`` for key images beside the report.
    templates : Templates
        Layouts and wording.
    ruleset : Ruleset
        Rules of the decision logic.
    jobs : int
        Studies analysed side by side, ≥ 1.
    software : Software
        Printed in every report.
    created : str
        Date and time of the draft, ISO 8601.
    earlier : EarlierReport | None
        Report of an earlier study of the same patient, to compare with.
    """

    paths: tuple[Path, ...]
    out: Path
    settings: Settings
    clinical: Clinical
    lesion_mask: Path | None
    lesion_roi: str | None
    formats: tuple[str, ...]
    templates: Templates
    ruleset: Ruleset
    jobs: int
    software: Software
    created: str
    earlier: EarlierReport | None = None
