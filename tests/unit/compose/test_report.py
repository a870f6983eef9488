from __future__ import annotations

from pathlib import Path

import pytest

from calcreport.compose.lesions import name_key_images, number_lesions
from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.model.decision import Decision, LesionDecision
from calcreport.model.findings import Findings, LesionFinding
from calcreport.model.report import (
    Differential,
    Flag,
    Flags,
    Patient,
    PatientLevel,
    Recommendation,
    Report,
    Software,
    Study,
)
from calcreport.resources import rule_texts, template_texts
from calcreport.rules import load_rules
from calcreport.settings import Settings
from calcreport.text.clinical import describe_clinical
from calcreport.text.narrative import narrate
from calcreport.text.statements import parse_statements

STATEMENTS = parse_statements(template_texts()["statements.toml"])
EXPECTED = Path(__file__).parents[2] / "golden" / "expected"


def flags(state: str = "not_provided") -> Flags:
    return Flags(**dict.fromkeys(Flags.model_fields, Flag(state=state, evidence="")))


def decided(concern: str, *asks: str, state: str = "not_provided") -> LesionDecision:
    recommendations = tuple(
        Recommendation(id=ask, text=f"Do {ask}", sources=("s",), is_referral=ask == "R09") for ask in asks
    )
    return LesionDecision(flags=flags(state), concern=concern, differential=(), recommendations=recommendations)


def decision(*lesions: LesionDecision, patient: PatientLevel | None = None) -> Decision:
    return Decision(
        lesions=lesions,
        patient=patient or PatientLevel(),
        concern="none",
        flags_summary={},
        recommendations=(),
        capabilities=load_rules(rule_texts()).capabilities,
    )


def finding(longest_mm: float | None = None, **fields: object) -> LesionFinding:
    return LesionFinding.model_validate({"size": {"max_diameter_mm": longest_mm}, **fields})


def compose(lesions: tuple[LesionFinding, ...], answer: Decision, **clinical: object) -> Report:
    context = DraftContext(
        study=Study(study_instance_uid="1.2", study_date=None, modality="CT", description=None, patient=Patient()),
        series=(),
        clinical=clinical,
        settings=Settings(),
        software=Software(name="calcreport", version="0", rules_version="0"),
    )
    return compose_report(
        Findings(modality="CT", lesions=lesions), answer, context=context, imaging=None, statements=STATEMENTS
    )


def test_lesions_are_numbered_by_concern_then_size_of_the_mass_or_mineral() -> None:
    lesions = (
        finding(60.0),
        finding(5.0),
        finding(8.0, mass={"present": "yes", "max_diameter_mm": 90.0}),
        finding(None),
        finding(4.0),
    )
    answer = decision(*(decided(concern) for concern in ("modified", "high", "modified", "none", "indeterminate")))
    assert number_lesions(lesions, answer) == (("L1", 1), ("L2", 2), ("L3", 0), ("L4", 4), ("L5", 3))


def test_a_decision_about_other_lesions_is_refused() -> None:
    with pytest.raises(ValueError, match="1 lesions but 0 decisions"):
        number_lesions((finding(1.0),), decision())


def test_what_was_not_typed_is_not_determined_rather_than_no() -> None:
    lesion = compose((finding(),), decision(decided("indeterminate"))).lesions[0]
    assert lesion.depth.class_ == "cannot_determine"
    assert lesion.bone_relation == "cannot_determine"
    assert lesion.mass.present == "unknown"
    assert lesion.pattern.id == "P30"
    assert lesion.size.max_diameter_mm is None


def test_typed_findings_are_put_into_words() -> None:
    lesion = finding(
        50.1,
        mass={"present": "yes", "max_diameter_mm": 119.0},
        depth={"class": "subfascial"},
        pattern={"id": "P23"},
        location={"region": "thigh", "laterality": "left", "tissue": "muscle"},
        features={"centre_dense": "yes"},
    )
    report = compose((lesion,), decision(decided("high", "R09", state="present")))
    words = narrate(report, STATEMENTS)
    assert words.technique == ("Findings entered by a reader; no images were measured.",)
    assert words.lesions[0].place == "Left thigh, intramuscular."
    measured = dict(words.lesions[0].measured)
    assert measured["Mass, longest dimension"] == "11.9 cm"
    assert measured["Mineral, longest dimension"] == "5.01 cm"
    assert measured["Layer"] == "deep to the deep fascia"
    assert report.impression[0].startswith("11.9 cm deep mass with calcification, left thigh, indeterminate.")
    assert words.section.flags.startswith("Size >5 cm: PRESENT. Deep location: PRESENT.")


def test_lesions_alike_share_a_sentence_and_a_mass_stands_alone() -> None:
    alike = compose(tuple(finding(float(n)) for n in range(3, 8)), decision(*[decided("none")] * 5)).impression
    assert len(alike) == 1
    assert alike[0].startswith("Five calcifications")
    worse = decision(*[decided("none")] * 4, decided("flagged"))
    (first, others) = compose(tuple(finding(float(n)) for n in range(3, 8)), worse).impression
    assert "(L1)" in first
    assert "(L2, L3, L4, L5)" in others
    mass = {"present": "yes", "max_diameter_mm": 30.0}
    alone = compose((finding(3.0, mass=mass), finding(4.0, mass=mass)), decision(*[decided("flagged")] * 2)).impression
    assert len(alone) == 2


