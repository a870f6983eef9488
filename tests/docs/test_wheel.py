"""What users install holds everything the program needs, and nothing of the workshop."""

import itertools
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from calcreport.version import commit_of

ROOT = Path(__file__).parents[2]


def build(kind: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = folder.glob("calcreport-*")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


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


def test_the_commit_travels_with_the_wheel_and_with_the_source_archive(wheel: Path, tmp_path: Path) -> None:
    before = commit_of(ROOT)
    subprocess.run(["tar", "-xzf", build("sdist", ROOT, tmp_path / "sdist"), "-C", tmp_path], check=True)
    (unpacked,) = tmp_path.glob("calcreport-*")
    if before != commit_of(ROOT):
        pytest.skip("something was committed meanwhile")
    assert commit_of(unpacked) == before
    for made in (wheel, build("wheel", unpacked, tmp_path / "wheel")):
        with zipfile.ZipFile(made) as archive:
            carried = [archive.read(name).decode().strip() for name in archive.namelist() if name.endswith("/_commit")]
        assert carried == ([before] if before else []), made


def test_everything_is_locked_by_hash_and_nothing_names_a_registry() -> None:
    text = (ROOT / "requirements/ci.txt").read_text(encoding="utf-8")
    locked = re.findall(r"^([a-z0-9-]+)==([^ ]+)[^\\\n]*(?: *\\\n +--hash=sha256:[0-9a-f]{64})+$", text, re.MULTILINE)
    assert len(locked) == len(re.findall(r"^\S", text, re.MULTILINE)) > 50
    assert not re.search(r"//|--(?!hash=)", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        versions = [version for other, version in locked if other == name]
        assert versions or name == "calcreport", f"{name}: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), f"{name}: make lock"
