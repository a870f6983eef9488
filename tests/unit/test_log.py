import logging

import pytest

from calcreport.log import FIELDS, event, study_ref

LOGGER = logging.getLogger("calcreport.test")


def test_an_event_is_one_line_of_known_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="calcreport")
    event(LOGGER, "study_done", study_ref=study_ref("1.2.3"), seconds=1.25, code="geometry.gap", count=3)
    assert caplog.messages == [f"study_done study_ref={study_ref('1.2.3')} seconds=1.25 code=geometry.gap count=3"]


@pytest.mark.parametrize("field", ["patient_name", "path", "uid", "message", "dataset"])
def test_a_field_that_is_not_on_the_list_is_refused(field: str) -> None:
    assert field not in FIELDS
    with pytest.raises(ValueError, match="may not be logged"):
        event(LOGGER, "study_done", **{field: "1"})


@pytest.mark.parametrize("field", sorted(FIELDS))
@pytest.mark.parametrize(
    "value", ["DOE^JANE", "1.2.840.10008.5.1.4.1.1.2", "/data/doe", "19540312x", "a\nb", "Doe", ""]
)
def test_no_field_takes_a_value_that_could_identify_a_patient(field: str, value: str) -> None:
    with pytest.raises(ValueError, match="may not be logged") as caught:
        event(LOGGER, "study_done", **{field: value})
    assert not value or value not in str(caught.value)


def test_a_reference_is_stable_within_a_run_and_does_not_show_the_uid() -> None:
    uid = "1.2.840.113619.2.1.1"
    assert study_ref(uid) == study_ref(uid) != study_ref(uid + "1")
    assert uid not in study_ref(uid)


def test_the_library_is_silent_until_a_program_configures_it() -> None:
    handlers = logging.getLogger("calcreport").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
