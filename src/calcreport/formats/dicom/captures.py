"""``sc_….dcm``: key images as secondary captures, for a PACS that shows no segmentation and no structured report."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from highdicom.sc import SCImage
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from calcreport.compose.lesions import OVERVIEW_IMAGE, film_image_name
from calcreport.dicom.header.image_header import MAKER
from calcreport.formats.characters import to_ascii
from calcreport.formats.code_table import table_of
from calcreport.formats.dicom.instance import arguments_of, finish, refer_to, study_header, untroubled
from calcreport.formats.dicom.subject import Subject, other_images
from calcreport.formats.pictures.drawing import BACKGROUND, FAINT_TEXT, TEXT, Colour, load_font, write_text
from calcreport.model.film import FilmFindings
from calcreport.model.report import Concern, FlagState, Laterality, Lesion
from calcreport.text.impression import is_assessed, list_flags, name_summary_flags
from calcreport.text.statements import Statements
from calcreport.text.wording import Presenter, name_depth, name_place, spell_mineral

LONGEST_EDGE_PX: Final = 1600
"""A whole radiograph is shown smaller than it was taken: the key images show its lesions large."""

# Layout in picture pixels: the summary is as wide as a key image, so that a viewer shows all of them alike.
_WIDTH_PX: Final = 1388
_EDGE_PX: Final = 28
_STRIP_PX: Final = 46
_OVERVIEW_PX: Final = (_WIDTH_PX - 2 * _EDGE_PX, 420)
_MOST_LINES: Final = 40  # An impression is printed whole, or with the number of sentences that are missing
_MOST_ROWS: Final = 12  # lesions
_TIE: Final = "\u00b7"  # Stands for the blank before a unit while lines are folded; ASCII text cannot hold it
_UNIT: Final = re.compile(r"(\d) (mm|cm|mm3|cm3|HU)\b")  # blank that no line ends with
# Colours of the words that the object is a draft, and of each concern.
DRAFT: Final[Colour] = (255, 196, 61)
OF_CONCERN: Final[Mapping[Concern, Colour]] = {
    Concern.HIGH: (255, 128, 118),
    Concern.FLAGGED: (255, 171, 92),
    Concern.MODIFIED: (255, 221, 87),
    Concern.INDETERMINATE: (158, 196, 245),
    Concern.NONE: (140, 214, 150),
}


def draw_summary(subject: Subject, pictures: Mapping[str, bytes]) -> Image.Image:
    """Draw the summary: that it is a draft, impression, one line a lesion with size, depth and flags, the overview.

    `pictures` are PNG by file name; there is an overview of CT alone. The result is RGB, `_WIDTH_PX` wide and as high
    as it has to be; nothing of the patient is drawn.
    """
    report, words = subject.report, subject.words
    lines = _Lines()
    lines.add(words.say("capture.summary"), size=30)
    lines.add(words.say("capture.draft"), size=26, colour=DRAFT)
    lines.height += 12
    if is_assessed(report):
        reported = [] if report.lesions else name_summary_flags(words, FlagState.PRESENT)
        flags = words.say("capture.flags", flags=words.join(reported)) if reported else ""
        lines.add(words.say(f"concern.{report.concern}") + flags, size=26, colour=OF_CONCERN[report.concern])
        lines.height += 8
    for number, item in enumerate(report.impression, start=1):
        if not lines.add(f"{number}. {item}", size=22, hang=28, at_most=_MOST_LINES):
            lines.add(words.say("capture.more", count=len(report.impression) - number + 1), size=22, colour=DRAFT)
            break
        lines.height += 6
    lines.height += 10
    for lesion in report.lesions[:_MOST_ROWS]:
        lines.add(words.say("capture.row", id=lesion.id, what=_describe(lesion, words)), size=20, hang=44)
    if len(report.lesions) > _MOST_ROWS:
        lines.add(words.say("capture.more", count=len(report.lesions) - _MOST_ROWS), size=20)
    overview = _open(pictures[OVERVIEW_IMAGE]) if OVERVIEW_IMAGE in pictures else None
    if overview is not None:
        overview.thumbnail(_OVERVIEW_PX, Image.Resampling.LANCZOS)
    software = report.software
    rules = words.reword(software.rules_version)
    maker = words.say("capture.maker", software=software.name, version=software.version, rules=rules)
    height = lines.height + (overview.height + 24 if overview else 0) + 3 * _EDGE_PX + 20
    canvas = Image.new("RGB", (_WIDTH_PX, height), BACKGROUND)
    lines.write(canvas)
    if overview is not None:
        canvas.paste(overview, (_EDGE_PX, lines.height + _EDGE_PX + 24))
    write_text(canvas, (_EDGE_PX, height - _EDGE_PX), to_ascii(maker), size=17, colour=FAINT_TEXT)
    return canvas


def draw_lesion_capture(picture: bytes, lesion: Lesion, words: Presenter) -> Image.Image:
    """Key image of a lesion under a line that names its concern and flags, and that it is a draft."""
    concern = words.say(f"concern.{lesion.concern}")
    text = words.say("capture.lesion", id=lesion.id, concern=concern, flags=_say_flags(lesion, words))
    return _under_strip(_open(picture), text, OF_CONCERN[lesion.concern], words)


def draw_film_capture(picture: bytes, words: Presenter) -> Image.Image:
    """Draw a whole radiograph, at most `LONGEST_EDGE_PX` long, under the concern of the study if any was assessed."""
    film, report = _open(picture), words.report
    film.thumbnail((LONGEST_EDGE_PX, LONGEST_EDGE_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
    concern = words.say(f"concern.{report.concern}") if is_assessed(report) else ""
    return _under_strip(film, concern, OF_CONCERN[report.concern], words)


class _Lines:
    """Lines of text one below the other."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, str, int, Colour]] = []
        self.height = _EDGE_PX

    def add(self, text: str, *, size: int, colour: Colour = TEXT, hang: int = 0, at_most: int = 10_000) -> bool:
        """Add folded text, other lines `hang` pixels further right; false, and none, above `at_most` lines in all."""
        folded = fold(to_ascii(text), size, _WIDTH_PX - 2 * _EDGE_PX, hang)
        if len(self.rows) + len(folded) > at_most:
            return False
        for position, line in enumerate(folded):
            self.rows.append((_EDGE_PX + (hang if position else 0), self.height + size // 2, line, size, colour))
            self.height += round(size * 1.4)
        return True

    def write(self, canvas: Image.Image) -> None:
        for x, y, line, size, colour in self.rows:
            write_text(canvas, (x, y), line, size=size, colour=colour)


def _describe(lesion: Lesion, words: Presenter) -> str:
    """One line: place, longest dimension, depth, concern and flags."""
    mass_mm, mineral = lesion.mass.max_diameter_mm, spell_mineral(lesion, words)
    parts = (
        name_place(lesion.location, words),
        "" if mass_mm is None else words.say("capture.mass", length=words.lengths.spell(mass_mm)),
        words.say("capture.longest", length=mineral) if mineral else "",
        name_depth(lesion, words),
        words.say(f"concern.{lesion.concern}") + _say_flags(lesion, words),
    )
    return "; ".join(filter(None, parts))


def _say_flags(lesion: Lesion, words: Presenter) -> str:
    """Flags that are met, then possible ones as such; empty without any."""
    flags = list_flags(lesion, words)
    met, possible = (
        words.join([name for name, flag in flags if flag.state is wanted])
        for wanted in (FlagState.PRESENT, FlagState.POSSIBLE)
    )
    named = "; ".join(filter(None, (met, words.say("capture.possible", flags=possible) if possible else "")))
    return words.say("capture.flags", flags=named) if named else ""


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def _under_strip(picture: Image.Image, text: str, colour: Colour, say: Statements) -> Image.Image:
    draft = say.say("capture.draft")
    width = max(picture.width, 900)
    size = 20
    room = width - 2 * _EDGE_PX - round(_length(draft, size)) - 30
    lines = fold(to_ascii(text), size, room, 0)
    top = _STRIP_PX + (len(lines) - 1) * 28
    canvas = Image.new("RGB", (width, top + picture.height), BACKGROUND)
    for position, line in enumerate(lines):
        write_text(canvas, (14, _STRIP_PX / 2 + 28 * position), line, size=size, colour=colour)
    write_text(canvas, (width - 14, _STRIP_PX / 2), to_ascii(draft), size=size, colour=DRAFT, anchor="rm")
    ImageDraw.Draw(canvas).line((0, top - 1, width, top - 1), fill=FAINT_TEXT)
    canvas.paste(picture, (0, top))
    return canvas


def fold(text: str, size: int, width_px: int, hang: int) -> Sequence[str]:
    """Fold ASCII text to lines of `width_px`; a number stays with its unit, a word longer than a line stands alone.

    `size` of the type and `hang`, by which lines after the first are shorter, are in picture pixels too.
    """
    lines = [""]
    for word in _UNIT.sub(rf"\1{_TIE}\2", text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _length(longer, size) > width_px - (hang if len(lines) > 1 else 0):
            lines.append(word)
        else:
            lines[-1] = longer
    return [line.replace(_TIE, " ") for line in lines]


def _length(text: str, size: int) -> float:
    return float(load_font(size).getlength(text))


_SIDES: Final = {Laterality.LEFT: "L", Laterality.RIGHT: "R"}  # in the header
_WHAT: Final = {
    "summary": "Summary of measurements and red flags",
    "lesion": "Key image with outline, measurements and red flags burned in",
    "film": "Radiograph with outlines burned in",
}
"""Derivation Description by kind of capture."""


def write_captures(subject: Subject, pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Write the secondary captures, colour, patient-free but for the header; Instance Number as in the name.

    ``sc_1.dcm`` is the summary, then each key image of each lesion, then whole radiographs. A picture that `pictures`
    (PNG by file name relative to the study's folder) lacks is left out. Raises `UsageError` ``render.other_images``
    when the study lacks an image of the report.
    """
    side = _side(subject)
    return {
        f"sc_{number}.dcm": _write(subject, picture, kind, sources, side=side, number=number)
        for number, (kind, picture, sources) in enumerate(_draw(subject, pictures), start=1)
    }


def _draw(subject: Subject, pictures: Mapping[str, bytes]) -> Iterator[tuple[str, Image.Image, list[str]]]:
    """Kind, picture and source images of each capture, in order."""
    words, lesions = subject.words, subject.report.lesions
    yield "summary", draw_summary(subject, pictures), [uid for lesion in lesions for uid in _images_of(lesion)[:1]]
    for lesion in lesions:
        uids = _images_of(lesion)
        for view, name in enumerate(lesion.images):
            if name in pictures:
                yield "lesion", draw_lesion_capture(pictures[name], lesion, words), uids[view : view + 1]
    films = subject.findings.films if isinstance(subject.findings, FilmFindings) else ()
    for number, film in enumerate(films, start=1):
        content = pictures.get(film_image_name(number))
        if content is not None:
            yield "film", draw_film_capture(content, words), [film.reference.sop_instance_uid]


def _images_of(lesion: Lesion) -> list[str]:
    """SOP Instance UIDs of the images that its pictures were drawn from, one a picture."""
    place = lesion.location
    shown = place.films or ((place.key_image,) if place.key_image else ())
    return [image.sop_instance_uid for image in shown]


def _write(subject: Subject, picture: Image.Image, kind: str, sources: list[str], *, side: str, number: int) -> bytes:
    header, revision = study_header(subject), subject.revision
    # wording and drawing are no part of the report: what looks different is another instance
    name = f"{number} {hashlib.sha256(picture.tobytes()).hexdigest()}"
    with untroubled():
        made: Dataset = SCImage(
            pixel_array=np.asarray(picture),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            study_instance_uid=header.StudyInstanceUID,
            patient_orientation=("L", "P"),
            **arguments_of(subject, "sc", name),
        )
        made.PatientOrientation = ""  # several panels: the letters are in the picture
        made.ConversionType = "WSD"
        made.BurnedInAnnotation = "YES"
        made.DerivationDescription = f"{_WHAT[kind]} by {MAKER} {subject.report.software.version}; draft, not verified"
        made.DateOfSecondaryCapture = revision.created.strftime("%Y%m%d")
        made.TimeOfSecondaryCapture = revision.created.strftime("%H%M%S")
        made.LossyImageCompression = header.get("LossyImageCompression") or "00"
        part = header.get("BodyPartExamined")
        if part:
            made.BodyPartExamined = part
        if part not in table_of("unpaired"):  # of a paired part the side has to be there, if only empty
            made.Laterality = side
        if sources:
            if not all(uid in subject.source for uid in sources):
                raise other_images()
            made.SourceImageSequence = [refer_to(subject.source.header(uid)) for uid in dict.fromkeys(sources)]
    return finish(made, subject, kind="sc", number=number, name=name)


def _side(subject: Subject) -> str:
    """Side of the whole series: that of all lesions, else of the header; empty where they differ or none is stated."""
    header = study_header(subject)
    sides = {_SIDES.get(lesion.location.laterality, "") for lesion in subject.report.lesions}
    stated = header.get("Laterality") or header.get("ImageLaterality")
    if sides <= {""}:
        return stated if stated in {"L", "R"} else ""
    side = sides.pop() if len(sides) == 1 else ""
    return "" if stated in {"L", "R"} and stated != side else side
