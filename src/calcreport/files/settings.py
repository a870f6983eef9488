"""A site's settings file: TOML text in, checked `Settings` out, every mistake named at once."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from calcreport.errors import SettingsError
from calcreport.model.typed_mistakes import explain_toml, in_plain_words
from calcreport.settings import Settings

Block = TypeVar("Block", bound=BaseModel)  # a settings model


def settings_from_text(text: str) -> Settings:
    """Read settings: the defaults, overlaid with those of a TOML text; ``[service]`` is not looked at.

    Raises `SettingsError` ``settings.syntax``, ``settings.unknown_key`` (naming near matches) or
    ``settings.invalid_value``; the message lists every mistake of that kind.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: a number of thousands of digits
        msg = f"the settings file is not valid TOML: {explain_toml(error, text)}"
        raise SettingsError(msg, code="settings.syntax") from error
    return settings_from_tables(values, text=text)


def settings_from_tables(values: Mapping[str, Any], *, text: str = "") -> Settings:
    """Check settings that are plain tables, as `settings_from_text` does; `text` is where they stand, for messages."""
    # The receiving service reads its own table; one file is enough for both.
    settings = checked_tables({name: table for name, table in values.items() if name != "service"}, Settings, text=text)
    refuse_contradictions(settings)
    return settings


def checked_tables(values: Mapping[str, Any], model: type[Block], *, prefix: str = "", text: str = "") -> Block:
    """Check tables and values read from TOML against a model.

    `prefix` goes before the names in messages; `text` is the TOML, to name the lines of mistakes. Raises
    `SettingsError` ``settings.unknown_key`` or ``settings.invalid_value``, as for `settings_from_text`.
    """
    lines = dict(_lines(text))
    unknown = [f"{_line_of(name, lines)}{words}" for name, words in _unknown_keys(values, model, prefix)]
    if unknown:
        raise SettingsError("; ".join(unknown), code="settings.unknown_key")
    wrong = [f"{_line_of(name, lines)}{name}: must be a finite number" for name in _not_finite(values, prefix)]
    if wrong:
        raise SettingsError("; ".join(wrong), code="settings.invalid_value")
    try:
        # By way of JSON, where a list may stand for a tuple though nothing else is converted.
        return model.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            name = f"{prefix}{'.'.join(map(str, item['loc']))}"
            wrong.append(f"{_line_of(name, lines)}{name}: {in_plain_words(item['type'], item['msg'])}")
        raise SettingsError("; ".join(wrong), code="settings.invalid_value") from error


def refuse_contradictions(settings: Settings) -> None:
    """Refuse values that are each allowed but make no sense together, and mistaken tables of patterns.

    Raises `SettingsError` ``settings.invalid_value``, `RuleFileError` ``rules.invalid_patterns``.
    """
    from calcreport.calcification.patterns.pattern import pattern_table  # noqa: PLC0415 - not for the service's

    detection, policy = settings.detection, settings.policy
    pattern_table(detection.patterns)
    pairs = (
        ("detection.seed_hu", detection.seed_hu, "detection.grow_hu", detection.grow_hu),
        ("detection.seed_none_hu", detection.seed_none_hu, "detection.grow_none_hu", detection.grow_none_hu),
        ("policy.size_limit_mm", policy.size_limit_mm, "policy.size_possible_mm", policy.size_possible_mm),
    )
    wrong = [
        f"{upper} ({high:g}) must be at least {lower} ({low:g})"
        for upper, high, lower, low in pairs
        if high is not None and low is not None and high < low
    ]
    if wrong:
        raise SettingsError("; ".join(wrong), code="settings.invalid_value")


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Dotted names of the tables and keys of a TOML text, with their lines."""
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
            table = f"{header.group(1)}."
            yield header.group(1), number
        elif key := re.match(r"\s*[\"']?([A-Za-z0-9_.-]+)[\"']?\s*=", line):
            yield f"{table}{key.group(1)}", number


def _line_of(name: str, lines: Mapping[str, int]) -> str:
    while name and name not in lines:
        name = name.rpartition(".")[0]
    return f"line {lines[name]}: " if name else ""


def _unknown_keys(values: Mapping[str, Any], model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        field = model.model_fields.get(key)
        if field is None:
            near = get_close_matches(key, model.model_fields, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(model.model_fields)}"
            yield name, f"unknown key {name!r}; {hint}"
        elif isinstance(value, Mapping) and isinstance(kind := field.annotation, type) and issubclass(kind, BaseModel):
            yield from _unknown_keys(value, kind, f"{name}.")


def _not_finite(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _not_finite(value, f"{prefix}{key}.")
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{prefix}{key}"
