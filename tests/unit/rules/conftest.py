"""The built-in rules, loaded once."""

from __future__ import annotations

import pytest

from calcreport.resources import rule_texts
from calcreport.rules import Ruleset, load_rules


@pytest.fixture(scope="session")
def ruleset() -> Ruleset:
    return load_rules(rule_texts())
