"""Technique in words."""

from __future__ import annotations

import pytest

from calcreport.formats.templates import load_templates
from calcreport.model.report import Technique
from calcreport.resources import template_texts
from calcreport.text.technique import _describe_slices


@pytest.mark.parametrize(
    ("thickness_mm", "spacing_mm", "text"),
    [
        (3.0, 2.97, "3.0 mm slices"),  # nobody dictates the difference
        (3.0, 2.94, "3.0 mm slices every 2.94 mm"),
        (3.0, 2.5, "3.0 mm slices every 2.5 mm"),
        (1.0, 1.04, "1.0 mm slices"),
        (None, 2.97, "slices every 2.97 mm"),
    ],
)
def test_a_distance_of_slices_is_told_where_it_differs_from_their_thickness(
    thickness_mm: float | None, spacing_mm: float, text: str
) -> None:
    technique = Technique.model_construct(slice_thickness_mm=thickness_mm, spacing_mm=(0.8, 0.8, spacing_mm))
    assert _describe_slices(technique, load_templates(template_texts()).statements) == text
