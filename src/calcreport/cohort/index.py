"""Which file belongs to which study: an SQLite file beside the results, so that memory does not grow with the cohort.

A file whose size and time of change are as noted is not read again. What was noted survives a killed run.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from calcreport.dicom import StudyFiles, discover
from calcreport.dicom.discover import FileContent, list_files, survey
from calcreport.dicom.header.image_header import NO_UID
from calcreport.errors import OutputError, UsageError
from calcreport.model.report import Patient, Study
from calcreport.processes.crash import Crash
from calcreport.processes.pool import Report, WorkerLimits, run_tasks
from calcreport.settings import ReadingSettings

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS folder (id INTEGER PRIMARY KEY, path BLOB UNIQUE, seen INTEGER, is_named INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY, folder INTEGER, name BLOB, size INTEGER, mtime_ns INTEGER, is_doubtful INTEGER,
    UNIQUE (folder, name));
CREATE INDEX IF NOT EXISTS doubtful ON file (folder) WHERE is_doubtful;
CREATE TABLE IF NOT EXISTS aside (file INTEGER, code TEXT, message TEXT, count INTEGER);
CREATE INDEX IF NOT EXISTS aside_of_file ON aside (file);
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, study TEXT, uid TEXT, UNIQUE (study, uid));
CREATE INDEX IF NOT EXISTS series_by_uid ON series (uid);
CREATE TABLE IF NOT EXISTS content (series INTEGER, file INTEGER, PRIMARY KEY (series, file)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS content_of_file ON content (file);
CREATE TABLE IF NOT EXISTS patient (
    study TEXT PRIMARY KEY, patient_id TEXT, accession TEXT, birth_date TEXT, sex TEXT, age_years REAL, issuer TEXT,
    study_date TEXT);
CREATE INDEX IF NOT EXISTS studies_of_patient ON patient (patient_id);
CREATE TABLE IF NOT EXISTS nameless (study TEXT PRIMARY KEY, folder INTEGER);
CREATE TABLE IF NOT EXISTS complete (paths TEXT);
CREATE TABLE IF NOT EXISTS passed_over (code TEXT, message TEXT, count INTEGER);
"""
"""Images of a study without UID are in series of the empty study; `nameless` has the names that stand for them."""

_OF_STUDY: Final = """
WITH own AS (
    SELECT content.file FROM content JOIN series ON series.id = content.series WHERE series.study = :study
    UNION SELECT file.id FROM file JOIN nameless ON nameless.folder = file.folder WHERE nameless.study = :study)
SELECT folder.path, file.name, file.size, file.mtime_ns FROM file JOIN folder ON folder.id = file.folder
WHERE file.id IN (
    SELECT file FROM own
    UNION SELECT id FROM file WHERE is_doubtful AND folder IN (SELECT folder FROM file WHERE id IN own)
    UNION SELECT (SELECT content.file FROM series AS other JOIN content ON content.series = other.id
        WHERE other.uid = mine.uid AND other.study <> mine.study LIMIT 1) FROM series AS mine WHERE mine.study = :study)
ORDER BY folder.path, file.name
"""
"""Files of a study, and what bears on it: damaged files beside them, and of another study that shares a series one."""

