"""The tables ``[service]`` of the settings file: who may send, how much, and what is done with a study."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, model_validator

from calcreport.errors import SettingsError
from calcreport.files.settings import checked_tables
from calcreport.model.typed_mistakes import explain_toml
from calcreport.service.adapter_settings import (
    AdapterName,
    AeTitle,
    CertificateSettings,
    DimsePeerSettings,
    DimseSinkSettings,
    SinkSettings,
    SourceSettings,
)
from calcreport.settings import SettingsBlock

_MEBI: Final = 1 << 20  # bytes
_GIBI: Final = 1 << 30  # bytes


def _network(text: str) -> str:
    ip_network(text)
    return text


def _address(text: str) -> str:
    ip_address(text)
    return text


def _database(text: str) -> str:
    if not find_spec("procrastinate") or not text or re.search(r"password|://[^/@]*:[^/@]*@", text):
        msg = "needs calcreport[workers] to be installed, and a passfile in place of a password"
        raise ValueError(msg)
    return text


Network = Annotated[str, AfterValidator(_network)]  # addresses of a network, or one


class PeerSettings(SettingsBlock):
    """Who may send. AE titles are names, no proof of identity: use addresses, a firewall or TLS too."""

    calling: tuple[AeTitle, ...] = ()
    """Calling AE titles that are let in; empty: any."""
    addresses: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    """Addresses and networks that are let in; to be named when `host` is not this machine alone."""


class TlsSettings(SettingsBlock):
    """Encryption (PS3.15 annex B); TLS 1.2 or newer."""

    certificate: str | None = None
    """PEM file of the service's certificate chain; without it the connection is not encrypted."""
    key: str | None = None
    """PEM file of its private key, when it is not in the same file."""
    client_authority: str | None = None
    """PEM file of the authority that signs senders' certificates; with it every sender has to show one."""


class LimitSettings(SettingsBlock):
    """What a sender may ask of the service."""

    max_pdu_bytes: int = Field(default=_MEBI, ge=4096, le=64 * _MEBI)
    """Largest protocol data unit taken, bytes; 128 KiB are offered, larger ones are a mistake or an attack."""
    max_message_bytes: int = Field(default=_GIBI, ge=_MEBI)
    """Largest image, bytes: an enhanced CT of 2000 slices."""
    max_associations: int = Field(default=64, ge=1, le=256)
    """Most associations at a time."""
    max_associations_per_peer: int = Field(default=32, ge=1, le=256)
    """Most associations at a time from one address: a PACS that sends in parallel uses ten to twenty."""
    request_seconds: float = Field(default=5.0, gt=0, le=300)
    """A connection that has not asked for an association by then is closed."""
    idle_seconds: float = Field(default=60.0, gt=0, le=3600)
    """An association that is silent for so long is aborted."""
    message_seconds: float = Field(default=1800.0, gt=0)
    """An image that takes longer to arrive is given up: a large one over a slow line is here within minutes."""
    min_bytes_per_second: int = Field(default=1000, ge=1)
    """A message that arrives more slowly than this on average is given up after `idle_seconds`."""
    association_seconds: float = Field(default=14400.0, gt=0)
    """An association does not live longer, busy or not."""
    reserve_bytes: int = Field(default=_GIBI, ge=0)
    """Free space that is left: images are refused (A700) before the disk is full. At most 5 % of the disk."""


class StudySettings(SettingsBlock):
    """When a study is complete."""

    quiet_seconds: float = Field(default=60.0, gt=0)
    """No image for so long: complete. DICOM has no sign for it; scanners pause for some seconds between series."""
    missing_seconds: float = Field(default=600.0, gt=0)
    """When the source announced more images than came: analysed as it is after so long a pause."""


