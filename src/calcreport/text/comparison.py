"""The comparison with an earlier study in words: the study, and the change of each lesion."""

from __future__ import annotations

from calcreport.model.lengths import Lengths, spell_change
from calcreport.model.report import Lesion, LesionGrowth, PriorStudy, YesNo
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, capitalise


def describe_comparison(comparison: PriorStudy | None, lesions: tuple[Lesion, ...], statements: Statements) -> str:
    """Name the earlier study and the lesions not found there, or say that there is none."""
    if comparison is None:
        return statements.say("comparison_none")
    named, source, missing = name_earlier(comparison, lesions, statements)
    return " ".join(as_sentence(text) for text in (f"{named}{source}", missing) if text)


def name_earlier(comparison: PriorStudy, lesions: tuple[Lesion, ...], statements: Statements) -> tuple[str, str, str]:
    """Name the earlier study, where its measurements come from, and the lesions not found there."""
    modality = comparison.modality or statements.say("comparison.study")
    days = {lesion.growth.prior_date for lesion in lesions if lesion.growth is not None and lesion.growth.prior_date}
    date = comparison.date or ", ".join(sorted(days)) or statements.say("comparison.undated")
    named = statements.say("comparison.named", modality=modality, date=date)
    source = statements.say(f"comparison.{comparison.source}")
    compared = [(lesion.id, lesion.growth.status) for lesion in lesions if lesion.growth is not None]
    unmatched = [name for name, status in compared if status in {"ambiguous", "not_found"}]
    new = [name for name, status in compared if status == "new"]
    said = (("new", new), ("vanished", comparison.vanished), ("unmatched", unmatched))
    texts = [statements.say(f"comparison.{name}", ids=", ".join(ids)) for name, ids in said if ids]
    return named, source, ". ".join(texts)


def describe_growth(growth: LesionGrowth | None, statements: Statements, lengths: Lengths) -> str:
    """Say how a lesion changed; empty when there is no earlier study.

    A sentence without full stop: stable since a day, the change in mm, in % and by the month, or why it is unknown.
    """
    if growth is None:
        return ""
    if growth.change_mm is None or growth.before_mm is None or growth.change_percent is None:
        return statements.say("growth.not_told", reason=growth.reason or statements.say("growth.no_length"))
    text = _say_course(growth, growth.before_mm, growth.change_mm, statements, lengths)
    if growth.course == "larger_in_volume" and growth.volume_change_percent is not None:
        text += statements.say("growth.volume", percent=f"{growth.volume_change_percent:.0f}")
    is_stable = growth.stable_since is not None or growth.course == "stable"
    if growth.change_mm_per_month is not None and growth.change_mm > 0 and not is_stable:
        text += statements.say("growth.rate", rate=f"{growth.change_mm_per_month:.1f}", days=str(growth.interval_days))
    if growth.comparable is not YesNo.YES:
        text += statements.say("growth.doubtful", reason=growth.reason or statements.say("growth.not_established"))
    return capitalise(text)


def _say_course(growth: LesionGrowth, before_mm: float, change_mm: float, words: Statements, lengths: Lengths) -> str:
    """Describe the change of length: stable since a day, unchanged, no change beyond the error, larger or smaller."""
    fields = {
        "before": lengths.spell(before_mm),
        "date": growth.prior_date or words.say("comparison.earlier"),
        "basis": words.say(f"growth.{growth.basis or 'mineral'}"),
    }
    # A change below the error is "stable"; "unchanged" requires equal printed lengths.
    is_same = fields["before"] == lengths.spell(growth.now_mm or 0.0)
    if growth.stable_since is not None and growth.prior_date is not None:
        is_same = is_same and growth.stable_since == growth.prior_date
        return words.say("growth.equal" if is_same else "growth.stable", since=growth.stable_since, **fields)
    is_comparable = growth.comparable is YesNo.YES  # otherwise two lengths stand here, and none is called unchanged
    if is_same:
        return words.say("growth.equal" if is_comparable else "growth.same_length", **fields)
    if growth.course == "stable" and is_comparable:
        return words.say("growth.within_error", error=spell_change(growth.error_mm or 0.0), **fields)
    kind = "larger" if change_mm > 0 else "smaller"
    change = spell_change(abs(change_mm))
    return words.say(f"growth.{kind}", change=change, percent=f"{abs(growth.change_percent or 0.0):.0f}", **fields)


def describe_stability(lesions: list[Lesion], statements: Statements) -> str:
    """State since when all lesions are stable or smaller; empty when this is unknown for one of them."""
    compared = [lesion.growth for lesion in lesions if lesion.growth and lesion.growth.comparable is YesNo.YES]
    for course, field in (("stable", "stable_since"), ("smaller", "prior_date")):
        days = [getattr(growth, field) for growth in compared if growth.course == course]
        if days and len(days) == len(lesions) and None not in days:
            return statements.say(f"growth.{course}_since", since=max(days))
    return ""


def has_known_course(lesion: Lesion) -> bool:
    """Whether a comparable earlier length of the lesion is known, so that its course can be stated."""
    growth = lesion.growth
    return growth is not None and growth.comparable is YesNo.YES and growth.change_mm is not None
