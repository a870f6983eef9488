"""Text a person typed, YAML or JSON, to plain values: nothing clever, nothing explosive, nothing silently lost.

The parser only takes the text apart. Numbers and dates stay the text they are, to be read by the rules of their fields
(`calcreport.model.answers`): YAML 1.1 would read 046 as 38, 1:30 as 90 and 1_000 as 1000.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, Final, Literal, NoReturn

import yaml

from calcreport.errors import ClinicalError
from calcreport.model.typed_mistakes import Mistake, TypedMapping, refuse, spell_path

MAX_CHARACTERS: Final = 200_000  # a file typed by hand is a page; a larger one is the wrong file
_DEEPEST: Final = 20  # no typed file has more than six levels; nesting without end is an attack
_MISSING_BLANK: Final = re.compile(r"^([ \t]*[A-Za-z_]+):(?=[{\[])", re.MULTILINE)  # of ``labs:{...}``
_INNER_BLANKS: Final = re.compile(r"(?<=\S)[ \t\xa0]+")
"""Blanks behind a word: a tab or a no-break space among them is copied from a table or a web page."""
_JSON_ONLY: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufffe\uffff]")  # JSON may hold these, YAML not
_WORDS: Final = {"yes": True, "true": True, "no": False, "false": False, "": None, "~": None, "null": None}
"""Answers in any case; quoted they are text."""
_NUMBER: Final = re.compile(r"[-+]?[0-9]+")  # digits of a number, with its sign
_COLON_AHEAD: Final = re.compile(r"\s*:")  # a colon, after blanks at most
# An entry with an answer and no colon.
_ANSWERED: Final = re.compile(r"([A-Za-z_]+)[ ]+(yes|no|unknown)", re.IGNORECASE)
# Messages: what is wrong and what to write instead.
_REMEDY: Final = "Write sections such as '{section}:' with one 'name: answer' a line, each name once, without & and *."
_GENERAL: Final = "not YAML or JSON"
_COLON: Final = "two colons on one line, or a colon and space are missing above; put text that holds a colon in quotes"
_CUT: Final = "a comma cuts the number in two; within brackets write a decimal point, as in 2.5"
_BLOCK: Final = "text that begins with > or | must stand in quotes (a number cannot have such a sign)"

# What the parser says of a mistake, and what the person who typed can do about it.
_PLAIN_WORDS: Final = (
    (r"'\\t'", "a tab stands before the text; indent with spaces"),
    (r"end of stream", "a quotation mark is opened here and never closed"),
    (r"node content.*'<stream end>'", "a bracket opened above is never closed"),
    (r"'<stream end>'", "the bracket opened here is never closed"),
    (r"'[}\]]', but got", "a comma between two entries, or a closing bracket, is missing"),
    (r"mapping values", _COLON),
    (r"expected ':'", "a colon is missing; write 'name: answer'"),
    (r"<block end>|sequence entries", "indented unlike the lines it belongs to, or a stray bracket, quote or dash"),
    (r"block scalar|chomping", _BLOCK),
    (r"escape", r"within double quotes write \\ for \, or use single quotes"),
    (r"alphabetic or numeric", "references: & and * are not used; put text that begins with them in quotes"),
    (r"cannot start", "text that begins with such a sign must stand in quotes"),
    (r"not allowed", "a sign that is no text; save the file as plain UTF-8 text"),
)


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, words: str, line: int) -> None:
        super().__init__(words)
        self.words, self.line = words, line


class _Reader:
    """Reads one text; notes mistakes that leave the rest readable, so that all of them can be named at once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.mistakes: list[Mistake] = []

    def read(self) -> Any:  # noqa: ANN401 - plain values of any kind
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), ())
        next(self._events)  # the document ends
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            _give_up("a second document begins (---); one file holds one", event)
        return value

    def _value(self, event: yaml.Event, where: tuple[str, ...]) -> Any:  # noqa: ANN401
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) or event.anchor is not None:
            _give_up("references: & and * are not used; put text that begins with them in quotes", event)
        if event.tag is not None:
            _give_up("types: ! is not used; put text that begins with it in quotes", event)
        if len(where) > _DEEPEST:
            _give_up("nested too deeply", event)
        if isinstance(event, yaml.ScalarEvent):
            text = _paired(event.value)
            if event.style in {"|", ">"} and not text:  # ">5" begins a block of text indented by five, and holds none
                _give_up(_BLOCK, event)
            return _WORDS.get(text.lower(), text) if event.implicit[0] else text
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(where, is_flow=bool(event.flow_style))
        entries: list[Any] = []
        while not isinstance(entry := next(self._events), yaml.SequenceEndEvent):
            entries.append(self._value(entry, (*where, str(len(entries)))))
        return entries

    def _mapping(self, where: tuple[str, ...], *, is_flow: bool) -> TypedMapping:
        found = TypedMapping()
        before: yaml.ScalarEvent | None = None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                _give_up("the name of an entry must be a word", event)
            self._value(event, where)
            key, line, value = _paired(event.value), _line(event), next(self._events)
            if is_flow and key[:1].isdigit() and before is not None and _NUMBER.fullmatch(before.value):
                self.mistakes.append(("value", f"{spell_path((*where, next(reversed(found))))}: {_CUT}"))
            elif self._is_bare(event, value):
                self.mistakes.append(_bare(key, where, after=next(reversed(found), None)))
            elif key in found:
                fault = f"repeated key, also on line {line}; keep one of them"
                self.mistakes.append(("not_yaml", f"{spell_path((*where, key))}: {fault}"))
            found.lines.setdefault(key, line)
            found[key] = self._value(value, (*where, key))
            before = value if isinstance(value, yaml.ScalarEvent) else None
        return found

    def _is_bare(self, key: yaml.ScalarEvent, value: yaml.Event) -> bool:
        """Whether a key stands alone, without even a colon: ``{sarcoma yes}``."""
        is_empty = isinstance(value, yaml.ScalarEvent) and not value.value and value.implicit[0]
        return is_empty and not _COLON_AHEAD.match(self._text, key.end_mark.index if key.end_mark else 0)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _give_up(words: str, event: yaml.Event) -> NoReturn:
    raise _Unreadable(words, _line(event))


