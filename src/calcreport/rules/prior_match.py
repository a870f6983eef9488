"""Matching of lesions with an earlier study: by its images where they were registered, else by place and side.

A match is claimed only when it is the one possible. Positions of reports alone are compared only within one frame of
reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from math import dist
from typing import Final

from calcreport.errors import UsageError
from calcreport.model.findings import FindingMass, FindingPrior, Findings, LesionFinding, PriorOfStudy
from calcreport.model.overlay import EarlierPlace, Overlay, PairStatus
from calcreport.model.report import DepthClass, Laterality, Patient, YesNo
from calcreport.rules.conditions import Verdict
from calcreport.rules.growth import PROBABLY_SAME
from calcreport.rules.regions import are_apart, name_areas

_LEAST_REACH_MM: Final = 10.0
"""Centres this near are one place whatever the size: breathing, and the choice of what belongs to a deposit."""

_TISSUE_HU: Final = 50.0  # muscle, which an edge of mineral rises from
_MOST_BETWEEN: Final = 0.2
"""Limits that differ by more of the rise from tissue to mineral than this may take different mineral (P)."""

_SUPERFICIAL: Final = frozenset({DepthClass.CUTANEOUS, DepthClass.SUBCUTANEOUS})  # as `_DEEP`
_DEEP: Final = frozenset({DepthClass.SUBFASCIAL, DepthClass.JUXTACORTICAL})
"""Compartments; what abuts or crosses the fascia may be called either on another day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierReport:
    """Lesions of an earlier report."""

    findings: Findings
    """Lesions with the names they have in that report."""
    study_instance_uid: str = ""
    """Of the earlier study; empty when no image was measured."""
    patient: Patient | None = None
    id_issuer: str | None = None
    """Of the patient id; a report does not hold it."""
    stable_since: dict[str, tuple[date, float]] = field(default_factory=dict)
    """Lesion to the day since when that report calls it stable, and its length in mm on that day."""
    lengths: dict[tuple[str, str], tuple[tuple[date, float], ...]] = field(default_factory=dict)
    """Lesion and what of it was measured to its lengths in mm on comparable studies before that report."""


def compare_with_earlier(
    findings: Findings, earlier: EarlierReport, *, overlay: Overlay | None = None, doubt: str = ""
) -> Findings:
    """Add the earlier finding to each lesion.

    `findings`: of this study. A lesion whose `prior` a reader typed keeps it; `earlier`: to compare with; `overlay`:
    the lesions of both in their images, by their order in `findings` and `earlier`; `doubt`: why lengths of lesions
    matched by side, region and depth may not be compared. Gives every lesion with `prior`:
    matched, ambiguous, not found or new. Raises `UsageError` ``report.not_earlier``.
    """
    refuse_wrong_report(earlier, study_date=findings.study_date)
    before = earlier.findings
    study = PriorOfStudy(source="report", study_date=before.study_date, modality=before.modality)
    if overlay is not None:
        pairs = zip(findings.lesions, overlay.places, strict=True)
        priors = [_prior_at(now, at, findings, earlier) for now, at in pairs]
        gone = tuple(before.lesions[number].id or "" for number in overlay.vanished)
        study = study.model_copy(update={"source": "images", "vanished": gone})
        return _with_priors(findings, priors, study)
    is_same_frame = bool(findings.frame_of_reference_uid) and (
        findings.frame_of_reference_uid == before.frame_of_reference_uid
    )
    table = [[_could_be(now, then, is_same_frame=is_same_frame) for then in before.lesions] for now in findings.lesions]
    priors = [_prior_of(i, table, findings, earlier) for i in range(len(table))]
    if not is_same_frame:
        priors = [
            prior if prior.lesion_id is None
            else _doubted(prior, doubt) if doubt or prior.reason or _is_alone(now, findings, before)
            else prior.model_copy(update={"reason": PROBABLY_SAME, "comparable": YesNo.UNKNOWN})
            for now, prior in zip(findings.lesions, priors, strict=True)
        ]  # fmt: skip
    return _with_priors(findings, priors, study)


