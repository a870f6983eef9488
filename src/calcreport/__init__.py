"""calcreport: soft-tissue calcification on CT and radiographs, measured and drafted as a report section.

The functions are imported when they are first asked for: ``import calcreport`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from calcreport.api import StudyResult, analyze, decide, read_report, render
    from calcreport.errors import CalcReportError
    from calcreport.model.report import Report

__version__: Final = "0.1.0"
"""Version of the software; printed in every report."""

__all__ = [
    "CalcReportError",
    "Report",
    "StudyResult",
    "__version__",
    "analyze",
    "decide",
    "read_report",
    "render",
]

_ROOMS: Final = {"CalcReportError": "calcreport.errors", "Report": "calcreport.model.report"}
"""Where a public name is defined, if not in `calcreport.api`."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in __all__:
        msg = f"module 'calcreport' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_ROOMS.get(name, "calcreport.api")), name)
