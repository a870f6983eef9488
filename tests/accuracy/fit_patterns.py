"""Fit ``patterns/ct.toml`` to lesions of known pattern put into real CT, and say how often the right one is named.

python tests/accuracy/fit_patterns.py FOLDER... --work SAMPLES [--seeds 1] [--thin 1] [--unseen 2] [--write] [--figures]

The folders are those of `run_unseen`. Lesions of both definitions are put into each host, found and described by the
whole analysis; what comes of a host is kept in ``--work`` and made once. ``--thin`` draws hosts anew on slices of 1 mm
before lesions are put in. With ``--figures`` each lesion is named by a table fitted without any lesion of its host, and
the counts go into docs/accuracy.md: "indeterminate" is never right. ``--write`` fits the table to all. The fit begins
with `patterns_start.toml`, whose rows are set by hand or were fitted to lesions of other seeds; it moves rows and adds
some. Limits of signs and flags, which have a plain meaning, stay, as do rows with a source of their own.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import re
import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from calcphantom.insert import KINDS, ROUGH_KINDS, Wish, insert_lesions, map_tissues, read_host, write_host
from numpy.typing import NDArray
from perturb import thin_slices
from run_unseen import (
    LEAST_BLOCKS,
    TISSUES,
    VERDICTS,
    is_chosen,
    meets,
    pattern_verdict,
    ratio,
    reported_of,
    table,
    write_into,
)
from unseen_studies import Study, find_studies

import calcreport
from calcreport.calcification.patterns import pattern
from calcreport.calcification.patterns.features import Features
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.pattern_table import Cases, PatternTable, Row, grade_cases, read_table
from calcreport.model.report import DepthClass

TABLE = Path(pattern.__file__).with_name("ct.toml")
START = Path(__file__).with_name("patterns_start.toml")
DOCUMENT = Path(__file__).parents[2] / "docs" / "accuracy.md"
MARKS = ("<!-- patterns: written by tests/accuracy/fit_patterns.py -->", "<!-- end of patterns -->")
STEEPNESS, FLOOR = 3.0, 0.004
"""Grades become chances as their powers; no grade counts as less than the floor."""
LEAST_GAIN = 1e-3
"""A row changes only for a gain of mean log chance above this: limits stay where the data say little."""
ROW_GAIN, MOST_ROWS = 4e-3, 4
"""A row is added only for a gain above this, so many to a case of a pattern at most."""
QUANTILES = np.linspace(0.05, 0.95, 10)
"""Limits of added rows lie at these quantiles of the feature over all samples, neighbours or next but one."""
OF_SHAPE = {
    "longest_mm": "", "width_mm": "", "thickness_mm": "", "foci_count": "", "largest_focus_mm": "", "focus_size_mm": "",
    "focus_elongation": "", "focus_alignment": "", "sphericity": "", "smoothness": "", "wall_mm": "", "fill": "",
    "shell_share": "lesion", "coverage": "lesion", "worst_coverage": "lesion", "core_hu": "centre",
    "core_tail_hu": "centre", "heart_hu": "centre", "mean_hu": "", "peak_hu": "", "variation": "", "projected_fill": "",
    "section_fill": "", "centre_level": "lesion", "middle_level": "lesion", "contrast_ratio": "", "peak_count": "",
    "ring_share": "", "hole_count": "", "hole_mm": "", "outward_correlation": "", "grain_mm": "", "slenderness": "",
    "bulk": "", "plate": "", "swelling_hu": "",
}  # fmt: skip
"""Features of which rows may be added, and what has to be resolved for each. Where a lesion lies is not among them:
the inserter puts each kind anywhere."""
UNITS = {"_mm": "mm", "_hu": "HU", "_count": "count", "_correlation": "correlation"}
UNNAMED = pattern.MIN_SCORE**STEEPNESS
"""Share of a chance that goes to no pattern: below the least score none is named."""
SIZE_SLACK = 0.35
"""A finding whose length differs by more than this share, and 6 mm, has merged with something else."""
DEFINITIONS = {"first": KINDS, "second": ROUGH_KINDS}
MATCH_MM, FAR_TOO_LARGE = 2.0, 3.0
"""As in `run_unseen`: a lesion so many times as long as the true one is another thing that happens to include it."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One lesion that was found, with what its pattern is read from."""

    host: str
    definition: str
    pattern: str
    is_whole: bool
    """Measured alone and at its length: only such are fitted to, all are counted."""
    spacing_mm: tuple[float, float, float]
    thickness_mm: float | None
    region: str | None
    features: dict[str, Any]

    def described(self) -> Features:
        """Features as the analysis has them."""
        known = {name: self.features[name] for name in Features.__dataclass_fields__}
        known["layer"] = DepthClass(known["layer"])
        known["bone_gap_mm"] = np.inf if known["bone_gap_mm"] is None else known["bone_gap_mm"]
        return Features(**known)

    def values(self) -> dict[str, float]:
        """Values the table names."""
        thickest = max(self.spacing_mm[0], self.thickness_mm or 0.0)
        return pattern.pattern_values(self.described(), (thickest, *self.spacing_mm[1:]), self.region)

    def named(self, fitted: PatternTable) -> tuple[str, str]:
        """Pattern and confidence by a table, as a report has them."""
        geometry = VolumeGeometry(affine=np.diag([*self.spacing_mm, 1.0]), shape=(1, 1, 1))
        read = pattern.read_pattern(
            self.described(), geometry=geometry, slice_thickness_mm=self.thickness_mm, region=self.region, table=fitted
        )
        return read.id, read.confidence.value


