"""What headers say of contrast, in the words of several languages; add a row for what is seen next."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset

from calcreport.dicom.ct.read import contrast_of
from calcreport.model.image import Contrast

NONE, VENOUS, ARTERIAL, GIVEN, UNKNOWN = (
    Contrast.NONE, Contrast.VENOUS, Contrast.ARTERIAL, Contrast.GIVEN, Contrast.UNKNOWN
)  # fmt: skip


def series(description="", *, protocol="", study="", agent="", route="", amount=False, stack=""):
    header = SimpleNamespace(
        description=description,
        protocol=protocol,
        contrast_agent=agent,
        contrast_route=route,
        has_contrast_amount=amount,
    )
    patient = SimpleNamespace(study_description=study)
    return SimpleNamespace(stack=stack, planes=[SimpleNamespace(image=SimpleNamespace(series=header, patient=patient))])


DESCRIPTIONS = tomllib.loads((Path(__file__).parent / "contrast_words.toml").read_text())


@pytest.mark.parametrize(
    ("words", "phase"), [(words, Contrast(phase)) for phase, rows in DESCRIPTIONS.items() for words in rows]
)
def test_a_description_says_with_without_both_or_nothing(words, phase):
    assert contrast_of(series(words)) is phase
    assert contrast_of(series(words.upper())) is phase
    assert contrast_of(series("", protocol=words)) is phase


ATTRIBUTES = [
    # agent, route, volume or time, phase
    ("APPLIED", "", False, GIVEN),
    ("ULTRAVIST 370", "IV", True, GIVEN),
    ("Omnipaque", "", False, GIVEN),
    ("CE", "", False, GIVEN),
    ("non ionic", "", False, GIVEN),
    ("", "IV", False, GIVEN),
    ("", "I.V.", False, GIVEN),
    ("", "Oral & IV", False, GIVEN),
    ("", "INTRAVENOUS", False, GIVEN),
    ("", "Intravenous route", False, GIVEN),
    ("", "", True, GIVEN),
    ("ORAL AND IV", "", False, GIVEN),
    ("OMNIPAQUE & READICAT", "IV & ORAL", False, GIVEN),
    ("", "i.v. bolus", True, GIVEN),
    ("none", "", False, NONE),
    ("NO", "", False, NONE),
    ("0 ml", "", False, NONE),
    ("0", "", False, NONE),
    ("kein KM", "", False, NONE),
    ("ohne", "", False, NONE),
    ("sans contraste", "", False, NONE),
    ("without", "NONE", False, NONE),
    ("no contrast given", "", False, NONE),
    ("not given", "", False, NONE),
    ("W/O", "", False, NONE),
    ("nativ", "", False, NONE),
    ("N/A", "", False, UNKNOWN),
    ("n.a.", "N/A", False, UNKNOWN),
    ("?", "", False, UNKNOWN),
    ("-", "", False, UNKNOWN),
    ("unknown", "unknown", False, UNKNOWN),
    ("", "", False, UNKNOWN),
    ("Gastrografin", "", False, UNKNOWN),
    ("BARIUM", "ORAL", True, UNKNOWN),
    ("Omnipaque", "ORAL", True, UNKNOWN),
    ("", "PO", False, UNKNOWN),
    ("Iopamidol", "Intra-articular", True, UNKNOWN),
    ("", "rectal", False, UNKNOWN),
    # contradictions
    ("none", "IV", False, UNKNOWN),
    ("NONE", "", True, UNKNOWN),
    ("0 ml", "IV", False, UNKNOWN),
    ("Ultravist", "none", False, UNKNOWN),
]


@pytest.mark.parametrize(("agent", "route", "amount", "phase"), ATTRIBUTES)
def test_the_contrast_attributes_say_given_none_or_nothing(agent, route, amount, phase):
    assert contrast_of(series("Thorax 1.0", agent=agent, route=route, amount=amount)) is phase


MIXED = [
    ({"description": "portal venous", "agent": "APPLIED"}, VENOUS),
    ({"description": "arterial", "agent": "APPLIED", "protocol": "W WO"}, ARTERIAL),
    ({"description": "2.0 soft", "protocol": "Abdomen arterial"}, ARTERIAL),
    ({"description": "with contrast", "protocol": "CTA aorta"}, ARTERIAL),
    ({"description": "nativ", "protocol": "Leber arteriell"}, NONE),
    ({"description": "nativ", "protocol": "Abdomen KM"}, NONE),
    ({"description": "nativ", "agent": "APPLIED"}, UNKNOWN),
    ({"description": "without contrast", "route": "IV"}, UNKNOWN),
    ({"description": "arterial", "agent": "none"}, UNKNOWN),
    ({"description": "W WO", "agent": "APPLIED"}, UNKNOWN),
    ({"description": "CT Body 3.0", "protocol": "FDG_TK_KM", "agent": "APPLIED"}, GIVEN),
    ({"description": "lung", "study": "CT CHEST R/O PE"}, GIVEN),
    ({"description": "lung", "study": "CT ANGIO CHEST"}, GIVEN),
    ({"description": "lung", "study": "CT CHEST WITHOUT CONTRAST"}, UNKNOWN),
    ({"description": "lung", "study": "CT CHEST W WO"}, UNKNOWN),
    ({"description": "with contrast", "route": "ORAL"}, UNKNOWN),
    ({"stack": "contrast agent 2"}, UNKNOWN),
]


@pytest.mark.parametrize(("said", "phase"), MIXED)
def test_description_attributes_protocol_and_study_together(said, phase):
    assert contrast_of(series(**said)) is phase


def coded(agent=None, route=None):
    item = Dataset()
    item.CodeMeaning = agent or ""
    if route:
        way = Dataset()
        way.CodeMeaning = route
        item.ContrastBolusAdministrationRouteSequence = [way]
    return [item]


@pytest.mark.parametrize(
    ("tags", "phase"),
    [
        ({"ContrastBolusAgent": "APPLIED", "ContrastBolusVolume": "0"}, GIVEN),
        ({"ContrastBolusAgent": "", "ContrastBolusVolume": "0", "ContrastBolusStartTime": "000000"}, UNKNOWN),
        ({"ContrastBolusVolume": "90.5"}, GIVEN),
        ({"ContrastBolusStartTime": "140216.694"}, GIVEN),
        ({"ContrastBolusTotalDose": "30"}, GIVEN),
        ({"ContrastBolusIngredient": "IODINE"}, GIVEN),
        ({"ContrastBolusAgentSequence": coded("Iohexol")}, GIVEN),
        ({"ContrastBolusAgentSequence": coded()}, GIVEN),
        ({"ContrastBolusAgentSequence": coded("Iohexol", "Intravenous route")}, GIVEN),
        ({"ContrastBolusAgentSequence": coded("Iohexol", "Oral route")}, UNKNOWN),
        ({"ContrastBolusAgentSequence": coded("None")}, NONE),
        ({"SeriesDescription": "Thorax KM"}, GIVEN),
    ],
)
def test_contrast_is_read_from_every_attribute_of_a_file(write_ct, reader, tags, phase):
    assert reader.read(write_ct(**tags)).acquisition.contrast is phase
