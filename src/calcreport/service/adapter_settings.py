"""The tables ``[service.sources.…]`` and ``[service.sinks.…]``: where else images come from, where results go."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from calcreport.settings import SettingsBlock


def _adapter_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z_]{0,24}", text):  # as a log and a counter take it
        msg = "a name is made of lower-case letters and _, at most 25"
        raise ValueError(msg)
    return text


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "an address begins with http:// or https:// and names a host"
        raise ValueError(msg)
    if parts.username or parts.password:
        msg = "credentials do not belong into the address; use user and password_file"
        raise ValueError(msg)
    if parts.query or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        msg = "an address has no blank, no ? and no #"
        raise ValueError(msg)
    _ = parts.port  # raises when it is no port
    return text.rstrip("/")


AeTitle = Annotated[str, StringConstraints(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""Printable ASCII without a backslash, 1 to 16 characters (PS3.5 section 6.2)."""
# Names of adapters, addresses of servers, texts that are not empty, bytes a second.
AdapterName = Annotated[str, AfterValidator(_adapter_name)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Text = Annotated[str, Field(min_length=1)]
MinimumRate = Annotated[int, Field(ge=1)]
FileMode = Annotated[str, StringConstraints(pattern=r"^0?6[0246]0$")]
"""Read and write for the owner, any of them for the group, nothing for others: results are about patients."""
ObjectKind = Literal["sr", "seg", "sc", "pdf"]  # kinds of DICOM objects among the results


class CertificateSettings(SettingsBlock):
    """How the other side of an encrypted connection is known, and we to it."""

    authority: Text | None = None
    """PEM file of the authority that signed the server's certificate; default: those the system trusts."""
    certificate: Text | None = None
    """PEM file of our certificate, where the other side wants one."""
    key: Text | None = None
    """PEM file of its private key, when it is not in the same file."""


class PeerAddressSettings(CertificateSettings):
    """A peer with a connection of its own."""

    host: Text
    """Its name or address."""
    port: int = Field(ge=1, le=65_535)
    """Its port."""
    is_encrypted: bool = False
    """Whether the connection is encrypted (TLS 1.2 or newer)."""
    timeout_seconds: float = Field(default=60.0, gt=0, le=3600)
    """A peer that is silent for so long is taken for unreachable."""


class DimsePeerSettings(PeerAddressSettings):
    """A DICOM node."""

    called_aet: AeTitle
    """Its AE title."""
    calling_aet: AeTitle = "CALCREPORT"
    """AE title we present; the node may have to know it."""


class WebSettings(CertificateSettings):
    """A server that speaks HTTP."""

    url: WebAddress
    """Address, with the path before the part that the protocol prescribes."""
    user: Text | None = None
    """For HTTP Basic authentication."""
    password_file: Text | None = None
    """File with the password of `user`, one line: secrets do not belong into a settings file."""
    token_file: Text | None = None
    """File with a bearer token, one line; read again for every connection, so that it can be renewed."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """A server that is silent for so long is taken for unreachable."""
    min_bytes_per_second: MinimumRate = 1000
    """A request may take `timeout_seconds`, and longer only while this many bytes a second go or come on average."""


class FolderSourceSettings(SettingsBlock):
    """A folder that something else writes DICOM files to."""

    kind: Literal["folder"]
    """Which source this is."""
    path: Text
    """The folder; its sub-folders count, symbolic links do not."""
    poll_seconds: float = Field(default=10.0, gt=0, le=3600)
    """Time between two looks. A file is taken when it has not changed between them."""
    is_emptied: bool = False
    """Whether a file is removed once it is kept; otherwise nothing in the folder is altered."""


class OrthancSourceSettings(WebSettings):
    """Orthanc, by its feed of changes; nothing is installed in it."""

    kind: Literal["orthanc"]
    """Which source this is."""
    poll_seconds: float = Field(default=5.0, gt=0, le=3600)
    """Time between two looks at the feed."""
    is_from_beginning: bool = False
    """Whether the first look takes what was there before; otherwise it begins with what comes from now on."""


class ArchiveSourceSettings(SettingsBlock):
    """An archive that is queried."""

    poll_seconds: float = Field(default=60.0, gt=0, le=86_400)
    """Time between two queries. A study is fetched when the same images are there twice in a row."""
    days: int = Field(default=2, ge=1, le=366)
    """Studies dated so many days back are asked for; 2: yesterday and today, so that midnight loses nothing."""
    earlier_studies: int = Field(default=0, ge=0, le=10)
    """Latest earlier CT and films of the patient fetched with a study; they are analysed, and handed to no sink."""
    earlier_images: int = Field(default=3000, ge=1, le=100_000)
    """An earlier study of more images is left where it is."""
    is_from_beginning: bool = False
    """Whether the first query takes what was there before."""


class DicomwebSourceSettings(WebSettings, ArchiveSourceSettings):
    """An archive with QIDO-RS and WADO-RS."""

    kind: Literal["dicomweb"]
    """Which source this is."""


class DimseSourceSettings(DimsePeerSettings, ArchiveSourceSettings):
    """An archive with C-FIND and C-MOVE; it sends to the service itself, under `calling_aet`."""

    kind: Literal["dicom"]
    """Which source this is."""
    series_seconds: float = Field(default=1800.0, gt=0)
    """A series that takes longer to be sent is given up."""


class FolderSinkSettings(SettingsBlock):
    """Results copied into a folder, as ``analyze --out`` writes them."""

    kind: Literal["folder"]
    """Which sink this is."""
    path: Text
    """The folder; it has to be there: one that is made could lie in an unmounted share's empty mount point."""
    mount: Text | None = None
    """A folder that something has to be mounted on before anything is written, such as the share's mount point."""
    group: Text | None = None
    """Group that study folders and files are given to, by name."""
    file_mode: FileMode = "0600"
    """Rights of files, octal; folders can also be entered by whoever may read."""


class _ObjectSinkSettings(SettingsBlock):
    objects: tuple[ObjectKind, ...] = ("seg", "sc", "pdf", "sr")
    """Which of the DICOM objects are sent; for an archive that cannot store one of them."""


class OrthancSinkSettings(WebSettings, _ObjectSinkSettings):
    """Results into Orthanc by its REST interface."""

    kind: Literal["orthanc"]
    """Which sink this is."""


class DicomwebSinkSettings(WebSettings, _ObjectSinkSettings):
    """Results into an archive by STOW-RS."""

    kind: Literal["dicomweb"]
    """Which sink this is."""


class DimseSinkSettings(DimsePeerSettings, _ObjectSinkSettings):
    """Results into an archive by C-STORE."""

    kind: Literal["dicom"]
    """Which sink this is."""
    min_bytes_per_second: MinimumRate = 1000
    """The association may take `timeout_seconds` for each message, and the time the objects need at this rate."""


class MllpSinkSettings(PeerAddressSettings):
    """``oru.hl7`` to a RIS or an interface engine, over MLLP."""

    kind: Literal["mllp"]
    """Which sink this is."""


# Tables of all kinds.
AnySource = FolderSourceSettings | OrthancSourceSettings | DicomwebSourceSettings | DimseSourceSettings
SourceSettings = Annotated[AnySource, Field(discriminator="kind")]
SinkSettings = Annotated[
    FolderSinkSettings | OrthancSinkSettings | DicomwebSinkSettings | DimseSinkSettings | MllpSinkSettings,
    Field(discriminator="kind"),
]
