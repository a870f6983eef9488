"""``calcreport cohort``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from calcreport.arguments import AnalyzeOptions, clinical_data_of
from calcreport.cohort.run import CohortOptions, CohortOutcome, run_cohort
from calcreport.errors import UsageError
from calcreport.progress import Progress

_FORMATS: Final = "text,json,html,png"
"""Written where ``--format`` does not say: what a researcher looks at, and no objects for a PACS."""
_GB: Final = 1_000_000_000


def run(options: argparse.Namespace, progress: Progress) -> CohortOutcome:
    """Read what was typed, and carry it out."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return run_cohort(
        CohortOptions(
            analysis=AnalyzeOptions(
                paths=options.paths,
                out=options.out,
                config=_absolute(options.config),
                threshold_hu=options.threshold_hu,
                format=options.format or _FORMATS,
                templates=_absolute(options.templates),
                rules=_absolute(options.rules),
                jobs=options.jobs or cores,
            ),
            clinical=clinical_data_of(options.clinical, "--clinical"),
            anatomy="run" if options.anatomy == "run" else _folder(options.anatomy, "--anatomy"),
            lesion_mask=_folder(options.lesion_mask, "--lesion-mask"),
            scheduler=options.scheduler,
            shard=options.shard,
            max_study_bytes=int(options.max_study_gb * _GB),
            with_identifiers=options.identify,
            salt=options.salt,
            is_retry=options.retry,
            only=options.only,
        ),
        progress,
    )


def _absolute(path: str | None) -> str | None:
    """Path that a worker in another folder finds."""
    return path and str(Path(path).absolute())


def _folder(path: str | None, option: str) -> Path | None:
    if path and not Path(path).is_dir():
        msg = f"the folder given with {option} does not exist; it holds a file, or a folder, named by each study UID"
        raise UsageError(msg, code="usage.no_such_file")
    return Path(path).absolute() if path else None
