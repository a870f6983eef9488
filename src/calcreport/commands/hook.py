"""``calcreport hook``: a folder in, a folder out, for dispatchers that run containers, and for export rules."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread

from calcreport.arguments import AnalyzeOptions, request_from
from calcreport.commands.hook_inputs import GRADES, Grade, HookSettings, Place, Places, find_places, settings_of_task
from calcreport.errors import ClinicalError, OutputError
from calcreport.files.clinical_table import STUDY_FILES
from calcreport.model.report import SCHEMA_VERSION
from calcreport.pipeline import RunOutcome, analyse
from calcreport.progress import Progress
from calcreport.study.folder import ResultsFolder
from calcreport.study.request import Request
from calcreport.study.result import StudyOutcome
from calcreport.version import software_version

_RESULT = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookOutcome:
    """What became of everything the hook was called for."""

    runs: tuple[RunOutcome, ...]
    text: str
    """For standard output: the result of each folder as a line of JSON, without patient data."""
    accepts_refused: bool
    """Whether a study that cannot be measured counts as done."""
    is_batch: bool
    """Whether a batch of Kaapana was served, which goes on without what cannot be reported."""


def run(options: argparse.Namespace, progress: Progress) -> HookOutcome:
    """Analyse each folder, write its results as its host wants them, and ``result.json`` last.

    `progress` is told where the run stands; no patient data reaches it. Raises `ConfigurationError` ``usage.…``,
    ``settings.…`` and whatever else ``analyze`` refuses; `InputError` ``study.none_found``, ``path.too_many_files``;
    `OutputError` when a folder cannot be written to.
    """
    found = find_places((options.source, options.target), os.environ)
    runs: list[RunOutcome] = []
    lines: list[str] = []
    settings = HookSettings()
    for place in found.places:
        settings = settings_of_task(place.source) if found.host == "mercure" else settings
        outcome = _serve(place, found, settings, options, progress)
        result = result_of(outcome.studies)
        if found.host == "mercure":
            result |= for_mercure(outcome.studies, settings)
        target = ResultsFolder(place.target, run_id=secrets.token_hex(6))
        target.write_file(_RESULT, f"{json.dumps(result, indent=2)}\n".encode())
        runs.append(outcome)
        lines.append(f"{json.dumps(result)}\n")
    return HookOutcome(
        runs=tuple(runs),
        text="".join(lines),
        accepts_refused=settings.accept_refused,
        is_batch=found.host == "kaapana",
    )


def _serve(
    place: Place, found: Places, settings: HookSettings, options: argparse.Namespace, progress: Progress
) -> RunOutcome:
    if found.host != "mercure":
        return analyse(_request(options, settings, place, place.target, found), progress=progress)
    # Mercure sends what lies in the folder itself and ends in .dcm; the rest of the results would be left behind.
    inner = place.target / f".calcreport-{secrets.token_hex(6)}"
    try:
        outcome = analyse(_request(options, settings, place, inner, found), progress=progress)
        _flatten(inner, place.target)
    finally:
        shutil.rmtree(inner, ignore_errors=True)
    return outcome


def _request(options: argparse.Namespace, settings: HookSettings, place: Place, target: Path, found: Places) -> Request:
    """What to analyse in one folder, and with which clinical data.

    Raises `ClinicalError` ``clinical.which_study`` for data of one patient where folders of many are to be analysed
    with them.
    """
    own = next(
        (path for name in STUDY_FILES if (path := place.source / name).is_file() and not path.is_symlink()), None
    )
    chosen = {  # what was typed comes before what the dispatcher's rule says
        name: getattr(options, name) or getattr(settings, name)
        for name in ("config", "clinical", "format", "templates", "rules")
    }
    if own is not None:  # it is about the study; a table is for all
        chosen["clinical"] = str(own)
    request = request_from(AnalyzeOptions(paths=(place.source,), out=target, **chosen))
    is_for_many = own is None and (len(found.places) > 1 or not options.clinical)
    if chosen["clinical"] and is_for_many and not request.clinical_data.is_table:
        msg = (
            "data of one patient were given where studies of many come; give a table (CSV, or a YAML list) keyed by "
            "patient_id, accession_number or study_instance_uid, or lay clinical.yaml beside the images of each study"
        )
        raise ClinicalError(msg, code="clinical.which_study")
    return request


def _flatten(source: Path, target: Path) -> None:
    """Move DICOM objects into a folder, named as Mercure names files: series, ``#``, instance."""
    try:
        for path in sorted(source.glob("*/*.dcm")):
            path.rename(target / f"{'#'.join(_identity(path))}.dcm")
    except OSError as error:
        msg = f"the results could not be written ({error.strerror}); check the output folder"
        raise OutputError(msg, code="output.failed") from error


def _identity(path: Path) -> Sequence[str]:
    """Series and SOP Instance UID of an object of ours: derived by us, digits and dots only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = dcmread(path, specific_tags=["SeriesInstanceUID", "SOPInstanceUID"], stop_before_pixels=True)
    return str(header.SeriesInstanceUID), str(header.SOPInstanceUID)


_WORDS: Final[dict[Grade, str]] = {
    "high": "high concern",
    "flagged": "flagged",
    "modified": "flags explained",
    "indeterminate": "concern cannot be determined",
    "refused": "could not be measured",
    "none": "no flag",
    "no_calcification": "no calcification found",
}
_CAUTION: Final = "Draft for a radiologist to check."


def result_of(outcomes: Sequence[StudyOutcome]) -> dict[str, Any]:
    """Tell what became of the studies of one folder, in the order found."""
    return {
        "schema_version": SCHEMA_VERSION,
        "software": f"calcreport {software_version()}",
        "grade": _worst(outcomes),
        "studies": [
            {
                "status": outcome.status,
                "grade": grade_of(outcome),
                "code": outcome.code,
                "message": outcome.message,
                "concern": outcome.concern,
                "lesions": outcome.counts.lesions,
                "images": outcome.counts.images,
                "seconds": outcome.seconds,
            }
            for outcome in outcomes
        ],
    }


def for_mercure(outcomes: Sequence[StudyOutcome], settings: HookSettings) -> dict[str, Any]:
    """Fields that Mercure reads: whether somebody is told, and where results go; the most worrying study decides."""
    worst = _worst(outcomes)
    fields: dict[str, Any] = {
        "__mercure_notification": {"text": _sentence(outcomes), "requested": worst in settings.notify}
    }
    routing = settings.routing.get(worst)
    if routing is not None:
        fields["__mercure_routing"] = routing.model_dump(exclude_defaults=True)
    return fields


def grade_of(outcome: StudyOutcome) -> Grade:
    """What became of a study; a report without a concern is not one without worry."""
    if outcome.status != "reported":
        return outcome.status
    return outcome.concern.value if outcome.concern is not None else "indeterminate"


def _worst(outcomes: Sequence[StudyOutcome]) -> Grade:
    grades = {grade_of(outcome) for outcome in outcomes}
    return next((grade for grade in GRADES if grade in grades), "refused")


def _sentence(outcomes: Sequence[StudyOutcome]) -> str:
    counts = Counter(grade_of(outcome) for outcome in outcomes)
    parts = [
        f"{counts[grade]} {'study' if counts[grade] == 1 else 'studies'}: {_WORDS[grade]}"
        for grade in GRADES
        if counts[grade]
    ]
    return f"Soft-tissue calcification: {'; '.join(parts) or 'no study found'}. {_CAUTION}"
