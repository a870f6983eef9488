"""A run over a cohort: find the studies, analyse those that are not finished, put the tables together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any, Final, Literal

from calcreport.arguments import REPORT_FILE, AnalyzeOptions, clinical_data_of, request_from
from calcreport.cohort import task as study_task
from calcreport.cohort.index import Index, IndexedFile, hold
from calcreport.cohort.tables import write_tables
from calcreport.errors import ClinicalError, OutputError, UsageError
from calcreport.files.clinical_table import ClinicalData, KeyedClinical, StudyClinical
from calcreport.files.named_file import FilePath, read_text
from calcreport.pipeline import RunOutcome, load_analysis, no_study_error
from calcreport.processes.crash import Crash
from calcreport.processes.pool import WorkerLimits, run_tasks
from calcreport.processes.threads import count_cores
from calcreport.progress import Progress
from calcreport.study.folder import ResultsFolder, folder_name
from calcreport.study.kept import RecordKey, StudyRecord, record_of
from calcreport.study.request import Request
from calcreport.study.result import Kind, Status, StudyOutcome, SummarySetAside

_FORMATS: Final = "text,json,html,png"
"""Written where ``--format`` does not say: what a researcher looks at, and no objects for a PACS."""
_GB: Final = 1_000_000_000  # bytes
_MOST_UNWRITTEN: Final = 10  # studies whose results could not be written before the run ends
_LINE_SECONDS: Final = 60.0  # between lines of progress in a log
FAILURES: Final = frozenset(
    ("study.crashed", "study.out_of_memory", "study.time_limit", "study.worker_lost", "internal.error")
)
"""Codes of refusals that say more about the run than about the study."""
_MASK_NAMES: Final = ("", ".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".dcm")  # behind the UID of the study


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortOptions(AnalyzeOptions):
    """What ``calcreport cohort`` can be asked beside what a single analysis can; its help page describes each.

    Masks are folders with a file, or a folder, a Study Instance UID. Without `format` a cohort has what a researcher
    looks at, without `jobs` one process a core, without `max_study_gb` a fair share of the memory.
    """

    scheduler: str | None = None
    shard: tuple[int, int] = (1, 1)
    max_study_gb: float = 0.0
    identify: bool = False
    compare: bool = False
    salt: FilePath | None = None
    retry: bool = False
    only: Literal["index", "tables"] | None = None


def run_cohort(options: CohortOptions, progress: Progress) -> RunOutcome:
    """Carry out what was asked.

    Raises `UsageError` ``cohort.…`` and as `request_from`, `ClinicalError` ``clinical.which_study``, `InputError`
    ``study.none_found``, `OutputError`.
    """
    clinical = clinical_data_of(options.clinical, "--clinical")
    masks = None if options.anatomy == "run" else options.anatomy
    folders = ((masks, "--anatomy"), (options.lesion_mask, "--lesion-mask"))
    for option in (option for folder, option in folders if folder and not Path(folder).is_dir()):
        msg = f"the folder given with {option} does not exist; it holds a file, or a folder, named by each study UID"
        raise UsageError(msg, code="usage.no_such_file")
    if clinical.rows and not clinical.is_table:
        msg = "clinical data of one patient do not fit a cohort; give a table with a column that names the study"
        raise ClinicalError(msg, code="clinical.which_study")
    number, count = options.shard
    request, out = request_from(_analysis(options)), Path(options.out or "").absolute()
    progress.warn_of_rules(request.ruleset.warnings)
    results = ResultsFolder(out, run_id=f"cohort{number}of{count}x")
    results.prepare()
    private = out / study_task.PRIVATE
    private.mkdir(exist_ok=True)
    parts = [private / f"part-{part}-of-{count}.done" for part in range(1, count + 1)]
    with ExitStack() as held:
        held.enter_context(hold(private / f"part-{number}-of-{count}.lock"))
        results.recover()
        held.callback(results.recover)
        index = _open_index(options, request, private, held, progress)
        run = _Run(options, clinical, request, index, progress)
        if options.only is None:
            parts[number - 1].unlink(missing_ok=True)
            run.analyse()
            parts[number - 1].touch()
        if options.only == "index":
            text = f"{index.count_studies()} studies in {index.count_files()} files.\n"
        elif options.only == "tables" or all(part.exists() for part in parts):
            salt = results.salt() if options.salt is None else read_text(options.salt, "--salt").strip().encode()
            text = write_tables(index, request, results, out, salt=salt, with_identifiers=options.identify)
        else:
            text = "This part is done. The last part makes the tables, or --tables-only.\n"
    studies = (StudyOutcome(folder="", status=status, kind=kind, code=code) for status, kind, code in run.kinds)
    return RunOutcome(studies=tuple(studies), text=text, detail=run.detail)


def _analysis(options: CohortOptions) -> AnalyzeOptions:
    """What all studies share; what workers read is at absolute paths, which they find from any folder."""
    names = ("config", "rules", "templates")
    read: dict[str, Any] = {name: Path(path).absolute() for name in names if (path := getattr(options, name))}
    return AnalyzeOptions(
        paths=options.paths,
        out=Path(options.out or "").absolute(),
        **read,
        threshold_hu=options.threshold_hu,
        format=options.format or _FORMATS,
        anatomy="run" if options.anatomy == "run" else None,
        jobs=options.jobs or count_cores(),
    )


def _open_index(options: CohortOptions, request: Request, private: Path, held: ExitStack, progress: Progress) -> Index:
    """Bring the index up to date, and open it for reading; a part of a cohort takes one that is complete as it is."""
    path, lock = private / "studies.sqlite", private / "index.lock"

    def is_complete() -> bool:
        """Whether there is an index of these paths that will do; other parts may be at work with it."""
        if (options.shard[1] == 1 and options.only != "tables") or not path.exists():
            return False
        with closing(Index(path, is_fixed=True)) as known:
            return known.is_complete(request.paths)

    with hold(lock, is_shared=True, waits=True):
        is_found = is_complete()
    if not is_found:
        with hold(lock, waits=True):
            if not is_complete():  # another part may have made it meanwhile
                with closing(Index(path)) as index:
                    index.refresh(
                        request.paths,
                        leave_out=private.parent,
                        settings=request.settings.reading,
                        jobs=request.jobs,
                        on_progress=lambda count: progress.step(f"looking for studies: {count} files"),
                    )
    held.enter_context(hold(lock, is_shared=True, waits=True))
    opened = held.enter_context(closing(Index(path, is_fixed=True)))
    if opened.count_studies() == 0:
        aside = opened.set_aside()
        raise no_study_error([SummarySetAside(name="", code=code, message=why, count=n) for code, why, n in aside])
    return opened


class _Run:
    """The analysis of one part of a cohort."""

    def __init__(
        self, options: CohortOptions, clinical: ClinicalData, request: Request, index: Index, progress: Progress
    ) -> None:
        self._options, self._table, self._request, self._index = options, clinical, request, index
        self._progress, self._pace = progress, _Pace(progress)
        given = _analysis(options)
        self._plan = study_task.Plan(
            options=replace(given, jobs=1, paths=tuple(Path(path).absolute() for path in given.paths)),
            created=request.created,
            digest=study_task.digest_request(request),
            run_id="cohort{}of{}x".format(*options.shard),
        )
        self._out = Path(given.out or "")
        self._clinical: dict[str, StudyClinical] = {}
        self._earlier: dict[str, list[str]] = {}  # studies of the same patient that one is compared with
        self.kinds: set[tuple[Status, Kind, str]] = set()  # status, origin of the refusal and code of every study
        self.detail = ""  # traceback of the last bug; shown only when asked for

    def analyse(self) -> None:
        """Analyse every study that is not finished; one that fails is tried once more when all others are done."""
        if self._options.compare:
            self._earlier = {study: self._index.earlier_than(study) for study in self._index.studies()}
        self._pace.total = sum(map(self._is_mine, self._index.studies()))
        if self._table.is_table:
            self._assign()
        with self._engine() as engine, ExitStack() as held:
            for rank in sorted({0, *map(len, self._earlier.values())}):  # first what others are compared with
                self._analyse_rank(rank, engine, held)
        self._pace.show()

    def _analyse_rank(self, rank: int, engine: study_task.Engine, held: ExitStack) -> None:
        """Analyse the studies that have so many earlier ones."""
        again: list[study_task.StudyTask] = []
        unwritten = 0
        # Closed at once where the run is interrupted: no worker outlives it.
        for task, result in held.enter_context(closing(engine(self._tasks(rank), self._request.jobs))):
            if isinstance(result, Crash) or result.kind in {"output", "internal"}:
                again.append(replace(task, attempt=2))
                self._progress.line(f"a study failed and is tried again: {_why(result)}")
                unwritten += not isinstance(result, Crash)
                if unwritten == _MOST_UNWRITTEN and not isinstance(result, Crash):
                    raise OutputError(result.message, code=result.code)
            else:
                self._settle(task, result)
        for task, result in held.enter_context(closing(engine(iter(again), 1))):
            self._settle(task, result)

    def _assign(self) -> None:
        """Give each study its row of the clinical table."""
        patients = [self._index.patient_of(study) for study in self._index.studies()]
        if unmatched := self._table.count_unmatched(patients):
            self._progress.line(f"{unmatched} of {len(self._table.rows)} clinical rows match no study")
        assigned = self._table.assign(patients)
        self._clinical = {one.study.study_instance_uid: its for one, its in zip(patients, assigned, strict=True)}

    @contextmanager
    def _engine(self) -> Iterator[study_task.Engine]:
        memory = int(self._options.max_study_gb * _GB) or None
        limits = WorkerLimits(seconds=self._request.settings.run.max_study_seconds, memory_bytes=memory)
        if self._options.scheduler is None:
            study_task.load_request(self._plan)  # once, and shared by workers that are forked
            load_analysis()
            work = partial(study_task.analyse_task, plan=self._plan)
            show = self._pace.step
            yield lambda tasks, jobs: run_tasks(
                work, tasks, jobs=jobs, limits=limits, on_step=lambda _task, step: show(step)
            )
        else:
            with study_task.connect(self._options.scheduler) as client:
                yield partial(study_task.run_on_dask, plan=self._plan, limits=limits, client=client)

    def _is_mine(self, study: str) -> bool:
        number, count = self._options.shard
        study = (self._earlier.get(study) or [study])[-1]  # all studies that are compared are of one part
        return count == 1 or int(sha256(study.encode()).hexdigest()[:8], 16) % count == number - 1

    def _tasks(self, rank: int) -> Iterator[study_task.StudyTask]:
        """Draw the studies with so many earlier ones that are not finished."""
        for study in filter(self._is_mine, self._index.studies()):
            if len(self._earlier.get(study, ())) != rank:
                continue
            task = self._task(study)
            known = study_task.read_record(self._out, task.folder)
            is_same = task.is_done(known)
            refusal = self._clinical.get(study, StudyClinical()).refusal
            if known is not None and is_same and not (self._options.retry and known.code in FAILURES):
                self.kinds.add((known.status, known.kind, known.code))
                self._pace.passed += 1
            elif refusal is not None:
                self._refuse(task, StudyOutcome.refused(refusal))
            else:
                if is_same:  # it failed, and the worker would take that for the result
                    study_task.refusal_file(self._out, task.folder).unlink(missing_ok=True)
                yield task

    def _task(self, study: str) -> study_task.StudyTask:
        images = self._index.files_of(study)
        is_run = self._options.anatomy == "run"
        anatomy: Path | Literal["run"] | None = "run" if is_run else _mask_of(self._options.anatomy, study)
        lesion = _mask_of(self._options.lesion_mask, study)
        masks = [file for path in (anatomy, lesion) if isinstance(path, Path) for file in _files_in(path)]
        its = self._clinical.get(study)
        rows: tuple[KeyedClinical, ...] = ()
        if its is not None and not its.is_not_in_table:
            rows = (KeyedClinical(keys={"study_instance_uid": study}, clinical=its.clinical),)
        about = "" if its is None else f"{its.is_not_in_table} {its.refusal} {its.clinical.model_dump_json()}"
        earlier = self._earlier.get(study, ())
        about += "".join(study_task.sign_files(self._index.files_of(other)) for other in earlier)
        files = (*images, *masks)
        return study_task.StudyTask(
            study=study,
            folder=folder_name(study),
            files=files,
            image_count=len(images),
            key=RecordKey(
                signature=study_task.sign_files(files),
                request=sha256(f"{self._plan.digest} {about}".encode()).hexdigest(),
            ),
            clinical=ClinicalData(rows=rows, is_table=its is not None),
            anatomy=anatomy,
            lesion_mask=lesion,
            earlier=tuple(self._out / folder_name(other) / REPORT_FILE for other in earlier),
        )

    def _settle(self, task: study_task.StudyTask, result: study_task.Result) -> None:
        """Count a study; one that failed twice is recorded as refused."""
        if isinstance(result, Crash):
            self.detail = result.detail
            self._refuse(task, StudyOutcome.refused(result))
        else:
            self.kinds.add((result.status, result.kind, result.code))
            self._pace.finish(result)

    def _refuse(self, task: study_task.StudyTask, outcome: StudyOutcome) -> None:
        study = self._index.patient_of(task.study).study
        record = record_of(study, outcome, key=task.key, attempts=task.attempt)
        study_task.write_refusal(self._out, task.folder, record, run_id=self._plan.run_id)
        self._settle(task, record)


def _why(result: study_task.Result) -> str:
    return f"[{result.code}] {result.message}"


def _mask_of(folder: FilePath | None, study: str) -> Path | None:
    """File or folder of a study in a folder of masks."""
    paths = [Path(folder, f"{folder_name(study)}{end}").absolute() for end in _MASK_NAMES] if folder else []
    return next((path for path in paths if path.exists()), None)


def _files_in(path: Path) -> Iterator[IndexedFile]:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            status = file.stat()
            yield IndexedFile(path=str(file), size=status.st_size, mtime_ns=status.st_mtime_ns)


class _Pace:
    """How fast a run goes and when it will end, for the person who waits."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began_s = self._shown_s = monotonic()
        self.total = self.passed = self._done = self._refused = 0

    def finish(self, record: StudyRecord) -> None:
        """Count a study, and say now and then where the run stands."""
        self._done += 1
        if record.status == "refused":
            self._refused += 1
            if record.code in FAILURES:  # other refusals are counted, and stand in the tables
                self._progress.line(f"a study failed twice and is refused: {_why(record)}")
        if monotonic() - self._shown_s > _LINE_SECONDS:
            self.show()

    def show(self) -> None:
        """Say where the run stands."""
        self._shown_s = monotonic()
        self._progress.line(self._sentence())

    def step(self, name: str) -> None:
        """Show a passing step."""
        self._progress.step(f"{self._sentence()}; {name}")

    def _sentence(self) -> str:
        seconds = max(monotonic() - self._began_s, 0.001)
        rate = self._done / seconds
        left = (self.total - self.passed - self._done) / rate if rate else 0.0
        return (
            f"{self.passed + self._done} of {self.total} studies, {self.passed} of them finished before, "
            f"{self._refused} refused, {60 * rate:.1f} a minute, {_spell_seconds(left)} left"
        )


def _spell_seconds(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"
