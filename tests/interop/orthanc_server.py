"""Debian's Orthanc with DICOMweb, on free ports, with a storage of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Orthanc:
    """A running server."""

    http_port: int
    dicom_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def ask(self, path: str, *, body: bytes | None = None, kind: str = "", accept: str = "") -> bytes:
        """GET a path, or POST `body` to it."""
        headers = {name: value for name, value in (("Content-Type", kind), ("Accept", accept)) if value}
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content

    def delete(self, path: str) -> None:
        request = urllib.request.Request(f"{self.url}{path}", method="DELETE")  # noqa: S310 - loopback
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310

    def json(self, path: str, *, body: bytes | None = None, accept: str = "") -> Any:
        return json.loads(self.ask(path, body=body, accept=accept))

    def is_up(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, OSError):
            self.ask("/system")
            return True
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_orthanc(
    program: str, folder: Path, *, again: Orthanc | None = None, **settings: object
) -> Iterator[Orthanc]:
    """Start a server whose storage lies in `folder`; `settings` are laid over its configuration.

    With `again` it has the ports of an earlier one.
    """
    server = again or Orthanc(http_port=free_port(), dicom_port=free_port())
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [_PLUGIN],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "StableAge": 1,
        "OverwriteInstances": True,
    } | settings
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (
        (folder / "orthanc.log").open("wb") as log,
        subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while not server.is_up():
                if process.poll() is not None or time.monotonic() > deadline:
                    msg = f"Orthanc did not start: {(folder / 'orthanc.log').read_text(errors='replace')[-2000:]}"
                    raise AssertionError(msg)
                time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)
