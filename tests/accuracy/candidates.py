"""Rows to fit a rule on: features of every dense component of real studies with what it is, and the fit itself.

python tests/accuracy/candidates.py dump FOLDER... --out rows.csv [--features package.module:function] [--insert 6]
python tests/accuracy/candidates.py fit rows.csv --out table.toml

A features function takes a `CtVolume` and an `Acquisition` and yields, for every candidate, the indices of its voxels
(shape ``(n, 3)``) and a mapping of names to numbers. Without one, `plain_features` of this module stands in. The rule
is a logistic regression; its error is that on studies it was not fitted on, each host left out in turn with every
copy that has lesions put into it.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import fnmatch
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from calcphantom.insert import HostError, read_host, write_host
from numpy.typing import NDArray
from run_unseen import inserted_into
from scipy import ndimage, optimize
from unseen_studies import Box, LabelMap, Part, Study, find_studies

from calcreport.dicom import discover, rank_ct_series, read_ct
from calcreport.errors import CalcReportError
from calcreport.model.image import Acquisition, CtVolume
from calcreport.settings import ReadingSettings

Candidate = tuple[NDArray[np.int64], Mapping[str, float]]
FeaturesOf = Callable[[CtVolume, Acquisition], Iterable[Candidate]]

UNKNOWN = "unknown"
"""Nobody can say: the row is kept, and not fitted on."""
LESION = "lesion"
GOLD_LABELS = {
    "skeleton_main": "bone",
    "bone_fragment_or_sesamoid_or_patella_or_rib": "bone",
    "enteric_or_urinary_contrast": "contrast",
    "table_or_external": "external",
    "noise": "noise",
    "tumour_calcification": LESION,
    "vascular_calcification": LESION,
    "phlebolith": LESION,
    "other_soft_tissue_calcification": LESION,
}
MAP_LABELS = {
    "spine": "bone", "bone": "bone", "cartilage": "cartilage", "heart or vessel": "vessel", "lung": "vessel",
    "bowel": "contrast", "airway or organ": "organ", "organ": "organ", "brain": "organ", "spinal canal": "bone",
}  # fmt: skip
READING_HU = 150
"""Limit at which the reading of the limbs was made, on medians of 3 x 3 pixels, 26-connected."""
INSIDE_SHARE = 0.5
"""Share of a candidate's voxels that must lie in a place for it to be that."""
SLACK_MM = 2.0
FIXED = ("study", "part", "variant", "number", "voxels", "x_mm", "y_mm", "z_mm", "label")
"""Columns before the features."""
RIDGE = 1.0
"""Weight of the squared coefficients of standardised features: few studies, many features."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What is known of one volume."""

    study: Study
    volume: CtVolume
    inserted: tuple[Box, ...] = ()
    components: NDArray[np.int32] | None = None
    """Shape of the volume; components of the reading's own pass, 0 for none."""
    names: Mapping[int, str] = dataclasses.field(default_factory=dict)
    """What each of them is."""
    labels: LabelMap | None = None


def truth_of(study: Study, volume: CtVolume, inserted: Sequence[Mapping[str, Any]] = ()) -> Truth:
    """Bring the reading of a study onto the grid of its volume."""
    boxes = tuple((np.array(e["box_lps_mm"][0]), np.array(e["box_lps_mm"][1])) for e in inserted)
    components, names = (None, {}) if study.part is not Part.LIMB else _reading_components(study, volume)
    return Truth(
        study=study,
        volume=volume,
        inserted=boxes,
        components=components,
        names=names,
        labels=None if study.labels is None else LabelMap(study.labels),
    )


