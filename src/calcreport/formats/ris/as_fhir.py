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
from calcreport.text.statements import Statements

_STATUS: Final = "preliminary"
_WITHDRAWN: Final = "entered-in-error"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_IMAGING: Final = {"system": f"{_TERMINOLOGY}/observation-category", "code": "imaging", "display": "Imaging"}
_ACCESSION: Final = {"coding": [{"system": f"{_TERMINOLOGY}/v2-0203", "code": "ACSN", "display": "Accession ID"}]}
_MODALITIES: Final = {"CT": "Computed Tomography", "CR": "Computed Radiography", "DX": "Digital Radiography"}


Element = dict[str, Any]
Addresses = dict[str, str]
"""``urn:uuid:`` of every resource by its kind, of lesions also by their id; of one study always the same."""

SYSTEMS: Final = table_of("fhir_systems")
"""URI of a coding system by its name in HL7 version 2."""

UCUM: Final = "http://unitsofmeasure.org"
URIS: Final = "urn:ietf:rfc:3986"
ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

OURS: Final = f"urn:oid:{derive_uid('code system', 'calcreport')}"
"""Coding system of our own names; fixed, as the name it is derived from."""

_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {}, ())
_UID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+\Z", re.ASCII)
_LONGEST_UID: Final = 64
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS: Final = ("ABC", "IDE", "SYL")
_GENDERS: Final = {"F": "female", "M": "male", "O": "other"}


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


def refer(target: str) -> Element:
    """Reference to another entry of the bundle."""
    return {"reference": target}


def oid(uid: str | None) -> str:
    """UID as a URI; empty when it is none."""
    text = uid or ""
    return f"urn:oid:{text}" if len(text) <= _LONGEST_UID and _UID.match(text) else ""


def standard(code: ris.Code) -> Element:
    """Coding of a standard concept."""
    return {"system": SYSTEMS[code.system], "code": code.value, "display": code.meaning}


def own(name: str, text: str = "") -> Element:
    """Coding by one of our own names; `text` where it says what the name alone does not."""
    return {"system": OURS, "code": clean(name), "display": clean(text)}


def concept(*codings: Element, text: str = "") -> Element:
    """CodeableConcept."""
    return {"coding": list(codings), "text": clean(text)}


def described(item: ris.Item) -> Element:
    """What an item is, the standard's code first, and its value or why it has none: an observation or a component."""
    codings = [standard(item.code)] if item.code else []
    return {"code": concept(*codings, own(item.name), text=item.text), **_valued(item.value)}


def _valued(value: ris.Amount | ris.Answer | str) -> Element:
    if isinstance(value, ris.Amount):
        return {"valueQuantity": quantity(value)}
    if isinstance(value, ris.Answer) and not value.is_unknown:
        codings = [standard(value.code)] if value.code else []
        return {"valueCodeableConcept": concept(*codings, own(value.word), text=value.text)}
    if isinstance(value, str) and clean(value):
        return {"valueString": clean(value)}
    unknown = {"system": ABSENT, "code": "unknown"}
    told = concept(unknown, own(value.word), text=value.text) if isinstance(value, ris.Answer) else concept(unknown)
    return {"dataAbsentReason": told}


def quantity(amount: ris.Amount) -> Element:
    """Quantity in UCUM; a minimum has the comparator ``>=``."""
    number = int(amount.number) if amount.number.is_integer() else amount.number
    comparator = ">=" if amount.is_minimum else None
    unit = {"unit": ris.UNITS[amount.unit], "system": UCUM, "code": amount.unit}
    return {"comparator": comparator, **unit, "value": number}


