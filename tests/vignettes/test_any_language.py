"""A site's complete wording in a language of its own: no English word is left in text and page.

The language is made up: every word of every statement is marked, so that a word without the mark was not said through
``statements.toml``. What people typed, sources, units, names of studies and of the program are in nobody's language.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calcreport.formats import Templates, load_templates
from calcreport.formats.page import as_html
from calcreport.formats.text.as_text import render_full, write_section
from calcreport.resources import template_texts

sys.path.append(str(Path(__file__).parent))

from test_vignettes import ROWS, report_on

FIELD = re.compile(r"(\{[\w.]+\})")
WORD = re.compile(r"(?<![\w./-])[A-Za-z]{3,}(?![\w/])")
MARK = "zq"
NO_LANGUAGE = {"calcreport", "mmol", "pmol", "umol", "min", "Draft"}
SAID_BY_NOBODY = re.compile(
    r'(?s)<(style|script|title).*?</\1>|<details class="screen">.*?</details>|<footer.*?</footer>'
)
"""Of the page: what is no text, and the names and values of features as report.json has them."""
SOURCES = re.compile(
    rf"(?m)^\s*(?:{MARK}\w+: )?.*(?:article|background|this project):.*$|^.*(?:\d{{4}};|\b20[012]\d\b).*$"
)


def _marked(text: str) -> str:
    parts = FIELD.split(text)
    return "".join(
        part if FIELD.fullmatch(part) else re.sub(r"[A-Za-z]{2,}", lambda word: MARK + word[0].lower(), part)
        for part in parts
    )


def _lines(tree: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[str]:
    for key, value in tree.items():
        path = (*above, key)
        if isinstance(value, dict):
            yield from _lines(value, path)
        else:
            yield f"{'.'.join(map(json.dumps, path))} = {json.dumps(_marked(value))}"


@pytest.fixture(scope="module")
def marked() -> Templates:
    texts = template_texts()
    site = [line for name in ("statements.toml", "core.toml") for line in _lines(tomllib.loads(texts[name]))]
    return load_templates(texts, {"statements.toml": "\n".join(site)})


def _typed_words(value: Any) -> set[str]:
    """Words that a person typed: regions and the like."""
    if isinstance(value, dict | list):
        return set().union(*map(_typed_words, value.values() if isinstance(value, dict) else value))
    return set(re.findall(r"[A-Za-z]+", value)) if isinstance(value, str) else set()


@pytest.mark.parametrize("row", ROWS[::3], ids=lambda row: row["name"])
def test_no_english_word_is_left(row: dict[str, Any], marked: Templates) -> None:
    report = report_on(row, marked.statements)
    page = SAID_BY_NOBODY.sub("\n", as_html.render(report, marked, {}).decode())
    allowed = NO_LANGUAGE | _typed_words(row["lesions"]) | _typed_words(row["clinical"])
    for text in (
        write_section(report, marked),
        render_full(report, marked, {}).decode(),
        re.sub(r"<[^>]+>", "\n", page),
    ):
        left = {word for word in WORD.findall(SOURCES.sub("", text)) if not word.lower().startswith(MARK)} - allowed
        assert not left, left
