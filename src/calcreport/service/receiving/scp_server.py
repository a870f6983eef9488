"""The listening socket: who gets a thread, an encrypted channel, and a guarded socket."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from socketserver import TCPServer
from time import monotonic
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from calcreport.service.receiving.limits import Connection, Gate
from calcreport.service.service_settings import LimitSettings


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
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connected.close()
