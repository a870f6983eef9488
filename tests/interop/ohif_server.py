"""OHIF's published viewer in front of an Orthanc: its files and Orthanc's DICOMweb behind one port of the loopback."""

from __future__ import annotations

import contextlib
import mimetypes
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """window.config = {
  routerBasename: null, extensions: [], modes: [], showStudyList: true, maxNumberOfWebWorkers: 1,
  showCPUFallbackMessage: false, showWarningMessageForCrossOrigin: false,
  investigationalUseDialog: { option: 'never' }, defaultDataSourceName: 'dicomweb',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'Orthanc', name: 'Orthanc', qidoSupportsIncludeField: false, enableStudyLazyLoad: true,
      wadoUriRoot: '/dicom-web', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      imageRendering: 'wadors', thumbnailRendering: 'wadors',
      supportsFuzzyMatching: false, supportsWildcard: true, omitQuotationForMultipartRequest: true,
      loadMultiframeAsPart10: false,  // each frame of a segmentation is asked for, as older versions do
      bulkDataURI: { enabled: true },
    },
  }],
};"""


@dataclass(frozen=True)
class Viewer:
    """A running viewer."""

    url: str
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Status and path of everything that Orthanc was asked for."""


@contextlib.contextmanager
def running_ohif(dist: Path, orthanc_url: str) -> Iterator[Viewer]:
    """Serve the viewer that lies in `dist`."""
    answers: list[tuple[int, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/dicom-web/"):
                status, kind, content = self._ask()
                answers.append((status, path))
            elif path == "/app-config.js":
                status, kind, content = 200, "text/javascript", _CONFIG.encode()
            else:
                asked = dist / path.lstrip("/")
                file = asked if asked.is_file() else dist / "index.html"
                kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
                status, content = 200, file.read_bytes()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _ask(self) -> tuple[int, str, bytes]:
            headers = {"Accept": self.headers.get("Accept", "*/*")}
            request = urllib.request.Request(f"{orthanc_url}{self.path}", headers=headers)  # noqa: S310 - loopback
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                    kind, content = answer.headers.get("Content-Type", ""), answer.read()
            except urllib.error.HTTPError as error:
                return error.code, "text/plain", error.read()
            if "json" in kind:  # addresses of Orthanc's own port
                content = content.replace(orthanc_url.encode(), f"http://{self.headers['Host']}".encode())
            return 200, kind, content

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Viewer(f"http://127.0.0.1:{server.server_port}", answers)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
