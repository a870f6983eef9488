"""Size of a lesion on CT in words: the mass where there is one, the mineral, and its foci."""

from __future__ import annotations

from calcreport.model.lengths import Lengths
from calcreport.model.report import Lesion, YesNo
from calcreport.text.review import is_by_reader
from calcreport.text.statements import Statements
from calcreport.text.wording import capitalise, describe_size


def describe_extent(lesion: Lesion, statements: Statements, lengths: Lengths) -> list[str]:
    """Describe the size of a lesion on CT in sentences without full stop, empty where nothing is to say.

    The mass comes first where there is one, then the mineral and its foci.
    """
    mass = describe_mass(lesion, statements, lengths)
    mineral = describe_size(lesion.size, statements, lengths)
    has_mass = lesion.mass.present is YesNo.YES
    if has_mass and mineral:
        mineral = statements.say("size.mineral_of_mass", size=mineral)
    elif mineral:
        has_extents = None not in {lesion.size.ap_mm, lesion.size.tr_mm, lesion.size.cc_mm}
        is_named = has_extents and not lesion.size.projected
        mineral = capitalise(statements.say("size.mineral", size=mineral) if is_named else mineral)
    elif has_mass and _is_without_mineral(lesion):
        mineral = statements.say("size.no_mineral")
    sentences = [mass, mineral] if has_mass else [mineral]
    if lesion.foci.count is not None and lesion.foci.count > 1:
        largest = lesion.foci.largest_max_diameter_mm
        identifier = "size.foci_cluster_unsized" if largest is None else "size.foci_cluster"
        sentences.append(
            statements.say(
                identifier, count=lesion.foci.count, largest="" if largest is None else lengths.spell(largest)
            )
        )
    return sentences if has_mass else [*sentences, mass]


def _is_without_mineral(lesion: Lesion) -> bool:
    """Whether a contour was searched for mineral and none was found, whatever the present source of the mass size."""
    is_searched = lesion.shape is not None and lesion.shape.contour is not None and lesion.shape.mineral is None
    return is_searched or lesion.mass.source == "contour"


def describe_mass(lesion: Lesion, statements: Statements, lengths: Lengths) -> str:
    """Describe the mass and its source; empty when no mass is known."""
    mass = lesion.mass
    if mass.present is YesNo.UNKNOWN:
        return ""  # said once for all lesions
    source = statements.say(f"size.mass_{'reader' if is_by_reader(lesion, 'mass.source') else mass.source}")
    if mass.present is YesNo.NO:
        return statements.say("size.mass_absent", source=source)
    if mass.max_diameter_mm is None:
        return statements.say("size.mass_without_size", source=source)
    extents = [extent for extent in (mass.ap_mm, mass.tr_mm, mass.cc_mm) if extent is not None]
    longest = lengths.spell(mass.max_diameter_mm)
    identifier = "size.mass" if len(extents) == 3 else "size.mass_longest"
    spelled = lengths.spell_extents(extents) if extents else ""
    text = statements.say(identifier, extents=spelled, longest=longest, source=source)
    return statements.say("size.mass_minimum", mass=text) if mass.is_minimum else text
