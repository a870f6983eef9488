"""Seconds of searching the films of a study alone: usage film_search.py FOLDER; prints wall and processor seconds.

The processor seconds are those of all threads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter, process_time

from calcreport.cli import prepare_process

prepare_process()

from calcreport.dicom import discover, rank_films, read_film  # noqa: E402 - threads are set before numpy
from calcreport.film.analysis import analyse_films  # noqa: E402
from calcreport.settings import ReadingSettings  # noqa: E402


def main() -> None:
    """Read the films, and search them with the clock on."""
    settings = ReadingSettings()
    with discover([Path(sys.argv[1])], settings=settings) as found:
        ranked = rank_films(found.studies[0]).candidates
        films = tuple(read_film(film, settings=settings) for film in ranked)
    began, used = perf_counter(), process_time()
    analyse_films(films)
    sys.stdout.write(json.dumps([perf_counter() - began, process_time() - used]))


if __name__ == "__main__":
    main()
