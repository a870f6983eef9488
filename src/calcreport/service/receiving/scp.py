"""The DICOM storage SCP: C-ECHO and C-STORE on pynetdicom; Success means the image survives a power cut.

What is not in pynetdicom is added from outside: connections are counted before they get a thread (`limits`), reads are
bounded, and a data set goes to a file of ours as it arrives (`inbox`).
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from functools import partial
from time import monotonic, sleep
from typing import Any, Final, cast

from pydicom.uid import AllTransferSyntaxes, DeflatedExplicitVRLittleEndian
from pynetdicom import AE, _config, dimse_messages, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made when the module is loaded

from calcreport.errors import InputError, NotDicomError, StoreError
from calcreport.log import PEERS
from calcreport.service.audit import Audit
from calcreport.service.commitment import PUSH_MODEL, Commitments
from calcreport.service.identity import Identity
from calcreport.service.inbox import Inbox, IncomingFile
from calcreport.service.journal import Journal
from calcreport.service.receiving.limits import Connection, Gate, GuardedSocket, Handler, Listener
from calcreport.service.service_settings import LimitSettings, ServiceSettings

# Status of C-STORE (PS3.4 annex B.2.3).
SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
OUT_OF_RESOURCES: Final = 0xA700
NOT_AS_ANNOUNCED: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
_OFFERED_PDU_BYTES: Final = 131_072  # Largest protocol data unit offered to senders: what dcmtk fills
_LARGEST_COMMAND: Final = 65_536  # bytes
_LARGEST_UNSTREAMED: Final = 1 << 20
"""Most bytes of a data set that go to no file: only C-STORE has one, and that is streamed."""
_MOST_PENDING: Final = 8  # Most requests a peer may send without waiting for the answer; one is what was negotiated
_NOT_AUTHENTIC: Final = frozenset(("association.address_not_welcome", "association.no_handshake"))
"""Ends of connections that the audit repository learns of."""
_STOP_S: Final = 9.0  # Patience with messages in flight when the service stops
_FAREWELL_S: Final = 1.0  # Patience with peers that know that the association is over


@dataclass(eq=False)
class StorageScp:
    """Receives images into a store: a message goes there while it arrives, and is kept by the inbox."""

    inbox: Inbox
    settings: Callable[[], ServiceSettings]
    _: KW_ONLY
    commitments: Commitments
    journal: Journal
    audit: Audit

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self.gate = Gate(self.settings)
        self._ae = AE(ae_title=self.settings().aet)
        self._listener: Listener | None = None

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, in a thread of its own; raises `OSError` when the address is in use or not this machine's."""
        _silence()
        self.apply(tls)
        self._ae.add_supported_context(Verification)
        # Data sets go to our file; pynetdicom asks this name of its module for one.
        dimse_messages.NamedTemporaryFile = self._open_incoming  # type: ignore[attr-defined,assignment]
        settings = self.settings()
        if settings.commitment.is_offered or settings.retention.commitment is not None:
            self._ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        self._listener = Listener(
            self._ae,
            (settings.host, settings.port),
            settings.aet,
            self._ae.supported_contexts,
            tls,
            request_handler=Handler,
            evt_handlers=[
                (evt.EVT_REQUESTED, self._on_request),
                (evt.EVT_REJECTED, self._on_rejected),
                (evt.EVT_PDU_RECV, self._on_unit),
                (evt.EVT_C_ECHO, self._on_echo),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_N_ACTION, self.commitments.asked),
                (evt.EVT_N_EVENT_REPORT, self.commitments.reported),
                (evt.EVT_DIMSE_SENT, self._on_answer),
            ],
        )
        self._listener.prepare(self.gate, limits=lambda: self.settings().limits, on_cut=self._on_cut)
        threading.Thread(target=partial(self._listener.serve_forever, 0.2), name="listener", daemon=True).start()

    def apply(self, tls: ssl.SSLContext | None) -> None:
        """Let changed settings and certificates hold for connections from now on."""
        settings = self.settings()
        if self._listener is not None:
            self._listener.ssl_context = tls
        self._ae.require_called_aet = True
        self._ae.require_calling_aet = list(settings.peers.calling)
        PEERS.named = frozenset(settings.peers.calling)
        self._ae.maximum_associations = 1_000_000  # the gate counts them, before they have a thread
        self._ae.maximum_pdu_size = min(_OFFERED_PDU_BYTES, settings.limits.max_pdu_bytes - 64)
        self._ae.acse_timeout = settings.limits.request_seconds
        self._ae.dimse_timeout = settings.limits.idle_seconds
        self._ae.network_timeout = settings.limits.idle_seconds

    def stop(self) -> bool:
        """Take no more connections, finish the messages in flight, end the rest.

        Returns whether every message in flight was finished within nine seconds.
        """
        self._stopping.set()
        if self._listener is None:
            return True
        self._listener.shutdown()
        deadline_s = monotonic() + _STOP_S
        while (is_busy := self._abort_idle()) and monotonic() < deadline_s:
            sleep(0.05)
        deadline_s = min(deadline_s, monotonic() + _FAREWELL_S)
        while any(item.is_established for item in self._listener.active_associations) and monotonic() < deadline_s:
            sleep(0.02)
        for connection in self.gate.connections():
            connection.close()
        return not is_busy

    def _abort_idle(self) -> bool:
        """Abort what is between two messages; whether anything is in the middle of one."""
        is_busy = False
        for association in self._listener.active_associations if self._listener is not None else ():
            connection = _connection(association)
            if connection.is_in_message:
                is_busy = True
            elif association.is_established:
                with suppress(Exception):
                    association.abort(block=False)
        return is_busy

    def _open_incoming(self, **_how: Any) -> IncomingFile:  # noqa: ANN401 - what pynetdicom asks for does not count
        """Make the file a message goes to; called by pynetdicom in the thread that reads the connection."""
        guarded = cast("GuardedSocket", cast("DULServiceProvider", threading.current_thread()).socket)
        file = IncomingFile(self.inbox.store, self.settings().limits, guarded.cut)
        guarded.connection.file = file
        guarded.connection.files.add(file)
        return file

    def _on_request(self, event: evt.Event) -> None:
        connection, primitive = _connection(event.assoc), event.assoc.requestor.primitive
        if primitive is None:
            return
        title = str(primitive.calling_ae_title).strip()
        connection.peer = title if title in self.settings().peers.calling else ""
        if self._stopping.is_set() or not self.gate.associate(connection):
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)  # transient: local limit exceeded
            event.assoc.kill()
            self.journal.ended("places", "association.too_many")
            self._refused(connection, "association.too_many")
            return
        self.journal.ended("places")
        choose_syntaxes(primitive.presentation_context_definition_list)
        self.journal.count("associations")

    def _on_rejected(self, event: evt.Event) -> None:
        self.audit.alert()
        self._refused(_connection(event.assoc), "association.not_welcome")

    def _on_unit(self, event: evt.Event) -> None:
        """Count the bytes of the message that is arriving; called before pynetdicom looks at them."""
        guarded = event.assoc.dul.socket
        if not isinstance(guarded, GuardedSocket) or not isinstance(event.pdu, P_DATA_TF):
            return
        limits = self.settings().limits
        for item in event.pdu.presentation_data_value_items:
            excess = _count(guarded.connection, item.presentation_data_value or b"", limits)
            if excess:
                guarded.cut(excess)
                return

    def _on_answer(self, event: evt.Event) -> None:
        connection = _connection(event.assoc)
        is_ours = isinstance(event.message, dimse_messages.N_EVENT_REPORT_RQ)  # its answer counts as a request
        connection.pending = connection.pending - 1 if is_ours else max(0, connection.pending - 1)
        if not connection.is_in_message:
            connection.message_begun_s = None  # a message without data

    def _on_echo(self, _event: evt.Event) -> int:
        self.journal.count("echoes")
        return SUCCESS

    def _on_store(self, event: evt.Event) -> int:
        """Keep an image and say so; whatever goes wrong becomes a status."""
        request = cast("C_STORE", event.request)
        file = cast("IncomingFile | None", request._dataset_file)  # where pynetdicom puts it
        connection = _connection(event.assoc)
        if file is None:
            return self._refused(connection, "message.no_data", CANNOT_UNDERSTAND)
        try:
            file.close()
            if file.refusal:
                return self._refused(connection, file.refusal, OUT_OF_RESOURCES)
            self.inbox.keep(file.path, accept=partial(_require_as_announced, request), sender=connection.peer)
        except StoreError as error:
            return self._refused(connection, error.code, OUT_OF_RESOURCES)
        except InputError as error:
            is_other = error.code == "file.not_as_announced"
            return self._refused(connection, error.code, NOT_AS_ANNOUNCED if is_other else CANNOT_UNDERSTAND)
        except Exception:  # noqa: BLE001  # a bug must not end the association, and its traceback may hold patient data
            return self._refused(connection, "internal.error", PROCESSING_FAILURE)
        finally:
            file.discard()
            connection.files.discard(file)
        connection.images += 1
        self.journal.count("images_received")
        return SUCCESS

    def _refused(self, connection: Connection, code: str, status: int = OUT_OF_RESOURCES) -> int:
        self.journal.count(f"refused_{code}")
        self.journal.tell("refused", code=code, **_named(connection.peer))
        return status

    def _on_cut(self, code: str, peer: str = "") -> None:
        if code in _NOT_AUTHENTIC:
            self.audit.alert()
        self.journal.count(f"cut_{code}")
        self.journal.tell("connection_cut", code=code, **_named(peer))


