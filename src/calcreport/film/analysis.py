"""Radiographs of one study: every film searched, findings of two views matched where the geometry allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from calcreport.film.one_film import FilmFinding, search_film
from calcreport.film.shape import read_film_pattern
from calcreport.film.view_matching import tie_views
from calcreport.film.views import columns_axis, rows_direction
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
