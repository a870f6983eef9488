"""Templates as text, and the safe environments they are rendered in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from calcreport.errors import TemplateError
from calcreport.formats.characters import make_visible, to_ascii
from calcreport.text.statements import Statements, parse_statements

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment
    from markupsafe import Markup


STATEMENTS_FILE: Final = "statements.toml"  # the wording
CORE_FILE: Final = "core.toml"  # What rule tables and image analysis write; made by docs/generate.py
# Filters and methods whose result can be far longer than what they are given.
_GROWING_FILTERS: Final = ("center", "format", "indent")
_GROWING_METHODS: Final = frozenset(("center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """Layouts of the report by file name, and its wording."""

    texts: Mapping[str, str]
    statements: Statements


def load_templates(built_in: Mapping[str, str], site: Mapping[str, str] | None = None) -> Templates:
    """Take over template texts by file name; each of a site's replaces the built-in file of its name.

    A site's ``statements.toml`` need only hold the sentences to change. Raises `TemplateError` ``template.statements``
    when the wording cannot be read.
    """
    own = dict(site or {})
    return Templates(
        texts=MappingProxyType({**built_in, **own}),
        statements=parse_statements(
            built_in.get(STATEMENTS_FILE, ""), own.get(STATEMENTS_FILE), built_in.get(CORE_FILE, "")
        ),
    )


def render_template(templates: Templates, name: str, *, is_html: bool, **fields: Any) -> str:  # noqa: ANN401
    """Render the template of a file name with the fields it may use.

    With `is_html` every value is escaped for HTML; otherwise every value is transliterated to one line of ASCII. Raises
    `TemplateError` ``template.missing``, ``template.syntax`` or ``template.failed``, with the line where known.
    """
    import jinja2  # noqa: PLC0415 - start-up must not wait for it

    environment = _environment(tuple(templates.texts.items()), is_html)
    try:
        return environment.get_template(name).render(statements=templates.statements, **fields)
    except jinja2.TemplateSyntaxError as error:
        msg = f"{error.name or name}, line {error.lineno}: {error.message}; correct the template."
        raise TemplateError(msg, code="template.syntax") from error
    except jinja2.TemplateNotFound as error:
        msg = f"The template {error.name} does not exist; restore it in the templates folder."
        raise TemplateError(msg, code="template.missing") from error
    except RecursionError as error:
        msg = f"{name} includes itself or is nested too deeply; correct the template."
        raise TemplateError(msg, code="template.failed") from error
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        # the text of such an error may quote a value, so only its kind and an unknown name are repeated
        reason = error.message if isinstance(error, jinja2.UndefinedError) else type(error).__name__
        msg = f"{name} cannot be rendered ({reason}); correct the template."
        raise TemplateError(msg, code="template.failed") from error


def compile_template(templates: Templates, name: str, *, is_html: bool) -> None:
    """Compile a template ahead of its use; what is wrong with it is reported when it is rendered."""
    import jinja2  # noqa: PLC0415 - start-up must not wait for it

    with suppress(jinja2.TemplateError, RecursionError):
        _environment(tuple(templates.texts.items()), is_html).get_template(name)


def preformat(text: str) -> Markup:
    """Escape lines of text for a preformatted block; only the line breaks between them stay as they are."""
    from markupsafe import escape  # noqa: PLC0415 - comes with the template engine, which is loaded late

    return escape("\n".join(map(make_visible, text.split("\n"))))


def trusted(text: str) -> Markup:
    """Text of the program itself that stands on the page as it is."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with the template engine, which is loaded late

    return Markup(text)  # noqa: S704 - a constant


def inline_script(script: str) -> dict[str, Any]:
    """Fields of a page that runs no script but one of the program: the script, and its hash for the policy."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"script": trusted(script), "script_hash": f"sha256-{digest}"}


@lru_cache(maxsize=4)
def _environment(texts: tuple[tuple[str, str], ...], is_html: bool) -> SandboxedEnvironment:  # noqa: FBT001 - cached
    """Build an environment that reads no file, knows no undefined name and keeps a site's template in its box.

    No expression makes much of little: a mistyped width must not exhaust memory.
    """
    from jinja2 import DictLoader, StrictUndefined  # noqa: PLC0415 - start-up must not wait for it
    from jinja2.exceptions import SecurityError  # noqa: PLC0415
    from jinja2.runtime import Context  # noqa: PLC0415
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    class Sandbox(SandboxedEnvironment):
        intercepted_binops = frozenset(("*", "**", "%"))

        def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
            numbers = isinstance(left, int | float) and isinstance(right, int | float)
            if operator == "**" or not numbers:
                msg = f"the operator {operator} is not available here"
                raise SecurityError(msg)
            return super().call_binop(context, operator, left, right)

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401
            return attr not in _GROWING_METHODS and super().is_safe_attribute(obj, attr, value)

    environment = Sandbox(
        loader=DictLoader(dict(texts)),
        undefined=StrictUndefined,
        autoescape=is_html,
        finalize=_show_in_html if is_html else lambda value: to_ascii("" if value is None else str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.clear()  # no range() to exhaust memory, no lipsum()
    for name in _GROWING_FILTERS:
        del environment.filters[name]
    return environment


def _show_in_html(value: Any) -> Any:  # noqa: ANN401 - whatever a template prints
    if hasattr(value, "__html__"):
        return value
    return make_visible("" if value is None else str(value))
