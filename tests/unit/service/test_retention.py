import json
import os
import time

import pytest

from calcreport.service.journal import Journal
from calcreport.service.queue import Record
from calcreport.service.retention import MOST_A_ROUND, Retention, RunningTime, remove_expired
from calcreport.service.service_settings import RetentionSettings

DAY = 86_400.0


@pytest.fixture
def study(store, put):
    name = put(number=1).study
    put(number=2)
    put(number=3, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    (store.folder(name) / "results" / "1.2.3").mkdir(parents=True)
    return name


def _kinds(store, study):
    return {kind for kind in ("images", "aside", "results") if (store.folder(study) / kind).exists()}


def _record(store, study, *, state="done", days=10.0, running_s=0.0):
    record = Record(state=state, changed=time.time() - days * DAY, done_running_s=running_s)
    store.write_record(study, record)
    return record


def _age_files(store, study, days):
    for kind in _kinds(store, study):
        os.utime(store.folder(study) / kind, (time.time() - days * DAY,) * 2)


class Clock:
    """A monotonic clock and a wall clock that are set by hand."""

    def __init__(self):
        self.monotonic, self.wall = 0.0, time.time()

    def go(self, days):
        self.monotonic += days * DAY
        self.wall += days * DAY


def _retention(store, clock, settings, *, journal=None, monkeypatch=None):
    if monkeypatch is not None:
        monkeypatch.setattr("calcreport.service.retention.time", lambda: clock.wall)
    running = RunningTime(store.root, clock=lambda: clock.monotonic, wall=lambda: clock.wall)
    retention = Retention(
        store, lambda: settings, journal or Journal(), running=running,
        clock=lambda: clock.monotonic,
    )  # fmt: skip
    return retention, running


def _expire(store, study, record, settings, *, days=10.0):
    return remove_expired(store, study, record, settings, age_days=days, mark=0.0)


def test_nothing_is_removed_unless_a_site_says_so(store, study):
    _expire(store, study, _record(store, study), RetentionSettings(), days=10_000)
    assert _kinds(store, study) == {"images", "aside", "results"}


@pytest.mark.parametrize("state", ["waiting", "analysing", "delivering", "failed"])
def test_nothing_is_removed_before_it_was_delivered(store, study, state, monkeypatch):
    _record(store, study, state=state, days=900)
    clock = Clock()
    retention, _ = _retention(
        store, clock, RetentionSettings(received_days=0.0, results_days=0.0), monkeypatch=monkeypatch
    )
    clock.go(1.0)
    retention.tick(lambda _study: False)
    assert _kinds(store, study) == {"images", "aside", "results"}


@pytest.mark.parametrize(("days", "left"), [(6.9, {"images", "aside", "results"}), (7.0, {"results"})])
def test_what_was_received_goes_when_its_time_is_over(store, study, days, left):
    _expire(store, study, _record(store, study), RetentionSettings(received_days=7.0), days=days)
    assert _kinds(store, study) == left


def test_results_have_a_time_of_their_own(store, study):
    _expire(store, study, _record(store, study), RetentionSettings(results_days=7.0))
    assert _kinds(store, study) == {"images", "aside"}


def test_the_names_are_on_disk_before_the_images_go(store, study, monkeypatch):
    names = store.images(study)
    seen = []
    set_apart = store.set_apart

    def note(study, kind, names, *, mark):
        seen.append(store.record(study).removed)
        return set_apart(study, kind, names, mark=mark)

    monkeypatch.setattr(store, "set_apart", note)
    _expire(store, study, _record(store, study), RetentionSettings(received_days=7.0))
    assert seen[0] == names == store.record(study).removed


def test_an_image_that_arrives_meanwhile_stays(store, study, put, monkeypatch):
    write_record = store.write_record

    def write(name, record):
        write_record(name, record)
        if record.removed:
            put(number=9)  # acknowledged

    monkeypatch.setattr(store, "write_record", write)
    _expire(store, study, _record(store, study), RetentionSettings(received_days=7.0))
    assert len(store.images(study)) == 1


def test_a_study_goes_when_wall_clock_files_and_the_time_of_service_all_say_so(store, study, monkeypatch):
    clock, settings, journal = Clock(), RetentionSettings(received_days=7.0), Journal()
    _record(store, study, days=0.0)
    retention, _ = _retention(store, clock, settings, journal=journal, monkeypatch=monkeypatch)
    clock.go(6.9)
    retention.tick(lambda _study: False)
    assert _kinds(store, study) == {"images", "aside", "results"}
    clock.go(0.2)
    retention.tick(lambda _study: True)  # busy
    assert _kinds(store, study) == {"images", "aside", "results"}
    clock.go(0.2)
    retention.tick(lambda _study: False)
    assert _kinds(store, study) == {"results"}
    assert journal.counts()["studies_removed"] == 1


@pytest.mark.parametrize("jump_days", [400.0, -9000.0])
def test_a_start_with_a_clock_that_is_far_off_removes_nothing_ever(store, study, jump_days, monkeypatch):
    """Off at the start, and for weeks after it: the service itself has not run long enough."""
    clock, settings = Clock(), RetentionSettings(received_days=365.0, results_days=365.0)
    _record(store, study, days=0.0)
    before = RunningTime(store.root, clock=lambda: clock.monotonic, wall=lambda: clock.wall)
    before.save()
    clock.wall += jump_days * DAY
    retention, running = _retention(store, clock, settings, monkeypatch=monkeypatch)
    for _week in range(20):
        clock.go(7.0)
        retention.tick(lambda _study: False)
        running.save()
    assert _kinds(store, study) == {"images", "aside", "results"}
    assert running.is_clock_wrong is (jump_days < 0)


def test_a_clock_that_was_wrong_when_the_study_came_and_is_mended_removes_nothing(store, study, monkeypatch):
    clock = Clock()
    _record(store, study, days=26 * 365.0)  # written in the year 2000, as the clock had it
    _age_files(store, study, 26 * 365.0)
    retention, _ = _retention(store, clock, RetentionSettings(received_days=365.0), monkeypatch=monkeypatch)
    clock.go(30.0)
    retention.tick(lambda _study: False)
    assert _kinds(store, study) == {"images", "aside", "results"}


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_while_a_clock_was_set_under_the_running_service_nothing_goes_and_an_operator_is_told(
    store, study, jump_s, monkeypatch
):
    clock = Clock()
    _record(store, study, days=0.0)
    retention, running = _retention(store, clock, RetentionSettings(received_days=1.0), monkeypatch=monkeypatch)
    clock.go(3.0)
    clock.wall += jump_s
    retention.tick(lambda _study: False)
    assert running.is_clock_wrong
    assert _kinds(store, study) == {"images", "aside", "results"}
    clock.wall -= jump_s
    clock.go(0.1)
    retention.tick(lambda _study: False)
    assert _kinds(store, study) == {"results"}


def test_files_put_back_yesterday_are_a_day_old(store, study, monkeypatch):
    clock = Clock()
    _record(store, study, days=0.0)
    retention, _ = _retention(store, clock, RetentionSettings(received_days=7.0), monkeypatch=monkeypatch)
    clock.go(30.0)
    os.utime(store.folder(study) / "images", (clock.wall - DAY,) * 2)
    retention.tick(lambda _study: False)
    assert "images" in _kinds(store, study)


def test_a_record_of_an_older_version_begins_its_age_now(store, study, monkeypatch):
    clock = Clock()
    _record(store, study, days=900.0, running_s=None)
    _age_files(store, study, 900.0)
    retention, _ = _retention(store, clock, RetentionSettings(received_days=7.0), monkeypatch=monkeypatch)
    for _day in range(7):
        retention.tick(lambda _study: False)
        clock.go(1.0)
        assert "images" in _kinds(store, study)
    clock.go(0.1)
    retention.tick(lambda _study: False)
    assert _kinds(store, study) == {"results"}


def test_what_is_removed_lies_in_quarantine_first_and_can_be_put_back(store, study, monkeypatch):
    clock = Clock()
    names = store.images(study)
    _record(store, study, days=0.0)
    retention, _ = _retention(
        store, clock, RetentionSettings(received_days=7.0, quarantine_days=3.0), monkeypatch=monkeypatch
    )
    clock.go(8.0)
    retention.tick(lambda _study: False)
    (apart,) = (store.root / "quarantine").iterdir()
    assert sorted(path.name for path in (apart / "images").iterdir()) == sorted(names)
    clock.go(2.9)
    retention.tick(lambda _study: False)
    assert apart.exists()
    clock.go(0.2)
    retention.tick(lambda _study: False)
    assert not apart.exists()


def test_a_round_has_a_limit(store, put, monkeypatch):
    monkeypatch.setattr("calcreport.service.retention.MOST_A_ROUND", 3)
    studies = {put(number=1, study=f"1.2.3.{n}", StudyInstanceUID=f"1.2.3.{n}").study for n in range(1, 9)}
    clock = Clock()
    for study in studies:
        _record(store, study, days=0.0)
    retention, _ = _retention(store, clock, RetentionSettings(received_days=7.0), monkeypatch=monkeypatch)
    clock.go(8.0)
    left = []
    for _round in range(3):
        for _tick in range(5):
            retention.tick(lambda _study: False)
        left.append(sum("images" in _kinds(store, study) for study in studies))
        clock.go(0.01)
    assert left == [5, 2, 0]
    assert MOST_A_ROUND > 100


def test_one_study_that_cannot_be_looked_at_stops_no_other(store, put, monkeypatch):
    studies = sorted({put(number=1, study=f"1.2.3.{n}", StudyInstanceUID=f"1.2.3.{n}").study for n in range(3)})
    clock, journal = Clock(), Journal()
    for study in studies:
        _record(store, study, days=0.0)
    odd = store.folder(studies[1]) / "images"
    for path in odd.iterdir():
        path.unlink()
    odd.rmdir()
    odd.write_bytes(b"a file in its place")
    retention, _ = _retention(
        store, clock, RetentionSettings(received_days=7.0), journal=journal, monkeypatch=monkeypatch
    )
    clock.go(8.0)
    retention.tick(lambda _study: False)
    assert ["images" in _kinds(store, study) for study in studies] == [False, True, False]


def test_the_time_of_service_adds_up_over_starts_and_survives_damage(tmp_path):
    clock = Clock()
    for _start in range(3):
        running = RunningTime(tmp_path, clock=lambda: clock.monotonic, wall=lambda: clock.wall)
        clock.go(1.0)
        running.save()
        clock.go(100.0)  # the service is off
        clock.monotonic = 5.0
    assert json.loads((tmp_path / "running.json").read_bytes())["seconds"] == pytest.approx(3 * DAY, abs=2)
    (tmp_path / "running.json").write_bytes(b"{")
    assert RunningTime(tmp_path).seconds < 1.0


@pytest.mark.parametrize(("received_days", "is_kept"), [(None, True), (1.0, False)])
def test_a_clinical_file_goes_with_the_results_when_no_image_is_left_to_be_reported(
    store, study, received_days, is_kept
):
    store.keep_clinical(study, b"study_instance_uid: 1.2.3")
    _expire(store, study, _record(store, study), RetentionSettings(received_days=received_days, results_days=1.0))
    assert bool(store.clinical(study)) is is_kept
    assert bool(store.clinical_mark(study)) is is_kept
