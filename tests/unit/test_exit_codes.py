"""Exit codes: what a script decides from, by error and by what became of the studies."""

import pytest

from calcreport import errors, exit_codes
from calcreport.exit_codes import EXIT_CODES, exit_code_of, exit_code_of_studies
from calcreport.study.result import StudyOutcome

REPORTED = StudyOutcome(folder="1", status="reported")
NOTHING_SEEN = StudyOutcome(folder="2", status="no_calcification")


def refused(kind, code="geometry.gap"):
    return StudyOutcome(folder="3", status="refused", kind=kind, code=code)


def test_every_code_has_one_meaning() -> None:
    codes = [value for name, value in vars(exit_codes).items() if name.startswith("EXIT_") and isinstance(value, int)]
    assert sorted(codes) == sorted(EXIT_CODES) == [0, 1, 2, 3, 4, 5, 126, 130]
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2), (errors.SettingsError, 2), (errors.ClinicalError, 2), (errors.RuleFileError, 2),
        (errors.TemplateError, 2), (errors.NotDicomError, 3), (errors.GeometryError, 3), (errors.CalibrationError, 3),
        (errors.UnsupportedImageError, 3), (errors.OutputError, 5), (errors.StoreError, 5), (errors.CalcReportError, 1),
    ],
)  # fmt: skip
def test_an_error_has_the_code_of_its_kind(kind, code) -> None:
    assert exit_code_of(kind("wrong", code="a.b")) == code


def test_what_could_not_be_handed_on_is_undelivered() -> None:
    assert exit_code_of(errors.DeliveryError("away", code="a.b", is_retryable=True)) == 5


@pytest.mark.parametrize(
    ("studies", "is_written", "code"),
    [
        ([REPORTED, NOTHING_SEEN], True, 0),
        ([], True, 3),
        ([refused("input")], True, 3),
        ([refused("input"), refused("internal", "internal.error")], True, 1),
        ([REPORTED, refused("input")], True, 4),
        ([REPORTED, refused("internal", "internal.error")], True, 4),
        ([REPORTED, refused("output", "output.disk_full")], True, 5),
        ([REPORTED], False, 5),
        ([refused("configuration", "clinical.value")], True, 2),
        ([REPORTED, refused("configuration", "clinical.value")], True, 4),
        ([REPORTED, refused("configuration", "usage.mask_roi")], True, 2),
        ([REPORTED, refused("configuration", "usage.mask_roi"), refused("output", "output.failed")], False, 2),
    ],
)
def test_a_run_has_the_code_of_what_became_of_its_studies(studies, is_written, code) -> None:
    assert exit_code_of_studies(studies, is_written=is_written) == code
