"""Sentences that the core writes itself, collected from rule tables and code: ``templates/core.toml``.

A site's ``statements.toml`` replaces them by id, as it does with those of the built-in one, so that a report can be had
in any language. A literal of the code counts where it reads like words; what an error says does not.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1] / "src/calcreport"
PACKAGES: Final = ("anatomy", "calcification", "compose", "contour", "dicom", "film", "model", "rules", "study", "text")
NEVER_SAID: Final = {
    "rules/facts.py", "rules/evaluation.py", "rules/condition_words.py", "rules/ruleset.py", "rules/rule_rows.py",
    "rules/conditions.py", "model/typed_mistakes.py",
    "model/typed_review.py", "model/near_keys.py", "model/answers.py", "study/folder.py", "dicom/codes.py",
}  # fmt: skip
"""Modules whose words are for those who write rules and files, not for the report."""
SINGLE: Final = (
    "size", "growth", "history", "raised", "normal", "muscle", "tendon", "bursa", "joint", "vessel", "node", "skin",
    "fat", "nerve", "organ", "subcutaneous", "cutaneous", "trauma", "gout", "arthritis", "within", "outside", "mineral",
    "{0} days", "{0} mm/month", "{0} years", "{0} months", "{0} month", "{0} days {1}", "{0} months {1}",
    "range of motion", "not specified", "calcium (adjusted)", "phosphate", "PTH", "ALP",
    "creatinine/eGFR (renal function)",
)  # fmt: skip
"""Words of facts and flags that are filled into a sentence."""
WORDS: Final = re.compile(r"[a-z]{2,}[,:;]? [a-zA-Z({]|[({} ][a-z]{3,}[ ,.;:)]")
HEAD: Final = """# Sentences of the rule tables and of the image analysis, collected by `make docs`; do not edit.
# A site's own statements.toml may replace any of them by id; {0} or {size.longest_mm} stands for what is filled in.
"""


def page() -> str:
    """TOML of all sentences: those of the rule tables by row, those of the code by module."""
    lines = [HEAD]
    for table, rows in _rule_rows().items():
        lines.append(f"[core.{table}]")
        lines += [f"{json.dumps(name)} = {json.dumps(text, ensure_ascii=False)}" for name, text in rows.items()]
    for name, found in (_spoken() | {"word": {word: word for word in SINGLE}}).items():
        lines.append(f"[core.{name}]")
        lines += [f"{json.dumps(key)} = {json.dumps(text, ensure_ascii=False)}" for key, text in found.items()]
    return "\n".join(lines) + "\n"


def _rule_rows() -> dict[str, dict[str, str]]:
    """Texts by table and row; a remark of a row by its number."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((ROOT / "rules/tables").glob("*.toml")):
        for table, rows in tomllib.loads(path.read_text(encoding="utf-8")).items():
            for row in rows if isinstance(rows, list) else ():
                texts = found.setdefault(table, {})
                texts |= {f"{row['id']}.{key}": row[key] for key in ("text", "label", "same_day_contact") if key in row}
                remarks = [*row.get("because", ()), *row.get("notes", ())]
                for number, remark in enumerate(remarks, start=1):
                    texts[f"{row['id']}.{number}"] = remark if isinstance(remark, str) else remark["text"]
    return {table: rows for table, rows in found.items() if rows}


def _spoken() -> dict[str, dict[str, str]]:
    """Literals of the code that read like words, by package."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name in NEVER_SAID:
            continue
        texts = found.setdefault(name.partition("/")[0], {})
        for text in _literals(ast.parse(path.read_text(encoding="utf-8"))):
            if text not in texts.values() and WORDS.search(text) and not text.startswith(("<", "^", "%")):
                texts[_key(text, texts)] = text
    return found


def _key(text: str, taken: dict[str, Any]) -> str:
    key = "_".join(re.findall(r"[a-z0-9]+", text.lower())[:6])
    return next(name for name in (key, *(f"{key}_{number}" for number in range(2, 99))) if name not in taken)


def _literals(node: ast.AST) -> Iterator[str]:
    """Literals of a tree, those of f-strings with numbered fields; no documentation, and nothing an error says."""
    if _is_not_said(node):
        return
    if isinstance(node, ast.JoinedStr):
        numbers = iter(range(99))
        parts = [p.value if isinstance(p, ast.Constant) else f"{{{next(numbers)}}}" for p in node.values]
        yield "".join(map(str, parts))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node) if not isinstance(node, ast.Constant) else ():
        if not isinstance(node, ast.JoinedStr) or not isinstance(child, ast.Constant):
            yield from _literals(child)


def _is_not_said(node: ast.AST) -> bool:
    """Whether a statement is an error, a documentation string or a call that writes no sentence."""
    match node:
        case ast.Raise() | ast.Expr(value=ast.Constant()) | ast.Assign(targets=[ast.Name(id="msg")]):
            return True
        case ast.Call():
            return ast.unparse(node.func).startswith(
                ("re.", "event", "log.", "len", "refuse", "grid.refuse", "statements.")
            )
    return False
