"""Audit messages (PS3.15 annex A.5, as IHE ATNA has them) by syslog: who got which study; no patient's name."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from queue import Full, Queue
from threading import Thread
from time import sleep
from typing import Final
from xml.sax.saxutils import quoteattr

from calcreport.service.journal import Journal
from calcreport.service.service_settings import AuditSettings
from calcreport.service.web import tls_context

_PRIORITY: Final = 10 * 8 + 5  # facility security, severity notice
_MOST_WAITING: Final = 10_000  # Messages that wait for a repository that is away; later ones are counted as lost
_AGAIN_S: Final = 10.0  # between two attempts to send a message
_NAMES: Final[Mapping[str, str]] = {
    "110100": "Application Activity", "110104": "DICOM Instances Transferred", "110113": "Security Alert",
    "110120": "Application Start", "110121": "Application Stop", "110126": "Node Authentication",
    "110150": "Application", "110152": "Destination Role ID", "110153": "Source Role ID",
    "110180": "Study Instance UID",
}  # fmt: skip
"""Codes of DICOM, CID 400 to 404."""
_PATIENT_NUMBER: Final = (
    '<ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number"/>'
)
"""What a Patient ID is called."""


class Audit:
    """Messages are made by whoever saw something and sent by a thread of its own; nobody waits for it.

    Raises `SettingsError` ``settings.tls``.
    """

    def __init__(self, settings: AuditSettings, aet: str, *, journal: Journal) -> None:
        self._settings = settings
        self._aet = aet
        self._journal = journal
        self._waiting: Queue[bytes] = Queue(_MOST_WAITING)
        self._connection: socket.socket | None = None
        if settings.is_encrypted:
            tls_context(settings)
        if settings.host is not None:
            Thread(target=self._send_all, name="audit", daemon=True).start()

    def activity(self, *, is_start: bool) -> None:
        """Record that the service begins or ends."""
        self._put("110100", "E", {"110150": self._aet}, kind="110120" if is_start else "110121")

    def transferred(self, study_uid: str, patient_id: str, *, source: str = "", target: str = "") -> None:
        """Record that a study came from `source`, or its results went to `target`; the other end is this service."""
        study = _object(study_uid, "2", "3", _code("ParticipantObjectIDTypeCode", "110180"))
        objects = study + _object(patient_id, "1", "1", _PATIENT_NUMBER)
        ends = {"110153": source or self._aet, "110152": target or self._aet}
        self._put("110104", "C" if source else "R", ends, objects=objects)

    def alert(self) -> None:
        """Record that somebody was turned away."""
        self._put("110113", "E", {"110150": self._aet}, kind="110126")

    def finish(self, seconds: float) -> None:
        """Give what waits so much time."""
        for _wait in range(int(seconds / 0.05)):
            if not self._waiting.unfinished_tasks:
                return
            sleep(0.05)

    def _put(self, code: str, action: str, ends: Mapping[str, str], *, kind: str = "", objects: str = "") -> None:
        """Let a message wait; `ends` are roles and who has them."""
        if self._settings.host is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        outcome = 4 if code == "110113" else 0
        how = f'EventActionCode="{action}" EventDateTime="{now}" EventOutcomeIndicator="{outcome}"'
        types = _code("EventID", code) + (_code("EventTypeCode", kind) if kind else "")
        who = "".join(
            f'<ActiveParticipant UserID={_quoted(name)} UserIsRequestor="false">{_code("RoleIDCode", role)}'
            "</ActiveParticipant>"
            for role, name in ends.items()
        )
        message = (
            f"<{_PRIORITY}>1 {now} {socket.gethostname() or '-'} calcreport {os.getpid()} DICOM+RFC3881 - \ufeff"
            f"<AuditMessage><EventIdentification {how}>{types}</EventIdentification>{who}"
            f'<AuditSourceIdentification AuditSourceID={_quoted(self._aet)}><AuditSourceTypeCode csd-code="4"/>'
            f"</AuditSourceIdentification>{objects}</AuditMessage>"
        )
        try:
            self._waiting.put_nowait(message.encode())
        except Full:
            self._journal.count("audit_lost")

    def _send_all(self) -> None:
        while True:
            message = self._waiting.get()
            while not self._is_sent(message):
                sleep(_AGAIN_S)
            self._waiting.task_done()

    def _is_sent(self, message: bytes) -> bool:
        try:
            if self._connection is None:
                self._connection = self._connect()
            if self._settings.is_encrypted:
                self._connection.settimeout(0.0)
                with suppress(ssl.SSLWantReadError):  # nothing is said to us but that the repository hangs up
                    if not self._connection.recv(1):
                        self._connection.close()  # sending fails, and is done again on another connection
                self._connection.settimeout(self._settings.timeout_seconds)
            self._connection.sendall(b"%d %s" % (len(message), message) if self._settings.is_encrypted else message)
        except Exception:  # noqa: BLE001 - a certificate that is gone, a name that is no host: it is tried again
            with suppress(OSError, AttributeError):
                self._connection.close()  # type: ignore[union-attr]
            self._connection = None
            self._journal.ended("audit", "audit.unreachable")
            return False
        self._journal.ended("audit")
        return True

    def _connect(self) -> socket.socket:
        settings = self._settings
        address = (settings.host or "", settings.port)
        if settings.is_encrypted:
            context, plain = tls_context(settings), socket.create_connection(address, settings.timeout_seconds)
            return context.wrap_socket(plain, server_hostname=settings.host)
        family, kind, protocol, _name, where = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        connection = socket.socket(family, kind, protocol)
        connection.connect(where)
        return connection


def _object(name: str, kind: str, role: str, code: str) -> str:
    what = f'ParticipantObjectTypeCode="{kind}" ParticipantObjectTypeCodeRole="{role}"'
    named = f"ParticipantObjectID={_quoted(name)}"
    return f"<ParticipantObjectIdentification {named} {what}>{code}</ParticipantObjectIdentification>"


def _code(element: str, code: str) -> str:
    return f'<{element} csd-code="{code}" codeSystemName="DCM" originalText="{_NAMES[code]}"/>'


def _quoted(text: str) -> str:
    """Attribute of what can be printed of a text."""
    return quoteattr("".join(letter for letter in text if letter.isprintable()) or "unknown")
