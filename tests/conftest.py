"""For all tests: a tool that is missing is a visible skip on a developer's machine, and a failure in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from typing import Any

import pytest

_MISSING = "is not installed"
_LONG = {
    "test_pacs_hook.py",
    "test_orthanc.py",
    "test_listen.py",
    "test_sr_valid.py",
    "test_cohort.py",
    "test_workers.py",
}
"""Files of tests that take a minute and more."""


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str], str]:
    """``need_tool("dcmdump")`` gives the path of a program, or skips the test."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} {_MISSING}")
        return path

    return find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest on other programs begins first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name not in _LONG)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("CI") and report.skipped and _MISSING in _reason(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"in CI every tool has to be there: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: Any) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
