"""Texts that travel with the software: report templates and rule tables.

In a checkout the templates lie in the top-level ``templates/`` folder, where a radiologist finds them; in an installed
wheel they lie inside the package. Rule tables are package data in both cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Final

from calcreport.errors import RuleFileError, TemplateError

_MAX_TEMPLATE_BYTES: Final = 1_000_000
"""A template is a page of text; anything larger is a mistake."""

_TEMPLATE_SUFFIXES: Final = (".j2", ".toml", ".css", ".js")


def template_texts() -> dict[str, str]:
    """Read every built-in template: file name to text.

    Raises `TemplateError` ``template.none_built_in`` or ``template.unreadable``: the installation is damaged.
    """
    texts = _read_folder(_template_folder())
    if not texts:
        msg = "the built-in templates are missing; install calcreport again"
        raise TemplateError(msg, code="template.none_built_in")
    return texts


def site_template_texts(folder: Path) -> dict[str, str]:
    """Read a site's own templates: file name to text.

    Each replaces the built-in one of the same name; new names are added. Raises `TemplateError`
    ``template.folder_missing``, ``template.unreadable``; ``template.unknown_name`` when nothing would be replaced.
    """
    if not folder.is_dir():
        msg = "the folder given with --templates does not exist; name a folder that holds template files"
        raise TemplateError(msg, code="template.folder_missing")
    texts = _read_folder(folder)
    _refuse_misnamed(texts, template_texts())
    return texts


def code_text() -> str:
    """Read the built-in table of codes, TOML."""
    return (files("calcreport") / "formats" / "codes.toml").read_text(encoding="utf-8")


def structure_text() -> str:
    """Read the built-in table of anatomical structures, TOML."""
    return (files("calcreport") / "anatomy" / "structures.toml").read_text(encoding="utf-8")


def rule_texts() -> dict[str, str]:
    """Read every built-in rule table: file name to TOML text, in order of file name."""
    folder = files("calcreport") / "rules" / "tables"
    tables = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return {entry.name: entry.read_text(encoding="utf-8") for entry in tables}


def detection_text(name: str) -> str:
    """Text of a fitted table of the image analysis, by its file name."""
    return (files("calcreport") / "calcification" / "tables" / name).read_text(encoding="utf-8")


def pattern_text(name: str) -> str:
    """Text of a table of patterns, by its file name."""
    return (files("calcreport") / "calcification" / "patterns" / name).read_text(encoding="utf-8")


def site_rule_texts(path: Path) -> dict[str, str]:
    """Read a site's own rules, from a TOML file or a folder of them: file name to TOML text.

    Raises `RuleFileError` ``rules.missing``, ``rules.unreadable``.
    """
    try:
        files_found = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        texts = {file.name: _read_bounded(file) for file in files_found if file.is_file()}
    except (OSError, UnicodeDecodeError, ValueError) as error:
        msg = (
            f"a rule file cannot be read; it must be a readable UTF-8 text file of at most {_MAX_TEMPLATE_BYTES} bytes"
        )
        raise RuleFileError(msg, code="rules.unreadable") from error
    if not texts:
        msg = "there is no rule file at the path given; name a TOML file, or a folder that holds some"
        raise RuleFileError(msg, code="rules.missing")
    return texts


def _read_bounded(path: Path) -> str:
    with path.open("rb") as stream:
        content = stream.read(_MAX_TEMPLATE_BYTES + 1)
    if len(content) > _MAX_TEMPLATE_BYTES:
        msg = "too large"
        raise ValueError(msg)
    return content.decode("utf-8-sig")


def _template_folder() -> Path:
    package = Path(__file__).parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parents[1] / "templates"


def _read_folder(folder: Path) -> dict[str, str]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in _TEMPLATE_SUFFIXES and path.is_file())
        return {path.name: _read_template(path) for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        msg = "a template cannot be read; it must be a readable UTF-8 text file"
        raise TemplateError(msg, code="template.unreadable") from error


def _read_template(path: Path) -> str:
    with path.open("rb") as stream:
        content = stream.read(_MAX_TEMPLATE_BYTES + 1)
    if len(content) > _MAX_TEMPLATE_BYTES:
        msg = f"a template is larger than {_MAX_TEMPLATE_BYTES} bytes; split or shorten it"
        raise TemplateError(msg, code="template.unreadable")
    return content.decode("utf-8")


def _refuse_misnamed(own: Iterable[str], built_in: Iterable[str]) -> None:
    """Refuse a folder in which nothing replaces a built-in template: a misspelt name would silently do nothing."""
    own_names, known = sorted(own), sorted(built_in)
    if set(own_names) & set(known):
        return
    near = sorted({match for name in own_names for match in get_close_matches(name, known, n=1)})
    hint = f"did you mean {', '.join(near)}?" if near else f"known names: {', '.join(known)}"
    msg = f"no file in the folder given with --templates replaces a built-in template; {hint}"
    raise TemplateError(msg, code="template.unknown_name")
