"""Seconds of each step of one analysis, in a process of its own: usage stages.py STUDY_FOLDER OUT_FOLDER.

Follows what `calcreport analyze` does, without the worker process, and prints a JSON object of step names to seconds.
"""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter

BEGAN = perf_counter()

from itertools import pairwise  # noqa: E402
from pathlib import Path  # noqa: E402

from calcreport.cli import prepare_process  # noqa: E402

prepare_process()

import calcreport.study.analyse  # noqa: E402
from calcreport.arguments import AnalyzeOptions, request_from  # noqa: E402
from calcreport.dicom import discover  # noqa: E402
from calcreport.study.folder import ResultsFolder  # noqa: E402


def main() -> None:
    """Run one analysis and print the seconds of each step."""
    marks = [("imports", BEGAN)]

    def mark(step: str) -> None:
        marks.append((step, perf_counter()))

    mark("templates and rules")
    request = request_from(AnalyzeOptions(paths=(sys.argv[1],), out=sys.argv[2]))
    mark("finding and sorting files")
    results = ResultsFolder(Path(sys.argv[2]), run_id=f"{os.getpid():012x}")
    results.prepare()
    with discover(request.paths, settings=request.settings.reading) as found:
        calcreport.study.analyse.analyse_study(found.studies[0], request, results, mark)
    mark("end")
    seconds: dict[str, float] = {}
    for (step, start), (_, stop) in pairwise(marks):
        seconds[step] = seconds.get(step, 0.0) + stop - start
    sys.stdout.write(json.dumps(seconds))


if __name__ == "__main__":
    main()
