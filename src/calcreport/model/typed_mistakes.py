"""Mistakes in what people typed: every one at once, by the name of its field, never with the value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from calcreport.errors import ClinicalError

_MOST_NAMED: Final = 50  # A file with more mistakes is another file; naming the near matches of each would take minutes

Root = TypeVar("Root", bound=BaseModel)  # what is typed into one file
Mistake = tuple[str, str]
"""Kind, the last part of an error code, and the text by field name."""

# Remedy for a laboratory value without unit
_BARE_NUMBER: Final = "give value and unit, as in {value: 2.35, unit: mmol/L}"

_PLAIN_WORDS: Final = dict.fromkeys(
    ("model_type", "model_attributes_type", "dict_type"),
    "must be a section of entries 'name: answer'; is a colon, or the space after it, missing?",
) | {
    "string_type": "must be text; put it in quotes",
    "tuple_type": "must be a list, such as [a, b]",
    "float_type": "must be a number, without quotes or brackets",
    "int_type": "must be a whole number, without quotes or brackets",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false, without quotes",
    "bool_parsing": "must be yes or no",
    "missing": "is missing",
}
"""Messages of validation that speak of programs, by their kind."""

_TOML_REMEDIES: Final = (
    (r"^Cannot overwrite", "given twice; keep one of them"),
    (r"=\s*[-+]?[0-9]+,[0-9]", "write a decimal point, as in 2.5"),
    (r"=\s*[-+]?0[0-9]", "write the number without leading zeros"),
    (r"=\s*(?i:yes|no|true|false|on|off)\b", "write true or false"),
    (r"", "write [table] above its entries, and 'name = value' with numbers bare, text in quotes"),
)
"""Frequent mistakes, by the parser's message and the line, and what to do."""


class TypedMapping(dict[str, Any]):
    """A mapping as typed, which knows the line of each of its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


def without_unknown(data: Any, root: type[BaseModel] | None) -> Any:  # noqa: ANN401 - as read from YAML or JSON
    """Leave out known keys that are empty or ``unknown``, at any depth: missing and unknown mean the same.

    `root` is the record that `data` is to become; ``None`` for a plain value. A key nobody knows stays, empty or not,
    for validation to name; entries of sequences stay.
    """
    if isinstance(data, list):
        return [without_unknown(value, root) for value in data]
    if root is None or not isinstance(data, Mapping):
        return data
    known = _fields(root)
    said = ((key, value) for key, value in data.items() if not (key in known and is_unknown(value)))
    return {key: without_unknown(value, known.get(key)) for key, value in said}


def checked(
    given: Any,  # noqa: ANN401 - as typed, or prepared
    root: type[Root],
    *,
    area: str,
    data: Mapping[str, Any],
    contradictions: Callable[[Root], Iterable[str]] = lambda _: (),
) -> Root:
    """Take over what was typed (`data`), prepared as `given`; raises `ClinicalError` with every mistake at once.

    `contradictions` names what cannot be true together, where each part can.
    """
    mistakes: list[Mistake]
    try:
        record = root.model_validate(given)
        mistakes = [("value", text) for text in contradictions(record)]
        if not mistakes:
            return record
    except ValidationError as error:
        # Never the value typed, and not many more than are named.
        found = error.errors(include_url=False, include_input=False, include_context=False)[: _MOST_NAMED + 1]
        mistakes = [_translate(item["type"], tuple(map(str, item["loc"])), item["msg"], root) for item in found]
    # Raised outside the handler: the cause would carry the values typed into a traceback.
    raise refuse(mistakes, area=area, data=data)


def refuse(mistakes: Iterable[Mistake], *, area: str, data: Any = None) -> ClinicalError:  # noqa: ANN401 - as typed
    """Make the error that lists every mistake, with the code of the one kind there is, ``….invalid`` for several kinds.

    `area` is ``"clinical"``, ``"findings"`` or ``"review"``. Where `data`, what was typed, was read from a file, the
    line of each mistake is named.
    """
    listed = list(dict.fromkeys(mistakes))
    lines: dict[str, int] = {}
    for place, line in _lines(data):
        lines.setdefault(place, line)
    kinds = {kind for kind, _ in listed}
    what = {"clinical": "The clinical input", "findings": "The findings", "review": "The review"}[area]
    shown = [f"  {_line_of(text, lines)}{text}" for _, text in listed[:_MOST_NAMED]]
    more = ["  and more"] if len(listed) > _MOST_NAMED else []
    return ClinicalError(
        "\n".join([f"{what} cannot be used:", *shown, *more]),
        code=f"{area}.{kinds.pop() if len(kinds) == 1 else 'invalid'}",
    )


def _translate(kind: str, where: tuple[str, ...], message: str, root: type[BaseModel]) -> Mistake:
    if kind == "extra_forbidden":
        return "unknown_key", name_unknown_key(where, root)
    if kind == "missing" and where[-1] == "unit":
        return "lab_unit", f"{'.'.join(where[:-1])}: give the unit; a bare number is not used"
    text = in_plain_words(kind, message)
    if where[:1] == ("labs",):
        if "|" in message:
            name, _, text = text.partition("|")
            return name, text
        if kind == "model_type" and len(where) > 1:
            return "lab_unit", f"{'.'.join(where)}: {_BARE_NUMBER}"
    return "value", f"{spell_path(where) or 'input'}: {text}"


def is_unknown(value: Any) -> bool:  # noqa: ANN401
    """Whether a value says nothing: empty, or the word ``unknown``."""
    return value is None or (isinstance(value, str) and value.strip().lower() == "unknown")


def in_plain_words(kind: str, message: str) -> str:
    """Say what validation found in the words of a person who types; never the value."""
    return _PLAIN_WORDS.get(kind) or message.removeprefix("Value error, ").replace("Input should be", "must be", 1)


def explain_toml(error: ValueError | RecursionError, text: str) -> str:
    """Say what is wrong in a text that is not TOML, from the parser's error, and what to do about it."""
    found = re.search(r"at line ([0-9]+)", str(error))
    line = text.splitlines()[int(found.group(1)) - 1 :][:1] if found else text.splitlines()[-1:]
    if not line:
        return str(error)
    remedy = next(remedy for sign, remedy in _TOML_REMEDIES if re.search(sign, f"{error} {line[0]}"))
    keys = re.findall(r"([A-Za-z_][A-Za-z0-9_.-]{0,60})\s*=", line[0])
    return "; ".join((str(error), f"{keys[-1]}: {remedy}" if keys else remedy))


