"""``fhir.json``: the report as a FHIR R4 bundle, always preliminary.

A collection, not a transaction: the bundle says what the report holds and asks no server to store it. Which patient of
a hospital's own server is meant the integration engine knows; a draft must not make one there.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from calcreport.formats.characters import make_visible
from calcreport.formats.code_table import table_of
from calcreport.formats.ris import items as ris
from calcreport.formats.templates import Templates
from calcreport.formats.text.as_text import write_section
from calcreport.model.report import Laterality, Lesion, Patient, Report, Software, Study
from calcreport.model.uids import derive_uid
from calcreport.text.impression import is_assessed
from calcreport.text.wording import Presenter, present

# Status of a draft, and of what an earlier draft said and a reader has rejected since.
_STATUS: Final = "preliminary"
_WITHDRAWN: Final = "entered-in-error"

# Coding systems of HL7, and codings from them.
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_UCUM: Final = "http://unitsofmeasure.org"
_URIS: Final = "urn:ietf:rfc:3986"
_IMAGING: Final = {"system": f"{_TERMINOLOGY}/observation-category", "code": "imaging", "display": "Imaging"}
_UNKNOWN: Final = {"system": f"{_TERMINOLOGY}/data-absent-reason", "code": "unknown"}
_ACCESSION: Final = {"coding": [{"system": f"{_TERMINOLOGY}/v2-0203", "code": "ACSN", "display": "Accession ID"}]}

SYSTEMS: Final = table_of("fhir_systems")  # URI of a coding system by its name in HL7 version 2
OURS: Final = f"urn:oid:{derive_uid('code system', 'calcreport')}"
"""Coding system of our own names; fixed, as the name it is derived from."""

# What the header's modalities, sexes and groups of a person name are called.
_MODALITIES: Final = {"CT": "Computed Tomography", "CR": "Computed Radiography", "DX": "Digital Radiography"}
_GENDERS: Final = {"F": "female", "M": "male", "O": "other"}
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS: Final = ("ABC", "IDE", "SYL")

_UID: Final = re.compile(r"(?=.{1,64}\Z)[0-2](\.(0|[1-9][0-9]*))+\Z", re.ASCII)
"""Object identifier, at most as long as DICOM allows."""
_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {}, ())  # values that say nothing

Element = dict[str, Any]  # Part of a resource; what says nothing in it is left out when the bundle is written
Addresses = dict[str, str]
"""``urn:uuid:`` of every resource by its kind, of lesions also by their id; of one study always the same."""


def prune(value: Any) -> Any:  # noqa: ANN401 - an element or a part of one
    """Leave out what says nothing, at every depth: FHIR knows no empty value."""
    if isinstance(value, dict):
        return {name: kept for name, part in value.items() if (kept := prune(part)) not in _NOTHING}
    return [kept for part in value if (kept := prune(part)) not in _NOTHING] if isinstance(value, list) else value


def clean(text: str | None) -> str:
    """Text that may stand in a FHIR string: nothing hidden, no blanks around it."""
    return make_visible(text or "").strip()


def urn(*parts: str) -> str:
    """``urn:uuid:`` derived from names: the same names give the same one on every machine."""
    return f"urn:uuid:{UUID(int=int(derive_uid('fhir', *parts).removeprefix('2.25.')))}"


def oid(uid: str | None) -> str:
    """UID as a URI; empty when it is none."""
    return f"urn:oid:{uid}" if uid and _UID.match(uid) else ""


def standard(code: ris.Code | None) -> Element:
    """Coding of a standard concept."""
    return {"system": SYSTEMS[code.system], "code": code.value, "display": code.meaning} if code else {}


def own(name: str) -> Element:
    """Coding by one of our own names."""
    return {"system": OURS, "code": clean(name)}


def concept(*codings: Element, text: str = "") -> Element:
    """CodeableConcept."""
    return {"coding": list(codings), "text": clean(text)}


def described(item: ris.Item) -> Element:
    """What an item is, the standard's code first, and its value or why it has none: an observation or a component."""
    return {"code": concept(standard(item.code), own(item.name), text=item.text), **_valued(item.value)}


