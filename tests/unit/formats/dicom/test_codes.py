"""Every code is the standard's, or private and explained."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code

from calcreport.formats.code_table import table_of
from calcreport.formats.dicom import codes
from calcreport.model.report import BoneRelation, Concern, Confidence, DepthClass, FlagState, Lesion
from calcreport.model.terms import PATTERN_LABELS

NOTE = Path(__file__).parents[4] / "docs" / "dicom_conformance.md"

NOT_IN_THE_DICTIONARY = {
    ("UMLS", "C0034375"),  # TID 1500 row 12
    ("UCUM", "{pixels}"),  # PS3.16 section on units: annotations in braces
}
OTHER_MEANING = {
    ("DCM", "126030"),  # PS3.16 annex D has the shorter one
    ("SCT", "18115005"),
}


def every_code() -> Iterator[tuple[str, Code]]:
    for name, value in vars(codes).items():
        if isinstance(value, Code):
            yield name, value
        elif isinstance(value, Mapping):
            yield from ((f"{name} {key}", code) for key, code in value.items() if isinstance(code, Code))


ALL = dict(every_code())
PRIVATE = {name: code for name, code in ALL.items() if code.scheme_designator == codes.PRIVATE_SCHEME}
STANDARD = {name: code for name, code in ALL.items() if name not in PRIVATE}


def test_there_are_codes_of_both_kinds() -> None:
    assert len(STANDARD) > 60
    assert len(PRIVATE) > 40


@pytest.mark.parametrize("name", STANDARD)
def test_a_public_code_is_in_the_standard_under_its_meaning(name: str) -> None:
    code = STANDARD[name]
    key = (code.scheme_designator, code.value)
    if key in NOT_IN_THE_DICTIONARY:
        return
    meanings = {entry[code.value][0] for entry in concepts[code.scheme_designator].values() if code.value in entry}
    assert meanings
    assert code.meaning in meanings or key in OTHER_MEANING


@pytest.mark.parametrize("name", ALL)
def test_value_and_meaning_fit_their_fields(name: str) -> None:
    assert len(ALL[name].value) <= 16
    assert 0 < len(ALL[name].meaning) <= 64
    assert ALL[name].meaning.isascii()


def test_a_private_value_has_one_meaning_and_a_meaning_one_value() -> None:
    pairs = {(code.value, code.meaning) for code in PRIVATE.values()}
    assert len({value for value, _ in pairs}) == len(pairs) == len({meaning for _, meaning in pairs})


@pytest.mark.parametrize("name", PRIVATE)
def test_the_conformance_note_explains_every_private_code(name: str) -> None:
    code = PRIVATE[name]
    assert f"| `{code.value}` | {code.meaning} |" in NOTE.read_text()


@pytest.mark.parametrize(
    ("answers", "coded"),
    [
        (FlagState, codes.FLAG_STATES),
        (Concern, codes.CONCERNS),
        (DepthClass, codes.DEPTHS),
        (BoneRelation, codes.BONE_RELATIONS),
        (Confidence, codes.CONFIDENCES),
    ],
)
def test_every_answer_has_a_code_of_its_own(answers: type[enum.Enum], coded: Mapping[object, Code]) -> None:
    assert set(coded) == set(answers)
    assert len({(code.scheme_designator, code.value) for code in coded.values()}) == len(coded)


def test_every_pattern_has_a_code() -> None:
    assert set(codes.PATTERNS) == set(PATTERN_LABELS)
    assert set(codes.TYPES) | set(codes.DISTRIBUTIONS) <= set(PATTERN_LABELS)


def test_no_name_is_shared_by_mineral_and_mass() -> None:
    names = [*codes.OF_MINERAL.values(), *codes.OF_MASS.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("region", "value"),
    [
        ("right calf", "30021000"),
        ("LEG", "30021000"),
        ("thigh", "68367000"),
        ("SHOULDER", "16982005"),
        ("sternocleidomastoid", "45048000"),
        ("abdominal wall", "87784001"),
        ("prostate", "87784001"),
        ("somewhere", "87784001"),
        ("", "87784001"),
        (None, "87784001"),
    ],
)
def test_a_region_gives_its_site_and_an_unknown_one_soft_tissue(region: str | None, value: str) -> None:
    assert codes.code_site(region).value == value


def test_no_code_calls_a_finding_a_sarcoma() -> None:
    assert "424952003" not in {code.value for code in ALL.values()}


def test_a_name_in_the_table_that_the_report_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "table_of", lambda _: {"certain": ("SCT", "1", "Certain")})
    with pytest.raises(ValueError, match="certain"):
        codes._table("flag_states", FlagState)


def test_every_number_told_is_a_field_of_a_lesion() -> None:
    groups = ("size", "projected", "pixels", "skin_line", "mass", "levels", "plain")
    told = [path for group in groups for path in table_of(f"measured_{group}")]
    for path in (*told, *codes.OF_MINERAL, *codes.OF_MASS):
        section, field = path.split(".")
        section_type = Lesion.model_fields[section].annotation
        assert section_type is not None
        assert field in section_type.model_fields
