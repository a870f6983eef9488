"""One model of what became of a study: held by a run, written to ``summary.json``, read back."""

import json

from calcreport.formats.page.as_html import IndexEntry
from calcreport.model.report import Concern, Software
from calcreport.study.result import Counts, StudyOutcome, Summary, align, read_summary

SOFTWARE = Software(name="calcreport", version="1", rules_version="1")
OUTCOME = StudyOutcome(
    folder="1.2.3",
    status="reported",
    concern=Concern.HIGH,
    counts=Counts(lesions=2, excluded=1, images=40),
    seconds=1.23456,
    kind="input",
    text="Doe^John",
    index_row=IndexEntry(folder="1.2.3", status="reported", patient="Doe^John"),
    has_review=True,
    detail="Doe^John",
)


def test_the_summary_holds_what_stays_and_nothing_of_the_patient(tmp_path) -> None:
    summary = Summary(software=SOFTWARE, created="2026-01-01", studies=(OUTCOME,))
    (tmp_path / "summary.json").write_bytes(summary.to_bytes())
    (written,) = json.loads(summary.to_bytes())["studies"]
    assert list(written) == ["folder", "status", "code", "message", "concern", "counts", "seconds", "series"]
    assert written["seconds"] == 1.235
    assert b"Doe" not in summary.to_bytes()
    assert "Doe" not in repr(OUTCOME)
    again = read_summary(tmp_path)
    assert again is not None
    assert again.to_bytes() == summary.to_bytes()


def test_what_is_no_summary_of_this_program_is_none(tmp_path) -> None:
    assert read_summary(tmp_path) is None
    (tmp_path / "summary.json").write_text('{"studies": [{"folder": "1", "status": "unheard of"}]}')
    assert read_summary(tmp_path) is None


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    assert align([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b\n"
