"""``calcreport hook``: a folder in, a folder out, for dispatchers that run containers, and for export rules."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from pydicom import dcmread

from calcreport.arguments import AnalyzeOptions, request_from
from calcreport.errors import ClinicalError, InputError, OutputError, UsageError
from calcreport.exit_codes import EXIT_DONE, EXIT_NOTHING, exit_code_of_batch, exit_code_of_studies
from calcreport.files.clinical_table import STUDY_FILES
from calcreport.files.named_file import read_text
from calcreport.files.settings import checked_tables
from calcreport.model.report import SCHEMA_VERSION
from calcreport.pipeline import RunOutcome, analyse
from calcreport.progress import Progress
from calcreport.settings import SettingsBlock
from calcreport.study.folder import ResultsFolder
from calcreport.study.request import Request
from calcreport.study.result import StudyOutcome
from calcreport.version import software_version

Host = Literal["plain", "mercure", "monai", "kaapana"]  # Whose contract holds
Grade = Literal["high", "flagged", "modified", "indeterminate", "refused", "none", "no_calcification"]
"""What is reported of a study, most severe first."""
Place = tuple[Path, Path]  # Folder with a study, or several, and folder for the results

_PAIRS: Final[tuple[tuple[Host, str, str], ...]] = (
    ("mercure", "MERCURE_IN_DIR", "MERCURE_OUT_DIR"),
    ("monai", "HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"),
    ("monai", "MONAI_INPUTPATH", "MONAI_OUTPUTPATH"),
)
"""Mercure comes first: it sets the other two pairs as well."""
_KAAPANA: Final = ("WORKFLOW_DIR", "BATCH_NAME", "OPERATOR_IN_DIR", "OPERATOR_OUT_DIR")  # of a workflow
_CHANNELS: Final = ("CALCREPORT_IN_DIR", "CALCREPORT_OUT_DIR")
"""Of Kaapana's Task API, as ``deploy/kaapana/processing-container.json`` sets them."""
_RESULT: Final = "result.json"  # written last
_TASK: Final = "task.json"  # of Mercure, beside the study
_LARGEST_TASK: Final = 4_000_000  # bytes
_WORDS: Final[dict[Grade, str]] = {
    "high": "high concern",
    "flagged": "flagged",
    "modified": "flags explained",
    "indeterminate": "concern cannot be determined",
    "refused": "could not be measured",
    "none": "no flag",
    "no_calcification": "no calcification found",
}
"""Words of a notification, most severe grade first."""

Target = Annotated[str, Field(min_length=1)]  # name of a target in Mercure


class Routing(SettingsBlock):
    """Where Mercure sends the results, as it takes it from ``result.json``."""

    target: Target | tuple[Target, ...] | None = None
    """Targets by their names in Mercure."""
    use_alternate_target: bool = False
    """The alternate target of the rule."""
    discard: bool = False
    """Nowhere."""


class HookSettings(SettingsBlock):
    """Settings of one module or rule; a path is one inside the container."""

    config: str | None = None
    """Settings file, as ``analyze --config``."""
    clinical: str | None = None
    """Clinical data, as ``analyze --clinical``."""
    format: str | None = None
    """Formats, as ``analyze --format``."""
    templates: str | None = None
    """Templates, as ``analyze --templates``."""
    rules: str | None = None
    """Rules, as ``analyze --rules``."""
    notify: tuple[Grade, ...] = ("high", "flagged", "refused")
    """When a notification is asked for."""
    routing: dict[Grade, Routing] = Field(default_factory=dict)
    """Where results go, by the grade of the study; without an entry where the rule says."""
    accept_refused: bool = False
    """Whether a study that cannot be measured is a success for the dispatcher: exit code 0 instead of 3."""


