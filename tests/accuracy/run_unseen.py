"""Hold the whole analysis against real studies: as they are, with lesions put in, and with changed copies.

python tests/accuracy/run_unseen.py FOLDER... [--studies 'STS_*'] [--perturb all] [--jobs 2] [--write]

The folders are described in `unseen_studies`; what is absent is passed over, and without any study nothing is run.
Lesions are put into fat and muscle of each host by `calcphantom.insert`; the changed copies of `perturb` are made of
the host with its lesions, so that both recall and false lesions can be held against the unchanged one.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  (threads are set before numpy is imported)
from calcphantom.insert import (  # noqa: E402
    KINDS,
    ROUGH_KINDS,
    Host,
    HostError,
    Inserted,
    Tissue,
    Wish,
    insert_lesions,
    map_tissues,
    read_host,
    write_host,
)
from perturb import PERTURBATIONS  # noqa: E402
from run_phantoms import run_seed  # noqa: E402
from unseen_studies import Box, Known, LabelMap, Part, Study, find_studies  # noqa: E402

import calcreport  # noqa: E402
from calcreport.model.terms import INDETERMINATE_PATTERN  # noqa: E402

AS_IT_IS, INSERTED = "as it is", "with lesions"
DEEP = {"subfascial", "juxtacortical", "crosses_fascia"}
SUPERFICIAL = {"cutaneous", "subcutaneous"}
MATCH_MM = 2.0
DENSE_HU = 150
FAR_TOO_LARGE = 3.0
"""A reported lesion so many times as long as the true one is another thing that happens to include it."""
TISSUES = {
    Part.LIMB: (Tissue.SUBCUTANEOUS, Tissue.LIMB),
    Part.TRUNK: (Tissue.SUBCUTANEOUS, Tissue.WALL, Tissue.PARASPINAL, Tissue.GLUTEAL),
    Part.EXAMPLE: (Tissue.SUBCUTANEOUS, Tissue.WALL, Tissue.PARASPINAL, Tissue.GLUTEAL),
}
LEAST_BLOCKS = 500
"""A tissue of which a host shows fewer blocks of 2 mm is not tried there."""
KEPT = ("kind", "pattern", "tissue", "depth", "max_diameter_mm", "is_detectable", "is_scattered")
"""What is kept of the truth of an inserted lesion."""
SIZE_BANDS = ((0, 6, "to 6 mm"), (6, 12, "6-12 mm"), (12, 20, "12-20 mm"), (20, 999, "over 20 mm"))
MARK = "<!-- unseen: written by tests/accuracy/run_unseen.py -->"
END = "<!-- end of unseen -->"
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """One lesion, or incidental finding, of a report."""

    box: tuple[list[float], list[float]]
    diameter_mm: float | None = None
    depth: str = ""
    pattern: str = ""
    confidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one folder."""

    status: str
    lesions: tuple[Reported, ...] = ()
    incidental: tuple[Reported, ...] = ()
    alerts: int = 0
    seconds: float = 0.0


@dataclass(kw_only=True)
class Row:
    """Scores of one study in one variant."""

    study: str
    part: str
    variant: str
    status: str = ""
    lesions: int = 0
    incidental: int = 0
    alerts: int = 0
    seconds: float = 0.0
    owed: int = 0
    found: int = 0
    clear: int = 0
    clear_found: int = 0
    fused: int = 0
    fused_found: int = 0
    depth_asked: int = 0
    depth_right: int = 0
    false: int = 0
    false_as: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    inserted: list[dict[str, Any]] = field(default_factory=list)


def analyse(folder: Path) -> Outcome:
    """Run the whole analysis on a folder, as the command line does."""
    start = time.perf_counter()
    try:
        results = calcreport.analyze(folder)
    except calcreport.CalcReportError as error:
        return Outcome(status=error.code, seconds=time.perf_counter() - start)
    except Exception as error:  # noqa: BLE001  (a crash is a result here, not an end)
        return Outcome(status=f"crash: {type(error).__name__}", seconds=time.perf_counter() - start)
    reports = [r.report.model_dump(mode="json") for r in results if r.report is not None]
    codes = [r.code for r in results if r.code]
    return Outcome(
        status="reported" if reports else " ".join(codes),
        lesions=tuple(reported_of(item) for report in reports for item in report["lesions"]),
        incidental=tuple(
            Reported(box=(item["bbox_lps_mm"][0], item["bbox_lps_mm"][1]), pattern=item.get("kind", ""))
            for report in reports
            for item in report.get("incidental", [])
            if item.get("bbox_lps_mm")
        ),
        alerts=sum(r.text.count("cancer alert") for r in results),
        seconds=time.perf_counter() - start,
    )


