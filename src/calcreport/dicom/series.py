"""What discovery finds: studies, their series cut into stacks, files set aside; and which series cannot be measured."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from calcreport.dicom.header import tags
from calcreport.dicom.header.image_header import FilmHeader, ImageHeader, Plane, SeriesHeader
from calcreport.model.report import SeriesEntry, Study

Candidate = TypeVar("Candidate")  # CT stack or radiograph


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """Files that belong to no study, one row a reason."""

    name: str = field(repr=False)  # first of them, relative to the path that was given; cleaned for display
    code: str  # key of `calcreport.dicom.codes.CODES`
    message: str
    count: int  # how many files share the reason


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesFiles:
    """One series, or one stack of it when one Series Instance UID holds several."""

    uid: str  # Series Instance UID
    modality: str
    number: int | None
    description: str | None = field(repr=False)  # Series Description, cleaned for display
    planes: tuple[Plane, ...] = field(
        default=(), repr=False
    )  # slices in file order; empty for objects that are no CT image
    instances: tuple[ImageHeader, ...] = field(repr=False)
    films: tuple[FilmHeader, ...] = field(default=(), repr=False)
    """Radiographs in file order; empty for objects that are no radiograph."""
    stack: str = ""  # what sets it apart from others of its series, as ``"kernel B70f"``; empty when there are none
    notes: tuple[str, ...] = ()  # what was done to get here (identical copies dropped …)
    problem: str | None = None  # Code of what forbids measuring, found while sorting


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyFiles:
    """One study and its series; `notes` are sentences on its identity that a reader must see."""

    study: Study = field(repr=False)
    series: tuple[SeriesFiles, ...]
    patient_id_issuer: str | None = field(default=None, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking(Generic[Candidate]):
    """CT stacks or films to read, in order (`read_ct` and `read_film` may still refuse one), and a row for all else.

    A series has a row where it, or part of it, is no candidate; CT stacks that `rank_ct_series` calls candidates have
    none in a ranking of films.
    """

    candidates: tuple[Candidate, ...]
    entries: tuple[SeriesEntry, ...] = field(repr=False)


SeriesRanking = Ranking[SeriesFiles]  # CT stacks, best first
FilmRanking = Ranking[FilmHeader]  # radiographs by series and instance number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Discovery(contextlib.AbstractContextManager["Discovery"]):
    """Everything found under the paths; keeps zip archives open until closed."""

    studies: tuple[StudyFiles, ...]
    set_aside: tuple[SetAside, ...]
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    def close(self) -> None:
        """Close zip archives; images in them cannot be read any more."""
        self._open.close()

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


# Values of Image Type that are no slice of tissue: localisers, projections, screenshots, computed images.
_LOCALIZER: Final = frozenset(("LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "TOPO", "SURVIEW", "SCANOGRAM"))
_PROJECTION: Final = frozenset((
    "MIP", "MINIP", "MAX_IP", "MIN_IP", "AVERAGE_IP", "VRT", "VR", "SSD", "PROJECTION IMAGE", "PROJECTION", "3D",
    "VOLUME_RENDER", "VOLUME RENDERING", "VOLUME_RENDERING", "VOLREN", "SURFACE_RENDER", "RENDERED", "MIP_MPR",
    "SURFACE", "CSA MIP", "CSA 3D EDITOR", "CSA MINIP", "VRT_SHADED", "CURVED", "CPR",
))  # fmt: skip
_CAPTURE: Final = frozenset(("SCREEN SAVE", "SCREENSHOT", "SCREEN_CAPTURE", "CAPTURE", "PASTED", "SCREEN CAPTURE"))
_COMPUTED: Final = frozenset((
    "SUBTRACTION", "SUBTRACTED", "SUB", "PERFUSION", "CBF", "CBV", "MTT", "TTP", "TMAX", "BONE_REMOVAL", "FUSION",
    "BONEREMOVED", "BONE_REMOVED", "COLOR", "OVERLAY", "ATTENUATION_MAP", "LUNG_VOLUME", "SEGMENTED",
))  # fmt: skip
_SPECTRAL: Final = re.compile(
    r"(^|[_ ])(VMI|MONO|MONOE|MONOENERGETIC|VNC|VNCA|VNI|VUE|IODINE|WATER|CALCIUM|URIC_ACID|URICACID|URATE|FAT|ZEFF"
    r"|Z_EFF|EFF_ATOMIC_NUM|EFFECTIVE_Z|ELECTRON_DENSITY|ELECTRON_DENS|RHO|MATERIAL[A-Z_]*|VIRTUAL_NON[A-Z_]*"
    r"|VIRTUAL_MONO[A-Z_]*|BASIS_MATERIAL|MAT_[A-Z_]*|CALCIUM_SUPP[A-Z_]*|IODINE_[A-Z_]*|PHOTOELECTRIC|COMPTON)($|[_ ])"
)  # results of spectral CT other than HU
_CONE_BEAM: Final = re.compile(
    r"\b(cbct|cone.?beam|i-?cat|newtom|promax|planmeca|accuitomo|orthophos|galileos|kodak 9\d00|cs ?9\d00|artis|allura"
    r"|innova|o-?arm|arcadis|cios|ziehm|dyna-?ct|xoran|morita|carestream|vatech|pax-?i|scanora|obi|varian|elekta|xvi)\b",
    re.IGNORECASE,
)  # devices whose grey values are no HU
_DOSE: Final = re.compile(r"\b(dose|dosis|dosimetry)\b", re.IGNORECASE)  # dose reports


def refusal_code(series: SeriesFiles) -> str | None:
    """Why a series cannot be measured, as far as its headers tell; ``None`` for a candidate."""
    header = series.instances[0].series
    if series.films:
        return tags.OUT_OF_SCOPE.get(header.modality, "series.radiograph")
    if not series.planes:
        return _other_code(header)
    image_type = series.planes[0].image_type
    words, device = frozenset(image_type), " ".join(filter(None, (header.manufacturer, header.model)))
    checks = (
        (words & _LOCALIZER, "series.localizer"),
        (words & _CAPTURE, "series.secondary_capture"),
        (words & _PROJECTION or header.volume_technique in _PROJECTION, "series.projection"),
        (words & _COMPUTED, "series.perfusion"),
        (header.is_multi_energy or any(map(_SPECTRAL.search, image_type[2:])), "series.spectral"),
        (header.acquisition_type == "CONSTANT_ANGLE" or _CONE_BEAM.search(device), "series.not_ct_scanner"),
        (_DOSE.search(series.description or "") and "DERIVED" in words, "series.dose_report"),
    )
    return next((code for is_met, code in checks if is_met), None)


def _other_code(header: SeriesHeader) -> str:
    uid = header.sop_class_uid
    if uid in tags.CT_CLASSES | tags.FILM_CLASSES:
        return "series.no_image"
    while uid:
        if uid in tags.OTHER_CLASSES:
            code = tags.OTHER_CLASSES[uid]
            is_dose = code == "series.secondary_capture" and bool(_DOSE.search(header.description or ""))
            return "series.dose_report" if is_dose else code
        uid = uid.rpartition(".")[0]
    by_modality = {"PT": "series.pet", "MR": "series.mr", "XA": "series.fluoroscopy", "RF": "series.fluoroscopy"}
    return {**by_modality, **tags.OUT_OF_SCOPE}.get(header.modality, "series.other")