def run(options: argparse.Namespace, progress: Progress) -> tuple[str, int]:
    """Analyse each folder, write its results as its host wants them, and ``result.json`` last.

    Gives the result of each folder as a line of JSON, without patient data, and the exit code. Raises
    `ConfigurationError` ``usage.…``, ``settings.…`` and whatever else ``analyze`` refuses; `InputError`
    ``study.none_found``, ``path.too_many_files``; `OutputError` when a folder cannot be written to.
    """
    host, places = find_places((options.source, options.target), os.environ)
    runs: list[RunOutcome] = []
    lines: list[str] = []
    settings = HookSettings()
    for source, target in places:
        inner = target
        if host == "mercure":
            settings = settings_of_task(source)
            inner = target / f".calcreport-{secrets.token_hex(6)}"
        try:
            request = _request(options, settings, source, inner, is_alone=len(places) == 1)
            outcome = analyse(request, progress=progress)
            if host == "mercure":
                _flatten(inner, target)
        finally:
            if host == "mercure":
                shutil.rmtree(inner, ignore_errors=True)
        result = result_of(outcome.studies)
        if host == "mercure":
            result |= for_mercure(outcome.studies, settings)
        ResultsFolder(target, run_id=secrets.token_hex(6)).write_file(
            _RESULT, f"{json.dumps(result, indent=2)}\n".encode()
        )
        runs.append(outcome)
        lines.append(f"{json.dumps(result)}\n")
    studies = [study for outcome in runs for study in outcome.studies]
    code = exit_code_of_studies(studies, is_written=all(outcome.is_summary_written for outcome in runs))
    if code == EXIT_NOTHING and settings.accept_refused:
        code = EXIT_DONE
    return "".join(lines), exit_code_of_batch(code, studies) if host == "kaapana" else code


def _request(
    options: argparse.Namespace, settings: HookSettings, source: Path, target: Path, *, is_alone: bool
) -> Request:
    """What to analyse in one folder, and with which clinical data."""
    own = next((path for name in STUDY_FILES if (path := source / name).is_file() and not path.is_symlink()), None)
    chosen = {  # what was typed comes before what the dispatcher's rule says
        name: getattr(options, name) or getattr(settings, name)
        for name in ("config", "clinical", "format", "templates", "rules")
    }
    if own is not None:  # it is about the study; a table is for all
        chosen["clinical"] = str(own)
    request = request_from(AnalyzeOptions(paths=(source,), out=target, **chosen))
    is_for_many = own is None and not (is_alone and options.clinical)
    if chosen["clinical"] and is_for_many and not request.clinical_data.is_table:
        msg = (
            "data of one patient were given where studies of many come; give a table (CSV, or a YAML list) keyed by "
            "patient_id, accession_number or study_instance_uid, or lay clinical.yaml beside the images of each study"
        )
        raise ClinicalError(msg, code="clinical.which_study")
    return request


