"""What discovery finds: studies, their series cut into stacks, and files set aside."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Self

from calcreport.dicom.header.film_header import FilmHeader
from calcreport.dicom.header.image_header import ImageHeader, Plane
from calcreport.model.report import SeriesEntry, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """Files that belong to no study, one row a reason."""

    name: str = field(repr=False)
    """First of them, relative to the path that was given; cleaned for display."""
    code: str
    """Key of `calcreport.dicom.codes.CODES`."""
    message: str
    """What is wrong and what to do."""
    count: int
    """How many files share the reason."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesFiles:
    """One series, or one stack of it when one Series Instance UID holds several."""

    uid: str
    """Series Instance UID."""
    modality: str
    """Modality attribute."""
    number: int | None
    """Series Number."""
    description: str | None = field(repr=False)
    """Series Description, cleaned for display."""
    planes: tuple[Plane, ...] = field(repr=False)
    """Slices in file order; empty for objects that are no CT image."""
    instances: tuple[ImageHeader, ...] = field(repr=False)
    """Files."""
    films: tuple[FilmHeader, ...] = field(default=(), repr=False)
    """Radiographs in file order; empty for objects that are no radiograph."""
    stack: str = ""
    """What sets this stack apart from the others of its series, such as ``"kernel B70f"``; empty when the series is one
    stack."""
    notes: tuple[str, ...] = ()
    """What was done to get here (identical copies dropped …)."""
    problem: str | None = None
    """Code of what forbids measuring, found while sorting."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyFiles:
    """One study and its series; `notes` are sentences on its identity that a reader must see."""

    study: Study = field(repr=False)
    series: tuple[SeriesFiles, ...]
    patient_id_issuer: str | None = field(default=None, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesRanking:
    """CT stacks worth measuring, best first (`read_ct` may still refuse one), and a row for every other series."""

    candidates: tuple[SeriesFiles, ...]
    entries: tuple[SeriesEntry, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmRanking:
    """Radiographs to read, by series and instance number (`read_film` may still refuse one), and a row for all else.

    A series has a row where it, or part of it, is no candidate; CT stacks that `rank_ct_series` calls candidates have
    none.
    """

    candidates: tuple[FilmHeader, ...]
    entries: tuple[SeriesEntry, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Discovery:
    """Everything found under the paths; keeps zip archives open until closed."""

    studies: tuple[StudyFiles, ...]
    set_aside: tuple[SetAside, ...]
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    def close(self) -> None:
        """Close zip archives; images in them cannot be read any more."""
        self._open.close()

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()
