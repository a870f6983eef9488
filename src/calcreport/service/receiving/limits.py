"""The listening socket: who is let in, who gets a thread, and what one read may cost and take.

A connection costs threads, so it is counted before it gets any. When a limit is reached, one that has not yet sent
an image and is silent gives way to the newcomer: idle connections cannot lock out a sender.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address, ip_network
from socketserver import TCPServer
from threading import Lock
from time import monotonic
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from calcreport.service.inbox import IncomingFile
from calcreport.service.service_settings import LimitSettings, ServiceSettings
from calcreport.service.web import shut

_CONNECTIONS_PER_ASSOCIATION: Final = 2
"""Connections that have not yet asked for an association may be as many again as there are associations."""
_SILENT_S: Final = 1.0  # An association without an image that was silent for so long may have to give way


@dataclass(eq=False, slots=True, kw_only=True)
class Connection:
    """One connection, from accept to close."""

    address: str
    """Of the peer."""
    close: Callable[[], None]
    """Shuts the socket down; what waits on it wakes up."""
    opened_s: float
    heard_s: float
    """When it began, and when it was last heard of; monotonic."""
    peer: str = ""
    """Calling AE title, when the settings name it."""
    is_associated: bool = False
    """Whether it has an association."""
    images: int = 0
    """Stored so far."""
    pending: int = 0
    """Requests received and not answered yet."""
    command_bytes: int = 0
    data_bytes: int = 0
    """Of the message that is arriving."""
    message_begun_s: float | None = None
    """When its first byte came; ``None`` once it is here."""
    message_bytes: int = 0
    """Of it, command included."""
    file: IncomingFile | None = None
    """That the message goes to."""
    files: set[IncomingFile] = field(default_factory=set)

    @property
    def is_in_message(self) -> bool:
        """Whether a request is arriving or not answered yet."""
        return bool(self.pending or self.command_bytes or self.data_bytes)

    def is_slow(self, now: float, grace_s: float, rate: float) -> bool:
        """Whether the message that is arriving lags behind this many bytes a second by more than `grace_s`."""
        begun_s = self.message_begun_s
        return begun_s is not None and now - begun_s > grace_s + self.message_bytes / rate


class Gate:
    """All connections of the service. Settings are asked for every time, so that they can be changed."""

    def __init__(self, settings: Callable[[], ServiceSettings], *, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._guard = Lock()
        self._connections: set[Connection] = set()

    def is_welcome(self, address: str) -> bool:
        """Whether an address is on the list."""
        try:
            peer = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in ip_network(network) for network in self._settings().peers.addresses)

    def admit(self, address: str, close: Callable[[], None]) -> Connection | None:
        """Count a new connection; ``None`` when there is no place for it and nobody can give way."""
        now = self._clock()
        with self._guard:
            if not self._make_room(list(self._connections), address, _CONNECTIONS_PER_ASSOCIATION, now):
                return None
            connection = Connection(address=address, close=close, opened_s=now, heard_s=now)
            self._connections.add(connection)
            return connection

    def associate(self, connection: Connection) -> bool:
        """Whether a connection may have the association that it asks for."""
        now = self._clock()
        with self._guard:
            others = [other for other in self._connections if other.is_associated and other is not connection]
            if not self._make_room(others, connection.address, 1, now):
                return False
            connection.is_associated = True
            connection.heard_s = now
            return True

    def _make_room(self, rivals: list[Connection], address: str, places: int, now: float) -> bool:
        """Whether there is a place among rivals, `places` for each association, after one gave way perhaps."""
        limits = self._settings().limits
        of_peer = [rival for rival in rivals if rival.address == address]
        is_full = len(of_peer) >= places * limits.max_associations_per_peer
        if not is_full and len(rivals) < places * limits.max_associations:
            return True
        victim = _silent(of_peer if is_full else rivals, now, limits)
        if victim is None:
            return False
        self._connections.discard(victim)
        victim.close()
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        with self._guard:
            self._connections.discard(connection)

    def connections(self) -> tuple[Connection, ...]:
        """Every connection there is now."""
        with self._guard:
            return tuple(self._connections)


def _silent(connections: list[Connection], now: float, limits: LimitSettings) -> Connection | None:
    """Connection that may give way: without an association first, then the one longest silent or far too slow."""
    waiting = [connection for connection in connections if not connection.is_associated]
    idle = [
        connection
        for connection in connections
        if connection.is_associated
        and not connection.images
        and (
            connection.is_slow(now, limits.request_seconds, limits.min_bytes_per_second)
            if connection.is_in_message
            else now - connection.heard_s >= _SILENT_S
        )
    ]
    return min(waiting or idle, key=lambda connection: connection.heard_s, default=None)


class GuardedSocket(AssociationSocket):
    """Takes over a plain one, as pynetdicom made it; that is not to be used any more.

    pynetdicom reads as many bytes as a peer announces, 4096 at a time, for as long as it takes. Here a unit that is too
    large ends the connection before a byte of it is read, a unit has a deadline, and it is read in one piece. The
    server is given the code and the peer when we end the connection.
    """

    def __init__(self, plain: AssociationSocket, connection: Connection, server: Listener) -> None:
        self.__dict__.update(plain.__dict__)  # not initialised anew: that would announce the connection once more
        self.connection = connection
        self._server = server
        self._cut_for = ""

    def cut(self, code: str) -> None:
        """End the connection at the next read, without a word: the peer does not keep to the protocol."""
        if not self._cut_for:
            self._cut_for = code
            self._server.on_cut(code, self.connection.peer)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly `nr_bytes`, or fewer when the peer closes the connection.

        Raises `OSError` when a limit is exceeded; pynetdicom then closes the connection.
        """
        limits = self._server.limits()
        now = monotonic()
        connection = self.connection
        if nr_bytes > limits.max_pdu_bytes:
            self.cut("message.pdu_too_large")
        elif now - connection.opened_s > limits.association_seconds:
            self.cut("message.association_too_long")
        if self._cut_for:
            raise OSError(self._cut_for)
        connection.heard_s = now
        if self.socket is None:
            return bytearray()
        return _read(self.socket, nr_bytes, deadline_s=now + limits.idle_seconds)


