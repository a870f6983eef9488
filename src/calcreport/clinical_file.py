"""Text of a clinical file, YAML or JSON, to checked clinical input."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

from calcreport.errors import ClinicalError
from calcreport.model.clinical import Clinical, parse_clinical

MAX_CHARACTERS: Final = 200_000
"""A clinical file is a page; a larger one is the wrong file."""


_MISSING_BLANK: Final = re.compile(r"^([ \t]*[A-Za-z_]+):(?=[{\[])", re.MULTILINE)
"""``labs:{...}`` for ``labs: {...}``: easily typed, and its meaning is plain."""


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
        return super().construct_mapping(node, deep=deep)


def clinical_from_text(text: str) -> Clinical:
    """Read a clinical file.

    Parameters
    ----------
    text : str
        YAML or JSON (which is YAML); empty text means that nothing is known.

    Returns
    -------
    Clinical
        Checked input.

    Raises
    ------
    ClinicalError
        ``clinical.not_yaml`` when the text is neither YAML nor JSON, too long, repeats a key or uses references;
        ``clinical.not_mapping`` when it is not a mapping of sections; else as `parse_clinical`.
    """
    if len(text) > MAX_CHARACTERS:
        msg = f"The clinical file is longer than {MAX_CHARACTERS} characters: not a clinical file."
        raise ClinicalError(msg, code="clinical.not_yaml")
    try:
        # _PlainLoader is a SafeLoader: it builds plain values only.
        data = yaml.load(_MISSING_BLANK.sub(r"\1: ", text), Loader=_PlainLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" near line {mark.line + 1}" if mark is not None else ""
        reason = str(error) if str(error) in {"references", "repeated key"} else "not YAML or JSON"
        problem = ClinicalError(
            f"The clinical file cannot be read{where}: {reason}. Write sections such as 'symptoms:' with one "
            "'name: answer' a line, each name once, without & and *.",
            code="clinical.not_yaml",
        )
    else:
        if data is None:
            return Clinical()
        if isinstance(data, dict):
            return parse_clinical(data)
        msg = "The clinical file must be a mapping of sections (patient, symptoms, history, labs, ...)."
        raise ClinicalError(msg, code="clinical.not_mapping")
    # Raised outside the handler: the parser's message quotes the text.
    raise problem
