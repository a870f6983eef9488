"""A short run of drawn contours against the budget; `run_contours.py` is the long one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from calcreport.model import drawn

pytestmark = [pytest.mark.accuracy, pytest.mark.slow]

SEEDS = 6


def _runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_contours", Path(__file__).with_name("run_contours.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run = _runner()


@pytest.mark.parametrize("drawing", run.DRAWINGS, ids=lambda drawing: drawing.name)
def test_drawn_lengths_keep_to_the_budget(drawing: object) -> None:
    assert run.faults(drawing, *run.figures(drawing, SEEDS)) == []


@pytest.mark.parametrize(("slice_mm", "every"), [(3.0, 2), (3.0, 3), (5.0, 1), (5.0, 2)])
def test_a_blunt_end_is_outside_the_budget(monkeypatch: pytest.MonkeyPatch, slice_mm: float, every: int) -> None:
    """The last section carried outwards whole, as it once was, makes a ball too long."""
    monkeypatch.setattr(drawn, "tapered", lambda outline, _share: outline)
    drawing = run.Drawing(slice_mm=slice_mm, every=every)
    ball = run.figures(drawing, SEEDS)[0][0]
    assert ball.mean() > max(0.5, drawing.step_mm / 4)


def test_the_uncertainty_grows_with_the_step_of_the_drawing() -> None:
    stated = [np.median(run.figures(run.Drawing(slice_mm=1.0, every=every), 2)[1]) for every in (1, 2, 3, 5)]
    assert stated == sorted(stated)
    assert stated[-1] > 2 * stated[0]
