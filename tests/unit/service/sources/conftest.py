"""A server that answers as a test tells it to, and an inbox that remembers what it was given."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from calcreport.errors import ClinicalError, NotDicomError, StoreError
from calcreport.service.delivery import Delivery
from calcreport.service.inbox import IncomingFile
from calcreport.service.service_settings import LimitSettings


@dataclass
class Reply:
    """An answer; `length` is announced instead of the true one."""

    content: bytes = b""
    status: int = 200
    kind: str = "application/json"
    length: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    is_closing: bool = False


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class FakeServer:
    """Answers by `answer`, a function from a request to a reply."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.answer: Callable[[Asked], Reply] = lambda _asked: Reply(status=404)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
                outer.requests.append(asked)
                reply = outer.answer(asked)
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Content-Length", str(len(reply.content) if reply.length is None else reply.length))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.content)
                self.close_connection = reply.is_closing or reply.length is not None

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.requests]

    def encrypt(self, context: ssl.SSLContext) -> None:
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class FakeInbox:
    """Keeps what begins with ``DICM``, and refuses everything else as damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: list[bytes] = []
        self.clinical: list[bytes] = []
        self.expected: list[tuple[str, int]] = []
        self.cursors: dict[str, str] = {}
        self._number = 0
        self.limits = LimitSettings()
        self.is_full = False
        self.senders: set[str] = set()
        self.asked_by: set[str] = set()
        self.study_uid: str | None = None  # of what comes; otherwise as asked for
        folder.mkdir(exist_ok=True)

    def temporary(self) -> Path:
        self._number += 1
        path = self.folder / f"{self._number}.part"
        path.touch()
        return path

    def require_space(self) -> None:
        if self.is_full:
            raise StoreError("full", code="store.full")

    @contextmanager
    def incoming(self) -> Iterator[IncomingFile]:
        file = IncomingFile(self, self.limits)
        try:
            yield file
        finally:
            file.discard()

    def keep(self, path: Path, *, accept: Callable[[Any], None] | None = None, sender: str = "") -> None:
        self.senders.add(sender)
        content = path.read_bytes()
        if accept is not None and self.study_uid is not None:
            accept(SimpleNamespace(study_uid=self.study_uid))
        path.unlink()
        if not content.startswith(b"DICM"):
            raise NotDicomError("damaged", code="file.damaged")
        self.kept.append(content)

    def keep_clinical(self, content: bytes) -> None:
        if not content:
            raise ClinicalError("of no study", code="clinical.which_study")
        self.clinical.append(content)

    def expect(self, study_instance_uid: str, count: int, asked_by: str = "") -> None:
        self.expected.append((study_instance_uid, count))
        self.asked_by.add(asked_by)

    def recall(self, source: str) -> str | None:
        return self.cursors.get(source)

    def remember(self, source: str, cursor: str) -> None:
        self.cursors[source] = cursor


class Rounds:
    """Stands for the event that stops a source: set after so many waits."""

    def __init__(self, number: int) -> None:
        self._left = number

    def is_set(self) -> bool:
        return self._left <= 0

    def wait(self, _seconds: float) -> bool:
        self._left -= 1
        return self.is_set()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture
def inbox(tmp_path: Path) -> FakeInbox:
    return FakeInbox(tmp_path / "incoming")


@pytest.fixture
def rounds() -> Callable[[int], Any]:
    """``rounds(3)`` stops a source after three looks."""
    return Rounds


@pytest.fixture
def reply() -> Callable[..., Reply]:
    return Reply


OBJECTS = {
    "sr.dcm": ("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1"),
    "seg.dcm": ("1.2.840.10008.5.1.4.1.1.66.4", "2.25.2"),
    "sc_1.dcm": ("1.2.840.10008.5.1.4.1.1.7", "2.25.3"),
    "sc_2.dcm": ("1.2.840.10008.5.1.4.1.1.7", "2.25.4"),
}


def _write(path: Path, class_uid: str, instance_uid: str) -> None:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = class_uid, instance_uid
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", f"{instance_uid}.1"
    made.PatientName = "Mueller^Anna"
    made.save_as(path, enforce_file_format=True)


def _delivery(folder: Path | None) -> Delivery:
    return Delivery(
        study_instance_uid="1.2.3", key="k", revision=1,
        outcome="reported" if folder else "refused", folder=folder,
    )  # fmt: skip


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    """Results of one study: a report, a segmentation, two captures, and a text."""
    folder = tmp_path / "results"
    folder.mkdir()
    for name, (class_uid, instance_uid) in OBJECTS.items():
        _write(folder / name, class_uid, instance_uid)
    (folder / "report.txt").write_text("text")
    return _delivery(folder)


@pytest.fixture
def refused() -> Delivery:
    """A study that was refused has no results."""
    return _delivery(None)