def _count(connection: Connection, fragment: bytes, limits: LimitSettings) -> str:
    """Count a fragment of a message; return the code of the limit it exceeds."""
    if not fragment:
        return "message.empty_fragment"
    now = monotonic()
    if connection.message_begun_s is None:
        connection.message_begun_s, connection.message_bytes = now, 0
    connection.message_bytes += len(fragment)
    if connection.is_slow(now, limits.idle_seconds, limits.min_bytes_per_second):
        return "message.too_slow"
    is_last = bool(fragment[0] & 2)
    if fragment[0] & 1:
        connection.command_bytes += len(fragment)
        if is_last:
            connection.command_bytes, connection.data_bytes, connection.file = 0, 0, None
            connection.pending += 1
        is_too_large = connection.command_bytes > _LARGEST_COMMAND or connection.pending > _MOST_PENDING
        return "message.command_too_large" if is_too_large else ""
    connection.data_bytes += len(fragment)
    if connection.data_bytes > _LARGEST_UNSTREAMED and connection.file is None:
        return "message.unexpected_data"
    if is_last:
        connection.data_bytes, connection.file, connection.message_begun_s = 0, None, None
    return ""


def _connection(association: Association) -> Connection:
    """What is known of a connection; nothing of one that has ended meanwhile."""
    guarded = association.dul.socket
    if isinstance(guarded, GuardedSocket):
        return guarded.connection
    return Connection(address="", close=lambda: None, opened_s=0.0, heard_s=0.0)


