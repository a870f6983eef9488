"""Hand-built studies: phlebolith, myositis ossificans, deep mass, renal calcinosis, many vessels, nothing found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext, Imaging
from calcreport.formats.templates import Templates, load_templates
from calcreport.model.decision import Decision, LesionDecision
from calcreport.model.image import Acquisition, Contrast
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.report import (
    Density,
    Depth,
    Differential,
    Excluded,
    Flag,
    Flags,
    Foci,
    KeyImage,
    Location,
    Mass,
    PatientLevel,
    Pattern,
    Recommendation,
    Report,
    SeriesEntry,
    Size,
    Software,
    Study,
    Thresholds,
)
from calcreport.resources import rule_texts, template_texts
from calcreport.rules import load_rules
from calcreport.settings import Settings

PACKED = re.compile(rb'"bits": "[A-Za-z0-9+/=]*"')
"""Packed masks: how they compress depends on the machine, and no reviewer reads them."""

SERIES = "1.2.826.0.1.3680043.10.1.2"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files; review the difference")


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> Callable[[str, bytes], None]:
    def check(name: str, content: bytes) -> None:
        path = Path(__file__).parent / "expected" / name
        content = PACKED.sub(rb'"bits": "..."', content)
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        assert path.read_bytes() == content, f"{name} differs; if that is meant, run with --update-golden"

    return check


@pytest.fixture(scope="session")
def templates() -> Templates:
    return load_templates(template_texts())


@dataclass(frozen=True)
class Case:
    """What compose is given."""

    findings: CtFindings
    decision: Decision
    context: DraftContext
    imaging: Imaging


CAPABILITIES = load_rules(rule_texts()).capabilities


def ask(identifier: str, text: str, *sources: str) -> Recommendation:
    return Recommendation(
        id=identifier,
        text=text,
        sources=sources or ("practice",),
        is_referral=CAPABILITIES.has_any((identifier,), "is_referral"),
    )


R01 = ask("R01", "Follow-up imaging in 3-6 months to confirm stability, earlier if the lump enlarges")
R02 = ask("R02", "No imaging follow-up required for this finding")
R08 = ask(
    "R08",
    "MRI, with contrast if possible; it characterises the soft-tissue component, marrow and neurovascular relation",
)
R09 = ask(
    "R09",
    "Discuss with or refer to a specialist sarcoma centre before any biopsy or surgery; the biopsy route must be "
    "planned so that the tract can be excised; frozen-section diagnosis should be avoided",
    "Dangoor 2016",
    "Casali 2018",
)
R14 = ask("R14", "Nephrology review of phosphate, calcium and PTH control")
R21 = ask("R21", "Correlate with inspection, history and point tenderness")


def flags(**given: tuple[str, str] | tuple[str, str, float]) -> Flags:
    """Flags by name: state, evidence and, for lengths, the value in mm; what is not named was not provided."""
    names = ("size", "depth", "growth", "pain", "mass", "history", "aggressive")
    made = {}
    for name in names:
        state, evidence, *value = given.get(name, ("not_provided", ""))
        limit = {"value": value[0], "limit": 50.0, "unit": "mm"} if value else {}
        made[name] = Flag(state=state, evidence=evidence, **limit)
    return Flags(**made)


def lesion(
    pattern: tuple[str, str, str],
    *,
    size: Size,
    depth: dict[str, object],
    location: Location,
    density: tuple[float, float] = (300.0, 500.0),
    mass: Mass | None = None,
    foci: Foci | None = None,
    notes: tuple[str, ...] = (),
    bone: str = "separate",
) -> MeasuredLesion:
    return MeasuredLesion(
        size=size,
        foci=foci or Foci(count=1, largest_max_diameter_mm=size.max_diameter_mm),
        mass=mass or Mass(),
        density=Density(mean_hu=density[0], max_hu=density[1], p95_hu=density[1] * 0.9, sd_hu=60.0),
        depth=Depth.model_validate(depth),
        pattern=Pattern(
            id=pattern[0],
            label=pattern[1],
            confidence=pattern[2],
            scores={pattern[0]: 0.8, "P30": 0.2},
            features={"sphericity": 0.9},
        ),
        bone_relation=bone,
        location=location,
        notes=notes,
        mineral=None,
        key_slice=0,
    )


def at(side: str, region: str | None, first: int, last: int, compartment: str | None = None) -> Location:
    return Location(
        centroid_lps_mm=(10.0, 20.0, 30.0),
        bbox_lps_mm=((0.0, 10.0, 20.0), (20.0, 30.0, 40.0)),
        laterality=side,
        laterality_source="image" if side != "unknown" else "none",
        region=region,
        region_source="image" if region else None,
        compartment=compartment,
        first_image=first,
        last_image=last,
        key_image=KeyImage(sop_instance_uid="1.2.3.4", instance_number=(first + last) // 2),
    )


def case(
    lesions: tuple[MeasuredLesion, ...],
    decision: Decision,
    *,
    clinical: dict[str, object] | None = None,
    contrast: str = "none",
    thresholds: tuple[float, float] = (130.0, 200.0),
    excluded: tuple[Excluded, ...] = (),
    part: str = "LEG",
    notes: tuple[str, ...] = (),
) -> Case:
    findings = CtFindings(
        lesions=lesions,
        excluded=excluded,
        thresholds=Thresholds(grow=thresholds[0], seed=thresholds[1]),
        threshold_reason="chosen by contrast phase",
        noise_hu=14.0,
        notes=notes,
        maximum_intensity_hu=np.zeros((4, 4), np.int16),
    )
    series = (
        SeriesEntry(
            series_instance_uid=SERIES, modality="CT", status="analysed", code="series.chosen", series_number=4,
            message="thinnest original axial series, soft kernel", description="Axial 1.0 soft", image_count=240,
        ),
        SeriesEntry(
            series_instance_uid=f"{SERIES}.1", modality="CT", status="skipped", code="series.localizer",
            series_number=1, message="localizer: nothing can be measured on it", description="Topogram", image_count=2,
        ),
    )  # fmt: skip
    study = Study(
        study_instance_uid="1.2.826.0.1.3680043.10.1.1", study_date="20261002", modality="CT", description="CT",
        patient={"name": "Doe^Jane", "id": "4711", "sex": "F", "age_years": 46.0}, body_part=part,
    )  # fmt: skip
    context = DraftContext(
        study=study,
        series=series,
        clinical=clinical or {},
        settings=Settings(),
        software=Software(name="calcreport", version="0.1.0", rules_version="1.0"),
        created="2026-10-02T10:00:00+00:00",
    )
    imaging = Imaging(
        series_instance_uid=SERIES,
        acquisition=Acquisition(kvp=120.0, slice_thickness_mm=1.0, kernel="B30f", contrast=Contrast(contrast)),
        spacing_mm=(0.75, 0.75, 0.8),
        contrast=Contrast(contrast),
        contrast_source="header" if contrast != "unknown" else "unknown",
    )
    return Case(findings=findings, decision=decision, context=context, imaging=imaging)


def decide(
    *lesions: LesionDecision, concern: str, asks: tuple[Recommendation, ...] = (), patient: PatientLevel | None = None
) -> Decision:
    summary = {name: flag.state for name, flag in lesions[0].flags} if lesions else {}
    return Decision(
        lesions=lesions,
        patient=patient or PatientLevel(),
        concern=concern,
        flags_summary=summary,
        recommendations=asks,
        capabilities=CAPABILITIES,
    )


def likely(identifier: str, label: str, certainty: str, *because: str) -> Differential:
    weight = {"consistent with": "++", "favoured": "+", "possible": "+", "less likely": "-"}[certainty]
    return Differential(id=identifier, label=label, weight=weight, because=because, certainty=certainty)


def phlebolith() -> Case:
    found = lesion(
        ("P01", "Phlebolith", "high"),
        size=Size(max_diameter_mm=5.2, ap_mm=5.0, tr_mm=4.1, cc_mm=4.9, volume_mm3=48.3, uncertainty_mm=0.4),
        depth={"class": "subfascial", "skin_distance_mm": 61.0},
        location=at("left", "pelvis", 87, 87),
        density=(312.0, 540.0),
    )
    decided = LesionDecision(
        flags=flags(
            size=("cannot_determine", "mineralised component 5 mm; soft-tissue component not determined", 5.2),
            depth=("explained", "criterion met (pelvis), explained by the place in a vein"),
            aggressive=("absent", ""),
        ),
        concern="modified",
        differential=(likely("C15", "phlebolith", "consistent with", "smooth, round, 5 mm"),),
        recommendations=(R02,),
    )
    excluded = (
        Excluded(reason="skeleton", centroid_lps_mm=(0, 0, 0), max_diameter_mm=300.0, volume_mm3=5e5, count=3),
        Excluded(reason="external", centroid_lps_mm=(0, 200, 0), max_diameter_mm=400.0, volume_mm3=3e4),
        Excluded(reason="organ", centroid_lps_mm=(0, 0, 0), max_diameter_mm=4.0, volume_mm3=20.0, detail="the bladder"),
    )
    return case((found,), decide(decided, concern="modified", asks=(R02,)), excluded=excluded, part="PELVIS")


def myositis_ossificans() -> Case:
    found = lesion(
        ("P05", "Zonal peripheral rim in muscle", "high"),
        size=Size(max_diameter_mm=44.1, ap_mm=24.0, tr_mm=21.2, cc_mm=43.4, volume_mm3=3110.0, uncertainty_mm=0.6),
        depth={"class": "subfascial", "skin_distance_mm": 21.3, "fascia_distance_mm": 9.0},
        location=at("right", "calf", 140, 166, "intramuscular"),
        density=(610.0, 980.0),
        notes=("Central zone 62 HU without mineral.",),
    )
    decided = LesionDecision(
        flags=flags(
            size=("cannot_determine", "mineralised component 4.4 cm; soft-tissue component not determined", 44.1),
            depth=("present", "deep to the deep fascia"),
            growth=("absent", "clinician"),
            pain=("absent", "explained by trauma"),
            mass=("present", "palpable"),
            aggressive=("absent", ""),
        ),
        concern="flagged",
        differential=(
            likely("C02", "maturing myositis ossificans", "consistent with", "complete rim", "trauma 8 weeks ago"),
            likely("C22", "soft-tissue sarcoma", "less likely", "complete peripheral rim", "no growth"),
        ),
        recommendations=(R08, R01, R21),
        notes=("Biopsy is not advised at this stage unless growth or loss of the rim pattern occurs.",),
    )
    clinical = {
        "patient": {"age_years": 19, "sex": "M"},
        "site": {"region": "calf", "laterality": "right"},
        "symptoms": {"pain": "yes", "pain_explained_by": "trauma", "fever": "no"},
        "mass": {"palpable": "yes", "size_cm": 4.0, "mobility": "fixed"},
        "growth": {"rate": "none", "stable_months": None},
        "history": {"trauma": "yes", "trauma_weeks_ago": 8, "malignancy": "no", "radiotherapy_at_site": "no"},
        "labs": {
            "calcium": {"value": 2.35, "unit": "mmol/L"},
            "phosphate": {"value": 1.1, "unit": "mmol/L"},
            "alp": {"value": 165, "unit": "IU/L"},
        },
    }
    return case((found,), decide(decided, concern="flagged", asks=(R08, R01, R21)), clinical=clinical)


def deep_mass() -> Case:
    found = lesion(
        ("P23", "Cloud-like, centre-dense", "moderate"),
        size=Size(max_diameter_mm=64.0, ap_mm=62.0, tr_mm=40.0, cc_mm=51.0, volume_mm3=31000.0, uncertainty_mm=0.8),
        depth={"class": "subfascial", "skin_distance_mm": 24.0, "fascia_distance_mm": 6.0},
        location=at("left", "thigh", 70, 155, "intramuscular"),
        density=(412.0, 880.0),
        mass=Mass(
            present="yes", max_diameter_mm=119.0, ap_mm=84.0, tr_mm=71.0, cc_mm=113.0, volume_mm3=3.5e5,
            depth_class="subfascial", mineral_fraction=0.09, source="contour",
        ),
        foci=Foci(count=4, largest_max_diameter_mm=51.0),
        bone="abuts",
    )  # fmt: skip
    small = lesion(
        ("P30", "Indeterminate", "low"),
        size=Size(max_diameter_mm=7.4, ap_mm=5.0, tr_mm=4.0, cc_mm=6.8, volume_mm3=60.0, is_minimum=True),
        depth={"class": "abuts_fascia", "skin_distance_mm": 11.0, "fascia_distance_mm": 0.0},
        location=at("left", "thigh", 1, 6),
    )
    decided = LesionDecision(
        flags=flags(
            size=("present", "mass 11.9 cm", 119.0),
            depth=("present", "deep to the deep fascia"),
            growth=("present", "rapid growth over 10 weeks, clinician"),
            pain=("present", "no cause given"),
            mass=("present", "reader contour"),
            history=("absent", ""),
            aggressive=("present", "centre-dense mineral without a rim"),
        ),
        concern="high",
        differential=(
            likely("C22", "extraskeletal osteosarcoma", "possible", "centre-dense mineral"),
            likely("C22", "synovial sarcoma", "possible", "mineral in a deep mass"),
            likely("C22", "dedifferentiated liposarcoma", "possible", "mineral in a deep mass"),
            likely("C04", "myositis ossificans", "less likely", "no rim", "no trauma", "growing"),
        ),
        recommendations=(R09, R08, R21),
    )
    beside = LesionDecision(
        flags=flags(
            size=("cannot_determine", "mineralised component at least 7 mm; cut by the edge of the scan", 7.4),
            depth=("possible", "abuts the deep fascia"),
            growth=("present", "rapid growth over 10 weeks, clinician"),
            pain=("present", "no cause given"),
            history=("absent", ""),
            aggressive=("absent", ""),
        ),
        concern="indeterminate",
        differential=(),
        recommendations=(R21,),
    )
    clinical = {
        "patient": {"age_years": 61, "sex": "M"},
        "symptoms": {"pain": "yes", "pain_explained_by": "none"},
        "growth": {"rate": "rapid", "weeks": 10},
        "history": {"trauma": "no", "radiotherapy_at_site": "no", "excision_at_site": "no", "malignancy": "no"},
        "request": {"question": "Enlarging lump. Sarcoma?"},
    }
    return case(
        (small, found),
        decide(beside, decided, concern="high", asks=(R09, R08, R21)),
        clinical=clinical,
        contrast="venous",
        thresholds=(300.0, 300.0),
        notes=("Contrast study: calcification fainter than the raised threshold may be missed.",),
        part="THIGH",
        excluded=(Excluded(reason="metal", centroid_lps_mm=(0, 0, 0), max_diameter_mm=30.0, volume_mm3=900.0),),
    )


def renal_calcinosis() -> Case:
    def hip(side: str, longest: float, extents: tuple[float, float, float], foci: int) -> MeasuredLesion:
        return lesion(
            ("P13", "Lobulated periarticular", "high"),
            size=Size(
                max_diameter_mm=longest, ap_mm=extents[0], tr_mm=extents[1], cc_mm=extents[2], volume_mm3=longest**3 / 3
            ),
            depth={"class": "subfascial", "skin_distance_mm": 33.0},
            location=at(side, "hip", 50, 120, "periarticular"),
            density=(355.0, 810.0),
            foci=Foci(count=foci, largest_max_diameter_mm=longest / 2),
            notes=("Several fluid-calcium levels.",),
        )

    def decided(state: str, longest: float) -> LesionDecision:
        return LesionDecision(
            flags=flags(
                size=(
                    state,
                    "criterion met, explained by renal calcinosis" if state == "explained" else "mineral 2.6 cm",
                    longest,
                ),
                depth=("explained", "criterion met, explained by renal calcinosis"),
                pain=("absent", "clinician"),
                aggressive=("absent", ""),
            ),
            concern="modified",
            differential=(likely("C07", "calcinosis of chronic renal failure", "consistent with", "dialysis"),),
            recommendations=(R14,),
        )

    clinical = {
        "patient": {"age_years": 52, "sex": "F"},
        "symptoms": {"pain": "no"},
        "conditions": {"ckd_stage": 5, "dialysis": "yes"},
        "labs": {
            "calcium": {"value": 2.6, "unit": "mmol/L"},
            "phosphate": {"value": 2.35, "unit": "mmol/L"},
            "pth": {"value": 96, "unit": "pmol/L"},
        },
    }
    patient = PatientLevel(
        differential=(likely("C07", "metabolic calcification of renal disease", "consistent with", "dialysis"),),
        notes=("Calcium-phosphate product 75.8 mg2/dL2, raised.",),
    )
    return case(
        (hip("right", 94.0, (68.0, 54.0, 82.0), 14), hip("left", 26.4, (21.0, 18.0, 26.0), 3)),
        decide(decided("explained", 94.0), decided("cannot_determine", 26.4), concern="modified", patient=patient),
        clinical=clinical,
        part="HIP",
        notes=("Adjusted calcium is unreliable in renal failure.",),
    )


def many_vessels() -> Case:
    found = tuple(
        lesion(
            ("P02", "Arterial, tram-track", "high" if number % 3 else "moderate"),
            size=Size(max_diameter_mm=30.0 - number, ap_mm=4.0, tr_mm=4.0, cc_mm=29.0 - number, volume_mm3=90.0),
            depth={"class": "subfascial", "skin_distance_mm": 30.0},
            location=at("left" if number % 2 else "right", "thigh", 10 + number, 40 + number),
        )
        for number in range(12)
    )
    decided = LesionDecision(
        flags=flags(
            size=("explained", "criterion met, explained by the extent of a vessel"),
            depth=("explained", "criterion met, explained by its place in an artery"),
            aggressive=("absent", ""),
        ),
        concern="modified",
        differential=(likely("C14", "arterial calcification", "consistent with", "parallel lines"),),
        recommendations=(R02,),
    )
    return case(
        found, decide(*[decided] * 12, concern="modified", asks=(R02,)), contrast="unknown", thresholds=(300, 300)
    )


def negative() -> Case:
    excluded = (Excluded(reason="skeleton", centroid_lps_mm=(0, 0, 0), max_diameter_mm=300.0, volume_mm3=5e5, count=2),)
    return case((), decide(concern="none"), excluded=excluded)


CASES = {
    made.__name__: made
    for made in (phlebolith, myositis_ossificans, deep_mass, renal_calcinosis, many_vessels, negative)
}


@pytest.fixture(params=sorted(CASES))
def named_report(request: pytest.FixtureRequest, templates: Templates) -> tuple[str, Report]:
    made = CASES[request.param]()
    report = compose_report(
        made.findings, made.decision, context=made.context, imaging=made.imaging, statements=templates.statements,
        has_pictures=True,
    )  # fmt: skip
    return request.param, report
