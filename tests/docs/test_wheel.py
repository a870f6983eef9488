"""What users install holds everything the program needs, and nothing of the workshop."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_templates_rules_types_and_licence_are_in_the_wheel(names: set[str]) -> None:
    templates = {f"calcreport/_templates/{path.name}" for path in (ROOT / "templates").iterdir()}
    tables = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/calcreport/rules").rglob("*.toml")}
    assert templates
    assert tables
    assert templates | tables | {"calcreport/py.typed", "calcreport/cli.py"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_nothing_else_is_in_the_wheel(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")} == {"calcreport"}
    assert not [name for name in names if name.endswith((".pyc", ".dcm", ".zip"))]
