"""Lengths of objects of known size, drawn as contours and masks on grids finer and coarser than the CT.

usage: run_contours.py [--seeds N] [--write docs/accuracy.md]
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from calcreport.calcification.size import outline_lengths
from calcreport.contour.grid import PlacedMask, place_grid
from calcreport.contour.rtstruct import place_structures
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference

TOLERANCES: Final = tomllib.loads(Path(__file__).with_name("contour_tolerances.toml").read_text(encoding="utf-8"))
MARK = "<!-- contours: written by tests/accuracy/run_contours.py -->"
END = "<!-- end of contours -->"
FIELD_MM: Final = 100.0
POINTS: Final = 30

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""Whether points of shape ``(..., 3)``, mm about the middle of the object, lie inside."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How an object is drawn: on every how many slices, or as a mask with its own voxels (slice, row, column), mm."""

    slice_mm: float = 1.0
    every: int = 1
    voxel_mm: tuple[float, float, float] | None = None

    @property
    def step_mm(self) -> float:
        """The coarsest step of the drawing."""
        return max(self.voxel_mm) if self.voxel_mm else self.slice_mm * self.every

    @property
    def name(self) -> str:
        """Words for the table."""
        if self.voxel_mm:
            return "mask, voxels " + " x ".join(f"{v:g}" for v in self.voxel_mm) + " mm"
        nth = {1: "every", 2: "every 2nd", 3: "every 3rd", 5: "every 5th"}[self.every]
        return f"contours on {nth} slice of {self.slice_mm:g} mm"


DRAWINGS: Final = (
    *(Drawing(slice_mm=s, every=n) for s in (1.0, 3.0, 5.0) for n in (1, 2, 3, 5) if s * n <= 15),
    *(Drawing(voxel_mm=(v, v, v)) for v in (1.0, 2.0, 4.0, 6.0)),
    *(Drawing(voxel_mm=(v, 1.0, 1.0)) for v in (3.0, 5.0)),
    Drawing(voxel_mm=(2.0, 4.0, 4.0)),
)


