"""Images out of Orthanc, by its feed of changes: nothing is installed in it, and nothing in it is altered.

The feed says which instances are new. A study is fetched when Orthanc calls it stable; which studies still wait for
that is part of the cursor, so that neither a restart of ours nor one of Orthanc loses any. The number of images is
known by then: a study of which a part could be fetched, before Orthanc went down, waits for the rest.
"""

from __future__ import annotations

import re
from threading import Event
from typing import Any, Final

from pydantic import BaseModel

from calcreport.service.adapter_settings import OrthancSourceSettings
from calcreport.service.identity import ANALYSED_CLASSES
from calcreport.service.inbox import Inbox
from calcreport.service.journal import Journal
from calcreport.service.sources.polled import WebSource, cursor_from, is_uid
from calcreport.service.web import MissingError, WebError

_PAGE: Final = 1000  # Changes asked for at a time
_KNOWN_SERIES: Final = 10_000
"""Series whose study is remembered, so that it is asked for once and not for every instance."""
_IDENTIFIER: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")  # Orthanc's name of a resource
_LONGEST_UID: Final = 256  # bytes of an answer


class _Cursor(BaseModel):
    since: int
    """Number of the last change that was looked at."""
    studies: list[str] = []
    """Studies with new images that were not stable yet, by Orthanc's name."""


class OrthancSource(WebSource[OrthancSourceSettings, _Cursor]):
    """A source; see the module."""

    def __init__(self, name: str, settings: OrthancSourceSettings, journal: Journal) -> None:
        super().__init__(name, settings, journal)
        self._study_of_series: dict[str, str] = {}

    def _begin(self, inbox: Inbox) -> _Cursor:
        """Where to go on; an Orthanc with fewer changes than were seen is another one, and read from its beginning."""
        last = _number(_mapping(self._client.json("/changes?last")), "Last")
        known = inbox.recall(self.name)
        if known is None:
            return self._remember(inbox, 0 if self._settings.is_from_beginning else last, [])
        cursor = cursor_from(known, _Cursor(since=0))
        return cursor if cursor.since <= last else self._remember(inbox, 0, cursor.studies)

    def _look(self, inbox: Inbox, cursor: _Cursor, stop: Event) -> _Cursor:
        cursor = self._read_changes(inbox, cursor, stop)
        for study in tuple(cursor.studies):
            if stop.is_set():
                break
            if self._fetch_if_stable(inbox, study, stop):
                cursor = self._remember(inbox, cursor.since, [name for name in cursor.studies if name != study])
        return cursor

    def _read_changes(self, inbox: Inbox, cursor: _Cursor, stop: Event) -> _Cursor:
        """Note every study that has new images; a page is remembered when all of it is noted."""
        while not stop.is_set():
            page = _mapping(self._client.json(f"/changes?since={cursor.since}&limit={_PAGE}"))
            changes = page.get("Changes")
            studies = dict.fromkeys(cursor.studies)
            for change in changes if isinstance(changes, list) else ():
                if isinstance(change, dict) and change.get("ChangeType") == "NewInstance":
                    self._note(studies, str(change.get("ID")))
            last = _number(page, "Last")
            if last > cursor.since:
                cursor = self._remember(inbox, last, list(studies))
            if page.get("Done") is not False or not changes:
                break
        return cursor

    def _note(self, studies: dict[str, None], instance: str) -> None:
        """Add the study of an instance, unless the instance is of another kind, or gone."""
        if not _IDENTIFIER.fullmatch(instance):
            return
        try:
            study = self._study_of(instance)
        except MissingError:
            return
        if study not in studies and self._is_analysed(instance):
            studies[study] = None

    def _study_of(self, instance: str) -> str:
        series = _name(self._client.json(f"/instances/{instance}"), "ParentSeries")
        if series not in self._study_of_series:
            if len(self._study_of_series) >= _KNOWN_SERIES:
                self._study_of_series.clear()
            self._study_of_series[series] = _name(self._client.json(f"/series/{series}"), "ParentStudy")
        return self._study_of_series[series]

    def _is_analysed(self, instance: str) -> bool:
        """Whether an instance is of a kind that is analysed; one whose kind Orthanc does not know is fetched."""
        try:
            found = self._client.text(f"/instances/{instance}/metadata/SopClassUid", most=_LONGEST_UID)
        except MissingError:
            return True
        return found.strip("\0 \r\n") in ANALYSED_CLASSES

    def _fetch_if_stable(self, inbox: Inbox, study: str, stop: Event) -> bool:
        """Fetch every image of a study; ``False`` when it has to be looked at again.

        All of them, not only the new ones: what is kept is recognised, and what retention has removed comes back.
        """
        found = self._stable_study(study)
        if found is None:
            return False
        uid, images = found
        paths = [f"/instances/{image}/file" for image in images]
        return not images or self._fetch_all(inbox, uid, paths, stop)

    def _stable_study(self, study: str) -> tuple[str, list[str]] | None:
        """Study Instance UID and images by Orthanc's name, none when it is gone; ``None`` while it is not stable."""
        nothing: tuple[str, list[str]] = ("", [])
        if not _IDENTIFIER.fullmatch(study):
            return nothing
        try:
            about = _mapping(self._client.json(f"/studies/{study}"))
            if about.get("IsStable") is False:
                return None
            uid = str(_mapping(about.get("MainDicomTags")).get("StudyInstanceUID")).strip("\0 ")
            if not is_uid(uid):
                self._journal.tell("file_refused", step=self.name, code="file.no_uid")
                return nothing
            rows = self._client.json(f"/studies/{study}/instances")
        except MissingError:
            return nothing
        names = [str(_mapping(row).get("ID")) for row in rows or ()]
        return uid, [name for name in names if _IDENTIFIER.fullmatch(name) and self._is_analysed(name)]

    def _remember(self, inbox: Inbox, since: int, studies: list[str]) -> _Cursor:
        cursor = _Cursor(since=since, studies=studies)
        inbox.remember(self.name, cursor.model_dump_json())
        return cursor


def _mapping(document: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON document
    if not isinstance(document, dict):
        raise _no_orthanc()
    return document


def _name(document: Any, key: str) -> str:  # noqa: ANN401 - any JSON document
    """Orthanc's name of a resource: it becomes part of an address."""
    name = str(_mapping(document).get(key))
    if not _IDENTIFIER.fullmatch(name):
        raise _no_orthanc()
    return name


def _number(document: dict[str, Any], key: str) -> int:
    number = document.get(key)
    if not isinstance(number, int) or number < 0:
        raise _no_orthanc()
    return number


def _no_orthanc() -> WebError:
    return WebError("the server does not answer as Orthanc does; check the address", code="web.unreadable")
