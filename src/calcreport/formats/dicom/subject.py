"""What the DICOM objects of one study are made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from calcreport.compose import Statements
from calcreport.dicom.source_images import SourceImages
from calcreport.errors import UsageError
from calcreport.formats.dicom.revision import Revision
from calcreport.model.film import FilmFindings, ProjectedLesion
from calcreport.model.image import CtVolume
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.report import Lesion, Report


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """One reported study."""

    report: Report = field(repr=False)
    """Content of the objects."""
    findings: CtFindings | FilmFindings
    """Masks, lines and films behind it."""
    order: tuple[int, ...]
    """For each lesion of the report its index in `findings`."""
    volume: CtVolume | None
    """The best measured series; ``None`` for radiographs."""
    source: SourceImages
    """Headers of every image of the study that was measured."""
    section: str = field(repr=False)
    """The report section as text: ASCII, lines of at most 80 columns."""
    statements: Statements
    revision: Revision
    """UIDs, time, and what this draft supersedes."""
    further_volumes: tuple[CtVolume, ...] = ()
    """Series measured beside it, each of another part of the body."""

    @property
    def volumes(self) -> tuple[CtVolume, ...]:
        """Measured series, by `MeasuredLesion.series_index`; empty for radiographs."""
        return () if self.volume is None else (self.volume, *self.further_volumes)

    @property
    def lesions(self) -> tuple[tuple[Lesion, MeasuredLesion | ProjectedLesion], ...]:
        """Lesions in the order of the report, which holds rejected ones apart, each with what was measured of it."""
        pairs = zip(self.report.lesions, self.order, strict=True)
        return tuple((lesion, self.findings.lesions[index]) for lesion, index in pairs)


def other_images() -> UsageError:
    """Error for an image that the report names and the study does not have."""
    msg = "the images found are not those the report was made from; name the study with --study, or analyse it anew"
    return UsageError(msg, code="render.other_images")


def damaged_shape() -> UsageError:
    """Error for a lesion without any voxel or pixel."""
    msg = "the report does not hold where its lesions are, or it was damaged; take the original one or analyse anew"
    return UsageError(msg, code="render.damaged_shape")
