"""Outcome of each study of a run, for the summary, the terminal and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from calcreport.formats.page.as_index import IndexEntry
from calcreport.model.report import SCHEMA_VERSION, Concern, Record, Report, SeriesEntry, Software
from calcreport.processes.pool import Crash

Status = Literal["reported", "refused", "no_calcification"]  # whether a report was written, and whether it has a lesion
Kind = Literal["", "input", "output", "configuration", "internal"]  # origin of a refusal; "" for none


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutcome:
    """Outcome of one study.

    Parameters
    ----------
    folder : str
        Name of its folder in the results.
    status : Status
        Whether there is a report, and whether it names a lesion.
    kind : Kind
        Origin of a refusal; empty when there is none.
    code, message : str
        Of the refusal, with its remedy; no patient data.
    concern : Concern | None
        Of the report.
    lesion_count, excluded_count, image_count : int
        Lesions, excluded parts, slices measured.
    seconds : float
        Time taken.
    text : str
        The report section; holds patient data.
    series : tuple[SeriesEntry, ...]
        Every series of the study and its outcome.
    index_row : IndexEntry | None
        Row of the index page; holds patient data. ``None`` when there is no report.
    has_review : bool
        A reader's review lies in the study's folder; it is not applied by an analysis.
    report : Report | None
        The report itself, where the request asks for it; holds patient data.
    detail : str
        Traceback of a bug; shown only when asked for.
    """

    folder: str
    status: Status
    kind: Kind = ""
    code: str = ""
    message: str = ""
    concern: Concern | None = None
    lesion_count: int = 0
    excluded_count: int = 0
    image_count: int = 0
    seconds: float = 0.0
    text: str = field(default="", repr=False)
    series: tuple[SeriesEntry, ...] = field(default=(), repr=False)
    index_row: IndexEntry | None = field(default=None, repr=False)
    has_review: bool = False
    report: Report | None = field(default=None, repr=False)
    detail: str = field(default="", repr=False)

    @classmethod
    def from_crash(cls, crash: Crash, *, folder: str) -> StudyOutcome:
        """Outcome of a study whose worker gave no answer."""
        kind: Kind = "internal" if crash.code.startswith("internal.") else "input"
        return cls(
            folder=folder, status="refused", kind=kind, code=crash.code, message=crash.message, detail=crash.detail
        )

    def sentence(self) -> str:
        """Describe the outcome of the study, without patient data."""
        if self.status == "refused":
            return f"refused [{self.code}]: {self.message}"
        lesions = f"{self.lesion_count} lesion{'' if self.lesion_count == 1 else 's'}"
        what = lesions if self.status == "reported" else "no calcification"
        text = f"reported, {what}, {self.image_count} images, {self.seconds:.1f} s"
        return f"{text}; apply the review in its folder again with calcreport render" if self.has_review else text


def status_of(report: Report) -> Literal["reported", "no_calcification"]:
    """Whether a report names a lesion, or named one that a reader rejected."""
    return "reported" if report.lesions or report.rejected else "no_calcification"


class Counts(Record):
    """How many of what."""

    lesions: int
    excluded: int
    images: int


class SummaryStudy(Record):
    """One study in the summary."""

    folder: str
    status: Status
    code: str
    message: str
    concern: Concern | None
    counts: Counts
    seconds: float
    series: tuple[SeriesEntry, ...]


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
    studies: tuple[SummaryStudy, ...]
    set_aside: tuple[SummarySetAside, ...]


def summarise(
    outcomes: Sequence[StudyOutcome], set_aside: Sequence[SummarySetAside], *, software: Software, created: str
) -> Summary:
    """Summary of a run.

    Parameters
    ----------
    outcomes : Sequence[StudyOutcome]
        In the order found.
    set_aside : Sequence[SummarySetAside]
        Files that belong to no study.
    software : Software
        Name and versions.
    created : str
        Date and time, ISO 8601.
    """
    studies = tuple(
        SummaryStudy(
            folder=outcome.folder,
            status=outcome.status,
            code=outcome.code,
            message=outcome.message,
            concern=outcome.concern,
            counts=Counts(lesions=outcome.lesion_count, excluded=outcome.excluded_count, images=outcome.image_count),
            seconds=round(outcome.seconds, 3),
            series=outcome.series,
        )
        for outcome in outcomes
    )
    return Summary(software=software, created=created, studies=studies, set_aside=tuple(set_aside))


def tabulate(outcomes: Sequence[StudyOutcome]) -> str:
    """One line a study, for the terminal."""
    rows = [("study", "status", "concern", "lesions", "seconds", "code")]
    rows += [
        (
            outcome.folder,
            outcome.status,
            outcome.concern.value if outcome.concern else "-",
            str(outcome.lesion_count) if outcome.status != "refused" else "-",
            f"{outcome.seconds:.1f}",
            outcome.code,
        )
        for outcome in outcomes
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )
