"""How a series was made, in words of the domain; what the header does not settle stays unknown."""

from __future__ import annotations

import re
from typing import Final

from calcreport.dicom.series import SeriesFiles
from calcreport.model.image import Acquisition, Contrast

_NO_AGENT: Final = re.compile(r"^(no|none|non|n/?a|nil|0|-+|without.*|w/?o.*|unenhanced|nativ.*|ohne.*|sans.*|no .*)$")
_WITHOUT: Final = re.compile(
    r"\b(without|w/o|wo|non[- ]?contrast|non[- ]?enhanced|unenhanced|pre[- ]?contrast|native|nativ|plain|nect|ncct"
    r"|c-|ohne km|sans (iv|injection|contraste|pdc)|sin contraste|senza mdc|no contrast|-c)(?![a-z])"
)
_ARTERIAL: Final = re.compile(r"\b(arterial\w*|arteriell\w*|art|angio\w*|cta|early|aorta\w*)\b")
_VENOUS: Final = re.compile(r"\b(venous|ven|venös|venoes|portal\w*|pv|delayed|late|nephro\w*|equilibrium|spät)\b")
_WITH: Final = re.compile(r"\b(with contrast|w/ ?contrast|post[- ]?contrast|contrast|enhanced|cect|ce|iv|mit km|km)\b")
_NOT_VENOUS_ROUTE: Final = re.compile(r"\b(oral|rectal|po|per os|intra-?articular|intrathecal)\b")

_SIDES: Final = {"L": "left", "R": "right", "LEFT": "left", "RIGHT": "right"}
_KVP_RANGE: Final = (40.0, 200.0)


def contrast_of(series: SeriesFiles) -> tuple[Contrast, str]:
    """Contrast phase as the headers state it, and the evidence in words without patient data.

    Notes
    -----
    Contrast/Bolus Agent may be empty although contrast was given (it is type 2, PS3.3 C.7.6.4), and many scanners
    leave it out; its absence therefore settles nothing. Only words that say so make a series non-contrast, and only
    words that name a phase choose between venous and arterial.
    """
    header = series.planes[0].image.series
    words = " ".join(filter(None, (header.description, header.protocol, series.stack))).casefold().replace("_", " ")
    agent = (header.contrast_agent or "").casefold()
    says_without = bool(_WITHOUT.search(words)) or bool(agent and _NO_AGENT.match(agent))
    has_agent = bool(agent and not _NO_AGENT.match(agent)) or header.has_contrast_item
    if has_agent and _NOT_VENOUS_ROUTE.search((header.contrast_route or "").casefold()):
        return Contrast.UNKNOWN, "the agent's route is not intravenous; intravenous contrast is not recorded"
    if says_without and has_agent:
        return Contrast.UNKNOWN, "Contrast/Bolus Agent is filled but the description says without contrast"
    if says_without:
        return Contrast.NONE, "the description or Contrast/Bolus Agent says without contrast"
    return _phase(words, has_agent=has_agent)


def _phase(words: str, *, has_agent: bool) -> tuple[Contrast, str]:
    is_arterial, is_venous = bool(_ARTERIAL.search(words)), bool(_VENOUS.search(words))
    if is_arterial and not is_venous:
        return Contrast.ARTERIAL, "the description names an arterial phase"
    if is_venous and not is_arterial:
        return Contrast.VENOUS, "the description names a venous or later phase"
    if has_agent:
        return Contrast.UNKNOWN, "Contrast/Bolus Agent is filled; the phase is not stated"
    if _WITH.search(words):
        return Contrast.UNKNOWN, "the description speaks of contrast; the phase is not stated"
    return Contrast.UNKNOWN, "no attribute states contrast; Contrast/Bolus Agent may be empty after contrast too"


def acquisition_of(series: SeriesFiles, notes: tuple[str, ...]) -> Acquisition:
    """Acquisition of a stack.

    Parameters
    ----------
    series : SeriesFiles
        Stack that is measured.
    notes : tuple[str, ...]
        Sentences a reader must see.
    """
    plane = series.planes[0]
    header = plane.image.series
    contrast, evidence = contrast_of(series)
    kvp = header.kvp if header.kvp is not None and _KVP_RANGE[0] <= header.kvp <= _KVP_RANGE[1] else None
    return Acquisition(
        kvp=kvp,
        slice_thickness_mm=plane.thickness_mm if plane.thickness_mm and plane.thickness_mm > 0 else None,
        kernel=plane.kernel,
        contrast=contrast,
        contrast_evidence=evidence,
        patient_position=header.patient_position,
        body_part=header.body_part,
        laterality=_SIDES.get(header.laterality or ""),
        manufacturer=header.manufacturer,
        is_lossy=any(image.series.is_lossy for image in series.instances),
        notes=notes,
    )
