"""The wording of the report, by id. Texts come from ``statements.toml``; a site may replace any of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from calcreport.errors import TemplateError
from calcreport.model.typed_mistakes import explain_toml

_FIELD: Final = re.compile(r"\{(\w+)\}")
"""A field to fill in. Nothing but a name: a site's wording cannot reach into objects."""
_CORE_FIELD: Final = re.compile(r"\{([\w.]+)\}")  # a field of a sentence of the core, such as ``{lesion}``


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Wording by dotted id."""

    texts: Mapping[str, str]
    """Text by id, such as ``"limitation.mineral_only"``; fields to fill in stand in braces."""
    of_core: tuple[tuple[re.Pattern[str], tuple[str, ...], str], ...] = ()
    """Sentences of the core that a site words otherwise: how to know one, its fields, the site's words."""

    def say(self, identifier: str, **fields: str | int) -> str:
        """Text of a statement with its fields filled in; a value is never scanned for fields again.

        Raises `TemplateError` ``template.statement`` when the id is unknown or the text asks for a field that does not
        exist.
        """
        try:
            return _FIELD.sub(lambda match: str(fields[match[1]]), self.texts[identifier])
        except KeyError as error:
            known = identifier in self.texts
            what = f"asks for the unknown field {error}" if known else "is missing"
            msg = f"Statement {identifier} {what}; correct statements.toml in the templates folder."
            raise TemplateError(msg, code="template.statement") from error

    def choose(self, family: str, key: str, fallback: str = "") -> str:
        """Text ``family.key``, or `fallback` when the family has no such key."""
        return self.texts.get(f"{family}.{key}", fallback)

    def join(self, words: Sequence[str], last: str = "words_and") -> str:
        """Enumerate in prose, such as ``"a, b and c"``; `last` is the id of the word before the last one."""
        if len(words) < 2:
            return "".join(words)
        return f"{', '.join(words[:-1])} {self.say(last)} {words[-1]}"

    def reword(self, text: str) -> str:
        """Text of the core in the site's words; one that the site does not replace stays as it is."""
        stem = text.removesuffix(".")
        for pattern, fields, own in self.of_core:
            found = pattern.fullmatch(stem)
            if found is not None:
                filled = {name: self._reword_list(found[number + 1]) for number, name in enumerate(fields)}
                parts = _CORE_FIELD.split(own)
                parts[1::2] = [filled.get(name, "") for name in parts[1::2]]
                return "".join(parts) + text[len(stem) :]
        return text

    def _reword_list(self, text: str) -> str:
        """What was filled in: itself a text of the core, or a list of such."""
        whole = self.reword(text)
        return whole if whole != text else "".join(map(self.reword, re.split(r"([,;:] )", text)))


@lru_cache(maxsize=4)
def parse_statements(bundled: str, site: str | None = None, core: str = "") -> Statements:
    """Read the wording shipped with the program; each id in a site's own TOML text replaces the bundled one.

    `core` holds what the core writes in English. Raises `TemplateError` ``template.statements`` when a text is no TOML,
    holds something other than text, or a site's file names an id that does not exist.
    """
    texts = _load(bundled)
    of_core: dict[str, str] = {}
    if site is not None:
        replaced = _load(site)
        english = {name: text for name, text in _load(core).items() if name in replaced}
        of_core = {text: replaced.pop(name).removesuffix(".") for name, text in english.items()}
        unknown = sorted(set(replaced) - set(texts))
        if unknown:
            msg = f"statements.toml of the site names unknown ids: {', '.join(unknown[:5])}; remove or correct them."
            raise TemplateError(msg, code="template.statements")
        texts |= replaced
    return Statements(texts=MappingProxyType(texts), of_core=tuple(_recognisers(of_core)))


def _recognisers(own: Mapping[str, str]) -> Iterator[tuple[re.Pattern[str], tuple[str, ...], str]]:
    """How to know each English sentence, those with the most words of their own first."""
    for english in sorted(own, key=lambda text: len(_CORE_FIELD.sub("", text)), reverse=True):
        parts = _CORE_FIELD.split(english.removesuffix("."))
        literal = "(.+?)".join(map(re.escape, parts[::2]))
        yield re.compile(literal, re.DOTALL), tuple(parts[1::2]), own[english]


def _load(text: str) -> dict[str, str]:
    try:
        return _flatten(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        msg = f"statements.toml is not valid TOML ({explain_toml(error, text)}); correct the file."
        raise TemplateError(msg, code="template.statements") from error


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            texts |= _flatten(value, f"{name}.")
        elif isinstance(value, str):
            texts[name] = value
        else:
            msg = f"statements.toml: {name} must be text; put it in quotation marks."
            raise TemplateError(msg, code="template.statements")
    return texts