def _flatten(source: Path, target: Path) -> None:
    """Move DICOM objects, by their UIDs, which are ours, into the folder that Mercure sends: only what ends in .dcm.

    It names files by series, ``#``, and instance; other results would be left behind.
    """
    try:
        for path in sorted(source.glob("*/*.dcm")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tags = ["SeriesInstanceUID", "SOPInstanceUID"]
                header = dcmread(path, specific_tags=tags, stop_before_pixels=True)
            path.rename(target / f"{header.SeriesInstanceUID}#{header.SOPInstanceUID}.dcm")
    except OSError as error:
        msg = f"the results could not be written ({error.strerror}); check the output folder"
        raise OutputError(msg, code="output.failed") from error


def result_of(outcomes: Sequence[StudyOutcome]) -> dict[str, Any]:
    """Describe the outcome of the studies of one folder, in the order found."""
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
    """Fields that Mercure reads: whether somebody is notified, and where results go; the most severe study decides."""
    worst = _worst(outcomes)
    counts = Counter(grade_of(outcome) for outcome in outcomes)
    parts = [
        f"{counts[grade]} {'study' if counts[grade] == 1 else 'studies'}: {words}"
        for grade, words in _WORDS.items()
        if counts[grade]
    ]
    text = f"Soft-tissue calcification: {'; '.join(parts) or 'no study found'}. Draft for a radiologist to check."
    fields: dict[str, Any] = {"__mercure_notification": {"text": text, "requested": worst in settings.notify}}
    if (routing := settings.routing.get(worst)) is not None:
        fields["__mercure_routing"] = routing.model_dump(exclude_defaults=True)
    return fields


def grade_of(outcome: StudyOutcome) -> Grade:
    """Grade of a study; a report without a concern is not one without worry."""
    if outcome.status != "reported":
        return outcome.status
    return outcome.concern.value if outcome.concern is not None else "indeterminate"


def _worst(outcomes: Sequence[StudyOutcome]) -> Grade:
    grades = {grade_of(outcome) for outcome in outcomes}
    return next((grade for grade in _WORDS if grade in grades), "refused")


def find_places(typed: tuple[str | None, str | None], environment: Mapping[str, str]) -> tuple[Host, list[Place]]:
    """Find folders: those typed, else Mercure's, else those of Holoscan or MONAI, else those of Kaapana; at least one.

    A variable that is empty, or ``none`` as Kaapana writes it, counts as not set. Raises `UsageError`
    ``usage.hook_folders`` when only one of a pair is given, or nothing is; `InputError` ``study.none_found`` when
    Kaapana's batch is empty.
    """
    source, target = typed
    if source is not None and target is not None:
        return "plain", [(Path(source), Path(target))]
    if source is not None:
        msg = "name both folders: calcreport hook IN OUT"
        raise UsageError(msg, code="usage.hook_folders")
    given = {name: text for name, text in environment.items() if text.strip() and text.strip().lower() != "none"}
    for host, source_name, target_name in _PAIRS:
        if source_name in given and target_name in given:
            return host, [(Path(given[source_name]), Path(given[target_name]))]
        if source_name in given or target_name in given:
            msg = f"{source_name} and {target_name} have to be set together"
            raise UsageError(msg, code="usage.hook_folders")
    if all(name in given for name in _CHANNELS):
        # Items of a channel, each a folder; without any, the channel itself.
        folder_in, folder_out = (Path(given[name]) for name in _CHANNELS)
        items = sorted(path.name for path in folder_in.glob("*") if path.is_dir()) or [""]
        return "kaapana", [(folder_in / name, folder_out / name) for name in items]
    if all(name in given for name in _KAAPANA):
        return "kaapana", _batch(*(given[name] for name in _KAAPANA))
    msg = "name the folders: calcreport hook IN OUT; no environment variable of a dispatcher known here tells them"
    raise UsageError(msg, code="usage.hook_folders")


def _batch(workflow: str, batch: str, operator_in: str, operator_out: str) -> list[Place]:
    """Elements of a batch of Kaapana, usually one a series; without any, the folders of the workflow itself."""
    root = Path("/", workflow)
    elements = sorted(path for path in (root / batch).glob("*") if (path / operator_in).is_dir())
    folders = elements or ([root] if (root / operator_in).is_dir() else [])
    if not folders:
        msg = "no element of the batch has a folder of the input operator; check OPERATOR_IN_DIR"
        raise InputError(msg, code="study.none_found")
    return [(folder / operator_in, folder / operator_out) for folder in folders]


def settings_of_task(folder: Path) -> HookSettings:
    """Read what the rule asks for beside the study; defaults when there is no task, or none of our settings in it.

    Raises `UsageError` ``usage.hook_task``; `SettingsError` ``settings.…``.
    """
    path = folder / _TASK
    if not path.is_file() or path.is_symlink():
        return HookSettings()
    try:
        task: Any = json.loads(read_text(str(path), _TASK, max_bytes=_LARGEST_TASK))
        asked = ((task["process"] or {}).get("settings") or {}).get("calcreport") or {}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        asked = None
    if isinstance(asked, dict):
        return checked_tables(asked, HookSettings, prefix="process.settings.calcreport.")
    # Raised outside the handler: the cause would carry the task, which names the patient, into a traceback.
    msg = "task.json is not a task with one processing step, as Mercure gives it to a module"
    raise UsageError(msg, code="usage.hook_task")
