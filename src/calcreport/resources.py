"""Texts that travel with the software: report templates and rule tables.

In a checkout the templates lie in the top-level ``templates/`` folder, where a radiologist finds them; in an installed
wheel they lie inside the package. Rule tables are package data in both cases.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Final

from calcreport.errors import RuleFileError, TemplateError

_MAX_BYTES: Final = 1_000_000  # a template or table of rules is a page of text; anything larger is a mistake
_TEMPLATE_SUFFIXES: Final = (".j2", ".toml", ".css", ".js")  # of templates, and of what pages are made from


def template_texts() -> dict[str, str]:
    """Read every built-in template: file name to text.

    Raises `TemplateError` ``template.none_built_in`` or ``template.unreadable``: the installation is damaged.
    """
    package = Path(__file__).parent
    installed = package / "_templates"
    texts = _read_folder(installed if installed.is_dir() else package.parents[1] / "templates")
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
    texts, known = _read_folder(folder), sorted(template_texts())
    if not texts.keys() & set(known):  # a misspelt name would silently do nothing
        near = sorted({match for name in texts for match in get_close_matches(name, known, n=1)})
        hint = f"did you mean {', '.join(near)}?" if near else f"known names: {', '.join(known)}"
        msg = f"no file in the folder given with --templates replaces a built-in template; {hint}"
        raise TemplateError(msg, code="template.unknown_name")
    return texts


def packaged_text(path: str) -> str:
    """Read a table that travels with the software, by its path in the package."""
    return (files("calcreport") / path).read_text(encoding="utf-8")


def rule_texts() -> dict[str, str]:
    """Read every built-in rule table: file name to TOML text, in order of file name."""
    folder = files("calcreport") / "rules" / "tables"
    tables = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return {entry.name: entry.read_text(encoding="utf-8") for entry in tables}


def site_rule_texts(path: Path) -> dict[str, str]:
    """Read a site's own rules, from a TOML file or a folder of them: file name to TOML text.

    Raises `RuleFileError` ``rules.missing``, ``rules.unreadable``.
    """
    try:
        files_found = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        texts = {file.name: _read_bounded(file) for file in files_found if file.is_file()}
    except (OSError, UnicodeDecodeError, ValueError) as error:
        msg = f"a rule file cannot be read; it must be a readable UTF-8 text file of at most {_MAX_BYTES} bytes"
        raise RuleFileError(msg, code="rules.unreadable") from error
    if not texts:
        msg = "there is no rule file at the path given; name a TOML file, or a folder that holds some"
        raise RuleFileError(msg, code="rules.missing")
    return texts


def _read_bounded(path: Path, encoding: str = "utf-8-sig") -> str:
    """Text of a file; `ValueError` for one that is too large."""
    with path.open("rb") as stream:
        content = stream.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        msg = f"a template is larger than {_MAX_BYTES} bytes; split or shorten it"
        raise ValueError(msg)
    return content.decode(encoding)


def _read_folder(folder: Path) -> dict[str, str]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in _TEMPLATE_SUFFIXES and path.is_file())
        return {path.name: _read_bounded(path, "utf-8") for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        msg = "a template cannot be read; it must be a readable UTF-8 text file"
        raise TemplateError(msg, code="template.unreadable") from error
    except ValueError as error:
        raise TemplateError(str(error), code="template.unreadable") from error
