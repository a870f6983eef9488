"""HTTP as the adapters need it, on the standard library: JSON, files streamed to disk, bodies streamed from disk.

Nothing here decides what is asked. Redirects are not followed: only the server that was configured is asked.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from calcreport.errors import DeliveryError, SettingsError
from calcreport.service.adapter_settings import CertificateSettings, WebSettings

JSON: Final = "application/json"  # media type
_LARGEST_ANSWER: Final = 33_554_432
"""Largest JSON document read, bytes: tens of thousands of rows; in memory it takes up to twenty times as much."""
_BLOCK: Final = 1 << 20  # bytes read at a time
_SENT: Final = 1 << 16  # bytes sent under one time-out
_PATIENCE: Final = 1.1
"""Of the deadline beside the time-out, so that a silent server is named as that and not as a slow one."""
_LONGEST_SECRET: Final = 65_536  # bytes
_DROPPED: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
"""What a kept connection that the server has closed meanwhile ends with."""
_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)  # in a media type
_LARGEST_HEAD: Final = 65_536  # bytes before the content of a part, or after it
_MARK: Final = b"calcreport-6a1f7b3c4d219b1d5a6e2f0c"
"""A boundary that no DICOM object of ours holds: text in them is made by us, and this is not part of it."""


class WebError(DeliveryError):
    """An answer that was no success; ``status`` is that of HTTP, 0 when there was none."""

    def __init__(self, message: str, *, code: str, is_retryable: bool = True, status: int = 0) -> None:
        super().__init__(message, code=code, is_retryable=is_retryable)
        self.status = status


class MissingError(WebError):
    """The server does not know what was asked for."""


class Deadline:
    """Calls `cut` when an exchange takes longer than `seconds`, unless it is extended or ended before.

    A time-out of a socket alone is about one read: a byte a second would go on for ever.
    """

    def __init__(self, seconds: float, cut: Callable[[], object]) -> None:
        self._end_s = monotonic() + seconds
        self._cut = cut
        self._is_ended = Event()
        self.has_passed = False
        Thread(target=self._watch, name="deadline", daemon=True).start()

    def extend(self, seconds: float) -> None:
        """Allow for more time."""
        self._end_s += seconds

    def end(self) -> None:
        """Cut nothing any more."""
        self._is_ended.set()

    def _watch(self) -> None:
        while (left_s := self._end_s - monotonic()) > 0:
            if self._is_ended.wait(left_s):
                return
        self.has_passed = True
        self._cut()


def shut(connected: socket.socket) -> None:
    """Let everything that waits on a socket wake up; it can be read and written no more."""
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # below TLS, whose state another thread is using


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What is sent with a request: media type, bytes, and what gives them, from the start, each time it is called."""

    kind: str
    length: int
    blocks: Callable[[], Iterable[bytes]]


