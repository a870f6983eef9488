"""One study of a cohort: what is sent to a worker, what the worker does, and the workers of a Dask scheduler."""

from __future__ import annotations

import gc
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final, Literal

from calcreport.arguments import AnalyzeOptions, request_from
from calcreport.cohort.index import IndexedFile, bare_study
from calcreport.dicom import discover
from calcreport.errors import DeliveryError, InputError, UsageError
from calcreport.files.clinical_table import ClinicalData
from calcreport.model.report import Report, Study
from calcreport.pipeline import with_images
from calcreport.processes.crash import Crash
from calcreport.processes.pool import WorkerLimits, run_tasks
from calcreport.progress import Progress
from calcreport.study.folder import ResultsFolder, read_bytes
from calcreport.study.kept import KEPT_FILES, RECORD_FILE, RecordKey, StudyRecord, parse_record, record_files, record_of
from calcreport.study.request import Request
from calcreport.study.result import StudyOutcome

PRIVATE: Final = ".cohort"  # folder beside the studies: index, locks, records of refused studies
_OF_RUNS: Final = ("qc.", "index.")  # templates of pages that are not in the folder of a study
_AHEAD: Final = 2  # tasks a thread of a Dask worker has waiting, so that it never idles
_CONNECT_SECONDS: Final = 30  # given to a scheduler to answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all studies of a run share; small, so that it travels with each."""

    options: AnalyzeOptions
    """As typed, with absolute paths; a worker reads the files they name itself."""
    created: str
    digest: str
    """Of program, rules, settings, formats and layouts as the run sees them."""
    run_id: str
    """Begins the names of what is being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTask:
    """One study to analyse."""

    study: str = field(repr=False)
    """Study Instance UID, or the name that stands for it."""
    folder: str = field(repr=False)
    files: tuple[IndexedFile, ...] = field(repr=False)
    """Files to read; those of masks come last."""
    image_count: int
    """How many of the files are no masks."""
    key: RecordKey
    """What its record will be made from; the content of the files is not looked at yet."""
    clinical: ClinicalData = field(repr=False)
    """Its row of the clinical table, to be checked against the header."""
    anatomy: Path | Literal["run"] | None = field(default=None, repr=False)
    lesion_mask: Path | None = field(default=None, repr=False)
    earlier: tuple[Path, ...] = field(default=(), repr=False)
    """Reports on studies that were analysed before; one of them may be compared with it."""
    attempt: int = 1

    def is_done(self, record: StudyRecord | None) -> bool:
        """Whether a record is that of this task: nothing it was made from has changed."""
        key = self.key
        return record is not None and (record.key.signature, record.key.request) == (key.signature, key.request)


Result = StudyRecord | Crash  # Of one task; its worker may give no answer
Results = Generator[tuple[StudyTask, Result], None, None]  # Tasks with their results as they finish
Engine = Callable[[Iterator[StudyTask], int], Results]
"""Analyses tasks, so many at once, and gives each with its result as they finish; draws tasks when it needs them."""


def sign_files(files: Sequence[IndexedFile]) -> str:
    """Signature of what the file system says of files: it changes when one is written to, moved, added or removed."""
    rows = [(file.path, file.size, file.mtime_ns) for file in files]
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogateescape")).hexdigest()


def digest_files(files: Sequence[IndexedFile]) -> str:
    """Digest of the content of files, whatever they are called and wherever they lie."""
    digests = []
    for file in files:
        try:
            with Path(file.path).open("rb") as stream:
                digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
        except OSError as error:
            digests.append(type(error).__name__)
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def digest_request(request: Request) -> str:
    """Digest of everything but images and clinical data that a report rests on; limits of a run are no part of it."""
    parts = {
        "software": request.software.version,
        "rules": request.ruleset.sha256,
        "settings": request.settings.model_dump(mode="json", exclude={"run"}),
        "formats": request.formats,
        "templates": {name: text for name, text in request.templates.texts.items() if not name.startswith(_OF_RUNS)},
        "lesion_roi": request.lesion_roi,
        "anatomy": "run" if request.anatomy == "run" else "",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def load_request(plan: Plan) -> Request:
    """Read settings, rules and layouts, once a process; `UsageError` where they, or the program, are not the run's."""
    request = replace(request_from(plan.options), created=plan.created)
    if digest_request(request) != plan.digest:
        msg = (
            "a worker has another version of the program, or sees other settings, rules or templates; install the same "
            "version everywhere, and keep these files where every worker reads the same ones"
        )
        raise UsageError(msg, code="cohort.other_worker")
    return request


