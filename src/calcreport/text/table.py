"""Measurements of a lesion as table rows: name and rounded value; unmeasured quantities have no row."""

from __future__ import annotations

from calcreport.model.lengths import Lengths
from calcreport.model.report import BoneRelation, Density, Lesion, Mass, Size
from calcreport.text.film import list_on_films
from calcreport.text.statements import Statements
from calcreport.text.wording import (
    name_depth_class,
    spell_distance,
    spell_volume,
)

Rows = list[tuple[str, str]]  # key of the name in ``measure.*``, and value with unit


def list_measurements(
    lesion: Lesion, reference: str, statements: Statements, lengths: Lengths
) -> tuple[tuple[str, str], ...]:
    """List what was measured on a lesion: name, and value with its unit; `reference` names its images."""
    on_films = list_on_films(lesion, statements, lengths)
    rows: Rows = [  # key of the name in ``measure.*``, and value with unit
        *_length_rows(lesion.mass, ("mass", "mass_longest", "mass_volume"), statements, lengths),
        *([] if on_films else _length_rows(lesion.size, ("extents", "longest", "volume"), statements, lengths)),
        *_foci_rows(lesion, statements, lengths),
        *_density_rows(lesion.density),
        ("depth", name_depth_class(lesion.depth.class_, statements)),
    ]
    if lesion.depth.skin_distance_mm is not None:
        rows.append(("skin", spell_distance(lesion.depth.skin_distance_mm)))
    if lesion.depth.fascia_distance_mm is not None:
        rows.append(("fascia", spell_distance(lesion.depth.fascia_distance_mm)))
    family = "film.bone_" if on_films and lesion.bone_relation is not BoneRelation.SEPARATE else "bone."
    rows.append(("bone", statements.say(f"{family}{lesion.bone_relation}")))
    if reference:
        rows.append(("images", reference.strip("()")))
    if lesion.mass.mineral_fraction is not None:
        share = f"{lesion.mass.mineral_fraction * 100:.0f}"
        rows.insert(0, ("mineral_fraction", statements.say("measure.percent", share=share)))
    return (*on_films, *((statements.say(f"measure.{name}"), value) for name, value in rows))


def _with_uncertainty(length: str, uncertainty_mm: float | None, statements: Statements) -> str:
    if uncertainty_mm is None:
        return length
    return statements.say("measure.plus_minus", length=length, uncertainty=f"{uncertainty_mm:.1f}")


def _length_rows(part: Mass | Size, names: tuple[str, str, str], statements: Statements, lengths: Lengths) -> Rows:
    """Rows of extents, longest diameter and volume under their names; in the plane of the slices for mineral alone."""
    rows: Rows = []  # key of the name in ``measure.*``, and value with unit
    extents = [extent for extent in (part.ap_mm, part.tr_mm, part.cc_mm) if extent is not None]
    if len(extents) == 3:
        rows.append((names[0], lengths.spell_extents(extents)))
    if part.max_diameter_mm is not None:
        longest = lengths.spell(part.max_diameter_mm)
        if isinstance(part, Size) and part.is_minimum:
            longest = statements.say("measure.at_least", length=longest)
        rows.append((names[1], _with_uncertainty(longest, part.uncertainty_mm, statements)))
    if isinstance(part, Size) and part.axial_long_mm is not None and part.axial_short_mm is not None:
        rows.append(("axial", lengths.spell_extents((part.axial_long_mm, part.axial_short_mm))))
    if part.volume_mm3 is not None:
        rows.append((names[2], spell_volume(part.volume_mm3)))
    return rows


def _foci_rows(lesion: Lesion, statements: Statements, lengths: Lengths) -> Rows:
    count, largest_mm = lesion.foci.count, lesion.foci.largest_max_diameter_mm
    if count is None or count < 2 or largest_mm is None:
        return []
    return [("foci", statements.say("measure.foci_value", count=count, largest=lengths.spell(largest_mm)))]


def _density_rows(density: Density) -> Rows:
    if density.mean_hu is None or density.max_hu is None:
        return []
    more = [f"{density.max_hu:.0f}"]
    more += [f"{value:.0f}" for value in (density.p95_hu, density.sd_hu) if value is not None]
    return [("density", f"{density.mean_hu:.0f} HU ({'; '.join(more)})")]
