import time

import pytest

from calcreport.service.journal import Journal
from calcreport.service.record import Record
from calcreport.service.retention import Retention, remove_expired
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


def _record(store, study, *, state="done", days=10.0):
    record = Record(state=state, changed=time.time() - days * DAY)
    store.write_record(study, record)
    return record


def test_nothing_is_removed_unless_a_site_says_so(store, study):
    remove_expired(store, study, _record(store, study, days=10_000), RetentionSettings())
    assert _kinds(store, study) == {"images", "aside", "results"}


@pytest.mark.parametrize("state", ["waiting", "analysing", "delivering", "failed"])
def test_nothing_is_removed_before_it_was_delivered(store, study, state):
    settings = RetentionSettings(received_days=0.0, results_days=0.0)
    remove_expired(store, study, _record(store, study, state=state), settings)
    assert _kinds(store, study) == {"images", "aside", "results"}


@pytest.mark.parametrize(("days", "left"), [(6.9, {"images", "aside", "results"}), (7.1, {"results"})])
def test_what_was_received_goes_when_its_time_is_over(store, study, days, left):
    remove_expired(store, study, _record(store, study, days=days), RetentionSettings(received_days=7.0))
    assert _kinds(store, study) == left


def test_results_have_a_time_of_their_own(store, study):
    remove_expired(store, study, _record(store, study), RetentionSettings(results_days=7.0))
    assert _kinds(store, study) == {"images", "aside"}


def test_the_names_are_on_disk_before_the_images_go(store, study, monkeypatch):
    names = store.images(study)
    seen = []
    remove = store.remove

    def note(study, kind, names):
        seen.append(store.record(study).removed)
        remove(study, kind, names)

    monkeypatch.setattr(store, "remove", note)
    after = remove_expired(store, study, _record(store, study), RetentionSettings(received_days=7.0))
    assert seen[0] == names
    assert after.removed == names == store.record(study).removed


def test_an_image_that_arrives_meanwhile_stays(store, study, put, monkeypatch):
    write_record = store.write_record

    def write(name, record):
        write_record(name, record)
        if record.removed:
            put(number=9)  # acknowledged

    monkeypatch.setattr(store, "write_record", write)
    remove_expired(store, study, _record(store, study), RetentionSettings(received_days=7.0))
    assert len(store.images(study)) == 1


def test_a_clock_that_was_set_back_removes_nothing(store, study):
    remove_expired(store, study, _record(store, study, days=-3.0), RetentionSettings(received_days=0.0))
    assert _kinds(store, study) == {"images", "aside", "results"}


def test_a_busy_study_is_left_alone_and_the_others_are_looked_at_now_and_then(store, study):
    _record(store, study)
    now = [0.0]
    settings = RetentionSettings(received_days=7.0)
    retention = Retention(store, lambda: settings, Journal(), clock=lambda: now[0])
    retention.tick(lambda _study: True)
    now[0] = 599.0
    retention.tick(lambda _study: False)
    assert _kinds(store, study) == {"images", "aside", "results"}
    now[0] = 600.0
    retention.tick(lambda _study: False)
    assert _kinds(store, study) == {"results"}


@pytest.mark.parametrize(("received_days", "is_kept"), [(None, True), (1.0, False)])
def test_a_clinical_file_goes_with_the_results_when_no_image_is_left_to_be_reported(
    store, study, received_days, is_kept
):
    store.keep_clinical(study, b"study_instance_uid: 1.2.3")
    remove_expired(
        store, study, _record(store, study), RetentionSettings(received_days=received_days, results_days=1.0)
    )
    assert bool(store.clinical(study)) is is_kept
    assert bool(store.clinical_mark(study)) is is_kept