def _valued(value: ris.Amount | ris.Answer | str) -> Element:
    if isinstance(value, ris.Amount):
        number = int(value.number) if value.number.is_integer() else value.number
        comparator = ">=" if value.is_minimum else None
        unit = {"unit": ris.UNITS[value.unit], "system": _UCUM, "code": value.unit}
        return {"valueQuantity": {"comparator": comparator, **unit, "value": number}}
    if isinstance(value, str):
        return {"valueString": clean(value)} if clean(value) else {"dataAbsentReason": concept(_UNKNOWN)}
    if value.is_unknown:
        return {"dataAbsentReason": concept(_UNKNOWN, own(value.word), text=value.text)}
    return {"valueCodeableConcept": concept(standard(value.code), own(value.word), text=value.text)}


def names(name: str | None) -> list[Element]:
    """Write a DICOM person name as HumanNames, those that say something."""
    written = []
    for group, kind in zip(ris.name_groups(name), _GROUPS, strict=False):
        family, given, middle, prefix, suffix = map(clean, group)
        parts = prune({"family": family, "given": [given, middle], "prefix": [prefix], "suffix": [suffix]})
        if parts:
            written.append({"extension": [{"url": _REPRESENTATION, "valueCode": kind}], **parts})
    return written


def instant(text: str | None) -> str | None:
    """Time with its zone; ``None`` when it is no time or its zone is not stated."""
    time = ris.moment(text)
    return time.isoformat(timespec="seconds") if time and time.tzinfo else None


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:  # noqa: ARG001 - one signature
    """Render the report as a FHIR R4 (4.0.1) bundle; parameters as in every renderer, pictures are not used.

    It holds the diagnostic report, an observation of each lesion and one of the concern, patient, imaging study and
    device. Observations of rejected lesions are there as entered in error. The same report gives the same bytes.
    """
    words, addresses = present(report, templates.statements), _addresses(report)
    concern, *flags = map(described, ris.study_items(words)) if is_assessed(report) else ({},)
    seen: dict[str, Element] = {}
    if concern:
        seen["concern"] = _observation(report, addresses) | concern | {"component": flags}
    for lesion in report.lesions:
        seen[f"lesion {lesion.id}"] = _lesion(lesion, words, addresses)
    entries = {
        "report": _report(report, addresses, list(seen), write_section(report, templates, is_wrapped=False)),
        **seen,
        **_withdrawn(words, addresses),
        "patient": _patient(report.study.patient),
        "device": _device(report.software),
        "study": _study(report.study, addresses),
    }
    resources = [
        {"fullUrl": address, "resource": prune({"resourceType": None, "id": address.removeprefix("urn:uuid:")} | entry)}
        for address, entry in ((addresses[name], entry) for name, entry in entries.items() if name in addresses)
    ]
    bundle = prune(
        {
            "resourceType": "Bundle",
            "identifier": {"system": _URIS, "value": urn("bundle", _digest(json.dumps(resources)))},
            "type": "collection",
            "timestamp": instant(report.created),
            "entry": resources,
        }
    )
    return f"{json.dumps(bundle, indent=2, ensure_ascii=False, allow_nan=False)}\n".encode()


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def _addresses(report: Report) -> Addresses:
    # Findings that were typed have no study: nothing but their own content tells them apart.
    root = report.study.study_instance_uid or _digest(report.model_dump_json())
    lesions = (*report.lesions, *(entry.lesion for entry in report.rejected))
    known = Counter(lesion.tracking_uid for lesion in lesions)
    software = report.software
    addresses = {kind: urn(kind, root) for kind in ("report", "patient", "concern")}
    addresses |= {"study": urn("study", root)} if oid(report.study.study_instance_uid) else {}
    addresses["device"] = urn("device", software.name, software.version, software.rules_version)
    for lesion in lesions:
        is_alone = lesion.tracking_uid is not None and known[lesion.tracking_uid] == 1
        name = (lesion.tracking_uid or "", "" if is_alone else lesion.id)
        addresses[f"lesion {lesion.id}"] = urn("lesion", root, *name)
    return addresses


