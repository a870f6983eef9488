"""A series whose analysis failed a check of its own: no alert, and the report says what could not be judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import calcreport
from calcreport.calcification import analysis
from calcreport.model.incidental import MANY_IN_CAVITY, Doubt

ALARMING = {"mass": {"palpable": "yes", "size_cm": 7}, "growth": {"rate": "rapid"}}


@pytest.mark.parametrize(
    ("doubts", "concern", "status"), [((), "high", "searched"), ((MANY_IN_CAVITY,), "flagged", "partly")]
)
def test_a_failed_check_bars_the_alert_and_is_told(
    limb: Path, monkeypatch: pytest.MonkeyPatch, doubts: tuple[Doubt, ...], concern: str, status: str
) -> None:
    analyse = analysis.analyse_ct
    monkeypatch.setattr(analysis, "analyse_ct", lambda *of, **how: replace(analyse(*of, **how), doubts=doubts))
    (study,) = calcreport.analyze(limb, clinical=ALARMING)
    assert study.report is not None
    assert (study.report.concern, [row.status for row in study.report.searched]) == (concern, [status])
    told = " ".join(study.text.split())
    assert ("Many deposits lie in one body cavity" in told) == bool(doubts)
    assert ("cancer alert" in told) == (concern == "high")
    # The decision is made again from what the report holds: the bar goes with it.
    assert calcreport.render(study.report).report.concern == concern
