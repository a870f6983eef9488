"""Images of a study for the page: one slice or film at a time, read from where the analysis found them."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom import CtStack, SeriesFiles, discover
from calcreport.model.report import Report
from calcreport.settings import ReadingSettings
from calcreport.study.render import find_study, remembered_places, settings_of_report
from calcreport.study.reread import films_of_report, measured_stacks, read_films_again

_MOST_CELLS: Final = 192
"""Slices, rows and columns of the reduced stack that coronal and sagittal images are cut from, at most: 14 MB."""
# Fields that the page needs.
_OF_FILM: Final = {"sop_instance_uid", "instance_number", "rows", "columns", "view"}
_OF_LESION: Final = {"id", "series_instance_uid", "shape", "location"}


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
            "stacks": [_describe_stack(stack, series) for stack, series in self._stacks],
            "films": [film.model_dump(include=_OF_FILM) for film in films],
            "lesions": [lesion.model_dump(mode="json", include=_OF_LESION) for lesion in report.lesions],
        }

    def slice_hu(self, stack: int, index: int) -> bytes:
        """One slice, 16-bit signed HU, little endian, row by row; `IndexError` where there is none."""
        source = self._stacks[stack][0]
        out = np.empty(source.geometry.shape[1:], dtype=np.int16)
        source.fill_slice(index, out)
        return _little(out)

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
                self._reduced = {stack: (_little(cut), {"shape": cut.shape, "steps": steps})}
            return self._reduced[stack]

    def film_grey(self, number: int) -> bytes:
        """One film at full resolution, 8 bits, dense white, row by row."""
        return read_films_again([self._films[number]], self._settings)[0].picture.tobytes()


def _describe_stack(stack: CtStack, series: SeriesFiles) -> dict[str, Any]:
    return {
        "series_instance_uid": series.uid,
        "shape": stack.geometry.shape,
        "spacing_mm": stack.geometry.spacing_mm,
        "affine": stack.geometry.affine.tolist(),
        "numbers": [plane.image.instance_number for plane in stack.planes],
    }


def _little(values: NDArray[np.int16]) -> bytes:
    return values.astype("<i2", copy=False).tobytes()
