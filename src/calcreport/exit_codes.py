"""Exit codes: what each means, and which one a run ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from calcreport.errors import CalcReportError, ConfigurationError, DeliveryError, InputError, OutputError

if TYPE_CHECKING:
    from calcreport.study.result import StudyOutcome

# Their meanings are below; 126 is what Kaapana skips a task for, 130 is 128 + SIGINT, as shells have it.
EXIT_DONE: Final = 0
EXIT_INTERNAL: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOTHING: Final = 3
EXIT_SOME: Final = 4
EXIT_UNDELIVERED: Final = 5
EXIT_SKIPPED: Final = 126
EXIT_INTERRUPTED: Final = 130
EXIT_CODES: Final = {
    EXIT_DONE: "every study found was reported",
    EXIT_INTERNAL: "internal error (a bug)",
    EXIT_USAGE: "wrong usage, configuration, clinical file or rule file",
    EXIT_NOTHING: "nothing could be measured: no study, or every study refused",
    EXIT_SOME: "some studies reported, some refused",
    EXIT_UNDELIVERED: "results could not be delivered, also when they could not be written",
    EXIT_SKIPPED: "a batch of Kaapana holds nothing that could be reported: the task is skipped",
    EXIT_INTERRUPTED: "interrupted by Ctrl-C or SIGTERM; finished studies stay, nothing is half-written",
}
"""Every exit code of ``calcreport`` and its meaning."""
_NOT_APPLICABLE: Final = "study.no_ct"  # of a study without images that could be measured
_OF_ERROR: Final[Mapping[type[CalcReportError], int]] = {
    ConfigurationError: EXIT_USAGE,
    InputError: EXIT_NOTHING,
    OutputError: EXIT_UNDELIVERED,
    DeliveryError: EXIT_UNDELIVERED,
}
"""Exit code of a run that an error of a family ended."""


def exit_code_of(error: CalcReportError) -> int:
    """Exit code of a run that an error ended."""
    return next((code for kind, code in _OF_ERROR.items() if isinstance(error, kind)), EXIT_INTERNAL)


def exit_code_of_batch(code: int, studies: Sequence[StudyOutcome]) -> int:
    """Exit code for Kaapana, which fails the whole task for any other than 0 and skips it for 126."""
    if code == EXIT_SOME:
        return EXIT_DONE
    is_other = all(study.code == _NOT_APPLICABLE for study in studies)
    return EXIT_SKIPPED if code == EXIT_NOTHING and is_other else code


def exit_code_of_studies(studies: Sequence[StudyOutcome], *, is_written: bool) -> int:
    """Exit code of a run, or of several: the outcome of every study, and whether every summary is in place."""
    refused = sum(study.status == "refused" for study in studies)
    kinds = {study.kind for study in studies}
    wrong = [study.code for study in studies if study.kind == "configuration"]
    # A row of a clinical table that is of another patient says nothing against the studies that were reported.
    if wrong and (refused == len(studies) or not all(code.startswith("clinical.") for code in wrong)):
        return EXIT_USAGE
    if "output" in kinds or not is_written:
        return EXIT_UNDELIVERED
    if refused < len(studies):
        return EXIT_SOME if refused else EXIT_DONE
    return EXIT_INTERNAL if "internal" in kinds else EXIT_NOTHING