def _report(report: Report, addresses: Addresses, seen: list[str], section: str) -> Element:
    study = report.study
    department, name = ris.DEPARTMENTS.get(study.modality, ris.OTHER_DEPARTMENT)
    category = {"system": f"{_TERMINOLOGY}/v2-0074", "code": department, "display": name}
    form = {
        "contentType": "text/plain; charset=us-ascii",
        "language": "en",
        "data": base64.b64encode(section.encode("ascii")).decode("ascii"),
        "title": "Draft of the report section",
        "creation": instant(report.created),
    }
    lines = html.escape("\n".join(map(make_visible, section.split("\n"))))
    accession = clean(study.accession_number)
    order = {"type": "ServiceRequest", "identifier": {"type": _ACCESSION, "value": accession}}
    return {
        "resourceType": "DiagnosticReport",
        "text": {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><pre>{lines}</pre></div>'},
        "basedOn": [order] if accession else None,
        "status": _STATUS,
        "category": [concept(category)],
        "code": concept(standard(ris.SERVICES.get(study.modality, ris.REPORT))),
        "subject": {"reference": addresses["patient"]},
        "effectiveDateTime": ris.day(study.study_date),
        "issued": instant(report.created),
        "imagingStudy": [{"reference": addresses.get("study")}],
        "result": [{"reference": addresses[name]} for name in seen],
        "conclusion": "\n".join(filter(None, map(clean, report.impression))),
        "presentedForm": [form],
    }


def _observation(report: Report, addresses: Addresses, status: str = _STATUS) -> Element:
    """What every observation has."""
    return {
        "resourceType": "Observation",
        "status": status,
        "category": [concept(_IMAGING)],
        "subject": {"reference": addresses["patient"]},
        "effectiveDateTime": ris.day(report.study.study_date),
        "issued": instant(report.created),
        "device": {"reference": addresses["device"]},
        "derivedFrom": [{"reference": addresses.get("study")}],
    }


def _withdrawn(words: Presenter, addresses: Addresses) -> dict[str, Element]:
    """Observations of an earlier draft that a reader has rejected since: who they were, and nothing that they said.

    Left out, they would stay preliminary wherever the earlier draft was stored.
    """
    bare = _observation(words.report, addresses, _WITHDRAWN)
    lesions = (rejected.lesion for rejected in words.report.rejected)
    entries = {f"lesion {lesion.id}": bare | _name(lesion) for lesion in lesions}
    items = {item.name: item for item in ris.study_items(words, is_withdrawn=True)}
    if "report.concern" not in items:
        return entries
    return {"concern": bare | {"code": described(items["report.concern"])["code"]}} | entries


def _name(lesion: Lesion) -> Element:
    """Identifier and code of the observation of a lesion."""
    uid = oid(lesion.tracking_uid)
    return {
        "identifier": [{"system": _URIS, "value": uid}] if uid else None,
        "code": concept(standard(ris.FINDING), own("lesion"), text=f"Soft-tissue finding {lesion.id}"),
    }


def _lesion(lesion: Lesion, words: Presenter, addresses: Addresses) -> Element:
    """Observation of a lesion: its region, coded where its name has a code, and a component for each item."""
    place, region = lesion.location, clean(lesion.location.region)
    side = "" if place.laterality is Laterality.UNKNOWN else words.choose("side", place.laterality)
    site = concept(standard(ris.REGIONS.get(region.lower())), text=f"{side} {region}")
    return {
        **_observation(words.report, addresses),
        **_name(lesion),
        "bodySite": site if region else None,
        "component": list(map(described, ris.items_of(lesion, words))),
    }


def _patient(patient: Patient) -> Element:
    return {
        "resourceType": "Patient",
        "identifier": [{"value": clean(patient.id)}],
        "name": names(patient.name),
        "gender": _GENDERS.get(patient.sex or ""),
        "birthDate": ris.day(patient.birth_date),
    }


def _study(study: Study, addresses: Addresses) -> Element:
    accession = clean(study.accession_number)
    identifiers: list[Element] = [{"system": "urn:dicom:uid", "value": oid(study.study_instance_uid)}]
    identifiers += [{"type": _ACCESSION, "value": accession}] if accession else []
    name = _MODALITIES.get(study.modality)
    modality = {"system": SYSTEMS["DCM"], "code": study.modality, "display": name}
    return {
        "resourceType": "ImagingStudy",
        "identifier": identifiers,
        "status": "available",
        "modality": [modality] if name else None,
        "subject": {"reference": addresses["patient"]},
        "started": ris.day(study.study_date),
        "description": clean(study.description),
    }


def _device(software: Software) -> Element:
    rules = clean(software.rules_version)
    return {
        "resourceType": "Device",
        "deviceName": [{"name": clean(software.name) or "calcreport", "type": "model-name"}],
        "version": [{"value": clean(software.version)}, {"type": {"text": "rules"}, "value": rules} if rules else {}],
    }
