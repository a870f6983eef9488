"""What a renderer hands back."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One file ready to be written."""

    content: bytes = field(repr=False)
    """Whole content of the file."""
    media_type: str
    """Such as ``"application/json"``."""
    suffix: str
    """With its dot, such as ``".json"``."""
