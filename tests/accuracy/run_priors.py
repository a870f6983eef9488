"""Measure comparison with an earlier study: phantom pairs of known growth, and copies of real series, turned.

python tests/accuracy/run_priors.py --seeds 200 [--first 9500] [--write docs/accuracy.md]
python tests/accuracy/run_priors.py FOLDER... --studies 'STS_*' [--insert 4 | --places 6]

The earlier study of a pair differs in pose (8 degrees, 20 mm, a frame of reference of its own), pixel and slice
spacing, kernel, contrast, noise and part scanned; lesions (put into real series) differ by 0, 10, 20 or 50 % too. Both
are written as DICOM; the earlier one is analysed, and its results folder is what ``--prior`` names.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).parent))

import io  # noqa: E402

import numpy as np  # noqa: E402  (threads are set first)
from calcphantom import make_phantom, random_recipe  # noqa: E402
from calcphantom import write_study as write_phantom  # noqa: E402
from calcphantom.insert import Host, HostError, Tissue, Wish, insert_lesions, read_host, write_host  # noqa: E402
from calcphantom.recipe import Extra, Kernel, PhantomRecipe, Region  # noqa: E402
from run_unseen import inserted_into, table  # noqa: E402
from turned import Pose, Turned, turned, write_study  # noqa: E402
from unseen_studies import Part, Study, find_studies  # noqa: E402

from calcreport.arguments import AnalyzeOptions, request_from  # noqa: E402
from calcreport.model.image import Contrast, CtVolume, SliceReference  # noqa: E402
from calcreport.model.report import Report  # noqa: E402
from calcreport.pipeline import analyse  # noqa: E402
from calcreport.progress import Progress  # noqa: E402
from calcreport.registration.pairing import Deposit, Pairing  # noqa: E402
from calcreport.registration.rigid import Registration  # noqa: E402

REGIONS = (Region.CALF, Region.CALF, Region.FOOT, Region.CALF, Region.PELVIS, Region.CALF, Region.ABDOMEN)
LESIONS = 6  # put into a body, where there is room
LENGTH_MM = 100.0  # of a phantom
GROWTH = (0.0, 0.1, 0.2, 0.5)
EARLIER_DAY = "20250101"
NEAR_MM = 8.0
"""A lesion of a report is the true one whose middle lies within this, or half its length."""

CORNERS = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
SMALLEST_MM = (0.85, 1.5)
"""Least pixel and slice spacing of a phantom, so that hundreds can be run."""

MARK = "<!-- priors: written by tests/accuracy/run_priors.py -->"
END = "<!-- end of priors -->"
ALONE = "Real series, registration and pairing alone"

Row = dict[str, Any]


def report_of(folder: Path, out: Path, prior: Path | None = None) -> tuple[Report | None, str]:
    """Analyse a study through the pipeline: its report, or why there is none."""
    options = AnalyzeOptions(paths=(folder,), out=out, format="json", prior=prior, keeps_reports=True)
    outcome = analyse(request_from(options), progress=Progress(io.StringIO(), is_quiet=True))
    return outcome.studies[0].report, outcome.studies[0].code


def volume_of(host: Host) -> CtVolume:
    """HU of a series."""
    names = tuple(SliceReference(sop_instance_uid=str(n), instance_number=n) for n in range(len(host.stored)))
    hu = np.clip(host.hu(), -1024, 3071).astype(np.int16)
    return CtVolume(hu=hu, geometry=host.geometry, slices=names)


def nearest(places: list[np.ndarray], at: Iterable[float] | None, lengths: list[float]) -> int | None:
    """Which true lesion one of a report is; `at` is its middle, LPS mm."""
    if at is None or not places:
        return None
    away = [float(np.linalg.norm(np.array(at) - place)) for place in places]
    best = int(np.argmin(away))
    return best if away[best] <= max(NEAR_MM, lengths[best] / 2) else None


def score(
    name: str, now: tuple[Path, Host], before: Turned, lesions: list[Row], work: Path, *, pose: Pose
) -> list[Row]:
    """Compare a study with its earlier copy; a row a true lesion that both reports name.

    `lesions` hold ``now`` and ``before`` (middles, LPS mm of the present study), ``now_mm`` and ``before_mm``, and
    ``anchor``: where ``now`` lies on the earlier study before it is turned.
    """
    folder = write_study(before.host, work / "before", salt="earlier", day=EARLIER_DAY)
    earlier, code = report_of(folder, work / "before.out")
    if earlier is None:
        return [{"study": name, "status": f"earlier refused: {code}"}]
    (results,) = {path.parent for path in (work / "before.out").glob("*/report.json")}
    began = time.process_time()
    report, code = report_of(now[0], work / "now.out", results)
    if report is None:
        return [{"study": name, "status": f"refused: {code}"}]
    now_places, lengths = [np.array(one["now"]) for one in lesions], [one["now_mm"] for one in lesions]
    then_places = [before.moved(np.array(one["before"])[None])[0] for one in lesions]
    known = {one.id: nearest(then_places, one.location.centroid_lps_mm, lengths) for one in earlier.lesions}
    registration, rows = Registration(volume_of(now[1]), volume_of(before.host)), []
    for one in report.lesions:
        number = nearest(now_places, one.location.centroid_lps_mm, lengths)
        if number is None or number not in known.values():
            continue
        began = time.process_time()
        place = registration.at(now_places[number], now_places[number] + CORNERS * lengths[number] / 2)
        seconds = time.process_time() - began
        truth, growth = lesions[number], one.growth
        moved = before.moved(np.array(truth["anchor"])[None])
        named = growth.prior_id.split(" + ") if growth is not None and growth.prior_id else []
        rows.append(
            {
                "study": name, "status": "compared", "pose": dataclasses.asdict(pose), "seconds": seconds,
                "error_mm": None if place.transform is None
                else float(np.linalg.norm(place.before(now_places[number][None]) - moved)),
                "residual_mm": place.residual_mm if place.transform is not None else None,
                "paired": growth.status if growth else None, "reason": growth.reason if growth else "",
                "is_wrong": bool(named) and number not in [known.get(other) for other in named],
                "comparable": growth.comparable.value if growth else None, "course": growth.course if growth else None,
                "flag": one.flags.growth.state.value, "measured_mm": growth.change_mm if growth else None,
                "allowed_mm": growth.error_mm if growth else None, "true_mm": truth["now_mm"] - truth["before_mm"],
                "now_mm": truth["now_mm"], "growth": truth["growth"],
            }
        )  # fmt: skip
    return rows or [{"study": name, "status": "not listed by both reports"}]


def earlier_recipe(recipe: PhantomRecipe, seed: int) -> PhantomRecipe:
    """The same body on another protocol."""
    rng = np.random.default_rng(seed)
    scan, kernels = recipe.scan, [kernel for kernel in Kernel if kernel.value != "lung"]
    before = dataclasses.replace(
        scan, pixel_mm=scan.pixel_mm * float(rng.choice([0.85, 1, 1.15])),
        spacing_mm=scan.spacing_mm * float(rng.choice([0.75, 1, 1.25])), thickness_mm=None,
        kernel=kernels[int(rng.integers(len(kernels)))],
        contrast=scan.contrast if rng.random() < 0.7 else Contrast.NONE,
    )  # fmt: skip
    return dataclasses.replace(recipe, scan=before)


def body_of(seed: int) -> PhantomRecipe:
    """A body without lesions, small enough to run hundreds, with bones that end in it so that a place is one."""
    region = REGIONS[seed % len(REGIONS)]
    recipe = random_recipe(seed, region=None if region in {Region.CALF, Region.PELVIS} else region)
    pixel_mm, spacing_mm = map(max, SMALLEST_MM, (recipe.scan.pixel_mm, recipe.scan.spacing_mm))
    return dataclasses.replace(
        recipe, region=region, lesions=(), extras=(Extra.KNEE_END,) if region is Region.CALF else (),
        scan=dataclasses.replace(recipe.scan, pixel_mm=pixel_mm, spacing_mm=spacing_mm, tilt_deg=0.0),
        length_mm=LENGTH_MM,
    )  # fmt: skip


def host_of(recipe: PhantomRecipe, folder: Path) -> Host:
    """A phantom as a series that lesions can be put into."""
    volume, truth = make_phantom(recipe)
    write_phantom(volume, truth, recipe, folder)
    return read_host(folder)


def run_phantom(seed: int, work: Path) -> list[Row]:
    """One phantom pair: one body on two protocols, lesions at the same places, each with growth of its own."""
    recipe = body_of(seed)
    name = f"{recipe.region} {seed}"
    host, then = host_of(recipe, work / "body"), host_of(earlier_recipe(recipe, seed), work / "then")
    study = Study(name=name, part=Part.LIMB, folder=work / "body")
    pair = with_lesions(study, (host, then), LESIONS, seed)
    if pair is None:
        return [{"study": name, "status": "no room"}]
    write_host(pair[0], work / "now", salt="now")
    pose = Pose(noise_hu=5.0, keep=((0.0, 1.0), (0.2, 1.0), (0.0, 0.8))[int(np.random.default_rng(seed).integers(3))])
    return score(name, (work / "now", pair[0]), turned(pair[1], pose, seed), pair[2], work, pose=pose)


def with_lesions(study: Study, hosts: tuple[Host, Host], count: int, seed: int) -> tuple[Host, Host, list[Row]] | None:
    """Lesions at the same places of a body now and before, each with growth of its own; ``None`` without room."""
    first, rng = inserted_into(study, hosts[0], count, seed), np.random.default_rng([seed, 5])
    wishes = [
        (Wish(kind=one.kind, diameter_mm=one.max_diameter_mm, hu=one.hu, tissue=Tissue(one.tissue),
              place_lps_mm=one.centre_lps_mm), float(rng.choice(GROWTH)))
        for one in first.lesions if not one.is_scattered
    ]  # fmt: skip
    if not wishes:
        return None
    now = insert_lesions(hosts[0], tuple(wish for wish, _ in wishes), seed=seed)
    smaller = [dataclasses.replace(wish, diameter_mm=wish.diameter_mm / (1 + growth)) for wish, growth in wishes]
    before = insert_lesions(hosts[1], tuple(smaller), seed=seed)
    lesions = [
        {"now": one.centre_lps_mm, "before": other.centre_lps_mm, "now_mm": one.max_diameter_mm, "growth": growth,
         "anchor": one.centre_lps_mm, "before_mm": other.max_diameter_mm}
        for one, other, (_, growth) in zip(now.lesions, before.lesions, wishes, strict=True)
    ]  # fmt: skip
    return now.host, before.host, lesions


def run_real(study: Study, count: int, seed: int, work: Path) -> list[Row]:
    """A real series with lesions put in, and its copy, turned."""
    try:
        host = read_host(study.folder)
    except HostError as error:
        return [{"study": study.name, "status": f"no host: {error}"}]
    pair = with_lesions(study, (host, host), count, seed)
    if pair is None:
        return [{"study": study.name, "status": "no room"}]
    for header in pair[0].headers:
        header.StudyDate = "20260101"
        header.PatientID = header.get("PatientID") or "TURNED"
    write_host(pair[0], work / "now", salt="now")
    pose = Pose(keep=((0.0, 1.0), (0.15, 1.0), (0.0, 0.85))[seed % 3])
    return score(study.name, (work / "now", pair[0]), turned(pair[1], pose, seed), pair[2], work, pose=pose)


def run_places(study: Study, count: int, seed: int) -> list[Row]:
    """Registration and pairing alone: balls of mineral in soft tissue of a series and of its copy, turned."""
    try:
        host = read_host(study.folder)
    except HostError as error:
        return [{"study": study.name, "status": f"no host: {error}"}]
    rng = np.random.default_rng(seed)
    before = turned(host, Pose(keep=((0.0, 1.0), (0.15, 1.0), (0.0, 0.85))[seed % 3]), seed)
    hosts = (host, before.host)
    hu, margin = host.hu(), np.array([2, 6, 6])
    soft = np.argwhere((hu[::2, ::4, ::4] > 0) & (hu[::2, ::4, ::4] < 110)) * [2, 4, 4]
    places = host.geometry.lps_mm(soft)
    at = before.host.geometry.index(before.moved(places))
    shown = ((at >= margin) & (at < np.array(before.host.stored.shape) - margin)).all(axis=1)
    middles = places[shown][rng.permutation(int(shown.sum()))[:count]]
    sizes = rng.uniform(6, 20, len(middles)) / 2
    volumes, deposits = [volume_of(one) for one in hosts], []
    for number, volume in enumerate(volumes):
        marked, made = volume.hu.copy(), []
        for name, (middle, radius_mm) in enumerate(zip(middles, sizes, strict=True)):
            where = before.moved(middle[None])[0] if number else middle
            reach = np.ceil(radius_mm / np.array(volume.geometry.spacing_mm)).astype(int) + 1
            low, size = np.rint(volume.geometry.index(where)).astype(int) - reach, 2 * reach + 1
            box = np.stack(np.indices(size), axis=-1).reshape(-1, 3) + low
            box = box[((box >= 0) & (box < volume.hu.shape)).all(axis=1)]
            points = volume.geometry.lps_mm(box)
            inside = ((points - where) ** 2).sum(axis=-1) <= radius_mm**2
            marked[tuple(box[inside].T)] = 400
            points = points[inside] if inside.any() else where[None]
            made.append(Deposit(name=f"L{name}", points=points, series=0, length_mm=2 * radius_mm))
        volumes[number] = dataclasses.replace(volume, hu=marked)
        deposits.append(made)
    began = time.process_time()
    pairing = Pairing(
        now=deposits[0], before=deposits[1], volumes_now=volumes[:1], volumes_before=volumes[1:], limit_hu=130.0
    )
    overlay, rows = pairing.overlay(), []
    seconds = (time.process_time() - began) / max(1, len(middles))
    for number, (place, laid, middle) in enumerate(zip(overlay.places, pairing.laid, middles, strict=True)):
        moved = before.moved(middle[None])
        rows.append(
            {"study": study.name, "status": "compared", "seconds": seconds, "paired": place.status,
             "error_mm": laid and float(np.linalg.norm(laid.place.before(middle[None]) - moved)),
             "residual_mm": laid and laid.place.residual_mm, "reason": place.reason, "comparable": None, "flag": None,
             "is_wrong": bool(place.earlier) and number not in place.earlier, "allowed_mm": None}
        )  # fmt: skip
    return rows


def judge(row: Row) -> str:
    """Whether what was said of growth contradicts the truth beyond the stated error; empty where it does not."""
    if row["comparable"] != "yes" or row["allowed_mm"] is None:
        return ""
    grown = row["true_mm"] > 0.01
    if row["flag"] == "present" and not grown:
        return "growth where there was none"
    if row["flag"] == "absent" and row["true_mm"] > row["allowed_mm"]:
        return "absent where it grew beyond the error"
    return "change off by more than the error" if abs(row["measured_mm"] - row["true_mm"]) > row["allowed_mm"] else ""


def summary(rows: list[Row]) -> str:
    """Figures as Markdown."""
    compared = [row for row in rows if row["status"] == "compared"]
    errors = [row["error_mm"] for row in compared if row["error_mm"] is not None]
    trusted = [row for row in compared if row["paired"] == "matched"]
    judged = [row for row in trusted if row["comparable"] == "yes"]
    wrong = [row for row in judged if judge(row)]
    false = [row for row in judged if judge(row) and "off" not in judge(row)]
    far = np.quantile(errors, [0.5, 0.95]) if errors else (float("nan"),) * 2
    seconds = [row["seconds"] for row in compared] or [0.0]
    lines = [
        ("lesions that both studies name", len(compared)),
        ("registration error at the lesion, mm, median / 95 %", f"{far[0]:.2f} / {far[1]:.2f}"),
        ("paired", f"{len(trusted)} ({len(trusted) / max(1, len(compared)):.0%})"),
        ("paired wrongly", sum(row["is_wrong"] for row in trusted)),
        ("lengths comparable", len(judged)),
        ("growth said against the truth", len(false)),
        ("change off by more than the stated error", len(wrong) - len(false)),
        ("called new or not found", sum(row["paired"] in {"new", "not_found"} for row in compared)),
        ("registration of a place, processor seconds, median / most", f"{np.median(seconds):.1f} / {max(seconds):.1f}"),
    ]
    states = [
        (f"{growth:.0%}", *(sum(row["flag"] == state for row in judged if row.get("growth") == growth)
                            for state in ("present", "possible", "absent")))
        for growth in GROWTH
    ]  # fmt: skip
    parts = [table("what | figure", lines)]
    if any("growth" in row for row in judged):
        parts.append(table("growth of the diameter | present | possible | absent", states))
    return "\n\n".join(parts)


def main() -> int:
    """Run what was asked for, print the figures, and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--studies", default="*")
    parser.add_argument("--insert", type=int, default=4)
    parser.add_argument("--places", type=int, default=0, help="registration and pairing alone, of so many balls")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--first", type=int, default=9500)
    parser.add_argument("--rows", type=Path, help="file for every row, JSON")
    parser.add_argument("--write", type=Path, help="Markdown file with the marks")
    args = parser.parse_args()
    sets: dict[str, list[Row]] = {"Phantom pairs": [], "Real series": [], ALONE: []}
    with tempfile.TemporaryDirectory() as base:
        for seed in range(args.first, args.first + args.seeds):
            sets["Phantom pairs"] += _kept(run_phantom, seed, work=Path(base))
            _keep(sets, args.rows)
        studies = [s for s in find_studies(args.folders, Path(base) / "unpacked") if fnmatch(s.name, args.studies)]
        for number, study in enumerate(studies):
            if args.places:
                sets[ALONE] += run_places(study, args.places, number)
                sys.stderr.write(f"{study.name} done\n")
            else:
                sets["Real series"] += _kept(run_real, study, args.insert, number, work=Path(base))
            _keep(sets, args.rows)
    text = "\n\n".join(f"### {name}\n\n{summary(rows)}" for name, rows in sets.items() if rows)
    sys.stdout.write(text + "\n")
    if args.write:
        page = args.write.read_text()
        head, _, rest = page.partition(MARK)
        args.write.write_text(f"{head}{MARK}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    return 0


def _keep(sets: dict[str, list[Row]], rows: Path | None) -> None:
    if rows:
        rows.write_text(json.dumps(sets, indent=1))


def _kept(run: Any, *given: Any, work: Path) -> list[Row]:
    folder = work / "pair"
    shutil.rmtree(folder, ignore_errors=True)
    rows: list[Row] = run(*given, folder)
    for row in rows:
        told = judge(row) if row["status"] == "compared" else ""
        sys.stderr.write(f"{row['study']}: {row['status']} {row.get('paired', '')} {row.get('reason', '')} "
                         f"err {row.get('error_mm')} res {row.get('residual_mm')} {row.get('flag')} {told} "
                         f"{row.get('true_mm')} {row.get('measured_mm')} {row.get('allowed_mm')}\n")  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
