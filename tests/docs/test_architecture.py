"""The architecture page, the README and CONTRIBUTING name what exists; the generated pages say what the code says."""

import ast
import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/calcreport"
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ENDS_OF_JOURNEYS = ("cli.py::main", "study/folder.py::ResultsFolder", "service/delivery.py::Deliveries")

sys.path.insert(0, str(ROOT / "docs"))
import from_docstrings  # noqa: E402 - a folder of pages, no package


def _modules(text: str) -> list[str]:
    """Words in backticks that are paths of modules, with a function or class where ``::`` follows."""
    return re.findall(r"`([\w/]+\.py(?:::\w+)?|(?:\w+/)+)`", text)


def _missing(word: str) -> str:
    path, _, name = word.partition("::")
    places = [folder / path for folder in (SOURCE, ROOT) if (folder / path).exists()]
    if not places:
        return f"{path} does not exist"
    if not name:
        return ""
    tree = ast.parse(places[0].read_text(encoding="utf-8"))
    names = {getattr(node, "name", None) for node in tree.body} | {
        target.id
        for node in tree.body
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(target, ast.Name)
    }
    return "" if name in names else f"{path} has no {name}"


def test_every_module_on_the_page_exists() -> None:
    text = PAGE.split("A stranger's test")[0] + PAGE.rpartition("|\n")[2]  # the table tells of paths that are gone
    words = _modules(text)
    assert len(words) > 60
    assert not list(filter(None, map(_missing, words)))


def test_the_check_sees_a_module_or_a_function_that_is_gone() -> None:
    words = _modules("`output/as_html.py` `cli.py::main` `cli.py::gone` `export/` `study/`")
    found = ["output/as_html.py does not exist", "", "cli.py has no gone", "export/ does not exist", ""]
    assert [_missing(word) for word in words] == found


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_paths_of_the_source_exist(page: Path) -> None:
    paths = re.findall(r"(?:src/calcreport|phantom|templates|tests)/[\w/.-]*", page.read_text(encoding="utf-8"))
    gone = [path for path in paths if not (ROOT / path.rstrip(".")).exists() and "<" not in path]
    assert not gone


def test_layers_are_those_of_the_contract_and_all_are_drawn() -> None:
    rows = from_docstrings.layers()
    names = [name for row in rows for name in row]
    on_disk = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert set(names) == on_disk - {"__init__"}
    drawn = re.findall(r"^│ ([a-z_]+)/? ", PAGE, re.MULTILINE)
    assert drawn == names, "run: make docs"
    assert (rows[0], rows[-1]) == (["__main__"], ["errors"])


def test_the_core_is_drawn_apart() -> None:
    box = PAGE.split("┌─ core")[1].split("└")[0]
    assert set(re.findall(r"^│ ([a-z_]+)/? ", box, re.MULTILINE)) == from_docstrings.core()


@pytest.mark.parametrize("end", ENDS_OF_JOURNEYS)
def test_journeys_run_from_end_to_end(end: str) -> None:
    assert f"`{end}`" in PAGE.split("## Journey 1")[1]


def _package() -> types.ModuleType:
    def analyze(paths: list[str], *, out: str, clinical: str | None = None, formats: tuple[str, ...] = ()) -> "Result":
        """Analyse studies.

        Parameters
        ----------
        paths : list[str]
            Folders, files
            or archives.
        out : str
            Where results go.

        Raises
        ------
        ValueError
            ``usage.no_path`` when there is none.
        """

    class Result:
        """What came of it."""

        @property
        def text(self) -> str:
            """The section."""
            return ""

        def _hidden(self) -> None: ...

    package = types.ModuleType("package")
    package.analyze, package.Result, package.__version__ = analyze, Result, "1"
    package.__all__ = ["Result", "__version__", "analyze"]
    return package


def test_the_interface_page_shows_signature_sections_and_public_names_only() -> None:
    page = from_docstrings.interface(_package())
    assert "## analyze\n\n```python\ndef analyze(\n    paths: list[str],\n    *,\n    out: str," in page
    assert (
        "**Parameters:**\n\n- `paths : list[str]`: Folders, files or archives.\n- `out : str`: Where results go."
        in page
    )
    assert "**Raises:**\n\n- `ValueError`: `usage.no_path` when there is none." in page
    assert "## Result\n\n```python\nclass Result\n```\n\nWhat came of it." in page
    assert "### Result.text\n\nThe section." in page
    assert "_hidden" not in page


def test_the_interface_page_lists_fields_of_records_with_their_meaning() -> None:
    from calcreport.model.report import Report  # noqa: PLC0415

    package = types.ModuleType("package")
    package.Report, package.__all__ = Report, ["Report"]
    page = from_docstrings.interface(package)
    assert "- `rejected`: `tuple[RejectedLesion, ...]`. Lesions of the draft that a reader rejected" in page


def test_every_exported_name_has_its_place_on_the_page() -> None:
    import calcreport  # noqa: PLC0415

    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    for name in getattr(calcreport, "__all__", ["__version__"]):
        assert f"## {name}\n" in page or f".{name}`" in page


def test_every_error_code_has_its_module() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)` \| .* \| (.*) \|$", (ROOT / "docs/error-codes.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) > 200
    gone = [code for code, module in rows if not (SOURCE / module.strip("`")).is_file() and "phantom/" not in module]
    assert not gone
    modules = dict(rows)
    assert modules["usage.mask_for_radiographs"] == "`study/analyse.py`"
    assert modules["clinical.not_yaml"] == "`files/typed_text.py`"
    assert modules["series.projection"] == "`dicom/codes.toml`"


def test_superseded_decisions_say_so() -> None:
    for number in ("0001", "0002"):
        (path,) = (ROOT / "docs/decisions").glob(f"{number}-*.md")
        assert "superseded by" in path.read_text(encoding="utf-8").split("## Context")[0]
