"""Clinical data for the service: a table that is looked at for changes, and files that come with single studies."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from calcreport.arguments import clinical_data_of
from calcreport.errors import ClinicalError
from calcreport.files.clinical_table import MAX_TABLE_BYTES, ClinicalData, data_from_text
from calcreport.files.named_file import read_bytes
from calcreport.service.durable import store_errors, write_file
from calcreport.service.journal import Journal

MAX_CLINICAL_BYTES: Final = 1_000_000  # Clinical data of one study are a page of text
TABLE: Final = "clinical_table"  # name of the copy in the store
_OPTION: Final = "service.analysis.clinical"  # that names the table
_LOOK_S: Final = 2.0  # between two looks at it


def read_table(path: str) -> ClinicalData:
    """Read the table of `service.analysis.clinical`.

    Raises `UsageError` ``usage.no_such_file`` or ``usage.unreadable_file``; `ClinicalError` ``clinical.…``;
    ``clinical.which_study`` when it holds data of one patient: the service reports on many.
    """
    data = clinical_data_of(path, _OPTION)
    if not data.is_table:
        msg = (
            f"{_OPTION} must be a table (CSV, or a YAML list) keyed by patient_id, accession_number or "
            "study_instance_uid: the service reports on many patients"
        )
        raise ClinicalError(msg, code="clinical.which_study")
    return data


def study_of_clinical(content: bytes) -> str:
    """Read from YAML or JSON of one patient which study it is about: its ``study_instance_uid``.

    Raises `ClinicalError` ``clinical.…``; ``clinical.which_study`` when it does not name one study.
    """
    try:
        text = content.decode("utf-8-sig") if len(content) <= MAX_CLINICAL_BYTES else ""
    except UnicodeDecodeError:
        text = ""
    data = data_from_text(text)
    keys = data.rows[0].keys if data.rows and not data.is_table else {}
    if "study_instance_uid" not in keys:
        msg = "a clinical file that comes with a study must be UTF-8 text and name its study_instance_uid"
        raise ClinicalError(msg, code="clinical.which_study")
    return keys["study_instance_uid"]


class ClinicalWatch:
    """The table of a site. A copy of its last good version is what analyses read.

    `named` gives the path in the settings; it is asked every time, so that the path can be changed.
    """

    def __init__(self, root: Path, named: Callable[[], str | None], *, journal: Journal) -> None:
        self._copy = root / TABLE
        self._named = named
        self._journal = journal
        self._looked_s = float("-inf")
        self._seen: tuple[object, ...] | None = None
        self._taken: tuple[object, ...] | None = None
        self._has_copy = False
        self.problem = ""
        """Code of what is wrong with the present version; empty when it is in use."""

    def table(self) -> Path | None:
        """Table to analyse with; ``None`` when the settings name none.

        Raises `ClinicalError` with the code of the problem, when no version of the table was ever good: no study may
        miss its data.
        """
        if not self._named():
            return None
        if not self._has_copy:
            self.look(is_now=True)
        if not self._has_copy:
            msg = "the clinical table cannot be used"
            raise ClinicalError(msg, code=self.problem or "clinical.which_study")
        return self._copy

    def look(self, *, is_now: bool = False) -> None:
        """Take the table over when it has changed, and no longer changes: one half written may look whole."""
        if monotonic() - self._looked_s < _LOOK_S and not is_now:
            return
        self._looked_s = monotonic()
        path = self._named()
        if not path:
            self._seen, self._taken, self._has_copy, self.problem = None, None, False, ""
            with suppress(OSError):
                self._copy.unlink()
            return
        mark = _mark(path)
        is_settled = mark == self._seen or not self._has_copy
        self._seen = mark
        if mark == self._taken or not is_settled:
            return
        self._taken = mark
        try:
            count = self._take(path)
        except Exception as error:  # noqa: BLE001 - whatever a table does, the service goes on
            self.problem = getattr(error, "code", "internal.error")
            self._journal.count("clinical_tables_refused")
            self._journal.tell("clinical_table_refused", code=self.problem)
            return
        self._has_copy = True
        self.problem = ""
        self._journal.count("clinical_tables_read")
        self._journal.tell("clinical_table_read", count=count)

    def _take(self, path: str) -> int:
        """Copy the table, check the copy, put it in the place of the last; count its rows."""
        candidate = self._copy.with_name(f"{TABLE}.next{Path(path).suffix}")
        try:
            with store_errors():
                write_file(candidate, read_bytes(path, _OPTION, max_bytes=MAX_TABLE_BYTES))
                count = len(read_table(str(candidate)).rows)
                candidate.replace(self._copy)
        finally:
            with suppress(OSError):
                candidate.unlink()
        return count


def _mark(path: str) -> tuple[object, ...]:
    """Stand for a file as it is now."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as it is named, links followed
    except OSError:
        return (path,)
    return path, status.st_ino, status.st_size, status.st_mtime_ns
