"""The file a message is streamed to while it arrives, so that no message is ever held in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from calcreport.errors import DeliveryError, InputError, StoreError
from calcreport.service.durable import store_error
from calcreport.service.service_settings import LimitSettings
from calcreport.service.store import Store

_CHECK_SPACE_BYTES: Final = 16 << 20
"""Free space is looked at whenever so much has arrived."""


class IncomingFile:
    """What pynetdicom takes for its temporary file.

    When the disk is full it goes on taking bytes and drops them, so that the sender can be answered with a status.
    `on_excess` is told the code when a limit is exceeded, and ends the connection.
    """

    def __init__(
        self, store: Store, limits: LimitSettings, on_excess: Callable[[str], None] = lambda _code: None
    ) -> None:
        self._store = store
        self._limits = limits
        self._on_excess = on_excess
        self._deadline_s = monotonic() + limits.message_seconds
        self._descriptor = -1
        self._unchecked = 0
        self.size = 0
        self.refusal = ""
        self.path = Path(os.devnull)
        try:
            self.path = store.temporary()
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW)
        except StoreError as error:
            self._refuse(error.code)
        except OSError as error:
            self._refuse(store_error(error).code)

    @property
    def name(self) -> str:
        """Path; pynetdicom removes the file under it when the message was handled, if it is still there."""
        return str(self.path) if self.path != Path(os.devnull) else ""

    @property
    def file(self) -> IncomingFile:
        """Itself: there is nothing buffered behind it."""
        return self

    def write(self, data: bytes) -> int:
        """Take the next bytes of the message."""
        self.size += len(data)
        if self.size > self._limits.max_message_bytes:
            self._exceed("message.too_large")
        elif monotonic() > self._deadline_s:
            self._exceed("message.too_slow")
        elif self._descriptor >= 0:
            self._append(data)
        return len(data)

    def take(self, data: bytes) -> None:
        """Take the next bytes of a file that is fetched: nobody waits for a status, so that a refusal is raised.

        Raises `InputError` ``message.too_large``; `DeliveryError` ``message.too_slow`` and `StoreError` ``store.…``:
        to be fetched again later.
        """
        self.write(data)
        if self.refusal == "message.too_large":
            raise InputError("the file is larger than limits.max_message_bytes", code=self.refusal)
        if self.refusal == "message.too_slow":
            msg = "the file took longer than limits.message_seconds"
            raise DeliveryError(msg, code=self.refusal, is_retryable=True)
        if self.refusal:
            raise StoreError("the store is full or cannot be written to; free space", code=self.refusal)

    def flush(self) -> None:
        """Do nothing: every write goes to the system at once."""

    def close(self) -> None:
        """Close the file; it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Close the file and remove it, unless it was kept."""
        self.close()
        if self.name:
            with suppress(OSError):
                self.path.unlink()

    def _append(self, data: bytes) -> None:
        try:
            done = 0
            while done < len(data):
                done += os.write(self._descriptor, memoryview(data)[done:] if done else data)
            self._unchecked += len(data)
            if self._unchecked >= _CHECK_SPACE_BYTES:
                self._unchecked = 0
                self._store.require_space()
        except StoreError as error:
            self._refuse(error.code)
        except OSError as error:
            self._refuse(store_error(error).code)

    def _refuse(self, code: str) -> None:
        self.refusal = code
        self.discard()

    def _exceed(self, code: str) -> None:
        if self.refusal != code:
            self._refuse(code)
            self._on_excess(code)