def _is_alone(now: LesionFinding, findings: Findings, before: Findings) -> bool:
    """Whether no other lesion may lie on its side and in its region, whatever its depth, on either study."""
    return all(
        sum(Verdict.NOT_MET not in {_same_side(now, one), _same_region(now, one)} for one in lesions) == 1
        for lesions in (findings.lesions, before.lesions)
    )


def _with_priors(findings: Findings, priors: Sequence[FindingPrior], study: PriorOfStudy) -> Findings:
    lesions = tuple(
        lesion if lesion.prior is not None else lesion.model_copy(update={"prior": prior})
        for lesion, prior in zip(findings.lesions, priors, strict=True)
    )
    return findings.model_copy(update={"lesions": lesions, "prior_study": study})


def _prior_at(now: LesionFinding, at: EarlierPlace, findings: Findings, earlier: EarlierReport) -> FindingPrior:
    """Earlier finding of one lesion by what the earlier images show at its place."""
    before = [earlier.findings.lesions[number] for number in at.earlier]
    if not before:
        return _unmatched(earlier, at.status, at.reason)
    then = before[0] if len(before) == 1 else _together(before, at.joint_mm)
    return _doubted(_matched(now, then, findings, earlier), at.reason)


def _doubted(prior: FindingPrior, doubt: str) -> FindingPrior:
    """A matched lesion whose lengths may not be compared where there is a reason; nothing changes without one."""
    reason = prior.reason or doubt
    return prior.model_copy(update={"reason": reason, "comparable": YesNo.NO if reason else prior.comparable})


def _unmatched(earlier: EarlierReport, status: PairStatus, reason: str) -> FindingPrior:
    before = earlier.findings
    return FindingPrior(status=status, reason=reason, study_date=before.study_date, modality=before.modality)


def _together(lesions: Sequence[LesionFinding], longest_mm: float | None) -> LesionFinding:
    """Several earlier lesions, which are one now, as one: their extent and the sum of their volumes."""
    sizes = [lesion.size for lesion in lesions]
    volumes = [size.volume_mm3 for size in sizes]
    joint = {
        "max_diameter_mm": longest_mm,
        "volume_mm3": None if None in volumes else sum(volume or 0.0 for volume in volumes),
        "uncertainty_mm": max((size.uncertainty_mm for size in sizes if size.uncertainty_mm is not None), default=None),
        "is_minimum": any(size.is_minimum for size in sizes),
    }
    name = " + ".join(lesion.id or "" for lesion in lesions)[:64]
    return lesions[0].model_copy(update={"id": name, "size": sizes[0].model_copy(update=joint), "mass": FindingMass()})


def _is_other_patient(now: Patient, before: Patient, issuers: tuple[str | None, str | None]) -> bool:
    """Another id, date of birth or sex; ids of two issuers say nothing, so that name and birth date have to agree."""

    def differs(name: str) -> bool | None:
        one, other = getattr(now, name), getattr(before, name)
        return one.strip().casefold() != other.strip().casefold() if one and other else None

    sexes = {now.sex, before.sex}
    is_other_hospital = None not in issuers and issuers[0] != issuers[1]
    is_same_person = is_other_hospital and differs("name") is False and differs("birth_date") is False
    is_other_id = is_other_hospital or bool(differs("id"))
    return bool(differs("birth_date")) or sexes == {"F", "M"} or (is_other_id and not is_same_person)


