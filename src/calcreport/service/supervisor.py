"""The loop that ties the service together: complete studies to analyses, analyses to results, results to sinks.

One thread writes records. After a restart it reads from the file tree what it knew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from secrets import token_hex
from time import monotonic, time
from typing import Any, Final

from calcreport.errors import StoreError
from calcreport.service import queue
from calcreport.service.audit import Audit
from calcreport.service.clinical_watch import ClinicalWatch
from calcreport.service.commitment import Commitments
from calcreport.service.delivery import Deliveries, Ended, delivery_of, handed_over, open_sinks, refused_by
from calcreport.service.identity import content_of, study_uid_of, text_of
from calcreport.service.inbox import Arrivals
from calcreport.service.journal import Journal, code_of
from calcreport.service.queue import Failure, Handover, Record
from calcreport.service.retention import Retention, RunningTime
from calcreport.service.service_settings import AnalysisSettings, ServiceSettings
from calcreport.service.status import write_status
from calcreport.service.store import IMAGES, Store
from calcreport.service.worker import Analysis, Executor, Lent, Snapshot
from calcreport.study.result import StudyOutcome
from calcreport.version import software_version

_STATUS_S: Final = 2.0  # between two times the status is written
_STOP_S: Final = 1.0  # Patience with analyses that have been asked to stop a while ago
# Codes of a study that cannot be analysed.
_REMOVED: Final = "study.images_removed"
_UNREADABLE: Final = "study.unreadable"
_DISK_WAIT_S: Final = 30.0  # Wait after a record could not be written


@dataclass(eq=False)
class Supervisor:
    """All studies of a store. Settings are asked for every time, so that they can be changed."""

    store: Store
    settings: Callable[[], ServiceSettings]
    _: KW_ONLY
    snapshot: Callable[[], Snapshot]
    arrivals: Arrivals
    deliveries: Deliveries
    journal: Journal
    commitments: Commitments
    audit: Audit
    executor: Executor

    def __post_init__(self) -> None:
        self._waiting = queue.Waiting()
        self._running: dict[str, Analysis | Lent] = {}
        self._late: set[str] = set()  # studies that became complete once more while they were analysed
        self._begun = time()
        self._status_s = float("-inf")
        self._is_disk_full = False
        self._running_time = RunningTime(self.store.root)
        self._clinical = ClinicalWatch(self.store.root, lambda: self.settings().analysis.clinical, journal=self.journal)
        self._retention = Retention(
            self.store,
            lambda: self.settings().retention,
            self.journal,
            running=self._running_time,
            may_go=self._may_go,
        )

    def recover(self) -> None:
        """Read from the tree what has to be done; images may still be coming, so quiet is waited for anew."""
        for study in self.store.studies():
            self._guarded(study, self._recover)

    def _recover(self, study: str) -> None:
        record = self.store.record(study)
        images, clinical = self.store.images(study), self.store.clinical_mark(study)
        if record.state == "analysing":
            if self.executor.workers is None or not record.lease:
                record = self._write(study, queue.interrupted(record))
            else:
                self._hand_out(study, record, self.settings().analysis)
                if content_of([*images, *clinical]) == record.content:
                    return
        if queue.is_due(record, images, clinical):
            self.arrivals.note(study)
        elif record.state == "delivering":
            self._hand_on(study, record)

    def tick(self) -> None:
        """Do what is to be done now; called a few times a second, from one thread."""
        for complete in self.arrivals.take_complete():
            self._guarded(complete.study, self._enqueue, complete.is_short, complete.sender)
        for study in self.store.take_retries():
            self._guarded(study, self._retry)
        self._watch()
        self._clinical.look()
        most, workers = self.settings().analysis.workers, self.executor.workers
        most = workers + 1 if most and workers is not None else most  # one is there for whoever is free next
        for study in self._waiting.due(monotonic())[: max(0, most - len(self._running))]:
            self._guarded(study, self._begin)
        for ended in self.deliveries.ended():
            self._guarded(ended.study, self._handed, ended)
        self.deliveries.begin(lambda study: delivery_of(self.store.record(study), self.store.folder(study)))
        self._running_time.save()
        self._retention.tick(self._is_busy)
        self.journal.flush()
        self._report()

    def _watch(self) -> None:
        """Take up analyses that ended."""
        for study, analysis in list(self._running.items()):
            result = analysis.result()
            if result is not None:
                del self._running[study]
                self._guarded(study, self._end, result)
                if study in self._late:
                    self._late.discard(study)
                    self._guarded(study, self._enqueue)

    def ask_to_stop(self) -> None:
        """Let the analyses under way end; to be followed by `stop`, and by no `tick`."""
        for analysis in self._running.values():
            if isinstance(analysis, Analysis):
                analysis.ask_to_stop()

    def stop(self) -> None:
        """End the analyses under way; they begin anew after the next start, and no attempt is counted."""
        deadline_s = monotonic() + _STOP_S
        for study, analysis in self._running.items():
            if isinstance(analysis, Analysis):  # workers go on
                analysis.stop(deadline_s - monotonic())
                self._guarded(study, lambda s: self._write(s, self.store.record(s).changed_to(state="waiting")))
        self._running.clear()
        self.deliveries.stop()
        self._report(state="stopped", is_forced=True)

    def _guarded(self, study: str, act: Callable[..., object], *how: object) -> None:
        """Do something about one study; whatever fails, the others go on and this one is looked at again."""
        try:
            act(study, *how)
            self._is_disk_full = False
        except Exception as error:  # noqa: BLE001  # a bug that one study meets must not end the service for all
            code = code_of(error, "store.failed")
            if code == _UNREADABLE:
                self._set_down(study, code, str(error))
                return
            if isinstance(error, StoreError):
                self._is_disk_full = code == "store.full"
            if code == "internal.error":
                self.journal.count("internal_errors")
            self._tell("study_postponed", study, code=code)
            self._waiting.put(study, due_s=monotonic() + _DISK_WAIT_S, interruptions=0)

    def _set_down(self, study: str, code: str, message: str) -> None:
        """A study whose folder is not as the service made it is a dead letter; the others go on."""
        self._tell("study_unreadable", study, code=code)
        with suppress(StoreError):  # where not even this can be written, `status` says the same of it
            record = self.store.record(study).model_copy(update={"content": ""})  # looked at anew once it is mended
            self._write(study, queue.given_up(record, code, message))

    def _enqueue(self, study: str, is_short: bool = False, sender: str = "") -> None:  # noqa: FBT001, FBT002 - passed on by _guarded
        """A study is complete: let it wait for its analysis, unless its images are those of the last answer."""
        if study in self._running:
            self._late.add(study)  # first what is under way comes to its end
            return
        images, record = self.store.images(study), self.store.record(study)
        clinical = self.store.clinical_mark(study)
        self.store.release(study)
        if not images:
            return
        if queue.images_missing(record, images):
            msg = "images of this study were removed after its report; send the whole study again"
            self._write(study, queue.given_up(record, _REMOVED, msg))
            return
        if not queue.is_due(record, images, clinical):
            if record.state == "delivering" or record.code == _REMOVED:
                self._hand_on(study, record)
            return
        uid = self._uid(study, record, images)
        record = queue.queued(record, images, study_uid=uid, is_short=is_short, clinical=clinical)
        first = self.store.folder(study) / IMAGES / images[0]
        priority = queue.priority_of(self.settings().priority, sender, lambda keyword: text_of(first, keyword))
        if is_earlier := sender.endswith(queue.EARLIER):
            priority = queue.MOST_URGENT  # what is compared with it is on its way
        record = self._write(study, record.model_copy(update={"priority": priority, "is_earlier": is_earlier}))
        self.deliveries.drop(study)  # what was not delivered yet is superseded
        self._tell("study_complete", study, images=len(images))
        self.audit.transferred(uid, text_of(first, "PatientID"), source=sender or "unknown")
        self._put(study, record)

    def _uid(self, study: str, record: Record, images: Sequence[str]) -> str:
        return record.study_instance_uid or study_uid_of(self.store.folder(study) / IMAGES / images[0])

    def _put(self, study: str, record: Record) -> None:
        failures = record.attempts + record.setbacks
        wait = queue.wait_s(failures, self.settings().analysis.retry_seconds)
        self._waiting.put(study, due_s=monotonic() + wait, interruptions=record.interruptions, priority=record.priority)

    def _begin(self, study: str) -> None:
        self._waiting.pop(study, None)
        if study in self._running or study in self.arrivals:
            return  # its turn comes when it is complete again
        images, record = self.store.images(study), self.store.record(study)
        if content_of([*images, *self.store.clinical_mark(study)]) != record.content or record.state != "waiting":
            self.arrivals.note(study)
            return
        clinical = self.store.clinical(study) or self._clinical.table()
        settings = self.settings().analysis.model_copy(update={"clinical": clinical and str(clinical)})
        self._hand_out(study, self._write(study, record.changed_to(state="analysing", lease=token_hex(16))), settings)
        self._tell("analysis_begun", study)

    def _hand_out(self, study: str, record: Record, settings: AnalysisSettings) -> None:
        self._running[study] = self.executor.begin(self.store.folder(study), record.lease, settings, self.snapshot())

    def _end(self, study: str, result: StudyOutcome | Failure) -> None:
        record = self.store.record(study)
        if isinstance(result, StudyOutcome):
            record = self._write(study, queue.answered(record, result))
            self.journal.ended("analysis")
            self.journal.count(f"studies_{result.status}")
            self._tell("analysis_done", study, status=result.status, seconds=result.seconds, code=result.code)
            self._hand_on(study, record)
            return
        record = self._write(study, queue.failed(record, result, self.settings().analysis))
        self.journal.ended("analysis", result.code)
        self.journal.count("studies_failed" if record.state == "failed" else "analyses_failed")
        self._tell("analysis_failed", study, code=result.code, status=record.state, count=record.attempts)
        if record.state == "waiting":
            self._put(study, record)

    def _retry(self, study: str) -> None:
        record = self.store.record(study)
        if study in self._running or record.state not in {"failed", "done", "delivering"}:
            return
        if record.reported == record.content and refused_by(record, self.deliveries.sinks):
            record = queue.retried(record).model_copy(update={"state": "delivering"})
            self._hand_on(study, self._write(study, record))
            return
        images = self.store.images(study)
        if not images or queue.images_missing(record, images):
            return
        uid, clinical = self._uid(study, record, images), self.store.clinical_mark(study)
        is_short, record = record.is_incomplete, queue.retried(record)
        record = queue.queued(record, images, study_uid=uid, is_short=is_short, clinical=clinical)
        self._put(study, self._write(study, record))

    def _hand_on(self, study: str, record: Record) -> None:
        """Let every sink that has not taken the results have them; the study is done when none is left."""
        sinks = self.deliveries.sinks
        left = open_sinks(record, sinks)
        for sink in left:
            self.deliveries.put(study, sink, failures=record.deliveries.get(sink, Handover()).attempts)
        if left:
            return
        code = refused_by(record, sinks)
        if code:
            self._write(study, queue.given_up(record, code, "a sink refused the results for good"))
        else:
            cleared = {"code": "", "message": ""} if record.code == _REMOVED else {}
            age = round(self._running_time.seconds, 1)
            self._write(study, record.changed_to(**cleared, state="done", done_running_s=age))

    def _handed(self, study: str, ended: Ended) -> None:
        before = self.store.record(study)
        record = handed_over(before, ended)
        self.journal.ended(f"sink_{ended.sink}", ended.code)
        self.journal.count("delivered" if not ended.code else "deliveries_failed")
        self._tell("delivery_failed" if ended.code else "delivered", study, step=ended.sink, code=ended.code)
        if not ended.code:
            images = self.store.images(study)[:1]
            patient = text_of(self.store.folder(study) / IMAGES / images[0], "PatientID") if images else ""
            self.audit.transferred(record.study_instance_uid, patient, target=ended.sink)
        if record is before or record.state != "delivering":
            return  # of an older revision, or a new one is on its way
        self._write(study, record)
        if ended.code and ended.is_retryable:
            self.deliveries.put(study, ended.sink, failures=record.deliveries[ended.sink].attempts)
        elif not open_sinks(record, self.deliveries.sinks):
            self._hand_on(study, record)

    def _write(self, study: str, record: Record) -> Record:
        self.store.write_record(study, record)
        return record

    def _tell(self, name: str, study: str, **fields: float | str) -> None:
        """Log an event of a study; an empty field is left out."""
        stated = {key: value for key, value in fields.items() if value != ""}
        self.journal.tell(name, study_ref=self.store.reference(study), **stated)

    def _may_go(self, study: str, images: Sequence[str]) -> bool:
        """Whether images that are old enough may be removed."""
        is_asked = self.settings().retention.commitment is not None
        return not is_asked or self.commitments.is_confirmed(study, images)

    def _is_busy(self, study: str) -> bool:
        return study in self.arrivals or study in self._waiting or study in self._running

    def _report(self, *, state: str = "running", is_forced: bool = False) -> None:
        if monotonic() - self._status_s < _STATUS_S and not is_forced:
            return
        self._status_s = monotonic()
        write_status(self.store.root, self.status(state))

    def status(self, state: str = "running") -> dict[str, Any]:
        """Health and counters, without patient data."""
        try:
            free = self.store.free_bytes()
        except OSError:
            free = -1
        problems = ["store.full"] if free <= 0 or self._is_disk_full else []
        problems += [self._clinical.problem] if self._clinical.problem else []
        problems += ["clock.wrong"] if self._running_time.is_clock_wrong else []
        problems += [code for code in self.journal.problems() if code not in problems]
        problems += ["worker.none"] if self.executor.workers == 0 else []
        return {
            "software": f"calcreport {software_version()}",
            "state": state,
            "process": os.getpid(),
            "written": time(),
            "begun": self._begun,
            "problems": problems,
            "free_bytes_above_reserve": free,
            "receiving": len(self.arrivals),
            "waiting": len(self._waiting),
            "analysing": [self.store.reference(study) for study in list(self._running)],
            "delivering": len(self.deliveries),
            "workers": self.executor.workers,
            "parts": self.journal.health(),
            "counters": self.journal.counts(),
        }
