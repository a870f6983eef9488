"""Findings of two orthogonal views that are one lesion. What is not certain stays apart, and the report says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from calcreport.film.one_film import FilmFinding, SearchedFilm
from calcreport.film.reduced import film_pixel_mm
from calcreport.film.registration import Registration, film_profile, register
from calcreport.film.shape import read_film_pattern
from calcreport.film.views import ViewPair, pair_views, rows_direction
from calcreport.model.film import FilmImage

_LIKE: Final = (0.7, 1.4)
"""One lesion is about as long along the limb on both views ..."""
_LIKE_MM: Final = 1.5
"""... or differs by no more than outlines do."""
_LIKE_ALONE: Final = (0.8, 1.25)
"""Where no height, or no density, can be compared the length has to agree better."""
_LIKE_AMOUNT: Final = (0.4, 2.5)
"""One lesion stands out by about the same share of all matter on both films, whatever the direction of the beam."""
_PERHAPS: Final = (0.5, 2.0)
"""A finding of this ratio of lengths at the same height may be the same, and so leaves a match uncertain."""
_PERHAPS_MM: Final = 3.0  # difference in length; see `_PERHAPS`
_LEAST_OVERLAP: Final = 0.5
"""Extents along the limb overlap by at least this share of the shorter one."""
_PARALLAX: Final = 0.04
"""What lies at another distance from the tube than most of the limb is displaced by this share of its distance from the
middle of the film: 45 mm of a metre."""
_LEAST_TOLERANCE_MM: Final = 2.0  # error of outlines, whatever the parallax
_WIDESPREAD: Final = frozenset(("P02", "P14"))
"""Patterns whose ends are not the same on two films; they are matched by what they have in common."""
_KINDS: Final = {"P01": "compact", "P05": "compact", "P14": "compact", "P02": "vessel", "P10": "plate", "P11": "plate"}
"""Patterns that may be one lesion's on two views; a pattern that is not listed goes with any."""