class WebClient:
    """One server, one connection that is kept; for one thread.

    A request may take the time-out of the settings, and the time its bytes take at their least rate. Raises
    `SettingsError` ``settings.secret`` or ``settings.tls``: a file that is named cannot be read.
    """

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._address = urlsplit(settings.url)
        self._connection = self._connect()
        self._is_kept = False
        self._deadline: Deadline | None = None
        self._credentials()

    def json(self, path: str, *, body: Body | None = None, accept: str = JSON, allowed: tuple[int, ...] = ()) -> Any:  # noqa: ANN401 - any JSON document
        """Ask for a path behind the address of the settings, quoted by the caller, and read the answer.

        A `body` makes it a POST. Answers of an `allowed` status are no success and have a document nevertheless.
        ``None`` is an empty answer. Raises `WebError` ``web.…``.
        """
        content = self._whole(self._ask(path, accept, body, allowed), _LARGEST_ANSWER)
        try:
            return json.loads(content) if content.strip() else None
        except (ValueError, RecursionError) as error:
            raise WebError("the server's answer is no JSON", code="web.unreadable") from error

    def text(self, path: str, *, most: int) -> str:
        """Ask for a short text; raises `WebError` ``web.…``, also when it is longer than `most` bytes."""
        return self._whole(self._ask(path, "*/*"), most).decode("utf-8", "replace")

    def fetch(self, path: str, *, accept: str, take: Callable[[Iterable[bytes], str], None]) -> None:
        """Ask for a file, and hand its bytes on as they come.

        `take` is given the blocks of the answer and its media type; it reads all of them or raises. Raises `WebError`
        ``web.…``, also when fewer bytes come than were announced.
        """
        answer = self._ask(path, accept)
        try:
            take(self._blocks(answer), answer.getheader("Content-Type", ""))
        except BaseException:
            self.close()  # the rest of the answer is still in the connection
            raise

    def close(self) -> None:
        """Give the connection up; the next request opens another."""
        if self._deadline is not None:
            self._deadline.end()
        self._is_kept = False
        with suppress(OSError):
            self._connection.close()

    def _ask(
        self, path: str, accept: str, body: Body | None = None, allowed: tuple[int, ...] = ()
    ) -> http.client.HTTPResponse:
        was_kept = self._is_kept
        try:
            answer = self._send(path, accept, body)
        except (OSError, http.client.HTTPException) as error:
            failure = self._failed(error)
            if was_kept and isinstance(error, _DROPPED) and failure.code == "web.unreachable":
                return self._ask(path, accept, body, allowed)
            raise failure from error
        if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT, *allowed}:
            self.close()
            raise _refused(answer.status)
        self._is_kept = True
        return answer

    def _send(self, path: str, accept: str, body: Body | None) -> http.client.HTTPResponse:
        if not self._is_kept:
            self._connection = self._connect()  # with certificates as they are now
        if self._connection.sock is None:
            self._connection.connect()
        seconds = _PATIENCE * self._settings.timeout_seconds
        deadline = self._deadline = Deadline(seconds, partial(shut, self._connection.sock))
        headers = {"Accept": accept, "User-Agent": "calcreport", **self._credentials()}
        if body is None:
            self._connection.request("GET", f"{self._address.path}{path}", headers=headers)
        else:
            headers |= {"Content-Type": body.kind, "Content-Length": str(body.length)}
            blocks = self._counted(deadline, body.blocks())
            self._connection.request("POST", f"{self._address.path}{path}", body=blocks, headers=headers)
        return self._connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        """Make a connection that is not open yet."""
        host, port, timeout = self._address.hostname or "", self._address.port, self._settings.timeout_seconds
        if self._address.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=tls_context(self._settings))

    def _credentials(self) -> Mapping[str, str]:
        settings = self._settings
        if settings.token_file is not None:
            return {"Authorization": f"Bearer {_secret(settings.token_file)}"}
        if settings.user is None:
            return {}
        password = _secret(settings.password_file) if settings.password_file else ""
        return {"Authorization": f"Basic {base64.b64encode(f'{settings.user}:{password}'.encode()).decode()}"}

    def _counted(self, deadline: Deadline, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Allow the time for bytes that went or came."""
        for block in blocks:
            yield block
            deadline.extend(len(block) / self._settings.min_bytes_per_second)

    def _blocks(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """Content of an answer as it comes; then the connection is free for the next request."""
        left, deadline = answer.length, self._deadline
        try:
            while left != 0 and deadline is not None and (block := answer.read1(_BLOCK)):
                left = left and left - len(block)
                yield from self._counted(deadline, [block])
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error) from error
        if left or deadline is None or deadline.has_passed:
            raise self._failed()
        deadline.end()
        answer.close()

    def _whole(self, answer: http.client.HTTPResponse, most: int) -> bytes:
        content = bytearray()
        for block in self._blocks(answer):
            content += block
            if len(content) > most:
                self.close()
                raise WebError("the server's answer is too large to be one", code="web.unreadable")
        return bytes(content)

    def _failed(self, error: Exception | None = None) -> WebError:
        """Give the connection up, and say why it failed."""
        is_slow = self._deadline is not None and self._deadline.has_passed
        self.close()
        if is_slow:
            return WebError("the server is slower than the adapter's min_bytes_per_second", code="web.too_slow")
        if isinstance(error, ssl.SSLError):
            msg = "the server's certificate is not trusted, or it does not take ours; check authority and certificate"
            return WebError(msg, code="web.tls")
        return WebError("the server does not answer, or stops in the middle; is it running?", code="web.unreachable")


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


def first_part(blocks: Iterable[bytes], kind: str) -> Iterator[bytes]:
    """Give what the first part of a ``multipart/related`` message holds (PS3.18 section 8.6.1.2), as it comes.

    A short rest is read to the end and skipped, so that the connection can be used again. Raises `WebError`
    ``web.unreadable``: no message of this media type `kind`, or one without an end.
    """
    found = _BOUNDARY.search(kind)
    if found is None or not kind.lower().lstrip().startswith("multipart/related"):
        raise _unreadable()
    end = b"\r\n--" + (found[1] or found[2]).encode("ascii", "replace")
    stream = iter(blocks)
    held = b"\r\n"  # the first boundary may stand at the very start
    for mark in (end, b"\r\n\r\n"):
        while mark not in held:
            if len(held) > _LARGEST_HEAD:
                raise _unreadable()
            held += _next(stream)
        held = held.partition(mark)[2]
    while end not in held:
        safe = max(0, len(held) - len(end) + 1)
        yield held[:safe]
        held = held[safe:] + _next(stream)
    content, _, rest = held.partition(end)
    yield content
    count = len(rest)
    for block in stream:
        count += len(block)
        if count > _LARGEST_HEAD:
            raise _unreadable()


def _next(stream: Iterator[bytes]) -> bytes:
    block = next(stream, b"")
    if not block:
        raise _unreadable()
    return block


def body_of(kind: str, *parts: bytes | Path) -> Body:
    """Body of a media type that is made of bytes and files; raises `OSError` when a file cannot be read."""

    def blocks() -> Iterator[bytes]:
        for part in parts:
            with io.BytesIO(part) if isinstance(part, bytes) else part.open("rb") as stream:
                yield from iter(partial(stream.read, _SENT), b"")

    length = sum(len(part) if isinstance(part, bytes) else part.stat().st_size for part in parts)
    return Body(kind=kind, length=length, blocks=blocks)


def files_body(files: Sequence[Path]) -> Body:
    """Message with one part a DICOM file; errors as for `body_of`."""
    head = b"--" + _MARK + b"\r\nContent-Type: application/dicom\r\n\r\n"
    parts = [part for file in files for part in (head, file, b"\r\n")]
    kind = f'multipart/related; type="application/dicom"; boundary={_MARK.decode()}'
    return body_of(kind, *parts, b"--" + _MARK + b"--\r\n")


def _unreadable() -> WebError:
    return WebError("the server's answer is no multipart message with a DICOM file", code="web.unreadable")
