"""``oru.hl7`` to a RIS or an interface engine: HL7 v2 over MLLP, original mode of acknowledgement."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from time import monotonic
from typing import Final

from calcreport.errors import DeliveryError
from calcreport.formats import FILE_NAMES
from calcreport.service.adapter_settings import MllpSinkSettings
from calcreport.service.delivery import Delivery
from calcreport.service.web import tls_context

_START, _END = b"\x0b", b"\x1c\r"  # of a block, HL7 v2 transport specification
_LARGEST_ANSWER: Final = 65_536  # bytes
_CONTROL_ID, _ERROR_CODE = 10, 3  # fields of MSH and ERR
_NEVER: Final = frozenset(("200", "201", "202", "203"))
"""Type, event, processing id or version that the receiver does not know (HL7 table 0357): no time changes that."""


@dataclass(frozen=True)
class MllpSink:
    """A sink. The control id follows from the content, so that a receiver recognises what is sent again."""

    name: str
    settings: MllpSinkSettings

    def deliver(self, delivery: Delivery) -> None:
        """Send the message, and wait for its acknowledgement; see `calcreport.service.delivery.Sink.deliver`.

        An error in the content (AE) is for good; a rejection (AR) is tried again, unless it names what no time changes.
        """
        if delivery.folder is None:
            return
        try:
            message = (delivery.folder / FILE_NAMES["hl7"]).read_bytes()
        except FileNotFoundError as error:
            msg = "the results hold no HL7 message; add hl7 to service.analysis.formats"
            raise DeliveryError(msg, code="mllp.no_message", is_retryable=False) from error
        try:
            answer = self._exchange(message)
        except OSError as error:
            msg = "the receiver of HL7 messages does not answer in time; are host, port and encryption right?"
            raise DeliveryError(msg, code="mllp.unreachable", is_retryable=True) from error
        _require_taken(answer, _field(message, "MSH", _CONTROL_ID))

    def _exchange(self, message: bytes) -> bytes:
        settings = self.settings
        deadline_s = monotonic() + settings.timeout_seconds
        with socket.create_connection((settings.host, settings.port), settings.timeout_seconds) as plain:
            connected = plain
            if settings.is_encrypted:
                connected = tls_context(settings).wrap_socket(plain, server_hostname=settings.host)
            with connected:
                connected.sendall(_START + message + _END)
                answer = b""
                while _END not in answer and len(answer) <= _LARGEST_ANSWER:
                    connected.settimeout(max(0.001, deadline_s - monotonic()))
                    block = connected.recv(4096)
                    if not block:
                        break
                    answer += block
        return answer.partition(_END)[0].lstrip(_START)


def _require_taken(answer: bytes, control_id: str) -> None:
    """Raise `DeliveryError` unless the answer acknowledges the message with this control id."""
    code, answered_id = _field(answer, "MSA", 1), _field(answer, "MSA", 2)
    if answered_id != control_id or not code:
        msg = "the answer is no acknowledgement of the message that was sent"
        raise DeliveryError(msg, code="mllp.unreadable", is_retryable=True)
    if code in {"AA", "CA"}:
        return
    if code in {"AR", "CR"} and _field(answer, "ERR", _ERROR_CODE).partition("^")[0] not in _NEVER:
        msg = "the receiver rejects the message for now (AR); its log says why"
        raise DeliveryError(msg, code="mllp.rejected", is_retryable=True)
    msg = "the receiver does not take the message (AE, or a type or version it does not know); its log says why"
    raise DeliveryError(msg, code="mllp.refused", is_retryable=False)


def _field(message: bytes, segment: str, number: int) -> str:
    """Text of a field of the first segment of a name; empty without one. MSH-1 is the separator itself."""
    separator = message[3:4].decode("latin-1") or "|"
    for line in message.decode("utf-8", "replace").replace("\n", "\r").split("\r"):
        name, *fields = line.split(separator)
        if name == segment:
            return "".join(fields[number - 1 - (segment == "MSH") :][:1]).strip()
    return ""
