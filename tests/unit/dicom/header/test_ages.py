"""Ages and sexes as headers write them, placeholders included; add a row for what is seen next."""

import pytest

from calcreport.dicom.header import values
from calcreport.text.wording import spell_person

AGES = [
    # Patient's Age, birth date, study date, years, birth date kept, word of the note
    (b"046Y", None, "2024-01-15", 46, None, ""),
    (b"46Y", None, None, 46, None, ""),
    (b"046y ", None, None, 46, None, ""),
    (b"122Y", None, None, 122, None, ""),
    (b"123Y", None, None, None, None, ""),
    (b"999Y", None, "2024-01-15", None, None, ""),
    (b"000Y", None, "2024-01-15", None, None, ""),
    (b"0Y", None, None, None, None, ""),
    (b"000Y", "1970-01-15", "2024-01-15", 54, "1970-01-15", ""),
    (b"000Y", "2024-01-15", "2024-01-15", None, None, ""),
    (b"000Y", "1900-01-01", "2024-01-15", None, None, ""),
    (b"", None, None, None, None, ""),
    (None, None, None, None, None, ""),
    (b"50", None, None, None, None, ""),
    (b"-50Y", None, None, None, None, ""),
    (b"ANON", None, None, None, None, ""),
    (b"018M", None, None, 1.5, None, ""),
    (b"3M", None, None, 0.25, None, ""),
    (b"006W", None, None, 0.115, None, ""),
    (b"010D", None, None, 0.0274, None, ""),
    (b"000D", None, None, 0, None, ""),
    (b"000D", "2024-01-15", "2024-01-15", 0, "2024-01-15", ""),
    (b"003M", "2024-01-15", "2024-01-15", 0, "2024-01-15", ""),
    (b"010D", "2024-01-05", "2024-01-15", 0.0274, "2024-01-05", ""),
    (None, "1970-01-15", "2024-01-15", 54, "1970-01-15", ""),
    (None, "1900-01-01", "2026-01-15", None, None, ""),
    (b"058Y", "1900-01-01", "2026-01-15", 58, None, ""),
    (None, "1901-01-01", "2026-01-15", None, "1901-01-01", ""),
    (None, "2005-01-01", "2005-01-01", None, None, ""),
    (b"046Y", "2005-01-01", "2005-01-01", 46, None, ""),
    (b"046Y", "1970-01-15", None, 46, "1970-01-15", ""),
    (None, "1970-01-15", None, None, "1970-01-15", ""),
    (None, "2030-01-01", "2024-01-15", None, "2030-01-01", "after the study date"),
    (b"046Y", "2030-01-01", "2024-01-15", 46, "2030-01-01", "after the study date"),
    (b"053Y", "1970-01-15", "2024-01-15", 54, "1970-01-15", ""),
    (b"055Y", "1970-01-15", "2024-01-15", 54, "1970-01-15", ""),
    (b"056Y", "1970-01-15", "2024-01-15", 54, "1970-01-15", "56 years stated, 54 years"),
    (b"052Y", "1970-01-15", "2024-01-15", 54, "1970-01-15", "52 years stated, 54 years"),
    (b"006W", "1970-01-15", "2024-01-15", 54, "1970-01-15", "0 years stated, 54 years"),
]


@pytest.mark.parametrize(("age", "birth", "study", "years", "kept", "note"), AGES)
def test_age_is_what_header_says_and_never_a_placeholder(age, birth, study, years, kept, note):
    found_years, birth_date, found_note = values.age_at_study(age, birth, study)
    assert found_years == (None if years is None else pytest.approx(years, abs=0.01))
    assert birth_date == kept
    assert note in found_note
    assert bool(note) is bool(found_note)


SEXES = [
    (b"F", "F"), (b"f ", "F"), (b"FEMALE", "F"), (b"Female", "F"), (b"W", "F"),
    (b"M", "M"), (b"m\0", "M"), (b"MALE", "M"), (b"Male", "M"),
    (b"O", "O"), (b"other", "O"),
    (b"", None), (None, None), (b"U", None), (b"UNKNOWN", None), (b"0", None), (b"1", None), (b"N/A", None),
    (b"000Y", None), (b"MF", None), (b"M\\F", None), (b"ANONYMOUS", None), (b"\xff", None),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "sex"), SEXES)
def test_sex_is_a_plain_answer_or_unknown(raw, sex):
    assert values.sex(raw) == sex


PEOPLE = [
    (46.0, "F", "46 F"), (46.99, "M", "46 M"), (58, "M", "58 M"), (50, None, "50 years"), (1, None, "1 year"),
    (1.5, "F", "1 F"), (0.99, "F", "11 months F"), (0.25, "M", "3 months M"), (1 / 12, None, "1 month"),
    (0.0274, "F", "10 days F"), (1 / 365.25, None, "1 day"), (0, "F", "under 1 year F"), (0, None, "under 1 year"),
    (None, "F", ""), (None, None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("years", "sex", "words"), PEOPLE)
def test_a_person_is_printed_with_a_unit_or_a_sex(years, sex, words):
    assert spell_person(years, sex) == words
