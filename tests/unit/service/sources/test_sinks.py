import io
import json
import re
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DicomwebSinkSettings, DimseSinkSettings, OrthancSinkSettings
from calcreport.service.sinks.dimse import DimseSink, objects_of
from calcreport.service.sinks.web import DicomwebSink, OrthancSink

SR, SEG, SC = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.7"
SENT = 4
ALL = ("seg", "sc", "pdf", "sr")


def test_the_report_comes_last_and_only_what_was_chosen_is_sent(delivery, refused) -> None:
    (delivery.folder / "sr_seg.dcm").touch()
    (delivery.folder / "report_pdf.dcm").touch()
    (delivery.folder / "seg_2.dcm").touch()
    names = [path.name for path in objects_of(delivery, ALL)]
    assert names == ["seg.dcm", "seg_2.dcm", "sc_1.dcm", "sc_2.dcm", "report_pdf.dcm", "sr.dcm", "sr_seg.dcm"]
    assert [path.name for path in objects_of(delivery, ("sr",))] == ["sr.dcm", "sr_seg.dcm"]
    assert objects_of(refused, ALL) == []


def test_every_object_the_program_writes_has_a_kind() -> None:
    written = (Path(__file__).parents[4] / "src/calcreport/formats/dicom").glob("*.py")
    names = {name for path in written for name in re.findall(r'"([a-z_]+)\.dcm"', path.read_text())}
    assert {"sr", "seg", "report_pdf"} <= names
    assert all(name.startswith(("sr", "seg", "sc_", "report_pdf")) for name in names)


# Orthanc


@pytest.fixture
def orthanc(server, reply):
    """Remembers what it has; ``fail`` names a status."""
    server.known, server.fail = set(), 0

    def answer(asked):
        if asked.path == "/tools/lookup":
            found = [{"Type": "Instance"}] if asked.body.decode() in server.known else []
            return reply(json.dumps(found).encode())
        if server.fail:
            return reply(status=server.fail)
        uid = str(pydicom.dcmread(io.BytesIO(asked.body)).SOPInstanceUID)
        server.known.add(uid)
        return reply(b'{"Status": "Success"}')

    server.answer = answer
    return server


def _orthanc_sink(server) -> OrthancSink:
    return OrthancSink("pacs", OrthancSinkSettings(kind="orthanc", url=server.url, timeout_seconds=2))


def test_orthanc_gets_every_object_as_it_is_and_no_second_time(orthanc, delivery) -> None:
    for _again in range(2):
        _orthanc_sink(orthanc).deliver(delivery)
    posted = [asked.body for asked in orthanc.requests if asked.path == "/instances"]
    assert posted == [path.read_bytes() for path in objects_of(delivery, ALL)]


@pytest.mark.parametrize(("status", "is_retryable"), [(503, True), (507, True), (401, True), (400, False)])
def test_orthanc_that_refuses_says_whether_to_try_again(orthanc, delivery, status, is_retryable) -> None:
    orthanc.fail = status
    with pytest.raises(DeliveryError) as caught:
        _orthanc_sink(orthanc).deliver(delivery)
    assert caught.value.is_retryable is is_retryable


def test_a_study_that_was_refused_needs_no_server(server, refused) -> None:
    server.close()
    _orthanc_sink(server).deliver(refused)
    DicomwebSink("pacs", DicomwebSinkSettings(kind="dicomweb", url=server.url)).deliver(refused)


def test_a_damaged_object_is_not_sent_for_ever(orthanc, delivery) -> None:
    (delivery.folder / "sr.dcm").write_bytes(b"damaged")
    with pytest.raises(DeliveryError) as caught:
        _orthanc_sink(orthanc).deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable) == ("delivery.damaged", False)


# DICOMweb


def _failed(*reasons: int) -> bytes:
    items = [{"00081197": {"vr": "US", "Value": [reason]}} for reason in reasons]
    return json.dumps({"00081198": {"vr": "SQ", "Value": items}}).encode()


