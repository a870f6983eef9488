"""Update of a report: a review applied, and conclusions renewed where a fact or an answer changed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pydantic import ValidationError

from calcreport.compose.conclusion import conclude
from calcreport.compose.lesions import name_key_images, name_overviews
from calcreport.compose.reviewed import apply_review, refresh, refuse_unknown, restore, set_rejected_apart
from calcreport.errors import UsageError
from calcreport.files.report import findings_of_report
from calcreport.model.clinical import Clinical, parse_clinical
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.model.report import Report, Software
from calcreport.rules import Ruleset, decide, decide_and_ask
from calcreport.settings import PolicySettings, Settings
from calcreport.study.review import WrittenReview, refuse_other_lesions
from calcreport.study.write import needs_pictures
from calcreport.text.statements import Statements


def bring_up_to_date(  # noqa: PLR0913 - a report, and what concludes it
    report: Report,
    review: WrittenReview | None,
    *,
    ruleset: Ruleset,
    statements: Statements,
    software: Software,
    created: str,
    asks: bool = True,
) -> tuple[Report, bool]:
    """Apply a review to a report, and renew its conclusions where a fact or an answer changed, by review or by hand.

    The decisions of `review` replace those of an earlier one; `software` and `created` are of a report that differs
    from the one given. With `asks` it says what other answers would change, which takes most of the time and is no part
    of the text section. Returns whether conclusions were renewed; words edited by hand stay where nothing else was
    changed.

    Raises `ConfigurationError` ``report.no_findings``, ``review.…``, ``render.unknown_lesion``,
    ``render.damaged_settings``.
    """
    rule_findings = findings_of_report(report)
    if review is None:
        facts, before = set_rejected_apart(report, rule_findings)
    else:
        drafted, before = restore(report, rule_findings)
        refuse_other_lesions(drafted, review)
        facts, before = apply_review(drafted, before, review.review)
    refuse_unknown(facts.lesions, {lesion.id for lesion in before.lesions})
    refreshed = refresh(facts, before, statements)
    is_changed = facts.rejected != report.rejected or refreshed != rule_findings
    if is_changed or _is_concluded_otherwise(facts, refreshed, ruleset):
        facts = facts.model_copy(update={"created": created, "software": software, "rules": ruleset.used})
        return _conclude(facts, refreshed, ruleset, statements, decide_and_ask if asks else decide), True
    if facts != report:  # lesions were accepted: what is concluded stays as it is
        facts = facts.model_copy(update={"created": created})
    return facts, False


def list_pictures(report: Report, formats: Collection[str]) -> Report:
    """List the pictures where the formats want them, as an analysis does."""
    has_pictures = needs_pictures(formats)
    most = settings_of_report(report).output.max_key_images if has_pictures else 0
    images = name_overviews(report) if has_pictures else ()
    return report.model_copy(update={"lesions": name_key_images(report.lesions, most), "images": images})


def settings_of_report(report: Report) -> Settings:
    """Settings a report was made with; `UsageError` ``render.damaged_settings`` where it does not hold them."""
    try:
        return Settings.model_validate(report.settings)
    except ValidationError:
        pass
    # Raised outside the handler: the cause would carry the values into a traceback.
    msg = "the settings in the report were damaged; take the original report"
    raise UsageError(msg, code="render.damaged_settings")


def _is_concluded_otherwise(facts: Report, rule_findings: Findings, ruleset: Ruleset) -> bool:
    """Whether the same rules conclude otherwise: an answer was edited, or a flag, which follows from the facts."""
    if facts.rules is None or facts.rules.sha256 != ruleset.sha256:
        return False  # rules of another version are no edit
    decision = decide(rule_findings, parse_clinical(facts.clinical), settings_of_report(facts).policy, ruleset)
    recorded = [(lesion.flags, lesion.concern) for lesion in facts.lesions]
    concluded = [(lesion.flags, lesion.concern) for lesion in decision.lesions]
    return recorded != concluded or facts.concern is not decision.concern


def _conclude(
    facts: Report,
    rule_findings: Findings,
    ruleset: Ruleset,
    statements: Statements,
    answer: Callable[[Findings, Clinical, PolicySettings, Ruleset], Decision],
) -> Report:
    """Ask the rules again, with the clinical input and the choices of the site that the report was made with."""
    policy = settings_of_report(facts).policy
    return conclude(
        facts,
        answer(rule_findings, parse_clinical(facts.clinical), policy, ruleset),
        order=tuple(range(len(facts.lesions))),
        rule_findings=rule_findings,
        statements=statements,
    )
