"""Which wrong scales of values the check of Hounsfield units refuses, and that it refuses no right one.

python tests/accuracy/run_scales.py [DATA ...] [--seeds 40] [--write docs/scales.md]

Every volume (phantoms, and CT series below DATA, which is no part of this repository) is looked at whole, in a field of
view without air, in a small one around bone and in one within the lung, with the right scale and with every wrong one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from calcphantom import NoRoomError, make_phantom, random_recipe
from numpy.typing import NDArray

from calcreport.dicom import discover, rank_ct_series, read_ct
from calcreport.dicom.ct import plausibility
from calcreport.dicom.ct.pixels import Scale, to_hu
from calcreport.errors import InputError
from calcreport.settings import ReadingSettings

MARK = "<!-- figures: written by tests/accuracy/run_scales.py -->"
MOST_SLICES = 40
Voxels = NDArray[np.int16]
Stored = tuple[NDArray[np.generic], float, float]
"""Stored values with the slope and intercept they are read with."""


def linear(slope: float, intercept: float) -> Callable[[Voxels], Stored]:
    """Another slope and intercept in the header."""
    return lambda hu: (hu, slope, intercept)


def about_air(factor: float) -> Callable[[Voxels], Stored]:
    """Values stretched so that air stays in its place."""
    return linear(factor, 1000 * (factor - 1))


def window(low: float, width: float, top: int = 255, intercept: float = 0.0) -> Callable[[Voxels], Stored]:
    """A copy of a window, stored from 0 to `top`."""
    return lambda hu: (np.clip((hu - np.float32(low)) * (top / width), 0, top), 1.0, intercept)


RIGHT = "right"
SCALES: dict[str, Callable[[Voxels], Stored]] = {
    RIGHT: linear(1, 0),
    **{f"{value:+d} HU": linear(1, value) for value in (1024, 1000, 200, 110, 50, -50, -110, -200, -1000, -1024)},
    **{f"x {factor:g} about air": about_air(factor) for factor in (0.25, 0.5, 0.8, 0.9, 1.1, 1.25, 2)},
    **{f"x {factor:g} about zero": linear(factor, 0) for factor in (0.25, 0.5, 0.8, 1.25, 2, 10)},
    "8 bits, window 400 / 40": window(-160, 400),
    "8 bits, window 400 / 40, intercept -1024": window(-160, 400, intercept=-1024),
    "8 bits, window 2000 / 500": window(-500, 2000),
    "8 bits, window 1500 / -600": window(-1350, 1500),
    "8 bits, all values": window(-1024, 4095),
    "0 to 1000, all values": window(-1024, 4095, top=1000),
    "12 bits inverted": lambda hu: (3071 - np.clip(hu, -1024, 3071), 1.0, -1024.0),
    "sign inverted": lambda hu: (-np.clip(hu, -1024, 3071), 1.0, 0.0),
}


def _around(hu: Voxels, place: tuple[int, int], half: int) -> Voxels:
    row, column = place
    return hu[:, max(row - half, 0) : row + half, max(column - half, 0) : column + half]


def _densest(mask: NDArray[np.bool_], side: int) -> tuple[float, tuple[int, int]]:
    """Share of the fullest square of all slices, and its middle."""
    rows, columns = (size // side for size in mask.shape[1:])
    cut = mask[:, : rows * side, : columns * side].reshape(-1, rows, side, columns, side).mean(axis=(0, 2, 4))
    i, j = np.unravel_index(int(cut.argmax()), cut.shape)
    return float(cut.max()), (int(i) * side + side // 2, int(j) * side + side // 2)


def without_air(hu: Voxels) -> Voxels | None:
    """The largest square about the middle of the body in which (nearly) no air is imaged."""
    rows, columns = np.nonzero((hu > -300).mean(axis=0) > 0.5)
    if not rows.size:
        return None
    place = int(np.median(rows)), int(np.median(columns))
    for part in (0.5, 0.4, 0.3, 0.22, 0.15):
        cut = _around(hu, place, int(part * min(hu.shape[1:])) // 2)
        if (cut < -400).mean() < 0.001:
            return cut
    return None


def around_bone(hu: Voxels) -> Voxels | None:
    """A small field around the most bone."""
    share, place = _densest((hu > 300) & (hu < 2500), 8)
    return _around(hu, place, 32 if min(hu.shape[1:]) > 200 else 20) if share > 0.05 else None


def within_lung(hu: Voxels) -> Voxels | None:
    """A field within the lung (or what looks like it)."""
    share, place = _densest((hu > -930) & (hu < -600), 16)
    return _around(hu, place, 40) if share > 0.5 else None


VIEWS: dict[str, Callable[[Voxels], Voxels | None]] = {
    "whole": lambda hu: hu,
    "no air": without_air,
    "bone": around_bone,
    "lung": within_lung,
}


def outcome(stored: Stored) -> str:
    """What the reader does with such a volume: refused, noted or passed."""
    values, slope, intercept = stored
    scale = Scale(
        slope=float(slope), intercept=float(intercept), bits_stored=16, high_bit=15, is_signed=True, padding=None
    )
    slices = np.array(values, dtype=np.int16, order="C")
    try:
        return "noted" if plausibility.check(np.concatenate([to_hu(plane, scale) for plane in slices])) else "passed"
    except InputError as error:
        return f"refused {error.code}"


def volumes(folders: list[Path], seeds: int) -> Iterator[tuple[str, Voxels]]:
    """Name and HU of every volume, at most forty slices of it."""
    reading = ReadingSettings()
    for folder in folders:
        with discover([folder], settings=reading) as found:
            for series in (series for study in found.studies for series in rank_ct_series(study).candidates):
                hu = read_ct(series, settings=reading).volume.hu
                yield f"{folder.name} {series.number}", hu[:: -(-len(hu) // MOST_SLICES)]
    for seed in range(1000, 1000 + seeds):
        try:
            hu = make_phantom(random_recipe(seed, has_lesions=bool(seed % 2)))[0].hu
        except NoRoomError:
            continue
        yield f"phantom {seed}", hu[:: -(-len(hu) // MOST_SLICES)]


def table(found: Counter[tuple[str, str, str]], count: int) -> str:
    """The outcomes of all scales in all views."""
    lines = [
        f"Run of {datetime.now(UTC):%Y-%m-%d} on {count} volumes: how many were refused, of how many, and in brackets",
        "how many were read with the note that the scale could not be checked.\n",
        f"| scale | {' | '.join(VIEWS)} |",
        "|---|" + "---|" * len(VIEWS),
    ]
    for scale in SCALES:
        cells = []
        for view in VIEWS:
            refused, noted, passed = (found[scale, view, word] for word in ("refused", "noted", "passed"))
            cells.append(f"{refused} of {refused + noted + passed} ({noted})")
        lines.append(f"| {scale} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Try all scales on all volumes and print the table; fail when a right scale is refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--seeds", type=int, default=40, help="how many phantoms")
    parser.add_argument("--write", type=Path, help="document whose figures are replaced")
    args = parser.parse_args()
    found: Counter[tuple[str, str, str]] = Counter()
    count = false = 0
    for name, hu in volumes(args.data, args.seeds):
        count += 1
        for view, cut in ((view, cut(hu)) for view, cut in VIEWS.items()):
            if cut is None:
                continue
            for scale, change in SCALES.items():
                result = outcome(change(cut))
                found[scale, view, result.split()[0]] += 1
                if scale == RIGHT and result.startswith("refused"):
                    false += 1
                    sys.stderr.write(f"refused though right: {name}, {view}: {result}\n")
    text = table(found, count)
    sys.stdout.write(text + "\n")
    if args.write:
        head = args.write.read_text(encoding="utf-8").split(MARK)[0]
        args.write.write_text(head + MARK + "\n\n" + text + "\n", encoding="utf-8")
    return int(false > 0)


if __name__ == "__main__":
    sys.exit(main())
