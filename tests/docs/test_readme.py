"""The commands in the README do what stands below them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ calcreport")]


def test_there_are_commands() -> None:
    assert len(_commands()) >= 3


@pytest.mark.parametrize("line", _commands())
def test_a_command_of_the_readme_works(line: str, tmp_path: Path) -> None:
    words = shlex.split(line, comments=True)[1:]
    for number, word in enumerate(words):
        if words[number - 1] == "--out":
            words[number] = str(tmp_path / Path(word).name)
    (tmp_path / "sample_dicoms").symlink_to(ROOT / "sample_dicoms")
    result = subprocess.run(
        [sys.executable, "-m", "calcreport", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
