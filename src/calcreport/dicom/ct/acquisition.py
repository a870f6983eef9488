"""How a series was made, in words of the domain; what the header does not settle stays unknown."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from calcreport.dicom.series import SeriesFiles
from calcreport.model.image import Acquisition, Contrast


def _words(*patterns: str) -> re.Pattern[str]:
    """Pattern of whole words; a digit, a letter, ``+`` or ``-`` beside them makes another word."""
    return re.compile(rf"(?<![a-z0-9+])(?:{'|'.join(patterns)})(?![a-z0-9+])")


# Contrast medium in words of several languages, and what joins it to a further word.
_MEDIUM: Final = r"(?:(?:iv|i\.v\.|oral|any) )?(?:contrast\w*|kontrast\w*|km|mdc|pdc|civ|cte|iv|i\.v\.?|c|inje\w*)"
_AND: Final = r"(?= ?(?:[/&+,)]|(?:and|or|und|oder|et|ou|y|o|e|en|i|och) ))"
_WITHOUT: Final = _words(
    r"w ?/? ?o(?: ?/? ?(?:contrast|iv|c))?", rf"no {_MEDIUM}", r"non?[- ]?(?:iv )?con(?:trast\w*)?",
    r"non?[- ]?enhanced", r"un-?enhanced", r"pre[- ]?contrast\w*", r"nativ\w*", r"plain", r"nect", r"ncct", r"blanco",
    r"non injecte\w*", r"smdc", r"s/c", r"c-", r"-c", r"\(-\) ?c",
    rf"(?:without|ohne|sans|sin|senza|sem|bez|utan|zonder)(?: {_MEDIUM}|{_AND}|$)",
    rf"(?:pre|vor|before|avant|antes de|prima)(?: {_MEDIUM}|{_AND})",
)  # fmt: skip
"""Series without contrast: English, German, French, Spanish, Italian, Portuguese, Polish, Swedish, Dutch."""
_WITH: Final = _words(
    r"w", r"with(?: iv)? contrast", r"with iv", r"post[- ]?(?:contrast\w*|iv|inj\w*|km)", r"(?:contrast[- ]?)?enhanced",
    r"cect", r"ce(?=[- ]?ct)", r"c ?\+", r"\+ ?c", r"c/c", r"iv", r"i\.v\.?", r"km", r"kontrast\w*", r"kmct", r"mdc",
    r"cmdc", rf"(?:avec|apres|con|com|met|med|z|despues de|dopo) {_MEDIUM}", r"injecte\w*", r"contrastad[ao]",
    r"(?:r/?o|rule out|v\.?a\.?|\?) ?pe", r"pe (?:protocol\w*|study|chest|thorax)", r"ct-?pa", r"pulm\w* embol\w*",
    r"lungenembolie", r"embol\w* pulm\w*",
)  # fmt: skip
"""Series with contrast without a phase; pulmonary embolism is not looked for without."""
_JOINED: Final = _words("w", "with", "mit", "nach", "avec", "con", "com", "met", "med", "z", "post", "apres")
"""Beside a word for without: both."""
_BOTH: Final = _words(
    r"wwo", r"\+ ?/ ?-(?: ?c)?", r"c ?\+ ?/ ?-", r"(?:mit|avec|con|com|with) ?/ ?(?:ohne|sans|sin|sem)"
)  # series with and without contrast in one
_ARTERIAL: Final = _words(r"arteri\w*", r"art", r"angio\w*", r"cta", r"early")  # arterial phase
_AORTA: Final = _words(r"aorta\w*")  # imaged in the arterial phase, unless without contrast
_VENOUS: Final = _words(  # venous and later phases
    r"veno\w*", r"ven", r"veineu\w*", r"porta[l-]\w*", r"portal", r"pv", r"delay\w*", r"late", r"nephro\w*",
    r"equilibrium", r"spat\w*", r"tardi\w*", r"urograph\w*", r"excretory",
)  # fmt: skip
# Route: into a vessel.
_BY_VEIN: Final = _words(r"i\.? ?v\.?", r"intra[- ]?ven\w*", r"ven\w*", r"vein\w*", r"intra[- ]?arteri\w*", r"bolus")
_ELSEWHERE: Final = _words(  # routes that enhance no vessel
    r"oral\w*", r"rectal\w*", r"p\.?o\.?", r"per os", r"enter(?:al|ic)\w*", r"intra[- ]?artic\w*", r"intra[- ]?thec\w*",
    r"gastro\w*", r"barium", r"enema", r"water", r"intra[- ]?vesic\w*", r"intra[- ]?cavit\w*",
)  # fmt: skip
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
    phase = None
    if is_arterial is not is_venous:
        phase = Contrast.ARTERIAL if is_arterial else Contrast.VENOUS
    is_enteric = bool(_ELSEWHERE.search(rest)) and not _BY_VEIN.search(rest)
    is_with = bool(_WITH.search(rest)) and not is_enteric
    return is_without, is_with or is_both or (is_arterial and is_venous), phase


def acquisition_of(series: SeriesFiles, notes: tuple[str, ...]) -> Acquisition:
    """Acquisition of the stack that is measured; `notes` are sentences a reader must see."""
    plane = series.planes[0]
    header = plane.image.series
    kvp = header.kvp if header.kvp is not None and _KVP_RANGE[0] <= header.kvp <= _KVP_RANGE[1] else None
    return Acquisition(
        kvp=kvp,
        slice_thickness_mm=plane.thickness_mm if plane.thickness_mm and plane.thickness_mm > 0 else None,
        kernel=plane.kernel,
        contrast=contrast_of(series),
        patient_position=header.patient_position,
        body_part=header.body_part,
        laterality=_SIDES.get(header.laterality or ""),
        notes=notes,
    )
