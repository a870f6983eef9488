"""Version that reports print: that of the release, and the commit it was made from."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from calcreport import __version__

COMMIT_FILE: Final = "_commit"
"""Holds the commit in an installed package and a source archive; in a checkout git's own files hold it."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # SHA-1 or SHA-256
_MOST_LINKS: Final = 5  # symbolic references followed, as git does


@cache
def software_version() -> str:
    """Version such as ``0.1.0+g25413b9``; without the commit where nothing says which it is."""
    package = Path(__file__).parent
    commit = commit_of(package.parents[1]) if package.parent.name == "src" else _commit_in(package / COMMIT_FILE)
    return f"{__version__}+g{commit[:7]}" if commit else __version__


def commit_of(root: Path) -> str:
    """Commit of a source folder, in hexadecimal; empty when it is not known.

    `root` holds ``src``: a checkout, a git worktree or an unpacked source archive. Read from git's files without git,
    which may not be installed and refuses folders of another user.
    """
    with suppress(OSError, ValueError):  # no git, or files that are no text
        return _commit_checked_out(root)
    return _commit_in(root / "src/calcreport" / COMMIT_FILE)


def _commit_checked_out(root: Path) -> str:
    git = root / ".git"
    if git.is_file():  # a worktree: the name of its folder
        git = root / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    value = (git / "HEAD").read_text(encoding="utf-8").strip()
    common = git
    with suppress(OSError):
        common = git / (git / "commondir").read_text(encoding="utf-8").strip()
    for _ in range(_MOST_LINKS):
        if not value.startswith("ref:"):
            break
        value = _reference(git, common, value.removeprefix("ref:").strip())
    return value if _COMMIT.fullmatch(value) else ""


def _reference(git: Path, common: Path, name: str) -> str:
    """Value of a reference: a file of its own, or a row among the packed ones; empty without either."""
    for folder in (git, common):
        with suppress(OSError):
            return (folder / name).read_text(encoding="utf-8").strip()
    with suppress(OSError), (common / "packed-refs").open(encoding="utf-8") as rows:
        return next((row.split()[0] for row in rows if row.split()[1:] == [name]), "")
    return ""


def _commit_in(path: Path) -> str:
    with suppress(OSError, ValueError):
        value = path.read_text(encoding="utf-8").strip()
        return value if _COMMIT.fullmatch(value) else ""
    return ""
