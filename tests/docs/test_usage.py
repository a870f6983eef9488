"""The examples of the usage page are what the program takes, and do what stands below them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from calcreport.files.findings import review_from_text

USAGE = (Path(__file__).parents[2] / "docs/usage.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every example file of the page, under the name in its first line."""
    root = tmp_path_factory.mktemp("usage")
    for text in re.findall(r"```(?:yaml|toml)\n(.*?)```", USAGE, flags=re.DOTALL):
        (root / re.match(r"# (\S+)\n", text)[1]).write_text(text, encoding="utf-8")
    return root


def _run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "calcreport", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, check=False)


def test_every_example_file_is_named(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "findings.yaml",
        "clinical.yaml",
        "review.yaml",
        "settings.toml",
        "site.toml",
    }


def test_the_review_is_one(folder: Path) -> None:
    review = review_from_text((folder / "review.yaml").read_text(encoding="utf-8"))
    assert {name: verdict.decision for name, verdict in review.lesions.items()} == {
        "L1": "accept",
        "L2": "reject",
        "L3": None,
    }


def test_the_example_files_work_together(folder: Path) -> None:
    words = [
        "decide",
        "findings.yaml",
        "--clinical",
        "clinical.yaml",
        "--config",
        "settings.toml",
        "--rules",
        "site.toml",
        "--format",
        "text-full",
    ]
    result = _run(folder, *words)
    assert (result.returncode, result.stderr) == (0, "")
    text = " ".join(result.stdout.split())
    for part in ("calcium x phosphate product", "since 2026-08-20", "Right calf"):
        assert part in text.replace("Stable", "stable"), text


def test_the_commands_give_what_stands_below_them(folder: Path) -> None:
    blocks = re.findall(r"```\n(\$ calcreport.*?)```", USAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        printed = ""
        for line in block.splitlines():
            if not line.startswith("$ "):
                assert " ".join(line.split()) in printed, printed
                continue
            words, _, target = line.removeprefix("$ calcreport ").partition(" > ")
            result = _run(folder, *shlex.split(words))
            assert result.returncode == 0, result.stderr
            printed = " ".join(result.stdout.split())
            if target:
                (folder / target).write_text(result.stdout, encoding="utf-8")