def samples_of(study: Study, definition: str, seed: int, work: Path, *, is_thin: bool, is_made: bool) -> list[Sample]:
    """Lesions of one definition put into a study that are found again; made once and kept in a file."""
    name = f"{study.name}-{definition}-{seed}{'-thin' * is_thin}"
    kept = work / f"{name}.json"
    if not kept.exists() and not is_made:
        return []
    if not kept.exists():
        made = list(_made(study, definition, seed, work / name, is_thin=is_thin))
        kept.write_text(json.dumps([dataclasses.asdict(sample) for sample in made]), encoding="utf-8")
        sys.stderr.write(f"{name}: {len(made)} lesions\n")
    return [
        Sample(**entry | {"spacing_mm": tuple(entry["spacing_mm"])})
        for entry in json.loads(kept.read_text(encoding="utf-8"))
    ]


def _made(study: Study, definition: str, seed: int, copy: Path, *, is_thin: bool) -> Iterator[Sample]:
    host = read_host(study.folder)
    host = thin_slices(host, seed) if is_thin else host
    tissues = map_tissues(host.hu(), host.geometry)
    seen = [tissue for tissue in TISSUES[study.part] if tissues.sites[tissue].sum() >= LEAST_BLOCKS]
    if not seen:
        return
    boxes = [known.box for known in study.known] + ([] if study.tumour is None else [study.tumour])
    avoid = tuple((tuple(float(v) for v in low), tuple(float(v) for v in high)) for low, high in boxes)
    rng = np.random.default_rng((seed, zlib.crc32(study.name.encode())))
    kinds = DEFINITIONS[definition]
    wishes = tuple(
        Wish(kind=name, diameter_mm=float(rng.choice(kinds[name].diameters_mm)),
             hu=float(rng.uniform(*kinds[name].hu)), tissue=seen[int(rng.integers(len(seen)))])
        for name in rng.permutation(list(kinds))
    )  # fmt: skip
    made = insert_lesions(host, wishes, seed=seed, avoid=avoid, tissues=tissues)
    write_host(made.host, copy, salt=copy.name)
    reports = [r.report for r in calcreport.analyze(copy) if r.report is not None]
    shutil.rmtree(copy)
    lesions = [(lesion, reported_of(lesion.model_dump(mode="json"))) for report in reports for lesion in report.lesions]
    boxes = [tuple(np.array(corner) for corner in truth.box_lps_mm) for truth in made.lesions]
    for truth, box in zip(made.lesions, boxes, strict=True):
        largest = FAR_TOO_LARGE * (truth.max_diameter_mm + MATCH_MM)
        own = [each for each in lesions if meets(each[1], box, MATCH_MM) and (each[1].diameter_mm or 0.0) <= largest]
        if not own:
            continue
        lesion, as_reported = max(own, key=lambda each: each[1].diameter_mm or 0.0)
        off = abs((as_reported.diameter_mm or 0.0) - truth.max_diameter_mm)
        is_alone = sum(meets(as_reported, other) for other in boxes) == 1
        yield Sample(
            host=study.name, definition=definition, pattern=truth.pattern,
            is_whole=is_alone and off <= max(6.0, SIZE_SLACK * truth.max_diameter_mm),
            spacing_mm=host.geometry.spacing_mm, thickness_mm=host.thickness_mm, region=reports[0].study.body_part,
            features=lesion.pattern.features,
        )  # fmt: skip


