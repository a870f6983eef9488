"""What a caller gives, by path or as plain values, checked and turned into what the program needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from calcreport.errors import ClinicalError, UsageError
from calcreport.files import clinical_table, named_file
from calcreport.files.named_file import FilePath, existing_file, read_text
from calcreport.files.report import MAX_REPORT_BYTES, earlier_report, report_from_text
from calcreport.files.settings import refuse_contradictions, settings_from_tables, settings_from_text
from calcreport.formats import DEFAULT_FORMATS, FILE_NAMES, FORMATS, Templates, load_templates
from calcreport.model.clinical import Clinical
from calcreport.model.report import Report, Software
from calcreport.resources import rule_texts, site_rule_texts, site_template_texts, template_texts
from calcreport.rules import Ruleset, load_rules
from calcreport.settings import Settings
from calcreport.study.render import remembered_places
from calcreport.study.request import Prior, Request
from calcreport.version import software_version

_HIGHEST_HU: Final = 32_767.0  # no stored value is higher
REPORT_FILE: Final = FILE_NAMES["json"]  # in the folder of a study

ClinicalInput = FilePath | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""Clinical data: a file, the mapping it would hold, or a list of them as a table; ``None`` where nothing is known."""

SettingsInput = FilePath | Mapping[str, Any] | Settings | None
"""Settings: a TOML file, the tables it would hold, or checked settings; ``None`` for the defaults."""

PriorInput = FilePath | Mapping[str, Any] | Report | None
"""An earlier study: ``report.json``, the folder of its results, the report itself, or the images."""
PriorsInput = PriorInput | list[PriorInput]  # several in any order


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeOptions:
    """What ``calcreport analyze`` can be asked, and the hook; what `calcreport.analyze` has too is described there."""

    paths: Sequence[FilePath]
    out: FilePath | None = None
    clinical: ClinicalInput = None
    config: SettingsInput = None
    prior: PriorsInput = None
    priors: FilePath | None = None  # folder with results of many patients
    lesion_mask: FilePath | None = None
    lesion_roi: str | None = None
    """Which structure in the mask is the lesion, by name or number."""
    anatomy: FilePath | None = None
    threshold_hu: str | None = None
    """``GROW[,SEED]``, HU."""
    format: str | None = None
    """Comma list; ``None`` for the default formats."""
    templates: FilePath | None = None
    rules: FilePath | None = None
    """A site's own."""
    jobs: int = 1
    """Studies analysed side by side, ≥ 1."""
    keeps_reports: bool = False
    """Whether the reports themselves are handed back, beside the files."""


def request_from(options: AnalyzeOptions) -> Request:
    """Check everything that was given, before any image is read; `ConfigurationError` for the first mistake."""
    for number, path in enumerate(options.paths, start=1):
        if not os.path.lexists(path):
            msg = f"PATH {number} does not exist; name a folder, file, zip archive or DICOMDIR"
            raise UsageError(msg, code="usage.no_such_path")
    clinical_data = clinical_data_of(options.clinical, "--clinical")
    prior = priors_of(options.prior)
    settings = settings_of(options.config)
    ruleset = ruleset_of(options.rules, settings, options.config)
    return Request(
        paths=tuple(Path(path) for path in options.paths),
        out=None if options.out is None else Path(options.out),
        settings=_with_thresholds(settings, options.threshold_hu),
        clinical_data=clinical_data,
        lesion_mask=existing_file(options.lesion_mask, "--lesion-mask") if options.lesion_mask else None,
        lesion_roi=options.lesion_roi,
        anatomy=_anatomy(options.anatomy),
        formats=() if options.out is None else formats_of(options.format),
        templates=templates_of(options.templates),
        ruleset=ruleset,
        jobs=options.jobs,
        software=software_with(ruleset),
        created=now(),
        prior=prior,
        priors=existing_file(options.priors, "--priors", is_folder=True) if options.priors else None,
        keeps_reports=options.keeps_reports,
    )


def software_with(ruleset: Ruleset) -> Software:
    """Name and versions of what makes the report."""
    return Software(name="calcreport", version=software_version(), rules_version=ruleset.printed_version)


def now() -> str:
    """Date and time of the draft, ISO 8601, seconds."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def clinical_of(given: ClinicalInput) -> Clinical:
    """Clinical input of one patient; everything unknown without it; `ClinicalError` for a table, or a mistake."""
    data = clinical_data_of(given, "--clinical")
    if data.is_table:
        msg = "one patient's clinical data are needed here, but a table was given; give the row of this patient"
        raise ClinicalError(msg, code="clinical.which_study")
    return data.rows[0].clinical if data.rows else Clinical()


def clinical_data_of(given: ClinicalInput, option: str) -> clinical_table.ClinicalData:
    """Read clinical data of one patient, or a table, from a file or as given; `option` names the place in messages."""
    if not given:
        return clinical_table.ClinicalData()
    if not isinstance(given, str | os.PathLike):
        return clinical_table.data_from_values(given if isinstance(given, Mapping) else list(given))
    content = named_file.read_bytes(given, option, max_bytes=clinical_table.MAX_TABLE_BYTES)
    if clinical_table.is_csv(content, os.fspath(given)):
        named_file.refuse_larger(content, option, max_bytes=clinical_table.MAX_TABLE_BYTES)
        return clinical_table.data_from_csv(content)
    return clinical_table.data_from_text(named_file.as_text(content, option, max_bytes=named_file.MAX_TEXT_BYTES))


def settings_of(given: SettingsInput) -> Settings:
    """Defaults, overlaid with what was given."""
    if given is None or given == "":
        return Settings()
    if isinstance(given, Settings):
        return given
    if isinstance(given, Mapping):
        return settings_from_tables(given)
    return settings_from_text(read_text(given, "--config"))


def ruleset_of(path: FilePath | None, settings: Settings, settings_file: SettingsInput = None) -> Ruleset:
    """Built-in rules, overlaid with the site's own, where there are any."""
    site = rule_path(path, settings, settings_file)
    return load_rules(rule_texts(), site_rule_texts(site) if site else None)


