"""Measure the search of radiographs on phantoms with known truth, and write the tables.

python tests/accuracy/run_films.py --count 200 --negatives 50 --jobs 2
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from calcphantom.film.kinds import FILM_REGIONS, random_films, region_films  # noqa: E402  (threads are set before numpy is imported)
from calcphantom.film.recipe import FilmRecipe  # noqa: E402
from calcphantom.film.scoring import (  # noqa: E402
    FilmScore,
    FilmStudyScore,
    Naming,
    ShadowScore,
    score_films,
)
from calcphantom.film.study import make_films  # noqa: E402
from calcphantom.film.summary import (  # noqa: E402
    FilmFigures,
    false_per_film,
    film_figures,
    film_tables,
)
from calcphantom.place import NoRoomError  # noqa: E402
from calcphantom.recipe import Region  # noqa: E402

HERE = Path(__file__).parent
MARK = "<!-- figures: written by tests/accuracy/run_films.py -->"
END = "<!-- end of figures -->"
"""What stands below it is kept."""


Task = tuple[int, bool, Region | None]
"""Seed, whether there are lesions, and region; ``None`` for a calf or thigh with the lesions of the first tables."""


def recipe_of(task: Task) -> FilmRecipe:
    """Recipe of a study."""
    seed, has_lesions, region = task
    if region is None:
        return random_films(seed, has_lesions=has_lesions)
    return region_films(seed, region, has_lesions=has_lesions)


def run_seed(task: Task) -> tuple[FilmStudyScore | None, str, float]:
    """Make, search and score the films of one seed; returns score, error text and seconds of the search a film."""
    from calcreport.film.analysis import analyse_films  # noqa: PLC0415  (a run of --help needs no search)

    try:
        films, truth = make_films(recipe_of(task))
    except NoRoomError as error:
        return None, f"no phantom: {error}", 0.0
    start = time.process_time()
    try:
        findings = analyse_films(films)
    except Exception as error:  # noqa: BLE001  (a crash is a result here, not an end)
        return None, f"analysis failed: {type(error).__name__}: {error}", 0.0
    seconds = (time.process_time() - start) / len(films)
    return score_films(findings, truth), "", seconds


def complaints(study: FilmStudyScore, recipe: FilmRecipe) -> list[str]:
    """One line for everything that is outside the budget of a single lesion."""
    e = recipe.exposure
    where = (
        f"seed {study.seed} {recipe.phantom.kind} {recipe.phantom.region.value} pixel {e.pixel_mm:g} quanta "
        f"{e.quanta_per_mm2:.0f} scatter {e.scatter_ratio:.1f} blur {e.blur_mm:.2f} bits {e.bits} "
        f"{e.photometric.value} linear {e.is_linear} processed {e.is_processed} border {e.collimation.value} extras "
        f"{[x.value for x in recipe.phantom.extras]}"
    )
    lines = []
    for film in study.films:
        lines += [f"FALSE {text} | {where}" for text in film.false]
        for score in film.shadows:
            lines += [f"{text} | {_shadow_text(score, film)} | {where}" for text in _faults(score)]
    return lines


def _shadow_text(score: ShadowScore, film: FilmScore) -> str:
    t = score.truth
    return (
        f"{film.view} {t.pattern} {t.longest_mm:.1f} x {t.across_mm:.1f} mm at ({t.centroid[0]:.0f}, "
        f"{t.centroid[1]:.0f}) foci {len(t.foci)} bone {t.over_bone_share:.2f} skin {t.to_skin_line_mm:.1f}"
    )


def _faults(score: ShadowScore) -> list[str]:
    missed = [f.truth for f in score.foci if f.truth.is_required and not f.is_found]
    faults = [f"MISSED {f.longest_mm:.1f} mm cnr {f.contrast_to_noise:.1f}" for f in missed]
    if not score.parts or not any(f.truth.is_required for f in score.foci):
        return faults
    if score.size_excess is not None and score.size_excess > 2.0:
        faults.append(f"SIZE off by {score.size_error_mm:.2f} mm")
    if score.skin_error_mm is not None and abs(score.skin_error_mm) > 2.0:
        faults.append(f"SKIN LINE off by {score.skin_error_mm:.2f} mm")
    if score.is_over_bone_right is False:
        faults.append("OVER BONE wrong")
    if score.naming is not Naming.RIGHT:
        faults.append(f"PATTERN {score.naming}: {score.pattern}")
    if score.parts > 1 and not score.truth.is_scattered:
        faults.append(f"IN PARTS: {score.parts}")
    return faults


def budget_lines(total: FilmFigures, false: float) -> list[str]:
    """Each budget with its figure and whether it holds."""
    budgets = tomllib.loads((HERE / "film_tolerances.toml").read_text(encoding="utf-8"))
    lines = ["| figure | measured | budget | holds |", "|---|---|---|---|"]
    for name, budget in budgets.items():
        value = false if name == "false_per_film" else float(getattr(total, name))
        if "at_least" in budget:
            holds, limit = value >= budget["at_least"], f"at least {budget['at_least']:g}"
        else:
            holds, limit = abs(value) <= budget["at_most"], f"at most {budget['at_most']:g}"
        lines.append(f"| {name} | {value:.3f} | {limit} | {'yes' if holds else '**no**'} |")
    return lines


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="number of studies with lesions")
    parser.add_argument("--negatives", type=int, default=50, help="number of studies without")
    parser.add_argument(
        "--regions", type=int, default=20, help="number of studies of each region; a third of them without lesions"
    )
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, help="document whose figures are replaced")
    parser.add_argument("--failures", type=Path, help="file that gets one line for each thing outside the budget")
    args = parser.parse_args()
    seeds = [args.first + n for n in range(args.count)]
    tasks: list[Task] = [(s, True, None) for s in seeds] + [
        (args.first + n, False, None) for n in range(args.negatives)
    ]
    tasks += [(args.first + n, n % 3 != 2, region) for n in range(args.regions) for region in FILM_REGIONS]
    start = time.perf_counter()
    with ProcessPoolExecutor(args.jobs) as pool:
        results = list(pool.map(run_seed, tasks, chunksize=2))
    lines, studies, negatives, broken, seconds = [], [], [], 0, []
    for task, (study, error, spent) in zip(tasks, results, strict=True):
        if study is None:
            broken += not error.startswith("no phantom")
            lines.append(f"{error} | {task}")
            continue
        seconds.append(spent)
        (studies if task[1] else negatives).append(study)
        lines += complaints(study, recipe_of(task))
    if args.failures:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        with args.failures.open("a", encoding="utf-8") as handle:
            handle.write(f"\n===== {stamp}: {len(lines)} lines, seeds from {args.first}\n" + "\n".join(lines) + "\n")
    figures = film_figures(s for study in studies for film in study.films for s in film.shadows)
    text = "\n".join(
        (
            f"Run of {datetime.now(UTC):%Y-%m-%d}; {len(studies)} studies with lesions, {len(negatives)} without; "
            f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}; median "
            f"{sorted(seconds)[len(seconds) // 2] if seconds else float('nan'):.2f} s of processor time a film. "
            f"Analyses that failed: {broken}.\n",
            "\n".join(budget_lines(figures, false_per_film([*studies, *negatives]))) + "\n",
            film_tables(studies, negatives),
        )
    )
    sys.stdout.write(text + f"\n{time.perf_counter() - start:.0f} s\n" + "\n".join(lines) + "\n")
    if args.write:
        head, _, rest = args.write.read_text(encoding="utf-8").partition(MARK)
        tail = END + rest.partition(END)[2] if END in rest else ""
        args.write.write_text(f"{head}{MARK}\n\n{text}\n{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