class Fit:
    """Table being fitted to samples."""

    def __init__(self, samples: list[Sample], table: PatternTable) -> None:
        """Weigh samples so that each pattern on each spacing of slices counts by the root of its number."""
        values = [s.values() for s in samples]
        self.values: dict[str, NDArray[np.float64]] = {name: np.array([v[name] for v in values]) for name in values[0]}
        self.signs, self.patterns = dict(table.signs), dict(table.patterns)
        for name, cases in self.signs.items():
            self.values[name] = self._grade(cases)
        self.names = list(self.patterns)
        truth = [s.pattern for s in samples]
        self.truth = np.array([self.names.index(name) for name in truth])
        kinds = [(s.pattern, round(s.spacing_mm[0], 1)) for s in samples]
        self.weight = np.array([kinds.count(kind) ** -0.5 for kind in kinds])
        self.grades = np.array([self._grade(self.patterns[name]) for name in self.names])
        self.drawn = list(self._draw())
        self.factors = np.array([grade_cases(Cases(source="", cases=((row,),)), self.values)[0] for row in self.drawn])

    def _grade(self, cases: Cases) -> NDArray[np.float64]:
        return np.asarray(grade_cases(cases, self.values)[0])

    def loss(self) -> float:
        """Weighted mean of minus the log chance of the true pattern."""
        power = (self.grades + FLOOR) ** STEEPNESS
        chance = power[self.truth, np.arange(self.truth.size)] / (power.sum(axis=0) + UNNAMED)
        return float(-np.average(np.log(chance + 1e-3), weights=self.weight))

    def _draw(self) -> Iterator[Row]:
        """Rows that might be added to a pattern."""
        for feature, needs in OF_SHAPE.items():
            known = self.values[feature][np.isfinite(self.values[feature])]
            limits = np.unique(np.quantile(known, QUANTILES)) if known.size else known
            unit = next((unit for end, unit in UNITS.items() if feature.endswith(end)), "share")
            for reach, falls, weight in itertools.product((1, 2), (False, True), (0.4, 0.8)):
                for low, high in zip(limits[:-reach], limits[reach:], strict=True):
                    yield Row(feature=feature, low=float(low), high=float(high), falls=falls, weight=weight, unit=unit,
                              needs=needs)  # fmt: skip

    def grow(self) -> None:
        """Add the row that gains most, again and again, to patterns that samples show; none where signs alone speak."""
        added = Counter[tuple[str, int]]()
        while True:
            best, found = self.loss() - ROW_GAIN, None
            power = (self.grades + FLOOR) ** STEEPNESS
            total, own = power.sum(axis=0) + UNNAMED, power[self.truth, np.arange(self.truth.size)]
            for number in np.unique(self.truth):
                held = self.patterns[self.names[number]]
                products = np.array([self._grade(replace(held, cases=(case,))) for case in held.cases])
                for case in range(len(products)):
                    rests_on_signs = all(row.feature in self.signs for row in held.cases[case])
                    if rests_on_signs or added[self.names[number], case] >= MOST_ROWS:
                        continue
                    rest = np.delete(products, case, axis=0).max(axis=0, initial=0.0)
                    raised = (np.maximum(rest, products[case] * self.factors) + FLOOR) ** STEEPNESS
                    chance = np.where(self.truth == number, raised, own) / (total - power[number] + raised)
                    losses = -np.average(np.log(chance + 1e-3), axis=1, weights=self.weight)
                    if losses.min() < best:
                        best, found = float(losses.min()), (number, case, self.drawn[int(losses.argmin())])
            if found is None:
                return
            number, case, row = found
            held = self.patterns[self.names[number]]
            cases = [(*rows, row) if n == case else rows for n, rows in enumerate(held.cases)]
            self.patterns[self.names[number]] = replace(held, cases=tuple(cases))
            self.grades[number] = self._grade(self.patterns[self.names[number]])
            added[self.names[number], case] += 1

    def run(self) -> PatternTable:
        """Move the rows, add some, and move all again."""
        self.descend(1)
        self.grow()
        return self.descend(2)

    def descend(self, sweeps: int) -> PatternTable:
        """Move one row after the other, of the patterns that samples show."""
        best = self.loss()
        for _ in range(sweeps):
            for number, name in ((n, name) for n, name in enumerate(self.names) if n in self.truth):
                for case, rows in enumerate(self.patterns[name].cases):
                    for place in range(len(rows)):
                        for row in self._moves(self.patterns[name].cases[case][place]):
                            old, held = self.patterns[name], self.grades[number].copy()
                            cases = [list(each) for each in old.cases]
                            cases[case][place] = row
                            self.patterns[name] = replace(old, cases=tuple(map(tuple, cases)))
                            self.grades[number] = self._grade(self.patterns[name])
                            loss = self.loss()
                            if loss < best - LEAST_GAIN:
                                best = loss
                            else:
                                self.patterns[name], self.grades[number] = old, held
        return PatternTable(signs=self.signs, patterns=self.patterns)

    def _moves(self, row: Row) -> Iterator[Row]:
        if row.source:
            return
        for weight in (0.6 * row.weight, 0.8 * row.weight, min(0.95, 1.3 * row.weight), 0.95):
            if weight > 0.08 and abs(weight - row.weight) > 0.03:
                yield replace(row, weight=weight)
        if row.feature in self.signs or (row.low, row.high) == (0, 1):
            return
        width = row.high - row.low
        for step in (0.14 * width, 0.48 * width):
            for a, b in ((1, 1), (-1, -1), (-1, 1), (0.4, -0.4), (1, 0), (0, -1), (-1, 0), (0, 1)):
                low, high = row.low + a * step, row.high + b * step
                if high > low and not (row.falls and row.feature.endswith("_count") and low < 1):
                    yield replace(row, low=low, high=high)


