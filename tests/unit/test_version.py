"""The commit a report names: read from git's own files, or carried by what was installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from calcreport import __version__, version
from calcreport.version import commit_of

COMMIT = "25413b9" + "0" * 33
OTHER = "f" * 40
PACKED = (
    f"# pack-refs with: peeled fully-peeled sorted\n{OTHER} refs/heads/main-2\n{COMMIT} refs/heads/main\n^{OTHER}\n"
)
LINK = "ref: refs/heads/main"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": f"{COMMIT}\n"}, COMMIT),
        ({".git/HEAD": f"{COMMIT}\n"}, COMMIT),  # no branch, as in most CI
        ({".git/HEAD": "a" * 64}, "a" * 64),  # SHA-256
        ({".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": PACKED}, COMMIT),
        (  # newer than the packed one
            {".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/main": COMMIT, ".git/packed-refs": PACKED[:-1]},
            COMMIT,
        ),
        (  # a worktree
            {
                ".git": "gitdir: main.git/worktrees/d\n",
                "main.git/worktrees/d/HEAD": "ref: refs/heads/x-d\n",
                "main.git/worktrees/d/commondir": "../..\n",
                "main.git/refs/heads/x-d": f"{COMMIT}\n",
            },
            COMMIT,
        ),
        (
            {
                ".git": "gitdir: main.git/worktrees/d\n",
                "main.git/worktrees/d/HEAD": "ref: refs/heads/main\n",
                "main.git/worktrees/d/commondir": "../..\n",
                "main.git/packed-refs": PACKED,
            },
            COMMIT,
        ),
        ({".git/HEAD": "ref: refs/heads/a", ".git/refs/heads/a": LINK, ".git/refs/heads/main": COMMIT}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/a", ".git/refs/heads/a": "ref: refs/heads/a"}, ""),  # a circle
        ({".git/HEAD": "ref: refs/heads/main\n"}, ""),  # before the first commit
        ({".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": "\n\n"}, ""),
        ({".git": "gitdir: /nowhere/at/all\n"}, ""),  # a copy of a worktree, as in a container
        ({".git/HEAD": "<script>"}, ""),
        ({".git/refs/x": ""}, ""),
        ({}, ""),
        ({"src/calcreport/_commit": f"{COMMIT}\n"}, COMMIT),  # a source archive
        ({"src/calcreport/_commit": "\n"}, ""),
        ({".git/HEAD": COMMIT, "src/calcreport/_commit": OTHER}, COMMIT),
    ],
)  # fmt: skip
def test_the_commit_of_a_source_folder(files: dict[str, str], expected: str, tmp_path: Path) -> None:
    assert commit_of(write(tmp_path, files)) == expected


def test_bytes_that_are_no_text_are_no_commit(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_bytes(b"\xff\xfe\x00")
    assert commit_of(tmp_path) == ""


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_git_says_the_same(tmp_path: Path) -> None:
    def git(*words: str, where: Path = tmp_path) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        done = subprocess.run(["git", *who, *words], cwd=where, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert commit_of(tmp_path) == git("rev-parse", "HEAD")
    git("pack-refs", "--all")
    assert commit_of(tmp_path) == git("rev-parse", "HEAD")
    git("worktree", "add", "-q", "-b", "a/b", "tree")
    git("commit", "-q", "--allow-empty", "-m", "second", where=tmp_path / "tree")
    assert commit_of(tmp_path / "tree") == git("rev-parse", "HEAD", where=tmp_path / "tree") != commit_of(tmp_path)


@pytest.mark.parametrize(
    ("folder", "carried", "expected"),
    [
        ("site-packages", f"{COMMIT}\n", f"{__version__}+g25413b9"),
        ("site-packages", None, __version__),
        ("src", f"{COMMIT}\n", f"{__version__}+g25413b9"),
        ("src", None, __version__),
    ],
)
def test_an_installed_package_carries_its_commit(
    folder: str, carried: str | None, expected: str, tmp_path: Path
) -> None:
    """Also inside a checkout of something else, such as an environment in a project's folder."""
    package = tmp_path / "lib" / folder / "calcreport"
    package.mkdir(parents=True)
    for name in ("__init__.py", "version.py"):
        shutil.copy(Path(version.__file__).parent / name, package)
    write(tmp_path, {".git/HEAD": OTHER})
    if folder != "src":
        write(package.parents[1], {".git/HEAD": OTHER})
    if carried:
        write(package, {"_commit": carried})
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r}); from calcreport import version as v"
    words = [sys.executable, "-I", "-c", f"{code}; print(v.software_version())"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
