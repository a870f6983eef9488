import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calcreport.service import queue
from calcreport.service.identity import content_of
from calcreport.service.queue import Failure, Record, record_from
from calcreport.service.service_settings import AnalysisSettings, PriorityRow
from calcreport.study.result import StudyOutcome

IMAGES = tuple(f"{number:032x}.{number:032x}.dcm" for number in range(3))
LATER = (*IMAGES, f"{9:032x}.{9:032x}.dcm")
SETTINGS = AnalysisSettings()
ANSWER = StudyOutcome(folder="", status="reported", concern="flagged", seconds=2.0)


def _queued(record=None, images=IMAGES):
    return queue.queued(record or Record(), images, study_uid="1.2.3", is_short=False)


def _failure(*, is_environment=False):
    return Failure(code="analysis.crashed", message="it crashed", is_environment=is_environment, seconds=1.0)


def test_a_new_study_is_due_and_an_answered_one_is_not():
    assert queue.is_due(Record(), IMAGES)
    assert not queue.is_due(Record(), ())
    assert not queue.is_due(queue.answered(_queued(), ANSWER), IMAGES)


@pytest.mark.parametrize("state", ["waiting", "analysing"])
def test_a_study_is_due_until_it_is_answered_whatever_died(state):
    assert queue.is_due(_queued().model_copy(update={"state": state}), IMAGES)


def test_late_images_make_it_due_again_as_a_new_revision_of_the_same_study():
    first = queue.answered(_queued(), ANSWER)
    assert queue.is_due(first, LATER)
    second = queue.answered(_queued(first, LATER), ANSWER)
    assert (first.revision, second.revision) == (1, 2)
    assert second.study_instance_uid == first.study_instance_uid


def test_three_failures_are_a_dead_letter_with_its_reason():
    record = _queued()
    states = []
    for _attempt in range(3):
        record = queue.failed(record, _failure(), SETTINGS)
        states.append(record.state)
    assert states == ["waiting", "waiting", "failed"]
    assert (record.code, record.message, record.attempts) == ("analysis.crashed", "it crashed", 3)
    assert not queue.is_due(record, IMAGES)


def test_a_dead_letter_comes_back_with_new_images_or_by_hand():
    record = queue.given_up(_queued(), "analysis.crashed", "it crashed")
    assert queue.is_due(record, LATER)
    assert _queued(record, LATER).attempts == 0
    assert queue.is_due(queue.retried(record), IMAGES)


def test_an_answered_study_is_analysed_again_by_hand():
    assert queue.is_due(queue.retried(queue.answered(_queued(), ANSWER)), IMAGES)


def test_failures_that_are_nobodys_fault_do_not_use_up_the_attempts():
    record = _queued()
    for _attempt in range(20):
        record = queue.failed(record, _failure(is_environment=True), SETTINGS)
    assert (record.state, record.attempts, record.setbacks) == ("waiting", 0, 20)


def test_the_same_images_again_remember_the_attempts_and_others_do_not():
    record = queue.failed(_queued(), _failure(), SETTINGS)
    assert _queued(record).attempts == 1
    assert _queued(record, LATER).attempts == 0


def test_a_service_that_dies_ten_times_does_not_cost_a_study_its_report():
    record = _queued()
    for _death in range(10):
        record = queue.interrupted(record.model_copy(update={"state": "analysing"}))
    assert (record.state, record.attempts) == ("waiting", 0)


def test_a_study_that_takes_the_service_down_for_ever_is_given_up():
    record = _queued()
    for _death in range(20):
        record = queue.interrupted(record.model_copy(update={"state": "analysing"}))
    assert (record.state, record.code) == ("failed", "analysis.interrupted")


def test_waits_double_up_to_ten_minutes():
    assert [queue.wait_s(number, 30.0) for number in range(7)] == [0, 30, 60, 120, 240, 480, 600]
    assert queue.wait_s(10_000, 30.0) == 600


