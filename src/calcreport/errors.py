"""Every failure calcreport can name.

The tree::

    CalcReportError(message, *, code)
    ├── InputError: NotDicomError · UnsupportedImageError · CalibrationError · GeometryError
    ├── ConfigurationError: UsageError · SettingsError · ClinicalError · RuleFileError · TemplateError
    ├── OutputError: StoreError
    └── DeliveryError

A code is stable and never reused. A message names the remedy and holds no patient data.
"""

from __future__ import annotations


class CalcReportError(Exception):
    """Base of every named failure: what is wrong and what to do about it, and its ``area.reason`` in lower case."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class InputError(CalcReportError):
    """The input cannot be measured."""


class NotDicomError(InputError):
    """Not a DICOM file, or damaged beyond reading."""


class UnsupportedImageError(InputError):
    """A DICOM object on which nothing can be measured."""


class CalibrationError(InputError):
    """Pixel values cannot be taken as Hounsfield units."""


class GeometryError(InputError):
    """Voxel positions are missing, contradictory or untrustworthy."""


class ConfigurationError(CalcReportError):
    """What the user typed or configured is wrong."""


class UsageError(ConfigurationError):
    """A command line that cannot be carried out."""


class SettingsError(ConfigurationError):
    """A settings file or value that is wrong."""


class ClinicalError(ConfigurationError):
    """A clinical or findings file that is wrong."""


class RuleFileError(ConfigurationError):
    """A rule file that is wrong; ``problems`` lists every mistake."""

    def __init__(self, message: str, *, code: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, code=code)
        self.problems = problems


class TemplateError(ConfigurationError):
    """A site's template that cannot be rendered."""


class OutputError(CalcReportError):
    """Results could not be written."""


class StoreError(OutputError):
    """What was received, or its results, could not be kept."""


class DeliveryError(CalcReportError):
    """Results could not be handed to another system."""

    def __init__(self, message: str, *, code: str, is_retryable: bool) -> None:
        super().__init__(message, code=code)
        self.is_retryable = is_retryable
