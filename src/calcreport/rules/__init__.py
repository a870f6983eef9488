"""Decision logic: rule tables a radiologist can read, a three-valued evaluator, and its conclusions with reasons."""

from __future__ import annotations

from calcreport.rules.engine import decide
from calcreport.rules.evaluation import Outcome, RuleVerdict, evaluate
from calcreport.rules.ruleset import Ruleset, load_rules
from calcreport.rules.what_if import decide_and_ask, what_would_change

__all__ = [
    "Outcome",
    "RuleVerdict",
    "Ruleset",
    "decide",
    "decide_and_ask",
    "evaluate",
    "load_rules",
    "what_would_change",
]
