"""Who is let in, and who has to make room when all places are taken.

A connection costs threads, so it is counted before it gets any. When a limit is reached, one that has not yet sent
an image and is silent gives way to the newcomer: idle connections cannot lock out a sender.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from threading import Lock
from time import monotonic
from typing import Final

from calcreport.service.inbox import IncomingFile
from calcreport.service.service_settings import LimitSettings, ServiceSettings

_CONNECTIONS_PER_ASSOCIATION: Final = 2
"""Connections that have not yet asked for an association may be as many again as there are associations."""
_SILENT_S: Final = 1.0
"""An association without an image that was silent for so long may have to give way."""


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