# Studies sorted by UID, their number, files set aside, and the row of a patient.
_STUDIES: Final = """SELECT DISTINCT series.study FROM series JOIN content ON content.series = series.id
WHERE series.study <> '' UNION SELECT study FROM nameless ORDER BY 1"""
_COUNT: Final = f"SELECT count(*) FROM ({_STUDIES})"  # noqa: S608 - our own words
_ASIDE: Final = """SELECT code, min(message), sum(count) FROM (
SELECT code, message, count FROM aside UNION ALL SELECT code, message, count FROM passed_over)
GROUP BY code ORDER BY code"""
_ADD_PATIENT: Final = "INSERT OR REPLACE INTO patient VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_EARLIER: Final = """SELECT other.study FROM patient AS mine JOIN patient AS other USING (patient_id, birth_date, sex)
WHERE mine.study = ? AND other.issuer IS mine.issuer AND other.study_date < mine.study_date
ORDER BY other.study_date DESC, other.study"""
_BATCH: Final = 200  # files a worker looks at before it reports
_COMMIT_SECONDS: Final = 5.0  # longest work on the index that a killed run loses
_PATIENCE_SECONDS: Final = 10.0  # Workers of a run that was killed die within a second, and hold its lock until then
_LIMITS: Final = WorkerLimits(seconds=3600.0, memory_bytes=4 << 30)  # of a batch: an hour, 4 GiB


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFile:
    """A file as it was when it was looked at."""

    path: str = field(repr=False)
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class _Batch:
    folder: int
    path: str
    files: tuple[tuple[bytes, int, int], ...]
    """Name, size and time of change of each."""


class Index:
    """The index in a folder of results; `is_fixed` for one that another run may be reading too."""

    def __init__(self, path: Path, *, is_fixed: bool = False) -> None:
        address = f"{path.absolute().as_uri()}?mode=ro&immutable=1" if is_fixed else path.absolute().as_uri()
        try:
            self._db = sqlite3.connect(address, uri=True)
            if not is_fixed:
                self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            msg = "the index of the cohort cannot be opened; remove .cohort/studies.sqlite in the folder of --out"
            raise OutputError(msg, code="cohort.index") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def is_complete(self, paths: Sequence[Path]) -> bool:
        """Whether a search of these paths came to its end."""
        try:
            return bool(self._db.execute("SELECT paths FROM complete").fetchone() == (_spell(paths),))
        except sqlite3.Error:  # it was not even begun
            return False

    def count_studies(self) -> int:
        """How many studies there are."""
        return int(self._db.execute(_COUNT).fetchone()[0])

    def count_files(self) -> int:
        """How many files were looked at."""
        return int(self._db.execute("SELECT count(*) FROM file").fetchone()[0])

    def studies(self) -> Iterator[str]:
        """Study Instance UID of every study, or the name that stands for it, sorted."""
        return (study for (study,) in self._db.execute(_STUDIES))

    def files_of(self, study: str) -> tuple[IndexedFile, ...]:
        """Files that an analysis of the study reads, sorted by folder and name."""
        return tuple(
            IndexedFile(path=os.fsdecode(os.path.join(folder, name)), size=size, mtime_ns=mtime_ns)  # noqa: PTH118
            for folder, name, size, mtime_ns in self._db.execute(_OF_STUDY, {"study": study})
        )

    def patient_of(self, study: str) -> StudyFiles:
        """The study without its images: identity of its patient as far as a clinical table asks for it."""
        row = self._db.execute("SELECT * FROM patient WHERE study = ?", (study,)).fetchone() or (study, *[None] * 7)
        patient = Patient(id=row[1], birth_date=row[3], sex=row[4], age_years=row[5])
        named = bare_study(study).model_copy(update={"patient": patient, "accession_number": row[2]})
        return StudyFiles(study=named, series=(), patient_id_issuer=row[6])

    def earlier_than(self, study: str) -> list[str]:
        """Studies before one of the same patient, the latest first: id, date of birth and sex are known, and agree."""
        return [other for (other,) in self._db.execute(_EARLIER, (study,))]

    def set_aside(self) -> list[tuple[str, str, int]]:
        """Code, message and number of files of each reason why files belong to no study."""
        return list(self._db.execute(_ASIDE))

    def refresh(
        self,
        paths: Sequence[Path],
        *,
        leave_out: Path,
        settings: ReadingSettings,
        jobs: int,
        on_progress: Callable[[int], None],
    ) -> None:
        """Look for files under the paths, but for the folder `leave_out`, and at those that are new or changed.

        `on_progress` gets the number of files found so far.
        """
        self._db.execute("DELETE FROM complete")
        walk = _Walk(self._db, settings, os.path.realpath(leave_out), on_progress)
        self._survey(walk.batches(paths), settings, jobs)
        walk.end()
        self._name_nameless(settings)
        self._db.execute("DELETE FROM series WHERE id NOT IN (SELECT series FROM content)")
        self._db.execute("INSERT INTO complete VALUES (?)", (_spell(paths),))
        self._db.commit()

    def _survey(self, batches: Iterator[_Batch], settings: ReadingSettings, jobs: int) -> None:
        """Look at files in worker processes; a file that ends its worker is set aside, and no other."""
        single: list[_Batch] = []
        committed = monotonic()
        work = partial(_survey_batch, settings=settings)
        for batch, seen in run_tasks(work, batches, jobs=jobs, limits=_LIMITS):
            if isinstance(seen, Crash):
                single += [_Batch(batch.folder, batch.path, (file,)) for file in batch.files]
            else:
                self._add(batch, seen)
            if monotonic() - committed > _COMMIT_SECONDS:
                self._db.commit()
                committed = monotonic()
        for batch, seen in run_tasks(work, single, jobs=1, limits=_LIMITS):
            self._add(batch, seen if isinstance(seen, list) else [seen])

    def _add(self, batch: _Batch, seen: Sequence[FileContent | Crash]) -> None:
        for (name, size, mtime_ns), one in zip(batch.files, seen, strict=True):
            if isinstance(one, Crash):
                content, rows = FileContent(is_doubtful=True), [(one.code, one.message, 1)]
            else:
                content, rows = one, [(row.code, row.message, row.count) for row in one.aside]
            file = self._db.execute(
                "INSERT INTO file (folder, name, size, mtime_ns, is_doubtful) VALUES (?, ?, ?, ?, ?)",
                (batch.folder, name, size, mtime_ns, content.is_doubtful),
            ).lastrowid
            self._db.executemany("INSERT INTO aside VALUES (?, ?, ?, ?)", [(file, *row) for row in rows])
            for pair in content.series:
                self._db.execute("INSERT OR IGNORE INTO series (study, uid) VALUES (?, ?)", pair)
                self._db.execute(
                    "INSERT OR IGNORE INTO content SELECT id, ? FROM series WHERE study = ? AND uid = ?", (file, *pair)
                )
            for study, its in content.patients:
                who = (its.patient_id, its.accession_number, its.birth_date, its.sex, its.age_years)
                self._db.execute(_ADD_PATIENT, (study, *who, its.patient_id_issuer, its.study_date))

    def _name_nameless(self, settings: ReadingSettings) -> None:
        """Name the studies of folders whose images have no Study Instance UID; the name follows from all of them."""
        changed = """SELECT id, path FROM folder WHERE is_named = 0 AND id IN (
            SELECT file.folder FROM file JOIN content ON content.file = file.id
            JOIN series ON series.id = content.series WHERE series.study = '')"""
        for folder, path in self._db.execute(changed).fetchall():
            names = self._db.execute("SELECT name FROM file WHERE folder = ? ORDER BY name", (folder,))
            paths = [Path(os.fsdecode(path), os.fsdecode(name)) for (name,) in names]
            with discover(paths, settings=settings) as found:
                named = [study for study in found.studies if study.study.study_instance_uid.startswith(NO_UID)]
            self._db.execute("DELETE FROM nameless WHERE folder = ?", (folder,))
            for study in named:
                its, person = study.study, study.study.patient
                uid = its.study_instance_uid
                self._db.execute("INSERT OR IGNORE INTO nameless VALUES (?, ?)", (uid, folder))
                who = (person.id, its.accession_number, person.birth_date, person.sex, person.age_years)
                self._db.execute(_ADD_PATIENT, (uid, *who, study.patient_id_issuer, its.study_date))
        self._db.execute("DELETE FROM nameless WHERE folder NOT IN (SELECT id FROM folder)")
        self._db.execute("UPDATE folder SET is_named = 1")


class _Walk:
    """One search of the folders: what is new or changed, and in the end what is gone."""

    def __init__(
        self, db: sqlite3.Connection, settings: ReadingSettings, leave_out: str, on_progress: Callable[[int], None]
    ) -> None:
        self._db, self._settings, self._on_progress = db, settings, on_progress
        self._leave_out = (leave_out, leave_out + os.sep)
        self._run = 1 + (db.execute("SELECT max(seen) FROM folder").fetchone()[0] or 0)
        self._aside: Counter[tuple[str, str]] = Counter()
        self._count = 0

    def batches(self, paths: Sequence[Path]) -> Iterator[_Batch]:
        """Draw new and changed files of one folder, some at a time."""
        for path in paths:
            for folder, names in groupby(self._list(path), key=os.path.dirname):
                if folder != self._leave_out[0] and not folder.startswith(self._leave_out[1]):
                    yield from self._look_into(folder, names)

    def _list(self, path: Path) -> Generator[str, None, None]:
        for row in (yield from list_files(path, settings=self._settings)):
            self._aside[row.code, row.message] += row.count

    def _look_into(self, folder: str, names: Iterator[str]) -> Iterator[_Batch]:
        key, known = self._open(folder)
        fresh: list[tuple[bytes, int, int]] = []
        for path in names:
            self._count += 1
            if self._count % 1000 == 0:
                self._on_progress(self._count)
            try:
                status = os.lstat(path)
            except OSError:
                continue  # it went away just now
            name = os.fsencode(os.path.basename(path))  # noqa: PTH119 - a string
            file, *noted = known.pop(name, (None, None, None))
            if noted != [status.st_size, status.st_mtime_ns]:
                self._forget(key, file)
                fresh.append((name, status.st_size, status.st_mtime_ns))
            if len(fresh) == _BATCH:
                yield _Batch(key, folder, tuple(fresh))
                fresh.clear()
        for file, *_ in known.values():
            self._forget(key, file)
        if fresh:
            yield _Batch(key, folder, tuple(fresh))

    def _open(self, folder: str) -> tuple[int, dict[bytes, tuple[int | None, int | None, int | None]]]:
        """Key of a folder, and what is known of its files by name; what an overlapping path has shown is kept."""
        path = os.fsencode(folder)
        self._db.execute("INSERT OR IGNORE INTO folder (path) VALUES (?)", (path,))
        self._db.execute("UPDATE folder SET seen = ? WHERE path = ?", (self._run, path))
        key: int = self._db.execute("SELECT id FROM folder WHERE path = ?", (path,)).fetchone()[0]
        rows = self._db.execute("SELECT name, id, size, mtime_ns FROM file WHERE folder = ?", (key,))
        return key, {name: (file, size, mtime_ns) for name, file, size, mtime_ns in rows}

    def _forget(self, folder: int, file: int | None) -> None:
        self._db.execute("UPDATE folder SET is_named = 0 WHERE id = ?", (folder,))
        if file is not None:
            self._drop("?", file)

    def _drop(self, files: str, value: int) -> None:
        for column in ("content WHERE file", "aside WHERE file", "file WHERE id"):
            self._db.execute(f"DELETE FROM {column} IN ({files})", (value,))  # noqa: S608 - our own words

    def end(self) -> None:
        """Forget folders that are gone."""
        self._drop("SELECT file.id FROM file JOIN folder ON folder.id = file.folder WHERE folder.seen <> ?", self._run)
        self._db.execute("DELETE FROM folder WHERE seen <> ?", (self._run,))
        self._db.execute("DELETE FROM passed_over")
        self._db.executemany(
            "INSERT INTO passed_over VALUES (?, ?, ?)", [(*row, count) for row, count in self._aside.items()]
        )
        self._on_progress(self._count)


def _spell(paths: Sequence[Path]) -> str:
    return ascii(sorted(os.path.realpath(path) for path in paths))


def _survey_batch(batch: _Batch, _on_step: Report, *, settings: ReadingSettings) -> list[FileContent]:
    """Work of one task, in a worker process."""
    return [
        survey(os.path.join(batch.path, os.fsdecode(name)), settings=settings)  # noqa: PTH118 - a string
        for name, _, _ in batch.files
    ]


def bare_study(study_instance_uid: str) -> Study:
    """A study of which nothing but its UID is known."""
    return Study(
        study_instance_uid=study_instance_uid, study_date=None, modality="", description=None, patient=Patient()
    )


@contextmanager
def hold(path: Path, *, is_shared: bool = False, waits: bool = False) -> Iterator[None]:
    """Hold the lock of a file, alone or with others that share it; without locks the user keeps the runs apart.

    Raises `UsageError` ``cohort.running`` when another run holds it and this one does not wait.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end_s = monotonic() + _PATIENCE_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if not waits and monotonic() > end_s:
                    msg = "another run is at work on this part of the cohort; wait for it, or end it"
                    raise UsageError(msg, code="cohort.running") from error
                sleep(0.1)
                continue
            except OSError:  # no locks here
                pass
            break
        yield
    finally:
        os.close(descriptor)
