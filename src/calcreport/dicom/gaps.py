"""What a few images of a series leave out and the rest makes certain; whether all of them name one person.

Nothing is filled in that would be a guess: attributes of which the series knows several values, positions, spacings and
scales stay missing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from calcreport.dicom.header.image_header import ImageHeader, PatientHeader, Plane

_MOST_MISSING: Final = 0.5
"""Where more than this part of the images leaves an attribute out, the rest may be of another kind."""


def filled(planes: Sequence[Plane]) -> tuple[list[Plane], tuple[str, ...]]:
    """Slices of one series with Image Type and kernel where only the others state them, and notes for the reader."""
    kept, notes = list(planes), []
    for field, name in (("image_type", "Image Type"), ("kernel", "The kernel")):
        stated = [getattr(plane, field) or () for plane in kept]
        known, missing = set(filter(any, stated)), sum(not any(value) for value in stated)
        if len(known) == 1 and 0 < missing < _MOST_MISSING * len(kept):
            change: dict[str, Any] = {field: known.pop()}
            kept = [p if any(value) else replace(p, **change) for p, value in zip(kept, stated, strict=True)]
            notes.append(f"{name} is missing in {missing} images; it was taken from the others.")
    return kept, tuple(notes)


def pixel_notes(images: Sequence[ImageHeader]) -> tuple[str, ...]:
    """Notes on pixel attributes that the reader worked out, each once."""
    names = sorted({name for image in images for name in image.pixels.derived})
    return (f"Missing in the header and worked out from the other pixel attributes: {', '.join(names)}.",) * bool(names)


def has_mixed_bits(images: Sequence[ImageHeader]) -> bool:
    """Whether a place of the bits that was worked out differs from that of other images of the series."""
    pixels = [image.pixels for image in images]
    is_derived = any(part.derived for part in pixels)
    return is_derived and len({(part.bits_stored, part.high_bit) for part in pixels}) > 1


def are_one_person(patients: Sequence[PatientHeader]) -> bool:
    """Whether the images of a series name one patient.

    Patient ID must be the same. Name and day of birth may be missing from an image that still says whose it is by
    another of these; what two images state must agree.
    """
    identities = set(map(_identity, set(patients)))
    fullest = max(identities, key=lambda fields: sum(map(bool, fields)), default=())
    for fields in identities:
        shared = [(one, other) for one, other in zip(fields, fullest, strict=True) if one and other]
        if fields[0] != fullest[0] or (fields != fullest and not shared):
            return False
    return all(len({fields[place] for fields in identities} - {""}) <= 1 for place in range(len(fullest)))


def _identity(patient: PatientHeader) -> tuple[str, ...]:
    """Id, day of birth and each group of the name; carets, blanks and case of a name do not matter."""
    groups = [*(patient.name or "").split("=", 2), "", ""][:3]
    names = (unicodedata.normalize("NFKC", group).casefold() for group in groups)
    return (
        patient.patient_id or "",
        patient.birth_date or "",
        *("".join(c for c in name if c.isalnum()) for name in names),
    )