@pytest.mark.parametrize(
    ("status", "answer", "is_retryable"),
    [
        (200, b"{}", None),
        (200, b"", None),
        (202, _failed(0x0111), None),  # it has the object already
        (409, _failed(0x0111, 0x0111), None),
        (202, _failed(0xA700), True),
        (409, _failed(0xA900), False),
        (200, _failed(0xC000), False),
        (202, b'{"00081198": {"vr": "SQ", "Value": [{}]}}', True),
        (503, b"", True),
        (415, b"", False),
    ],
)
def test_stow_is_done_when_every_object_is_there(server, reply, delivery, status, answer, is_retryable) -> None:
    server.answer = lambda _asked: reply(answer, status=status)
    sink = DicomwebSink("pacs", DicomwebSinkSettings(kind="dicomweb", url=f"{server.url}/rs", timeout_seconds=2))
    if is_retryable is None:
        sink.deliver(delivery)
        (asked,) = server.requests
        assert asked.path == "/rs/studies"
        assert all(path.read_bytes() in asked.body for path in objects_of(delivery, ALL))
    else:
        with pytest.raises(DeliveryError) as caught:
            sink.deliver(delivery)
        assert caught.value.is_retryable is is_retryable


# C-STORE


@pytest.fixture
def archive():
    """``archive(classes, statuses)`` starts a storage SCP and gives its port, and what it was sent."""
    servers = []

    def start(classes=(SR, SEG, SC), statuses=None):
        entity = AE(ae_title="PACS")
        entity.require_called_aet = True
        for class_uid in classes:
            entity.add_supported_context(class_uid, ExplicitVRLittleEndian)
        got: list[bytes] = []

        def store(event):
            got.append(event.request.DataSet.getvalue())
            return (statuses or {}).get(str(event.request.AffectedSOPInstanceUID), 0x0000)

        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
        servers.append(server)
        return server.server_address[1], got

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _dimse_sink(port: int, **settings) -> DimseSink:
    chosen = {"called_aet": "PACS", "timeout_seconds": 5.0} | settings
    return DimseSink("pacs", DimseSinkSettings(kind="dicom", host="127.0.0.1", port=port, **chosen))


def test_c_store_sends_the_data_sets_as_they_are(archive, delivery) -> None:
    port, got = archive()
    _dimse_sink(port).deliver(delivery)
    assert len(got) == SENT
    assert all(path.read_bytes().endswith(sent) for path, sent in zip(objects_of(delivery, ALL), got, strict=True))


def test_what_an_archive_takes_is_sent_also_beside_what_it_does_not_take(archive, delivery) -> None:
    port, got = archive(classes=(SR, SC))
    with pytest.raises(DeliveryError) as caught:
        _dimse_sink(port).deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable, len(got)) == ("dimse.not_accepted", False, 3)
    _dimse_sink(port, objects=("sc", "sr")).deliver(delivery)


def test_an_archive_that_takes_nothing_is_named(archive, delivery) -> None:
    port, _got = archive(classes=("1.2.840.10008.5.1.4.1.1.2",))
    with pytest.raises(DeliveryError) as caught:
        _dimse_sink(port).deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable) == ("dimse.not_accepted", False)


@pytest.mark.parametrize(
    ("statuses", "is_retryable"),
    [
        ({}, None),
        ({"2.25.1": 0xB000}, None),
        ({"2.25.2": 0x0111}, None),
        ({"2.25.1": 0xA700}, True),
        ({"2.25.1": 0x0110}, True),
        ({"2.25.1": 0xA900}, False),
        ({"2.25.1": 0xC000}, False),
        ({"2.25.2": 0xC000, "2.25.1": 0xA700}, True),
    ],
)
def test_a_status_is_a_success_a_reason_to_try_again_or_the_end(archive, delivery, statuses, is_retryable) -> None:
    port, got = archive(statuses=statuses)
    if is_retryable is None:
        _dimse_sink(port).deliver(delivery)
    else:
        with pytest.raises(DeliveryError) as caught:
            _dimse_sink(port).deliver(delivery)
        assert (caught.value.code, caught.value.is_retryable) == ("dimse.not_stored", is_retryable)
    assert len(got) == SENT, "one failure held up the others"


# pynetdicom drops the socket of a connection that was refused without closing it
@pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_is_not_there_or_does_not_know_us_is_tried_again(archive, delivery) -> None:
    with pytest.raises(DeliveryError) as caught:
        _dimse_sink(1).deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable) == ("dimse.unreachable", True)
    port, _got = archive()
    with pytest.raises(DeliveryError) as caught:
        _dimse_sink(port, called_aet="OTHER").deliver(delivery)
    assert (caught.value.code, caught.value.is_retryable) == ("dimse.rejected", True)
