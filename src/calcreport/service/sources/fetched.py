"""What all fetching sources do with a file: keep it, or say that it cannot be kept and go on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import IO

from calcreport.errors import InputError
from calcreport.service.adapters import Inbox
from calcreport.service.journal import Journal
from calcreport.service.multipart import write_first_part
from calcreport.service.web import WebClient, WebError


class Fetcher:
    """Files of one server, into the inbox.

    Parameters
    ----------
    name : str
        Of the source.
    client : WebClient
        The server.
    journal : Journal
        Told of files that cannot be kept.
    """

    def __init__(self, name: str, client: WebClient, journal: Journal) -> None:
        self._name = name
        self._client = client
        self._journal = journal

    def fetch(self, inbox: Inbox, path: str, *, accept: str) -> bool:
        """Fetch one file, as it is or as the first part of a multipart message.

        Returns
        -------
        bool
            Whether it was kept; not when it is gone meanwhile, damaged, or no image.

        Raises
        ------
        WebError
            The server does not answer as it should; to be tried again.
        StoreError
            The disk is full or broken; to be tried again.
        """
        target = inbox.temporary()
        try:
            with target.open("wb") as stream:
                self._client.fetch(path, accept=accept, take=lambda blocks, kind: _write(blocks, kind, stream))
            inbox.keep(target)
        except InputError as error:
            self._journal.tell("file_refused", step=self._name, code=error.code)
            return False
        except WebError as error:
            if error.code == "web.not_found":
                return False
            raise
        finally:
            with suppress(OSError):
                target.unlink(missing_ok=True)
        return True


def _write(blocks: Iterable[bytes], kind: str, stream: IO[bytes]) -> None:
    if kind.lower().startswith("multipart/"):
        write_first_part(blocks, kind, stream)
        return
    for block in blocks:
        stream.write(block)
