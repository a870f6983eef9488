"""HTTP as the adapters need it, on the standard library: JSON, files streamed to disk, bodies streamed from disk.

Nothing here decides what is asked. Redirects are not followed: only the server that was configured is spoken to.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from calcreport.errors import DeliveryError, SettingsError
from calcreport.service.adapter_settings import CertificateSettings, WebSettings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
import re
from collections.abc import Iterator, Sequence

JSON: Final = "application/json"
_LARGEST_ANSWER: Final = 33_554_432
"""Largest JSON document read, bytes: tens of thousands of rows; in memory it takes up to twenty times as much."""
_BLOCK: Final = 1 << 20
_SENT: Final = 1 << 16
"""Bytes sent under one time-out."""
_LONGEST_SECRET: Final = 65_536
_DROPPED: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
"""What a kept connection that the server has closed meanwhile ends with."""


class WebError(DeliveryError):
    """An answer that was no success; ``status`` is that of HTTP, 0 when there was none."""

    def __init__(self, message: str, *, code: str, is_retryable: bool = True, status: int = 0) -> None:
        super().__init__(message, code=code, is_retryable=is_retryable)
        self.status = status


class MissingError(WebError):
    """The server does not know what was asked for."""


class _TooSlowError(TimeoutError):
    pass


class _Pace(io.RawIOBase):
    """Reads a connection, and counts: a request has the time-out, and the time its bytes take at the least rate.

    A time-out of the socket alone is about one read: a byte a second would go on for ever.
    """

    def __init__(self, connected: socket.socket, settings: WebSettings) -> None:
        self._socket = connected
        self._raw = cast("io.RawIOBase", connected.makefile("rb", buffering=0))
        self._settings = settings
        self._deadline_s = monotonic() + settings.timeout_seconds
        self._is_heard = False

    def count(self, size: int) -> None:
        """Allow the time for bytes that went or came."""
        self._deadline_s += size / self._settings.min_bytes_per_second

    def limit(self) -> None:
        """Let the next operation on the socket end in time.

        Raises `TimeoutError` when there is no time left.
        """
        left_s = self._deadline_s - monotonic()
        if left_s <= 0:
            raise _TooSlowError
        self._socket.settimeout(min(left_s, self._settings.timeout_seconds))

    def readable(self) -> bool:
        """Say yes, as `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Read what is there."""
        self.limit()
        try:
            size = self._raw.readinto(buffer)
        except TimeoutError as error:
            if self._is_heard and monotonic() >= self._deadline_s:
                raise _TooSlowError from error
            raise
        self._is_heard = True
        self.count(size or 0)
        return size

    def close(self) -> None:
        """Give the connection back."""
        self._raw.close()
        super().close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What is sent with a request: media type, bytes, and what gives them, from the start, each time it is called."""

    kind: str
    length: int
    blocks: Callable[[], Iterable[bytes]]


class WebClient:
    """One server, one connection that is kept; for one thread.

    Raises `SettingsError` ``settings.secret`` or ``settings.tls``: a file that is named cannot be read.
    """

    def __init__(self, settings: WebSettings) -> None:
        parts = urlsplit(settings.url)
        self._settings = settings
        self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path
        self._is_encrypted = parts.scheme == "https"
        if self._is_encrypted:
            tls_context(settings)
        self._connection: http.client.HTTPConnection | None = None
        self._credentials()

    def json(self, path: str, *, body: Body | None = None, accept: str = JSON, allowed: tuple[int, ...] = ()) -> Any:  # noqa: ANN401 - any JSON document
        """Ask for a path behind the address of the settings, quoted by the caller, and read the answer.

        A `body` makes it a POST. Answers of an `allowed` status are no success and have a document nevertheless.
        ``None`` is an empty answer. Raises `WebError` ``web.…``.
        """
        with_answer = self._ask(path, accept=accept, body=body, allowed=allowed)
        content = self._read(with_answer, _LARGEST_ANSWER + 1)
        if len(content) > _LARGEST_ANSWER:
            self.close()
            raise WebError("the server's answer is too large to be one", code="web.unreadable")
        if not content.strip():
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise WebError("the server's answer is no JSON", code="web.unreadable") from error

    def fetch(self, path: str, *, accept: str, take: Callable[[Iterable[bytes], str], None]) -> None:
        """Ask for a file, and hand its bytes on as they come.

        `take` is given the blocks of the answer and its media type; it reads all of them or raises. Raises `WebError`
        ``web.…``, also when fewer bytes come than were announced.
        """
        answer = self._ask(path, accept=accept, body=None, allowed=())
        try:
            take(self._blocks(answer), answer.getheader("Content-Type", ""))
        except BaseException:
            self.close()  # the rest of the answer is still in the connection
            raise

    def text(self, path: str, *, most: int) -> str:
        """Ask for a short text.

        Raises `WebError` ``web.…``, also when it is longer than `most` bytes.
        """
        content = self._read(self._ask(path, accept="*/*", body=None, allowed=()), most + 1)
        if len(content) > most:
            self.close()
            raise WebError("the server's answer is too large to be one", code="web.unreadable")
        return content.decode("utf-8", "replace")

    def close(self) -> None:
        """Give the connection up; the next request opens another."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _ask(self, path: str, *, accept: str, body: Body | None, allowed: tuple[int, ...]) -> http.client.HTTPResponse:
        is_kept = self._connection is not None
        try:
            answer = self._send(path, accept, body)
        except _DROPPED as error:
            self.close()
            if not is_kept:
                raise _unreachable() from error
            return self._ask(path, accept=accept, body=body, allowed=allowed)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _unreachable(error) from error
        if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT, *allowed}:
            self.close()
            raise _refused(answer.status)
        return answer

    def _send(self, path: str, accept: str, body: Body | None) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        if connection.sock is None:
            connection.timeout = self._settings.timeout_seconds
            connection.connect()
        pace = _Pace(connection.sock, self._settings)
        pace.limit()
        connection.response_class = lambda *how, **named: _Answer(pace, *how, **named)  # type: ignore[assignment]
        headers = {"Accept": accept, "User-Agent": "calcreport", **self._credentials()}
        try:
            if body is None:
                connection.request("GET", f"{self._base}{path}", headers=headers)
            else:
                headers |= {"Content-Type": body.kind, "Content-Length": str(body.length)}
                connection.request("POST", f"{self._base}{path}", body=_paced(body.blocks(), pace), headers=headers)
            return connection.getresponse()
        except BaseException:
            pace.close()
            raise

    def _connect(self) -> http.client.HTTPConnection:
        timeout = self._settings.timeout_seconds
        if not self._is_encrypted:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=tls_context(self._settings))

    def _credentials(self) -> Mapping[str, str]:
        if self._settings.token_file is not None:
            return {"Authorization": f"Bearer {_secret(self._settings.token_file)}"}
        if self._settings.user is None:
            return {}
        password = _secret(self._settings.password_file) if self._settings.password_file else ""
        pair = base64.b64encode(f"{self._settings.user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def _blocks(self, answer: http.client.HTTPResponse) -> Iterable[bytes]:
        announced = answer.length
        count = 0
        while block := self._read(answer, _BLOCK):
            count += len(block)
            yield block
        if announced is not None and count < announced:
            raise _unreachable()

    def _read(self, answer: http.client.HTTPResponse, most: int) -> bytes:
        try:
            return answer.read(most)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _unreachable(error) from error


class _Answer(http.client.HTTPResponse):
    """An answer that is read by `_Pace`, head and all."""

    def __init__(self, pace: _Pace, sock: socket.socket, *how: Any, **named: Any) -> None:  # noqa: ANN401 - as http.client calls it
        super().__init__(sock, *how, **named)
        self.fp.close()
        self.fp = cast("IO[bytes]", io.BufferedReader(pace))  # type: ignore[assignment]


def _paced(blocks: Iterable[bytes], pace: _Pace) -> Iterable[bytes]:
    for block in blocks:
        for start in range(0, len(block), _SENT):
            pace.limit()
            yield block[start : start + _SENT]
            pace.count(min(_SENT, len(block) - start))


def tls_context(settings: CertificateSettings) -> ssl.SSLContext:
    """Make what an encrypted connection needs; the server is always checked. Files are read anew each time.

    Raises `SettingsError` ``settings.tls``.
    """
    try:
        context = ssl.create_default_context(cafile=settings.authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        msg = "a file of authority, certificate or key cannot be read, or is no PEM file of that kind"
        raise SettingsError(msg, code="settings.tls") from error
    return context


def _secret(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as stream:
            text = stream.read(_LONGEST_SECRET).strip()
    except (OSError, ValueError) as error:
        msg = "the file given with password_file or token_file cannot be read"
        raise SettingsError(msg, code="settings.secret") from error
    if not text.isprintable():
        msg = "the file given with password_file or token_file holds more than one line"
        raise SettingsError(msg, code="settings.secret")
    return text


def _unreachable(error: Exception | None = None) -> WebError:
    if isinstance(error, ssl.SSLError):
        msg = "the server's certificate is not trusted, or it does not take ours; check authority and certificate"
        return WebError(msg, code="web.tls")
    if isinstance(error, _TooSlowError):
        return WebError("the server is slower than the adapter's min_bytes_per_second", code="web.too_slow")
    return WebError("the server does not answer, or stops in the middle; is it running?", code="web.unreachable")


def _refused(status: int) -> WebError:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return WebError("the server does not let us in; check the credentials", code="web.not_permitted", status=status)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return MissingError("the server does not know what was asked for", code="web.not_found", status=status)
    if status >= 500 or status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}:
        return WebError("the server cannot answer now", code="web.busy", status=status)
    if status < 400:
        return WebError("the server answers with a redirect; name its final address", code="web.moved", status=status)
    return WebError("the server refuses what it was given", code="web.refused", is_retryable=False, status=status)


_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_LARGEST_HEAD: Final = 65_536
_MARK: Final = b"calcreport-6a1f7b3c4d219b1d5a6e2f0c"
"""A boundary that no DICOM object of ours holds: text in them is made by us, and this is not part of it."""


def first_part(blocks: Iterable[bytes], kind: str) -> Iterator[bytes]:
    """Give what the first part of a message of media type `kind` holds; a short rest is read to the end and skipped.

    Raises `WebError` ``web.unreadable``: no message of this kind, or one without an end.
    """
    found = _BOUNDARY.search(kind)
    if found is None or not kind.lower().lstrip().startswith("multipart/related"):
        raise _unreadable()
    end = b"\r\n--" + (found[1] or found[2]).encode("ascii", "replace")
    stream = iter(blocks)
    held = _after_head(stream, end)
    while (place := held.find(end)) < 0:
        safe = max(0, len(held) - len(end) + 1)
        yield held[:safe]
        block = next(stream, b"")
        if not block:
            raise _unreadable()
        held = held[safe:] + block
    yield held[:place]
    rest = len(held) - place
    for block in stream:  # to the end, so that the connection can be used again
        rest += len(block)
        if rest > _LARGEST_HEAD:
            raise _unreadable()


def files_body(files: Sequence[Path]) -> Body:
    """Message with one part a DICOM file.

    Raises `OSError` when a file cannot be read.
    """
    head = b"--" + _MARK + b"\r\nContent-Type: application/dicom\r\n\r\n"
    tail = b"--" + _MARK + b"--\r\n"

    def blocks() -> Iterator[bytes]:
        for file in files:
            yield head
            yield from file_blocks(file)
            yield b"\r\n"
        yield tail

    length = sum(len(head) + file.stat().st_size + 2 for file in files) + len(tail)
    kind = f'multipart/related; type="application/dicom"; boundary={_MARK.decode()}'
    return Body(kind=kind, length=length, blocks=blocks)


def file_body(file: Path) -> Body:
    """One DICOM file as it is."""
    return Body(kind="application/dicom", length=file.stat().st_size, blocks=lambda: file_blocks(file))


def file_blocks(file: Path) -> Iterator[bytes]:
    """Content of a file, in blocks."""
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _after_head(stream: Iterator[bytes], end: bytes) -> bytes:
    """Skip what stands before the content of the first part; return what was read of it."""
    held = b"\r\n"  # the first boundary may stand at the very start
    while True:
        start = held.find(end)
        place = held.find(b"\r\n\r\n", start + len(end)) if start >= 0 else -1
        if place >= 0:
            return held[place + 4 :]
        block = next(stream, b"")
        if not block or len(held) > _LARGEST_HEAD:
            raise _unreadable()
        held += block


def _unreadable() -> WebError:
    return WebError("the server's answer is no multipart message with a DICOM file", code="web.unreadable")