def reported_of(item: dict[str, Any]) -> Reported:
    box = item["location"]["bbox_lps_mm"]
    return Reported(
        box=(box[0], box[1]),
        diameter_mm=item["size"]["max_diameter_mm"],
        depth=item["depth"]["class"],
        pattern=item["pattern"]["id"],
        confidence=item["pattern"]["confidence"],
    )


def meets(reported: Reported, box: Box, margin_mm: float = 0.0) -> bool:
    """Whether a reported box meets another grown by a margin, mm."""
    low, high = np.array(reported.box)
    return bool((low <= box[1] + margin_mm).all() and (high >= box[0] - margin_mm).all())


def depth_right(depth: str, true: str) -> bool:
    """Whether a depth class agrees with deep or superficial; touching the fascia is neither."""
    return depth in (DEEP if true == "deep" else SUPERFICIAL)


def score(
    study: Study,
    outcome: Outcome,
    row: Row,
    *,
    moved: Callable[[Box], Box | None] = lambda box: box,
    lesions: Sequence[dict[str, Any]] = (),
) -> Row:
    """Hold an outcome against what is known of the study and what was put into it.

    `moved` gives the place of a box in a changed copy; places that are cut or gone are neither owed nor wrong
    (what is left of them stays where it was: only mirroring moves anything, and cuts nothing).
    """
    row.status, row.seconds, row.alerts = outcome.status, outcome.seconds, outcome.alerts
    row.lesions, row.incidental = len(outcome.lesions), len(outcome.incidental)
    used: set[int] = set()
    for known in study.known:
        place = moved(known.box)
        _score_known(known if place else dataclasses.replace(known, owed=""), place or known.box, outcome, row, used)
    for lesion in lesions:
        place = moved(_box(lesion))
        _score_inserted(lesion, place or _box(lesion), outcome, row, used, is_whole=place is not None)
    label_map = None if study.labels is None else LabelMap(study.labels)
    for i, reported in enumerate(outcome.lesions):
        if i not in used:
            what = _what_is_there(study, reported, moved, label_map)
            if what:
                row.false += 1
                row.false_as.append(f"{what}: {reported.pattern} {reported.depth} {reported.diameter_mm or 0:.0f} mm")
    return row


def _box(lesion: dict[str, Any]) -> Box:
    low, high = (np.array(corner) for corner in lesion["box_lps_mm"])
    return low, high


def _score_known(known: Known, box: Box, outcome: Outcome, row: Row, used: set[int]) -> None:
    hits = [i for i, lesion in enumerate(outcome.lesions) if meets(lesion, box)]
    used.update(hits)
    listed = known.is_listed_enough and any(meets(item, box, MATCH_MM) for item in outcome.incidental)
    if not known.owed:
        return
    if not hits and not listed:
        row.missed.append(f"{known.name}{' (fused)' if known.owed == 'fused' else ''}{' CLEAR' * known.is_clear}")
    if known.owed == "fused":
        row.fused += 1
        row.fused_found += bool(hits)
        return
    row.owed += 1
    row.found += bool(hits) or listed
    row.clear += known.is_clear
    row.clear_found += known.is_clear and bool(hits)
    if hits and known.depth:
        row.depth_asked += 1
        row.depth_right += depth_right(outcome.lesions[hits[0]].depth, known.depth)


def _score_inserted(
    lesion: dict[str, Any], box: Box, outcome: Outcome, row: Row, used: set[int], *, is_whole: bool
) -> None:
    hits = [i for i, item in enumerate(outcome.lesions) if meets(item, box, MATCH_MM)]
    used.update(hits)
    if not is_whole or outcome.status != "reported":
        return
    largest = FAR_TOO_LARGE * lesion["max_diameter_mm"] + 3 * MATCH_MM
    own = [i for i in hits if (outcome.lesions[i].diameter_mm or 0.0) <= largest]
    entry = {key: lesion[key] for key in KEPT} | {"slice_mm": lesion.get("slice_mm")}
    entry |= {
        "found": bool(own),
        "in_larger": bool(hits) and not own,
        "listed": any(meets(item, box, MATCH_MM) for item in outcome.incidental),
        "parts": len(own),
    }
    if own:
        best = max((outcome.lesions[i] for i in own), key=lambda item: item.diameter_mm or 0.0)
        entry["error_mm"] = None if best.diameter_mm is None else best.diameter_mm - lesion["max_diameter_mm"]
        entry["depth_right"] = depth_right(best.depth, lesion["depth"])
        entry["depth_as"] = best.depth
        entry["pattern_as"] = best.pattern
        entry["confidence"] = best.confidence
    row.inserted.append(entry)


