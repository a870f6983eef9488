"""Whatever stands in a header or a clinical file: both formats of the RIS stay whole, and the exact text returns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from calcreport.formats import Templates
from calcreport.formats.characters import make_visible
from calcreport.formats.ris import as_fhir, as_hl7
from calcreport.formats.text import as_text
from calcreport.model.report import Report

sys.path += [str(Path(__file__).parent)]

import ris_reading

SAMPLES = Path(__file__).parents[4] / "sample_dicoms"
CHOSEN = ("deep_mass_thigh", "negative_calf", "phleboliths_thigh", "rim_mass_thigh_films")
FOLDERS = [str(SAMPLES / name) for name in CHOSEN]

ATTACKS = [
    "|^~\\&", "a|b^c~d\\e&f", "\rMSH|^~\\&|EVIL||||20200101||ADT^A23|1|P|2.5.1\rPID|1||4712",
    "\r\nOBX|99|NM|x||1", "\\E\\F\\", "\\F\\", "\\X0D\\", "\\.br\\", "\\H\\x\\N\\", '""', '"', "\x0b\x1c\r",
    "\x00\x07\x1b$B", "\u2028\u2029\x85", "\u202egnp.exe", "\ufeff\u200b", "1.2.840." + "9" * 56, "x" * 3000,
    "\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060", "\u0645\u062d\u0645\u062f",
    "\u0418\u0432\u0430\u043d\u043e\u0432^\u0418\u0432\u0430\u043d", "\U0001f480", "e\u0301",
    "</pre></div><script>", "]]>&amp;", "{{ 7 * 7 }}", " lead and trail ", "^^^^", "===", "=^=", "&", "~",
]  # fmt: skip
TEXT = st.one_of(
    st.none(),
    st.sampled_from(ATTACKS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    st.text('|^~\\&=\r\n"FSTREX.br ab', max_size=30),
    st.lists(st.sampled_from(ATTACKS[:12]), max_size=4).map("".join),
)


def expected(text: str | None) -> str:
    """What a receiver should read: as everywhere in the report, and nothing where it would be an order to delete."""
    shown = make_visible(text or "").strip()
    return "" if shown == '""' else shown


def hostile_report(base: Report, words: dict[str, Any]) -> Report:
    lesion = base.lesions[0]
    patient = base.study.patient.model_copy(
        update={"name": words["name"], "id": words["id"], "birth_date": words["birth_date"], "sex": words["sex"]}
    )
    study = base.study.model_copy(
        update={
            "patient": patient, "accession_number": words["accession"], "description": words["description"],
            "study_date": words["birth_date"], "study_instance_uid": words["uid"] or "", "modality": words["sex"] or "",
        }
    )  # fmt: skip
    flag = lesion.flags.growth.model_copy(update={"evidence": words["evidence"] or ""})
    changed = lesion.model_copy(
        update={
            "location": lesion.location.model_copy(
                update={"region": words["region"], "compartment": words["evidence"]}
            ),
            "flags": lesion.flags.model_copy(update={"growth": flag}),
            "tracking_uid": words["uid"],
        }
    )
    clinical = {"request": {"question": words["question"]}} if words["question"] is not None else {}
    return base.model_copy(
        update={"study": study, "lesions": (changed,), "clinical": clinical, "created": words["created"]}
    )


FIELDS = (
    "name",
    "id",
    "birth_date",
    "sex",
    "accession",
    "description",
    "uid",
    "evidence",
    "region",
    "question",
    "created",
)
SHAPE = dict.fromkeys(FIELDS)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT)))
@example(words=SHAPE)
@example(words={**SHAPE, "name": ATTACKS[2], "id": ATTACKS[2], "accession": ATTACKS[2], "region": ATTACKS[2]})
@example(words=dict.fromkeys(FIELDS, '""'))
@example(words=dict.fromkeys(FIELDS, "|^~\\&"))
def test_the_message_stays_whole_and_the_exact_text_returns(
    words: dict[str, Any], reports: dict[str, Report], templates: Templates
) -> None:
    base = reports["phlebolith"]
    report = hostile_report(base, words)
    content = as_hl7.render(report, templates, {})
    assert not [byte for byte in content if byte < 32 and byte != 13]
    segments = ris_reading.read(content)
    observed = [segment for segment in segments if segment.name == "OBX"]
    assert [segment.name for segment in segments] == ["MSH", "PID", "ORC", "OBR", *["OBX"] * len(observed)]
    assert [segment[1].text for segment in observed] == [str(number) for number in range(1, len(observed) + 1)]
    _, person, order, request, *_ = segments
    assert person[3].text == expected(words["id"])
    assert [set(repetition) for repetition in person[3].repetitions] in ([], [{1}])
    assert order[3].text == request[3].text == request[18].text == expected(words["accession"])
    read_back = "=".join(
        "^".join(part.get(number, "") for number in (1, 2, 3, 5, 4)) for part in person[5].repetitions if 8 in part
    )
    groups = [[expected(part) for part in group.split("^", 4)] for group in (words["name"] or "").split("=", 2)]
    assert read_back == "=".join("^".join([*parts, "", "", "", ""][:5]) for parts in groups if any(parts))
    if len(expected(words["description"])) <= 199:
        assert request[4][5] == expected(words["description"])
    found = ris_reading.by_own_code(segments, "L1")
    for name, field in (("location.region", "region"), ("location.compartment", "evidence")):
        text = expected(words[field])
        if len(text) <= 199 and name in found:
            assert found[name][5].text == text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT)))
@example(words=SHAPE)
@example(words=dict.fromkeys(FIELDS, " \r\n"))
@example(words={**SHAPE, "question": "</pre></div><script>alert(1)</script> &amp; & <"})
@example(words={**SHAPE, "name": "^^^^", "id": "=", "uid": "1.2.840." + "9" * 56})
def test_the_bundle_stays_valid_and_the_exact_text_returns(
    words: dict[str, Any], reports: dict[str, Report], templates: Templates
) -> None:
    report = hostile_report(reports["phlebolith"], words)
    content = as_fhir.render(report, templates, {})
    Bundle.model_validate_json(content)
    assert b"\\u00" not in content  # no control character, escaped or not
    found = {entry["resource"]["resourceType"]: entry["resource"] for entry in json.loads(content)["entry"]}
    narrative = ET.fromstring(found["DiagnosticReport"]["text"]["div"])  # noqa: S314 - our own, by an independent parser
    assert "".join(narrative.itertext()).encode("ascii") == as_text.render(report, templates, {})
    person = found["Patient"]
    shown = make_visible(words["id"] or "").strip()
    assert person.get("identifier", []) == ([{"value": shown}] if shown else [])
    for name in person.get("name", []):
        group = (words["name"] or "").split("=", 2)[["ABC", "IDE", "SYL"].index(name["extension"][0]["valueCode"])]
        parts = [make_visible(part).strip() for part in [*group.split("^", 4), "", "", "", ""][:5]]
        given_names = [part for part in parts[1:3] if part]
        assert name.get("family", "") == parts[0]
        assert name.get("given", []) == given_names
        assert (name.get("prefix", [""])[0], name.get("suffix", [""])[0]) == tuple(parts[3:])
    accession = make_visible(words["accession"] or "").strip()
    order = found["DiagnosticReport"].get("basedOn", [{}])[0].get("identifier", {})
    assert order.get("value", "") == accession
    if words["uid"] == "1.2.840." + "9" * 56:
        assert found["ImagingStudy"]["identifier"][0]["value"] == f"urn:oid:{words['uid']}"


@pytest.fixture(scope="module")
def sample_reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    out = tmp_path_factory.mktemp("samples")
    subprocess.run(
        [sys.executable, "-m", "calcreport", "analyze", *FOLDERS, "--out", str(out), "--format", "json", "--quiet"],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return {path.parent.name: Report.model_validate_json(path.read_bytes()) for path in out.glob("*/report.json")}


@pytest.mark.slow
def test_both_formats_of_analysed_studies_are_valid(
    sample_reports: dict[str, Report], templates: Templates, tmp_path: Path
) -> None:
    assert len(sample_reports) == len(FOLDERS)
    for name, report in sample_reports.items():
        assert ris_reading.validate(as_hl7.render(report, templates, {}), tmp_path) == [], name
        bundle = as_fhir.render(report, templates, {})
        Bundle.model_validate_json(bundle)
        told = [entry["resource"] for entry in json.loads(bundle)["entry"]]
        lesions = [one for one in told if one["resourceType"] == "Observation" and "finding" in one["code"]["text"]]
        assert len(lesions) == len(report.lesions)
