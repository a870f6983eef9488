"""The earlier value of a lesion in the structured report: a group of its own at the time point of that study."""

import sys
from pathlib import Path

import numpy as np
import pytest

from calcreport.formats.dicom import codes
from calcreport.formats.dicom.instance import untroubled
from calcreport.formats.dicom.measurement_groups import _earlier_groups
from calcreport.model.report import LesionGrowth, Mass

sys.path.append(str(Path(__file__).parent))

import made_subjects as made

VOLUME = made.volume_of((4, 12, 12), [[0, 0, 0.7, -10], [0, 0.8, 0, 5], [2.5, 0, 0, 100], [0, 0, 0, 1]])
MATCHED = {"status": "matched", "comparable": "yes", "prior_id": "L3", "prior_date": "2025-01-10"}
LENGTHS = {"before_mm": 12.0, "now_mm": 22.0, "change_mm": 10.0, "change_percent": 83.0, "error_mm": 0.8}


def _items(growth: LesionGrowth | None, **told) -> dict[str, str] | None:
    """Values of the earlier group by the meaning of their names; ``None`` where there is none."""
    mask = np.zeros((4, 12, 12), dtype=bool)
    mask[1:3, 3:6, 3:6] = True
    subject = made.ct_subject(VOLUME, [(mask, None)], lesions=(made.lesion_of(1, growth=growth, **told),))
    with untroubled():
        earlier = list(_earlier_groups(subject))
    if not earlier:
        return None
    (group,) = earlier
    found = {}
    for item in group[0].ContentSequence:
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        if "MeasuredValueSequence" in item:
            found[name] = str(item.MeasuredValueSequence[0].NumericValue)
        else:
            found[name] = str(item.get("TextValue") or item.get("UID") or item.ConceptCodeSequence[0].CodeMeaning)
    return found


def test_the_earlier_length_and_volume_stand_at_the_day_of_that_study() -> None:
    growth = LesionGrowth(basis="mineral", volume_before_mm3=900.0, **MATCHED, **LENGTHS)
    items = _items(growth)
    assert items is not None
    assert items["Time Point"] == "2025-01-10"
    assert items["Tracking Identifier"] == "L1"
    assert items["Tracking Unique Identifier"] == made.lesion_of(1).tracking_uid  # ties it to the present group
    assert items[codes.OF_MINERAL["size.max_diameter_mm"].meaning] == "12.0"
    assert items[codes.OF_MINERAL["size.volume_mm3"].meaning] == "900"


def test_of_a_mass_it_is_the_length_of_the_mass() -> None:
    growth = LesionGrowth(basis="mass", **MATCHED, **LENGTHS)
    items = _items(growth, mass=Mass(present="yes", source="contour", max_diameter_mm=22.0))
    assert items is not None
    assert items[codes.OF_MASS["mass.max_diameter_mm"].meaning] == "12.0"
    assert codes.OF_MASS["mass.volume_mm3"].meaning not in items


@pytest.mark.parametrize(
    "growth",
    [
        None,
        LesionGrowth(status="new", comparable="no"),
        LesionGrowth(basis="mineral", reason="cut", before_mm=12.0, now_mm=22.0, **(MATCHED | {"comparable": "no"})),
    ],
)
def test_what_is_not_compared_is_not_written(growth: LesionGrowth | None) -> None:
    assert _items(growth) is None
