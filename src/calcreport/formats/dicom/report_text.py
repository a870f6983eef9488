"""Sections of the report as text: what the coded items cannot say, in the words of the text section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.sr.coding import Code

from calcreport.compose import Narrative, Statements, narrate
from calcreport.formats.characters import to_ascii
from calcreport.formats.dicom import codes
from calcreport.model.report import Report

_LINE_BREAK = "\r\n"
"""As PS3.5 6.1.3 wants it in text of several lines."""


def sections(report: Report, statements: Statements, section: str) -> Iterator[tuple[Code, str]]:
    """Name and text of every section; 7-bit ASCII, an empty one is left out, `section` is the report section."""
    words = narrate(report, statements)
    told = (
        (codes.FINDINGS, [*_lesions(words), *words.other]),
        (codes.IMPRESSIONS, _number(words.impression)),
        (codes.RECOMMENDATIONS, [*_number(words.recommendations), words.communication]),
        (codes.LIMITATIONS, [*words.limitations, words.draft]),
        (codes.REVIEW_AUDIT, _audit(words)),
    )
    for name, lines in told:
        text = _LINE_BREAK.join(to_ascii(line) for line in lines if line)
        if text:
            yield name, text
    yield codes.REPORT_SECTION, _LINE_BREAK.join(map(to_ascii, section.rstrip("\n").split("\n")))


def _lesions(words: Narrative) -> Iterator[str]:
    for lesion in words.lesions:
        yield f"{lesion.title}: {lesion.place}"
        yield " ".join(lesion.sentences)


def _audit(words: Narrative) -> list[str]:
    """Say what a reader decided of each lesion: who, when, what, before and after."""
    decided = [f"{lesion.id}: {lesion.review}" for lesion in words.lesions if lesion.review]
    return [*decided, *(entry.sentence for entry in words.rejected)]


def _number(sentences: Sequence[str]) -> list[str]:
    return [f"{position}. {sentence}" for position, sentence in enumerate(sentences, start=1)]