class AnalysisSettings(SettingsBlock):
    """The process a study is analysed in."""

    workers: int = Field(default=1, ge=0, le=64)
    """Studies analysed at a time; 0: only receive."""
    formats: str | None = None
    """As ``analyze --format``; default: everything that needs no extra installation."""
    clinical: str | None = None
    """Table of clinical data, as ``analyze --clinical``; looked at for changes. A study's own file comes before it."""
    templates: str | None = None
    """The site's own templates, as ``analyze --templates``."""
    compares_with_earlier: bool = False
    """Whether a study is compared with the latest earlier one of its patient in the store."""
    memory_bytes: int = Field(default=8 * _GIBI, ge=_GIBI // 2)
    """Address space of each process of an analysis: the largest volume and its masks fit in."""
    cpu_seconds: int = Field(default=7200, ge=1)
    """CPU time of each process of an analysis."""
    wall_seconds: float = Field(default=3700.0, gt=0)
    """An analysis that takes longer is ended; a little more than run.max_study_seconds, which says more about it."""
    attempts: int = Field(default=3, ge=1, le=20)
    """Attempts before a study is a dead letter."""
    retry_seconds: float = Field(default=30.0, gt=0)
    """Wait before the second attempt; it doubles for each later one, up to ten minutes."""


class WorkersSettings(SettingsBlock):
    """Analyses on other machines: ``calcreport worker`` there, with the store's folder and a database in common."""

    database: Annotated[str, AfterValidator(_database)] | None = None
    """PostgreSQL, as libpq names it; a `passfile` in place of a password. Without one this machine does the work."""
    lease_seconds: float = Field(default=60.0, ge=1)
    """A worker that gave no sign of life for so long is lost, and its study goes to another one."""


class RetentionSettings(SettingsBlock):
    """What is removed, and when. Nothing is, unless a time is given."""

    received_days: float | None = Field(default=None, ge=0)
    """Images and objects set aside are removed so long after their study was delivered everywhere."""
    results_days: float | None = Field(default=None, ge=0)
    """Results are removed so long after they were delivered everywhere."""
    commitment: AdapterName | None = None
    """Sink of kind ``dicom`` whose archive has to confirm (Storage Commitment) that it has a study's images first."""
    quarantine_days: float = Field(default=7.0, ge=0)
    """What is removed lies in the store's folder ``quarantine`` for so long first."""


class AuditSettings(CertificateSettings):
    """Audit messages (PS3.15 annex A.5, IHE ATNA) by syslog; they name Patient ID and Study Instance UID, no name."""

    host: str | None = None
    """Audit repository; off without one."""
    port: int = Field(default=514, ge=1, le=65535)
    """Its port; 6514 is the one registered for syslog over TLS."""
    is_encrypted: bool = False
    """TLS (RFC 5425) instead of UDP (RFC 5426)."""
    timeout_seconds: float = Field(default=10.0, gt=0, le=300)
    """Patience with the repository."""


class MetricsSettings(SettingsBlock):
    """Numbers for Prometheus, at ``/metrics``; no patient data, and no encryption."""

    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    """Address listened on."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Port; off without one."""


class CommitmentSettings(SettingsBlock):
    """Storage Commitment as provider (PS3.4 annex J): senders learn whether their images are kept."""

    is_offered: bool = False
    """Whether senders may ask; what is answered is a promise to keep the images, so that nothing may remove them."""
    callers: dict[AdapterName, DimsePeerSettings] = Field(default_factory=dict)
    """Where answers go for a caller with this `called_aet`; of others the answer goes back on their association."""


class PriorityRow(SettingsBlock):
    """Which studies are analysed before others; all that is named has to fit, `*` stands for anything."""

    sender: str | None = None
    """AE title of the sender, or name of the source."""
    modality: str | None = None
    """Modality of the first image."""
    tag: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")] | None = None
    """Keyword of an element of the first image, such as StationName or RequestedProcedurePriority."""
    value: str | None = None
    """Value of `tag`."""
    priority: int = Field(default=1, ge=-100, le=100)
    """Higher comes first; studies that no row names have 0, equal ones come in their order."""

    @model_validator(mode="after")
    def _is_whole(self) -> PriorityRow:
        if (self.tag is None) != (self.value is None) or not (self.sender or self.modality or self.tag):
            msg = "a row names a sender, a modality, or a tag with its value"
            raise ValueError(msg)
        return self


class ServiceSettings(SettingsBlock):
    """The receiving service."""

    aet: AeTitle = "CALCREPORT"
    """AE title senders have to call."""
    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    """Address listened on: this machine alone, unless a site decides otherwise."""
    port: int = Field(default=11112, ge=1, le=65535)
    """Port: the one registered for DICOM (104 needs rights)."""
    store: str | None = Field(default=None, min_length=1)
    """Folder everything is kept in."""
    peers: PeerSettings = PeerSettings()
    tls: TlsSettings = TlsSettings()
    limits: LimitSettings = LimitSettings()
    study: StudySettings = StudySettings()
    analysis: AnalysisSettings = AnalysisSettings()
    workers: WorkersSettings = WorkersSettings()
    retention: RetentionSettings = RetentionSettings()
    metrics: MetricsSettings = MetricsSettings()
    commitment: CommitmentSettings = CommitmentSettings()
    audit: AuditSettings = AuditSettings()
    priority: tuple[PriorityRow, ...] = ()
    """The first row that fits a study says when its turn is: ``[[service.priority]]``."""
    sources: dict[AdapterName, SourceSettings] = Field(default_factory=dict)
    """Where images are fetched from, each under a name of its own: ``[service.sources.pacs]``."""
    sinks: dict[AdapterName, SinkSettings] = Field(default_factory=dict)
    """Where results go, each under a name of its own: ``[service.sinks.archive]``."""


NEEDS_RESTART: Final = ("aet", "host", "port", "store", "metrics", "audit", "workers", "sources", "sinks")
"""What a reload cannot change: it is in use."""


def service_settings_from_text(text: str, overrides: Mapping[str, Any] | None = None) -> ServiceSettings:
    """Read the service's part of a settings file: defaults, overlaid with the file, overlaid with the command line.

    Tables of the TOML text other than ``[service]`` belong to the analysis. In `overrides`, ``None`` leaves a setting
    as it is. Raises `SettingsError` ``settings.syntax``, ``settings.unknown_key`` or ``settings.invalid_value``, with
    every mistake of that kind.
    """
    try:
        values = tomllib.loads(text).get("service", {})
    except (ValueError, RecursionError) as error:
        msg = f"the settings file is not valid TOML: {explain_toml(error, text)}"
        raise SettingsError(msg, code="settings.syntax") from error
    if not isinstance(values, dict):
        msg = "service: must be a table"
        raise SettingsError(msg, code="settings.invalid_value")
    _lay_over(values, overrides or {})
    settings = checked_tables(values, ServiceSettings, prefix="service.", text=text)
    _refuse_contradictions(settings)
    return settings


def _lay_over(values: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    for name, value in overrides.items():
        if isinstance(value, Mapping):
            table = values.setdefault(name, {})
            if isinstance(table, dict):  # otherwise the file is wrong, and the check says so
                _lay_over(table, value)
        elif value is not None:
            values[name] = value


def _refuse_contradictions(settings: ServiceSettings) -> None:
    wrong = []
    is_open = not ip_address(settings.host).is_loopback
    if is_open and settings.peers.addresses == PeerSettings().addresses:
        wrong.append("service.peers.addresses: name who may send when service.host is not this machine alone")
    if settings.tls.certificate is None and (settings.tls.key or settings.tls.client_authority):
        wrong.append("service.tls.certificate: missing")
    formats = [name.strip() for name in (settings.analysis.formats or "").split(",")]
    wrong += [
        f"service.sinks.{name}: sends HL7; add hl7 to service.analysis.formats"
        for name, sink in settings.sinks.items()
        if sink.kind == "mllp" and "hl7" not in formats
    ]
    wrong += [
        f"service.sources.{name}.calling_aet: the archive sends to it; it has to be service.aet"
        for name, source in settings.sources.items()
        if source.kind == "dicom" and source.calling_aet != settings.aet
    ]
    if settings.commitment.is_offered and settings.retention.received_days is not None:
        wrong.append("service.commitment.is_offered: a promise to keep images, against service.retention.received_days")
    archive = settings.retention.commitment
    if archive is not None and not isinstance(settings.sinks.get(archive), DimseSinkSettings):
        wrong.append("service.retention.commitment: names no sink of kind dicom")
    if wrong:
        raise SettingsError("; ".join(wrong), code="settings.invalid_value")
