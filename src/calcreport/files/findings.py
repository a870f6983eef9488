"""Text of a findings file or of a review, YAML or JSON, checked: every mistake named at once, nothing left to guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from calcreport.errors import ClinicalError
from calcreport.files.typed_text import values_from_text
from calcreport.model.findings import FindingMass, FindingPrior, Findings, FindingSize, LesionFinding
from calcreport.model.report import YesNo
from calcreport.model.typed_mistakes import checked, is_unknown, without_unknown
from calcreport.model.typed_review import Review, parse_review


def findings_from_text(text: str) -> Findings:
    """Read a findings file, YAML or JSON, and check it.

    Raises `ClinicalError` as `values_from_text` and `parse_findings`; ``findings.not_mapping`` without ``lesions``.
    """
    return checked_findings(values_from_text(text, area="findings"))


def checked_findings(data: Any) -> Findings:  # noqa: ANN401 - plain values of any kind
    """Check findings that are plain values, as `findings_from_text` does."""
    if isinstance(data, Mapping):
        findings = parse_findings(data)  # a misspelt "lesions" is named with its near match
        if isinstance(data.get("lesions"), list):
            return findings
    msg = "The findings file must be a mapping that holds 'lesions:', a list; write 'lesions: []' when there is none."
    raise ClinicalError(msg, code="findings.not_mapping")


_EXTENTS: Final = ("ap_mm", "tr_mm", "cc_mm")  # along the axes of the patient
_ROUNDING_MM: Final = 0.5  # Lengths typed to the whole millimetre may contradict each other by this much
_FEWEST_PARTS: Final = 2  # extents that say how long a lesion is


def parse_findings(data: Mapping[str, Any]) -> Findings:
    """Check typed findings and take them over; a lesion's field may also be written as a path, such as ``depth.class``.

    Everything not given is unknown. Where only extents were given, the longest of them is the longest dimension. Raises
    `ClinicalError` with every mistake at once, one a line, by lesion and field and without the value:
    ``findings.unknown_key``, ``findings.value``; ``findings.invalid`` when there are both kinds.
    """
    given = without_unknown(_nested(data), Findings)
    findings = checked(given, Findings, area="findings", data=data, contradictions=_contradictions)
    return findings.model_copy(update={"lesions": tuple(_with_longest(lesion) for lesion in findings.lesions)})


def _nested(data: Mapping[str, Any]) -> dict[str, Any]:
    """Turn paths such as ``size.max_diameter_mm`` into sections."""
    lesions = data.get("lesions")
    if not isinstance(lesions, list):
        return dict(data)
    return {**data, "lesions": [_nest(lesion) if isinstance(lesion, dict) else lesion for lesion in lesions]}


def _nest(lesion: dict[Any, Any]) -> dict[Any, Any]:
    nested: dict[Any, Any] = {}
    for key, value in sorted(lesion.items(), key=lambda item: "." in str(item[0])):  # sections first, then paths
        section, _, name = str(key).partition(".")
        held = nested.get(section)
        if name and (is_unknown(held) or (isinstance(held, dict) and name not in held)):
            nested[section] = {**(held if isinstance(held, dict) else {}), name: value}
        else:  # a section, or a path given twice or into no section, which validation names
            nested[key] = value
    return nested


def _contradictions(findings: Findings) -> Iterator[str]:
    names = Counter(lesion.id for lesion in findings.lesions if lesion.id is not None)
    for number, lesion in enumerate(findings.lesions, start=1):
        where = f"lesion {number}: "
        if lesion.id is not None and names[lesion.id] > 1:
            yield f"{where}id: another lesion has the same"
        for name, part in (("size", lesion.size), ("mass", lesion.mass)):
            yield from (f"{where}{name}.{text}" for text in _impossible_lengths(part))
        largest_mm, whole_mm = lesion.foci.largest_max_diameter_mm, lesion.size.max_diameter_mm
        if largest_mm is not None and whole_mm is not None and largest_mm > whole_mm + _ROUNDING_MM:
            yield f"{where}foci.largest_max_diameter_mm: longer than the whole lesion (size.max_diameter_mm)"
        if lesion.mass.present is YesNo.NO and lesion.mass.max_diameter_mm:
            yield f"{where}mass.present: no, although the mass has a size; leave one of them out"
        if lesion.prior is not None:
            yield from (f"{where}prior.{text}" for text in _impossible_dates(lesion.prior, findings))


def _impossible_lengths(part: FindingSize | FindingMass) -> Iterator[str]:
    longest_mm = part.max_diameter_mm
    if longest_mm is None:
        return
    for name in (*_EXTENTS, "axial_long_mm", "axial_short_mm"):
        length_mm = getattr(part, name, None)
        if length_mm is not None and length_mm > longest_mm + _ROUNDING_MM:
            yield f"max_diameter_mm: shorter than {name}; the longest dimension is the longest in any direction"


def _impossible_dates(prior: FindingPrior, findings: Findings) -> Iterator[str]:
    if prior.study_date is None or findings.study_date is None:
        return
    days = (findings.study_date - prior.study_date).days
    if days <= 0:
        yield "study_date: not before the date of this study"
    elif prior.interval_days is not None and prior.interval_days != days:
        yield "interval_days: contradicts the two study dates; leave one of them out"


def _with_longest(lesion: LesionFinding) -> LesionFinding:
    """Lesion with the longest extent where no longest dimension was given, but for fewer than two extents."""
    parts: dict[str, FindingSize | FindingMass] = {"size": lesion.size, "mass": lesion.mass}
    for name, part in parts.items():
        extents = [length for key in _EXTENTS if (length := getattr(part, key)) is not None]
        if part.max_diameter_mm is None and len(extents) >= _FEWEST_PARTS:
            parts[name] = part.model_copy(update={"max_diameter_mm": max(extents)})
    return lesion.model_copy(update=parts)


def review_from_text(text: str) -> Review:
    """Read a review file as `findings_from_text`; raises ``review.not_mapping``, else as `parse_review`."""
    data = values_from_text(text, area="review")
    if isinstance(data, dict):
        review = parse_review(data)
        if isinstance(data.get("lesions"), dict):
            return review
    msg = "The review file must be a mapping that holds 'lesions:' with one entry a lesion, such as 'L1: accept'."
    raise ClinicalError(msg, code="review.not_mapping")
