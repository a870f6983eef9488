"""``report.html``: one self-contained, printable page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from calcreport.compose import OVERVIEW_IMAGE, Narrative, Statements, film_image_name, key_image_name, narrate
from calcreport.formats.page.markup import preformat, trusted
from calcreport.formats.rendered import Rendered
from calcreport.formats.templates import Templates, render_template
from calcreport.formats.text.plain_text import write_section
from calcreport.model.lengths import Lengths
from calcreport.model.report import Excluded, Lesion, Report
from calcreport.text.excluded import name_reason
from calcreport.text.film import name_films, refer, spell_projected
from calcreport.text.flags import size_limit_mm, size_operator
from calcreport.text.impression import FLAG_NAMES, name_flag
from calcreport.text.table import list_measurements
from calcreport.text.wording import capitalise, lengths_of, name_place, spell_person

PAGE_TEMPLATE: Final = "report.html.j2"
PREVIEW: Final = "preview of "
"""Stands before the name of a picture that is embedded instead of the file: a radiograph is large."""
_FURTHER_OVERVIEW: Final = f"{OVERVIEW_IMAGE.removesuffix('.png')}_"
"""Start of the names of overviews of series after the first."""
_COPY_SCRIPT: Final = (
    'const b=document.getElementById("copy-button"),t=document.getElementById("copy-text");'
    'b.addEventListener("click",()=>{getSelection().selectAllChildren(t);'
    "(navigator.clipboard?navigator.clipboard.writeText(t.textContent):Promise.reject())"
    '.catch(()=>{document.execCommand("copy")}).then(()=>{b.textContent=b.dataset.done})});'
)
"""The one script of the page: copies the text, also from a file opened on disk, where browsers give no clipboard."""
_COPY_HASH: Final = f"sha256-{base64.b64encode(hashlib.sha256(_COPY_SCRIPT.encode()).digest()).decode()}"
_MOST_EXCLUDED: Final = 200
"""Rows of the excluded list; the JSON report has them all."""


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> Rendered:
    """Render the page: HTML in UTF-8 that loads nothing and runs no script but `_COPY_SCRIPT`.

    `pictures` are PNG by file name relative to the study's folder, as `key_image_name`, `OVERVIEW_IMAGE` and
    `film_image_name` name them, and by `PREVIEW` and that name the smaller one for the page; a picture that is not
    there is left out. Raises `TemplateError` when a template cannot be rendered.
    """
    statements = templates.statements
    narrative = narrate(report, statements)
    pictured = sum(bool(lesion.images) for lesion in report.lesions)
    page = render_template(
        templates,
        PAGE_TEMPLATE,
        is_html=True,
        report=report,
        say=narrative,
        study_date=show_date(report.study.study_date),
        identity=_identify(report, statements),
        lesions=[
            _show_lesion(report, position, narrative, statements, pictures) for position in range(len(report.lesions))
        ],
        excluded=[_show_excluded(entry, report, statements) for entry in report.excluded[:_MOST_EXCLUDED]],
        unpictured=statements.say("page.unpictured", count=pictured, total=len(report.lesions))
        if report.images and pictured < len(report.lesions)
        else "",
        centre=statements.say("page.centre_film" if _film_names(report, statements) else "page.centre"),
        overview=_embed(pictures.get(OVERVIEW_IMAGE)),
        further_overviews=[_embed(pictures[name]) for name in pictures if name.startswith(_FURTHER_OVERVIEW)],
        films=_show_films(report, statements, pictures),
        script=trusted(_COPY_SCRIPT),
        script_hash=_COPY_HASH,
        copy_text=preformat(write_section(report, templates, narrative)),
    )
    return Rendered(content=page.encode(), media_type="text/html; charset=utf-8", suffix=".html")


def show_date(date: str | None) -> str:
    """Write a DICOM date with hyphens; anything else as it is."""
    if date is None:
        return ""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isascii() and date.isdigit() else date


def show_name(name: str | None) -> str:
    """Write a DICOM person name for reading: its first group that says something, family name first."""
    groups = (", ".join(filter(None, group.split("^")[:2])) for group in (name or "").split("="))
    return next(filter(None, groups), "")


def _identify(report: Report, statements: Statements) -> list[tuple[str, str]]:
    study, patient = report.study, report.study.patient
    rows = (
        ("patient", show_name(patient.name)),
        ("patient_id", patient.id),
        ("born", show_date(patient.birth_date)),
        ("person", spell_person(patient.age_years, patient.sex) or patient.sex),
        ("study_date", show_date(study.study_date)),
        ("study", study.description),
        ("accession", study.accession_number),
    )
    return [(statements.say(f"page.{name}"), value) for name, value in rows if value]


def _show_lesion(
    report: Report, position: int, narrative: Narrative, statements: Statements, pictures: Mapping[str, bytes]
) -> dict[str, Any]:
    lesion = report.lesions[position]
    limit_mm, operator = size_limit_mm(report), size_operator(report)
    reference = refer(report, lesion, statements, whole_extent=False).strip("()")
    kind = "film_key" if lesion.location.films else "key"
    names = lesion.images or (key_image_name(lesion.id),)
    return {
        "lesion": lesion,
        "text": narrative.lesions[position],
        "where": capitalise(name_place(lesion.location, statements)),
        "longest": _longest(lesion, statements, lengths_of(report)),
        "measurements": list_measurements(lesion, refer(report, lesion, statements), statements, lengths_of(report)),
        "flags": [
            (name_flag(name, statements, size_limit_mm=limit_mm, size_operator=operator), getattr(lesion.flags, name))
            for name in FLAG_NAMES
        ],
        "scores": [
            (name, f"{score:.2f}") for name, score in sorted(lesion.pattern.scores.items(), key=lambda s: -s[1])
        ],
        "features": [(name.replace("_", " "), _show_feature(value)) for name, value in lesion.pattern.features.items()],
        "pictures": [_embed(pictures[name]) for name in names if name in pictures],
        "reference": reference,
        "caption": statements.say(
            f"picture.{kind}_caption", id=lesion.id, reference=reference or statements.say("picture.unnumbered")
        ),
        "alt": statements.say(f"picture.{kind}_alt", id=lesion.id),
    }


def _longest(lesion: Lesion, statements: Statements, lengths: Lengths) -> str:
    if lesion.location.films and lesion.mass.max_diameter_mm is None:
        return spell_projected(lesion.size, statements, lengths)
    longest_mm = lesion.mass.max_diameter_mm or lesion.size.max_diameter_mm
    return "" if longest_mm is None else lengths.spell(longest_mm)


def _film_names(report: Report, statements: Statements) -> dict[str, str]:
    """Name of each radiograph by its SOP Instance UID; empty for CT."""
    films = report.technique.films if report.technique else ()
    uids = [film.sop_instance_uid for film in films]
    return dict(zip(uids, name_films(films, statements), strict=True)) if films else {}


def _show_films(report: Report, statements: Statements, pictures: Mapping[str, bytes]) -> list[dict[str, str]]:
    shown = []
    for number, name in enumerate(_film_names(report, statements).values(), start=1):
        file = film_image_name(number)
        picture = pictures.get(f"{PREVIEW}{file}", pictures.get(file))
        if picture is not None:
            words = {"film": name, "file": file}
            caption, alt = (statements.say(f"picture.film_{what}", **words) for what in ("caption", "alt"))
            shown.append({"src": _embed(picture), "caption": capitalise(caption), "alt": capitalise(alt)})
    return shown


def _show_feature(value: float | str | bool | None) -> str:  # noqa: FBT001 - a value to print
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _show_excluded(entry: Excluded, report: Report, statements: Statements) -> dict[str, str | int]:
    reason = name_reason(entry, statements)
    return {
        "reason": f"{reason}: {entry.detail}" if entry.detail else reason,
        "count": entry.count,
        "longest": _longest_excluded(entry, statements, lengths_of(report)),
        "centre": _place_excluded(entry, report, statements),
    }


def _longest_excluded(entry: Excluded, statements: Statements, lengths: Lengths) -> str:
    if entry.max_diameter_mm is not None:
        return lengths.spell(entry.max_diameter_mm)
    return (
        "" if entry.max_diameter_px is None else statements.say("film.pixels", extents=f"{entry.max_diameter_px:.0f}")
    )


def _place_excluded(entry: Excluded, report: Report, statements: Statements) -> str:
    if entry.centroid_lps_mm is not None:
        return ", ".join(f"{coordinate:.0f}" for coordinate in entry.centroid_lps_mm)
    if entry.centroid_px is None:
        return ""
    film = _film_names(report, statements).get(entry.sop_instance_uid or "", "")
    row, column = (f"{position:.0f}" for position in entry.centroid_px)
    return statements.say("film.place", film=film, row=row, column=column)


def _embed(picture: bytes | None) -> str:
    return "" if picture is None else "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