def refuse_wrong_report(
    earlier: EarlierReport,
    *,
    study_date: date | None,
    study_instance_uid: str = "",
    patient: Patient | None = None,
    id_issuer: str | None = None,
) -> None:
    """Refuse an earlier report that cannot be one of this patient before this study.

    `earlier`: as named; the others: of this study, where known. Raises `UsageError` ``prior.other_patient``,
    ``report.same_study``, ``report.not_earlier``.
    """
    issuers = (id_issuer, earlier.id_issuer)
    if patient is not None and earlier.patient is not None and _is_other_patient(patient, earlier.patient, issuers):
        msg = "what --prior names is of another patient (id, date of birth or sex); name an earlier study of this one"
        raise UsageError(msg, code="prior.other_patient")
    if study_instance_uid and study_instance_uid == earlier.study_instance_uid:
        msg = "what --prior names is this same study; name an earlier one"
        raise UsageError(msg, code="report.same_study")
    before = earlier.findings.study_date
    if study_date is not None and before is not None and before >= study_date:
        msg = "the study that --prior names is not earlier than this one; name an earlier one"
        raise UsageError(msg, code="report.not_earlier")


def _could_be(now: LesionFinding, then: LesionFinding, *, is_same_frame: bool) -> Verdict:
    """Whether two lesions are at one place: met when everything says so, unknown when something is not known."""
    one, other = now.location.centroid_lps_mm, then.location.centroid_lps_mm
    if is_same_frame and one is not None and other is not None:
        longest = max(now.size.max_diameter_mm or 0.0, then.size.max_diameter_mm or 0.0)
        return Verdict.MET if dist(one, other) <= max(_LEAST_REACH_MM, longest / 2) else Verdict.NOT_MET
    answers = (_same_side(now, then), _same_region(now, then), _same_compartment(now, then))
    if Verdict.NOT_MET in answers:
        return Verdict.NOT_MET
    return Verdict.UNKNOWN if Verdict.UNKNOWN in answers else Verdict.MET


def _same_side(now: LesionFinding, then: LesionFinding) -> Verdict:
    sides = (now.location.laterality, then.location.laterality)
    if Laterality.UNKNOWN in sides:
        return Verdict.UNKNOWN
    if sides[0] is sides[1]:
        return Verdict.MET
    # A lesion near the middle may be called midline on one day and sided on the other.
    return Verdict.UNKNOWN if Laterality.MIDLINE in sides else Verdict.NOT_MET


def _same_region(now: LesionFinding, then: LesionFinding) -> Verdict:
    one, other = now.location.region, then.location.region
    if not one or not other:
        return Verdict.UNKNOWN
    if one == other or (name_areas(one) is not None and name_areas(one) == name_areas(other)):
        return Verdict.MET
    return Verdict.NOT_MET if are_apart(one, other) else Verdict.UNKNOWN


def _same_compartment(now: LesionFinding, then: LesionFinding) -> Verdict:
    layers = {now.depth.class_, then.depth.class_}
    if not layers.isdisjoint({None, DepthClass.CANNOT_DETERMINE}):
        return Verdict.UNKNOWN
    if len(layers) == 1 or layers <= _SUPERFICIAL or layers <= _DEEP:
        return Verdict.MET
    return Verdict.NOT_MET if layers <= _SUPERFICIAL | _DEEP else Verdict.UNKNOWN


def _prior_of(
    number: int, table: Sequence[Sequence[Verdict]], findings: Findings, earlier: EarlierReport
) -> FindingPrior:
    """Earlier finding of one lesion; only an unrivalled match in both directions counts."""
    row = table[number]
    candidates = [place for place, answer in enumerate(row) if answer is not Verdict.NOT_MET]
    if not candidates:
        return _unmatched(earlier, "not_found", "no lesion at this place in the earlier report")
    rivals = [other for other, line in enumerate(table) if line[candidates[0]] is not Verdict.NOT_MET]
    reason = "more than one lesion at this place and side, now or in the earlier report"
    if len(candidates) == len(rivals) == 1:
        if row[candidates[0]] is Verdict.MET:
            return _matched(findings.lesions[number], earlier.findings.lesions[candidates[0]], findings, earlier)
        reason = "side, region or depth is not known well enough to say that it is the same lesion"
    return _unmatched(earlier, "ambiguous", reason)


