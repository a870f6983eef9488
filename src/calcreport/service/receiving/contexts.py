"""Which presentation contexts are accepted: every storage class, in every transfer syntax whose header can be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydicom.uid import AllTransferSyntaxes, DeflatedExplicitVRLittleEndian
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made when the module is loaded

_READABLE: Final = frozenset(str(syntax) for syntax in AllTransferSyntaxes)
"""Public transfer syntaxes: a data set in a private one could not even be told whole from torn."""


def choose_syntaxes(contexts: Iterable[PresentationContext]) -> None:
    """Reduce each proposed context, in place, to the one transfer syntax that is accepted, or to one that is refused.

    pynetdicom's unrestricted storage service takes whatever is proposed first. Compressed images are taken as they
    come, so the sender's order is kept; only deflated data sets come last.
    """
    for context in contexts:
        if context.abstract_syntax == Verification:
            continue
        readable = [syntax for syntax in context.transfer_syntax if syntax in _READABLE]
        readable.sort(key=lambda syntax: syntax == DeflatedExplicitVRLittleEndian)  # stable
        if readable:
            context.transfer_syntax = [readable[0]]
        else:  # C-ECHO is not offered in this syntax: "transfer syntaxes not supported"
            context.abstract_syntax = Verification
