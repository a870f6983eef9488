"""``fhir.json``: the report as a FHIR R4 bundle, always preliminary.

A collection, not a transaction: the bundle says what the report holds and asks no server to store it. Which patient of
a hospital's own server is meant the integration engine knows; a draft must not make one there.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from calcreport.formats.ris import fhir_parts as fhir
from calcreport.formats.ris.codes import DEPARTMENTS, FINDING, OTHER_DEPARTMENT, REGIONS, REPORT, SERVICES
from calcreport.formats.ris.fhir_parts import Element
from calcreport.formats.ris.items import Item, items_of, study_items, withdrawn_study_items
from calcreport.formats.templates import Templates
from calcreport.formats.text.as_text import write_section
from calcreport.model.report import Laterality, Lesion, Patient, Report, Software, Study
from calcreport.text.statements import Statements

_STATUS: Final = "preliminary"
_WITHDRAWN: Final = "entered-in-error"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_IMAGING: Final = {"system": f"{_TERMINOLOGY}/observation-category", "code": "imaging", "display": "Imaging"}
_ACCESSION: Final = {"coding": [{"system": f"{_TERMINOLOGY}/v2-0203", "code": "ACSN", "display": "Accession ID"}]}
_MODALITIES: Final = {"CT": "Computed Tomography", "CR": "Computed Radiography", "DX": "Digital Radiography"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Addresses:
    """``urn:uuid:`` of every resource; of the same study and lesion always the same."""

    report: str
    patient: str
    study: str | None
    device: str
    concern: str
    lesions: dict[str, str] = field(repr=False)
    """By the lesion's id."""


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:  # noqa: ARG001 - one signature
    """Render the report as a FHIR R4 (4.0.1) bundle; parameters as in every renderer, pictures are not used.

    It holds the diagnostic report, an observation of each lesion and one of the concern, patient, imaging study and
    device. Observations of rejected lesions are there as entered in error. The same report gives the same bytes. Raises
    `TemplateError` when the template of the text cannot be rendered.
    """
    statements = templates.statements
    addresses = _addresses(report)
    observations = [(addresses.lesions[one.id], _lesion(one, report, addresses, statements)) for one in report.lesions]
    study = study_items(report, statements)
    if study:
        observations.insert(0, (addresses.concern, _concern(study, report, addresses)))
    results = [address for address, _ in observations]
    entries = [
        (addresses.report, _report(report, addresses, results, write_section(report, templates, is_wrapped=False))),
        *observations,
    ]
    entries += _withdrawn(report, addresses, statements)
    entries += [(addresses.patient, _patient(report.study.patient)), (addresses.device, _device(report.software))]
    if addresses.study is not None:
        entries.append((addresses.study, _study(report.study, addresses)))
    resources = [{"fullUrl": address, "resource": _identified(address, entry)} for address, entry in entries]
    bundle = fhir.prune(
        {
            "resourceType": "Bundle",
            "identifier": {"system": fhir.URIS, "value": fhir.urn("bundle", _digest(json.dumps(resources)))},
            "type": "collection",
            "timestamp": fhir.instant(report.created),
            "entry": resources,
        }
    )
    text = json.dumps(bundle, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def _addresses(report: Report) -> _Addresses:
    # Findings that were typed have no study: nothing but their own content tells them apart.
    root = report.study.study_instance_uid or _digest(report.model_dump_json())
    lesions = (*report.lesions, *(entry.lesion for entry in report.rejected))
    known = Counter(lesion.tracking_uid for lesion in lesions)

    def name(lesion: Lesion) -> tuple[str, str]:
        is_alone = lesion.tracking_uid is not None and known[lesion.tracking_uid] == 1
        return (lesion.tracking_uid or "", "" if is_alone else lesion.id)

    return _Addresses(
        report=fhir.urn("report", root),
        patient=fhir.urn("patient", root),
        study=fhir.urn("study", root) if fhir.oid(report.study.study_instance_uid) else None,
        device=fhir.urn("device", report.software.name, report.software.version, report.software.rules_version),
        concern=fhir.urn("concern", root),
        lesions={lesion.id: fhir.urn("lesion", root, *name(lesion)) for lesion in lesions},
    )


def _identified(address: str, resource: Element) -> Element:
    return {"resourceType": resource["resourceType"], "id": address.removeprefix("urn:uuid:"), **resource}


def _report(report: Report, addresses: _Addresses, results: list[str], section: str) -> Element:
    study = report.study
    department, name = DEPARTMENTS.get(study.modality, OTHER_DEPARTMENT)
    category = {"system": f"{_TERMINOLOGY}/v2-0074", "code": department, "display": name}
    form = {
        "contentType": "text/plain; charset=us-ascii",
        "language": "en",
        "data": base64.b64encode(section.encode("ascii")).decode("ascii"),
        "title": "Draft of the report section",
        "creation": fhir.instant(report.created),
    }
    accession = fhir.clean(study.accession_number)
    order = {"type": "ServiceRequest", "identifier": {"type": _ACCESSION, "value": accession}}
    return fhir.prune(
        {
            "resourceType": "DiagnosticReport",
            "text": fhir.narrative(section, status="additional"),
            "basedOn": [order] if accession else None,
            "status": _STATUS,
            "category": [fhir.concept(category)],
            "code": fhir.concept(fhir.standard(SERVICES.get(study.modality, REPORT))),
            "subject": fhir.refer(addresses.patient),
            "effectiveDateTime": fhir.day(study.study_date),
            "issued": fhir.instant(report.created),
            "imagingStudy": [fhir.refer(addresses.study)] if addresses.study else None,
            "result": [fhir.refer(address) for address in results],
            "conclusion": "\n".join(filter(None, map(fhir.clean, report.impression))),
            "presentedForm": [fhir.prune(form)],
        }
    )


def _observation(report: Report, addresses: _Addresses, status: str = _STATUS) -> Element:
    """What every observation has."""
    return {
        "resourceType": "Observation",
        "status": status,
        "category": [fhir.concept(_IMAGING)],
        "subject": fhir.refer(addresses.patient),
        "effectiveDateTime": fhir.day(report.study.study_date),
        "issued": fhir.instant(report.created),
        "device": fhir.refer(addresses.device),
        "derivedFrom": [fhir.refer(addresses.study)] if addresses.study else None,
    }


def _concern(items: tuple[Item, ...], report: Report, addresses: _Addresses) -> Element:
    """Observation of the study: its concern, with its flags as components."""
    concern, *flags = items
    return fhir.prune(
        {
            **_observation(report, addresses),
            "code": fhir.described(concern),
            **fhir.valued(concern),
            "component": [_component(flag) for flag in flags],
        }
    )


def _component(item: Item) -> Element:
    return {"code": fhir.described(item), **fhir.valued(item)}


def _withdrawn(report: Report, addresses: _Addresses, statements: Statements) -> list[tuple[str, Element]]:
    """Observations of an earlier draft that a reader has rejected since: who they were, and nothing that they said.

    Left out, they would stay preliminary wherever the earlier draft was stored.
    """
    bare = _observation(report, addresses, _WITHDRAWN)
    entries = [
        (addresses.concern, fhir.prune({**bare, "code": fhir.described(item)}))
        for item in withdrawn_study_items(report, statements)
        if item.name == "report.concern"
    ]
    lesions = (rejected.lesion for rejected in report.rejected)
    return [*entries, *((addresses.lesions[one.id], fhir.prune({**bare, **_name(one)})) for one in lesions)]


def _name(lesion: Lesion) -> Element:
    """Identifier and code of the observation of a lesion."""
    uid = fhir.oid(lesion.tracking_uid)
    return {
        "identifier": [{"system": fhir.URIS, "value": uid}] if uid else None,
        "code": fhir.concept(fhir.standard(FINDING), fhir.own("lesion"), text=f"Soft-tissue finding {lesion.id}"),
    }


def _lesion(lesion: Lesion, report: Report, addresses: _Addresses, statements: Statements) -> Element:
    return fhir.prune(
        {
            **_observation(report, addresses),
            **_name(lesion),
            "bodySite": _body_site(lesion, statements),
            "component": [_component(item) for item in items_of(lesion, report, statements)],
        }
    )


def _body_site(lesion: Lesion, statements: Statements) -> Element:
    """Region, coded where its name has a code; the text has the side too, which is coded in a component."""
    place = lesion.location
    region = fhir.clean(place.region)
    side = "" if place.laterality is Laterality.UNKNOWN else statements.choose("side", place.laterality)
    code = REGIONS.get(region.lower())
    return fhir.concept(*([fhir.standard(code)] if code else []), text=f"{side} {region}") if region else {}


def _patient(patient: Patient) -> Element:
    identifier = fhir.clean(patient.id)
    return fhir.prune(
        {
            "resourceType": "Patient",
            "identifier": [{"value": identifier}] if identifier else None,
            "name": fhir.names(patient.name),
            "gender": fhir.gender(patient.sex),
            "birthDate": fhir.day(patient.birth_date),
        }
    )


def _study(study: Study, addresses: _Addresses) -> Element:
    accession = fhir.clean(study.accession_number)
    identifiers: list[Element] = [{"system": "urn:dicom:uid", "value": fhir.oid(study.study_instance_uid)}]
    identifiers += [{"type": _ACCESSION, "value": accession}] if accession else []
    name = _MODALITIES.get(study.modality)
    modality = {"system": fhir.SYSTEMS["DCM"], "code": study.modality, "display": name}
    return fhir.prune(
        {
            "resourceType": "ImagingStudy",
            "identifier": identifiers,
            "status": "available",
            "modality": [modality] if name else None,
            "subject": fhir.refer(addresses.patient),
            "started": fhir.day(study.study_date),
            "description": fhir.clean(study.description),
        }
    )


def _device(software: Software) -> Element:
    versions: list[Element] = [
        {"value": fhir.clean(software.version)},
        {"type": {"text": "rules"}, "value": fhir.clean(software.rules_version)},
    ]
    return fhir.prune(
        {
            "resourceType": "Device",
            "deviceName": [{"name": fhir.clean(software.name) or "calcreport", "type": "model-name"}],
            "version": [version for version in versions if version["value"]],
        }
    )
