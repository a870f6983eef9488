"""Encrypted connections: a server is trusted by its authority only, whoever else it may be."""

import socket
import ssl
import subprocess
import threading
from contextlib import suppress

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from calcreport.errors import DeliveryError, SettingsError
from calcreport.service.adapter_settings import DimseSinkSettings, MllpSinkSettings, WebSettings
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
