import pytest

from calcreport.service.inbox import Arrivals, Complete
from calcreport.service.service_settings import StudySettings


class _Time:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return _Time()


@pytest.fixture
def counts():
    return {}


@pytest.fixture
def arrivals(time, counts):
    settings = StudySettings(quiet_seconds=10.0, missing_seconds=100.0)
    return Arrivals(lambda: settings, count=lambda study: counts.get(study, 0), clock=time)


def test_a_study_is_complete_when_nothing_came_for_a_while(arrivals, time):
    arrivals.note("a")
    time.now += 9.9
    assert arrivals.take_complete() == []
    time.now += 0.1
    assert arrivals.take_complete() == [Complete(study="a", is_short=False)]
    assert arrivals.take_complete() == []


def test_every_image_begins_the_quiet_anew(arrivals, time):
    for _image in range(5):
        arrivals.note("a")
        time.now += 9.0
        assert arrivals.take_complete() == []
    time.now += 1.0
    assert len(arrivals.take_complete()) == 1


def test_studies_do_not_hold_each_other_up(arrivals, time):
    arrivals.note("a")
    time.now += 6.0
    arrivals.note("b")
    time.now += 4.0
    assert [complete.study for complete in arrivals.take_complete()] == ["a"]
    assert "b" in arrivals


def test_a_late_image_makes_the_study_arrive_again(arrivals, time):
    arrivals.note("a")
    time.now += 10.0
    arrivals.take_complete()
    arrivals.note("a")
    assert "a" in arrivals
    time.now += 10.0
    assert len(arrivals.take_complete()) == 1


def test_a_known_count_completes_at_once(arrivals, counts):
    arrivals.note("a")
    arrivals.expect("a", 3)
    counts["a"] = 2
    assert arrivals.take_complete() == []
    counts["a"] = 3
    assert arrivals.take_complete() == [Complete(study="a", is_short=False)]


def test_a_known_count_that_does_not_come_is_waited_for_longer_and_told(arrivals, time, counts):
    arrivals.note("a")
    arrivals.expect("a", 3)
    counts["a"] = 2
    time.now += 99.0
    assert arrivals.take_complete() == []
    time.now += 1.0
    assert arrivals.take_complete() == [Complete(study="a", is_short=True)]


def test_what_an_archive_was_asked_to_send_is_of_whoever_asked(arrivals, counts):
    arrivals.expect("a", 1, "pacs#earlier")
    arrivals.note("a", "ARCHIVE")
    arrivals.note("b", "ARCHIVE")
    counts["a"] = 1
    arrivals.expect("b", 1)
    counts["b"] = 1
    assert {one.study: one.sender for one in arrivals.take_complete()} == {"a": "pacs#earlier", "b": "ARCHIVE"}


def test_an_image_that_comes_while_it_is_decided_is_not_overlooked(arrivals, time):
    arrivals.note("a")
    arrivals.expect("a", 1)

    def count(study):
        time.now += 1.0
        arrivals.note(study)  # from another thread
        return 1

    arrivals.count = count
    assert arrivals.take_complete() == []
    assert "a" in arrivals
