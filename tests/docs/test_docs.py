"""The documentation says what the program does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from calcreport.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def _text() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_the_generated_pages_are_current_and_explain_every_code_of_the_source() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_reports_read_aloud_are_what_the_program_gives() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "docs/read_aloud.py", "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    "command",
    ["analyze", "decide", "rules list", "rules explain", "rules check", "phantom", "schema", "render", "cohort"],
)
def test_every_option_is_described(command: str) -> None:
    words = subprocess.run(
        [sys.executable, "-m", "calcreport", *command.split(), "--help"], capture_output=True, text=True, check=False
    ).stdout
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", words)) - {"--help"}
    usage = (ROOT / "docs/usage.md").read_text(encoding="utf-8")
    assert not [option for option in sorted(options) if f"`{option}" not in usage]


def test_every_setting_is_described() -> None:
    usage = (ROOT / "docs/usage.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert f"[{name}]" in usage
        for key in field.annotation.model_fields:
            assert f"`{key}`" in usage, f"{name}.{key}"


def test_decisions_have_a_number_each() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs/decisions").glob("*.md")]
    assert all(number.isdigit() for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_no_machine_is_named() -> None:
    assert not re.search(r"/(home|root|work|Users)/\w", _text())


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("tests/accuracy/run_contours.py", "accuracy.md"),
        ("tests/accuracy/run_phantoms.py", "accuracy.md"),
        ("tests/accuracy/run_films.py", "accuracy.md"),
        ("tests/accuracy/run_unseen.py", "accuracy.md"),
        ("tests/accuracy/run_real.py", "real_cases.md"),
        ("tests/accuracy/run_scales.py", "scales.md"),
        ("bench/run.py", "performance.md"),
        ("bench/run_films.py", "performance.md"),
    ],
)
def test_a_script_writes_its_figures_and_no_other_section_over(script: str, page: str) -> None:
    """It replaces what stands between its mark and its end, or, where it has no end, everything below the mark."""
    source, text = ((ROOT / path).read_text(encoding="utf-8") for path in (script, f"docs/{page}"))
    mark, end = (re.search(rf'^{name} = "(.*)"$', source, re.MULTILINE) for name in ("MARK", "END"))
    assert mark is not None
    assert text.count(mark[1]) == 1
    replaced = text.split(mark[1])[1]
    if end is not None:
        assert end[1] in replaced
        replaced = replaced.split(end[1])[0]
    assert "<!--" not in replaced
    assert not re.search(r"^#{1,2} ", replaced, re.MULTILINE)
