"""A CT stack to a volume in Hounsfield units with its geometry, or a refusal that says why."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codecs import Frame, frames_of
from calcreport.dicom.codes import problem
from calcreport.dicom.ct import plausibility
from calcreport.dicom.ct.pixels import check_length, fill_raw, scale_of, to_hu
from calcreport.dicom.ct.stack_geometry import has_frame_per_image, order_and_place
from calcreport.dicom.header import tags
from calcreport.dicom.header.image_header import Plane
from calcreport.dicom.series import SeriesFiles, refusal_code
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import Acquisition, Contrast, CtVolume, SliceReference
from calcreport.model.report import SeriesGeometry
from calcreport.processes.threads import map_in_threads
from calcreport.resources import packaged_text
from calcreport.settings import ReadingSettings

_CHUNK: Final = 8  # slices decoded at a time
_WORST_LOSSY_RATIO: Final = 15.0  # a lossy series packed tighter is refused
_WIDE_SCALE_HU: Final = 8192  # A scale reaching this far does not clip mineral, only metal
_USUAL_CEILING_HU: Final = 3071  # top of the 12-bit scale; scanners clip there even when they store 16 bits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtSeries:
    """A series ready to measure: voxels in HU, how it was made, its geometry for the report; `notes` are in both."""

    volume: CtVolume
    acquisition: Acquisition
    geometry: SeriesGeometry
    notes: tuple[str, ...]


def read_ct(series: SeriesFiles, *, settings: ReadingSettings) -> CtSeries:
    """Read a candidate of `rank_ct_series`; slices are ordered along row direction x column direction.

    Raises `InputError` with a code of `calcreport.dicom.codes.CODES`.
    """
    stack = CtStack(series, settings=settings)
    planes, geometry = stack.planes, stack.geometry
    hu, sample = _read_all(stack)
    notes = (*series.notes, *notes_of(planes, geometry), *plausibility.check(sample))
    lowest = min(scale.ceiling_hu for scale in set(stack.scales))
    if lowest < _WIDE_SCALE_HU:
        ceiling_hu: int | None = int(np.floor(lowest))
    else:  # clipped at the top of the usual scale, or nowhere
        ceiling_hu = _USUAL_CEILING_HU if max(int(part.max()) for part in hu) == _USUAL_CEILING_HU else None
    references = ((plane.image.instance_uid, plane.image.instance_number, plane.frame) for plane in planes)
    volume = CtVolume(
        hu=hu,
        geometry=geometry,
        slices=tuple(SliceReference(sop_instance_uid=uid, instance_number=n, frame=f) for uid, n, f in references),
        ceiling_hu=ceiling_hu,
        series_instance_uid=series.uid,
        frame_of_reference_uid=None if has_frame_per_image(planes) else planes[0].image.frame_of_reference_uid,
    )
    between, row, column = geometry.spacing_mm
    stated = SeriesGeometry(
        shape=geometry.shape,
        spacing_mm=(row, column, between),
        tilt_deg=geometry.tilt_deg,
        affine_lps_mm=tuple((a, b, c, d) for a, b, c, d in geometry.affine.tolist()),
    )
    return CtSeries(volume=volume, acquisition=acquisition_of(series, notes), geometry=stated, notes=notes)


class CtStack:
    """A candidate of `rank_ct_series` in order and in place, checked, its slices read one at a time when asked for.

    `planes`, `scales`: one entry a slice, in slice order. `geometry`: position of every voxel centre.
    """

    def __init__(self, series: SeriesFiles, *, settings: ReadingSettings) -> None:
        code = series.problem or refusal_code(series)
        if code:
            raise problem(code, series.stack)
        worst = max((one.series.lossy_ratio or 0.0 for one in series.instances if one.series.is_lossy), default=0.0)
        if worst > _WORST_LOSSY_RATIO:
            raise problem("pixel.lossy_ratio", f"{worst:.0f}:1")
        self.planes, self.geometry = order_and_place(series.planes)
        if np.prod(self.geometry.shape, dtype=np.float64) > settings.max_volume_voxels:
            raise problem("pixel.too_large", " x ".join(map(str, self.geometry.shape)))
        self.scales = [scale_of(plane) for plane in self.planes]
        for plane in self.planes:
            check_length(plane.image, rows=self.geometry.shape[1], columns=self.geometry.shape[2])
        self._frames: dict[int, tuple[Frame, ...]] = {}

    def fill_slice(self, index: int, out: NDArray[np.int16]) -> NDArray[np.float32]:
        """Read one slice in HU into `out`, shape ``(rows, columns)``, contiguous; returns the sample of `to_hu`."""
        image, number, frame = self.planes[index].image, self.planes[index].frame or 1, None
        if image.pixels.transfer_syntax not in tags.NATIVE:
            if id(image) not in self._frames:
                self._frames[id(image)] = frames_of(image)
            frame = self._frames[id(image)][number - 1]
        fill_raw(image, frame, number, out)
        return to_hu(out, self.scales[index])


def _read_all(stack: CtStack) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """All slices in HU, shape ``(slices, rows, columns)``, and a sample of unclipped HU, shape ``(n,)``."""
    hu = np.empty(stack.geometry.shape, dtype=np.int16)

    def read_some(start: int) -> NDArray[np.float32]:
        return np.concatenate([stack.fill_slice(i, hu[i]) for i in range(start, min(start + _CHUNK, len(hu)))])

    # reading, decoding and scaling release the interpreter lock
    return hu, np.concatenate(map_in_threads(read_some, range(0, len(hu), _CHUNK)))


_DIFFERS: Final = 0.01  # relative difference of spacings worth a note
_PLANES: Final = ("sagittal", "coronal", "axial")  # by the axis of the patient that the slice normal follows
_FRAME_PER_IMAGE: Final = (  # a note
    "Each image has a Frame of Reference UID of its own; orientation and positions agree, so the images were "
    "taken for one scan. Positions cannot be compared with other series; no segmentation object was written."
)
_OBLIQUE: Final = 0.8  # cosine of the slice normal to its nearest axis; below it the plane is oblique


def notes_of(planes: Sequence[Plane], geometry: VolumeGeometry) -> tuple[str, ...]:
    """Give notes on geometry and origin of a stack, most important first."""
    first, headers = planes[0], [plane.image.series for plane in planes]
    ratio = f" (ratio {headers[0].lossy_ratio:g}:1)" if headers[0].lossy_ratio else ""
    is_derived = first.image_type[:1] != ("ORIGINAL",)
    normal = np.abs(geometry.slice_normal)
    is_oblique, direction = bool(normal.max() < _OBLIQUE), _PLANES[int(np.argmax(normal))]
    lacks_unit = is_derived and any(plane.rescale_type is None for plane in planes)
    found = (
        (
            geometry.is_sheared,
            f"Slices are tilted by {geometry.tilt_deg:.1f} degrees; sizes follow the true positions.",
        ),
        *((True, note) for note in _spacing_notes(first, geometry)),
        (is_oblique, "The slices are oblique."),
        (not is_oblique and direction != "axial", f"The slices are {direction}."),
        (is_derived, "The images are derived (reformatted), not original reconstructions."),
        (lacks_unit, "The unit of the values is not stated; by the standard they are Hounsfield units."),
        (any(h.is_lossy for h in headers), f"The images were compressed lossily{ratio}; small deposits may be lost."),
        (has_frame_per_image(planes), _FRAME_PER_IMAGE),
        (any(h.is_burned_in for h in headers), "The images may contain burned-in text, which looks dense."),
    )
    return tuple(note for is_met, note in found if is_met)


def _spacing_notes(first: Plane, geometry: VolumeGeometry) -> list[str]:
    step, thickness, stated = geometry.spacing_mm[0], first.thickness_mm, first.spacing_between_mm
    notes = []
    if thickness is None or thickness <= 0:
        notes.append("Slice thickness is not stated.")
    elif thickness < step * (1 - _DIFFERS):
        notes.append(
            f"There are gaps between slices: {thickness:g} mm thick every {step:.3g} mm; "
            "volumes are estimates and small deposits may lie in a gap."
        )
    elif thickness > step * (1 + _DIFFERS):
        notes.append(f"Slices overlap: {thickness:g} mm thick every {step:.3g} mm; sizes use the true distance.")
    if stated is not None and abs(abs(stated) - step) > _DIFFERS * step:
        notes.append(f"Spacing Between Slices ({stated:g} mm) is not the true {step:.4g} mm and is not used.")
    return notes


# Words on contrast in several languages, as regular expressions.
_TABLE: Final[dict[str, list[str]]] = tomllib.loads(packaged_text("dicom/ct/contrast.toml"))
_MEDIUM, _AND = _TABLE["medium"][0], _TABLE["and"][0]  # the contrast medium, and what joins it to a further word


def _words(name: str) -> re.Pattern[str]:
    """Pattern of whole words; a digit, a letter, ``+`` or ``-`` beside them makes another word."""
    words = "|".join(_TABLE[name]).replace("<medium>", _MEDIUM).replace("<and>", _AND)
    return re.compile(rf"(?<![a-z0-9+])(?:{words})(?![a-z0-9+])")


# Patterns of the table.
_WITHOUT, _WITH, _JOINED, _BOTH = map(_words, ("without", "with", "joined", "both"))
_ARTERIAL, _AORTA, _VENOUS = map(_words, ("arterial", "aorta", "venous"))
_BY_VEIN, _ELSEWHERE = map(_words, ("by_vein", "elsewhere"))
# Placeholders of a field that was not filled in.
_NOTHING_SAID: Final = re.compile(r"[?.x*-]*|n ?/ ?a|n\.a\.?|unk\w*|not (?:applicable|available|known)|undefined|null")
_NO_AGENT: Final = re.compile(
    r"(?:no|none|non|nil|kein\w*|ninguno|aucun|nessuno|without|sans|ohne|senza|sin|sem)"
    rf"(?: (?:{_MEDIUM}|agent|given).*)?"
    r"|[0.,]+ ?(?:ml|cc|g|mg)?|w ?/? ?o(?: .*)?|un-?enhanced|nativ\w*|not (?:given|applied|used|administered)"
)  # agent fields that deny contrast

_SIDES: Final = {"L": "left", "R": "right", "LEFT": "left", "RIGHT": "right"}  # DICOM laterality to a side
_KVP_RANGE: Final = (40.0, 200.0)  # plausible tube voltage, kV


def contrast_of(series: SeriesFiles) -> Contrast:
    """Contrast phase as the headers state it.

    Contrast/Bolus Agent may be empty although contrast was given (it is type 2, PS3.3 C.7.6.4), and many scanners leave
    it out; its absence therefore settles nothing. Only words that say so make a series non-contrast, and only words
    that name a phase choose between venous and arterial. The description of the series counts before protocol and
    study, which hold for its sisters too.
    """
    image = series.planes[0].image
    header = image.series
    agents, routes = _plain(header.contrast_agent), _plain(header.contrast_route)
    is_elsewhere = bool(_ELSEWHERE.search(routes or agents)) and not _BY_VEIN.search(f"{agents} {routes}")
    is_given = not is_elsewhere and (_is_filled(agents) or _is_filled(routes) or header.has_contrast_amount)
    own = _read(_plain(" ".join(filter(None, (header.description, series.stack)))))
    protocol = _read(_plain(header.protocol))
    without, given, phase = own if any(own) else protocol
    if without or any(map(_NO_AGENT.fullmatch, filter(None, (agents, routes)))):
        return Contrast.UNKNOWN if given or phase or is_given else Contrast.NONE
    if is_elsewhere:  # by another route than a vein; intravenous contrast is not stated
        return Contrast.UNKNOWN
    phase = phase or (None if protocol[0] else protocol[2])
    if phase is not None:
        return phase
    study = _read(_plain(image.patient.study_description))
    return Contrast.GIVEN if is_given or given or (any(study[1:]) and not study[0]) else Contrast.UNKNOWN


def _plain(text: str | None) -> str:
    """Text in small letters without accents, underscores and doubled spaces."""
    letters = unicodedata.normalize("NFKD", (text or "").casefold().replace("_", " "))
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).split())


def _is_filled(text: str) -> bool:
    return not _NOTHING_SAID.fullmatch(text) and not _NO_AGENT.fullmatch(text)


def _read(words: str) -> tuple[bool, bool, Contrast | None]:
    """Whether a description says without contrast, whether it says with, and the one phase it names."""
    rest = _WITHOUT.sub(" ", words)
    is_both = bool(_BOTH.search(words)) or (rest != words and bool(_JOINED.search(rest)))
    is_without = is_both or rest != words
    is_arterial = bool(_ARTERIAL.search(rest)) or (not is_without and bool(_AORTA.search(rest)))
    is_venous = bool(_VENOUS.search(rest))
    phase = (Contrast.ARTERIAL if is_arterial else Contrast.VENOUS) if is_arterial is not is_venous else None
    is_enteric = bool(_ELSEWHERE.search(rest)) and not _BY_VEIN.search(rest)
    is_with = bool(_WITH.search(rest)) and not is_enteric
    return is_without, is_with or is_both or (is_arterial and is_venous), phase


def acquisition_of(series: SeriesFiles, notes: tuple[str, ...]) -> Acquisition:
    """Acquisition of the stack that is measured; `notes` are sentences a reader must see."""
    plane = series.planes[0]
    header = plane.image.series
    return Acquisition(
        kvp=header.kvp if header.kvp is not None and _KVP_RANGE[0] <= header.kvp <= _KVP_RANGE[1] else None,
        slice_thickness_mm=plane.thickness_mm if plane.thickness_mm and plane.thickness_mm > 0 else None,
        kernel=plane.kernel,
        contrast=contrast_of(series),
        patient_position=header.patient_position,
        body_part=header.body_part,
        laterality=_SIDES.get(header.laterality or ""),
        notes=notes,
    )
