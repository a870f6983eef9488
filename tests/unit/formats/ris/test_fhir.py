"""The FHIR bundle, read back with fhir.resources as R4B: what is used of it is the same in R4."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom.sr._concepts_dict import concepts

from calcreport.formats import Templates
from calcreport.formats.ris import as_fhir
from calcreport.formats.text import as_text
from calcreport.model.report import Concern, FlagState, LesionReview, Report

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[3] / "films")]

import made_films
import ris_reading

NAMES = {
    "http://loinc.org": "LN",
    "http://snomed.info/sct": "SCT",
    "http://dicom.nema.org/resources/ontology/DCM": "DCM",
}
HL7_TABLES = {
    "http://terminology.hl7.org/CodeSystem/observation-category": {"imaging"},
    "http://terminology.hl7.org/CodeSystem/v2-0074": {"CT", "RX", "RAD"},
    "http://terminology.hl7.org/CodeSystem/v2-0203": {"ACSN"},
    "http://terminology.hl7.org/CodeSystem/data-absent-reason": {"unknown"},
}
UNITS = {"mm", "mm3", "[hnsf'U]", "1", "{pixels}"}


@pytest.fixture(scope="module")
def all_reports(reports: dict[str, Report], templates: Templates) -> dict[str, Report]:
    films = {f"film_{name}": case().report(templates) for name, case in made_films.CASES.items()}
    return reports | films


def send(report: Report, templates: Templates) -> bytes:
    return as_fhir.render(report, templates, {})


def bundle_of(report: Report, templates: Templates) -> dict[str, Any]:
    content = send(report, templates)
    Bundle.model_validate_json(content)
    return json.loads(content)


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def components(bundle: dict[str, Any], lesion: str) -> dict[str, dict[str, Any]]:
    """Components of the observation of a lesion by our own code."""
    (found,) = [
        one for one in resources(bundle, "Observation") if one["code"]["text"] == f"Soft-tissue finding {lesion}"
    ]
    return {own_code(part["code"]): part for part in found["component"]}


def own_code(concept: dict[str, Any]) -> str:
    (code,) = [coding["code"] for coding in concept["coding"] if coding["system"] == as_fhir.OURS]
    return code


def elements(value: Any) -> Iterator[tuple[str, Any]]:
    """Every named element, at any depth."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield name, part
            yield from elements(part)
    elif isinstance(value, list):
        for part in value:
            yield from elements(part)


def test_every_report_is_a_valid_bundle_without_a_dead_link(
    all_reports: dict[str, Report], templates: Templates
) -> None:
    for name, report in all_reports.items():
        bundle = bundle_of(report, templates)
        addresses = [entry["fullUrl"] for entry in bundle["entry"]]
        assert len(set(addresses)) == len(addresses), name
        assert {value for key, value in elements(bundle) if key == "reference"} <= set(addresses), name
        assert not [key for key, value in elements(bundle) if value in (None, "", [], {})], name
        assert all(re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one) for one in addresses)
        (diagnostic,) = resources(bundle, "DiagnosticReport")
        kept = [reference["reference"] for reference in diagnostic.get("result", [])]
        assert len(kept) == len(resources(bundle, "Observation"))


def test_nothing_is_ever_final(all_reports: dict[str, Report], templates: Templates) -> None:
    review = LesionReview(status="accepted", reader="Roe", date="2026-10-03")
    for report in all_reports.values():
        lesions = tuple(lesion.model_copy(update={"review": review}) for lesion in report.lesions)
        bundle = bundle_of(report.model_copy(update={"lesions": lesions}), templates)
        told = resources(bundle, "DiagnosticReport") + resources(bundle, "Observation")
        assert {one["status"] for one in told} == {"preliminary"}


def test_every_code_exists(all_reports: dict[str, Report], templates: Templates) -> None:
    known = {
        system: {code for entry in concepts[system].values() for code in entry} for system in ("LN", "SCT", "DCM")
    } | HL7_TABLES
    seen = set()
    for report in all_reports.values():
        for name, value in elements(bundle_of(report, templates)):
            if name in {"coding", "modality"}:
                for coding in value:
                    if coding["system"] != as_fhir.OURS:
                        seen.add((NAMES.get(coding["system"], coding["system"]), coding["code"]))
            if isinstance(value, dict) and value.get("system") == "http://unitsofmeasure.org":
                assert value["code"] in UNITS
    assert seen
    assert {(system, code) for system, code in seen if code not in known[system]} <= {
        ("DCM", "CT"), ("DCM", "CR"), ("DCM", "DX"),
    }  # fmt: skip


def test_the_text_is_the_text_section(all_reports: dict[str, Report], templates: Templates) -> None:
    for report in all_reports.values():
        (diagnostic,) = resources(bundle_of(report, templates), "DiagnosticReport")
        written = as_text.render(report, templates, {})
        (form,) = diagnostic["presentedForm"]
        assert base64.b64decode(form["data"]) == written
        assert "".join(ET.fromstring(diagnostic["text"]["div"]).itertext()) == written.decode("ascii")  # noqa: S314 - ours
        assert diagnostic["conclusion"] == "\n".join(report.impression)


