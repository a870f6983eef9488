"""Unknown keys in what people typed: named with the known keys nearest to them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel

_NEAR_MATCHES: Final = 3
"""Most suggestions for an unknown key."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_. -]{1,40}|[0-9.]{1,64}")
"""A key that looks like one, a path or a UID may be repeated in a message; anything else may hold a name."""


def name_unknown_key(where: tuple[str, ...], root: type[BaseModel]) -> str:
    """Name an unknown key, the last part of a hostile path from `root`, and the known ones nearest to it.

    Near matches of the key's own section, else of any section, else what the section knows. A number in the path is a
    place in a list, from 0.
    """
    *parents, key = where
    if "." in key and ".".join(part for part in where if not part.isdigit()) in _paths(root):
        return f"{spell_path(where)}: given as a path and in its section; keep one of them"
    section = _section(parents, root)
    near = difflib.get_close_matches(key.lower(), section, n=_NEAR_MATCHES)
    if near:
        places = [spell_path([*parents, name]).rpartition(": ")[2] for name in near]
    else:
        everywhere: dict[str, list[str]] = {}
        for path in _paths(root):
            everywhere.setdefault(path.rpartition(".")[2], []).append(path)
        close = difflib.get_close_matches(key.lower(), everywhere, n=_NEAR_MATCHES)
        places = [path for name in close for path in everywhere[name]][:_NEAR_MATCHES]
    hint = f"did you mean {' or '.join(places)}?" if places else f"known here: {', '.join(section)}"
    return f"{spell_path(where)}: unknown key; {hint}"


def spell_path(where: Iterable[str]) -> str:
    """Path of a field in a reader's words: ``lesion 2: size.ap_mm`` for the second entry of a list of lesions.

    Parts are hostile text and places in lists, from 0; what does not look like a name is not repeated.
    """
    spelt = ""
    for part in where:
        if part.isascii() and part.isdigit() and spelt.endswith("s"):
            spelt = f"{spelt[:-1]} {int(part) + 1}"
            continue
        name = part if _PLAIN_KEY.fullmatch(part) else "(unreadable key)"
        glue = "" if not spelt else ": " if spelt[-1:].isdigit() and " " in spelt.rpartition(": ")[2] else "."
        spelt += glue + name
    return spelt


def section_of(model: type[BaseModel], key: Any) -> tuple[bool, type[BaseModel] | None]:  # noqa: ANN401 - as typed
    """Whether a record knows a key, and the record that is typed under it, if it is one."""
    field = next((field for name, field in model.model_fields.items() if (field.alias or name) == key), None)
    return field is not None, _record_of(field.annotation) if field is not None else None


def _section(parents: Iterable[str], root: type[BaseModel]) -> list[str]:
    """Known keys, as they are typed, of the section at a path."""
    for part in parents:
        if part.isascii() and part.isdigit():  # a place in a list, whose records are already at hand
            continue
        _, inner = section_of(root, part)
        if inner is None:
            break
        root = inner
    return [field.alias or name for name, field in root.model_fields.items()]


def _record_of(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401
    """Return the record type an annotation holds, ``None`` for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _record_of(inner)
        if found is not None:
            return found
    return None


def field_paths(model: type[BaseModel]) -> list[str]:
    """Dotted names of the fields below a record that hold a value and no further fields."""
    paths = list(_paths(model))
    return [path for path in paths if not any(other.startswith(f"{path}.") for other in paths)]


def _paths(model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """Dotted names of every field below a record."""
    for key, field in model.model_fields.items():
        name = field.alias or key
        inner = _record_of(field.annotation)
        yield prefix + name
        if inner is not None:
            yield from _paths(inner, f"{prefix}{name}.")
