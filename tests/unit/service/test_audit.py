"""Audit messages reach a repository, and never name a patient."""

import socket
import threading
import time
import xml.etree.ElementTree as ET

import pytest

from calcreport.service.audit import Audit
from calcreport.service.journal import Journal
from calcreport.service.service_settings import AuditSettings


@pytest.fixture
def repository():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5)
        yield listening


@pytest.fixture
def audit(repository):
    settings = AuditSettings(host="127.0.0.1", port=repository.getsockname()[1])
    return Audit(settings, "CALCREPORT", journal=Journal())


def _read(message: bytes) -> tuple[str, ET.Element]:
    head, _, body = message.partition(b"\xef\xbb\xbf")
    return head.decode("ascii"), ET.fromstring(body)  # noqa: S314 - our own


def test_a_study_that_came_is_told_by_its_numbers(audit, repository) -> None:
    audit.transferred("1.2.3", "ID<&\x00>7", source="CT_1")
    head, message = _read(repository.recv(65_536))
    priority, stamp, _host, name, process, kind, data = head.split()
    assert (priority, name, kind, data) == ("<85>1", "calcreport", "DICOM+RFC3881", "-")
    assert stamp.endswith("+00:00")
    assert process.isdigit()
    event = message.find("EventIdentification")
    assert (event.get("EventActionCode"), event.get("EventOutcomeIndicator")) == ("C", "0")
    assert event.find("EventID").attrib == {
        "csd-code": "110104", "codeSystemName": "DCM", "originalText": "DICOM Instances Transferred",
    }  # fmt: skip
    ends = [(who.get("UserID"), who.find("RoleIDCode").get("csd-code")) for who in message.iter("ActiveParticipant")]
    assert ends == [("CT_1", "110153"), ("CALCREPORT", "110152")]
    objects = {
        item.find("ParticipantObjectIDTypeCode").get("csd-code"): item.get("ParticipantObjectID")
        for item in message.iter("ParticipantObjectIdentification")
    }
    assert objects == {"110180": "1.2.3", "2": "ID<&>7"}
    assert message.find(".//ParticipantObjectName") is None


@pytest.mark.parametrize(
    ("tell", "code", "kind", "outcome"),
    [
        (lambda audit: audit.activity(is_start=True), "110100", "110120", "0"),
        (lambda audit: audit.activity(is_start=False), "110100", "110121", "0"),
        (lambda audit: audit.alert(), "110113", "110126", "4"),
    ],
    ids=["start", "stop", "alert"],
)
def test_other_events(audit, repository, tell, code, kind, outcome) -> None:
    tell(audit)
    event = _read(repository.recv(65_536))[1].find("EventIdentification")
    assert event.find("EventID").get("csd-code") == code
    assert event.find("EventTypeCode").get("csd-code") == kind
    assert event.get("EventOutcomeIndicator") == outcome


def test_without_a_repository_nothing_is_made() -> None:
    audit = Audit(AuditSettings(), "CALCREPORT", journal=Journal())
    audit.transferred("1.2.3", "7", target="archive")
    assert audit._waiting.empty()


def test_a_repository_that_is_away_holds_up_nobody_and_shows(monkeypatch) -> None:
    monkeypatch.setattr("calcreport.service.audit._AGAIN_S", 0.05)
    journal = Journal()
    settings = AuditSettings(host="no-such-host.invalid", timeout_seconds=0.2)
    audit = Audit(settings, "CALCREPORT", journal=journal)
    begun = time.monotonic()
    for _study in range(3):
        audit.transferred("1.2.3", "7", target="archive")
    assert time.monotonic() - begun < 0.5
    while not journal.problems() and time.monotonic() - begun < 5.0:
        time.sleep(0.05)
    assert journal.problems() == ["audit.unreachable"]
    assert threading.active_count() < 50
