"""Storage Commitment: what is kept here is told, and what an archive has not confirmed stays."""

import socket
import threading
import time

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt

from calcreport.errors import SettingsError
from calcreport.service.audit import Audit
from calcreport.service.commitment import _WELL_KNOWN, PUSH_MODEL, Commitments
from calcreport.service.inbox import Arrivals, Inbox
from calcreport.service.journal import Journal
from calcreport.service.queue import Record
from calcreport.service.receiving.scp import StorageScp
from calcreport.service.retention import Retention, RunningTime
from calcreport.service.service_settings import RetentionSettings, ServiceSettings, service_settings_from_text
from calcreport.service.store import IMAGES

STUDY = "1.2.826.0.1.3680043.10.1"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def serve(store):
    """``serve(toml)`` gives a listening service and its commitments."""
    running = []

    def begin(toml: str = ""):
        port = _free_port()
        settings = service_settings_from_text(f"[service]\nport = {port}\n{toml}")
        journal = Journal()
        commitments = Commitments(store, lambda: settings, journal=journal)
        inbox = Inbox(store, Arrivals(lambda: settings.study, count=store.count), journal=journal)
        audit = Audit(settings.audit, "CALCREPORT", journal=journal)
        scp = StorageScp(inbox, lambda: settings, commitments=commitments, journal=journal, audit=audit)
        scp.start()
        running.append((scp, commitments))
        return port, commitments

    yield begin
    for scp, commitments in running:
        commitments.stop()
        scp.stop()


def _request(*numbers: int) -> Dataset:
    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = []
    for number in numbers:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, f"{STUDY}.1.{number}"
        request.ReferencedSOPSequence.append(item)
    return request


class Caller:
    """A sender that asks, and takes the answer on either connection."""

    def __init__(self) -> None:
        self.told: list[tuple[int, list[str], list[str]]] = []
        self.answered = threading.Event()
        self.handlers = [(evt.EVT_N_EVENT_REPORT, self._on_report)]

    def _on_report(self, event):
        report = event.event_information
        names = [
            [item.ReferencedSOPInstanceUID for item in report.get(name) or ()]
            for name in ("ReferencedSOPSequence", "FailedSOPSequence")
        ]
        self.told.append((event.event_type, *names))
        self.answered.set()
        return 0, None

    def ask(self, port: int, request: Dataset, *, action: int = 1, wait: float = 5.0):
        entity = AE(ae_title="SENDER")
        entity.add_requested_context(PUSH_MODEL)
        association = entity.associate("127.0.0.1", port, ae_title="CALCREPORT", evt_handlers=self.handlers)
        if not association.is_established:
            return None
        status, _ = association.send_n_action(request, action, PUSH_MODEL, _WELL_KNOWN)
        if status.Status == 0:
            self.answered.wait(wait)
        association.release()
        return status.Status


def test_a_sender_is_told_what_is_kept_and_what_is_not(serve, put) -> None:
    put(number=1), put(number=2)
    port, _ = serve("[service.commitment]\nis_offered = true\n")
    caller = Caller()
    assert caller.ask(port, _request(1, 2)) == 0
    assert caller.told == [(1, [f"{STUDY}.1.1", f"{STUDY}.1.2"], [])]
    caller.answered.clear()
    assert caller.ask(port, _request(2, 3)) == 0
    assert caller.told[1:] == [(2, [f"{STUDY}.1.2"], [f"{STUDY}.1.3"])]


def test_a_caller_that_is_named_is_told_over_a_connection_of_its_own(serve, put) -> None:
    put(number=1)
    caller, there = Caller(), _free_port()
    entity = AE(ae_title="SENDER")
    entity.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    listening = entity.start_server(("127.0.0.1", there), block=False, evt_handlers=caller.handlers)
    port, _ = serve(
        "[service.commitment]\nis_offered = true\n[service.commitment.callers.sender]\n"
        f'host = "127.0.0.1"\nport = {there}\ncalled_aet = "SENDER"\n'
    )
    caller_on_its_own = Caller()
    assert caller_on_its_own.ask(port, _request(1), wait=0.0) == 0  # gone before the answer
    assert caller.answered.wait(5.0)
    assert (caller.told, caller_on_its_own.told) == ([(1, [f"{STUDY}.1.1"], [])], [])
    listening.shutdown()


def test_without_the_setting_nothing_is_promised(serve) -> None:
    port, _ = serve()
    assert Caller().ask(port, _request(1)) is None


def test_what_is_no_request_is_refused(serve) -> None:
    port, _ = serve("[service.commitment]\nis_offered = true\n")
    assert Caller().ask(port, _request(1), action=2) == 0x0123
    nothing = Dataset()
    nothing.PatientID = "7"
    assert Caller().ask(port, nothing) == 0x0115


@pytest.mark.parametrize(
    "toml",
    [
        "[service.commitment]\nis_offered = true\n[service.retention]\nreceived_days = 3\n",
        '[service.retention]\ncommitment = "archive"\n',
        '[service.retention]\ncommitment = "copy"\n[service.sinks.copy]\nkind = "folder"\npath = "/x"\n',
        '[service.sinks.ris]\nkind = "mllp"\nhost = "x"\nport = 1\n',
    ],
)
def test_a_promise_that_would_be_broken_is_a_mistake(toml) -> None:
    with pytest.raises(SettingsError) as caught:
        service_settings_from_text(toml)
    assert caught.value.code == "settings.invalid_value"