def _bare(key: str, where: tuple[str, ...], *, after: str | None) -> Mistake:
    """Name an entry without a colon; it may be any text, such as a name behind a comma, and is not repeated."""
    if answered := _ANSWERED.fullmatch(key):
        return (
            "unknown_key",
            f"{spell_path((*where, key))}: unknown key; did you mean '{': '.join(answered.groups())}'?",
        )
    place = spell_path(where if after is None else (*where, after)) or "file"
    entry = "the first entry" if after is None else "the entry after it"
    fault = "has no space after its colon" if ":" in key else "has no colon and no answer"
    return "value", f"{place}: {entry} {fault}; write 'name: answer', and put text that holds a comma in quotes"


def _paired(text: str) -> str:
    """Join what JSON writes as two escapes and YAML reads as two halves of a character; a lone half is lost."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _prepared(text: str) -> str:
    """Take out what the parser refuses and nobody sees: tabs of JSON, tabs behind words."""
    with contextlib.suppress(ValueError, RecursionError):  # YAML may be written with brackets too
        if text.lstrip()[:1] in {"{", "["} and json.loads(text) is not None:
            return _JSON_ONLY.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text.replace("\t", " "))
    return _INNER_BLANKS.sub(lambda run: " " * len(run[0]), _MISSING_BLANK.sub(r"\1: ", text))


def _explain(error: yaml.YAMLError, text: str) -> _Unreadable:
    """Say in plain words what the parser stumbled over, and on which line."""
    problem = " ".join(str(part) for part in (getattr(error, "context", ""), getattr(error, "problem", error)) if part)
    words = next((words for sign, words in _PLAIN_WORDS if re.search(sign, problem)), _GENERAL)
    mark, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    mark = opened if opened is not None and "opened here" in words else mark
    if mark is None:
        return _Unreadable(words, text.count("\n", 0, getattr(error, "position", 0)) + 1)
    line, lines = mark.line, text.splitlines()
    above = next((number for number in range(min(line, len(lines)) - 1, -1, -1) if lines[number].strip()), None)
    if words is _COLON and above is not None:
        if ":" not in lines[above]:
            return _Unreadable("a colon is missing; write 'name: answer'", above + 1)
        if re.match(r"\s*[A-Za-z_]+:\S", lines[above]):
            return _Unreadable("a space is missing after the colon; write 'name: answer'", above + 1)
        if re.split(r"\S", lines[above])[0] < re.split(r"\S", lines[line])[0] and lines[above].rstrip()[-1] != ":":
            return _Unreadable("indented further than the line above, which already has its answer", line + 1)
    return _Unreadable(words, min(line + 1, len(lines)))


def values_from_text(text: str, *, area: Literal["clinical", "findings", "review"]) -> Any:  # noqa: ANN401 - plain values of any kind
    """Read plain values from YAML 1.2 or JSON (which is YAML); `area` names the file in messages and codes.

    Mappings know the lines of their keys. Answers are true and false, ``None`` stands for what is empty, also for empty
    text, and everything else is text.

    Raises `ClinicalError` ``….not_yaml`` when the text is neither YAML nor JSON, too long, repeats a key or uses
    references; ``….value`` or ``….unknown_key`` for an entry without a colon and a number cut by a decimal comma. What
    was typed is not repeated.
    """
    if len(text) > MAX_CHARACTERS:
        msg = f"The {area} file is longer than {MAX_CHARACTERS} characters: not a {area} file."
        raise ClinicalError(msg, code=f"{area}.not_yaml")
    text = _prepared(text)
    values = None
    try:
        reader = _Reader(text)
        values = reader.read()
        problem = refuse(reader.mistakes, area=area, data=values) if reader.mistakes else None
    except (yaml.YAMLError, _Unreadable) as error:
        found = error if isinstance(error, _Unreadable) else _explain(error, text)
        remedy = _REMEDY.format(section={"clinical": "symptoms", "findings": "size", "review": "L1"}[area])
        msg = f"The {area} file cannot be read: line {found.line}: {found.words}."
        msg += f" {remedy}" if found.words is _GENERAL else ""
        problem = ClinicalError(msg, code=f"{area}.not_yaml")
    # Raised outside the handler: the parser's message quotes the text.
    if problem is not None:
        raise problem
    return values
