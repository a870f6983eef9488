"""Findings and decision become one report, and the report becomes prose."""

from calcreport.compose.conclusion import conclude
from calcreport.compose.lesions import (
    OVERVIEW_IMAGE,
    film_image_name,
    key_image_name,
    name_key_images,
    name_overviews,
    number_lesions,
    overview_name,
)
from calcreport.compose.narrative import Narrative, narrate
from calcreport.compose.occasion import Occasion
from calcreport.compose.report import compose_report
from calcreport.compose.statements import Statements, parse_statements
from calcreport.compose.technique import Imaging

__all__ = [
    "OVERVIEW_IMAGE",
    "Imaging",
    "Narrative",
    "Occasion",
    "Statements",
    "compose_report",
    "conclude",
    "film_image_name",
    "key_image_name",
    "name_key_images",
    "name_overviews",
    "narrate",
    "number_lesions",
    "overview_name",
    "parse_statements",
]
