"""Radiographs of one study: every film searched, findings of two views matched where the geometry allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from calcreport.film.one_film import FilmFinding, SearchedFilm, search_film
from calcreport.film.reduced import film_pixel_mm
from calcreport.film.registration import Registration, film_profile, register
from calcreport.film.shape import read_film_pattern
from calcreport.film.views import ViewPair, columns_axis, pair_views, rows_direction
from calcreport.model.film import FilmFindings, FilmImage, ProjectedLesion, ScaleKind, Shadow
from calcreport.model.report import (
    BoneRelation,
    Depth,
    DepthClass,
    FilmPlace,
    Foci,
    KeyImage,
    Laterality,
    Location,
    Pattern,
    Size,
)
from calcreport.model.terms import INDETERMINATE_PATTERN
from calcreport.processes.threads import map_in_threads

_ALL_AXES: Final = 3  # extents are stated for all axes or none


def analyse_films(films: tuple[FilmImage, ...], *, on_progress: Callable[[str], None] | None = None) -> FilmFindings:
    """Search the films of one study, every view and side, for soft-tissue calcification.

    Lesions come largest first; lengths are in each film's own plane, and none is in mm without a scale. `on_progress`
    receives the name of each step.
    """
    if on_progress is not None:
        on_progress("searching films")
    searched = map_in_threads(lambda pair: search_film(pair[1], pair[0]), list(enumerate(films)))
    if on_progress is not None and len(films) > 1:
        on_progress("comparing views")
    tied, notes = tie_views(films, searched)
    lesions = [_lesion(films, part.findings, part.notes) for part in tied]
    return FilmFindings(
        films=films,
        readings=tuple(part.reading for part in searched),
        lesions=tuple(sorted(lesions, key=_length, reverse=True)),
        excluded=tuple(row for part in searched for row in part.excluded),
        notes=notes,
    )


def _length(lesion: ProjectedLesion) -> float:
    """Longest projected diameter as far as it can be compared: mm, else pixels."""
    return lesion.size.max_diameter_mm or lesion.size.max_diameter_px or 0.0


def _lesion(films: tuple[FilmImage, ...], findings: tuple[FilmFinding, ...], notes: tuple[str, ...]) -> ProjectedLesion:
    """Join the findings of one lesion, one a view; the first, which shows it best, gives the place."""
    first = findings[0]
    shadow, film = first.shadow, films[first.shadow.film]
    shadows = tuple(finding.shadow for finding in findings)
    # a view clear of bone proves the lesion apart from it, whatever another view projects it over
    over_bone = all(part.is_over_bone for part in shadows)
    return ProjectedLesion(
        size=_size(films, findings),
        foci=Foci(
            count=len(first.focus_lengths),
            largest_max_diameter_mm=max(first.focus_lengths) if film.scale.spacing_mm is not None else None,
        ),
        pattern=_pattern(findings),
        depth=Depth.model_validate(
            {
                "class": DepthClass.CANNOT_DETERMINE,
                "projected_skin_line_mm": shadow.to_skin_line.length_mm if shadow.to_skin_line else None,
                "reason": "depth cannot be determined from a radiograph",
            }
        ),
        bone_relation=BoneRelation.CANNOT_DETERMINE if over_bone else BoneRelation.SEPARATE,
        location=_location(films, shadows),
        notes=notes,
        shadows=shadows,
    )


def _pattern(findings: tuple[FilmFinding, ...]) -> Pattern:
    """Pattern of the first view that shows one."""
    read = [read_film_pattern(finding.shape) for finding in findings]
    return next((pattern for pattern in read if pattern.id != INDETERMINATE_PATTERN), read[0])


def _size(films: tuple[FilmImage, ...], findings: tuple[FilmFinding, ...]) -> Size:
    longest = max((finding.shadow for finding in findings), key=lambda shadow: shadow.longest.length_mm or 0.0)
    film = films[longest.film]
    kind = film.scale.kind
    spacing = film.scale.spacing_mm
    return Size(
        max_diameter_mm=longest.longest.length_mm,
        perpendicular_mm=longest.across.length_mm,
        max_diameter_px=longest.longest.length_px,
        perpendicular_px=longest.across.length_px,
        uncertainty_mm=float(np.hypot(*spacing)) if spacing else None,
        is_minimum=any(finding.shadow.is_cut for finding in findings),
        projected=True,
        plane=None if kind is ScaleKind.NONE else kind.value,
        **_extents(films, findings),
    )


def _extents(films: tuple[FilmImage, ...], findings: tuple[FilmFinding, ...]) -> dict[str, float]:
    """Projected extents along the axes of the patient, mm: of two views whose headers state the axes, else none."""
    found: dict[str, float] = {}
    for finding in findings:
        film, box = films[finding.shadow.film], finding.shadow.mineral.pixels.shape
        axis = columns_axis(film)
        if film.scale.spacing_mm is None or axis is None or rows_direction(film) is None:
            return {}
        # between outer edges, and so no longer than the longest diameter
        rows_mm, columns_mm = (
            min(n * mm, finding.shadow.longest.length_mm or 0.0)
            for n, mm in zip(box, film.scale.spacing_mm, strict=True)
        )
        found[f"{axis}_mm"] = columns_mm
        found["cc_mm"] = max(rows_mm, found.get("cc_mm", 0.0))
    return found if len(found) == _ALL_AXES else {}


def _location(films: tuple[FilmImage, ...], shadows: tuple[Shadow, ...]) -> Location:
    film = films[shadows[0].film]
    side = {"left": Laterality.LEFT, "right": Laterality.RIGHT}.get(film.view.laterality or "", Laterality.UNKNOWN)
    reference = film.reference
    return Location(
        laterality=side,
        laterality_source=None if side is Laterality.UNKNOWN else "header",
        first_image=reference.instance_number,
        last_image=reference.instance_number,
        key_image=KeyImage(sop_instance_uid=reference.sop_instance_uid, instance_number=reference.instance_number),
        films=tuple(_place(films[shadow.film], shadow) for shadow in shadows),
    )


def _place(film: FilmImage, shadow: Shadow) -> FilmPlace:
    rows, columns = np.nonzero(shadow.mineral.pixels)
    low = np.array(shadow.mineral.offset)
    middle = low + np.array((rows.mean(), columns.mean()))
    high = low + shadow.mineral.pixels.shape - 1
    return FilmPlace(
        sop_instance_uid=film.reference.sop_instance_uid,
        instance_number=film.reference.instance_number,
        view=film.view.position,
        centroid_px=(float(middle[0]), float(middle[1])),
        bbox_px=((float(low[0]) - 0.5, float(low[1]) - 0.5), (float(high[0]) + 0.5, float(high[1]) + 0.5)),
        max_diameter_mm=shadow.longest.length_mm,
        perpendicular_mm=shadow.across.length_mm,
        max_diameter_px=shadow.longest.length_px,
        perpendicular_px=shadow.across.length_px,
        projected_skin_line_mm=shadow.to_skin_line.length_mm if shadow.to_skin_line else None,
        is_over_bone=shadow.is_over_bone,
        contrast_to_noise=shadow.contrast_to_noise,
    )


_LIKE: Final = (0.7, 1.4)  # One lesion is about as long along the limb on both views ..
_LIKE_MM: Final = 1.5  # ... or differs by no more than outlines do
_LIKE_ALONE: Final = (0.8, 1.25)  # Where no height, or no density, can be compared the length has to agree better
_LIKE_AMOUNT: Final = (0.4, 2.5)
"""One lesion stands out by about the same share of all matter on both films, whatever the direction of the beam."""
_PERHAPS: Final = (0.5, 2.0)
"""A finding of this ratio of lengths at the same height may be the same, and so leaves a match uncertain."""
_PERHAPS_MM: Final = 3.0  # difference in length; see `_PERHAPS`
_LEAST_OVERLAP: Final = 0.5  # Extents along the limb overlap by at least this share of the shorter one
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