def _what_is_there(
    study: Study, reported: Reported, moved: Callable[[Box], Box | None], labels: LabelMap | None
) -> str:
    """What a lesion that nothing explains lies on; empty where nobody can say that it is wrong."""
    if study.part is Part.EXAMPLE:
        low, high = np.array(reported.box)
        place = moved((low, high))  # mirroring twice leads back, and nothing else moves
        return "" if labels is None or place is None else labels.structure(dense_points(study.folder, place))
    best, volume = "", 0.0
    for box, label, mm3 in study.components:
        place = moved(box)
        if place is not None and label != "skeleton_main" and mm3 > volume and meets(reported, place):
            best, volume = label, mm3
    if best or study.part is Part.TRUNK:
        return best or "not in the reading"
    on_bone = any(label == "skeleton_main" and meets(reported, moved(box) or box) for box, label, _ in study.components)
    return "skeleton or near" if on_bone else "unlabelled"


@lru_cache(maxsize=1)
def _original(folder: Path) -> tuple[Host, Any]:
    host = read_host(folder)
    return host, host.hu()


def dense_points(folder: Path, box: Box) -> Any:
    """Voxels of a study that are dense within a box, shape ``(n, 3)``, LPS mm; the middle of the box without any."""
    host, hu = _original(folder)
    ends = np.sort(host.geometry.index(np.array(box)), axis=0)
    first = np.clip(np.floor(ends[0]), 0, None).astype(int)
    window = tuple(slice(a, max(a, int(b)) + 1) for a, b in zip(first, np.ceil(ends[1]), strict=True))
    index = np.argwhere(hu[window] >= DENSE_HU) + first
    return host.geometry.lps_mm(index) if len(index) else np.mean(box, axis=0)[None]


def wishes_for(name_of_host: str, tissues: Sequence[Tissue], count: int, seed: int) -> tuple[Wish, ...]:
    """Lesions for a host: kinds, sizes, densities and tissues in turn from a start drawn by its name."""
    rng = np.random.default_rng((seed, zlib.crc32(name_of_host.encode())))
    every = KINDS | ROUGH_KINDS
    kinds = list(every)
    start = int(rng.integers(len(kinds)))
    wishes = []
    for n in range(count):
        name = kinds[(start + 5 * n) % len(kinds)]
        kind = every[name]
        wishes.append(
            Wish(
                kind=name,
                diameter_mm=float(rng.choice(kind.diameters_mm)),
                hu=float(rng.uniform(*kind.hu)),
                tissue=tissues[(start + n) % len(tissues)],
            )
        )
    return tuple(wishes)


def inserted_into(study: Study, host: Host, count: int, seed: int, *, smaller: float = 1.0) -> Inserted:
    """Host with lesions clear of what is known of it, and of its tumour; diameters divided by `smaller`."""
    boxes = [known.box for known in study.known] + ([] if study.tumour is None else [study.tumour])
    avoid = tuple((tuple(float(v) for v in low), tuple(float(v) for v in high)) for low, high in boxes)
    tissues = map_tissues(host.hu(), host.geometry)
    seen = [tissue for tissue in TISSUES[study.part] if tissues.sites[tissue].sum() >= LEAST_BLOCKS]
    wishes = wishes_for(study.name, seen, count, seed) if seen else ()
    wishes = tuple(dataclasses.replace(wish, diameter_mm=wish.diameter_mm / smaller) for wish in wishes)
    return insert_lesions(host, wishes, seed=seed, avoid=avoid, tissues=tissues)


