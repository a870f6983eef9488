"""Encrypted connections: a server is trusted by its authority only, whoever else it may be."""

import socket
import ssl
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from contextlib import suppress

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from calcreport.errors import DeliveryError, SettingsError
from calcreport.service.adapter_settings import DimseSinkSettings, MllpSinkSettings, WebSettings
from calcreport.service.audit import Audit
from calcreport.service.journal import Journal
from calcreport.service.service_settings import AuditSettings
from calcreport.service.sinks.dimse import DimseSink
from calcreport.service.sinks.mllp import MllpSink
from calcreport.service.web import WebClient, WebError

SR = "1.2.840.10008.5.1.4.1.1.88.34"


@pytest.fixture(scope="module")
def identity(tmp_path_factory, need_tool):
    """Certificate and key of ``127.0.0.1``, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [need_tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def server_side(identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    return context


def test_a_web_server_is_trusted_by_its_authority_only(server, reply, identity, server_side) -> None:
    server.encrypt(server_side)
    server.answer = lambda _asked: reply(b"[1]")
    url = server.url.replace("http:", "https:")
    trusting = WebClient(WebSettings(url=url, authority=str(identity[0]), timeout_seconds=5))
    assert trusting.json("/") == [1]
    trusting.close()
    with pytest.raises(WebError) as caught:
        WebClient(WebSettings(url=url, timeout_seconds=5)).json("/")
    assert (caught.value.code, caught.value.is_retryable) == ("web.tls", True)
    elsewhere = WebSettings(url=url.replace("127.0.0.1", "localhost"), authority=str(identity[0]), timeout_seconds=5)
    with pytest.raises(WebError):
        WebClient(elsewhere).json("/")


@pytest.fixture
def archive(server_side):
    entity = AE(ae_title="PACS")
    entity.add_supported_context(SR, ExplicitVRLittleEndian)
    got = []

    def store(event):
        got.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    running = entity.start_server(
        ("127.0.0.1", 0), block=False, ssl_context=server_side, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    yield running.server_address[1], got
    running.shutdown()
    running.server_close()


def _sink(port: int, **settings) -> DimseSink:
    common = {"kind": "dicom", "host": "127.0.0.1", "port": port, "called_aet": "PACS", "timeout_seconds": 3.0}
    return DimseSink("pacs", DimseSinkSettings(**common, **settings))


# pynetdicom drops the socket of a connection that was refused without closing it
@pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning")
def test_an_archive_is_trusted_by_its_authority_only(archive, delivery, identity) -> None:
    port, got = archive
    _sink(port, is_encrypted=True, authority=str(identity[0]), objects=("sr",)).deliver(delivery)
    assert got == ["2.25.1"]
    for settings in ({"is_encrypted": True}, {}):
        with pytest.raises(DeliveryError) as caught:
            _sink(port, objects=("sr",), **settings).deliver(delivery)
        assert (caught.value.code, caught.value.is_retryable) == ("dimse.unreachable", True)
    assert got == ["2.25.1"]


@pytest.mark.parametrize("name", ["authority", "certificate"])
def test_a_file_that_is_no_certificate_is_a_wrong_setting(tmp_path, name) -> None:
    (tmp_path / "wrong.pem").write_text("no certificate")
    for path in (tmp_path / "wrong.pem", tmp_path / "none.pem"):
        with pytest.raises(SettingsError) as caught:
            WebClient(WebSettings(url="https://pacs", **{name: str(path)}))
        assert caught.value.code == "settings.tls"


def test_a_receiver_of_hl7_is_trusted_by_its_authority_only(identity, server_side, delivery) -> None:
    (delivery.folder / "oru.hl7").write_bytes(b"MSH|^~\\&|calcreport||||1||ORU^R01|7|P|2.5.1\r")
    listener = socket.create_server(("127.0.0.1", 0))
    got = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError), server_side.wrap_socket(client, server_side=True) as peer:
                    got.append(peer.recv(4096))
                    peer.sendall(b"\x0bMSH|^~\\&\rMSA|AA|7\r\x1c\r")

    threading.Thread(target=serve, daemon=True).start()
    how = {"kind": "mllp", "host": "127.0.0.1", "port": listener.getsockname()[1], "timeout_seconds": 5}
    MllpSink("ris", MllpSinkSettings(**how, is_encrypted=True, authority=str(identity[0]))).deliver(delivery)
    with pytest.raises(DeliveryError) as caught:
        MllpSink("ris", MllpSinkSettings(**how, is_encrypted=True)).deliver(delivery)
    assert (caught.value.code, len(got)) == ("mllp.unreachable", 1)
    listener.close()


class Repository:
    """An audit repository: syslog over TLS (RFC 5425), which keeps what came in each connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.came: list[bytearray] = []
        self.refused = 0
        self._context, self._open = context, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _address = self.listening.accept()
                try:
                    peer = self._context.wrap_socket(plain, server_side=True)
                except OSError:
                    self.refused += 1
                    continue
                self._open.append(peer)
                self.came.append(bytearray())
                threading.Thread(target=self._read, args=(peer, self.came[-1]), daemon=True).start()

    def _read(self, peer: ssl.SSLSocket, stream: bytearray) -> None:
        with suppress(OSError):
            while got := peer.recv(7):  # frames are cut anywhere
                stream += got

    def hang_up(self) -> None:
        while self._open:
            peer = self._open.pop()
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def messages(self, *, connection: int = 0) -> list[bytes]:
        """Whole messages: octets, counted in front of each, and nothing between them."""
        found, left = [], bytes(self.came[connection]) if len(self.came) > connection else b""
        while left:
            length, blank, rest = left.partition(b" ")
            assert length.isdigit()
            assert length[:1] != b"0"
            if not blank or len(rest) < int(length):
                break
            found.append(rest[: int(length)])
            left = rest[int(length) :]
        return found


