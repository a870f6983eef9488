"""A study lent to a worker: what the service reads from the file of its lease, and whom it believes."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest

from calcreport.errors import SettingsError
from calcreport.service import distributed, worker
from calcreport.service.queue import LOST, Failure, Record, answered, failed, interrupted, queued
from calcreport.service.service_settings import AnalysisSettings, service_settings_from_text
from calcreport.service.worker import ANSWER, Executor, Lent, Snapshot
from calcreport.study.result import StudyOutcome

LEASE = "0123456789abcdef" * 2
ANSWERS = [
    StudyOutcome(folder="", status="reported", seconds=12.5),
    StudyOutcome(folder="", status="refused", code="geometry.gap", message="a slice is missing"),
    Failure(code="analysis.killed", message="it was killed", seconds=3.0),
    Failure(code="store.full", message="the disk is full", is_environment=True, seconds=0.0),
]


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(worker, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def lent(tmp_path) -> Lent:
    config = tmp_path / "settings-ab12" / "site.toml"
    folder = tmp_path / "studies" / "abcdef"
    folder.mkdir(parents=True)
    return Lent(folder / f"{LEASE}.lease", Snapshot(config=config), 60.0)


def test_a_study_that_nobody_takes_waits_for_ever(lent, clock) -> None:
    clock.now += 100_000
    assert lent.result() is None
    assert lent.sign == 0
    assert lent.names == f"{LEASE} abcdef settings-ab12"
    assert distributed._NAMES.fullmatch(lent.names)


def test_a_worker_is_lost_when_its_file_does_not_change_by_the_clock_of_the_service(lent, clock) -> None:
    lent.file.touch()
    for modified in (1.0, 2.0, 1.5, time.time() + 86_400):  # a clock elsewhere may say anything
        os.utime(lent.file, (modified, modified))
        assert lent.result() is None
        clock.now += 59
        assert lent.result() is None
    clock.now += 2
    result = lent.result()
    assert result.code == LOST
    assert lent.is_over


def test_a_study_that_was_given_back_is_nobodys_again(lent, clock) -> None:
    lent.file.touch()
    assert lent.result() is None
    assert lent.sign
    lent.file.unlink()
    clock.now += 1000
    assert lent.result() is None
    assert lent.sign == 0


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.code or "reported")
def test_an_answer_arrives_as_it_was_given(lent, clock, answer) -> None:
    lent.file.write_bytes(ANSWER.dump_json(answer))
    clock.now += 1000  # however late it is seen
    assert lent.result() == answer
    assert lent.is_over


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[1]", b'{"code": 1}'])
def test_a_damaged_answer_is_none(lent, clock, text) -> None:
    lent.file.write_bytes(text)
    assert lent.result() is None
    clock.now += 61
    assert lent.result().code == LOST


HOSTILE = [
    "", " ", f"{LEASE}", f"../{LEASE} abcdef settings-ab", f"{LEASE} ../../etc settings-ab12", f"{LEASE} abcdef /etc",
    f"{LEASE} abcdef settings-../x", f"{LEASE} abcdef settings-ab12 more", f"{LEASE}\n abcdef settings-ab12",
    f"{LEASE.upper()} abcdef settings-ab12",
]  # fmt: skip


@pytest.mark.parametrize("names", HOSTILE)
def test_what_the_database_says_is_no_path(tmp_path, monkeypatch, names) -> None:
    monkeypatch.setattr(distributed, "read_record", lambda _folder: pytest.fail("read"))
    distributed._analyse(tmp_path, SimpleNamespace(should_abort=lambda: False), names)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lease", ["", "f" * 32])
def test_a_lease_that_is_not_in_the_record_is_not_taken(tmp_path, lease) -> None:
    folder = tmp_path / "abcdef"
    folder.mkdir()
    (folder / "record.json").write_bytes(Record(state="analysing", lease=lease).to_bytes())
    distributed._analyse(tmp_path, SimpleNamespace(), f"{LEASE} abcdef settings-ab12")
    assert [path.name for path in folder.iterdir()] == ["record.json"]


def test_a_lease_is_taken_once(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "studies" / "abcdef"
    folder.mkdir(parents=True)
    (folder / "record.json").write_bytes(Record(state="analysing", lease=LEASE).to_bytes())
    begun = []

    def result(file, snapshot, _context):
        begun.append((file.read_bytes(), snapshot))
        distributed._analyse(tmp_path / "studies", SimpleNamespace(), names)  # another worker, meanwhile
        return ANSWERS[0]

    monkeypatch.setattr(distributed, "_result", result)
    names = f"{LEASE} abcdef settings-ab12"
    distributed._analyse(tmp_path / "studies", SimpleNamespace(), names)
    assert begun == [(b"", tmp_path / "settings-ab12")]
    assert ANSWER.validate_json((folder / f"{LEASE}.lease").read_bytes()) == ANSWERS[0]


@pytest.mark.parametrize("how", ["removed", "aborted", "full"])
def test_what_cannot_be_answered_leaves_no_answer(tmp_path, monkeypatch, how) -> None:
    folder = tmp_path / "studies" / "abcdef"
    folder.mkdir(parents=True)
    (folder / "record.json").write_bytes(Record(state="analysing", lease=LEASE).to_bytes())

    def result(file, _snapshot, _context):
        if how == "removed":  # by the service, which has lent the study to another one
            file.unlink()
        if how == "full":
            raise OSError(28, "No space left on device")
        return None if how == "aborted" else ANSWERS[0]

    monkeypatch.setattr(distributed, "_result", result)
    distributed._analyse(tmp_path / "studies", SimpleNamespace(), f"{LEASE} abcdef settings-ab12")
    assert [path.name for path in folder.iterdir()] == ["record.json"]


def test_an_analysis_that_cannot_begin_is_no_fault_of_the_study(tmp_path) -> None:
    result = distributed._result(tmp_path / "studies/a/x.lease", tmp_path / "settings-ab", SimpleNamespace())
    assert result.code == "store.failed"
    assert result.is_environment


@pytest.mark.parametrize(("own", "table"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_worker_analyses_as_the_service_would(tmp_path, monkeypatch, own, table) -> None:
    snapshot, folder = tmp_path / "settings-ab12", tmp_path / "studies" / "abcdef"
    for made in (snapshot / "rules", folder):
        made.mkdir(parents=True)
    (snapshot / "site.toml").write_text('[service.analysis]\nformats = "sr"\ncpu_seconds = 77\n')
    (snapshot / "rules" / "a.toml").touch()
    if own:
        (folder / "clinical.yaml").touch()
    if table:
        (tmp_path / "clinical_table").touch()
    seen = []

    class Fake:
        def __init__(self, *given) -> None:
            seen.extend(given)

        def result(self):
            return ANSWERS[0]

        def stop(self, _seconds) -> None:
            seen.append("stopped")

    monkeypatch.setattr(distributed, "Analysis", Fake)
    assert distributed._result(folder / "x.lease", snapshot, SimpleNamespace(should_abort=lambda: False)) is ANSWERS[0]
    where, settings, used, end = seen
    assert (where, settings.formats, settings.cpu_seconds, end) == (folder, "sr", 77, "stopped")
    clinical = folder / "clinical.yaml" if own else tmp_path / "clinical_table" if table else None
    assert settings.clinical == (clinical and str(clinical))
    assert used == Snapshot(config=snapshot / "site.toml", rules=snapshot / "rules")


def test_a_lost_worker_counts_as_an_interruption_and_ends_the_lease() -> None:
    record = Record(state="analysing", content="c", lease=LEASE)
    after = failed(record, Failure(code=LOST, message="", seconds=0.0), AnalysisSettings())
    assert (after.state, after.interruptions, after.attempts, after.setbacks, after.lease) == ("waiting", 1, 0, 0, "")
    assert interrupted(record).lease == answered(record, ANSWERS[0]).lease == ""
    assert queued(record, ["a"], study_uid="1", is_short=False).lease == ""


def test_here_nobody_else_works() -> None:
    assert Executor().workers is None


@pytest.mark.parametrize(
    "text",
    ["postgresql://me:secret@db/x", "host=db password=secret", "postgresql://db/x?password=secret", ""],
)
def test_a_password_does_not_stand_in_the_settings(text) -> None:
    with pytest.raises(SettingsError, match="passfile"):
        service_settings_from_text(f'[service.workers]\ndatabase = "{text}"\n')


@pytest.mark.parametrize("text", ["postgresql://me@db:5432/x", "host=/run/pg user=me passfile=/etc/calcreport/pgpass"])
def test_databases_are_named_as_libpq_names_them(text) -> None:
    assert service_settings_from_text(f'[service.workers]\ndatabase = "{text}"\n').workers.database == text


def test_the_extra_is_asked_for(monkeypatch) -> None:
    monkeypatch.setattr("calcreport.service.service_settings.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"calcreport\[workers\]"):
        service_settings_from_text('[service.workers]\ndatabase = "host=db"\n')