def rule_path(path: FilePath | None, settings: Settings, settings_file: SettingsInput = None) -> Path | None:
    """Site's own rules: `path`, else where the settings say; a path there counts from the settings file's folder."""
    if path or not settings.rules.path:
        return Path(path) if path else None
    folder = Path(settings_file).parent if isinstance(settings_file, str | os.PathLike) else Path()
    return folder / settings.rules.path


def ruleset_of_report(path: FilePath | None, report: Report) -> Ruleset:
    """Rules to renew conclusions with: those of `path`, else the built-in ones where the report was made with them."""
    ruleset = load_rules(rule_texts(), site_rule_texts(Path(path)) if path else None)
    if not path and report.rules is not None and report.rules.name != ruleset.used.name:
        msg = "the report was made with a site's own rules; name them with --rules"
        raise UsageError(msg, code="render.site_rules")
    return ruleset


def templates_of(folder: FilePath | None) -> Templates:
    """Built-in templates, overlaid with a site's own."""
    return load_templates(template_texts(), site_template_texts(Path(folder)) if folder else None)


def report_of(given: FilePath | Mapping[str, Any] | Report, option: str) -> Report:
    """Read a report: ``report.json``, the folder of one study or of a run of one study, its content, or itself."""
    if isinstance(given, Report):
        return given
    if isinstance(given, Mapping):
        return report_from_text(json.dumps(given))
    return report_from_text(read_text(report_path(given, option), option, max_bytes=MAX_REPORT_BYTES))


def report_path(given: FilePath, option: str) -> Path:
    """Find ``report.json``: the file, or that of the one study in a folder; `UsageError` ``report.which_study``."""
    path = Path(given)
    if not path.is_dir():
        return path
    found = _reports_in(path)
    if len(found) != 1:
        msg = f"the folder given with {option} holds {len(found)} reports; name the {REPORT_FILE} of one study"
        raise UsageError(msg, code="report.which_study")
    return found[0]


def priors_of(given: PriorsInput) -> Prior | None:
    """Read what was named as earlier studies; `Prior.older` are all but the first, until their dates are known."""
    named = [one for one in map(prior_of, given if isinstance(given, list) else [given]) if one is not None]
    return replace(named[0], older=tuple(named[1:])) if named else None


def prior_of(given: PriorInput) -> Prior | None:
    """Read what was named as an earlier study: a report and where its images lie, or the images themselves."""
    if not given:
        return None
    places: tuple[str, ...] = ()
    if not isinstance(given, Report | Mapping):
        path = Path(given)
        is_report = _reports_in(path) if path.is_dir() else path.suffix.lower() in {".json", ".txt"}
        if path.exists() and not is_report:  # images
            return Prior(places=(path,))
        given = report_path(path, "--prior")
        with suppress(UsageError):  # moved since
            places = remembered_places(given.parent)
    report = report_of(given, "--prior")
    return Prior(report=report, facts=earlier_report(report), places=tuple(map(Path, places)))


def _reports_in(folder: Path) -> list[Path]:
    """Report of the folder of one study, or those of a run."""
    own = folder / REPORT_FILE
    return [own] if own.is_file() else sorted(folder.glob(f"*/{REPORT_FILE}"))


def _with_thresholds(settings: Settings, text: str | None) -> Settings:
    """Overlay settings with ``GROW[,SEED]`` in HU; without a seed that of the contrast phase stays."""
    if text is None:
        return settings
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in {1, 2} or not all(0 < number <= _HIGHEST_HU for number in numbers):
        msg = "--threshold-hu takes one or two numbers of HU above 0, such as 130 or 130,200"
        raise UsageError(msg, code="usage.threshold")
    typed = {"grow_hu": numbers[0], "seed_hu": numbers[1] if len(numbers) == 2 else None}
    settings = settings.model_copy(update={"detection": settings.detection.model_copy(update=typed)})
    refuse_contradictions(settings)
    return settings


def formats_of(text: str | None) -> tuple[str, ...]:
    """Formats of ``--format``; those for everybody without it.

    Raises `UsageError` ``usage.unknown_format``; ``output.no_pdf`` before the first study, not after hours.
    """
    if text is None:
        return DEFAULT_FORMATS
    chosen = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    unknown = [word for word in chosen if word not in FORMATS]
    if unknown or not chosen:
        near = [match for word in unknown for match in get_close_matches(word, FORMATS, n=1)]
        hint = f"did you mean {', '.join(near)}?" if near else f"known formats: {', '.join(FORMATS)}"
        msg = f"--format names a format that does not exist; {hint}"
        raise UsageError(msg, code="usage.unknown_format")
    if "pdf" in chosen:
        from calcreport.formats.page.as_pdf import load_weasyprint  # noqa: PLC0415 - few ask for it

        load_weasyprint()
    return chosen


def _anatomy(given: FilePath | None) -> Path | Literal["run"] | None:
    """Masks of another program: a file, a folder, or the word to let it make them."""
    if given == "run":
        from calcreport.contour.anatomy import require_totalsegmentator  # noqa: PLC0415 - few ask for it

        require_totalsegmentator()
        return "run"
    return (Path(given) if Path(given).is_dir() else existing_file(given, "--anatomy")) if given else None