def test_what_may_have_taken_the_service_down_comes_last():
    waiting = queue.Waiting()
    waiting.put("suspect", due_s=1.0, interruptions=1)
    waiting.put("late", due_s=3.0, interruptions=0)
    waiting.put("early", due_s=2.0, interruptions=0)
    waiting.put("not_yet", due_s=9.0, interruptions=0)
    assert list(waiting.due(5.0)) == ["early", "late", "suspect"]


def test_priority_comes_before_time():
    waiting = queue.Waiting()
    waiting.put("first", due_s=1.0, interruptions=0)
    waiting.put("urgent", due_s=3.0, interruptions=0, priority=5)
    waiting.put("suspect", due_s=0.0, interruptions=1, priority=9)
    waiting.put("last", due_s=2.0, interruptions=0, priority=-1)
    assert list(waiting.due(5.0)) == ["urgent", "first", "last", "suspect"]


ROWS = (
    {"sender": "ER_*", "modality": "CT", "priority": 9},
    {"modality": "DX", "priority": 5},
    {"tag": "StationName", "value": "trauma?", "priority": 3},
    {"sender": "SLOW", "priority": -2},
)


@pytest.mark.parametrize(
    ("sender", "values", "priority"),
    [
        ("ER_1", {"Modality": "CT"}, 9), ("er_1", {"Modality": "ct"}, 9), ("ER_1", {"Modality": "CR"}, 0),
        ("ER_1", {"Modality": "DX"}, 5), ("", {"Modality": "DX"}, 5), ("WARD", {"StationName": "TRAUMA2"}, 3),
        ("WARD", {"StationName": "TRAUMA"}, 0), ("SLOW", {}, -2), ("SLOWER", {}, 0), ("", {}, 0),
    ],
)  # fmt: skip
def test_the_first_row_that_fits_says_the_priority(sender, values, priority):
    rows = [PriorityRow(**row) for row in ROWS]
    assert queue.priority_of(rows, sender, lambda keyword: values.get(keyword, "")) == priority


@pytest.mark.parametrize(
    "row", [{}, {"priority": 3}, {"tag": "StationName"}, {"value": "x"}, {"tag": "0008,1010", "value": "x"}]
)
def test_a_row_that_names_nothing_is_a_mistake(row):
    with pytest.raises(ValidationError):
        PriorityRow(**row)


def test_conflicts_are_counted_from_the_names_alone():
    twice = f"{1:032x}.{7:032x}.dcm"
    assert _queued(images=(*IMAGES, twice)).conflicts == 1
    assert _queued().conflicts == 0


def test_removed_images_have_to_be_back():
    record = queue.answered(_queued(), ANSWER).model_copy(update={"removed": IMAGES})
    assert queue.images_missing(record, LATER[1:])
    assert not queue.images_missing(record, LATER)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"state": "no such"}', b'{"revision": "x"}', b"\xff"])
def test_a_damaged_record_makes_the_study_due(content):
    assert queue.is_due(record_from(content), IMAGES)


def test_a_record_of_another_version_is_read():
    record = record_from(b'{"state": "done", "reported": "abc", "future": 1}')
    assert (record.state, record.reported) == ("done", "abc")


@given(
    st.lists(st.sampled_from(["fail", "setback", "die", "answer", "late", "retry"]), max_size=40),
)
def test_no_history_loses_a_study(history):
    """A study is always due, or a dead letter with a reason, or answered for the images that are there."""
    images, record = IMAGES, _queued()
    for number, step in enumerate(history):
        if step == "late":
            images = (*images, f"{100 + number:032x}.{number:032x}.dcm")
        elif step == "retry":
            record = queue.retried(record)
        elif queue.is_due(record, images):
            record = _queued(record, images).model_copy(update={"state": "analysing"})
            if step == "answer":
                record = queue.answered(record, ANSWER)
            elif step == "die":
                record = queue.interrupted(record)
            else:
                record = queue.failed(record, _failure(is_environment=step == "setback"), SETTINGS)
        record = record_from(record.to_bytes())
        is_answered = record.reported == content_of(images)
        is_dead = record.state == "failed" and record.code and record.content == content_of(images)
        assert queue.is_due(record, images) or is_answered or is_dead
