"""What a C-STORE status of an archive means for us (PS3.4 annex B.2.3, PS3.7 annex C)."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0x0000
DUPLICATE: Final = 0x0111
"""It has the instance already; our UIDs follow from the content."""
_PROCESSING_FAILURE: Final = 0x0110
_NOT_AUTHORISED: Final = 0x0124


def is_stored(status: int) -> bool:
    """Whether the archive has the object: success, a warning (Bxxx), or had it before."""
    return status in {SUCCESS, DUPLICATE} or status >> 12 == 0xB


def is_retryable(status: int) -> bool:
    """Whether another attempt may succeed: out of resources (A7xx), a failure in processing, a right not given yet."""
    return status in {_PROCESSING_FAILURE, _NOT_AUTHORISED} or status >> 8 == 0xA7
