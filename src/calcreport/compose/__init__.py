"""Composition of findings and decision into one report, and its prose."""

from calcreport.compose.conclusion import conclude
from calcreport.compose.lesions import (
    OVERVIEW_IMAGE,
    film_image_name,
    key_image_name,
    list_incidental,
    name_key_images,
    name_overviews,
    number_lesions,
    overview_name,
)
from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext, Imaging
from calcreport.text.narrative import Narrative, narrate
from calcreport.text.statements import Statements, parse_statements

__all__ = [
    "OVERVIEW_IMAGE",
    "DraftContext",
    "Imaging",
    "Narrative",
    "Statements",
    "compose_report",
    "conclude",
    "film_image_name",
    "key_image_name",
    "list_incidental",
    "name_key_images",
    "name_overviews",
    "narrate",
    "number_lesions",
    "overview_name",
    "parse_statements",
]
