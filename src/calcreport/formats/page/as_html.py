"""``report.html``: one self-contained, printable page; ``index.html``: one row a study, when there are several."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal
from urllib.parse import quote

from calcreport.compose.lesions import OVERVIEW_IMAGE, film_image_name, key_image_name
from calcreport.formats.characters import make_visible, to_ascii
from calcreport.formats.ris.items import day
from calcreport.formats.ris.sections import cut_sections
from calcreport.formats.templates import Templates, inline_script, preformat, render_template, trusted
from calcreport.formats.text.as_text import write_section
from calcreport.model.report import Concern, Excluded, FlagState, Lesion, Report, Study, YesNo
from calcreport.text.film import name_films, refer
from calcreport.text.impression import changes_management, list_flags, longest_mm
from calcreport.text.narrative import Narrative, narrate
from calcreport.text.technique import name_reason
from calcreport.text.wording import Presenter, capitalise, name_depth, name_place, present, spell_mineral, spell_person

PAGE_TEMPLATE: Final = "report.html.j2"  # of one study
INDEX_TEMPLATE: Final = "index.html.j2"  # of several
_SCRIPT: Final = "page.js"  # the one script of the page
PREVIEW: Final = "preview of "
"""Stands before the name of a picture that is embedded instead of the file: a radiograph is large."""
_OVERVIEW: Final = OVERVIEW_IMAGE.removesuffix(".png")  # start of the names of the overviews of all series
_LEAST_DAYS: Final = 3  # of a curve: two lengths are compared in words
_MOST_EXCLUDED: Final = 200  # rows of the excluded list; the JSON report has them all
_MOST_OPEN: Final = 3  # Lesions whose details stand open: as many as the text describes in full
_LONGEST_ON_SHEET: Final = 64
"""Characters of a name or id in the head of a printed sheet, the longest that the standard allows."""
_LONGEST_ON_PAGE: Final = 324
"""Characters of a name or id on the page, five groups of 64: a line of 3,000 takes the printer of pages 20 s."""


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:
    """Render the page: HTML in UTF-8 that loads nothing and runs no script but ``page.js``, named by its hash.

    `pictures` are PNG by file name relative to the study's folder, as `key_image_name`, `OVERVIEW_IMAGE` and
    `film_image_name` name them, and by `PREVIEW` and that name the smaller one for the page; others are left out.
    """
    words = present(report, templates.statements)
    narrative, identity = narrate(report, words), _identify(words)
    pictured = sum(bool(lesion.images) for lesion in report.lesions)
    page = render_template(
        templates,
        PAGE_TEMPLATE,
        is_html=True,
        report=report,
        say=narrative,
        study_date=show_date(report.study.study_date),
        identity=identity.values(),
        sheet=_head_of_sheets(identity, words),
        lesions=_show_lesions(narrative, words, pictures),
        excluded=[_show_excluded(entry, words) for entry in report.excluded[:_MOST_EXCLUDED]],
        unpictured=words.say("page.unpictured", count=pictured, total=len(report.lesions))
        if report.images and pictured < len(report.lesions)
        else "",
        centre="centre_film" if words.films else "centre",
        wholes=_show_wholes(words, pictures),
        skeleton=_review_file(narrative, words),
        ranks={concern.value: rank for rank, concern in enumerate(Concern)},
        copy_text=preformat(write_section(report, templates, narrative)),
        parts=[
            (part.name, preformat(part.text))
            for part in cut_sections(report, templates)
            if part.name in {"findings", "impression"}
        ],
        **inline_script(templates.texts.get(_SCRIPT, "").replace("\r\n", "\n").replace("</", "<\\/")),
    )
    return page.encode()


def show_date(date: str | None) -> str:
    """Write a DICOM date with hyphens; anything else as it is."""
    is_plain = date is not None and len(date) == 8 and date.isascii() and date.isdigit()
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if date and is_plain else date or ""


def show_name(name: str | None) -> str:
    """Write a DICOM person name for reading: its first group that says something, family name first."""
    groups = (", ".join(filter(None, group.split("^")[:2])) for group in (name or "").split("="))
    return next(filter(None, groups), "")


def _identify(words: Presenter) -> dict[str, tuple[str, str]]:
    """Name and value of what tells patient and study apart, each by its key."""
    study, patient = words.report.study, words.report.study.patient
    rows = (
        ("patient", show_name(patient.name)),
        ("patient_id", patient.id),
        ("born", show_date(patient.birth_date)),
        ("person", spell_person(patient.age_years, patient.sex) or patient.sex),
        ("study_date", show_date(study.study_date)),
        ("study", study.description),
        ("accession", study.accession_number),
    )
    cut = ((name, value, value[:_LONGEST_ON_PAGE]) for name, value in rows if value)
    return {name: (words.say(f"page.{name}"), head + "…" * (head != value)) for name, value, head in cut}


def _head_of_sheets(identity: Mapping[str, tuple[str, str]], words: Presenter) -> dict[str, Any]:
    """What stands at the edges of every printed sheet, as the inside of CSS strings."""

    def join(*names: str) -> str:
        named = [identity[name] for name in names if name in identity]
        return "; ".join(f"{name}: {value[:_LONGEST_ON_SHEET]}" for name, value in named)

    software = f"{words.report.software.name} {words.report.software.version}"
    head = {
        "patient": join("patient", "patient_id", "born"),
        "draft": words.say("capture.draft"),
        "maker": "; ".join(filter(None, (words.say("page.title"), join("study_date"), software))),
    }
    return {name: trusted(_escape_css(text)) for name, text in head.items()}


def _escape_css(text: str) -> str:
    """Write text so that it cannot end a CSS string or a style element: all but plain characters by their number."""
    plain = make_visible(text)
    return "".join(c if c.isascii() and (c.isalnum() or c in " .,:-") else f"\\{ord(c):x} " for c in plain)


def _show_lesions(narrative: Narrative, words: Presenter, pictures: Mapping[str, bytes]) -> list[dict[str, Any]]:
    lesions = words.report.lesions
    pressing = [lesion.id for lesion in lesions if changes_management(lesion)][:_MOST_OPEN]
    opened = pressing or [lesion.id for lesion in lesions[:1]]
    # on a radiograph the whole film stands beside the text, and no second picture has room there
    lead = [lesion.id for lesion in lesions if lesion.id in opened and not lesion.location.films][:1]
    return [
        _show_lesion(lesion, words, pictures)
        | {"text": text, "is_open": lesion.id in opened, "is_lead": lesion.id in lead and bool(_overviews(pictures))}
        for lesion, text in zip(lesions, narrative.lesions, strict=True)
    ]


def _show_lesion(lesion: Lesion, words: Presenter, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    from calcreport.formats.pictures.drawing import cut_thumbnail  # noqa: PLC0415 - text and JSON alone draw nothing

    mass_mm, pattern = lesion.mass.max_diameter_mm, lesion.pattern
    reference = refer(lesion, words, whole_extent=False).strip("()")
    kind = "film_key" if lesion.location.films else "key"
    shown = [pictures[name] for name in lesion.images or (key_image_name(lesion.id),) if name in pictures]
    flags = list_flags(lesion, words)
    return {
        "lesion": lesion,
        "where": capitalise(name_place(lesion.location, words)),
        "longest": words.lengths.spell(mass_mm) if mass_mm else spell_mineral(lesion, words),
        "depth": capitalise(name_depth(lesion, words)),
        "told_flags": ", ".join(
            words.say(f"page.flag_{state}", flag=name)
            for state in (FlagState.PRESENT, FlagState.POSSIBLE, FlagState.EXPLAINED)
            for name, flag in flags
            if flag.state is state
        ),
        "longest_mm": longest_mm(lesion) or lesion.size.max_diameter_px,
        "flags": flags,
        "scores": [(name, f"{score:.2f}") for name, score in sorted(pattern.scores.items(), key=lambda s: -s[1])],
        "features": [(name, _show_feature(value)) for name, value in pattern.features.items()],
        "curve": _curve(lesion, words),
        "pictures": [_embed(picture) for picture in shown],
        "thumbnail": _embed(cut_thumbnail(shown[0], panel=int(kind == "film_key"))) if shown else "",
        "reference": reference,
        "caption": words.say(
            f"picture.{kind}_caption", id=lesion.id, reference=reference or words.say("picture.unnumbered")
        ),
        "alt": words.say(f"picture.{kind}_alt", id=lesion.id),
    }


def _curve(lesion: Lesion, words: Presenter) -> list[tuple[int, int, str, str]]:
    """Where the length stands on every day in percent of a curve, with day and length; empty below three days."""
    growth = lesion.growth
    if growth is None or growth.comparable is not YesNo.YES:
        return []
    now = (words.report.study.study_date, growth.now_mm)
    given = (*growth.earlier_lengths, (growth.prior_date, growth.before_mm), now)
    known = dict(sorted((date.fromisoformat(day(text)), mm) for text, mm in given if mm and day(text)))
    if len(known) < _LEAST_DAYS:
        return []
    first, *_, last = known
    return [
        (round(100 * (at - first) / (last - first)), round(100 - 100 * mm / max(known.values())),
         at.isoformat(), words.lengths.spell(mm))
        for at, mm in known.items()
    ]  # fmt: skip


def _review_file(narrative: Narrative, words: Presenter) -> str:
    """``review.yaml`` to fill in, as an address; every decision is a comment: nothing is decided that nobody read."""
    lines = [*(f"# {words.say(f'page.review_{line}')}" for line in ("head", "hint")), "# reader: ", "lesions:"]
    for lesion, text in zip(words.report.lesions, narrative.lesions, strict=True):
        name, size = json.dumps(lesion.id), lesion.size.max_diameter_mm
        corrected = {
            "decision": "correct",
            "pattern": lesion.pattern.id,
            "depth_class": lesion.depth.class_,
            "laterality": lesion.location.laterality,
            **({} if size is None else {"max_diameter_mm": round(size, 1)}),
            "mass": {"present": lesion.mass.present},
        }
        decisions = ("accept", {"decision": "reject", "reason": "..."}, corrected)
        lines += [f"# {text.title}: {text.place}", *(f"#  {name}: {json.dumps(verdict)}" for verdict in decisions)]
    content = "\n".join(map(to_ascii, lines)) + "\n"
    return f"data:text/yaml;base64,{base64.b64encode(content.encode()).decode()}" if words.report.lesions else ""


def _show_wholes(words: Presenter, pictures: Mapping[str, bytes]) -> list[dict[str, str]]:
    """Overviews of the series, then radiographs."""
    alt, caption = (words.say(f"picture.overview_{what}") for what in ("alt", "caption"))
    shown = [{"src": _embed(picture), "caption": caption, "alt": alt} for picture in _overviews(pictures)]
    for number, name in enumerate(name_films(words.films, words), start=1):
        file = film_image_name(number)
        picture = pictures.get(f"{PREVIEW}{file}", pictures.get(file))
        if picture is not None:
            caption, alt = (
                capitalise(words.say(f"picture.film_{x}", film=name, file=file)) for x in ("caption", "alt")
            )
            shown.append({"src": _embed(picture), "caption": caption, "alt": alt})
    return shown


def _overviews(pictures: Mapping[str, bytes]) -> list[bytes]:
    return [picture for name, picture in pictures.items() if name.startswith(_OVERVIEW)]


def _show_feature(value: float | str | bool | None) -> str:  # noqa: FBT001 - a value to print
    """Print a value as ``report.json`` has it."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _show_excluded(entry: Excluded, words: Presenter) -> tuple[str | int, ...]:
    """Reason, number of parts, longest dimension and centre of what was excluded."""
    reason, longest, place = name_reason(entry, words), "", ""
    if entry.max_diameter_mm is not None:
        longest = words.lengths.spell(entry.max_diameter_mm)
    elif entry.max_diameter_px is not None:
        longest = words.say("film.pixels", extents=f"{entry.max_diameter_px:.0f}")
    if entry.centroid_lps_mm is not None:
        place = ", ".join(f"{coordinate:.0f}" for coordinate in entry.centroid_lps_mm)
    elif entry.centroid_px is not None:
        uids = [film.sop_instance_uid for film in words.films]
        named = dict(zip(uids, name_films(words.films, words), strict=True))
        row, column = (f"{position:.0f}" for position in entry.centroid_px)
        place = words.say("film.place", film=named.get(entry.sop_instance_uid or "", ""), row=row, column=column)
    return f"{reason}: {entry.detail}" if entry.detail else reason, entry.count, longest, place