def test_a_tumour_behind_something_likelier_is_named_as_not_excluded() -> None:
    def entry(name: str, label: str) -> Differential:
        return Differential(id=name, label=label, weight="+", because=(), certainty="possible")

    tumour, other = entry("C22", "soft-tissue sarcoma"), entry("C01b", "dystrophic calcification")
    behind = decided("flagged").model_copy(update={"differential": (other, tumour)})
    before = decided("flagged").model_copy(update={"differential": (tumour, other)})
    assert (
        "possible: dystrophic calcification; soft-tissue sarcoma not excluded."
        in (compose((finding(3.0),), decision(behind)).impression[0])
    )
    assert (
        "possible: soft-tissue sarcoma or dystrophic calcification."
        in (compose((finding(3.0),), decision(before)).impression[0])
    )


def test_the_whole_patient_stands_behind_high_concern_and_before_the_rest() -> None:
    patient = PatientLevel(notes=("Seen in both legs",))
    impression = compose(
        (finding(3.0), finding(4.0)), decision(decided("none"), decided("high"), patient=patient)
    ).impression
    assert "(L1)" in impression[0]
    assert impression[1] == "Seen in both legs."
    assert "(L2)" in impression[2]


def test_recommendations_stay_as_the_rules_merged_them() -> None:
    lesion = decided("high", "R05", "R11")
    answer = decision(lesion).model_copy(update={"recommendations": lesion.recommendations[1:]})
    assert [entry.id for entry in compose((finding(3.0),), answer).recommendations] == ["R11"]


def test_what_the_rules_add_is_said_once_and_in_the_impression() -> None:
    lesion = decided("flagged").model_copy(update={"notes": ("Sarcoma is the principal mimic",)})
    report = compose((finding(3.0),), decision(lesion))
    assert "Sarcoma is the principal mimic." in report.impression[0]
    assert not any("mimic" in sentence for sentence in narrate(report, STATEMENTS).lesions[0].sentences)


def test_limitations_are_those_that_apply() -> None:
    report = Report.model_validate_json((EXPECTED / "deep_mass.json").read_bytes())
    cut = [sentence for sentence in report.limitations if "truncated" in sentence]
    assert cut == ["Lesion truncated at the edge of the field of view; dimensions are minimum values (L2)."]
    other = Report.model_validate_json((EXPECTED / "phlebolith.json").read_bytes())
    assert not any("truncated" in sentence for sentence in other.limitations)
    nothing = Report.model_validate_json((EXPECTED / "negative.json").read_bytes())
    assert nothing.limitations == ("Soft-tissue lesions without mineral are not detected by this analysis.",)


def test_numbers_in_the_report_are_not_rounded() -> None:
    lesion = compose((finding(44.123456),), decision(decided("none"))).lesions[0]
    assert lesion.size.max_diameter_mm == 44.123456


def test_unknown_answers_are_named_and_never_said_as_no() -> None:
    told = describe_clinical({"symptoms": {"pain": "unknown"}, "history": {"trauma": None}}, Patient(), STATEMENTS)
    assert told.given == ()
    assert {"pain", "trauma", "growth", "laboratory values"} <= set(told.missing)


@pytest.mark.parametrize(
    ("clinical", "words"),
    [
        ({"symptoms": {"pain": "no"}}, "No pain."),
        ({"symptoms": {"pain": "yes", "pain_explained_by": "recent_trauma"}}, "Pain, explained by recent trauma."),
        ({"symptoms": {"pain": "yes", "pain_explained_by": "none"}}, "Pain."),
        ({"growth": {"rate": "rapid", "weeks": 10}}, "Rapid growth, over 10 weeks."),
        ({"growth": {"rate": "none", "stable_months": 12}}, "Stable for 12 months; no growth."),
        ({"mass": {"palpable": "yes", "size_cm": 4.2, "mobility": "fixed"}}, "Palpable mass, 4.2 cm, fixed."),
        ({"history": {"trauma": True, "trauma_weeks_ago": 8}}, "Trauma, 8 weeks ago."),
        ({"conditions": {"ckd_stage": 5, "dialysis": "yes"}}, "Chronic kidney disease stage 5, dialysis."),
        ({"labs": {"pth": {"value": 96, "unit": "pmol/L", "date": "2026-10-01"}}}, "PTH 96 pmol/L (2026-10-01)."),
        ({"patient": {"age_years": 46, "sex": "F"}}, "46 F."),
    ],
)
def test_what_was_given_is_repeated_in_words(clinical: dict[str, object], words: str) -> None:
    assert describe_clinical(clinical, Patient(), STATEMENTS).given == (words,)


@pytest.mark.parametrize(
    ("most", "pictured"), [(0, []), (1, ["L2"]), (2, ["L2", "L1"]), (3, ["L1", "L2", "L3"]), (9, ["L1", "L2", "L3"])]
)
def test_key_images_go_to_the_lesions_of_most_concern_then_to_the_longest(most, pictured):
    answer = decision(decided("flagged"), decided("flagged"), decided("flagged"))
    report = compose((finding(80.0), finding(30.0), finding(20.0)), answer)
    revised = [
        lesion.model_copy(update={"concern": "high" if lesion.id == "L2" else "flagged"}) for lesion in report.lesions
    ]
    assert {lesion.id for lesion in name_key_images(revised, most) if lesion.images} == set(pictured)
    assert all(lesion.images in {(), (f"images/{lesion.id}.png",)} for lesion in name_key_images(revised, most))


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        (("A", "b-2"), ["b-2", "A"]),
        (("A", "A"), ["L1", "L2"]),
        (("A", None), ["L1", "L2"]),
        (("A", "a/b"), ["L1", "L2"]),
    ],
)
def test_the_reader_s_own_lesion_ids_stay(typed: tuple[str | None, ...], ids: list[str]) -> None:
    lesions = tuple(finding(float(size), id=name) for size, name in zip((3, 4), typed, strict=True))
    report = compose(lesions, decision(*[decided("none")] * 2))
    assert [lesion.id for lesion in report.lesions] == ids
