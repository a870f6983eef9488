"""The earlier study to compare with, found by its patient among the results of many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from calcreport.dicom import StudyFiles
from calcreport.errors import UsageError
from calcreport.files.report import earlier_report, report_from_text
from calcreport.formats import FILE_NAMES
from calcreport.model.report import Study
from calcreport.study.analyse import refuse_wrong_prior
from calcreport.study.folder import read_bytes
from calcreport.study.render import remembered_places
from calcreport.study.request import Prior

_LAYOUTS: Final = ("", "*/", "*/results/*/")  # of the folder of a study, of a run, of the service's store


def reports_in(folder: Path) -> Iterator[Path]:
    """Every report in the folder of a study or a run, or in the store of the service."""
    return (path for layout in _LAYOUTS for path in folder.glob(f"{layout}{FILE_NAMES['json']}"))


def find_earlier(studies: Sequence[StudyFiles], reports: Iterable[Path]) -> list[Prior | None]:
    """Of each study the latest earlier one of its patient on the same kind of image, first of the same named part.

    Id, name, date of birth and sex have to be stated on both and to agree: what is not known is no agreement. Every
    report is read once.
    """
    best: list[tuple[tuple[bool, str], Prior | None]] = [((False, ""), None) for _ in studies]
    for path in reports:
        text = read_bytes(path) or b""
        for number, study in enumerate(studies):
            who = _who(study.study)
            # Most reports are of somebody else, and need not be parsed.
            if not all(who[:4]) or str(who[0]).encode() not in text:
                continue
            with suppress(UsageError, ValueError):  # damaged, of another version, or no earlier one
                report = report_from_text(text.decode())
                facts, then = earlier_report(report), report.study
                refuse_wrong_prior(study, facts)
                rank = (then.body_part == study.study.body_part, then.study_date or "")
                if _who(then) == who and then.study_date and study.study.study_date and rank > best[number][0]:
                    best[number] = rank, Prior(report=report, facts=facts, places=_places(path.parent))
    return [prior for _, prior in best]


def _who(study: Study) -> tuple[str | None, str | None, str | None, str | None, bool]:
    return study.patient.id, study.patient.name, study.patient.birth_date, study.patient.sex, study.modality == "CT"


def _places(folder: Path) -> tuple[Path, ...]:
    with suppress(UsageError):  # moved since
        return tuple(map(Path, remembered_places(folder)))
    return ()
