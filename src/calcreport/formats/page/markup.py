"""Text that keeps its line breaks on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calcreport.formats.characters import make_visible

if TYPE_CHECKING:
    from markupsafe import Markup


def preformat(text: str) -> Markup:
    """Escape lines of text for a preformatted block; only the line breaks between them stay as they are."""
    from markupsafe import escape  # noqa: PLC0415 - comes with the template engine, which is loaded late

    return escape("\n".join(map(make_visible, text.split("\n"))))


def trusted(text: str) -> Markup:
    """Text of the program itself that stands on the page as it is."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with the template engine, which is loaded late

    return Markup(text)  # noqa: S704 - a constant