def narrative(text: str) -> Element:
    """Text for readers, its lines kept."""
    visible = html.escape("\n".join(map(make_visible, text.split("\n"))))
    return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><pre>{visible}</pre></div>'}


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
    device. Observations of rejected lesions are there as entered in error. The same report gives the same bytes. Raises
    `TemplateError` when the template of the text cannot be rendered.
    """
    statements = templates.statements
    addresses = _addresses(report)
    observations = [
        (addresses[f"lesion {one.id}"], _lesion(one, report, addresses, statements)) for one in report.lesions
    ]
    study = ris.study_items(report, statements)
    if study:
        observations.insert(0, (addresses["concern"], _concern(study, report, addresses)))
    results = [address for address, _ in observations]
    entries = [
        (addresses["report"], _report(report, addresses, results, write_section(report, templates, is_wrapped=False))),
        *observations,
    ]
    entries += _withdrawn(report, addresses, statements)
    entries += [(addresses["patient"], _patient(report.study.patient)), (addresses["device"], _device(report.software))]
    if "study" in addresses:
        entries.append((addresses["study"], _study(report.study, addresses)))
    resources = [{"fullUrl": address, "resource": _identified(address, prune(entry))} for address, entry in entries]
    bundle = prune(
        {
            "resourceType": "Bundle",
            "identifier": {"system": URIS, "value": urn("bundle", _digest(json.dumps(resources)))},
            "type": "collection",
            "timestamp": instant(report.created),
            "entry": resources,
        }
    )
    text = json.dumps(bundle, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def _addresses(report: Report) -> Addresses:
    # Findings that were typed have no study: nothing but their own content tells them apart.
    root = report.study.study_instance_uid or _digest(report.model_dump_json())
    lesions = (*report.lesions, *(entry.lesion for entry in report.rejected))
    known = Counter(lesion.tracking_uid for lesion in lesions)
    software = (report.software.name, report.software.version, report.software.rules_version)
    addresses = {kind: urn(kind, root) for kind in ("report", "patient", "concern")}
    addresses |= {"study": urn("study", root)} if oid(report.study.study_instance_uid) else {}
    addresses["device"] = urn("device", *software)
    for lesion in lesions:
        is_alone = lesion.tracking_uid is not None and known[lesion.tracking_uid] == 1
        name = (lesion.tracking_uid or "", "" if is_alone else lesion.id)
        addresses[f"lesion {lesion.id}"] = urn("lesion", root, *name)
    return addresses


def _identified(address: str, resource: Element) -> Element:
    return {"resourceType": resource["resourceType"], "id": address.removeprefix("urn:uuid:"), **resource}


def _to_study(addresses: Addresses) -> list[Element]:
    return [refer(addresses["study"])] if "study" in addresses else []


def _report(report: Report, addresses: Addresses, results: list[str], section: str) -> Element:
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
    accession = clean(study.accession_number)
    order = {"type": "ServiceRequest", "identifier": {"type": _ACCESSION, "value": accession}}
    return {
        "resourceType": "DiagnosticReport",
        "text": narrative(section),
        "basedOn": [order] if accession else None,
        "status": _STATUS,
        "category": [concept(category)],
        "code": concept(standard(ris.SERVICES.get(study.modality, ris.REPORT))),
        "subject": refer(addresses["patient"]),
        "effectiveDateTime": ris.day(study.study_date),
        "issued": instant(report.created),
        "imagingStudy": _to_study(addresses),
        "result": [refer(address) for address in results],
        "conclusion": "\n".join(filter(None, map(clean, report.impression))),
        "presentedForm": [form],
    }


def _observation(report: Report, addresses: Addresses, status: str = _STATUS) -> Element:
    """What every observation has."""
    return {
        "resourceType": "Observation",
        "status": status,
        "category": [concept(_IMAGING)],
        "subject": refer(addresses["patient"]),
        "effectiveDateTime": ris.day(report.study.study_date),
        "issued": instant(report.created),
        "device": refer(addresses["device"]),
        "derivedFrom": _to_study(addresses),
    }


def _concern(items: tuple[ris.Item, ...], report: Report, addresses: Addresses) -> Element:
    """Observation of the study: its concern, with its flags as components."""
    concern, *flags = items
    return _observation(report, addresses) | described(concern) | {"component": list(map(described, flags))}


def _withdrawn(report: Report, addresses: Addresses, statements: Statements) -> list[tuple[str, Element]]:
    """Observations of an earlier draft that a reader has rejected since: who they were, and nothing that they said.

    Left out, they would stay preliminary wherever the earlier draft was stored.
    """
    bare = _observation(report, addresses, _WITHDRAWN)
    entries = [
        (addresses["concern"], bare | {"code": described(item)["code"]})
        for item in ris.withdrawn_study_items(report, statements)
        if item.name == "report.concern"
    ]
    lesions = (rejected.lesion for rejected in report.rejected)
    return [*entries, *((addresses[f"lesion {one.id}"], bare | _name(one)) for one in lesions)]


def _name(lesion: Lesion) -> Element:
    """Identifier and code of the observation of a lesion."""
    uid = oid(lesion.tracking_uid)
    return {
        "identifier": [{"system": URIS, "value": uid}] if uid else None,
        "code": concept(standard(ris.FINDING), own("lesion"), text=f"Soft-tissue finding {lesion.id}"),
    }


def _lesion(lesion: Lesion, report: Report, addresses: Addresses, statements: Statements) -> Element:
    return {
        **_observation(report, addresses),
        **_name(lesion),
        "bodySite": _body_site(lesion, statements),
        "component": [described(item) for item in ris.items_of(lesion, report, statements)],
    }


def _body_site(lesion: Lesion, statements: Statements) -> Element:
    """Region, coded where its name has a code; the text has the side too, which is coded in a component."""
    place = lesion.location
    region = clean(place.region)
    side = "" if place.laterality is Laterality.UNKNOWN else statements.choose("side", place.laterality)
    code = ris.REGIONS.get(region.lower())
    return concept(*([standard(code)] if code else []), text=f"{side} {region}") if region else {}


def _patient(patient: Patient) -> Element:
    identifier = clean(patient.id)
    return {
        "resourceType": "Patient",
        "identifier": [{"value": identifier}] if identifier else None,
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
        "subject": refer(addresses["patient"]),
        "started": ris.day(study.study_date),
        "description": clean(study.description),
    }


def _device(software: Software) -> Element:
    versions: list[Element] = [
        {"value": clean(software.version)},
        {"type": {"text": "rules"}, "value": clean(software.rules_version)},
    ]
    return {
        "resourceType": "Device",
        "deviceName": [{"name": clean(software.name) or "calcreport", "type": "model-name"}],
        "version": [version for version in versions if version["value"]],
    }