def write(table: PatternTable, start: str, path: Path) -> None:
    """Put fitted numbers, of three digits, into the rows of the start where they stand, and added rows after them."""
    lines, name, case, place = [], "", -1, -1
    for line in start.split("\n"):
        if head := re.match(r"\[(\w+)\.(\w+)\]", line):
            name, case = head[2] if head[1] == "pattern" else "", -1
        elif name and re.match(r"\w+ = \[$", line):
            case, place = case + 1, -1
        elif name and line.startswith("  { feature"):
            place += 1
            row = table.patterns[name].cases[case][place]
            text = re.sub(r"weight = [\d.]+, ", "", line)
            text = re.sub(r"low = [^,]+, high = [^, ]+", f"low = {row.low:.3g}, high = {row.high:.3g}", text)
            lines.append(text.replace(", unit", f", weight = {row.weight:.2g}, unit", 1))
            continue
        elif name and case >= 0 and line == "]":
            for row in table.patterns[name].cases[case][place + 1 :]:
                falls, needs = ", falls = true" * row.falls, f', needs = "{row.needs}"' * bool(row.needs)
                numbers = f"low = {row.low:.3g}, high = {row.high:.3g}{falls}, weight = {row.weight:.2g}"
                lines.append(f'  {{ feature = "{row.feature}", {numbers}, unit = "{row.unit}"{needs} }},')
        lines.append(line)
    path.write_text("\n".join(lines), encoding="utf-8")