def _named(peer: str) -> dict[str, str]:
    """Field of a log line; none for a title of other characters than a log takes."""
    return {"peer": peer} if PEERS.fullmatch(peer) else {}


def _require_as_announced(request: C_STORE, identity: Identity) -> None:
    announced = [str(uid).strip(" \0") for uid in (request.AffectedSOPInstanceUID, request.AffectedSOPClassUID)]
    if announced != [identity.instance_uid, identity.class_uid]:
        msg = "the data set is not the instance that the message announced"
        raise NotDicomError(msg, code="file.not_as_announced")


def _silence() -> None:
    """Keep pynetdicom from logging: it quotes what was received, and every line costs time."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.STORE_RECV_CHUNKED_DATASET = True
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


_READABLE: Final = frozenset(str(syntax) for syntax in AllTransferSyntaxes)
"""Public transfer syntaxes: a data set in a private one could not be distinguished, whole from torn."""


def choose_syntaxes(contexts: Iterable[PresentationContext]) -> None:
    """Reduce each proposed context, in place, to the one transfer syntax that is accepted, or to one that is refused.

    pynetdicom's unrestricted storage service takes whatever is proposed first. Compressed images are taken as they
    come, so the sender's order is kept; only deflated data sets come last.
    """
    for context in contexts:
        if context.abstract_syntax == Verification:
            continue
        readable = [syntax for syntax in context.transfer_syntax if syntax in _READABLE]
        readable.sort(key=lambda syntax: syntax == DeflatedExplicitVRLittleEndian)  # stable
        if readable:
            context.transfer_syntax = [readable[0]]
        else:  # C-ECHO is not offered in this syntax: "transfer syntaxes not supported"
            context.abstract_syntax = Verification
