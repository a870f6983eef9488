"""Change of a lesion since an earlier study: in mm, in %, by the month, or the reason why nothing is claimed.

Lengths are compared only when they were measured in the same way: mineral with mineral or mass with mass, on the same
kind of image, both by the program or both by a reader, and neither of them cut by the edge of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import cbrt, pi
from typing import Any, Final, Literal

from calcreport.model.findings import FindingMass, FindingPrior, Findings, FindingSize, LesionFinding
from calcreport.model.report import LesionGrowth, YesNo
from calcreport.settings import PolicySettings

DAYS_A_MONTH: Final = 30.4375  # 365.25 / 12

PROBABLY_SAME: Final = "probably the same lesion, paired by side, region and depth without images, and not alone there"
"""Reason that leaves a change a possible one."""
_FLOAT_NOISE: Final = 6  # decimals kept in a difference of lengths, so that 50.9 - 50.0 equals 0.9

ComparedPart = Literal["mass", "mineral"] | None  # what was compared; None for nothing
Course = Literal["stable", "smaller", "larger", "larger_in_volume"]  # change of length against both errors

_PROJECTED: Final = frozenset({"CR", "DX"})  # kinds of image that enlarge by an unknown factor


def weigh_growth(lesion: LesionFinding, findings: Findings, policy: PolicySettings) -> LesionGrowth | None:
    """Compare a lesion with its `prior`, typed by a reader or matched in an earlier report; ``None`` without one.

    Without a match, or where lengths are not comparable, the numbers of change are ``None`` and `reason` says why; a
    reader who states that lengths measured in an unnamed way are comparable is believed, one who contradicts what was
    named is not.
    """
    prior = lesion.prior
    if prior is None:
        return None
    day = prior.study_date or (findings.prior_study.study_date if findings.prior_study else None)
    shared = {"prior_id": prior.lesion_id, "prior_date": day.isoformat() if day else None}
    if prior.status != "matched":
        return LesionGrowth(status=prior.status, comparable=YesNo.NO, reason=prior.reason, **shared)
    basis, before_mm = _basis(lesion, prior), prior.max_diameter_mm
    now_mm = _part(lesion, basis).max_diameter_mm
    days = (findings.study_date - day).days if day is not None and findings.study_date is not None else 0
    doubt = prior.reason if prior.reason == PROBABLY_SAME else ""
    reason = (not doubt and prior.reason) or _why_not_comparable(lesion, findings, prior, basis)
    comparable = YesNo.NO if reason else prior.comparable
    growth = LesionGrowth(
        status="matched",
        comparable=comparable,
        earlier_lengths=tuple((past.isoformat(), length_mm) for past, length_mm in prior.earlier_lengths),
        reason=reason or doubt,
        basis=basis,
        before_mm=before_mm,
        now_mm=now_mm,
        interval_days=max(days, 0) or None if prior.interval_days is None else prior.interval_days,
        **shared,
    )
    if now_mm is None or not before_mm:
        return growth
    changed = _with_change(growth, lesion, policy)
    if changed.comparable is YesNo.YES:
        changed = _stability(changed, lesion, findings, policy)
    # A length cut short that exceeds the earlier one all the same is larger by at least that much.
    is_at_least = reason == _CUT_NOW and changed.course == "larger"
    return changed if not reason or is_at_least else growth


def _with_change(growth: LesionGrowth, lesion: LesionFinding, policy: PolicySettings) -> LesionGrowth:
    """Add the change of the length, the error of both measurements, the volumes and what they show together."""
    prior, part = lesion.prior or FindingPrior(), _part(lesion, growth.basis)
    now_mm, before_mm, days = growth.now_mm or 0.0, growth.before_mm or 0.0, growth.interval_days
    change_mm = round(now_mm - before_mm, _FLOAT_NOISE)
    errors_mm = (
        part.uncertainty_mm or lesion.voxel_diagonal_mm or policy.typed_length_error_mm,
        prior.uncertainty_mm or policy.typed_length_error_mm,
    )
    change: dict[str, Any] = {
        "change_mm": change_mm,
        "change_percent": round(100 * (now_mm - before_mm) / before_mm, _FLOAT_NOISE),
        "change_mm_per_month": round(change_mm * DAYS_A_MONTH / days, _FLOAT_NOISE) if days else None,
        "error_mm": round(sum(errors_mm), _FLOAT_NOISE),
        "volume_before_mm3": prior.volume_mm3,
        "volume_now_mm3": part.volume_mm3,
    }
    course = _course(growth.model_copy(update=change), before_mm, policy)
    if prior.volume_mm3 and part.volume_mm3 and not part.is_minimum:
        change_mm3 = part.volume_mm3 - prior.volume_mm3
        least_mm3 = policy.volume_error_percent / 100 * prior.volume_mm3
        error_mm3 = sum(map(_volume_error, (part.volume_mm3, prior.volume_mm3), errors_mm))
        is_larger = round(change_mm3 - max(error_mm3, least_mm3), _FLOAT_NOISE) > 0
        course = "larger_in_volume" if is_larger and course != "larger" else course
        change["volume_change_percent"] = round(100 * change_mm3 / prior.volume_mm3, _FLOAT_NOISE)
    return growth.model_copy(update=change | {"course": course})


def _course(growth: LesionGrowth, from_mm: float, policy: PolicySettings) -> Course:
    """Course of the length since it was `from_mm`: a change beyond the error, or one that reaches a growth limit."""
    change_mm = round((growth.now_mm or 0.0) - from_mm, _FLOAT_NOISE)
    is_within_error = abs(change_mm) <= (growth.error_mm or 0.0)
    reaches_limit = abs(change_mm) >= policy.growth_mm or 100 * abs(change_mm) >= policy.growth_percent * from_mm
    if is_within_error and not reaches_limit:
        return "stable"
    return "larger" if change_mm > 0 else "smaller"


def _volume_error(volume_mm3: float, error_mm: float) -> float:
    """Error in mm3 of the volume of a sphere whose diameter has the error `error_mm`."""
    return 3 * volume_mm3 * error_mm / cbrt(6 * volume_mm3 / pi)


def _stability(growth: LesionGrowth, lesion: LesionFinding, findings: Findings, policy: PolicySettings) -> LesionGrowth:
    """Add beginning, length and duration of stability where the lesion is stable since the earlier study."""
    prior = lesion.prior or FindingPrior()
    if growth.course != "stable":
        return growth
    since, from_mm = growth.prior_date, growth.before_mm
    if prior.stable_since and prior.stable_from_mm and _course(growth, prior.stable_from_mm, policy) == "stable":
        since, from_mm = prior.stable_since.isoformat(), prior.stable_from_mm
    day = date.fromisoformat(since) if since else None
    days = (findings.study_date - day).days if findings.study_date and day else growth.interval_days
    return growth.model_copy(update={"stable_since": since, "stable_from_mm": from_mm, "stable_days": days})


def with_older(findings: Findings, older: Sequence[Findings], policy: PolicySettings) -> Findings:
    """Add to each lesion its comparable lengths before the earlier study; `older`: the same lesions beside each."""
    lesions = []
    for number, lesion in enumerate(findings.lesions):
        prior, known = lesion.prior, [weigh_growth(past.lesions[number], past, policy) for past in older]
        if prior is not None and prior.lesion_id is not None:
            lengths = {
                date.fromisoformat(growth.prior_date): growth.before_mm
                for growth in known
                if growth and growth.comparable is YesNo.YES and growth.basis == prior.basis and growth.prior_date
            } | dict(prior.earlier_lengths)
            prior = prior.model_copy(update={"earlier_lengths": tuple(sorted(lengths.items()))})
        lesions.append(lesion.model_copy(update={"prior": prior}))
    return findings.model_copy(update={"lesions": tuple(lesions)})


def _part(lesion: LesionFinding, basis: ComparedPart) -> FindingMass | FindingSize:
    return lesion.mass if basis == "mass" else lesion.size


def _basis(lesion: LesionFinding, prior: FindingPrior) -> ComparedPart:
    """Compared part: the mineral unless the mass was named or is all that is known."""
    if prior.basis is not None or lesion.size.max_diameter_mm is not None:
        return prior.basis or "mineral"
    return None if lesion.mass.max_diameter_mm is None else "mass"


def _why_not_comparable(lesion: LesionFinding, findings: Findings, prior: FindingPrior, basis: ComparedPart) -> str:
    """Say why the lengths may not be compared; empty when nothing speaks against it."""
    now = findings.modality
    before = prior.modality or (findings.prior_study.modality if findings.prior_study else None)
    if now is not None and before is not None and now != before and {now, before} - _PROJECTED:
        return f"measured on {before} before and on {now} now"
    if prior.is_minimum:
        return "cut by the edge of the images before, so that the length was a minimum"
    part = _part(lesion, basis)
    if prior.basis is not None and part.max_diameter_mm is None:
        is_mass = prior.basis == "mass"
        return "the mass was measured before and not now" if is_mass else "the mineral was measured before and not now"
    is_by_reader = lesion.mass.source == "reader" if basis == "mass" else lesion.size.is_by_reader
    if prior.is_by_reader in {None, is_by_reader}:
        return _CUT_NOW if part.is_minimum else ""
    program = "along a contour" if basis == "mass" else "by the program"
    hands = (program, "by a reader") if is_by_reader else ("by a reader", program)
    return f"measured {hands[0]} before and {hands[1]} now"


_CUT_NOW: Final = "cut by the edge of the images now, so that the length is a minimum"
"""Reason that a length larger all the same outweighs."""