def run_study(study: Study, *, perturb: tuple[str, ...], insert: int, seed: int, work: Path) -> list[Row]:
    """All variants of one study."""
    new_row = partial(Row, study=study.name, part=study.part.value)
    rows = [score(study, analyse(study.folder), new_row(variant=AS_IT_IS))]
    if not insert and not perturb:
        return rows
    try:
        host = read_host(study.folder)
    except HostError as error:
        return [*rows, new_row(variant=INSERTED, status=f"no host: {error}")]
    lesions: list[dict[str, Any]] = []
    if insert:
        inserted = inserted_into(study, host, insert, seed)
        host, lesions = (
            inserted.host,
            [dataclasses.asdict(lesion) | {"slice_mm": host.geometry.spacing_mm[0]} for lesion in inserted.lesions],
        )
        folder = work / f"{study.name}-inserted"
        rows.append(score(study, _analyse_copy(host, folder), new_row(variant=INSERTED), lesions=lesions))
    for name in perturb:
        changed = PERTURBATIONS[name](host)
        outcome = _analyse_copy(changed.host, work / f"{study.name}-changed")
        rows.append(score(study, outcome, new_row(variant=name), moved=changed.moved, lesions=lesions))
    return rows


def _analyse_copy(host: Host, folder: Path) -> Outcome:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        write_host(host, folder, salt=folder.name)
        return analyse(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rows_of(task: tuple[Study, dict[str, Any]]) -> list[Row]:
    study, options = task
    return run_study(study, **options)


def ratio(hits: float, of: float) -> str:
    """Hits of so many, with the share."""
    return f"{hits:.0f} of {of:.0f} ({hits / of:.0%})" if of else "-"


def table(head: str, lines: Iterable[Sequence[object]]) -> str:
    """Markdown table from a head ``a | b`` and rows of cells."""
    columns = head.count("|") + 1
    return "\n".join([f"| {head} |", "|---" * columns + "|", *("| " + " | ".join(map(str, c)) + " |" for c in lines)])


def inserted_cells(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Cells of inserted lesions: number, found, in a larger one, listed, diameter error, depth."""
    asked = [e for e in entries if e["is_detectable"]]
    found = [e for e in asked if e["found"]]
    errors = [e["error_mm"] for e in found if e.get("error_mm") is not None and not e["is_scattered"]]
    unsaid = sum(e.get("depth_as") == "cannot_determine" for e in found)
    size = "-" if not errors else f"{np.median(np.abs(errors)):.1f} / {np.quantile(np.abs(errors), 0.95):.1f}"
    return [
        ratio(len(found), len(asked)),
        str(sum(e["in_larger"] for e in asked)),
        str(sum(e["listed"] and not e["found"] for e in asked)),
        size,
        ratio(sum(e["depth_right"] for e in found), len(found) - unsaid) + f", {unsaid} not said" * bool(unsaid),
    ]


INSERTED_HEAD = "found | in a larger one | listed as incidental only | diameter error mm, median / 95 % | depth right"


def phantom_figures(seeds: int) -> dict[str, str]:
    """Figures of so many own phantoms with lesions, and a quarter of that without; dashes for none."""
    if not seeds:
        return dict.fromkeys(("found", "false", "size", "depth"), "-")
    runs = [run_seed((9000 + n, True)) for n in range(seeds)]
    empty = [run_seed((9000 + n, False)) for n in range(max(1, seeds // 4))]
    lesions = [lesion for score_, _, _ in runs if score_ is not None for lesion in score_.lesions if lesion.is_required]
    found = [lesion for lesion in lesions if lesion.is_found]
    false = [len(score_.false) for score_, _, _ in (*runs, *empty) if score_ is not None]
    errors = [abs(e.diameter_error_mm) for e in found if e.diameter_error_mm is not None and not e.truth.is_scattered]
    return {
        "found": ratio(len(found), len(lesions)),
        "false": f"{sum(false) / max(len(false), 1):.2f}",
        "size": f"{np.median(errors):.1f}" if errors else "-",
        "depth": ratio(sum(bool(e.is_depth_right) for e in found), len(found)),
    }


def report(rows: list[Row], phantoms: dict[str, str], seconds: float) -> str:
    """All tables as Markdown."""
    plain = [r for r in rows if r.variant == AS_IT_IS]
    with_lesions = [r for r in rows if r.variant == INSERTED]
    changed = {r.study for r in rows if r.variant in PERTURBATIONS}
    parts = [
        f"Run of {datetime.now(UTC):%Y-%m-%d} over {len(plain)} real studies, "
        f"{sum(len(r.inserted) for r in with_lesions)} lesions put into them, "
        f"{len(rows) - len(plain) - len(with_lesions)} changed copies (of {len(changed)} studies); "
        f"{seconds / 60:.0f} minutes.",
        _distance_table(plain, with_lesions, phantoms),
        "### Real studies as they are",
        table(
            "study | part | status | lesions | incidental | false | found of the reading | missed | alerts | s",
            [
                (r.study, r.part, r.status, r.lesions, r.incidental, r.false, ratio(r.found, r.owed),
                 "; ".join(r.missed) or "-", r.alerts, f"{r.seconds:.0f}")
                for r in plain
            ],
        ),
        "What is false:",
        table(
            "part | lies on | lesions",
            [(part, what, n) for part in Part for what, n in _false_kinds(plain, part).most_common()],
        ),
    ]  # fmt: skip
    if with_lesions:
        parts += ["### Lesions put into real studies", *_inserted_tables(with_lesions)]
    if len(rows) > len(plain) + len(with_lesions):
        parts += ["### Changed copies", _perturbed_table(rows)]
    return "\n\n".join(parts)


def _false_kinds(rows: list[Row], part: Part) -> Counter[str]:
    return Counter(name.split(":")[0] for row in rows if row.part == part for name in row.false_as)


def _distance_table(plain: list[Row], with_lesions: list[Row], phantoms: dict[str, str]) -> str:
    entries = [e for r in with_lesions for e in r.inserted]
    cells = inserted_cells(entries)
    lines = [("found", phantoms["found"], cells[0], _total(plain, "found", "owed"))]
    lines.append(("found, plain to a reader", "-", "-", _total(plain, "clear_found", "clear")))
    lines.append(("found, fused with bone", "-", "-", _total(plain, "fused_found", "fused")))
    false = {part: [r.false for r in plain if r.part == part and r.status == "reported"] for part in Part}
    for part in Part:
        shown = f"{sum(false[part]) / len(false[part]):.2f}" if false[part] else "-"
        lines.append((f"false lesions a study, {part}", phantoms["false"], "-", shown))
    lines.append(("diameter error mm, median", phantoms["size"], cells[3].split(" /")[0], "-"))
    lines.append(
        ("deep or superficial right", phantoms["depth"], cells[4], _total(plain, "depth_right", "depth_asked"))
    )
    lines.append(("cancer alerts", "-", "-", sum(r.alerts for r in plain)))
    return table("figure | own phantoms | lesions put into real studies | real studies as they are", lines)


def _total(rows: list[Row], hits: str, of: str) -> str:
    return ratio(sum(getattr(r, hits) for r in rows), sum(getattr(r, of) for r in rows))


def _inserted_tables(rows: list[Row]) -> list[str]:
    entries = [e | {"part": r.part, "study": r.study} for r in rows for e in r.inserted]
    groups: list[tuple[str, list[dict[str, Any]]]] = [("all", entries)]
    groups += [(str(part), [e for e in entries if e["part"] == part]) for part in Part]
    for key in ("tissue", "kind"):
        groups += [(name, [e for e in entries if e[key] == name]) for name in sorted({e[key] for e in entries})]
    groups += [(name, [e for e in entries if low <= e["max_diameter_mm"] < high]) for low, high, name in SIZE_BANDS]
    hosts = [(r.study, r.false, *inserted_cells([e for e in entries if e["study"] == r.study])) for r in rows]
    return [
        table(f"group | {INSERTED_HEAD}", [(name, *inserted_cells(part)) for name, part in groups if part]),
        table(f"host | false | {INSERTED_HEAD}", hosts),
        _pattern_table(rows),
    ]


def pattern_verdict(entry: dict[str, Any]) -> str:
    """Right, indeterminate, wrong, or wrong with high or moderate confidence; indeterminate is never right."""
    if entry["pattern_as"] == entry["pattern"]:
        return "right"
    if entry["pattern_as"] == INDETERMINATE_PATTERN:
        return "indeterminate"
    return "wrong" if entry["confidence"] == "low" else f"wrong, {entry['confidence']}"


VERDICTS = ("right", "indeterminate", "wrong", "wrong, moderate", "wrong, high")


def _pattern_table(rows: list[Row]) -> str:
    """What the patterns of the inserted lesions that were found are called, by spacing of slices and pattern."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for entry in (entry for row in rows for entry in row.inserted if "pattern_as" in entry):
        slices = f"{entry['slice_mm']:.1f}" if entry["slice_mm"] else "not known"
        for pattern in ("all", entry["pattern"]):
            counts.setdefault((slices, pattern), Counter())[pattern_verdict(entry)] += 1
    lines = [
        (*key, sum(count.values()), *(ratio(count[verdict], sum(count.values())) for verdict in VERDICTS))
        for key, count in sorted(counts.items())
    ]
    return table(f"slices, mm|pattern|found|{'|'.join(VERDICTS)}", lines)


def _perturbed_table(rows: list[Row]) -> str:
    names = [INSERTED, *(name for name in PERTURBATIONS if any(r.variant == name for r in rows))]
    changed = {r.study for r in rows if r.variant in PERTURBATIONS}
    lines = []
    for name in names:
        chosen = [r for r in rows if r.variant == name and r.study in changed]
        reported = [r for r in chosen if r.status == "reported"]
        refused = Counter(r.status for r in chosen if r.status != "reported")
        false = sum(r.false for r in reported) / max(len(reported), 1)
        cells = inserted_cells([e for r in chosen for e in r.inserted])
        words = ", ".join(f"{code} {n}" for code, n in refused.items()) or "-"
        lines.append(
            (name, len(chosen), words, _total(reported, "found", "owed"), f"{false:.2f}", cells[0], *cells[3:])
        )
    return table(
        "copy | studies | refused | found of the reading | false a study | inserted found | "
        "diameter error mm, median / 95 % | depth right",
        lines,
    )


def write_into(document: Path, text: str, marks: tuple[str, str] = (MARK, END)) -> None:
    """Replace the figures between the marks of a document."""
    whole, (mark, end) = document.read_text(encoding="utf-8"), marks
    if mark not in whole or end not in whole:
        msg = f"{document} has no place marked for these figures"
        raise SystemExit(msg)
    head, rest = whole.split(mark, 1)
    document.write_text(f"{head}{mark}\n\n{text}\n\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*", help="folders with studies and their readings")
    parser.add_argument("--studies", default="*", help="comma list of names or patterns")
    parser.add_argument("--perturb", default="", help=f"comma list, or all: {', '.join(PERTURBATIONS)}")
    parser.add_argument("--perturb-studies", default="*", help="comma list of names or patterns that are changed")
    parser.add_argument("--insert", type=int, default=4, help="lesions put into each study (default 4)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--phantoms", type=int, default=24, help="own phantoms to compare with (default 24, 0 for none)"
    )
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1)
    parser.add_argument("--work", type=Path, help="folder for unpacked archives (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="file for all scores")
    parser.add_argument("--add", type=Path, nargs="*", default=(), help="scores of other studies, from earlier --json")
    parser.add_argument("--write", nargs="?", type=Path, const=HERE.parents[1] / "docs" / "accuracy.md",
                        help="document whose figures are replaced (default docs/accuracy.md)")  # fmt: skip
    args = parser.parse_args(arguments)
    names = list(PERTURBATIONS) if args.perturb == "all" else [n.strip() for n in args.perturb.split(",") if n.strip()]
    if unknown := set(names) - set(PERTURBATIONS):
        parser.error(f"unknown perturbation: {', '.join(sorted(unknown))}")
    args.perturb = tuple(names)
    return args


def is_chosen(study: Study, patterns: str) -> bool:
    """Whether a study is named in a comma list of names or patterns."""
    return any(fnmatch.fnmatch(study.name, pattern) for pattern in patterns.split(","))


def main() -> int:
    """Run the studies chosen and print the tables."""
    args = options()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        studies = [s for s in find_studies(args.data, work) if is_chosen(s, args.studies)]
        if not studies:
            sys.stderr.write("no real studies in the folders given: nothing is measured\n")
            return 0
        common = {"insert": args.insert, "seed": args.seed, "work": work}
        tasks = [(s, common | {"perturb": args.perturb if is_chosen(s, args.perturb_studies) else ()}) for s in studies]
        rows: list[Row] = []
        with ProcessPoolExecutor(args.jobs) as pool:
            for study, part in zip(studies, pool.map(_rows_of, tasks), strict=True):
                rows += part
                sys.stderr.write(f"{study.name}: {time.perf_counter() - start:.0f} s\n")
    for path in args.add:
        rows += [Row(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    if args.json:
        args.json.write_text(json.dumps([dataclasses.asdict(r) for r in rows], indent=1), encoding="utf-8")
    text = report(rows, phantom_figures(args.phantoms), time.perf_counter() - start)
    sys.stdout.write(text + "\n")
    if args.write:
        write_into(args.write, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
