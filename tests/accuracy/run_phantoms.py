"""Measure the image analysis on phantoms with known truth, and write the tables.

python tests/accuracy/run_phantoms.py --seeds 200 --negatives 50 --jobs 2 --write docs/accuracy.md
python tests/accuracy/run_phantoms.py --regions thorax,abdomen,shoulder,hand,foot --first 9000 --seeds 10 --negatives 5

With --regions, studies of those regions are written as DICOM, read back, and judged by their report. Seeds that a
detector was developed on say nothing: publish figures of seeds that nobody has looked at.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from calcphantom import NoRoomError, PhantomRecipe, Region, make_phantom, random_recipe, write_study  # noqa: E402
from calcphantom.recipe import WHOLE_BODY_REGIONS  # noqa: E402
from calcphantom.scoring import LesionScore, StudyScore, score_study  # noqa: E402
from calcphantom.summary import Figures, figures, is_inside, region_table, tables  # noqa: E402

import calcreport  # noqa: E402
from calcreport.calcification.analysis import analyse_ct  # noqa: E402  (threads are set before numpy is imported)
from calcreport.model.image import Acquisition  # noqa: E402
from calcreport.settings import DetectionSettings  # noqa: E402

HERE = Path(__file__).parent
MARK = "<!-- figures: written by tests/accuracy/run_phantoms.py -->"
END = "<!-- end of figures -->"
"""What stands below it is kept."""
REGION_MARK = "<!-- regions: written by tests/accuracy/run_phantoms.py -->"
REGION_END = "<!-- end of regions -->"


def acquisition(recipe: PhantomRecipe) -> Acquisition:
    """What the header of a phantom says."""
    scan = recipe.scan
    return Acquisition(
        kvp=scan.kvp,
        slice_thickness_mm=scan.slice_thickness_mm,
        kernel=scan.kernel.value,
        contrast=scan.contrast,
        body_part=recipe.region.value.upper(),
    )


def run_seed(task: tuple[int, bool]) -> tuple[StudyScore | None, str, float]:
    """Make, analyse and score one phantom; returns score, error text and seconds of the analysis."""
    seed, has_lesions = task
    recipe = random_recipe(seed, has_lesions=has_lesions)
    try:
        volume, truth = make_phantom(recipe)
    except NoRoomError as error:
        return None, f"no phantom: {error}", 0.0
    start = time.perf_counter()
    try:
        findings = analyse_ct(volume, acquisition(recipe), settings=DetectionSettings(), contrast=None)
    except Exception as error:  # noqa: BLE001  (a crash is a result here, not an end)
        return None, f"analysis failed: {type(error).__name__}: {error}", time.perf_counter() - start
    seconds = time.perf_counter() - start
    return score_study(findings, truth, voxel_diagonal_mm=volume.geometry.voxel_diagonal_mm), "", seconds


def run_region(task: tuple[int, bool, str]) -> tuple[StudyScore | None, str, float]:
    """Make one study of a region, write it as DICOM, analyse that, score the report; as `run_seed`."""
    seed, has_lesions, region = task
    recipe = random_recipe(seed, has_lesions=has_lesions, region=Region(region))
    try:
        volume, truth = make_phantom(recipe)
    except NoRoomError as error:
        return None, f"no phantom: {error}", 0.0
    with tempfile.TemporaryDirectory() as folder:
        write_study(volume, truth, recipe, Path(folder))
        start = time.perf_counter()
        try:
            result = calcreport.analyze(folder)[0]
        except Exception as error:  # noqa: BLE001  (a crash is a result here, not an end)
            return None, f"analysis failed: {type(error).__name__}: {error}", time.perf_counter() - start
    seconds = time.perf_counter() - start
    if result.report is None:
        return None, f"analysis failed: refused, {result.code}", seconds
    return score_study(result.report, truth, voxel_diagonal_mm=volume.geometry.voxel_diagonal_mm), "", seconds


def run_regions(args: argparse.Namespace) -> int:
    """Run the regions named, print one row for each and a line for everything that is wrong."""
    regions = [r.value for r in WHOLE_BODY_REGIONS] if args.regions == "all" else args.regions.split(",")
    tasks = [
        (args.first + n, has_lesions, region)
        for region in regions
        for has_lesions, count in ((True, args.seeds), (False, args.negatives))
        for n in range(count)
    ]
    studies: dict[str, tuple[list[StudyScore], list[StudyScore]]] = {region: ([], []) for region in regions}
    lines, seconds = [], []
    with ProcessPoolExecutor(args.jobs) as pool:
        for (seed, has_lesions, region), (study, error, spent) in zip(tasks, pool.map(run_region, tasks), strict=True):
            if study is None:
                lines.append(f"{error} | {region} seed {seed} lesions {has_lesions}")
                continue
            seconds.append(spent)
            studies[region][not has_lesions].append(study)
            recipe = random_recipe(seed, has_lesions=has_lesions, region=Region(region))
            lines += complaints(study, recipe)
            lines += [f"ALERT | {region} seed {seed}"] * study.is_alert
            lines += [
                f"NOT LISTED {i.truth.kind} {i.truth.structure} {i.truth.largest_mm:.1f} mm {i.truth.hu:.0f} HU"
                f"{' but a lesion' if i.is_lesion else ''} | {region} seed {seed} lesions {has_lesions}"
                for i in study.incidentals
                if i.is_required and not i.is_listed
            ]
    text = (
        f"Run of {datetime.now(UTC):%Y-%m-%d}, seeds from {args.first}; {os.cpu_count()} cores {platform.machine()}, "
        f"median {sorted(seconds)[len(seconds) // 2]:.1f} s a study.\n\n{region_table(studies)}"
        if seconds
        else ""
    )
    sys.stdout.write(text + "\n".join(lines) + "\n")
    if args.write:
        write_between(args.write, REGION_MARK, f"{text}\n{_missed(lines)}", REGION_END)
    return 0


def _missed(lines: list[str]) -> str:
    """What was missed and invented, one row each."""
    rows = [line.split(" | ") for line in lines if line.startswith(("MISSED", "INVENTED", "ALERT", "analysis failed"))]
    body = "\n".join(f"| {row[0]} | {row[1] if len(row) > 2 else ''} | {row[-1]} |" for row in rows)
    return f"| what | lesion | study |\n|---|---|---|\n{body}\n"


def write_between(document: Path, mark: str, text: str, end: str) -> None:
    """Replace what stands between a mark and its end in a document; a document without them gets them at its end."""
    head, _, rest = document.read_text(encoding="utf-8").partition(mark)
    tail = end + rest.partition(end)[2] if end in rest else f"{end}\n"
    document.write_text(f"{head}{mark}\n\n{text}\n{tail}", encoding="utf-8")


def complaints(study: StudyScore, recipe: PhantomRecipe) -> list[str]:
    """One line for everything that is outside the budget of a single lesion."""
    scan = recipe.scan
    where = (
        f"seed {study.seed} {recipe.kind} {recipe.region.value} spacing {scan.spacing_mm:g} thickness "
        f"{scan.slice_thickness_mm:g} pixel {scan.pixel_mm:.2f} tilt {scan.tilt_deg:.0f} noise {scan.noise_hu:.0f} "
        f"{scan.kernel.value} contrast {scan.contrast.value} extras {[e.value for e in recipe.extras]}"
    )
    lines = [f"INVENTED {text} | {where}" for text in study.false]
    for score in study.lesions:
        lines += [f"{text} | {_lesion_text(score)} | {where}" for text in _faults(score)]
    return lines


def _lesion_text(score: LesionScore) -> str:
    t = score.truth
    centre = ", ".join(f"{v:.0f}" for v in t.centre_lps_mm)
    return (
        f"{t.pattern}{' fused' if score.is_fused else ''} {t.max_diameter_mm:.1f} mm at ({centre}) "
        f"{t.depth_class.value} "
        f"fascia {t.fascia_distance_mm:.1f} skin {t.skin_distance_mm:.1f} bone {t.bone_distance_mm:.1f} "
        f"mean {t.mean_hu:.0f} peak {t.peak_hu:.0f} HU cnr {t.contrast_to_noise:.0f}"
    )


def _faults(score: LesionScore) -> list[str]:
    if not score.is_required:
        return []
    if not score.is_found:
        return ["MISSED"]
    faults = [] if score.is_fused else _measuring_faults(score) + _reading_faults(score)
    return faults if score.is_relation_right else [*faults, "BONE RELATION wrong"]


def _measuring_faults(score: LesionScore) -> list[str]:
    faults, error, skin = [], score.diameter_error_mm, score.skin_error_mm
    if error is None or (not score.truth.is_scattered and abs(error) > score.voxel_diagonal_mm):
        faults.append(f"DIAMETER off by {error} (diagonal {score.voxel_diagonal_mm:.2f})")
    if score.uncertainty_mm is not None and not is_inside(score):
        faults.append(f"OUTSIDE what is stated: off by {error} (stated {score.uncertainty_mm:.2f})")
    if skin is None or abs(skin) > max(2.0, score.voxel_diagonal_mm):
        faults.append(f"SKIN off by {skin}")
    return faults


def _reading_faults(score: LesionScore) -> list[str]:
    faults = [] if score.is_depth_right else [f"DEPTH wrong: {score.depth}"]
    if score.is_wrong_and_confident:
        faults.append(f"WRONG AND CONFIDENT: {score.pattern}")
    elif not score.is_pattern_right:
        faults.append(f"PATTERN wrong: {score.pattern} ({score.confidence})")
    return [*faults, f"IN PARTS: {score.parts}"] if score.parts > 1 else faults


def budget_lines(total: Figures, invented_negative: int) -> list[str]:
    """Each budget with its figure and whether it holds."""
    budgets = tomllib.loads((HERE / "tolerances.toml").read_text(encoding="utf-8"))
    lines = ["| figure | measured | budget | holds |", "|---|---|---|---|"]
    for name, budget in budgets.items():
        value = float(invented_negative) if name == "invented_in_negatives" else float(getattr(total, name))
        if "at_least" in budget:
            holds, limit = value >= budget["at_least"], f"at least {budget['at_least']:g}"
        else:
            holds, limit = abs(value) <= budget["at_most"], f"at most {budget['at_most']:g}"
        lines.append(f"| {name} | {value:.3f} | {limit} | {'yes' if holds else '**no**'} |")
    return lines


def _stated(total: Figures) -> str:
    """How often the stated uncertainty of the longest diameter holds, and how wide it is."""
    return (
        f"True diameters within the stated uncertainty: {100 * total.inside_compact:.1f} % of {total.stated_compact} "
        f"compact lesions (median stated {total.uncertainty_compact_mm:.2f} mm), {100 * total.inside_scattered:.1f} % "
        f"of {total.stated_scattered} sheets and scattered ones ({total.uncertainty_scattered_mm:.2f} mm). Of "
        f"{total.found} found, {total.found - total.stated_compact - total.stated_scattered} are stated without: fused "
        f"with bone, cut by the end of the scan, or hardly above the threshold.\n"
    )


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="number of studies with lesions")
    parser.add_argument("--negatives", type=int, default=50, help="number of studies without")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, help="document whose figures are replaced")
    parser.add_argument("--failures", type=Path, help="file that gets one line for each thing outside the budget")
    parser.add_argument(
        "--regions", help="thorax, abdomen, shoulder, hand, foot (a comma list) or all; instead of limbs"
    )
    args = parser.parse_args()
    if args.regions:
        return run_regions(args)
    tasks = [(args.first + n, True) for n in range(args.seeds)] + [
        (args.first + n, False) for n in range(args.negatives)
    ]
    start = time.perf_counter()
    with ProcessPoolExecutor(args.jobs) as pool:
        results = list(pool.map(run_seed, tasks, chunksize=2))
    lines, studies, negatives, broken, seconds = [], [], [], 0, []
    for (seed, has_lesions), (study, error, spent) in zip(tasks, results, strict=True):
        seconds.append(spent)
        if study is None:
            broken += not error.startswith("no phantom")
            lines.append(f"{error} | seed {seed} lesions {has_lesions}")
            continue
        (studies if has_lesions else negatives).append(study)
        lines += complaints(study, random_recipe(seed, has_lesions=has_lesions))
    if args.failures:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        with args.failures.open("a", encoding="utf-8") as handle:
            handle.write(f"\n===== {stamp}: {len(lines)} lines, seeds from {args.first}\n" + "\n".join(lines) + "\n")
    scores = [s for study in studies for s in study.lesions]
    undetectable = sum(not s.truth.is_detectable for s in scores)
    joined = [s for s in scores if s.is_joined and s.truth.is_detectable]
    undetectable_found = sum(not s.truth.is_detectable and s.is_found for s in scores)
    text = "\n".join(
        (
            f"Run of {datetime.now(UTC):%Y-%m-%d}; {len(studies)} studies with lesions, {len(negatives)} without; "
            f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}; median "
            f"{sorted(seconds)[len(seconds) // 2]:.2f} s a study for the analysis. Analyses that failed: {broken}. "
            f"Lesions below detectability: {undetectable} (of them found all the same: {undetectable_found}). "
            f"Lesions whose gap to bone the voxels smear shut: {len(joined)} "
            f"(of them found: {sum(s.is_found for s in joined)}).\n",
            _stated(figures(scores)),
            "\n".join(budget_lines(figures(scores), sum(len(s.false) for s in negatives))) + "\n",
            tables(studies, negatives),
        )
    )
    sys.stdout.write(text + f"\n{time.perf_counter() - start:.0f} s\n" + "\n".join(lines) + "\n")
    if args.write:
        write_between(args.write, MARK, text, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
