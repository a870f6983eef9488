"""One printed form for every length of a report, bound to the limits its lesions are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LENGTH_LIMITS: Final = ("size_limit_mm", "size_possible_mm", "small_lesion_limit_mm", "head_neck_note_mm")
"""Policy settings that any lesion's length is compared with. Limits of single patterns are left out: no sentence names
them, and "phleboliths, largest 1.49 cm" is no dictation."""

_NAMED_LIMITS_MM: Final = (30.0, 40.0)
"""Limits that sentences of the rule tables name: soft-tissue chondroma, second cut-off of head and neck staging."""

_DEFAULT_LIMIT_MM: Final = 50.0  # limit of the size flag where a report does not hold its settings
_CM_FROM_MM: Final = 10  # lengths that round to this are spelled in cm, shorter ones in mm
_FLOAT_NOISE: Final = 6  # decimals of mm; what lies beyond is rounding of the arithmetic
_MOST_DECIMALS: Final = 7  # decimals printed to tell a length from a limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Spells lengths as a radiologist dictates them, and never hides on which side of a limit one lies."""

    limits_mm: tuple[float, ...]

    def spell(self, length_mm: float) -> str:
        """Spell a length in mm: ``"7 mm"``, ``"4.4 cm"``; with 50 mm as a limit 50.2 mm is ``"5.02 cm"``."""
        if length_mm < 0.5:
            return "under 1 mm"
        if round(length_mm) < _CM_FROM_MM:
            return f"{self.digits(length_mm, 1, 0)} mm"
        return f"{self.digits(length_mm, 10, 1)} cm"

    def spell_extents(self, extents_mm: Sequence[float]) -> str:
        """Spell several lengths in one unit, such as ``"5 x 4 x 5 mm"`` or ``"2.4 x 2.1 x 4.3 cm"``, from mm."""
        in_mm = max(round(extent) for extent in extents_mm) < _CM_FROM_MM
        per_unit, decimals, unit = (1, 0, "mm") if in_mm else (10, 1, "cm")
        texts = (self.digits(max(extent, 1), per_unit, decimals) for extent in extents_mm)
        return f"{' x '.join(texts)} {unit}"

    def digits(self, length_mm: float, per_unit: int, decimals: int) -> str:
        """Digits of a length in a unit of `per_unit` mm, with as many decimals as show the side of every limit."""
        sides = [_side(length_mm, limit_mm) for limit_mm in self.limits_mm]
        texts = [f"{length_mm / per_unit:.{decimals + more}f}" for more in range(_MOST_DECIMALS)]
        return next(
            (text for text in texts if sides == [_side(float(text) * per_unit, limit) for limit in self.limits_mm]),
            texts[-1],
        )


def _side(length_mm: float, limit_mm: float) -> int:
    difference_mm = round(length_mm - limit_mm, _FLOAT_NOISE)
    return (difference_mm > 0) - (difference_mm < 0)


def bind_lengths(policy: Mapping[str, object]) -> Lengths:
    """Bind the presenter to the limits of a policy, named as its settings are; missing ones are left out."""
    given = (policy.get(name) for name in LENGTH_LIMITS)
    limits_mm = [float(limit) for limit in given if isinstance(limit, int | float)]
    return Lengths(limits_mm=tuple(dict.fromkeys((*(limits_mm or [_DEFAULT_LIMIT_MM]), *_NAMED_LIMITS_MM))))


def spell_change(change_mm: float) -> str:
    """Spell a difference or an error of lengths in mm: ``"0.9 mm"``, ``"1.8 cm"``; it is held against no length."""
    return f"{change_mm:.1f} mm" if round(change_mm, 1) < _CM_FROM_MM else f"{change_mm / 10:.1f} cm"