def test_every_number_returns_with_its_unit(reports: dict[str, Report], templates: Templates) -> None:
    lesion = reports["deep_mass"].lesions[0]
    sent = components(bundle_of(reports["deep_mass"], templates), "L1")
    for group, fields in {
        "size": {"max_diameter_mm": "mm", "ap_mm": "mm", "volume_mm3": "mm3"},
        "mass": {"max_diameter_mm": "mm", "mineral_fraction": "1"},
        "density": {"mean_hu": "[hnsf'U]", "max_hu": "[hnsf'U]"},
        "depth": {"skin_distance_mm": "mm", "fascia_distance_mm": "mm"},
        "foci": {"count": "1"},
    }.items():
        for name, unit in fields.items():
            quantity = sent[f"{group}.{name}"]["valueQuantity"]
            assert (quantity["value"], quantity["code"]) == (getattr(getattr(lesion, group), name), unit)
            assert "comparator" not in quantity


def test_what_was_not_measured_is_not_zero_and_unknown_is_no_answer(
    reports: dict[str, Report], templates: Templates
) -> None:
    report = reports["deep_mass"]
    bare = report.model_copy(update={"lesions": (ris_reading.unmeasured(report.lesions[0]),)})
    sent = components(bundle_of(bare, templates), "L1")
    assert not [name for name, part in sent.items() if "valueQuantity" in part]
    unknown = {name for name, part in sent.items() if "dataAbsentReason" in part}
    assert unknown == {
        "depth.class", "bone_relation", "mass.present", "location.laterality", *(f"flags.{name}" for name in
        ("size", "depth", "growth", "pain", "mass", "history", "aggressive")),
    }  # fmt: skip
    assert not [name for name in unknown if any(key.startswith("value") for key in sent[name])]


