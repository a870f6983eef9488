"""Studies of a results folder: the worklist, and those that are open with their drafts and images."""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict
from pathlib import Path
from threading import Lock, RLock
from typing import Any, Final

import numpy as np

from calcreport.arguments import REPORT_FILE
from calcreport.dicom import discover
from calcreport.errors import CalcReportError, UsageError
from calcreport.model.report import Report
from calcreport.review.drafts import Draft, Site
from calcreport.settings import ReadingSettings
from calcreport.study.folder import read_bytes
from calcreport.study.render import find_study, remembered_places, settings_of_report
from calcreport.study.reread import films_of_report, measured_stacks, read_films_again
from calcreport.study.result import read_summary

_MOST_OPEN: Final = 8
"""Drafts kept besides those with decisions that were not finished; a draft with its masks takes some megabytes."""
_MOST_IMAGES: Final = 3  # studies whose image headers are kept: that being read, and two before
_MOST_CELLS: Final = 192
"""Slices, rows and columns of the reduced stack that coronal and sagittal images are cut from, at most: 14 MB."""
# Fields that the page needs.
_OF_FILM: Final = {"sop_instance_uid", "instance_number", "rows", "columns", "view"}
_OF_LESION: Final = {"id", "series_instance_uid", "shape", "location"}


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
        summary = None if self._only else read_summary(self._root)
        return [self._row(name) for name in folders] + [
            {"folder": study.folder, "status": "refused", "message": f"{study.code}: {study.message}"}
            for study in (summary.studies if summary else ())
            if study.folder not in folders
        ]

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


class StudyImages:
    """The measured stacks or the films of one study; pixels are read when asked for, and not kept.

    `report` and `folder`: of the study. Raises `UsageError` ``render.no_study`` where the images are gone,
    ``render.other_images`` where they are not those of the report; `InputError`.
    """

    def __init__(self, report: Report, folder: Path) -> None:
        self.report = report
        self._settings: ReadingSettings = settings_of_report(report).reading
        places = [Path(place) for place in remembered_places(folder)]
        self._found = discover(places, settings=self._settings)
        self._lock = Lock()
        self._reduced: dict[int, tuple[bytes, dict[str, Any]]] = {}
        try:
            study = find_study(self._found.studies, report)
            self._films = films_of_report(report, study)
            self._stacks = [] if self._films else measured_stacks(report, study, self._settings)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close archives that the images lie in."""
        self._found.close()

    def describe(self, report: Report) -> dict[str, Any]:
        """Shape and place of every stack, size of every film, masks and lines of every lesion as the report has them.

        `report`: with every lesion of the draft.
        """
        films = report.technique.films if report.technique else ()
        return {
            "stacks": [
                {
                    "series_instance_uid": series.uid,
                    "shape": stack.geometry.shape,
                    "spacing_mm": stack.geometry.spacing_mm,
                    "affine": stack.geometry.affine.tolist(),
                    "numbers": [plane.image.instance_number for plane in stack.planes],
                }
                for stack, series in self._stacks
            ],
            "films": [film.model_dump(include=_OF_FILM) for film in films],
            "lesions": [lesion.model_dump(mode="json", include=_OF_LESION) for lesion in report.lesions],
        }

    def slice_hu(self, stack: int, index: int) -> bytes:
        """One slice, 16-bit signed HU, little endian, row by row; `IndexError` where there is none."""
        source = self._stacks[stack][0]
        out = np.empty(source.geometry.shape[1:], dtype=np.int16)
        source.fill_slice(index, out)
        return out.astype("<i2", copy=False).tobytes()

    def reduced_hu(self, stack: int) -> tuple[bytes, dict[str, Any]]:
        """Every so many slices, rows and columns of a stack as `slice_hu`, with shape and steps; kept for one stack."""
        with self._lock:
            if stack not in self._reduced:
                source = self._stacks[stack][0]
                steps = [-(-size // _MOST_CELLS) for size in source.geometry.shape]
                plane = np.empty(source.geometry.shape[1:], dtype=np.int16)
                planes = []
                for index in range(0, source.geometry.shape[0], steps[0]):
                    source.fill_slice(index, plane)
                    planes.append(plane[:: steps[1], :: steps[2]].copy())
                cut = np.stack(planes)
                self._reduced = {stack: (cut.astype("<i2", copy=False).tobytes(), {"shape": cut.shape, "steps": steps})}
            return self._reduced[stack]

    def film_grey(self, number: int) -> bytes:
        """One film at full resolution, 8 bits, dense white, row by row."""
        return read_films_again([self._films[number]], self._settings)[0].picture.tobytes()
