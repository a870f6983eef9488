"""Numbers and places in the words of a report. Rounding happens here, after every decision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from calcreport.model import report as model
from calcreport.model.lengths import Lengths, bind_lengths
from calcreport.model.report import Laterality, Lesion, Location, Report
from calcreport.text.statements import Statements

_NAMING_FEATURES: Final = ("rim_incomplete", "rim_complete", "fluid_calcium_level")
"""Features that change the name of a finding; ``pattern.finding`` in statements.toml names ``<pattern>_<feature>``, and
``<pattern>_<plain shape>``."""


def lengths_of(report: Report) -> Lengths:
    """Presenter of lengths bound to the limits in the settings the report was made with."""
    policy = report.settings.get("policy")
    return bind_lengths(policy if isinstance(policy, Mapping) else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Presenter(Statements):
    """Wording bound to one report: its lengths, and whether they are those of a projection."""

    report: Report
    lengths: Lengths
    is_on_film: bool
    """Lengths were measured on radiographs, or typed by a reader of them."""

    @property
    def films(self) -> tuple[model.FilmTechnique, ...]:
        """Measured radiographs; none of CT."""
        return self.report.technique.films if self.report.technique else ()

    def at_least(self, length: str, *, is_minimum: bool) -> str:
        """Length, marked where the edge of the image cuts what was measured; without a length empty."""
        return self.say("measure.at_least", length=length) if length and is_minimum else length


def present(report: Report, statements: Statements) -> Presenter:
    """Bind the wording to a report."""
    is_on_film = report.study.modality in {"CR", "DX"} or bool(report.technique and report.technique.films)
    texts, of_core, lengths = statements.texts, statements.of_core, lengths_of(report)
    return Presenter(texts=texts, of_core=of_core, report=report, lengths=lengths, is_on_film=is_on_film)


def spell_projected(place: model.FilmPlace | model.Size, statements: Statements, lengths: Lengths) -> str:
    """Longest projected diameter by the widest extent across it: in mm or cm, in pixels without a scale."""
    if place.max_diameter_mm is not None:
        if place.perpendicular_mm is None:
            return lengths.spell(place.max_diameter_mm)
        return lengths.spell_extents((place.max_diameter_mm, place.perpendicular_mm))
    if place.max_diameter_px is None:
        return ""
    pixels = [f"{length:.0f}" for length in (place.max_diameter_px, place.perpendicular_px) if length is not None]
    return statements.say("film.pixels", extents=" x ".join(pixels))


def spell_mineral(lesion: Lesion, words: Presenter) -> str:
    """Spell the longest dimension of the mineral, as a projected one or a minimum where it is; empty without one."""
    size = lesion.size
    if lesion.location.films:
        text = spell_projected(size, words, words.lengths)
    else:
        text = "" if size.max_diameter_mm is None else words.lengths.spell(size.max_diameter_mm)
    text = words.at_least(text, is_minimum=size.is_minimum)
    return words.say("section.projected", size=text) if text and words.is_on_film else text


def spell_volume(volume_mm3: float) -> str:
    """Volume: cm3 with one decimal, mm3 below 1 cm3; from mm3."""
    if volume_mm3 < 999.5:
        return f"{max(volume_mm3, 1):.0f} mm3"
    return f"{volume_mm3 / 1000:.1f} cm3"


def spell_distance(distance_mm: float) -> str:
    """Distance to skin or fascia in whole millimetres."""
    return "under 1 mm" if distance_mm < 0.5 else f"{distance_mm:.0f} mm"


def spell_number(number: float) -> str:
    """Technical number without needless decimals: ``"120"``, ``"0.8"``, ``"0.49"``; one decimal is kept as 1.0."""
    tenths, hundredths = f"{number:.1f}", f"{number:.2f}"
    return tenths if float(tenths) == float(hundredths) else hundredths


def spell_person(age_years: float | None, sex: str | None) -> str:
    """Age and sex as they open a report, such as ``"46 F"`` or ``"3 months M"``; the age alone has its unit.

    The age is in completed years from one year on, before that in months or days; empty text without an age.
    """
    if age_years is None:
        return ""
    for unit, count in (("year", age_years), ("month", age_years * 12), ("day", age_years * 365.25)):
        whole = math.floor(count + 1e-6)
        if whole >= 1:
            age = f"{whole} {unit}{'' if whole == 1 else 's'}"
            return f"{age.removesuffix(' years').removesuffix(' year')} {sex}" if sex else age
    return f"under 1 year {sex or ''}".strip()


def capitalise(text: str) -> str:
    """First letter as a capital, the rest untouched."""
    return text[:1].upper() + text[1:]


def as_sentence(text: str) -> str:
    """Text with a capital and a full stop."""
    text = text.strip()
    return capitalise(text if text.endswith((".", "!", "?")) else f"{text}.") if text else ""


def plain(word: str | None) -> str:
    """Letters and digits of a header's word, small: ``"LOWER LEG"`` and ``"LOWERLEG"`` are one."""
    return "".join(filter(str.isalnum, word or "")).lower()


def name_body_part(header_word: str | None, statements: Statements) -> str:
    """Body part in words where the header holds one of the known terms; empty otherwise."""
    return statements.choose("body_part", plain(header_word))


def name_place(location: Location, statements: Statements) -> str:
    """Side first, then region: ``"right calf"``; unknown parts are blanks in brackets for the reader to fill in."""
    region = location.region or ""
    if location.laterality is Laterality.UNKNOWN:
        blank = statements.say("place.side_unknown")
        return f"{blank} {region}" if region else statements.say("place.unknown")
    side = statements.say(f"side.{location.laterality}")
    return f"{side} {region}" if region else statements.say("place.region_unknown", side=side)


def name_finding(pattern: model.Pattern, statements: Statements) -> str:
    """Name the finding, such as ``"peripheral rim of mineral"``, with a defining feature or the plain shape."""
    known = [name for name in _NAMING_FEATURES if pattern.features.get(name) == "yes"]
    known.append(str(pattern.features.get("morphology")))
    named = (statements.choose("pattern.finding", f"{pattern.id}_{name}") for name in known)
    plain = statements.choose("pattern.finding", pattern.id, pattern.label)
    return next(filter(None, named), plain)


def name_depth(lesion: Lesion, statements: Statements) -> str:
    """Layer and distances in words, such as ``"deep to the deep fascia, 21 mm from the skin"``."""
    depth = lesion.depth
    text = statements.say(f"depth.{depth.class_}")
    fascia_mm = depth.fascia_distance_mm if depth.class_ == "subcutaneous" else None
    named = (("skin", depth.skin_distance_mm), ("fascia", fascia_mm))
    distances = [statements.say(f"depth.{n}", distance=spell_distance(mm)) for n, mm in named if mm is not None]
    return f"{text}, {statements.join(distances)}" if distances else text


def refer_to_images(location: Location, series: model.SeriesEntry | None, *, whole_extent: bool = True) -> str:
    """Image reference in brackets, such as ``"(S 4, Im 140-166)"``; empty when no image number was recorded."""
    first, last = location.first_image, location.last_image
    if first is None or last is None or not whole_extent:
        first = last = location.key_image.instance_number if location.key_image else None
    if first is None or last is None:
        return ""
    low, high = sorted((first, last))
    images = f"Im {low}" if low == high else f"Im {low}-{high}"
    number = series.series_number if series else None
    return f"({images})" if number is None else f"(S {number}, {images})"
