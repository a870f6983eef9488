"""The Python page, the examples in docstrings, and the notebook do what they say."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest

import calcreport.api

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_the_examples_of_the_public_functions_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    failures, tried = doctest.testmod(calcreport.api)
    assert failures == 0
    assert tried >= 8


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the client's own libraries
def test_a_notebook_runs_and_shows_a_table_and_a_picture(path: Path, tmp_path: Path) -> None:
    place = tmp_path / "docs" / "notebooks"
    place.mkdir(parents=True)
    (tmp_path / "sample_dicoms").symlink_to(ROOT / "sample_dicoms")
    import nbformat  # noqa: PLC0415 - slow to import, and one worker of all runs this
    from nbclient import NotebookClient  # noqa: PLC0415

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(place)}}).execute()
    shown = {kind for cell in notebook.cells for output in cell.get("outputs", ()) for kind in output.get("data", ())}
    assert {"text/html", "image/png"} <= shown


def test_notebooks_are_committed_without_output() -> None:
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells), path.name


def test_the_page_names_every_public_function() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert all(f"{name}(" in page for name in ("analyze", "decide", "render", "read_report"))
