"""Fit limits and weights of ``patterns/ct.toml`` to lesions of known pattern, one row at a time.

Hosts are folders of real CT series; lesions of both definitions are put into them, found and described. ``--folds``
leaves hosts out in turn and prints how many of their lesions are named right, which is the figure to quote. The table
printed with ``--write`` is that fitted to all. Limits of signs and flags, which have a plain meaning, stay.
"""

from __future__ import annotations

import argparse
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from calcphantom.insert import KINDS, ROUGH_KINDS, Tissue, Wish, insert_lesions, map_tissues, read_host, write_host
from numpy.typing import NDArray

import calcreport
from calcreport.calcification.patterns import criteria
from calcreport.calcification.patterns.features import Features
from calcreport.model.pattern_table import Cases, PatternTable, Row, grade_cases
from calcreport.model.report import DepthClass

TABLE = Path(criteria.__file__).with_name("ct.toml")
STEEPNESS, FLOOR = 2.0, 0.004
"""Grades become chances as their powers; no grade counts as less than the floor."""
LEAST_GAIN = 1e-3
"""A row changes only for a gain of mean log chance above this: limits stay where the data say little."""
SIZE_SLACK = 0.35
"""A finding whose length differs by more than this share, and 6 mm, has merged with something else."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One lesion."""

    host: str
    pattern: str
    values: dict[str, float]


def samples_of(folder: Path, work: Path, seed: int) -> Iterator[Sample]:
    """Lesions put into one series that are found again."""
    host = read_host(folder)
    tissues = map_tissues(host.hu(), host.geometry)
    seen = [tissue for tissue in Tissue if tissues.sites[tissue].any()]
    rng = np.random.default_rng((seed, zlib.crc32(str(folder).encode())))
    for kinds in (KINDS, ROUGH_KINDS):
        wishes = tuple(
            Wish(kind=name, diameter_mm=float(rng.choice(kinds[name].diameters_mm)),
                 hu=float(rng.uniform(*kinds[name].hu)), tissue=seen[int(rng.integers(len(seen)))])
            for name in rng.permutation(list(kinds))
        )  # fmt: skip
        made = insert_lesions(host, wishes, seed=seed, tissues=tissues)
        copy = work / f"{folder.name}-{len(kinds)}-{next(iter(kinds))[:5]}"
        write_host(made.host, copy, salt=copy.name)
        reports = [r.report for r in calcreport.analyze(copy) if r.report is not None]
        for truth in made.lesions:
            low, high = (np.array(corner) for corner in truth.box_lps_mm)
            for lesion in (lesion for report in reports for lesion in report.lesions):
                box = np.array(lesion.location.bbox_lps_mm)
                off = abs((lesion.size.max_diameter_mm or 0.0) - truth.max_diameter_mm)
                if (
                    (box[0] <= high).all()
                    and (low <= box[1]).all()
                    and off <= max(6.0, SIZE_SLACK * truth.max_diameter_mm)
                ):
                    spacing = (host.geometry.spacing_mm[0], *host.geometry.spacing_mm[1:])
                    yield Sample(host=folder.name, pattern=truth.pattern, values=_values(lesion, spacing))
                    break


def _values(lesion: Any, spacing: tuple[float, float, float]) -> dict[str, float]:
    known = {name: lesion.pattern.features[name] for name in Features.__dataclass_fields__}
    known["layer"] = DepthClass(known["layer"])
    known["bone_gap_mm"] = np.inf if known["bone_gap_mm"] is None else known["bone_gap_mm"]
    return criteria.pattern_values(Features(**known), spacing)


class Fit:
    """Table being fitted to samples."""

    def __init__(self, samples: list[Sample], table: PatternTable) -> None:
        """Weigh samples so that each pattern counts by the root of its number."""
        self.values: dict[str, NDArray[np.float64]] = {
            name: np.array([s.values[name] for s in samples]) for name in samples[0].values
        }
        self.signs, self.patterns = dict(table.signs), dict(table.patterns)
        for name, cases in self.signs.items():
            self.values[name] = self._grade(cases)
        self.names = list(self.patterns)
        truth = [s.pattern for s in samples]
        self.truth = np.array([self.names.index(name) for name in truth])
        self.weight = np.array([truth.count(name) ** -0.5 for name in truth])
        self.grades = np.array([self._grade(self.patterns[name]) for name in self.names])

    def _grade(self, cases: Cases) -> NDArray[np.float64]:
        return np.asarray(grade_cases(cases, self.values)[0])

    def loss(self) -> float:
        """Weighted mean of minus the log chance of the true pattern."""
        power = (self.grades + FLOOR) ** STEEPNESS
        chance = power[self.truth, np.arange(self.truth.size)] / power.sum(axis=0)
        return float(-np.average(np.log(chance + 1e-3), weights=self.weight))

    def descend(self, sweeps: int) -> PatternTable:
        """Move one row of one pattern after the other."""
        best = self.loss()
        for _ in range(sweeps):
            for number, name in enumerate(self.names):
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


def right_share(table: PatternTable, samples: list[Sample]) -> float:
    """Share of samples whose own pattern has the best grade."""
    fit = Fit(samples, table)
    return float((fit.grades.argmax(axis=0) == fit.truth).mean())


def write(table: PatternTable, path: Path) -> None:
    """Put fitted numbers, of two digits, into the rows where they stand."""
    lines, name, case, place = [], "", -1, -1
    for line in path.read_text(encoding="utf-8").split("\n"):
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
        lines.append(line)
    path.write_text("\n".join(lines), encoding="utf-8")


def main() -> int:
    """Fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hosts", type=Path, nargs="+", help="folders of axial CT series")
    parser.add_argument("--work", type=Path, required=True, help="scratch folder for copies with lesions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"put the numbers into {TABLE.name}")
    options = parser.parse_args()
    samples = [s for folder in options.hosts for s in samples_of(folder, options.work, options.seed)]
    start = criteria.pattern_table()
    folds = [zlib.crc32(s.host.encode()) % options.folds for s in samples]
    for fold in sorted(set(folds)):
        kept, left = ([s for s, n in zip(samples, folds, strict=True) if (n == fold) is out] for out in (False, True))
        if kept and left:
            share = right_share(Fit(kept, start).descend(2), left)
            sys.stdout.write(f"left-out hosts {fold}: {share:.2f} of {len(left)} right\n")
    fitted = Fit(samples, start).descend(3)
    sys.stdout.write(f"all: {right_share(fitted, samples):.2f} of {len(samples)} right, fitted to the same\n")
    if options.write:
        write(fitted, TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
