"""Mistakes in what people typed: every one at once, by the name of its field, never with the value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from calcreport.errors import ClinicalError
from calcreport.model.near_keys import name_unknown_key, spell_path

Mistake = tuple[str, str]
"""Kind, the last part of an error code, and the text by field name."""

_BARE_NUMBER: Final = "give value and unit, as in {value: 2.35, unit: mmol/L}"


def without_unknown(data: Any) -> Any:  # noqa: ANN401 - as read from YAML or JSON
    """Leave out what is empty or ``unknown``, at any depth: missing and unknown mean the same.

    Parameters
    ----------
    data : Any
        Mappings, sequences and plain values.

    Returns
    -------
    Any
        The same without such keys; entries of sequences stay.
    """
    if isinstance(data, Mapping):
        return {key: without_unknown(value) for key, value in data.items() if not _is_unknown(value)}
    if isinstance(data, list):
        return [without_unknown(value) for value in data]
    return data


def refuse(mistakes: Iterable[Mistake], *, area: str) -> ClinicalError:
    """Make the error that lists every mistake.

    Parameters
    ----------
    mistakes : Iterable[Mistake]
        At least one.
    area : str
        ``"clinical"``, ``"findings"`` or ``"review"``.

    Returns
    -------
    ClinicalError
        Code of the one kind there is, ``….invalid`` for several kinds.
    """
    listed = list(dict.fromkeys(mistakes))
    kinds = {kind for kind, _ in listed}
    what = {"clinical": "The clinical input", "findings": "The findings", "review": "The review"}[area]
    return ClinicalError(
        f"{what} cannot be used:\n" + "\n".join(f"  {text}" for _, text in listed),
        code=f"{area}.{kinds.pop() if len(kinds) == 1 else 'invalid'}",
    )


def mistakes_of(error: ValidationError, root: type[BaseModel]) -> list[Mistake]:
    """Translate what validation found.

    Parameters
    ----------
    error : ValidationError
        Of `root`.
    root : type[BaseModel]
        Record that was validated.

    Returns
    -------
    list[Mistake]
        Never the value typed.
    """
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [_translate(item["type"], tuple(str(part) for part in item["loc"]), item["msg"], root) for item in found]


def _translate(kind: str, where: tuple[str, ...], message: str, root: type[BaseModel]) -> Mistake:
    if kind == "extra_forbidden":
        return "unknown_key", name_unknown_key(where, root)
    if kind == "missing" and where[-1] == "unit":
        return "lab_unit", f"{'.'.join(where[:-1])}: give the unit; a bare number is not used"
    text = message.removeprefix("Value error, ")
    if where[:1] == ("labs",):
        if "|" in message:
            name, _, text = text.partition("|")
            return name, text
        if kind == "model_type":
            return "lab_unit", f"{'.'.join(where)}: {_BARE_NUMBER}"
    return "value", f"{spell_path(where) or 'input'}: {text}"


def _is_unknown(value: Any) -> bool:  # noqa: ANN401
    return value is None or (isinstance(value, str) and value.strip().lower() == "unknown")
