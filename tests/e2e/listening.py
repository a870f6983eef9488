"""The receiving service as a process, and peers that send to it: a proper one, and one that keeps to no protocol."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import subprocess
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom import AE, build_context
from pynetdicom.association import Association

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
VERIFICATION: Final = "1.2.840.10008.1.1"
TITLE: Final = "CALCREPORT"


def wait_for(what: Callable[[], Any], *, seconds: float = 30.0, hint: Callable[[], object] = lambda: "") -> Any:
    """Value of `what` as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited for {seconds} s in vain; {hint()}")


class Service:
    """``calcreport listen`` in a process of its own."""

    def __init__(self, command: Sequence[str], folder: Path, toml: str = "") -> None:
        self.command, self.folder, self.store = list(command), folder, folder / "store"
        self.port = free_port()
        self.log = folder / "service.log"
        self.configure(toml)
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, toml: str) -> None:
        """Write the settings file."""
        head = f'[service]\nstore = "{self.store}"\nport = {self.port}\n'
        (self.folder / "service.toml").write_text(head + toml)

    def start(self) -> Service:
        """Start, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "listen", "--config", str(self.folder / "service.toml")], stdout=log, stderr=log
            )
        wait_for(self._is_up, hint=self.log.read_text)
        return self

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def tell(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = 20.0) -> int:
        """End it; give its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        self.process = None
        return code

    def restart(self) -> Service:
        """Kill it and start it again."""
        self.stop(signal.SIGKILL)
        return self.start()

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the service alone."""
        assert self.process is not None
        return psutil.Process(self.process.pid).memory_info().rss

    def is_alive(self) -> bool:
        """Whether it answers C-ECHO."""
        try:
            with associate(self.port, contexts=((VERIFICATION, EXPLICIT),)) as association:
                return association.send_c_echo().Status == 0
        except AssertionError:
            return False

    def status(self) -> dict[str, Any]:
        """What ``calcreport status`` says."""
        words = [*self.command, "status", "--store", str(self.store), "--format", "json"]
        return json.loads(subprocess.run(words, capture_output=True, check=True, env=os.environ).stdout)

    def studies(self) -> list[dict[str, Any]]:
        """Every study of the status."""
        return self.status()["studies"]

    def records(self) -> list[dict[str, Any]]:
        """Every record, as on disk."""
        return [json.loads(path.read_text()) for path in self.store.glob("studies/*/record.json")]

    def wait_done(self, *, revision: int = 1, studies: int = 1, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Wait until so many studies are done at this revision."""

        def done() -> list[dict[str, Any]]:
            found = [r for r in self.records() if r.get("state") == "done" and r.get("revision") == revision]
            return found if len(found) >= studies else []

        return wait_for(done, seconds=seconds, hint=lambda: f"{self.records()} {self.log.read_text()}")

    def images(self) -> list[Path]:
        """Every file kept, analysed or set aside."""
        return sorted(path for kind in ("images", "aside") for path in self.store.glob(f"studies/*/{kind}/*"))

    def incoming(self) -> list[Path]:
        """Every file of a message that is arriving."""
        return list((self.store / "incoming").iterdir())

    def results(self) -> list[Path]:
        """Every study's folder of results."""
        return sorted(path.parent for path in self.store.glob("studies/*/results/*/report.json"))


def free_port() -> int:
    """Port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def associate(
    port: int, *, calling: str = "TESTER", called: str = TITLE, contexts: Iterable[tuple[str, str]] = ((CT, EXPLICIT),),
    **how: Any,
) -> Iterator[Association]:  # fmt: skip
    """Association of a proper peer."""
    entity = AE(ae_title=calling)
    entity.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in contexts]
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
    association = entity.associate("127.0.0.1", port, ae_title=called, **how)
    if not association.is_established:
        del association, entity
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # pynetdicom drops the socket without closing it
            gc.collect()
        raise AssertionError("not let in")
    try:
        yield association
    finally:
        association.release()


def send(port: int, files: Iterable[Path], **how: Any) -> list[int]:
    """Send files on one association; give the status of each."""
    datasets = [pydicom.dcmread(path) for path in files]
    pairs = {(str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)) for ds in datasets}
    with associate(port, contexts=sorted(pairs), **how) as association:
        return [association.send_c_store(dataset).Status for dataset in datasets]


class Rough:
    """A peer that speaks the protocol byte by byte, and may stop doing so."""

    def __init__(self, port: int, *, syntax: str = EXPLICIT, sop_class: str = CT, is_associated: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sop_class = sop_class
        if is_associated:
            self.socket.sendall(self.request(syntax, sop_class))
            assert self.receive()[0] == 2, "not let in"

    def __enter__(self) -> Rough:
        return self

    def __exit__(self, *_how: object) -> None:
        self.socket.close()

    @staticmethod
    def request(syntax: str = EXPLICIT, sop_class: str = CT, calling: str = "ROUGH") -> bytes:
        """A-ASSOCIATE-RQ."""
        abstract, transfer = _item(0x30, sop_class.encode()), _item(0x40, syntax.encode())
        body = struct.pack(">HH", 1, 0) + TITLE.encode().ljust(16) + calling.encode().ljust(16) + bytes(32)
        body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, b"\1\0\0\0" + abstract + transfer)
        body += _item(0x50, _item(0x51, struct.pack(">I", 131072)) + _item(0x52, b"1.2.3"))
        return struct.pack(">BBI", 1, 0, len(body)) + body

    def receive(self) -> tuple[int, bytes]:
        """Type and body of the next unit; type 0 when the connection is closed."""
        try:
            head = self._read(6)
            kind, _, length = struct.unpack(">BBI", head)
            return kind, self._read(length)
        except (OSError, struct.error):
            return 0, b""

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := self.socket.recv(count - len(data))):
            data += more
        return data

    def command(self, instance: str, *, pdv: int = 3) -> bytes:
        """C-STORE-RQ."""
        elements = [
            (0x0002, _even(self.sop_class)), (0x0100, b"\1\0"), (0x0110, b"\1\0"), (0x0700, b"\0\0"),
            (0x0800, b"\1\0"), (0x1000, _even(instance)),
        ]  # fmt: skip
        body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
        return self.unit(struct.pack("<HHII", 0, 0, 4, len(body)) + body, control=pdv)

    @staticmethod
    def unit(data: bytes, *, control: int) -> bytes:
        """P-DATA-TF with one fragment."""
        return struct.pack(">BBIIBB", 4, 0, len(data) + 6, len(data) + 2, 1, control) + data

    def data(self, content: bytes, *, size: int = 100_000) -> Iterator[bytes]:
        """A data set in fragments."""
        for start in range(0, max(len(content), 1), size):
            yield self.unit(content[start : start + size], control=2 if start + size >= len(content) else 0)

    def store(self, instance: str, content: bytes) -> int | None:
        """Send an image; give the status, ``None`` when the connection was ended."""
        try:
            self.socket.sendall(self.command(instance) + b"".join(self.data(content)))
        except OSError:
            return None
        return self.status()

    def status(self) -> int | None:
        """Status of the next answer."""
        kind, body = self.receive()
        if kind != 4:
            return None
        start = body.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8
        return int.from_bytes(body[start : start + 2], "little")

    def close(self) -> None:
        """Close without a word."""
        self.socket.close()


def encoded(dataset: Dataset) -> bytes:
    """Bytes of a data set, explicit little endian."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    return stream.getvalue()


def data_set_of(path: Path) -> bytes:
    """Bytes of a file behind its file meta header."""
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _even(text: str) -> bytes:
    raw = text.encode()
    return raw + b"\0" * (len(raw) % 2)
