"""What the user typed after ``analyze``, checked and turned into a request."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from calcreport import __version__
from calcreport.clinical_file import clinical_from_text
from calcreport.errors import UsageError
from calcreport.model.report import Software
from calcreport.output import RENDERERS, load_templates
from calcreport.request import Request
from calcreport.resources import rule_texts, site_template_texts, template_texts
from calcreport.rules import load_rules
from calcreport.settings import Settings
from calcreport.settings_file import refuse_contradictions, settings_from_text

_MAX_TEXT_BYTES: Final = 1_000_000
"""A clinical or settings file is a page of text."""

_HIGHEST_HU: Final = 32_767.0
"""No stored value is higher."""


def request_from(options: argparse.Namespace) -> Request:
    """Check everything the user typed, before any image is read.

    Parameters
    ----------
    options : argparse.Namespace
        The words after ``analyze``, parsed.

    Returns
    -------
    Request
        What to analyse and how.

    Raises
    ------
    ConfigurationError
        The first thing that is wrong: ``usage.…``, ``settings.…``, ``clinical.…`` or ``template.…``.
    """
    for number, path in enumerate(options.paths, start=1):
        if not os.path.lexists(path):
            msg = f"PATH {number} does not exist; name a folder, file, zip archive or DICOMDIR"
            raise UsageError(msg, code="usage.no_such_path")
    clinical_text = _read_text(options.clinical, "--clinical") if options.clinical else ""
    site_texts = site_template_texts(Path(options.templates)) if options.templates else None
    ruleset = load_rules(rule_texts())
    return Request(
        paths=tuple(Path(path) for path in options.paths),
        out=Path(options.out),
        settings=_settings(options),
        clinical=clinical_from_text(clinical_text),
        lesion_mask=_existing(options.lesion_mask, "--lesion-mask") if options.lesion_mask else None,
        lesion_roi=options.lesion_roi,
        formats=_formats(options.format, (*RENDERERS, "png")),
        templates=load_templates(template_texts(), site_texts),
        ruleset=ruleset,
        jobs=options.jobs,
        software=Software(name="calcreport", version=__version__, rules_version=ruleset.version),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _settings(options: argparse.Namespace) -> Settings:
    """Defaults, overlaid with the file, overlaid with the command line."""
    settings = settings_from_text(_read_text(options.config, "--config")) if options.config else Settings()
    if options.threshold_hu is None:
        return settings
    grow, seed = _thresholds(options.threshold_hu)
    detection = settings.detection.model_copy(update={"grow_hu": grow, "seed_hu": seed})
    settings = settings.model_copy(update={"detection": detection})
    refuse_contradictions(settings)
    return settings


def _thresholds(text: str) -> tuple[float, float | None]:
    """Read ``GROW[,SEED]`` in HU; without a seed the one that goes with the contrast phase stays."""
    parts = text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in {1, 2} or not all(0 < number <= _HIGHEST_HU for number in numbers):
        msg = "--threshold-hu takes one or two numbers of HU above 0, such as 130 or 130,200"
        raise UsageError(msg, code="usage.threshold")
    return numbers[0], numbers[1] if len(numbers) == 2 else None


def _formats(text: str | None, known: Sequence[str]) -> tuple[str, ...]:
    if text is None:
        return tuple(known)
    chosen = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    unknown = [word for word in chosen if word not in known]
    if unknown or not chosen:
        near = [match for word in unknown for match in get_close_matches(word, known, n=1)]
        hint = f"did you mean {', '.join(near)}?" if near else f"known formats: {', '.join(known)}"
        msg = f"--format names a format that does not exist; {hint}"
        raise UsageError(msg, code="usage.unknown_format")
    return chosen


def _existing(path: str, option: str) -> Path:
    if not Path(path).is_file():
        msg = f"the file given with {option} does not exist or is not a file"
        raise UsageError(msg, code="usage.no_such_file")
    return Path(path)


def _read_text(path: str, option: str) -> str:
    try:
        with _existing(path, option).open("rb") as stream:
            content = stream.read(_MAX_TEXT_BYTES + 1)
        if len(content) > _MAX_TEXT_BYTES:
            msg = f"the file given with {option} is larger than {_MAX_TEXT_BYTES} bytes; is it the right file?"
            raise UsageError(msg, code="usage.unreadable_file")
        return content.decode("utf-8-sig")
    except OSError as error:
        msg = f"the file given with {option} cannot be read ({error.strerror})"
        raise UsageError(msg, code="usage.unreadable_file") from error
    except UnicodeDecodeError as error:
        msg = f"the file given with {option} is not UTF-8 text; save it as UTF-8"
        raise UsageError(msg, code="usage.unreadable_file") from error