def _read(connected: socket.socket, count: int, *, deadline_s: float) -> bytearray:
    buffer = bytearray(count)
    done = 0
    with memoryview(buffer) as view:
        while done < count:
            left_s = deadline_s - monotonic()
            if left_s <= 0:
                raise TimeoutError
            connected.settimeout(left_s)
            got = connected.recv_into(view[done:])
            if not got:
                break
            done += got
    del buffer[done:]
    return buffer


_END_S: Final = 5.0
"""Patience with the thread that reads a connection, after its association has ended and its socket is shut."""


class Listener(ThreadedAssociationServer):
    """Accepts connections; `prepare` has to be called before it serves."""

    daemon_threads = True
    request_queue_size = 128
    """Connections the system keeps waiting: a burst of senders is not turned away."""

    def prepare(self, gate: Gate, *, limits: Callable[[], LimitSettings], on_cut: Callable[..., None]) -> None:
        """Take over whom to ask, and what is given the code, and the peer, when a connection is ended by us."""
        self.gate, self.limits, self.on_cut = gate, limits, on_cut
        self._admitted: dict[int, Connection] = {}  # by file descriptor, until the connection has its thread

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. An encrypted one shakes hands in its own thread: here it would hold up all others."""
        if self.socket is None:
            raise OSError
        client, address = self.socket.accept()
        client.settimeout(self.limits().request_seconds)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each answer waits for a delayed ACK, 40 ms
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401 - as socketserver has it
        """Whether a connection gets a thread."""
        if not self.gate.is_welcome(client_address[0]):
            self.on_cut("association.address_not_welcome")
            return False
        connection = self.gate.admit(client_address[0], partial(_shut, request))
        if connection is None:
            self.on_cut("association.too_many_connections")
            return False
        self._admitted[request.fileno()] = connection
        return True

    def admitted(self, request: socket.socket) -> Connection:
        """What `verify_request` noted about a connection; asked once."""
        return self._admitted.pop(request.fileno())

    def shutdown(self) -> None:
        """Accept no more; pynetdicom's own also unlists the server from its application entity, which never had it."""
        TCPServer.shutdown(self)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as socketserver has it
        """Forget a connection that got no thread; say nothing: the default prints a traceback and an address."""
        connection = self._admitted.pop(request.fileno(), None)
        if connection is not None:
            self.gate.leave(connection)


class Handler(RequestHandler):
    """One connection, from a handshake to the end of its threads."""

    server: Listener

    def handle(self) -> None:
        """Run the association and clean up behind it, however it ends."""
        connection = self.server.admitted(self.request)
        try:
            if isinstance(self.request, ssl.SSLSocket):
                self.request.do_handshake()
            association = self._create_association()
            plain = association.dul.socket
            if isinstance(plain, AssociationSocket):
                association.dul.socket = GuardedSocket(plain, connection, self.server)
            self._run(association)
        except OSError:
            self.server.on_cut("association.no_handshake")
        finally:
            _shut(self.request)
            self.server.gate.leave(connection)
            for file in tuple(connection.files):
                file.discard()

    def _run(self, association: Association) -> None:
        association.start()
        association.join()
        _shut(self.request)  # wakes the reading thread up
        if association.dul.is_alive():
            association.dul.kill_dul()
            association.dul.join(_END_S)


def _shut(connected: socket.socket) -> None:
    """End a connection; what waits on the socket wakes up."""
    shut(connected)
    with suppress(OSError):
        connected.close()
