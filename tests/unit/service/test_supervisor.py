"""Studies on their way through the service, with analyses and sinks that do as they are told."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from calcreport.errors import DeliveryError, StoreError
from calcreport.service import delivery, supervisor, worker
from calcreport.service.audit import Audit
from calcreport.service.commitment import Commitments
from calcreport.service.delivery import Deliveries
from calcreport.service.identity import uid_digest
from calcreport.service.inbox import Arrivals, Inbox
from calcreport.service.journal import Journal
from calcreport.service.queue import EARLIER, Record
from calcreport.service.retention import RunningTime
from calcreport.service.service_settings import ServiceSettings
from calcreport.service.status import read_status
from calcreport.service.supervisor import Supervisor
from calcreport.service.worker import Failure, Snapshot
from calcreport.study.result import StudyOutcome

ANSWER = StudyOutcome(folder="", status="reported", concern="flagged", seconds=1.0)
CRASH = Failure(code="analysis.crashed", message="it crashed", is_environment=False, seconds=1.0)
ONE, TWO, POISON = "1.2.1", "1.2.2", "1.2.666"


class Sink:
    """Takes everything, unless told what to raise."""

    def __init__(self, name: str = "sink") -> None:
        self.name = name
        self.taken = []
        self.calls = 0
        self.raises: Exception | None = None

    def deliver(self, item):
        self.calls += 1
        if self.raises is not None:
            raise self.raises
        self.taken.append(item)


class Scene:
    """A service without a network, driven by hand."""

    def __init__(self, store, references, write, monkeypatch) -> None:
        self.store, self.references, self._write = store, references, write
        self.now = 0.0
        self.verdict: Callable[[str], object] = lambda _study: ANSWER
        self.analysed: list[tuple[str, int]] = []
        self.clinical: list[str | None] = []
        self.stopped: list[str] = []
        self.sink = Sink()
        self.values = {"study": {"quiet_seconds": 10.0}, "analysis": {"retry_seconds": 5.0}}
        scene = self

        class FakeAnalysis:
            def __init__(self, folder, settings, snapshot) -> None:
                scene.clinical.append(settings.clinical)
                self.study = folder.name
                scene.analysed.append((self.study, len(scene.store.images(self.study))))
                assert snapshot == Snapshot()
                assert scene.store.record(self.study).state == "analysing", "not on disk before it begins"

            def result(self):
                return scene.verdict(self.study)

            def ask_to_stop(self):
                scene.stopped.append("asked")

            def stop(self, seconds):
                assert 0 <= seconds <= 1
                scene.stopped.append(self.study)

        self.executor = worker.Executor()
        self._monkeypatch = monkeypatch
        for module in (supervisor, worker):
            monkeypatch.setattr(module, "Analysis", FakeAnalysis)
        monkeypatch.setattr(supervisor, "monotonic", lambda: scene.now)
        monkeypatch.setattr(delivery, "FIRST_WAIT_S", 15.0)
        self.start()

    def start(self):
        """Start the service, again perhaps: nothing is remembered but what is on disk."""
        self.arrivals = Arrivals(lambda: self.settings.study, count=self.store.count, clock=lambda: self.now)
        self.deliveries = Deliveries([self.sink], clock=lambda: self.now)
        journal = Journal()
        self.inbox = Inbox(self.store, self.arrivals, journal=journal)
        self.supervisor = Supervisor(
            self.store,
            lambda: self.settings,
            snapshot=Snapshot,
            arrivals=self.arrivals,
            deliveries=self.deliveries,
            journal=journal,
            commitments=Commitments(self.store, lambda: self.settings, journal=journal),
            audit=Audit(self.settings.audit, "CALCREPORT", journal=journal),
            executor=self.executor,
        )
        self.supervisor._retention.clock = lambda: self.now
        begun = time.time() - self.now
        monkeypatch = self._monkeypatch
        monkeypatch.setattr("calcreport.service.retention.time", lambda: begun + self.now)
        self.supervisor._running_time = RunningTime(
            self.store.root, clock=lambda: self.now, wall=lambda: begun + self.now
        )
        self.supervisor._retention.running = self.supervisor._running_time
        self.supervisor.recover()

    @property
    def settings(self):
        return ServiceSettings.model_validate(self.values)

    def receive(self, study=ONE, *numbers, **tags):
        for number in numbers or (1, 2):
            self.inbox.keep(self._write(self.store.temporary(), study=study, number=number, **tags))

    def run(self, seconds=0.0, *, step=1.0):
        """Let time pass."""
        for _step in range(int(seconds / step) + 1):
            self.supervisor.tick()
            self._settle()
            self.supervisor.tick()
            self.now += step
        self.supervisor.tick()

    def _settle(self):
        """Wait for the thread of the sink: it has no clock of its own."""
        deadline = time.monotonic() + 5
        while self.deliveries._busy and self.deliveries._ended.empty() and time.monotonic() < deadline:
            time.sleep(0.001)

    def record(self, study=ONE):
        from calcreport.service.identity import uid_digest  # noqa: PLC0415

        return self.store.record(uid_digest(study))

    def name(self, study=ONE):
        from calcreport.service.identity import uid_digest  # noqa: PLC0415

        return uid_digest(study)


@pytest.fixture
def scene(store, references, write, monkeypatch):
    return Scene(store, references, write, monkeypatch)


def test_a_study_is_analysed_once_when_it_is_quiet_and_delivered_once(scene):
    scene.receive(ONE, 1, 2, 3)
    scene.run(8)
    assert scene.analysed == []
    scene.run(30)
    assert scene.analysed == [(scene.name(), 3)]
    assert [(item.study_instance_uid, item.revision, item.outcome) for item in scene.sink.taken] == [
        (ONE, 1, "reported")
    ]
    assert (scene.record().state, scene.record().reported) == ("done", scene.record().content)


def test_the_same_images_again_and_what_we_sent_do_nothing(scene):
    scene.receive()
    scene.run(20)
    scene.receive()  # the PACS sends the study once more
    scene.receive(ONE, 7, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")  # our key image, modality CT
    scene.receive(ONE, 8, Manufacturer="calcreport")
    scene.run(60)
    assert len(scene.analysed) == 1
    assert len(scene.sink.taken) == 1


def test_late_images_give_one_more_revision_of_the_same_study(scene):
    scene.receive(ONE, 1, 2)
    scene.run(20)
    scene.receive(ONE, 3)
    scene.run(30)
    assert scene.analysed == [(scene.name(), 2), (scene.name(), 3)]
    assert [item.revision for item in scene.sink.taken] == [1, 2]
    assert len({item.key for item in scene.sink.taken}) == 2
    assert len(list(scene.store.studies())) == 1


def test_images_that_come_during_an_analysis_wait_for_the_next_one(scene):
    scene.receive(ONE, 1, 2)
    scene.verdict = lambda _study: None
    scene.run(12)
    scene.receive(ONE, 3)
    scene.run(20)
    assert len(scene.analysed) == 1
    scene.verdict = lambda _study: ANSWER
    scene.run(20)
    assert [count for _study, count in scene.analysed] == [2, 3]
    assert [item.revision for item in scene.sink.taken][-1] == 2
    assert scene.record().reported == scene.record().content


def test_a_poison_study_is_a_dead_letter_and_holds_up_nobody(scene):
    scene.verdict = lambda study: CRASH if study == scene.name(POISON) else ANSWER
    scene.receive(POISON)
    scene.receive(ONE)
    scene.run(12)
    scene.receive(TWO)
    scene.run(60)
    assert [study for study, _count in scene.analysed].count(scene.name(POISON)) == 3
    assert (scene.record(POISON).state, scene.record(POISON).code) == ("failed", "analysis.crashed")
    assert {item.study_instance_uid for item in scene.sink.taken} == {ONE, TWO}
    scene.run(600)
    assert len(scene.analysed) == 5


def test_a_bug_that_one_study_meets_holds_up_nobody(scene, monkeypatch):
    answered = supervisor.queue.answered

    def stumble(record, result):
        if record.study_instance_uid == POISON:
            raise ZeroDivisionError
        return answered(record, result)

    monkeypatch.setattr(supervisor.queue, "answered", stumble)
    scene.receive(POISON)
    scene.receive(ONE)
    scene.run(30)
    assert scene.record(ONE).state == "done"
    assert scene.record(POISON).state != "done"
    monkeypatch.setattr(supervisor.queue, "answered", answered)
    scene.run(90)
    assert scene.record(POISON).state == "done"


def test_attempts_are_further_and_further_apart(scene):
    scene.verdict = lambda _study: CRASH
    times = []
    scene.receive()
    for _second in range(60):
        before = len(scene.analysed)
        scene.run()
        times += [scene.now] * (len(scene.analysed) - before)
    assert times[1] - times[0] >= 5
    assert times[2] - times[1] >= 10


def test_after_a_kill_everything_goes_on(scene):
    scene.receive(ONE)
    scene.verdict = lambda _study: None
    scene.run(12)
    assert scene.record().state == "analysing"
    scene.verdict = lambda _study: ANSWER
    scene.start()  # nothing was told to stop
    assert (scene.record().state, scene.record().interruptions) == ("waiting", 1)
    scene.run(8)
    assert len(scene.analysed) == 1, "images may still be coming"
    scene.run(20)
    assert len(scene.analysed) == 2
    assert [item.revision for item in scene.sink.taken] == [1]
    assert scene.record().state == "done"


def test_after_a_kill_between_answer_and_delivery_it_is_delivered_under_the_same_key(scene):
    scene.sink.raises = DeliveryError("down", code="delivery.down", is_retryable=True)
    scene.receive()
    scene.run(12)
    assert scene.record().state == "delivering"
    key = delivery.key_of(scene.record())
    scene.sink.raises = None
    scene.start()
    scene.run(60)
    assert len(scene.analysed) == 1
    assert [item.key for item in scene.sink.taken] == [key]
    assert scene.record().state == "done"


def test_a_polite_stop_counts_no_attempt(scene):
    scene.receive()
    scene.verdict = lambda _study: None
    scene.run(12)
    scene.supervisor.ask_to_stop()
    scene.supervisor.stop()
    assert scene.stopped == ["asked", scene.name()]
    record = scene.record()
    assert (record.state, record.attempts, record.interruptions) == ("waiting", 0, 0)
    assert read_status(scene.store.root)["state"] == "stopped"


def test_a_sink_that_is_down_gets_it_when_it_is_up(scene):
    scene.sink.raises = DeliveryError("down", code="delivery.down", is_retryable=True)
    scene.receive()
    scene.run(3600, step=10.0)
    assert scene.record().state == "delivering"
    assert 5 < scene.sink.calls < 30
    scene.sink.raises = None
    scene.run(700, step=10.0)
    assert len(scene.sink.taken) == 1
    assert scene.record().state == "done"


def test_a_sink_that_refuses_for_good_is_a_dead_letter_until_a_retry(scene):
    scene.sink.raises = DeliveryError("no", code="delivery.refused", is_retryable=False)
    scene.receive()
    scene.run(100)
    assert scene.sink.calls == 1
    assert (scene.record().state, scene.record().code) == ("failed", "delivery.refused")
    scene.sink.raises = None
    (scene.store.root / "retries" / scene.name()).touch()
    scene.run(20)
    assert len(scene.sink.taken) == 1
    assert len(scene.analysed) == 1, "the results were there"
    assert scene.record().state == "done"


def test_a_bug_in_a_sink_is_a_failed_delivery(scene):
    scene.sink.raises = ZeroDivisionError()
    scene.receive()
    scene.run(12)
    assert scene.record().deliveries["sink"].code == "internal.error"
    scene.sink.raises = None
    scene.run(60)
    assert len(scene.sink.taken) == 1


def test_retry_brings_a_dead_letter_back(scene):
    scene.verdict = lambda _study: CRASH
    scene.receive()
    scene.run(60)
    assert scene.record().state == "failed"
    scene.verdict = lambda _study: ANSWER
    (scene.store.root / "retries" / scene.name()).touch()
    (scene.store.root / "retries" / "../nonsense").touch()
    scene.run(10)
    assert scene.record().state == "done"
    assert not list((scene.store.root / "retries").iterdir())


def test_results_that_a_newer_revision_supersedes_are_not_delivered_late(scene):
    scene.sink.raises = DeliveryError("down", code="delivery.down", is_retryable=True)
    scene.receive(ONE, 1)
    scene.run(12)
    scene.receive(ONE, 2)
    scene.verdict = lambda _study: None
    scene.sink.raises = None  # it is up again, but its next turn comes when the study is complete once more
    scene.run(100)
    assert scene.sink.taken == []
    scene.verdict = lambda _study: ANSWER
    scene.run(100)
    assert [item.revision for item in scene.sink.taken] == [2]


def test_an_answer_of_a_sink_about_older_results_does_not_count():
    older = Record(reported="a", revision=1)
    newer = Record(reported="b", revision=2, state="delivering")
    ended = delivery.Ended(
        study="x", sink="sink", key=delivery.key_of(older), code="delivery.refused", is_retryable=False
    )
    assert delivery.open_sinks(delivery.handed_over(newer, ended), ["sink"]) == ["sink"]
    ended = delivery.Ended(study="x", sink="sink", key=delivery.key_of(newer))
    assert delivery.open_sinks(delivery.handed_over(newer, ended), ["sink"]) == []


def test_a_study_fetched_for_comparison_is_analysed_first_and_handed_to_no_sink(scene):
    scene.receive(ONE)
    scene.inbox.keep(scene._write(scene.store.temporary(), study=TWO, number=1), sender=f"pacs{EARLIER}")
    scene.run(61)
    assert scene.record(TWO).is_earlier
    assert scene.record(TWO).priority > scene.record(ONE).priority
    scene.run(30)
    assert (scene.record(TWO).state, scene.record(TWO).deliveries) == ("done", {})
    assert scene.record(ONE).deliveries
    assert not scene.record(ONE).is_earlier


def test_an_object_set_aside_is_not_waited_for(scene):
    scene.receive(ONE, 7, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    assert len(scene.arrivals) == 0


def test_a_refusal_is_delivered_as_one(scene):
    scene.verdict = lambda _study: StudyOutcome(folder="", status="refused", code="geometry.gap", seconds=1.0)
    scene.receive()
    scene.run(30)
    (item,) = scene.sink.taken
    assert (item.outcome, item.folder, scene.record().code) == ("refused", None, "geometry.gap")
    assert scene.record().state == "done"


def test_a_full_disk_loses_no_study(scene, monkeypatch):
    write_record = scene.store.write_record

    def full(_study, _record):
        raise StoreError("full", code="store.full")

    scene.receive()
    monkeypatch.setattr(scene.store, "write_record", full)
    scene.run(50)
    assert scene.analysed == []
    assert scene.supervisor.status()["problems"] == ["store.full"]
    monkeypatch.setattr(scene.store, "write_record", write_record)
    scene.run(60)
    assert scene.record().state == "done"
    assert scene.supervisor.status()["problems"] == []


@pytest.mark.parametrize("moment", range(1, 9))
def test_a_record_that_cannot_be_written_at_any_moment_loses_no_study(scene, monkeypatch, moment):
    write_record = scene.store.write_record
    calls = []

    def fail_once(study, record):
        calls.append(record.state)
        if len(calls) == moment:
            raise StoreError("failed", code="store.failed")
        write_record(study, record)

    monkeypatch.setattr(scene.store, "write_record", fail_once)
    scene.receive()
    scene.run(200)
    assert scene.record().state == "done"
    assert {item.study_instance_uid for item in scene.sink.taken} == {ONE}


def test_no_more_analyses_than_workers(scene):
    scene.values["analysis"]["workers"] = 2
    scene.verdict = lambda _study: None
    for number in range(5):
        scene.receive(f"1.2.{number}")
    scene.run(30)
    assert len(scene.analysed) == 2
    assert len(scene.supervisor.status()["analysing"]) == 2
    assert scene.supervisor.status()["waiting"] == 3


class Elsewhere(worker.Executor):
    """Two workers, whose answers a test gives."""

    workers = 2

    def __init__(self) -> None:
        self.lent: list[tuple[str, str]] = []
        self.answer = None

    def begin(self, folder, lease, _settings, _snapshot):
        self.lent.append((folder.name, lease))
        return SimpleNamespace(result=lambda: self.answer)


def test_workers_elsewhere_get_one_study_each_and_one_and_keep_them_when_the_service_ends(scene):
    elsewhere = scene.supervisor.executor = Elsewhere()
    for number in range(5):
        scene.receive(f"1.2.{number}")
    scene.run(30)
    assert len(elsewhere.lent) == 3
    assert [scene.store.record(study).lease for study, _lease in elsewhere.lent] == [
        lease for _, lease in elsewhere.lent
    ]
    assert len({lease for _study, lease in elsewhere.lent}) == 3
    scene.supervisor.ask_to_stop()
    scene.supervisor.stop()
    scene.receive("1.2.0", 3)  # late, before the next start sees it
    again = scene.executor = Elsewhere()
    scene.start()
    assert sorted(again.lent) == sorted(elsewhere.lent), "the same leases: their workers have not stopped"
    records = [scene.store.record(study) for study, _lease in again.lent]
    assert [(record.state, record.interruptions) for record in records] == [("analysing", 0)] * 3
    again.answer = ANSWER
    scene.run(60)
    revisions = {study: scene.store.record(study).revision for study in scene.store.studies()}
    assert revisions == {uid_digest(f"1.2.{number}"): 1 + (number == 0) for number in range(5)}
    assert all(scene.store.record(study).state == "done" for study in revisions)


def test_without_a_worker_one_study_waits_for_the_first_and_health_says_so(scene):
    elsewhere = scene.supervisor.executor = Elsewhere()
    elsewhere.workers = 0
    scene.receive("1.2.1")
    scene.receive("1.2.2")
    scene.run(30)
    assert len(elsewhere.lent) == 1
    assert scene.supervisor.status()["problems"] == ["worker.none"]
    elsewhere.workers = 1
    scene.run(1)
    assert len(elsewhere.lent) == 2
    assert scene.supervisor.status()["problems"] == []


def test_a_worker_that_is_lost_costs_no_attempt(scene):
    elsewhere = scene.supervisor.executor = Elsewhere()
    scene.receive()
    elsewhere.answer = Failure(code="worker.lost", message="lost", seconds=0.0)
    scene.run(15)
    assert len({lease for _study, lease in elsewhere.lent}) == len(elsewhere.lent) > 1
    assert scene.record().attempts == 0
    elsewhere.answer = ANSWER
    scene.run(5)
    assert scene.record().state == "done"


def test_what_a_row_names_is_analysed_first(scene):
    scene.values["priority"] = [{"modality": "CT", "tag": "StationName", "value": "ER*", "priority": 5}]
    scene.values["analysis"]["workers"] = 0
    for study, station in (("1.2.1", "WARD"), ("1.2.2", "ER7"), ("1.2.3", "WARD")):
        scene.receive(study, StationName=station)
        scene.run(12)
    scene.values["analysis"]["workers"] = 1
    scene.run(5)
    assert [study for study, _images in scene.analysed] == [uid_digest(f"1.2.{number}") for number in (2, 1, 3)]


def test_a_service_may_only_receive(scene):
    scene.values["analysis"]["workers"] = 0
    scene.receive()
    scene.run(60)
    assert scene.analysed == []
    scene.values["analysis"]["workers"] = 1
    scene.run(5)
    assert scene.record().state == "done"


def test_images_that_retention_removed_are_asked_for_again_and_nothing_is_reported_on_a_rest(scene):
    scene.receive(ONE, 1, 2)
    scene.run(20)
    scene.values["retention"] = {"received_days": 0.0}
    scene.run(700, step=10.0)
    assert scene.store.images(scene.name()) == ()
    scene.values["retention"] = {}
    scene.receive(ONE, 3)
    scene.run(20)
    assert len(scene.analysed) == 1
    assert (scene.record().state, scene.record().code) == ("failed", "study.images_removed")
    scene.receive(ONE, 1, 2)
    scene.run(20)
    assert scene.analysed[-1] == (scene.name(), 3)
    assert (scene.record().state, scene.record().revision) == ("done", 2)


def test_a_study_that_was_removed_and_came_back_as_it_was_is_done(scene):
    scene.receive(ONE, 1, 2)
    scene.run(20)
    scene.values["retention"] = {"received_days": 0.0}
    scene.run(700, step=10.0)
    scene.values["retention"] = {}
    scene.receive(ONE, 1)
    scene.run(20)
    scene.receive(ONE, 2)
    scene.run(20)
    assert len(scene.analysed) == 1
    assert (scene.record().state, scene.record().code) == ("done", "")


def test_a_file_of_a_study_is_used_for_it_and_one_that_comes_late_makes_a_revision(scene):
    scene.receive(ONE)
    scene.receive(TWO)
    content = f"study_instance_uid: {ONE}\nhistory: {{trauma: yes}}\n".encode()
    scene.run(20)
    assert scene.clinical == [None, None]
    scene.inbox.keep_clinical(content)
    scene.run(20)
    file = str(scene.store.folder(scene.name(ONE)) / "clinical.yaml")
    assert scene.clinical == [None, None, file]
    assert (scene.record(ONE).revision, scene.record(TWO).revision) == (2, 1)
    scene.inbox.keep_clinical(content)  # once more: nothing happens
    scene.start()
    scene.run(20)
    assert scene.record(ONE).revision == 2


def test_a_file_that_comes_before_its_study_waits_for_it(scene):
    scene.inbox.keep_clinical(f"study_instance_uid: {ONE}\n".encode())
    scene.run(20)
    assert scene.analysed == []
    scene.receive(ONE)
    scene.run(20)
    assert scene.clinical == [str(scene.store.folder(scene.name(ONE)) / "clinical.yaml")]


def test_a_table_that_was_never_good_holds_the_studies_up(scene, tmp_path):
    table = tmp_path / "t.csv"
    scene.values["analysis"]["clinical"] = str(table)
    scene.receive(ONE)
    scene.run(20)
    assert scene.analysed == []
    assert scene.supervisor.status()["problems"] == ["usage.no_such_file"]
    table.write_text("patient_id,history.trauma\nMARKER,yes\n")
    scene.run(60)
    assert scene.clinical == [str(scene.store.root / "clinical_table")]
    assert scene.supervisor.status()["problems"] == []


def test_a_folder_that_cannot_be_read_is_a_dead_letter_and_stops_no_other_study(scene):
    """A file in the place of the images, as a restore or an operator leaves it: at the start and while it runs."""
    scene.receive(ONE)
    scene.run(20)
    folder = scene.store.folder(scene.name())
    for path in (folder / "images").iterdir():
        path.unlink()
    (folder / "images").rmdir()
    (folder / "images").write_bytes(b"")
    scene.start()
    scene.receive("1.2.77")
    scene.inbox.expect(ONE, 5)
    scene.run(700, step=10.0)
    assert (scene.record().state, scene.record().code) == ("failed", "study.unreadable")
    assert scene.record("1.2.77").state == "done"
    assert scene.supervisor.status()["problems"] == []
    (folder / "images").unlink()
    scene.receive(ONE)
    scene.run(30)
    assert scene.record().state == "done"


def test_a_full_disk_at_the_start_ends_nothing(scene, monkeypatch):
    scene.verdict = lambda _study: None
    scene.receive()
    scene.run(20)
    write_record = scene.store.write_record

    def full(_study, _record):
        raise StoreError("full", code="store.full")

    monkeypatch.setattr(scene.store, "write_record", full)
    scene.start()
    scene.run(20)
    assert scene.supervisor.status()["problems"] == ["store.full"]
    monkeypatch.setattr(scene.store, "write_record", write_record)
    scene.verdict = lambda _study: ANSWER
    scene.run(120)
    assert scene.record().state == "done"
