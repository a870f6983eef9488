"""The commands in the README do what stands below them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _commands() -> list[tuple[str, list[str]]]:
    """Each command with the lines of output that stand below it."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    commands: list[tuple[str, list[str]]] = []
    for line in "\n".join(blocks).splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif line and line != "...":
            commands[-1][1].append(_without_seconds(line))
    return commands


def _without_seconds(line: str) -> str:
    """Take the time of a study, which varies, out of its row."""
    return re.sub(r" +\d+\.\d\s*$", "", line)


def test_there_are_commands() -> None:
    assert len(_commands()) >= 3


@pytest.mark.parametrize(("line", "shown"), _commands(), ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_a_command_of_the_readme_gives_what_stands_below_it(line: str, shown: list[str], tmp_path: Path) -> None:
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
    printed = list(map(_without_seconds, result.stdout.splitlines()))
    assert not [text for text in shown if text not in printed], result.stdout
