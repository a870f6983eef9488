"""Outcome of each study of a run, for the summary, the terminal and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from calcreport.errors import CalcReportError, ConfigurationError, InputError, OutputError
from calcreport.formats.page.as_html import IndexEntry
from calcreport.model.report import SCHEMA_VERSION, Concern, Record, Report, SeriesEntry, Software
from calcreport.processes.crash import Crash

Status = Literal["reported", "refused", "no_calcification"]  # whether a report was written, and whether it has a lesion
Kind = Literal["", "input", "output", "configuration", "internal"]  # origin of a refusal; "" for none

_KINDS: Final[Mapping[type[CalcReportError], Kind]] = {
    InputError: "input",
    OutputError: "output",
    ConfigurationError: "configuration",
}
"""Origin of a refusal by the family of its error; every other one is a bug."""
SUMMARY_FILE: Final = "summary.json"  # in the results folder
INDEX_FILE: Final = "index.html"  # beside it


class Counts(Record):
    """How many lesions, excluded parts and slices measured."""

    lesions: int = 0
    excluded: int = 0
    images: int = 0


class StudyOutcome(Record):
    """Outcome of one study, as ``summary.json`` has it; fields that are excluded there last as long as the run."""

    folder: str
    status: Status
    code: str = ""
    message: str = ""
    """Of the refusal, with its remedy; no patient data."""
    concern: Concern | None = None
    counts: Counts = Counts()
    seconds: Annotated[float, AfterValidator(lambda seconds: round(seconds, 3))] = 0.0
    series: tuple[SeriesEntry, ...] = Field(default=(), repr=False)
    kind: Kind = Field(default="", exclude=True)
    text: str = Field(default="", exclude=True, repr=False)
    """The report section; holds patient data."""
    index_row: IndexEntry | None = Field(default=None, exclude=True, repr=False)
    """Row of the index page; holds patient data. ``None`` when there is no report."""
    has_review: bool = Field(default=False, exclude=True)
    """A reader's review lies in the study's folder; it is not applied by an analysis."""
    report: Report | None = Field(default=None, exclude=True, repr=False)
    """The report itself, where the request asks for it; holds patient data."""
    detail: str = Field(default="", exclude=True, repr=False)
    """Traceback of a bug; shown only when asked for."""

    @classmethod
    def refused(cls, reason: CalcReportError | Crash, folder: str = "", **more: Any) -> StudyOutcome:  # noqa: ANN401 - fields
        """Outcome of a study without a report: an error, or a worker that gave no answer."""
        if isinstance(reason, Crash):
            kind: Kind = "internal" if reason.code.startswith("internal.") else "input"
            more["detail"] = reason.detail
        else:
            kind = next((kind for family, kind in _KINDS.items() if isinstance(reason, family)), "internal")
        return cls(folder=folder, status="refused", kind=kind, code=reason.code, message=reason.message, **more)

    def sentence(self) -> str:
        """Describe the outcome of the study, without patient data."""
        if self.status == "refused":
            return f"refused [{self.code}]: {self.message}"
        lesions = f"{self.counts.lesions} lesion{'' if self.counts.lesions == 1 else 's'}"
        what = lesions if self.status == "reported" else "no calcification"
        text = f"reported, {what}, {self.counts.images} images, {self.seconds:.1f} s"
        return f"{text}; apply the review in its folder again with calcreport render" if self.has_review else text


def status_of(report: Report) -> Literal["reported", "no_calcification"]:
    """Whether a report names a lesion, or named one that a reader rejected."""
    return "reported" if report.lesions or report.rejected else "no_calcification"


class SummarySetAside(Record):
    """Files that belong to no study, one row a reason."""

    name: str
    code: str
    message: str
    count: int


class Summary(Record):
    """``summary.json``."""

    schema_version: str = SCHEMA_VERSION
    software: Software
    created: str
    studies: tuple[StudyOutcome, ...]
    set_aside: tuple[SummarySetAside, ...] = ()

    def to_bytes(self) -> bytes:
        """Text of the file."""
        return f"{self.model_dump_json(by_alias=True, indent=2)}\n".encode()


def read_summary(results: Path) -> Summary | None:
    """Summary in a results folder; ``None`` when there is none of this program."""
    try:
        return Summary.model_validate_json((results / SUMMARY_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def tabulate(outcomes: Sequence[StudyOutcome]) -> str:
    """One line a study, for the terminal."""
    heads = ("study", "status", "concern", "lesions", "seconds", "code")
    rows = (
        (
            outcome.folder,
            outcome.status,
            outcome.concern.value if outcome.concern else "-",
            str(outcome.counts.lesions) if outcome.status != "refused" else "-",
            f"{outcome.seconds:.1f}",
            outcome.code,
        )
        for outcome in outcomes
    )
    return align([heads, *rows])


def align(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell, a line each row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )
