"""Which series can be measured at all, as far as their headers tell; each other one has its reason."""

from __future__ import annotations

import re
from typing import Final

from calcreport.dicom.header import film_tags, tags
from calcreport.dicom.header.image_header import SeriesHeader
from calcreport.dicom.series import SeriesFiles

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
        return film_tags.OUT_OF_SCOPE.get(header.modality, "series.radiograph")
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
    if uid in tags.CT_CLASSES | film_tags.FILM_CLASSES:
        return "series.no_image"
    while uid:
        if uid in tags.OTHER_CLASSES:
            code = tags.OTHER_CLASSES[uid]
            is_dose = code == "series.secondary_capture" and bool(_DOSE.search(header.description or ""))
            return "series.dose_report" if is_dose else code
        uid = uid.rpartition(".")[0]
    by_modality = {"PT": "series.pet", "MR": "series.mr", "XA": "series.fluoroscopy", "RF": "series.fluoroscopy"}
    return {**by_modality, **film_tags.OUT_OF_SCOPE}.get(header.modality, "series.other")
