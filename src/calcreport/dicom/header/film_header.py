"""One radiograph as discovery finds it: its header, nothing decoded yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from calcreport.dicom.header import tags, values
from calcreport.dicom.header.elements import Item, Selection
from calcreport.dicom.header.image_header import ImageHeader
from calcreport.dicom.header.parsing import walk_again

# Read with the header; a polygon of a thousand vertices has 16 384 bytes.
_SELECTION: Final = Selection(wanted=tags.FILM_WANTED, nested=tags.FILM_NESTED, longest=16_384)
_TABLES: Final = Selection(
    wanted=frozenset((tags.LUT_DESCRIPTOR, tags.LUT_DATA)),
    nested=frozenset((tags.MODALITY_LUT, tags.VOI_LUT)),
    longest=131_072,
)  # read with the film; a lookup table has at most 65 536 entries of 16 bits (PS3.3 C.11.1.1.1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmHeader:
    """One radiograph that may be read."""

    image: ImageHeader = field(repr=False)
    item: Item = field(repr=False)  # raw attributes of `tags.FILM_WANTED`
    notes: tuple[str, ...] = ()  # what was found while sorting; no patient data

    def raw(self, tag: int) -> bytes | None:
        """Value of an attribute of the data set as it stands in the file, or ``None``."""
        return self.item.values.get(tag)

    def word(self, tag: int) -> str | None:
        """Coded string of an attribute, in capitals and cleaned, or ``None`` when it is empty."""
        return values.keyword(self.raw(tag))

    @property
    def image_type(self) -> tuple[str, ...]:
        """Image Type."""
        return values.keywords(self.raw(tags.IMAGE_TYPE))

    @property
    def is_for_processing(self) -> bool:
        """Whether it is the detector's unprocessed image, by its storage class or by its Presentation Intent Type."""
        is_class = self.image.series.sop_class_uid == tags.DX_FOR_PROCESSING
        return is_class or self.word(tags.PRESENTATION_INTENT) == "FOR PROCESSING"


def film_of(image: ImageHeader) -> FilmHeader:
    """Radiograph of a file whose storage class says that it is one.

    Raises `NotDicomError` as for `calcreport.dicom.header.parsing.read_header`.
    """
    return FilmHeader(image=image, item=walk_again(image, _SELECTION))


def tables_of(film: FilmHeader) -> Item:
    """Modality and VOI lookup tables with their data; read from the file, for discovery leaves them there."""
    return walk_again(film.image, _TABLES)
