"""The wording of the report, by id. Texts come from ``statements.toml``; a site may replace any of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from calcreport.errors import TemplateError
from calcreport.model.typed_mistakes import explain_toml

_FIELD: Final = re.compile(r"\{(\w+)\}")
"""A field to fill in. Nothing but a name: a site's wording cannot reach into objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Wording by dotted id."""

    texts: Mapping[str, str]
    """Text by id, such as ``"limitation.mineral_only"``; fields to fill in stand in braces."""

    def __contains__(self, identifier: str) -> bool:
        """Whether there is a text with this id."""
        return identifier in self.texts

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


def parse_statements(bundled: str, site: str | None = None) -> Statements:
    """Read the wording shipped with the program; each id in a site's own TOML text replaces the bundled one.

    Raises `TemplateError` ``template.statements`` when a text is not TOML, holds something other than text, or a site's
    file names an id that does not exist.
    """
    texts = _flatten(_load(bundled))
    if site is not None:
        replaced = _flatten(_load(site))
        unknown = sorted(set(replaced) - set(texts))
        if unknown:
            msg = f"statements.toml of the site names unknown ids: {', '.join(unknown[:5])}; remove or correct them."
            raise TemplateError(msg, code="template.statements")
        texts |= replaced
    return Statements(texts=MappingProxyType(texts))


def _load(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
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