@pytest.fixture
def repository(server_side):
    repository = Repository(server_side)
    yield repository
    repository.listening.close()
    repository.hang_up()


@pytest.fixture
def tell(repository, monkeypatch):
    """``tell(authority=…)`` gives an audit, and its journal, that sends to the repository."""
    monkeypatch.setattr("calcreport.service.audit._AGAIN_S", 0.1)

    def make(**settings) -> tuple[Audit, Journal]:
        journal = Journal()
        told = AuditSettings(host="127.0.0.1", port=repository.port, is_encrypted=True, timeout_seconds=3, **settings)
        return Audit(told, "CALCREPORT", journal=journal), journal

    return make


def wait_until(is_true) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_audit_messages_are_framed_by_their_octets_and_survive_a_repository_that_hangs_up(
    tell, repository, identity
) -> None:
    audit, journal = tell(authority=str(identity[0]))
    audit.activity(is_start=True)
    audit.transferred("1.2.3", "Ä漢字 7", source="CT_1")  # more octets than characters
    audit.transferred("1.2.4", "8", target="archive")
    wait_until(lambda: len(repository.messages()) == 3)
    assert repository.came[0].endswith(b"</AuditMessage>"), "no line end follows: it would be counted to the next frame"
    for message in repository.messages():
        head, mark, body = message.partition(b"\xef\xbb\xbf")
        assert head.startswith(b"<85>1 ")
        assert mark
        assert ET.fromstring(body).tag == "AuditMessage"  # noqa: S314 - our own
    assert "Ä漢字 7".encode() in repository.messages()[1]
    repository.hang_up()
    time.sleep(0.3)
    audit.alert()
    wait_until(lambda: len(repository.messages(connection=1)) == 1)
    assert b"110126" in repository.messages(connection=1)[0]
    assert journal.health()["audit"]["code"] == ""


def test_a_repository_that_nobody_vouches_for_is_told_nothing(tell, repository, caplog) -> None:
    audit, journal = tell()
    audit.transferred("1.2.3", "SECRET7", target="archive")
    wait_until(journal.problems)
    assert journal.problems() == ["audit.unreachable"]
    assert not any(repository.came)
    assert "SECRET7" not in caplog.text


def test_a_repository_that_wants_to_know_who_we_are_is_shown_a_certificate(
    tell, repository, identity, server_side
) -> None:
    server_side.load_verify_locations(identity[0])
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 tells a client of a refusal only later
    certificate, key = map(str, identity)
    nameless, journal = tell(authority=certificate)
    nameless.alert()
    wait_until(journal.problems)
    assert not any(repository.came)
    audit, _journal = tell(authority=certificate, certificate=certificate, key=key)
    audit.alert()
    wait_until(lambda: repository.came and repository.messages())