def _lines(data: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:  # noqa: ANN401
    """Places in what was typed, as messages name them, with their lines."""
    if isinstance(data, list):
        for number, entry in enumerate(data):
            if isinstance(entry, TypedMapping) and entry.lines:
                yield spell_path((*where, str(number))), min(entry.lines.values())
            yield from _lines(entry, (*where, str(number)))
    if isinstance(data, TypedMapping):
        for key, line in data.lines.items():
            yield spell_path((*where, key)), line
            yield from _lines(data[key], (*where, key))


def _line_of(text: str, lines: Mapping[str, int]) -> str:
    """``"line 3: "`` for a message that begins with the place of its mistake, or with one inside that place."""
    held = (place for place in lines if place and f"{text}: ".startswith((f"{place}: ", f"{place}.")))
    longest = max(held, key=len, default="")
    return f"line {lines[longest]}: " if longest else ""


_NEAR_MATCHES: Final = 3  # most suggestions for an unknown key
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
    places = [spell_path([*parents, name]).rpartition(": ")[2] for name in near]
    if not near:
        everywhere = {path: path.rpartition(".")[2] for path in _paths(root)}
        close = difflib.get_close_matches(key.lower(), dict.fromkeys(everywhere.values()), n=_NEAR_MATCHES)
        places = [path for name in close for path in everywhere if everywhere[path] == name][:_NEAR_MATCHES]
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


def _fields(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """Known keys of a record, as they are typed, and the record that is typed under each, if it is one."""
    return {field.alias or name: _record_of(field.annotation) for name, field in model.model_fields.items()}


def _record_of(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401
    """Return the record type an annotation holds, ``None`` for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_record_of, getattr(annotation, "__args__", ()))), None)


def _section(parents: Iterable[str], root: type[BaseModel]) -> list[str]:
    """Known keys of the section at a path; the records of a list, whose places are numbers, are at hand already."""
    for part in parents:
        if not (part.isascii() and part.isdigit()):
            inner = _fields(root).get(part)
            if inner is None:
                break
            root = inner
    return list(_fields(root))


def field_paths(model: type[BaseModel]) -> list[str]:
    """Dotted names of the fields below a record that hold a value and no further fields."""
    paths = list(_paths(model))
    return [path for path in paths if not any(other.startswith(f"{path}.") for other in paths)]


def _paths(model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """Dotted names of every field below a record."""
    for name, inner in _fields(model).items():
        yield prefix + name
        if inner is not None:
            yield from _paths(inner, f"{prefix}{name}.")