def _reading_components(study: Study, volume: CtVolume) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Repeat the pass the reading was made with; a component is the one of the reading whose box it fills."""
    smooth = ndimage.median_filter(volume.hu, size=(1, 3, 3))
    components = np.zeros(volume.hu.shape, dtype=np.int32)
    count = ndimage.label(smooth >= READING_HU, structure=np.ones((3, 3, 3)), output=components)
    names = {}
    step = np.array(volume.geometry.spacing_mm).max()
    for number, window in enumerate(ndimage.find_objects(components, count), start=1):
        ends = np.array([[s.start - 0.5, s.stop - 0.5] for s in window]).T
        corners = volume.geometry.lps_mm(ends)
        box = np.array([corners.min(axis=0), corners.max(axis=0)])
        for place, label, _ in study.components:
            if np.abs(np.array(place) - box).max() < step:
                names[number] = label
                break
    return components, names


def label_of(index: NDArray[np.int64], truth: Truth) -> str:
    """What a candidate is.

    Parameters
    ----------
    index : NDArray[np.int64]
        Shape ``(n, 3)``; its voxels (slice, row, column).
    truth : Truth
        What is known of its volume.

    Returns
    -------
    str
        ``lesion``, ``bone``, ``cartilage``, ``vessel``, ``organ``, ``contrast``, ``noise``, ``external``,
        ``incidental`` (true mineral inside a cavity), ``other`` (false by the reading, which does not say what it
        is) or ``unknown``.
    """
    points = truth.volume.geometry.lps_mm(index)
    if any(_share_in(points, box) >= INSIDE_SHARE for box in truth.inserted):
        return LESION
    for known in truth.study.known:
        if _share_in(points, known.box) >= INSIDE_SHARE:
            if not known.owed:
                return UNKNOWN
            return "incidental" if known.is_listed_enough else LESION
    match truth.study.part:
        case Part.TRUNK:
            return "other"
        case Part.EXAMPLE:
            structure = "" if truth.labels is None else truth.labels.structure(points[:: max(1, len(points) // 200)])
            return MAP_LABELS.get(structure, UNKNOWN)
        case _:
            return _limb_label(index, points, truth)


def _limb_label(index: NDArray[np.int64], points: NDArray[np.float64], truth: Truth) -> str:
    if truth.components is not None:
        numbers = truth.components[tuple(index.T)]
        within = numbers[numbers > 0]
        if len(within):
            name = truth.names.get(int(np.bincount(within).argmax()))
            if name is not None:
                return GOLD_LABELS.get(name, UNKNOWN)
    inside = [
        (float(np.prod(box[1] - box[0])), label)
        for box, label, _ in truth.study.components
        if label != "skeleton_main" and _share_in(points, box) >= INSIDE_SHARE
    ]
    # Unlisted by a reading that lists all above a few mm3: too faint or too small to be anything.
    return GOLD_LABELS.get(min(inside)[1], UNKNOWN) if inside else "noise"


def _share_in(points: NDArray[np.float64], box: Box) -> float:
    return float(((points >= box[0] - SLACK_MM) & (points <= box[1] + SLACK_MM)).all(axis=1).mean())


def plain_features(volume: CtVolume, acquisition: Acquisition) -> Iterator[Candidate]:  # noqa: ARG001
    """Components at 150 HU of at least 10 mm3, with size, density, shape and surroundings."""
    smooth = ndimage.median_filter(volume.hu, size=(1, 3, 3))
    components, count = ndimage.label(smooth >= READING_HU, structure=np.ones((3, 3, 3)))
    cell, step = volume.geometry.voxel_volume_mm3, np.array(volume.geometry.spacing_mm)
    for number, window in enumerate(ndimage.find_objects(components, count), start=1):
        grown = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in window)
        mask = components[grown] == number
        if mask.sum() * cell < 10:
            continue
        values = volume.hu[grown][mask].astype(float)
        shell = ndimage.binary_dilation(mask, iterations=2) & ~ndimage.binary_dilation(mask)
        around = volume.hu[grown][shell].astype(float)
        index = np.argwhere(mask) + np.array([s.start for s in grown])
        extent = np.sort(np.ptp(index, axis=0) * step + step)
        yield (
            index,
            {
                "log_volume_mm3": float(np.log(mask.sum() * cell)),
                "peak_hu": float(values.max()),
                "mean_hu": float(values.mean()),
                "deviation_hu": float(values.std()),
                "longest_mm": float(extent[-1]),
                "elongation_ratio": float(extent[-1] / extent[0]),
                "fill_share": float(mask.sum() * cell / np.prod(extent)),
                "around_hu": float(np.median(around)) if len(around) else 0.0,
                "around_deviation_hu": float(around.std()) if len(around) else 0.0,
                "is_at_border": float(_is_at_border(index, volume.hu.shape)),
            },
        )


def _is_at_border(index: NDArray[np.int64], shape: tuple[int, ...]) -> bool:
    return bool((index.min(axis=0) == 0).any() or (index.max(axis=0) == np.array(shape) - 1).any())


def rows_of(study: Study, features: FeaturesOf, *, insert: int, seed: int, work: Path) -> Iterator[dict[str, Any]]:
    """Rows of a study as it is, and of its copy with lesions: of that only the lesions, the rest is the same."""
    yield from _rows(study, study.folder, features, "as it is", ())
    if not insert:
        return
    try:
        inserted = inserted_into(study, read_host(study.folder), insert, seed)
    except HostError:
        return
    with tempfile.TemporaryDirectory(dir=work) as folder:
        write_host(inserted.host, Path(folder), salt=study.name)
        lesions = [dataclasses.asdict(lesion) for lesion in inserted.lesions if lesion.is_detectable]
        rows = _rows(study, Path(folder), features, "with lesions", lesions)
        yield from (row for row in rows if row["label"] == LESION and row.pop("is_inserted"))


def _rows(
    study: Study, folder: Path, features: FeaturesOf, variant: str, inserted: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    settings = ReadingSettings()
    try:
        with discover([folder], settings=settings) as found:
            series = read_ct(rank_ct_series(found.studies[0]).candidates[0], settings=settings)
    except CalcReportError:
        return
    truth = truth_of(study, series.volume, inserted)
    for number, (index, numbers) in enumerate(features(series.volume, series.acquisition)):
        x, y, z = (round(float(v), 1) for v in series.volume.geometry.lps_mm(index.mean(axis=0)))
        fixed = (study.name, study.part.value, variant, number, len(index), x, y, z, label_of(index, truth))
        row = dict(zip(FIXED, fixed, strict=True)) | {name: float(value) for name, value in numbers.items()}
        if inserted:
            points = series.volume.geometry.lps_mm(index)
            row["is_inserted"] = any(_share_in(points, box) >= INSIDE_SHARE for box in truth.inserted)
        yield row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A logistic rule on standardised features: ``intercept + sum(weight * (value - mean) / scale)``."""

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    intercept: float

    def logit(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log odds of being a lesion for features of shape ``(n, features)``."""
        return np.asarray((values - self.mean) / self.scale @ self.weight + self.intercept)


def fit(
    names: tuple[str, ...],
    values: NDArray[np.float64],
    is_lesion: NDArray[np.bool_],
    ridge: float = RIDGE,
    weight: NDArray[np.float64] | None = None,
) -> Fit:
    """Fit by penalised likelihood, both classes weighing the same (values of shape ``(n, features)``).

    `weight`, shape ``(n,)``, says how much a row counts within its class.
    """
    mean, scale = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    x = np.column_stack(((values - mean) / scale, np.ones(len(values))))
    sign = np.where(is_lesion, 1.0, -1.0)
    weight = np.ones(len(values)) if weight is None else weight
    of_class = np.where(is_lesion, weight[is_lesion].sum(), weight[~is_lesion].sum())
    share = 0.5 * len(values) * weight / np.maximum(of_class, 1e-9)
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 0.0

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (x @ w)
        slope = -sign * share / (1 + np.exp(np.clip(margin, -500, 500)))
        return (
            float(share @ np.logaddexp(0, -margin) + 0.5 * penalty @ w**2),
            np.asarray(x.T @ slope + penalty * w),
        )

    w = optimize.minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return Fit(names=names, mean=mean, scale=scale, weight=w[:-1], intercept=float(w[-1]))


def left_out(
    names: tuple[str, ...],
    values: NDArray[np.float64],
    is_lesion: NDArray[np.bool_],
    host: NDArray[np.str_],
    ridge: float = RIDGE,
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Log odds of every row from a fit that has not seen its host, shape ``(n,)``."""
    logit = np.zeros(len(values))
    for name in np.unique(host):
        out = host == name
        kept = None if weight is None else weight[~out]
        logit[out] = fit(names, values[~out], is_lesion[~out], ridge, kept).logit(values[out])
    return logit


def area_under_curve(logit: NDArray[np.float64], is_lesion: NDArray[np.bool_]) -> float:
    """Chance that a lesion scores higher than something else; ties count half."""
    yes, no = logit[is_lesion], np.sort(logit[~is_lesion])
    if not len(yes) or not len(no):
        return float("nan")
    below, upto = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
    return float((below + upto).mean() / 2 / len(no))


def recall_at(
    false_per_study: float, logit: NDArray[np.float64], is_lesion: NDArray[np.bool_], studies: int
) -> tuple[float, float]:
    """Share of lesions above the limit that lets so many others a study pass, and that limit (log odds)."""
    no = np.sort(logit[~is_lesion])[::-1]
    allowed = int(false_per_study * studies)
    limit = float(no[allowed]) if allowed < len(no) else -np.inf
    return float((logit[is_lesion] > limit).mean()), limit


def fit_table(rows: Sequence[Mapping[str, str]], ridge: float = RIDGE) -> str:
    """Coefficients as TOML, with the error on studies left out in its header."""
    kept = [row for row in rows if row["label"] not in {UNKNOWN, "incidental"}]
    names = tuple(name for name in rows[0] if name not in FIXED)
    values = np.array([[float(row[name]) for name in names] for row in kept])
    is_lesion = np.array([row["label"] == LESION for row in kept])
    host = np.array([row["study"] for row in kept])
    is_real = np.array([row["variant"] == "as it is" for row in kept])
    studies = len(np.unique(host))
    logit = left_out(names, values, is_lesion, host, ridge)
    made = fit(names, values, is_lesion, ridge)
    lines = [
        "# Logistic rule: log odds = intercept + sum of weight * (value - mean) / scale.",
        f"# Fitted {datetime.now(UTC):%Y-%m-%d} by tests/accuracy/candidates.py, ridge {ridge:g}.",
        f"# {len(kept)} candidates of {studies} studies; {int(is_lesion.sum())} lesions, "
        f"{int((is_lesion & is_real).sum())} of them real, the rest put in.",
        "# Error on studies left out of the fit, each in turn with its copies:",
        f"# area under the curve {area_under_curve(logit, is_lesion):.3f}",
    ]
    for allowed in (0.1, 0.5, 1.0, 2.0):
        share, limit = recall_at(allowed, logit, is_lesion, studies)
        found = (logit > limit)[is_lesion & is_real]
        shown = f"{found.mean():.2f}" if len(found) else "-"
        lines.append(f"# at {allowed:g} false a study (limit {limit:.2f}): lesions {share:.2f}, real ones {shown}")
    _, limit = recall_at(0.5, logit, is_lesion, studies)
    for label in sorted({row["label"] for row in kept} - {LESION}):
        of = np.array([row["label"] == label for row in kept])
        lines.append(f"# {label}: {int(of.sum())}, of them {int((logit[of] > limit).sum())} at 0.5 false a study")
    lines += [f"intercept = {made.intercept:.6g}", "", "[feature]"]
    for name, mean, scale, weight in zip(names, made.mean, made.scale, made.weight, strict=True):
        lines.append(f"{json.dumps(name)} = {{ mean = {mean:.6g}, scale = {scale:.6g}, weight = {weight:.6g} }}")
    return "\n".join(lines) + "\n"


def features_named(name: str) -> FeaturesOf:
    """Features function of a name ``package.module:function``."""
    module, _, function = name.partition(":")
    loaded: FeaturesOf = getattr(importlib.import_module(module), function)
    return loaded


def dump(args: argparse.Namespace) -> None:
    """Write the rows of all studies chosen."""
    features = features_named(args.features) if args.features else plain_features
    with tempfile.TemporaryDirectory() as scratch, args.out.open("w", newline="", encoding="utf-8") as stream:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        writer = None
        for study in find_studies(args.data, work):
            if not any(fnmatch.fnmatch(study.name, pattern) for pattern in args.studies.split(",")):
                continue
            for row in rows_of(study, features, insert=args.insert, seed=args.seed, work=work):
                if writer is None:
                    writer = csv.DictWriter(stream, list(row))
                    writer.writeheader()
                writer.writerow(row)
            sys.stderr.write(f"{study.name}\n")


def main() -> int:
    """Dump rows, or fit a rule on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    dumping = commands.add_parser("dump", help="features and label of every candidate")
    dumping.add_argument("data", type=Path, nargs="*")
    dumping.add_argument("--out", type=Path, required=True)
    dumping.add_argument("--features", help="package.module:function")
    dumping.add_argument("--studies", default="*")
    dumping.add_argument("--insert", type=int, default=6)
    dumping.add_argument("--seed", type=int, default=1)
    dumping.add_argument("--work", type=Path)
    fitting = commands.add_parser("fit", help="coefficients and their error on studies left out")
    fitting.add_argument("rows", type=Path)
    fitting.add_argument("--out", type=Path)
    fitting.add_argument("--ridge", type=float, default=RIDGE)
    args = parser.parse_args()
    if args.command == "dump":
        dump(args)
        return 0
    with args.rows.open(newline="", encoding="utf-8") as stream:
        text = fit_table(list(csv.DictReader(stream)), args.ridge)
    sys.stdout.write(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
