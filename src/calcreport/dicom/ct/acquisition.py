"""How a series was made, in words of the domain; what the header does not settle stays unknown."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from typing import Final

from calcreport.dicom.series import SeriesFiles
from calcreport.model.image import Acquisition, Contrast
from calcreport.resources import packaged_text

_TABLE: Final[dict[str, list[str]]] = tomllib.loads(packaged_text("dicom/ct/contrast.toml"))
"""Words on contrast in several languages, as regular expressions."""
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
    """Whether an attribute of contrast names something that was given."""
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