@pytest.fixture
def archive():
    """Confirms what ``has`` names."""
    made = Archive()
    yield made
    made.close()


class Archive:
    def __init__(self) -> None:
        self.port, self.has, self.asked = _free_port(), set(), []
        self.elsewhere = 0
        entity = AE(ae_title="PACS")
        entity.add_supported_context(PUSH_MODEL)
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_ACTION, self._on_action)]
        )

    def _on_action(self, event):
        self.asked.append(event.action_information)
        threading.Thread(target=self._answer, args=(event.assoc, event.action_information), daemon=True).start()
        return 0, None

    def _answer(self, association, request) -> None:
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        kept = [item for item in request.ReferencedSOPSequence if item.ReferencedSOPInstanceUID in self.has]
        report.ReferencedSOPSequence = kept
        kind = 1 if len(kept) == len(request.ReferencedSOPSequence) else 2
        if self.elsewhere:
            entity = AE(ae_title="PACS")
            entity.add_requested_context(PUSH_MODEL)
            association = entity.associate(
                "127.0.0.1", self.elsewhere, ae_title="CALCREPORT", ext_neg=[build_role(PUSH_MODEL, scp_role=True)]
            )
        association.send_n_event_report(report, kind, PUSH_MODEL, _WELL_KNOWN)
        if self.elsewhere:
            association.release()

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def old(store, put, archive, serve):
    """A delivered study with two images, both old enough; ``look()`` is a round of retention."""
    put(number=1), put(number=2)
    (study,) = store.studies()
    store.write_record(study, Record(state="done", done_running_s=0.0))
    port, commitments = serve(
        f'[service.retention]\nreceived_days = 0\ncommitment = "pacs"\n[service.sinks.pacs]\nkind = "dicom"\n'
        f'host = "127.0.0.1"\nport = {archive.port}\ncalled_aet = "PACS"\ntimeout_seconds = 3\n'
    )
    archive.here = port

    def look() -> int:
        Retention(
            store, lambda: RetentionSettings(received_days=0.0), Journal(),
            running=RunningTime(store.root), may_go=commitments.is_confirmed,
        ).tick(lambda _study: False)  # fmt: skip
        return len(list((store.folder(study) / IMAGES).glob("*.dcm"))) if (store.folder(study) / IMAGES).exists() else 0

    return look


def _wait(what, seconds=5.0):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["same", "own"])
def test_images_go_when_the_archive_has_confirmed_all_of_them(old, archive, is_elsewhere) -> None:
    archive.elsewhere = archive.here if is_elsewhere else 0
    archive.has = {f"{STUDY}.1.1", f"{STUDY}.1.2"}
    assert old() == 2, "nothing goes before the answer"
    assert _wait(lambda: old() == 0)
    assert len(archive.asked) == 1


def test_images_stay_when_the_archive_lacks_one_or_says_nothing(old, archive) -> None:
    archive.has = {f"{STUDY}.1.1"}
    assert old() == 2
    assert _wait(lambda: archive.asked)
    time.sleep(0.5)
    assert old() == 2


def test_a_report_that_nobody_asked_for_confirms_nothing(old, archive) -> None:
    archive.has = set()
    assert old() == 2
    assert _wait(lambda: archive.asked)
    forged = _request(1, 2)
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(PUSH_MODEL)
    association = entity.associate(
        "127.0.0.1", archive.here, ae_title="CALCREPORT", ext_neg=[build_role(PUSH_MODEL, scp_role=True)]
    )
    status, _ = association.send_n_event_report(forged, 1, PUSH_MODEL, _WELL_KNOWN)
    association.release()
    assert status.Status == 0x0115
    assert old() == 2


def test_the_default_is_off() -> None:
    settings = ServiceSettings()
    assert (settings.commitment.is_offered, settings.retention.commitment, settings.audit.host) == (False, None, None)


@pytest.mark.parametrize(("calling", "field"), [("SENDER", " peer=SENDER"), ("STRANGER^PATIENT", "")])
def test_a_log_line_names_a_peer_that_the_settings_name_and_no_other(serve, caplog, calling, field) -> None:
    names = '["SENDER", "STRANGER^PATIENT"]'  # the second is no word for a log
    port, _ = serve(f"[service.peers]\ncalling = {names}\n")
    entity = AE(ae_title=calling)
    entity.add_requested_context(CTImageStorage)
    with caplog.at_level("INFO"):
        association = entity.associate("127.0.0.1", port, ae_title="CALCREPORT")
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, "1.2.3"  # of no study
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        assert association.send_c_store(image).Status == 0xC000
        association.release()
        assert not entity.associate("127.0.0.1", port, ae_title="WRONG").is_established
    lines = [line for line in caplog.messages if line.startswith("refused code=file")]
    assert lines == [f"refused code=file.no_uid{field}"]
    assert "STRANGER" not in "".join(line for line in caplog.messages if line.startswith("refused"))


def test_a_title_that_the_settings_do_not_name_is_not_logged(serve, caplog) -> None:
    port, _ = serve()
    entity = AE(ae_title="MUELLER_ANNA")
    entity.add_requested_context(CTImageStorage)
    with caplog.at_level("INFO"):
        entity.associate("127.0.0.1", port, ae_title="WRONG")
    assert "refused code=association.not_welcome" in caplog.messages
