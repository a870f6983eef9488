"""The socket of an association, with limits on what one read may cost and take."""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic

from pynetdicom.transport import AssociationSocket

from calcreport.service.receiving.limits import Connection
from calcreport.service.service_settings import LimitSettings


class GuardedSocket(AssociationSocket):
    """Takes over a plain one, as pynetdicom made it; that is not to be used any more.

    pynetdicom reads as many bytes as a peer announces, 4096 at a time, for as long as it takes. Here a unit that is too
    large ends the connection before a byte of it is read, a unit has a deadline, and it is read in one piece. `on_cut`
    is told the code and the peer when we end the connection.
    """

    def __init__(
        self,
        plain: AssociationSocket,
        *,
        connection: Connection,
        limits: Callable[[], LimitSettings],
        on_cut: Callable[[str, str], None],
    ) -> None:
        self.__dict__.update(plain.__dict__)  # not initialised anew: that would announce the connection once more
        self.connection = connection
        self._limits = limits
        self._on_cut = on_cut
        self._cut_for = ""

    def cut(self, code: str) -> None:
        """End the connection at the next read, without a word: the peer does not keep to the protocol."""
        if not self._cut_for:
            self._cut_for = code
            self._on_cut(code, self.connection.peer)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly `nr_bytes`, or fewer when the peer closes the connection.

        Raises `OSError` when a limit is exceeded; pynetdicom then closes the connection.
        """
        limits = self._limits()
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