def refusal_file(out: Path, folder: str) -> Path:
    """Where the record of a refused study lies, which has no folder."""
    return out / PRIVATE / "refused" / f"{folder}.json"


def read_record(out: Path, folder: str) -> StudyRecord | None:
    """Record of a study, reported or refused; ``None`` when it was not analysed, or is not readable."""
    content = read_bytes(out / folder / RECORD_FILE)
    return parse_record(read_bytes(refusal_file(out, folder)) if content is None else content)


def write_refusal(out: Path, folder: str, record: StudyRecord, *, run_id: str) -> None:
    """Put the record of a refused study in place, and remove what an earlier run reported of it but for a review."""
    ResultsFolder(out, run_id=run_id).remove(folder, keep=KEPT_FILES)
    path = refusal_file(out, folder)
    refused = ResultsFolder(path.parent, run_id=run_id)
    refused.prepare()
    refused.write_file(path.name, record.to_bytes())


def analyse_task(task: StudyTask, on_step: Callable[[str], None], *, plan: Plan) -> StudyRecord:
    """Analyse a study unless that is done, and put its folder in place; the work of one task, in a worker process.

    A failure to write has a record too, which is not put in place.
    """
    began_s = monotonic()
    gc.collect()  # what an earlier study left
    gc.disable()
    request = load_request(plan)
    out = Path(plan.options.out or "")
    known = read_record(out, task.folder)
    if known is not None and task.is_done(known):
        return known  # by a worker that was thought dead
    key = task.key.model_copy(update={"images": digest_files(task.files)})
    run_id = plan.run_id + secrets.token_hex(4)
    if known is not None and known.key == key.model_copy(update={"signature": known.key.signature}):
        known = known.model_copy(update={"key": key})  # the same images lie elsewhere, or were touched
        if known.status == "refused":
            write_refusal(out, task.folder, known, run_id=run_id)
        else:
            ResultsFolder(out, run_id=run_id).write_file(RECORD_FILE, known.to_bytes(), study=task.folder)
        return known
    study, outcome = _analyse(task, request, key, ResultsFolder(out, run_id=run_id), on_step, began_s)
    if outcome.status != "refused" and (known := read_record(out, task.folder)) is not None:
        refusal_file(out, task.folder).unlink(missing_ok=True)
        return known
    record = record_of(study, outcome, key=key, attempts=task.attempt)
    if outcome.kind in {"input", "configuration"}:
        write_refusal(out, task.folder, record, run_id=run_id)
    return record


def _analyse(
    task: StudyTask,
    request: Request,
    key: RecordKey,
    results: ResultsFolder,
    on_step: Callable[[str], None],
    began_s: float,
) -> tuple[Study, StudyOutcome]:
    from calcreport.study.analyse import analyse_study  # noqa: PLC0415 - 0.2 s
    from calcreport.study.earlier import find_earlier  # noqa: PLC0415 - the same

    def beside(report: Report, files: Mapping[str, bytes]) -> dict[str, bytes]:
        return record_files(report, files, key=key, attempts=task.attempt, seconds=monotonic() - began_s)

    request = replace(
        request, clinical_data=task.clinical, anatomy=task.anatomy, lesion_mask=task.lesion_mask, beside=beside
    )
    paths = [Path(file.path) for file in task.files[: task.image_count]]
    with ExitStack() as inputs:
        begin = partial(discover, settings=request.settings.reading)
        found = inputs.enter_context(begin(paths)).studies
        study = next((one for one in found if one.study.study_instance_uid == task.study), None)
        if study is not None:
            (prior,) = find_earlier((study,), task.earlier)
            prior = with_images(
                prior, study, request, lambda places: inputs.enter_context(begin(places)), Progress.silent()
            )
            request = replace(request, prior=prior)
            return study.study, analyse_study(study, request, results, on_step)
    msg = "the files of the study are not what they were when they were found; run again"
    return bare_study(task.study), StudyOutcome.refused(InputError(msg, code="study.changed"))