def test_only_an_absent_flag_is_sent_as_absent(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["phlebolith"]
    for state in FlagState:
        flag = base.lesions[0].flags.growth.model_copy(update={"state": state, "evidence": "told"})
        flags = base.lesions[0].flags.model_copy(update={"growth": flag})
        part = components(bundle_of(ris_reading.with_lesion(base, flags=flags), templates), "L1")["flags.growth"]
        is_told = state not in {FlagState.CANNOT_DETERMINE, FlagState.NOT_PROVIDED}
        concept = part["valueCodeableConcept" if is_told else "dataAbsentReason"]
        assert own_code(concept) == state.value
        assert ("absent" in concept["text"].lower()) == (state is FlagState.ABSENT)


def test_what_the_scan_cuts_is_at_least_so_long(reports: dict[str, Report], templates: Templates) -> None:
    sent = components(bundle_of(reports["deep_mass"], templates), "L2")
    assert sent["size.max_diameter_mm"]["valueQuantity"] == {
        "comparator": ">=", "value": 7.4, "unit": "mm", "system": "http://unitsofmeasure.org", "code": "mm",
    }  # fmt: skip
    assert sent["depth.fascia_distance_mm"]["valueQuantity"]["value"] == 0


def test_a_rejected_lesion_sends_no_number(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["deep_mass"]
    bundle = bundle_of(ris_reading.rejecting(base, "L1"), templates)
    told = {one["code"]["text"]: one for one in resources(bundle, "Observation")}
    assert {name: one["status"] for name, one in told.items()} == {
        "Concern of the study": "preliminary",
        "Soft-tissue finding L2": "preliminary",
        "Soft-tissue finding L1": "entered-in-error",
    }
    rejected = told["Soft-tissue finding L1"]
    assert not [key for key in rejected if key.startswith("value") or key in {"component", "bodySite"}]
    draft = {one["code"]["text"]: one for one in resources(bundle_of(base, templates), "Observation")}
    for name in ("id", "identifier"):  # so that it replaces what an earlier draft left
        assert rejected.get(name) == draft["Soft-tissue finding L1"].get(name)
    (diagnostic,) = resources(bundle, "DiagnosticReport")
    assert len(diagnostic["result"]) == 2


def test_with_every_lesion_the_concern_is_withdrawn(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["deep_mass"]
    bundle = bundle_of(ris_reading.rejecting(base, "L1", "L2"), templates)
    told = resources(bundle, "Observation")
    assert {one["status"] for one in told} == {"entered-in-error"}
    assert {one["id"] for one in told} == {one["id"] for one in resources(bundle_of(base, templates), "Observation")}
    assert not [key for one in told for key in one if key.startswith("value") or key == "component"]
    (diagnostic,) = resources(bundle, "DiagnosticReport")
    assert "result" not in diagnostic


def test_a_reported_lump_has_its_concern_without_a_lesion(reports: dict[str, Report], templates: Templates) -> None:
    assert resources(bundle_of(reports["negative"], templates), "Observation") == []
    (concern,) = resources(bundle_of(ris_reading.lump_without_lesion(reports["negative"]), templates), "Observation")
    assert own_code(concern["valueCodeableConcept"]) == "high"
    flags = {own_code(part["code"]): own_code(part["valueCodeableConcept"]) for part in concern["component"]}
    assert flags == {f"flags_summary.{name}": "present" for name in ("size", "growth", "mass", "history")}


def test_a_contour_without_mineral_claims_no_count_and_no_pattern(
    reports: dict[str, Report], templates: Templates
) -> None:
    base = reports["deep_mass"]
    lesion = base.lesions[0]
    foci = lesion.foci.model_copy(update={"count": 0, "largest_max_diameter_mm": None})
    mass = lesion.mass.model_copy(update={"mineral_fraction": 0.0})
    bare = ris_reading.with_lesion(base, size=type(lesion.size)(), foci=foci, mass=mass)
    sent = components(bundle_of(bare, templates), "L1")
    assert {"foci.count", "mass.mineral_fraction", "pattern.id", "pattern.confidence", "bone_relation"}.isdisjoint(sent)


def test_a_radiograph_says_nothing_of_bone(templates: Templates) -> None:
    report = made_films.rim_mass().report(templates)
    assert "bone_relation" not in components(bundle_of(report, templates), "L1")


def test_lengths_on_radiographs_are_called_projected(templates: Templates) -> None:
    for name, case in made_films.CASES.items():
        report = case().report(templates)
        bundle = bundle_of(report, templates)
        for lesion in report.lesions:
            sent = components(bundle, lesion.id)
            lengths = {
                key
                for key, part in sent.items()
                if part.get("valueQuantity", {}).get("code") in {"mm", "mm3", "{pixels}"}
                and not key.startswith(("mass.", "size.uncertainty"))
            }
            assert lengths, name
            assert all(key.startswith("projected.") for key in lengths), name
            scale = {sent[key]["valueQuantity"]["code"] for key in lengths if "diameter" in key}
            assert scale == ({"{pixels}"} if lesion.size.max_diameter_mm is None else {"mm"}), name


def test_addresses_stay_when_only_the_findings_change(reports: dict[str, Report], templates: Templates) -> None:
    report = reports["phlebolith"]
    assert send(report, templates) == send(report, templates)
    changed = ris_reading.with_lesion(report, concern=Concern.FLAGGED)
    before, after = bundle_of(report, templates), bundle_of(changed, templates)
    assert [entry["fullUrl"] for entry in before["entry"]] == [entry["fullUrl"] for entry in after["entry"]]
    assert before["identifier"] != after["identifier"]
    other = report.study.model_copy(update={"study_instance_uid": "1.2.3"})
    elsewhere = bundle_of(report.model_copy(update={"study": other}), templates)
    shared = {entry["fullUrl"] for entry in before["entry"]} & {entry["fullUrl"] for entry in elsewhere["entry"]}
    assert shared == {f"urn:uuid:{resources(before, 'Device')[0]['id']}"}


def test_study_and_patient_are_those_of_the_images(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["phlebolith"]
    patient = base.study.patient.model_copy(
        update={"name": "Yamada^Tarou^^Dr=\u5c71\u7530^\u592a\u90ce", "birth_date": "1980-02-29", "sex": "O"}
    )
    study = base.study.model_copy(
        update={"study_instance_uid": "2.25.1" + "0" * 38, "accession_number": "A|1^", "patient": patient}
    )
    bundle = bundle_of(base.model_copy(update={"study": study}), templates)
    (person,) = resources(bundle, "Patient")
    assert person["identifier"] == [{"value": "4711"}]
    assert [(name["family"], name["given"]) for name in person["name"]] == [
        ("Yamada", ["Tarou"]), ("\u5c71\u7530", ["\u592a\u90ce"]),
    ]  # fmt: skip
    assert person["name"][0]["prefix"] == ["Dr"]
    assert [name["extension"][0]["valueCode"] for name in person["name"]] == ["ABC", "IDE"]
    assert (person["gender"], person["birthDate"]) == ("other", "1980-02-29")
    (images,) = resources(bundle, "ImagingStudy")
    assert images["identifier"][0] == {"system": "urn:dicom:uid", "value": "urn:oid:2.25.1" + "0" * 38}
    assert images["identifier"][1]["value"] == "A|1^"
    (diagnostic,) = resources(bundle, "DiagnosticReport")
    assert diagnostic["basedOn"][0]["identifier"]["value"] == "A|1^"
    assert (diagnostic["effectiveDateTime"], diagnostic["issued"]) == ("2026-10-02", "2026-10-02T10:00:00+00:00")


@pytest.mark.parametrize("uid", ["", "1.2.3\n", "1." + "2" * 63, "abc", "1..2", "1.02"])
def test_what_is_no_uid_makes_no_study(uid: str, reports: dict[str, Report], templates: Templates) -> None:
    base = reports["phlebolith"]
    report = base.model_copy(update={"study": base.study.model_copy(update={"study_instance_uid": uid})})
    bundle = bundle_of(report, templates)
    assert resources(bundle, "ImagingStudy") == []
    assert not [value for name, value in elements(bundle) if name == "derivedFrom"]