def _matched(now: LesionFinding, then: LesionFinding, findings: Findings, earlier: EarlierReport) -> FindingPrior:
    """Lengths of the same lesion: the mass where both have one of the same kind, otherwise the mineral."""
    masses = (now.mass, then.mass)
    both_mass = None not in (m.max_diameter_mm for m in masses) and masses[0].source == masses[1].source
    since, from_mm = earlier.stable_since.get(then.id or "", (None, None))
    is_one_hand = now.size.is_by_reader is then.size.is_by_reader
    is_mass = both_mass and (
        not is_one_hand
        or _relative(now.mass.max_diameter_mm, then.mass.max_diameter_mm)
        >= _relative(now.size.max_diameter_mm, then.size.max_diameter_mm)
    )
    part = then.mass if is_mass else then.size
    is_by_reader = then.mass.source == "reader" if is_mass else then.size.is_by_reader
    limits = (findings.threshold_hu, earlier.findings.threshold_hu)
    blur_mm = 0.0 if is_mass else _blur_of_limits_mm(now, then, limits)
    reason = "" if is_mass else _why_mineral_differs(now, then, limits)
    # By hand on one study and by threshold on the other: these may be different lengths. Nor whether
    # two readers took the same mineral for the lesion.
    is_same_mineral = blur_mm is not None and not is_by_reader
    is_alike = findings.modality == earlier.findings.modality == "CT" and (is_mass or is_same_mineral)
    return FindingPrior(
        max_diameter_mm=part.max_diameter_mm,
        basis="mass" if is_mass else "mineral",
        comparable=YesNo.NO if reason else YesNo.YES if is_alike else YesNo.UNKNOWN,
        study_date=earlier.findings.study_date,
        modality=earlier.findings.modality,
        is_minimum=part.is_minimum,
        uncertainty_mm=part.uncertainty_mm and part.uncertainty_mm + (blur_mm or 0.0),
        volume_mm3=part.volume_mm3,
        is_by_reader=is_by_reader,
        lesion_id=then.id,
        reason=reason,
        stable_since=since,
        stable_from_mm=from_mm,
        earlier_lengths=earlier.lengths.get((then.id or "", "mass" if is_mass else "mineral"), ()),
    )


def _relative(now_mm: float | None, before_mm: float | None) -> float:
    """Ratio of two lengths; of what is unknown the least, so that the faster growing part is compared."""
    return now_mm / before_mm if now_mm is not None and before_mm else 0.0


def _why_mineral_differs(now: LesionFinding, then: LesionFinding, limits: tuple[float | None, float | None]) -> str:
    if now.size.max_diameter_mm is None or then.size.max_diameter_mm is None:
        return "mineral was measured on one of the studies only"
    if now.size.projected != then.size.projected:
        return "measured on a projection on one of the studies only"
    if None not in limits and _blur_of_limits_mm(now, then, limits) is None:
        return f"mineral above {limits[1]:g} HU before and above {limits[0]:g} HU now"
    return ""


def _blur_of_limits_mm(
    now: LesionFinding, then: LesionFinding, limits: tuple[float | None, float | None]
) -> float | None:
    """What a length gains by the lower of two limits, mm; ``None`` where they may take different mineral.

    An edge rises from tissue to mineral over about a voxel, so that it moves by the share of that rise which lies
    between the limits, at both ends. Of faint mineral a limit decides how much of it is seen at all.
    """
    if limits[0] == limits[1]:
        return 0.0
    peaks, voxels = ((now.density.p95_hu, then.density.p95_hu), (now.voxel_diagonal_mm, then.voxel_diagonal_mm))
    if None in limits or None in peaks or None in voxels:
        return None
    rise_hu = min(peak or 0.0 for peak in peaks) - _TISSUE_HU
    between_hu = abs((limits[0] or 0.0) - (limits[1] or 0.0))
    return 2 * max(v or 0.0 for v in voxels) * between_hu / rise_hu if between_hu <= _MOST_BETWEEN * rise_hu else None
