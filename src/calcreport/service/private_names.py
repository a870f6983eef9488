"""Names of pynetdicom beyond its published interface: without one the limits on peers would silently not hold."""

from __future__ import annotations

import importlib
from operator import attrgetter
from typing import Final

from calcreport.errors import ConfigurationError

NAMES: Final = (
    # Switches, set in `receiving.scp` and `sinks.dimse`: setting one that nobody reads raises nothing.
    "_config:LOG_REQUEST_IDENTIFIERS", "_config:LOG_RESPONSE_IDENTIFIERS",
    "association:Association._bind_defaults > LOG_HANDLER_LEVEL",
    "transport:AssociationServer._bind_defaults > LOG_HANDLER_LEVEL",
    "acse:ACSE._negotiate_as_acceptor > UNRESTRICTED_STORAGE_SERVICE",
    "association:Association.send_c_store > STORE_SEND_CHUNKED_DATASET",
    # A data set goes to our file (`inbox`), which the message then holds.
    "dimse_messages:DIMSEMessage.decode_msg > STORE_RECV_CHUNKED_DATASET",
    "dimse_messages:DIMSEMessage.decode_msg > NamedTemporaryFile",
    "dimse_messages:DIMSEMessage.message_to_primitive > _dataset_file",
    # The socket of an association is exchanged for one with limits (`receiving.limits`).
    "transport:AssociationServer.__init__ > request_handler", "transport:RequestHandler._create_association",
    "transport:ThreadedAssociationServer.active_associations", "transport:AssociationSocket.recv",
    "transport:AssociationSocket.__init__ > socket",
    "dul:DULServiceProvider.__init__ > socket", "dul:DULServiceProvider._read_pdu_data > recv",
    "dul:DULServiceProvider.kill_dul", "association:Association.kill", "acse:ACSE.send_reject",
)  # fmt: skip
"""``module:attribute``, and ``> name`` where the code of that function has to use a name."""


def require_private_names(names: tuple[str, ...] = NAMES) -> None:
    """Refuse a pynetdicom that is built otherwise than the one the service was tested with.

    Raises `ConfigurationError` ``service.pynetdicom``.
    """
    missing = [name for name in names if not _is_there(name)]
    if missing:
        msg = (
            f"this pynetdicom lacks what the service relies on ({', '.join(missing)}); install the version that "
            "calcreport asks for: pip install 'pynetdicom>=3.0.4,<3.1'"
        )
        raise ConfigurationError(msg, code="service.pynetdicom")


def _is_there(name: str) -> bool:
    place, _, used = name.partition(" > ")
    module, attribute = place.split(":")
    try:
        found = attrgetter(attribute)(importlib.import_module(f"pynetdicom.{module}"))
        names = (*found.__code__.co_names, *found.__code__.co_varnames) if used else ("",)
    except (ImportError, AttributeError):
        return False
    return used in names
