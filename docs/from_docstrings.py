"""Documentation made from docstrings: the drawing of the layers and the page of the Python interface."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "src/calcreport"
BEGIN: Final = "<!-- layers: made by `make docs` from pyproject.toml and the docstrings; do not edit -->"
END: Final = "<!-- end of layers -->"
WIDTH: Final = 84  # characters of the text column of the drawing
NAMES: Final = 15  # characters of its column of module names
HEAD: Final = """# Python interface

Made from the docstrings by `make docs`; do not edit. These are the names that `calcreport` exports; everything else is
internal and may change with any version. How to use them: [python.md](python.md).
"""
SECTION: Final = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)  # heading of a numpydoc section


def layers() -> list[list[str]]:
    """Modules of each layer, highest layer first, as the import contract lists them."""
    return [[name.strip() for name in row.split("|")] for row in _contract("layers")["layers"]]


def core() -> set[str]:
    """Modules that read no files, clock, network or templates, by the import contract."""
    return {name.rpartition(".")[2] for name in _contract("pure-core")["source_modules"]}


def _contract(name: str) -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["id"] == name)


def drawing() -> str:
    """Layers as boxes, one below the other: edge, core and base."""
    pure, rows = core(), layers()
    lowest = max(number for number, row in enumerate(rows) if pure & set(row))
    parts: dict[str, list[str]] = {"edge: files, network, clock": [], "core: pure functions": [], "base": []}
    edge, middle, base = parts.values()
    for number, row in enumerate(rows):
        lines = [f"│ {name:<{NAMES}}{text:<{WIDTH}} │" for module in row for name, text in _cells(module)]
        (base if number > lowest else middle if pure & set(row) else edge).append("\n".join(lines))
    rule = "─" * (NAMES + WIDTH + 2)
    boxes = []
    for title, blocks in parts.items():
        top = f"┌─ {title} {rule[len(title) + 3 :]}┐"
        boxes.append("\n".join([top, f"\n├{rule}┤\n".join(blocks), f"└{rule}┘"]))
    return f"\n{'↓ imports':^{NAMES + WIDTH}}\n".join(boxes)


def _cells(module: str) -> Iterator[tuple[str, str]]:
    """Name and text of a module, line by line; a folder has a slash behind its name."""
    is_folder = (PACKAGE / module).is_dir()
    path = PACKAGE / module / "__init__.py" if is_folder else PACKAGE / f"{module}.py"
    summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
    for number, line in enumerate(textwrap.wrap(summary, WIDTH) or [""]):
        yield ("" if number else f"{module}/" if is_folder else module), line


def with_drawing(page: str) -> str:
    """Page with its drawing of the layers made anew."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n```text\n{drawing()}\n```\n\n{END}{rest.partition(END)[2]}"


def interface(package: ModuleType | None = None) -> str:
    """Text of ``docs/api.md``."""
    package = package or importlib.import_module("calcreport")
    names = [name for name in getattr(package, "__all__", ["__version__"]) if name != "__version__"]
    parts = [HEAD, f"`{package.__name__}.__version__`: version of the software, as every report prints it.\n"]
    return "\n".join([*parts, *(_entry(name, getattr(package, name)) for name in names)]).rstrip() + "\n"


def _entry(name: str, item: Any) -> str:  # noqa: ANN401 - whatever a package exports
    parts = [f"## {name}", f"```python\n{_signature(name, item)}\n```", _prose(inspect.getdoc(item) or "")]
    if inspect.isclass(item):
        parts.append("\n".join(f"- `{field}`: {text}" for field, text in fields(item)))
        for method, function in vars(item).items():
            if not method.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
                parts.append(f"### {name}.{method}\n\n{_prose(inspect.getdoc(function) or '')}")
    return "\n\n".join(filter(None, parts)) + "\n"


def _signature(name: str, item: Any) -> str:  # noqa: ANN401
    if inspect.isclass(item):  # of an exception how it is called; of a record its fields follow
        bases = ", ".join(base.__name__ for base in item.__bases__ if base is not object)
        return f"class {name}({bases})" if bases else f"class {name}"
    arguments = str(inspect.signature(item)).replace("'", "")
    if len(arguments) > WIDTH:
        inner, _, result = arguments[1:].rpartition(")")
        arguments = "(\n    " + re.sub(r", (?=\*|\w+[:=])", ",\n    ", inner) + f",\n){result}"
    return f"def {name}{arguments}"


def _prose(doc: str) -> str:
    """Numpydoc text as Markdown: a bold word a section, a list of its entries."""
    lead, *sections = SECTION.split(doc)
    text = [lead.strip().replace("``", "`")]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        rows = re.findall(r"^(\S.*)\n((?:[ \t]+.*\n?|\n(?=[ \t]))*)", body.strip() + "\n", re.MULTILINE)
        entries = [f"- `{head}`: {' '.join(lines.split())}".rstrip(": ") for head, lines in rows]
        is_list = any(lines.strip() for _, lines in rows)
        content = "\n".join(entries) if is_list else body.strip()
        code = f"```python\n{body.strip()}\n```" if ">>>" in body else ""
        text.append(f"**{title}:**\n\n{code or content.replace('``', '`')}")
    return "\n\n".join(text)


def fields(item: type) -> Iterator[tuple[str, str]]:
    """Fields of a record with their types, and the docstrings below them; none where the class docstring lists them."""
    if not (hasattr(item, "model_fields") or is_dataclass(item)) or "Parameters\n---" in (inspect.getdoc(item) or ""):
        return
    body = ast.parse(textwrap.dedent(inspect.getsource(item))).body[0].body  # type: ignore[attr-defined]
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            text = " ".join(str(after.value.value).split()) if is_text else ""  # type: ignore[union-attr]
            yield ast.unparse(node.target), f"`{ast.unparse(node.annotation)}`. {text}".strip(". ")
