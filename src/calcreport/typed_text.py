"""Text a person typed, YAML or JSON, to plain values: nothing clever, nothing explosive, nothing silently lost."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any, Final, Literal

import yaml

from calcreport.errors import ClinicalError

MAX_CHARACTERS: Final = 200_000
"""A file typed by hand is a page; a larger one is the wrong file."""

_MISSING_BLANK: Final = re.compile(r"^([ \t]*[A-Za-z_]+):(?=[{\[])", re.MULTILINE)
"""``labs:{...}`` for ``labs: {...}``: easily typed, and its meaning is plain."""

_IDENTIFIERS: Final = frozenset({"patient_id", "accession_number", "study_instance_uid"})
"""Stay text as typed: as a number 00123 would be the id of somebody else."""

_REASONS: Final = frozenset({"references", "repeated key"})

_REMEDY: Final = "Write sections such as '{section}:' with one 'name: answer' a line, each name once, without & and *."


class _PlainLoader(yaml.SafeLoader):
    """YAML without anchors (which can be nested into an explosion) and without repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - as inherited
        """Refuse references."""
        if self.check_event(yaml.AliasEvent):
            msg = "references"
            raise yaml.YAMLError(msg)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - as inherited
        """Refuse a key given twice: the last one would silently win."""
        keys = [key.value for key, _ in node.value]
        if len(keys) != len({str(key) for key in keys}):
            msg = "repeated key"
            raise yaml.YAMLError(msg)
        for key, value in node.value:
            if key.value in _IDENTIFIERS and value.tag.endswith((":int", ":float", ":timestamp")):
                value.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep=deep)


def _from_json(text: str) -> Any:  # noqa: ANN401 - plain values of any kind
    """Read JSON, which may be indented with tabs as YAML may not; ``None`` for what is not JSON.

    Raises
    ------
    YAMLError
        When a key is repeated.
    """
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text, object_pairs_hook=_once_each, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None  # YAML may be written with braces too, and names the line of a mistake


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        msg = "repeated key"
        raise yaml.YAMLError(msg)
    return dict(pairs)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _from_yaml(text: str) -> Any:  # noqa: ANN401
    # _PlainLoader is a SafeLoader: it builds plain values only.
    return yaml.load(_MISSING_BLANK.sub(r"\1: ", text), Loader=_PlainLoader)  # noqa: S506


def _paired(value: Any) -> Any:  # noqa: ANN401 - plain values of any kind
    """Join what JSON writes as two escapes and YAML reads as two halves of a character; a lone half is lost."""
    if isinstance(value, dict):
        return {_paired(key): _paired(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_paired(entry) for entry in value]
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def values_from_text(text: str, *, area: Literal["clinical", "findings", "review"]) -> Any:  # noqa: ANN401 - plain values of any kind
    """Read plain values.

    Parameters
    ----------
    text : str
        YAML or JSON (which is YAML).
    area : Literal["clinical", "findings", "review"]
        Which file it is, for messages and codes.

    Returns
    -------
    Any
        ``None`` for empty text.

    Raises
    ------
    ClinicalError
        ``….not_yaml`` when the text is neither YAML nor JSON, too long, repeats a key or uses references.
    """
    if len(text) > MAX_CHARACTERS:
        msg = f"The {area} file is longer than {MAX_CHARACTERS} characters: not a {area} file."
        raise ClinicalError(msg, code=f"{area}.not_yaml")
    try:
        return _paired(_from_json(text) or _from_yaml(text))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" near line {mark.line + 1}" if mark is not None else ""
        reason = str(error) if str(error) in _REASONS else "not YAML or JSON"
        remedy = _REMEDY.format(section={"clinical": "symptoms", "findings": "size", "review": "L1"}[area])
        problem = ClinicalError(
            f"The {area} file cannot be read{where}: {reason}. {remedy}",
            code=f"{area}.not_yaml",
        )
    # Raised outside the handler: the parser's message quotes the text.
    raise problem