def left_out(
    samples: list[Sample], start: PatternTable, folds: int, unseen: Iterable[Sample] = ()
) -> list[tuple[Sample, str, str]]:
    """Each sample, or each unseen one, with the pattern and confidence by a table fitted to samples of other hosts."""
    fold = {s.host: zlib.crc32(s.host.encode()) % folds for s in samples}
    shown = list(unseen) or samples
    named = []
    for left in sorted(set(fold.values())):
        fitted = Fit([s for s in samples if fold[s.host] != left and s.is_whole], start).run()
        named += [(s, *s.named(fitted)) for s in shown if zlib.crc32(s.host.encode()) % folds == left]
    return named


def figures(named: Iterable[tuple[Sample, str, str]], fitted_to: str) -> str:
    """Counts by spacing of slices, definition and pattern."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    hosts = set()
    for sample, as_pattern, confidence in named:
        hosts.add(sample.host)
        entry = {"pattern": sample.pattern, "pattern_as": as_pattern, "confidence": confidence}
        slices = f"{sample.spacing_mm[0]:.1f}"
        for key in (("all", "both"), ("all", sample.definition), (sample.pattern, "both")):
            counts.setdefault((slices, *key), Counter())[pattern_verdict(entry)] += 1
    lines = [
        (*key, sum(count.values()), *(ratio(count[verdict], sum(count.values())) for verdict in VERDICTS))
        for key, count in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] != "all", item[0]))
    ]
    head = f"Lesions found in {len(hosts)} hosts, each named by a table fitted to {fitted_to}."
    return f"{head}\n\n" + table(f"slices, mm|pattern|definition|found|{'|'.join(VERDICTS)}", lines)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def main() -> int:
    """Fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="folders with studies and their readings")
    parser.add_argument("--work", type=Path, required=True, help="folder in which the samples are kept")
    parser.add_argument("--seeds", type=_numbers, default=[1], help="comma list; each puts its own lesions in")
    parser.add_argument("--thin", type=_numbers, default=[], help="seeds of copies on thin slices")
    parser.add_argument("--unseen", type=_numbers, default=[], help="seeds of lesions that the first figures hold back")
    parser.add_argument("--studies", default="*", help="comma list of names or patterns")
    parser.add_argument("--kept", action="store_true", help="make no samples: those kept in --work are all")
    parser.add_argument("--start", type=Path, default=START, help="table the fit begins with: not one fitted to these")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--write", action="store_true", help=f"put the numbers into {TABLE.name}")
    parser.add_argument("--figures", action="store_true", help="put the figures into docs/accuracy.md")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    start = read_table(options.start.read_text(encoding="utf-8"), pattern.FEATURES)
    studies = [s for s in find_studies(options.data, options.work) if is_chosen(s, options.studies)]
    drawn = {
        seeds: [
            sample
            for study in studies
            for is_thin, numbers in ((False, options.seeds), (True, options.thin))
            for seed in (options.unseen if seeds == "unseen" else numbers)
            for definition in DEFINITIONS
            for sample in samples_of(study, definition, seed, options.work, is_thin=is_thin, is_made=not options.kept)
        ]
        for seeds in ("seen", "unseen")
    }
    samples = [*drawn["seen"], *drawn["unseen"]]
    if options.figures:
        parts = []
        if drawn["unseen"]:
            named = left_out(drawn["seen"], start, options.folds, drawn["unseen"])
            parts.append(figures(named, "lesions of other hosts, drawn by another seed"))
        parts.append(figures(left_out(samples, start, options.folds), "all lesions of other hosts"))
        text = "\n\n".join(parts)
        sys.stdout.write(text + "\n")
        write_into(DOCUMENT, text, MARKS)
    if options.write:
        fitted = Fit([s for s in samples if s.is_whole], start).run()
        write(fitted, options.start.read_text(encoding="utf-8"), TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
