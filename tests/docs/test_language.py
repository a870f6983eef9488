"""Plain language in the packages that were gone through: constants say what they are, words are the usual ones."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/calcreport"
SWEPT = ("text", "compose", "formats", "study", "files", "film", "dicom", "contour", "rules")
"""Packages and modules that are held to this; add one when it was gone through."""

RIDDLES = {
    r"\btold\b": "stated, recorded, described",
    r"\bspoken\b": "printed",
    r"\bthe one that\b": "name the thing",
    r"\blump\b": "mass",
    r"\bwhat became of\b": "outcome",
    r"\bwhat stands behind\b": "evidence",
    r"\bconclude[sd]? anew\b": "renew the conclusions",
    r"\blaid? (?:a review )?over\b": "apply",
    r"\bas the rules took\b": "given to the rules",
    r"\bworrying\b": "severe",
}
"""Words a reader has to guess at, and what to write instead; in docstrings and comments."""

NAMES = {
    "taken": "rule_findings",
    "told": "the content",
    "spoken": "the content",
    "Basis": "ReportEvidence",
    "Wish": "a noun",
    "Tied": "a noun",
}
"""Names of variables, functions and classes that say nothing, and better ones."""

MODULES = [
    path
    for place in SWEPT
    for path in ([SOURCE / place] if place.endswith(".py") else sorted((SOURCE / place).rglob("*.py")))
]


def _undocumented(text: str) -> list[str]:
    """Module constants and aliases without a docstring below, a comment on their line, or one above their block."""
    tree, lines = ast.parse(text), text.splitlines()
    bare, previous_end, in_block = [], 0, False
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if not isinstance(target, ast.Name) or target.id.startswith("__"):
            in_block = False
            continue
        above = lines[node.lineno - 2].startswith("#")
        in_block = above or (in_block and previous_end == node.lineno - 1)
        previous_end = node.end_lineno
        has_docstring = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        has_comment = re.search(r"  # (?!fmt|noqa|type)", lines[node.lineno - 1] + lines[node.end_lineno - 1])
        if not (has_docstring or has_comment or in_block):
            bare.append(target.id)
    return bare


def _prose(text: str) -> Iterator[str]:
    """Docstrings and comments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield " ".join(node.value.value.split())
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def _riddles(text: str) -> list[str]:
    prose = [
        f"{found[0]!r} in {words[:60]!r}; better: {better}"
        for words in _prose(text)
        for riddle, better in RIDDLES.items()
        if (found := re.search(riddle, words, re.IGNORECASE))
    ]
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(ast.parse(text)) if isinstance(node, ast.arg | ast.keyword) and node.arg}
    names |= {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return prose + [f"name {name}; better: {NAMES[name]}" for name in sorted(names & NAMES.keys())]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_every_constant_says_what_it_is(path: Path) -> None:
    assert _undocumented(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_words_and_names_need_no_guessing(path: Path) -> None:
    assert _riddles(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("A: Final = 1\n", ["A"]),
        ('A: Final = 1\n"""Unit."""\n', []),
        ("A: Final = 1  # mm\n", []),
        ("A: Final = 1  # noqa: S105\n", ["A"]),
        ("# Messages.\nA = 1\nB = 2\n\nC = 3\n", ["C"]),
        ("A = (\n    1,\n)  # mm\nB = 2\n", ["B"]),
        ("__all__ = []\n", []),
    ],
)
def test_an_undocumented_constant_is_seen(text: str, bare: list[str]) -> None:
    assert _undocumented(text) == bare


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('"""What is told."""\n', 1),
        ('"""What is\nspoken."""\n', 1),
        ("x = 1  # the one that fits\n", 1),
        ("x = f(taken=1)\n", 1),
        ("class Basis: ...\n", 1),
        ('x = "told"\n', 0),
        ("x = y.is_told\n", 0),
    ],
)
def test_a_riddle_is_seen(text: str, count: int) -> None:
    assert len(_riddles(text)) == count
