"""Findings and decision become one report, and the report becomes prose."""

from calcreport.compose.lesions import OVERVIEW_IMAGE, key_image_name, number_lesions
from calcreport.compose.narrative import Narrative, narrate
from calcreport.compose.report import Imaging, Occasion, compose_report
from calcreport.compose.statements import Statements, parse_statements

__all__ = [
    "OVERVIEW_IMAGE",
    "Imaging",
    "Narrative",
    "Occasion",
    "Statements",
    "compose_report",
    "key_image_name",
    "narrate",
    "number_lesions",
    "parse_statements",
]