ONLY_MATCH: Final = (
    "Frontal and lateral view were matched only because each shows one finding, of like length; check on the source "
    "images that it is the same"
)
"""Note of a lesion that no structure of the limb helped to match."""
_UNCERTAIN: Final = "Findings of the frontal and lateral view could not be matched with certainty"  # opens a note


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionViews:
    """Findings of one lesion."""

    findings: tuple[FilmFinding, ...]
    """One or two; the view that shows the lesion best first: off bone, then by contrast to noise."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extent:
    """A finding along the limb: middle and length in mm of its film, pattern, contrast times area over matter."""

    middle_mm: float
    length_mm: float
    pattern: str
    amount: float
    is_over_bone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matches:
    """Matching findings of two films, notes on the lesions made of them, and why others did not match."""

    pairs: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""


def tie_views(
    films: Sequence[FilmImage], searched: Sequence[SearchedFilm]
) -> tuple[tuple[LesionViews, ...], tuple[str, ...]]:
    """Match the findings of orthogonal views of one study.

    Every finding comes once, alone or with its counterpart; sentences name the views that could not be matched.
    """
    alone = {(n, i): finding for n, part in enumerate(searched) for i, finding in enumerate(part.findings)}
    tied, reasons = [], []
    for pair in pair_views(films):
        if not (searched[pair.frontal].findings and searched[pair.lateral].findings):
            continue
        matches = _match(films, searched, pair)
        for i, j in matches.pairs:
            both = [alone.pop((pair.frontal, i)), alone.pop((pair.lateral, j))]
            both.sort(key=lambda f: (not f.shadow.is_over_bone, f.shadow.contrast_to_noise), reverse=True)
            tied.append(LesionViews(findings=tuple(both), notes=matches.notes))
        reasons += [matches.reason] if matches.reason else []
    tied += [LesionViews(findings=(finding,)) for finding in alone.values()]
    return tuple(tied), tuple(f"{_UNCERTAIN}: {reason}" for reason in dict.fromkeys(reasons))


def _match(films: Sequence[FilmImage], searched: Sequence[SearchedFilm], pair: ViewPair) -> _Matches:
    if pair.obstacle:
        return _Matches(reason=pair.obstacle)
    numbers = (pair.frontal, pair.lateral)
    profiles = [film_profile(films[number]) for number in numbers]
    directions = [rows_direction(films[number]) for number in numbers]
    # without a Patient Orientation a limb is taken to run along the rows, head up, if it is longer than wide
    if not all(known or p.length_mm > p.body_mm for known, p in zip(directions, profiles, strict=True)):
        return _Matches(reason="the long axis is not known to run along the rows of both films")
    frontal, lateral = (p.turned() if direction == -1 else p for p, direction in zip(profiles, directions, strict=True))
    first, second = (
        [
            _extent(films[n], finding, searched[n].reading.noise / profile.matter, is_turned=direction == -1)
            for finding in searched[n].findings
        ]
        for n, profile, direction in zip(numbers, profiles, directions, strict=True)
    )
    found = register(frontal, lateral)
    if found is not None and (all(directions) or register(frontal, lateral.turned()) is None):
        pairs, reason = _match_at_height(first, second, _Laid(found, frontal.length_mm / 2, lateral.length_mm / 2))
        return _Matches(pairs=pairs, reason=reason)
    # The only finding of each view is judged without its height.
    is_cut = any(finding.shadow.is_cut for n in numbers for finding in searched[n].findings)
    is_single = len(first) == len(second) == 1 and not is_cut and _is_as_dense(first[0], second[0])
    if is_single and _is_like(first[0], second[0], _LIKE_ALONE, 0.0):
        return _Matches(pairs=((0, 0),), notes=(ONLY_MATCH,))
    return _Matches(reason="nothing on the films tells which height of the one is which of the other")


def _extent(film: FilmImage, finding: FilmFinding, grey: float, *, is_turned: bool) -> _Extent:
    row_mm, column_mm = film_pixel_mm(film)
    mask = finding.shadow.mineral
    low, high = mask.offset[0], mask.offset[0] + mask.pixels.shape[0]
    if is_turned:
        rows = film.intensity.shape[0]
        low, high = rows - high, rows - low
    return _Extent(
        middle_mm=(low + high) / 2 * row_mm,
        length_mm=(high - low) * row_mm,
        pattern=read_film_pattern(finding.shape).id,
        amount=finding.shadow.contrast_to_noise * grey * float(mask.pixels.sum()) * row_mm * column_mm,
        is_over_bone=finding.shadow.is_over_bone,
    )


class _Laid(NamedTuple):
    """How one film lies on the other, and the height of the middle of each, mm."""

    found: Registration
    first_middle_mm: float
    second_middle_mm: float

    def is_near(self, a: _Extent, b: _Extent) -> bool:
        """Whether two extents overlap once the one is laid on the other film, as exactly as that is known."""
        place_mm, off_mm = self.found.place(a.middle_mm)
        beside_mm = abs(a.middle_mm - self.first_middle_mm) + abs(b.middle_mm - self.second_middle_mm)
        off_mm += _PARALLAX * beside_mm / 2 + _LEAST_TOLERANCE_MM
        gap_mm = max(0.0, abs(place_mm - b.middle_mm) - off_mm)
        overlap_mm = (a.length_mm + b.length_mm) / 2 - gap_mm
        return overlap_mm >= _LEAST_OVERLAP * min(a.length_mm, b.length_mm)


def _match_at_height(
    first: list[_Extent], second: list[_Extent], laid: _Laid
) -> tuple[tuple[tuple[int, int], ...], str]:
    """Pairs that lie at the same height and have no rival, and what kept others apart."""
    near = [(i, j) for i, a in enumerate(first) for j, b in enumerate(second) if laid.is_near(a, b)]
    rivals = [(i, j) for i, j in near if _is_like(first[i], second[j], _PERHAPS, _PERHAPS_MM)]
    clear = [(i, j) for i, j in rivals if sum(i == m or j == n for m, n in rivals) == 1]
    pairs = tuple((i, j) for i, j in clear if _is_one_at_height(first[i], second[j]))
    if len(clear) < len(rivals):
        return pairs, "more than one finding lies at the same height"
    left = [(i, j) for i, j in near if not any(i == m or j == n for m, n in pairs)]
    return pairs, "findings at the same height differ in length, density or pattern" if left else ""


def _is_one_at_height(a: _Extent, b: _Extent) -> bool:
    """Whether nothing about two findings at one height speaks against one lesion."""
    if a.is_over_bone or b.is_over_bone:
        # what stands out against bone, or with it, tells nothing of how dense the lesion is
        return _is_like(a, b, _LIKE_ALONE, _LIKE_MM)
    return (_is_spread(a, b) or _is_as_dense(a, b)) and _is_like(a, b, _LIKE, _LIKE_MM)


def _is_spread(a: _Extent, b: _Extent) -> bool:
    return a.pattern == b.pattern and a.pattern in _WIDESPREAD


def _is_as_dense(a: _Extent, b: _Extent) -> bool:
    return _LIKE_AMOUNT[0] <= a.amount / max(b.amount, 1e-9) <= _LIKE_AMOUNT[1]


def _is_like(a: _Extent, b: _Extent, ratio: tuple[float, float], within_mm: float) -> bool:
    """Whether two findings may be one by pattern and length along the limb."""
    if a.pattern in _KINDS and b.pattern in _KINDS and _KINDS[a.pattern] != _KINDS[b.pattern]:
        return False
    if _is_spread(a, b):
        return True
    is_like = ratio[0] <= a.length_mm / b.length_mm <= ratio[1]
    return is_like or abs(a.length_mm - b.length_mm) <= within_mm
