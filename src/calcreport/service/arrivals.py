"""When a study is complete: nothing came for a while, or as much came as its source told of.

DICOM has no sign for the end of a study. Time is monotonic: a clock that is set does not complete or hold up anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from calcreport.errors import StoreError
from calcreport.service.service_settings import StudySettings


@dataclass(slots=True, kw_only=True)
class _Arriving:
    last_s: float
    sender: str = ""
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """A study that is complete: its folder name, whether fewer instances came than the source told of, who sent it."""

    study: str
    is_short: bool
    sender: str = ""


class Arrivals:
    """Studies that images arrive for. Every method may be called from any thread.

    Settings are asked for every time, so that they can be changed; `count` gives the instances of a study that are
    there, objects set aside included; `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        settings: Callable[[], StudySettings],
        *,
        count: Callable[[str], int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._count = count
        self._clock = clock
        self._guard = Lock()
        self._arriving: dict[str, _Arriving] = {}

    def note(self, study: str, sender: str = "") -> None:
        """Something arrived for a study; the last sender that the settings name is remembered."""
        now = self._clock()
        with self._guard:
            arriving = self._arriving.setdefault(study, _Arriving(last_s=now))
            arriving.last_s = now
            arriving.sender = sender or arriving.sender

    def expect(self, study: str, count: int) -> None:
        """A source told how many instances a study has."""
        with self._guard:
            arriving = self._arriving.setdefault(study, _Arriving(last_s=self._clock()))
            arriving.expected = count

    def take_complete(self) -> list[Complete]:
        """Take every study that is complete by now; it is forgotten here."""
        settings, now = self._settings(), self._clock()
        with self._guard:
            candidates = [(study, item.last_s, item.expected, item.sender) for study, item in self._arriving.items()]
        complete = []
        for study, last_s, expected, sender in candidates:
            quiet_s = now - last_s
            if expected is None:
                is_over, is_short = quiet_s >= settings.quiet_seconds, False
            else:
                is_short = self._lacks(study, expected)
                is_over = not is_short or quiet_s >= settings.missing_seconds
            if is_over and self._forget(study, last_s):
                complete.append(Complete(study=study, is_short=is_short, sender=sender))
        return complete

    def _lacks(self, study: str, expected: int) -> bool:
        """Whether images are still to come; not of a study whose folder cannot be read, which is to be looked at."""
        try:
            return self._count(study) < expected
        except StoreError:
            return False

    def _forget(self, study: str, last_s: float) -> bool:
        """Forget a study unless something arrived in between."""
        with self._guard:
            arriving = self._arriving.get(study)
            if arriving is None or arriving.last_s != last_s:
                return False
            del self._arriving[study]
            return True

    def __contains__(self, study: str) -> bool:
        """Whether a study is still arriving."""
        with self._guard:
            return study in self._arriving

    def __len__(self) -> int:
        """How many studies are arriving."""
        with self._guard:
            return len(self._arriving)