def run_on_dask(
    tasks: Iterator[StudyTask],
    jobs: int,
    *,
    plan: Plan,
    limits: WorkerLimits,
    client: Any,  # noqa: ANN401
) -> Results:
    """Analyse on the workers of a scheduler; `jobs` of 1 keeps one study at work, more fill all workers.

    A study whose worker is lost goes to another one; a scheduler gives it up after some losses
    (``distributed.scheduler.allowed-failures``).
    """
    from distributed import as_completed  # noqa: PLC0415 - an extra

    running: dict[str, StudyTask] = {}
    finished = as_completed(loop=client.loop)
    while True:
        most = 1 if jobs == 1 else max(_AHEAD, _AHEAD * sum(client.nthreads().values()))
        for task in islice(tasks, max(0, most - len(running))):
            # The name keeps two clients from analysing one study at once.
            name = f"calcreport-{task.folder}-{task.key.request[:16]}-{task.key.signature[:16]}-{task.attempt}"
            future = client.submit(_analyse_apart, task, plan, limits, key=name)
            running[name] = task
            finished.add(future)
        if not running:
            return
        future = next(finished)
        yield running.pop(future.key), _result_of(future)
        future.release()


def connect(address: str) -> Any:  # noqa: ANN401 - of a library without types
    """Client of the scheduler at an address such as ``tcp://host:8786``, or in a file it wrote."""
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "--scheduler needs Dask; pip install calcreport[cohort], here and on every worker"
        raise UsageError(msg, code="cohort.no_dask") from error
    where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
    try:
        return Client(**where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = "the scheduler named with --scheduler does not answer; give its address, such as tcp://host:8786"
        raise UsageError(msg, code="cohort.no_scheduler") from error


def _result_of(future: Any) -> Result:  # noqa: ANN401 - of a library without types
    if future.status == "finished":
        result: Result = future.result()
        return result
    if future.status != "error":
        msg = "the scheduler ended the work or is gone; start it and run the same command again"
        raise DeliveryError(msg, code="cohort.scheduler_gone", is_retryable=True)
    msg = "the worker of the study was lost, or failed, again and again; see the log of the scheduler"
    return Crash(code="study.worker_lost", message=msg, detail=str(future.exception()))


@dataclass(slots=True, eq=False)
class _Lane:
    """The process in which one thread of a Dask worker has its studies analysed."""

    plan: Plan
    limits: WorkerLimits
    waiting: list[StudyTask] = field(default_factory=list)
    results: Iterator[tuple[StudyTask, Result]] = field(init=False)

    def __post_init__(self) -> None:
        # A Dask worker has threads, and may not have children by multiprocessing.
        work = partial(analyse_task, plan=self.plan)
        self.results = run_tasks(work, self._draw(), jobs=1, limits=self.limits, is_forked=False)

    def _draw(self) -> Iterator[StudyTask]:
        while self.waiting:
            yield self.waiting.pop()


_LANES: Final = threading.local()  # of the threads of a Dask worker


def _analyse_apart(task: StudyTask, plan: Plan, limits: WorkerLimits) -> Result:
    """Work of one task of Dask: a process of its own does it, so that a crash costs no Dask worker."""
    lane: _Lane | None = getattr(_LANES, "lane", None)
    if lane is None or (lane.plan, lane.limits) != (plan, limits):
        lane = _LANES.lane = _Lane(plan, limits)
    lane.waiting.append(task)
    return next(lane.results)[1]