def _embed(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A study in the index."""

    folder: str
    """Name of its folder beside the index; empty when it has no page."""
    status: Literal["reported", "no_calcification", "refused"]
    title: str = ""
    patient: str = ""
    date: str = ""
    lesion_count: int | None = None
    concern: Concern | None = None
    """Lesions and highest concern; ``None`` when nothing was measured."""
    message: str = ""
    """Why it was refused, and what to do."""

    @classmethod
    def of(cls, study: Study, **more: Any) -> IndexEntry:  # noqa: ANN401 - fields
        """Row of a study, with what its header says."""
        title = study.description or study.body_part or study.modality
        patient = " ".join(filter(None, (show_name(study.patient.name), study.patient.id)))
        return cls(title=title, patient=patient, date=show_date(study.study_date), **more)

    @property
    def link(self) -> str:
        """Address of its page; empty when it has none."""
        has_page = self.folder and self.status != "refused"
        return f"{quote(self.folder, safe='')}/report.html" if has_page else ""


def index_entry(report: Report, folder: str) -> IndexEntry:
    """Make the row of a reported study."""
    return IndexEntry.of(
        report.study,
        folder=folder,
        status="reported" if report.lesions or report.rejected else "no_calcification",
        lesion_count=len(report.lesions),
        concern=report.concern if report.lesions or report.concern is not Concern.NONE else None,
    )


def render_index(entries: Sequence[IndexEntry], templates: Templates, *, software: str) -> bytes:
    """Render the index page, most severe study first, refused ones right behind those of high concern."""
    rows = sorted(entries, key=_urgency)
    return render_template(templates, INDEX_TEMPLATE, is_html=True, rows=rows, software=software).encode()


def _urgency(entry: IndexEntry) -> tuple[float, str, str]:
    rank = len(Concern) if entry.concern is None else list(Concern).index(entry.concern)
    return (0.5 if entry.status == "refused" else float(rank), entry.date, entry.folder)
