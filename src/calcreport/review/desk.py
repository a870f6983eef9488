"""Studies of a results folder: the worklist, and those that are open with their drafts and images."""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict
from pathlib import Path
from threading import RLock
from typing import Any, Final

from calcreport.errors import CalcReportError, UsageError
from calcreport.review.drafts import REPORT_FILE, Draft, Site
from calcreport.review.images import StudyImages
from calcreport.study.folder import read_bytes
from calcreport.study.result import read_summary

_MOST_OPEN: Final = 8
"""Drafts kept besides those with decisions that were not finished; a draft with its masks takes some megabytes."""
_MOST_IMAGES: Final = 3  # studies whose image headers are kept: that being read, and two before


class Desk:
    """A results folder, or the folder of one study, while a reader works through it.

    Raises `UsageError` ``usage.no_such_folder`` and ``review.no_study`` when there is nothing to review.
    """

    def __init__(self, folder: Path, site: Site, reader: str | None) -> None:
        if not folder.is_dir():
            msg = "DIR does not exist or is no folder; name a results folder of calcreport analyze"
            raise UsageError(msg, code="usage.no_such_folder")
        is_study = (folder / REPORT_FILE).is_file()
        self._root = folder.resolve().parent if is_study else folder.resolve()
        self._only = folder.resolve().name if is_study else None
        self._site, self._reader = site, reader
        self._lock = RLock()
        self._opening: defaultdict[str, RLock] = defaultdict(RLock)
        self._drafts: OrderedDict[str, Draft] = OrderedDict()
        self._images: OrderedDict[str, StudyImages] = OrderedDict()
        self._rows: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        if not self._folders():
            msg = "DIR holds no report.json, nor a study's folder with one; name a results folder of calcreport analyze"
            raise UsageError(msg, code="review.no_study")

    def _folders(self) -> list[str]:
        names = [self._only] if self._only else sorted(path.name for path in self._root.iterdir())
        return [name for name in names if not name.startswith(".") and (self._root / name / REPORT_FILE).is_file()]

    def list_studies(self) -> list[dict[str, Any]]:
        """List every study with what the worklist shows; a refused one has no draft, and a message."""
        folders = self._folders()
        rows = [self._row(name) for name in folders]
        summary = None if self._only else read_summary(self._root)
        rows += [
            {"folder": study.folder, "status": "refused", "message": f"{study.code}: {study.message}"}
            for study in (summary.studies if summary else ())
            if study.folder not in folders
        ]
        return rows

    def _row(self, name: str) -> dict[str, Any]:
        path = self._root / name / REPORT_FILE
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_size)
            if self._rows.get(name, (None,))[0] != mark:
                self._rows[name] = (mark, _summarise(json.loads(path.read_bytes())))
            row = self._rows[name][1]
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return {"folder": name, "status": "refused", "message": "report.invalid: the report cannot be read"}
        draft = self._drafts.get(name)
        return {"folder": name, **row, "is_changed": draft is not None and draft.is_changed}

    def draft(self, name: str) -> Draft:
        """Draft of a study; `UsageError` ``review.unknown_study``, and what `Draft` raises."""
        with self._lock:
            if name not in self._drafts:
                if name not in self._folders():
                    msg = "there is no such study in this folder any more; go back to the list"
                    raise UsageError(msg, code="review.unknown_study")
                self._drafts[name] = Draft(self._root / name / REPORT_FILE, self._site, self._reader)
            self._drafts.move_to_end(name)
            unchanged = [key for key, draft in self._drafts.items() if not draft.is_changed]
            for key in unchanged[: max(0, len(self._drafts) - _MOST_OPEN)]:
                if key != name:
                    del self._drafts[key]
            return self._drafts[name]

    @property
    def unfinished(self) -> int:
        """Number of studies with decisions that were not finished."""
        return sum(draft.is_changed for draft in self._drafts.values())

    def images(self, name: str) -> StudyImages:
        """Images of a study; raises what `StudyImages` does."""
        draft = self.draft(name)
        with self._lock:
            opening = self._opening[name]
        with opening:  # headers of thousands of files may have to be read: other studies do not wait for that
            held = self._images.get(name)
            if held is None or held.report is not draft.report:
                held = StudyImages(draft.report, self._root / name)
        with self._lock:
            self._images[name] = held
            self._images.move_to_end(name)
            while len(self._images) > _MOST_IMAGES:
                self._images.popitem(last=False)[1].close()
        return held

    def describe_images(self, name: str) -> dict[str, Any]:
        """Describe the images of a study, or why there are none, and the pictures of its report."""
        draft = self.draft(name)
        pictures = sorted(path.name for path in (self._root / name / "images").glob("*.png"))
        content: dict[str, Any] = {"stacks": [], "films": [], "lesions": [], "problem": "", "pictures": pictures}
        try:
            return content | self.images(name).describe(draft.drafted)
        except CalcReportError as error:
            return content | {"problem": f"{error.message} [{error.code}]"}

    def picture(self, name: str, file: str) -> bytes | None:
        """One picture of a study's report by its file name; ``None`` where there is none."""
        path = self._root / name / "images" / file
        is_here = name in self._folders() and Path(file).name == file and path.suffix == ".png"
        return read_bytes(path) if is_here else None


def _summarise(report: dict[str, Any]) -> dict[str, Any]:
    """Row of the worklist from a report as plain data: hundreds are listed at once, and checked when opened."""
    lesions = [*report["lesions"], *(entry["lesion"] for entry in report.get("rejected") or ())]
    return {
        "status": "reported" if lesions else "no_calcification",
        "study": report["study"],
        "concern": report["concern"],
        "lesions": len(report["lesions"]),
        "reviews": [lesion.get("review") for lesion in lesions],
    }
