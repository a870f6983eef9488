"""What a study of radiographs loads: each of these libraries would take a tenth of a second or more of its time."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("calcreport.study.analyse", {"scipy", "calcreport.calcification", "calcreport.film"}),
        ("calcreport.film.analysis", {"scipy.signal", "scipy.stats", "scipy.spatial", "scipy.interpolate"}),
    ],
)
def test_nothing_is_loaded_that_a_film_does_without(module: str, unneeded: set[str]) -> None:
    code = f"import sys, {module}\nsys.exit(','.join(sorted({unneeded!r} & set(sys.modules))) or None)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
