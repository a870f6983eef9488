"""When the clinician's words say which mineral of a cavity is the lesion in question."""

from __future__ import annotations

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.study.ct import _felt_mass


@pytest.mark.parametrize(
    ("mass", "region", "reach_mm"),
    [
        ({"palpable": "yes"}, "abdomen", 80.0),
        ({"palpable": "yes", "size_cm": 8}, "abdomen", 110.0),
        ({"size_cm": 2.5}, "pelvis", 55.0),  # seen elsewhere, whether felt or not
        ({"palpable": "no", "size_cm": 4}, "pelvis", 70.0),
        ({"palpable": "no"}, "abdomen", None),
        ({"palpable": "unknown"}, "abdomen", None),
        ({}, "abdomen", None),
        ({"palpable": "yes"}, None, None),  # no site: it may be anywhere
        ({"palpable": "yes"}, "somewhere", None),
    ],
)
def test_a_mass_at_a_named_site_reaches_its_size_under_the_skin(mass, region, reach_mm):
    site = {} if region is None else {"region": region}
    found = _felt_mass(parse_clinical({"mass": mass, "site": site}))
    assert (found and found.reach_mm) == reach_mm


@pytest.mark.parametrize(
    ("site", "region", "is_at"),
    [
        ("abdomen", "abdomen", True),
        ("abdominal wall", "abdomen", True),
        ("pelvis", "pelvis", True),
        ("groin", "pelvis", True),
        ("chest wall", "thorax", True),
        ("thigh", "pelvis", False),
        ("abdomen", "thorax", False),
        ("abdomen", "", False),
    ],
)
def test_a_region_of_the_image_is_the_site_or_beside_it(site, region, is_at):
    found = _felt_mass(parse_clinical({"mass": {"palpable": "yes"}, "site": {"region": site}}))
    assert found.is_at(region) is is_at
