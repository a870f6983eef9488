"""What the millimetres of a radiograph mean (PS3.3 10.7.1), and which part of it was exposed.

A projection enlarges everything by the distance source-detector over source-object. Imager Pixel Spacing holds at the
detector. Pixel Spacing holds at the detector too unless the film was calibrated, and Pixel Spacing Calibration Type
says whether it was: by geometry (assumed distances) or by a fiducial (an object of known size). Where the header leaves
it open the detector plane is taken, since what is measured there is an upper limit of the true size:

=====================  =====================  ====================================================================
Pixel Spacing          Imager Pixel Spacing   scale
=====================  =====================  ====================================================================
calibration type       differs or none        calibrated, unless something contradicts it: then detector
calibration type       equal                  detector: equal values mean that nothing was corrected (10.7.1.3)
no type, equal         equal                  detector
no type, differs       differs                detector, by the larger of the two, which never makes a lesion smaller
none                   present                detector
no type                none                   detector, with a note: on CR this is customarily the plate's sampling
none                   none                   none: pixels only
=====================  =====================  ====================================================================

Differing values mean that the film was calibrated (10.7.1.3), but also occur where a resampled copy kept one of them;
what the calibrated plane would be is not said. An impossible spacing is not used, with a note on what is wrong. Nominal
Scanned Pixel Spacing is the sampling of digitised paper or film at the sheet, which for a contact film is the
detector's plane; it is only mentioned, never used. Magnification is shown and never applied.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.contour.polygons import fill_polygon
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.image_header import FilmHeader
from calcreport.model.film import FilmScale, ScaleKind

Spacing = tuple[float, float]  # rows, columns, mm

_SPACING_MM: Final = (0.01, 2.0)  # detectors sample at 0.05 to 0.4 mm; a reduced copy may reach 1 or 2 mm
_CALIBRATIONS: Final = frozenset(("GEOMETRY", "FIDUCIAL"))  # Pixel Spacing Calibration Type, PS3.3 10.7.1.1
_SAME: Final = 0.001  # spacings within 0.1 % are equal: they differ by the rounding of decimal strings
_CONTRADICTS: Final = 0.02  # magnifications differing by more contradict each other: rounding stays below 1 %
_MAGNIFICATIONS: Final = (1.0, 2.5)  # nothing is projected smaller than it is; beyond 2.5 it is no radiograph
_LONG_MM: Final = 600.0  # no detector is longer than 0.45 m or so: a longer image was stitched from several exposures
# Words of Image Type or the description of a film composed of several exposures.
_STITCHED: Final = frozenset(("STITCHED", "COMPOSED", "COMPOSITE", "MOSAIC", "STITCH", "COMPOSING"))


def scale_of(film: FilmHeader) -> FilmScale:
    """Scale of a film; contradictions become notes, and never a calibrated scale."""
    notes: list[str] = []
    pixel = _spacing(film, tags.PIXEL_SPACING, "Pixel Spacing", notes)
    imager = _spacing(film, tags.IMAGER_SPACING, "Imager Pixel Spacing", notes)
    magnification = magnification_of(film, notes)
    calibration = _calibration(film, notes)
    stitched = _stitched(film, _larger(pixel, imager))
    if stitched:
        notes.append(f"{stitched} Magnification is not constant over such an image.")
        magnification = None
    if not calibration or not pixel:
        return _uncalibrated(film, pixel, imager, magnification, notes)
    if imager and _are_equal(pixel, imager):
        notes.append("A calibration is stated, but Pixel Spacing is that of the detector: nothing was corrected.")
        return _scale(imager, magnification, notes)
    doubt = _doubt(calibration, pixel, imager, magnification)
    if not doubt and not stitched:
        if _contradict(pixel, imager, magnification):
            notes.append("The stated magnification is not that of the calibrated plane and is not shown.")
            magnification = None
        return _scale(pixel, magnification, notes, calibration)
    if doubt:
        notes.append(doubt)
        magnification = None
    if imager is None:
        notes.append("The calibration is not used, and the spacing at the detector is not stated.")
        return _none(film, notes)
    notes.append("The calibration is not used: lengths are at the detector.")
    return _scale(_larger(pixel, imager), magnification, notes)


def _uncalibrated(
    film: FilmHeader, pixel: Spacing | None, imager: Spacing | None, magnification: float | None, notes: list[str]
) -> FilmScale:
    if pixel is None and imager is None:
        return _none(film, notes)
    if imager is None:
        notes.append("The plane in which Pixel Spacing holds is not stated; it is taken as the detector's.")
    elif pixel and not _are_equal(pixel, imager):
        notes.append(
            "Pixel Spacing and Imager Pixel Spacing differ and the way of calibration is not stated: the larger is "
            "used, as at the detector."
        )
    return _scale(_larger(pixel, imager), magnification, notes)


def _scale(
    spacing: Spacing | None, magnification: float | None, notes: list[str], calibration: str | None = None
) -> FilmScale:
    """Scale at the detector, or the calibrated one."""
    if spacing and abs(spacing[0] / spacing[1] - 1) > _SAME:
        notes.append(f"Pixels are not square ({spacing[0]:g} x {spacing[1]:g} mm); lengths follow both spacings.")
    return FilmScale(
        kind=ScaleKind.CALIBRATED if calibration else ScaleKind.DETECTOR,
        spacing_mm=spacing,
        calibration=calibration,
        magnification=magnification,
        notes=tuple(notes),
    )


def _none(film: FilmHeader, notes: list[str]) -> FilmScale:
    if values.decimals(film.raw(tags.SCANNED_SPACING), 2):
        notes.append("Nominal Scanned Pixel Spacing is that of a digitised sheet and is not used.")
    if len(set(values.decimals(film.raw(tags.ASPECT_RATIO), 2) or ())) == 2:
        notes.append("Pixels are not square (Pixel Aspect Ratio): even lengths in pixels depend on direction.")
    return FilmScale(kind=ScaleKind.NONE, notes=tuple(notes))


def _spacing(film: FilmHeader, tag: int, name: str, notes: list[str]) -> Spacing | None:
    """Spacing between rows, between columns, in mm, or ``None`` with a note on what is wrong with it."""
    raw = film.raw(tag) or b""
    if not values.strip(raw):
        return None
    numbers = values.decimals(raw, 2)
    if numbers is None:
        wrong = "is not made of plain decimal numbers" if raw.count(b"\\") == 1 else "does not hold two numbers"
    elif min(numbers) < 0:
        wrong = "is negative"
    elif min(numbers) == 0:
        wrong = "is zero"
    elif min(numbers) < _SPACING_MM[0] or max(numbers) > _SPACING_MM[1]:
        wrong = f"lies outside {_SPACING_MM[0]:g} to {_SPACING_MM[1]:g} mm"
    else:
        return numbers[0], numbers[1]
    notes.append(f"{name} {wrong} and is not used.")
    return None


def _calibration(film: FilmHeader, notes: list[str]) -> str | None:
    kind = film.word(tags.CALIBRATION_TYPE)
    if kind is None or kind in _CALIBRATIONS:
        return kind
    notes.append("Pixel Spacing Calibration Type is not one of the defined terms and is not used.")
    return None


def magnification_of(film: FilmHeader, notes: list[str]) -> float | None:
    """Enlargement at the patient, as stated or from the distances; ``None``, with notes, when it cannot be true."""
    stated = _positive(film, tags.MAGNIFICATION, "Estimated Radiographic Magnification Factor", notes)
    detector = _positive(film, tags.DISTANCE_TO_DETECTOR, "Distance Source to Detector", notes)
    patient = _positive(film, tags.DISTANCE_TO_PATIENT, "Distance Source to Patient", notes)
    derived = detector / patient if detector and patient else None
    if stated is not None and not _MAGNIFICATIONS[0] <= stated <= _MAGNIFICATIONS[1]:
        notes.append(f"Estimated Radiographic Magnification Factor {stated:.3g} cannot be true and is not used.")
        stated = None
    if derived is not None and not _MAGNIFICATIONS[0] <= derived <= _MAGNIFICATIONS[1]:
        notes.append("The distances from the source to detector and patient cannot be true and are not used.")
        derived = None
    if stated and derived and abs(stated / derived - 1) > _CONTRADICTS:
        notes.append(
            "Estimated Radiographic Magnification Factor contradicts the distances of the source; neither is used."
        )
        return None
    return stated or derived


def _positive(film: FilmHeader, tag: int, name: str, notes: list[str]) -> float | None:
    raw = values.strip(film.raw(tag) or b"")
    number = values.decimal(raw)
    if raw and (number is None or number <= 0):
        notes.append(f"{name} is {'zero' if number == 0 else 'malformed or negative'} and is not used.")
        return None
    return number


def _doubt(calibration: str, pixel: Spacing, imager: Spacing | None, magnification: float | None) -> str | None:
    if imager is None:
        return None
    ratios = [at_detector / calibrated for at_detector, calibrated in zip(imager, pixel, strict=True)]
    if abs(ratios[0] / ratios[1] - 1) > _CONTRADICTS:
        return "The calibration enlarges rows and columns differently."
    if min(ratios) < _MAGNIFICATIONS[0] - _CONTRADICTS or max(ratios) > _MAGNIFICATIONS[1]:
        return f"The calibration means a magnification of {ratios[0]:.3g}, which cannot be true."
    if calibration == "GEOMETRY" and _contradict(pixel, imager, magnification):
        return "The calibration contradicts the stated magnification."
    return None


def _contradict(pixel: Spacing, imager: Spacing | None, magnification: float | None) -> bool:
    if imager is None or magnification is None:
        return False
    return any(abs(a / b / magnification - 1) > _CONTRADICTS for a, b in zip(imager, pixel, strict=True))


def _stitched(film: FilmHeader, spacing: Spacing | None) -> str | None:
    """Sentence saying why the image must be one of several exposures put together, or ``None``."""
    pixels = film.image.pixels
    derivation = (film.image.series.derivation or "").upper()
    if _STITCHED & set(film.image_type) or "STITCH" in derivation:
        return "The image was put together from several exposures."
    if spacing is None:
        return None
    is_long = max((pixels.rows or 0) * spacing[0], (pixels.columns or 0) * spacing[1]) > _LONG_MM
    return "The image is longer than any detector." if is_long else None


def _larger(pixel: Spacing | None, imager: Spacing | None) -> Spacing | None:
    if pixel is None or imager is None:
        return pixel or imager
    return imager if imager[0] * imager[1] >= pixel[0] * pixel[1] * (1 - _SAME) else pixel


def _are_equal(one: Spacing, other: Spacing) -> bool:
    return all(abs(a / b - 1) <= _SAME for a, b in zip(one, other, strict=True))


# The exposed field, as collimator and shutter draw it (PS3.3 C.8.7.3, C.7.6.11): rows and columns are counted from 1,
# an edge belongs to the field. An aperture that cannot be true (edges outside the matrix or crossed, hardly anything
# left inside) is not used: hiding half of a film would hide lesions.

_SMALLEST_SHARE: Final = 0.02  # what leaves less of the film is not true: nobody stores 50 times the exposed field
_MUCH_HIDDEN: Final = 0.5  # A note is given when less than this part of the film is left
# Vertices of a polygon: more are damage, fewer enclose nothing.
_FEWEST_VERTICES, _MOST_VERTICES = 3, 1024
# Tag of a shape and the first word of its keywords.
_NAMES: Final = ((tags.COLLIMATOR, "Collimator"), (tags.SHUTTER, "Shutter"))


def aperture_of(
    film: FilmHeader, shape: tuple[int, int], aspect: float
) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
    """Exposed field of shape `shape`, true inside every aperture, or ``None`` when the header draws none; notes.

    `aspect` is the distance between rows over the distance between columns.
    """
    field: NDArray[np.bool_] | None = None
    notes: list[str] = []
    for base, name in _NAMES:
        kinds = dict.fromkeys(kind for kind in values.keywords(film.raw(base)) if kind)
        for kind in kinds:
            if kind == "BITMAP":
                notes.append(f"{name}: a bitmap is not read; what it hides counts as exposed.")
                continue
            part = _part(film, base, kind, shape, aspect)
            if part is None or float(part.mean()) < _SMALLEST_SHARE:
                notes.append(f"{name} ({kind.lower()}) cannot be true for this image and was not used.")
                continue
            field = part if field is None else field & part
    if field is not None and float(field.mean()) < _SMALLEST_SHARE:
        return None, (*notes, "Collimator and shutter exclude each other and were not used.")
    if field is not None and float(field.mean()) < _MUCH_HIDDEN:
        notes.append("Collimator and shutter hide more than half of the image; nothing is searched there.")
    return field, tuple(notes)


def _part(film: FilmHeader, base: int, kind: str, shape: tuple[int, int], aspect: float) -> NDArray[np.bool_] | None:
    if kind == "RECTANGULAR":
        return _rectangle(film, base, shape)
    if kind == "CIRCULAR":
        return _circle(film, base, shape, aspect)
    return _polygon(film, base, shape) if kind == "POLYGONAL" else None


def _rectangle(film: FilmHeader, base: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    edges = [values.integer(film.raw(base + part)) for part in (tags.UPPER, tags.LOWER, tags.LEFT, tags.RIGHT)]
    if None in edges:
        return None
    upper, lower, left, right = (edge or 0 for edge in edges)
    if not (0 <= upper < lower <= shape[0] + 1 and 0 <= left < right <= shape[1] + 1):
        return None
    field = np.zeros(shape, dtype=np.bool_)
    field[max(upper - 1, 0) : lower, max(left - 1, 0) : right] = True
    return field


def _circle(film: FilmHeader, base: int, shape: tuple[int, int], aspect: float) -> NDArray[np.bool_] | None:
    centre = values.decimals(film.raw(base + tags.CENTRE), 2)
    radius = values.integer(film.raw(base + tags.RADIUS))
    rows, columns = shape
    if centre is None or radius is None or not 0 < radius <= 2 * max(shape):
        return None
    if not (1 <= centre[0] <= rows and 1 <= centre[1] <= columns):
        return None
    down = (np.arange(rows, dtype=np.float32) - np.float32(centre[0] - 1)) * np.float32(aspect)
    along = np.arange(columns, dtype=np.float32) - np.float32(centre[1] - 1)
    return np.asarray(down[:, None] ** 2 + along[None, :] ** 2 <= np.float32(radius) ** 2)


def _polygon(film: FilmHeader, base: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    raw = film.raw(base + tags.VERTICES) or b""
    count = raw.count(b"\\") + 1
    points = values.decimals(raw, count)
    if points is None or count % 2 or not _FEWEST_VERTICES <= count // 2 <= _MOST_VERTICES:
        return None
    vertices = np.array(points, dtype=np.float64).reshape(-1, 2)
    if (vertices < 0).any() or (vertices > np.array(shape) + 1).any():
        return None
    return fill_polygon(vertices - 1, shape)
