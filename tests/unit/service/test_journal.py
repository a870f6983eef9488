import logging

import pytest

from calcreport.service.journal import Journal, LineFormatter


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="calcreport.service")
    return lambda: [record.getMessage() for record in caplog.records]


def test_an_event_is_a_line(lines):
    Journal().tell("refused", code="file.truncated")
    assert lines() == ["refused code=file.truncated"]


def test_a_flood_is_bounded_and_told(lines):
    now = [0.0]
    journal = Journal(clock=lambda: now[0])
    for _event in range(100_000):
        journal.tell("refused", code="file.truncated")
    assert len(lines()) == 60
    journal.tell("started")  # others have a budget of their own
    assert lines()[-1] == "started"
    now[0] = 60.0
    journal.tell("refused", code="file.truncated")
    assert lines()[-2:] == ["refused_left_out count=99940", "refused code=file.truncated"]


def test_what_may_name_a_patient_is_not_logged():
    with pytest.raises(ValueError, match="may not be logged"):
        Journal().tell("refused", patient="Doe")
    with pytest.raises(ValueError, match="may not be logged"):
        Journal().tell("refused", code="Doe^John")


def test_a_line_has_a_time_and_no_traceback():
    failure = (KeyError, KeyError("Doe^John"), None)
    record = logging.getLogger("x").makeRecord("x", 20, "f", 1, "started", (), failure)
    text = LineFormatter().format(record)
    assert text.endswith(" started")
    assert "Doe" not in text
    assert "T" in text.split()[0]
