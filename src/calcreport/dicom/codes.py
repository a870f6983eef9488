"""Every code the reader can give, what it means and what to do about it; the table is `codes.toml` beside this file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from calcreport import errors
from calcreport.errors import InputError
from calcreport.resources import packaged_text

NOTHING_TO_DO: Final = "Nothing to do."  # Remedy where there is none; it stands in the table too


@dataclass(frozen=True, slots=True)
class Code:
    """One thing that can be wrong with what was read: the error raised, what is wrong, and what to do about it."""

    kind: type[InputError]
    meaning: str
    remedy: str


CODES: Final[Mapping[str, Code]] = MappingProxyType({  # stable; never reused with another meaning
    f"{group}.{name}": Code(getattr(errors, kind), meaning, remedy)
    for group, rows in tomllib.loads(packaged_text("dicom/codes.toml")).items()
    for name, (kind, meaning, remedy) in rows.items()
})  # fmt: skip


def message(code: str, detail: str = "") -> str:
    """Sentence for a code: meaning, detail (no patient data), remedy."""
    entry = CODES[code]
    return f"{entry.meaning}{f' ({detail})' if detail else ''}. {entry.remedy}"


def problem(code: str, detail: str = "") -> InputError:
    """Error of the kind, message and code that belong to `code`; `detail` is what was seen, no patient data."""
    return CODES[code].kind(message(code, detail), code=code)