def objects(rng: np.random.Generator) -> Iterator[tuple[str, Inside, float]]:
    """Name, inside and longest diameter (mm) of each object, in a direction of its own."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    axes, half_mm, round_mm, flat_mm = np.array((30.0, 20.0, 15.0)), 18.0, 10.0, 8.0
    yield "ball", lambda p: (p**2).sum(-1) < 23.5**2, 47.0
    yield "ellipsoid", lambda p: (((p @ turn) / axes) ** 2).sum(-1) < 1, 60.0

    def rounded(p: NDArray[np.float64]) -> NDArray[np.bool_]:
        q = p @ turn
        along = np.clip(q[..., 0], -half_mm, half_mm)
        return np.asarray((q[..., 0] - along) ** 2 + q[..., 1] ** 2 + q[..., 2] ** 2 < round_mm**2)

    def flat(p: NDArray[np.float64]) -> NDArray[np.bool_]:
        q = p @ turn
        return np.asarray((np.abs(q[..., 0]) < half_mm + 6) & (q[..., 1] ** 2 + q[..., 2] ** 2 < flat_mm**2))

    yield "tilted rod with round ends", rounded, 2 * (half_mm + round_mm)
    yield "tilted rod with flat ends", flat, 2 * float(np.hypot(half_mm + 6, flat_mm))


def measure(drawing: Drawing, inside: Inside, rng: np.random.Generator) -> tuple[float, float]:
    """Longest diameter and its stated uncertainty, mm, of an object drawn at a chance position."""
    spacing = np.array((drawing.slice_mm, 1.0, 1.0))
    shape = tuple(int(n) for n in np.ceil(FIELD_MM / spacing))
    affine = np.eye(4)
    affine[:3, :3] = np.array(((0, 0, 1), (0, 1, 0), (1, 0, 0))) * spacing  # slice, row, column along z, y, x
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) / 2 + rng.random(3) - 0.5)
    geometry = VolumeGeometry(affine=affine, shape=(shape[0], shape[1], shape[2]))
    placed = _mask(drawing, inside, geometry, rng) if drawing.voxel_mm else _contours(drawing, inside, geometry, rng)
    assert placed.outline is not None
    longest, _, uncertainty_mm = outline_lengths(placed.outline, geometry)
    return longest.length_mm, uncertainty_mm


def _mask(drawing: Drawing, inside: Inside, geometry: VolumeGeometry, rng: np.random.Generator) -> PlacedMask:
    voxel_mm = np.array(drawing.voxel_mm)
    counts = np.ceil(80 / voxel_mm).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = np.array(((0, 0, 1), (0, 1, 0), (1, 0, 0))) * voxel_mm
    affine[:3, 3] = -affine[:3, :3] @ (counts / 2 + rng.random(3) - 0.5)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1)
    voxels = inside(index @ affine[:3, :3].T + affine[:3, 3])
    return place_grid(voxels, affine, geometry, key=1, name="")


def _contours(drawing: Drawing, inside: Inside, geometry: VolumeGeometry, rng: np.random.Generator) -> PlacedMask:
    drawn = []
    side = np.arange(-35.0, 35.5, 1.0)
    raster = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False) + rng.random()
    rays = np.column_stack((np.cos(angles), np.sin(angles)))
    for i in range(int(rng.integers(drawing.every)), geometry.shape[0], drawing.every):
        z = float(geometry.lps_mm(np.array((i, 0, 0)))[2])
        found = raster[inside(np.concatenate((raster, np.full((*raster.shape[:2], 1), z)), axis=-1))]
        if not len(found):
            continue
        middle, low, high = found.mean(axis=0), np.zeros(POINTS), np.full(POINTS, 80.0)
        for _ in range(16):
            radius = (low + high) / 2
            points = np.column_stack((middle + rays * radius[:, None], np.full(POINTS, z)))
            is_in = inside(points)
            low, high = np.where(is_in, radius, low), np.where(is_in, high, radius)
        drawn.append(np.column_stack((middle + rays * low[:, None], np.full(POINTS, z))))
    volume = CtVolume(
        hu=np.zeros(geometry.shape, dtype=np.int16), geometry=geometry,
        slices=tuple(SliceReference(sop_instance_uid=f"1.2.{i}", instance_number=i) for i in range(geometry.shape[0])),
    )  # fmt: skip
    (placed,) = place_structures(_structure_set(drawn), volume, None)
    return placed


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def _structure_set(drawn: list[NDArray[np.float64]]) -> Dataset:
    contours = [
        _item(
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints=len(points),
            ContourData=[round(float(value), 3) for value in points.ravel()],
        )
        for points in drawn
    ]
    return _item(
        StructureSetROISequence=Sequence([_item(ROINumber=1, ROIName="GTV")]),
        ROIContourSequence=Sequence([_item(ReferencedROINumber=1, ContourSequence=Sequence(contours))]),
    )


def figures(drawing: Drawing, seeds: int, first: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors and stated uncertainties of the longest diameter, mm, each of shape ``(objects, seeds)``."""
    errors, stated = [], []
    for seed in range(first, first + seeds):
        rng = np.random.default_rng(seed)
        measured = [(*measure(drawing, inside, rng), true_mm) for _, inside, true_mm in objects(rng)]
        errors.append([length - true_mm for length, _, true_mm in measured])
        stated.append([uncertainty for _, uncertainty, _ in measured])
    return np.array(errors).T, np.array(stated).T


def faults(drawing: Drawing, errors: NDArray[np.float64], stated: NDArray[np.float64]) -> list[str]:
    """What is outside the budget."""
    most = max(TOLERANCES["bias"]["at_most_mm"], TOLERANCES["bias"]["at_most_steps"] * drawing.step_mm)
    least = TOLERANCES["inside"]["at_least"]
    bias, inside = float(errors.mean()), float((np.abs(errors) <= stated).mean())
    found = [f"{drawing.name}: bias {bias:.2f} mm, at most {most:.2f}"] if abs(bias) > most else []
    return found + ([f"{drawing.name}: {inside:.3f} inside, at least {least}"] if inside < least else [])


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--write", type=Path, help="document whose figures are replaced")
    args = parser.parse_args()
    names = [name for name, _, _ in objects(np.random.default_rng(0))]
    lines = [
        f"{args.seeds} positions and directions of each object for each way of drawing.\n",
        "| drawn as | " + " | ".join(f"{name}: bias mm" for name in names) + " | all: bias mm | 95th percentile of "
        "the error mm | stated uncertainty, median mm | true length inside it |",
        "|---|" + "---|" * (len(names) + 4),
    ]
    outside = []
    for drawing in DRAWINGS:
        errors, stated = figures(drawing, args.seeds)
        outside += faults(drawing, errors, stated)
        cells = [*errors.mean(axis=1), errors.mean(), np.percentile(np.abs(errors), 95), np.median(stated)]
        inside = (np.abs(errors) <= stated).mean()
        lines.append(f"| {drawing.name} | " + " | ".join(f"{v:.2f}" for v in cells) + f" | {100 * inside:.0f} % |")
    text = "\n".join(lines)
    sys.stdout.write("\n".join((text, *outside)) + "\n")
    if args.write:
        head, _, rest = args.write.read_text(encoding="utf-8").partition(MARK)
        args.write.write_text(f"{head}{MARK}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return int(bool(outside))


if __name__ == "__main__":
    sys.exit(main())
