"""The rule that tells mineral from noise (`calcification.foci`): its candidates, its fit, its table.

python tests/accuracy/fit_detection.py dump FOLDER... --out rows.csv [--studies 'STS_*'] [--phantoms 24]
python tests/accuracy/fit_detection.py fit rows.csv [--extra log_voxels,...] [--write]
python tests/accuracy/fit_detection.py leave-out rows.csv FOLDER... [--write docs/accuracy.md]

Candidates are the detector's own: every component that nothing but this rule would reject. They come from the real
studies as they are, from copies with small and faint lesions put in, from changed copies of those, and from phantoms;
`detector_features` also serves ``candidates.py dump --features``. The error is that on studies left out of the fit,
each host with all its copies; the limit is the lowest at which these show at most `ALLOWED` false foci each.
`leave-out` runs the whole analysis of each study, as it is and with lesions put in, with a rule and a limit fitted
without any row of it, and counts lesions as `run_unseen` does.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import Any, Final
from unittest import mock

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  (threads are set before numpy is imported)
from calcphantom import NoRoomError, make_phantom, random_recipe  # noqa: E402
from calcphantom.insert import Host, Inserted, Wish, insert_lesions, map_tissues, read_host  # noqa: E402
from candidates import FIXED, INSIDE_SHARE, LESION, UNKNOWN, Candidate, Fit, fit, label_of, left_out, truth_of  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from perturb import PERTURBATIONS  # noqa: E402
from run_phantoms import acquisition as phantom_acquisition  # noqa: E402
from run_unseen import AS_IT_IS as FIRST  # noqa: E402
from run_unseen import INSERTED, LEAST_BLOCKS, TISSUES, Row, is_chosen, ratio, run_study, table, write_into  # noqa: E402
from unseen_studies import Box, Part, Study, find_studies  # noqa: E402

from calcreport.calcification import analysis, foci, reject  # noqa: E402
from calcreport.calcification.detect import Detection, detect  # noqa: E402
from calcreport.calcification.foci import FEATURES, Focus  # noqa: E402
from calcreport.calcification.scene import Scene  # noqa: E402
from calcreport.dicom import discover, rank_ct_series, read_ct  # noqa: E402
from calcreport.model.image import Acquisition, CtVolume, SliceReference  # noqa: E402
from calcreport.settings import DetectionSettings, ReadingSettings  # noqa: E402

LEFT_OUT_MARKS: Final = (
    "<!-- left out: written by tests/accuracy/fit_detection.py leave-out -->",
    "<!-- end of left out -->",
)

ALLOWED: Final = 0.1
"""False foci a study. A false alarm a day gets the tool switched off; a hospital scans ten limbs a day at most."""
REAL_WEIGHT: Final = 6.0
"""A real focus counts as much as so many that were put in: those have no oedema, no vessel and no bone beside them."""
PHANTOM: Final = "phantom"
AS_IT_IS: Final = "as it is"
CHANGES: Final = ("noise +20 HU", "sharpened", "smoothed", "slices 3:1")
"""Applied to the studies in turn, to a copy with lesions."""
LESIONS: Final = 12
DIAMETERS_MM: Final = (3.0, 14.0)
DENSITIES_HU: Final = (150.0, 700.0)
HERE: Final = Path(__file__).parent
TABLE: Final = HERE.parents[1] / "src/calcreport/calcification/tables/mineral_or_noise.toml"


class _DetectedError(Exception):
    """Ends an analysis once its components are sorted."""

    def __init__(self, scene: Scene, detection: Detection) -> None:
        super().__init__()
        self.scene, self.detection = scene, detection


def candidates_of(volume: CtVolume, acquisition: Acquisition) -> tuple[Scene, Detection]:
    """Sort the components of a volume as if nothing were noise."""

    def stop(scene: Scene, **options: Any) -> Detection:
        raise _DetectedError(scene, detect(scene, **options))

    with mock.patch.object(analysis, "detect", stop), mock.patch.object(reject, "is_mineral", return_value=True):
        try:
            analysis.analyse_ct(volume, acquisition, settings=DetectionSettings())
        except _DetectedError as found:
            return dataclasses.replace(found.scene, components=found.detection.components), found.detection
    msg = "the analysis ended without sorting components"
    raise RuntimeError(msg)


EXTRAS: Final[dict[str, Callable[[Focus, Scene], float]]] = {
    "log_slices": lambda f, s: log(np.ptp(s.components.box[f.component, 0])),
    "has_air": lambda f, _: float(f.air_fraction > 0.02),
    "log_voxels": lambda f, s: log(s.components.voxels[f.component]),
    "log_volume_mm3": lambda f, _: log(f.volume_mm3),
    "log_thickness_mm": lambda f, _: log(f.thickness_mm),
    "local_noise_ratio": lambda f, s: f.background_sd_hu / max(s.noise_hu, 2.0),
    "log_noise_hu": lambda _, s: log(max(s.noise_hu, 2.0)),
    "peak_above_limit_ratio": lambda f, s: (f.peak_hu - f.reference_hu) / max(s.limits.grow - f.reference_hu, 20.0),
    "mean_above_limit_ratio": lambda f, s: (f.mean_hu - f.reference_hu) / max(s.limits.grow - f.reference_hu, 20.0),
    "touches_border": lambda f, _: float(f.touches_border),
    "background_is_fat": lambda f, _: float(f.background_hu < -20),
}
"""Tried beside the features of the table."""


def detector_features(volume: CtVolume, acquisition: Acquisition) -> Iterator[Candidate]:
    """Candidates of the rule with its features and those tried beside them."""
    scene, detection = candidates_of(volume, acquisition)
    for focus in detection.foci:
        numbers = {name: of(focus) for name, of in FEATURES.items()}
        numbers |= {name: of(focus, scene) for name, of in EXTRAS.items()}
        yield detection.components.indices(focus.component), numbers


def faint_lesions(study: Study, host: Host, seed: int) -> Inserted:
    """Host with small and faint balls and lumps clear of what is known of it."""
    boxes = [known.box for known in study.known] + ([] if study.tumour is None else [study.tumour])
    avoid = tuple((tuple(float(v) for v in low), tuple(float(v) for v in high)) for low, high in boxes)
    tissues = map_tissues(host.hu(), host.geometry)
    seen = [tissue for tissue in TISSUES[study.part] if tissues.sites[tissue].sum() >= LEAST_BLOCKS]
    rng = np.random.default_rng((seed, zlib.crc32(study.name.encode())))
    wishes = tuple(
        Wish(
            kind=("punctate", "solid")[n % 2],
            diameter_mm=float(np.exp(rng.uniform(*np.log(DIAMETERS_MM)))),
            hu=float(rng.uniform(*DENSITIES_HU)),
            tissue=seen[n % len(seen)],
        )
        for n in range(LESIONS if seen else 0)
    )
    return insert_lesions(host, wishes, seed=seed, avoid=avoid, tissues=tissues)


def volume_of(host: Host) -> CtVolume:
    """Volume of a host in HU."""
    hu = np.clip(np.rint(host.hu()), -2048, 32767).astype(np.int16)
    slices = tuple(SliceReference(sop_instance_uid=f"2.25.{i}", instance_number=i) for i in range(len(hu)))
    return CtVolume(hu=hu, geometry=host.geometry, slices=slices)


def copies_of(study: Study, seeds: Sequence[int], changes: Sequence[str]) -> Iterator[tuple[str, Host, list[Box]]]:
    """Variants of a study: name, host, boxes of the lesions put in."""
    host = read_host(study.folder)
    yield AS_IT_IS, host, []
    for seed in seeds:
        inserted = faint_lesions(study, host, seed)
        boxes = [(np.array(e.box_lps_mm[0]), np.array(e.box_lps_mm[1])) for e in inserted.lesions]
        yield f"with lesions {seed}", inserted.host, boxes
        if seed == seeds[0]:
            for name in changes:
                yield name, PERTURBATIONS[name](inserted.host).host, boxes


def rows_of_study(study: Study, seeds: Sequence[int], changes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of all variants of a study."""
    with discover([study.folder], settings=ReadingSettings()) as found:
        series = read_ct(rank_ct_series(found.studies[0]).candidates[0], settings=ReadingSettings())
    for variant, host, boxes in copies_of(study, seeds, changes):
        volume = volume_of(host)
        truth = truth_of(study, volume, [{"box_lps_mm": box} for box in boxes])
        for index, numbers in detector_features(volume, series.acquisition):
            label = label_of(index, truth)
            if not variant.startswith("with") or label == LESION:
                yield _row((study.name, study.part.value, variant), volume, (index, numbers), label)


def rows_of_phantom(seed: int) -> Iterator[dict[str, Any]]:
    """Rows of the lesions in one phantom: what else stands out there is an enhanced vessel as often as noise."""
    recipe = random_recipe(seed, has_lesions=bool(seed % 3))
    try:
        volume, truth = make_phantom(recipe)
    except NoRoomError:
        return
    boxes = [np.array(lesion.box_lps_mm) for lesion in truth.lesions]
    for index, numbers in detector_features(volume, phantom_acquisition(recipe)):
        points = volume.geometry.lps_mm(index)
        inside = [((points >= b.min(0) - 2) & (points <= b.max(0) + 2)).all(axis=1).mean() for b in boxes]
        if max(inside, default=0.0) >= INSIDE_SHARE:
            yield _row((f"{PHANTOM} {seed}", PHANTOM, PHANTOM), volume, (index, numbers), LESION)


def _row(names: tuple[str, str, str], volume: CtVolume, candidate: Candidate, label: str) -> dict[str, Any]:
    index, numbers = candidate
    x, y, z = (round(float(v), 1) for v in volume.geometry.lps_mm(index.mean(axis=0)))
    fixed = (*names, 0, len(index), x, y, z, label)
    return dict(zip(FIXED, fixed, strict=True)) | {name: round(float(value), 5) for name, value in numbers.items()}


def dump(args: argparse.Namespace) -> None:
    """Write the rows of all studies chosen, and of phantoms."""
    fields = [*FIXED, *FEATURES, *EXTRAS]
    with tempfile.TemporaryDirectory() as scratch, args.out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fields)
        writer.writeheader()
        studies = [s for s in find_studies(args.data, Path(scratch)) if is_chosen(s, args.studies)]
        for number, study in enumerate(studies):
            changes = [CHANGES[(number + n) % len(CHANGES)] for n in range(args.changes)]
            writer.writerows(rows_of_study(study, args.seeds, changes))
            stream.flush()
            sys.stderr.write(f"{study.name}\n")
        for seed in range(args.phantoms):
            writer.writerows(rows_of_phantom(args.first_phantom + seed))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Rows of the candidates whose nature is known."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    """Shape ``(n, features)``."""
    is_mineral: NDArray[np.bool_]
    study: NDArray[np.str_]
    variant: NDArray[np.str_]
    is_of_another_rule: NDArray[np.bool_]
    """Shape ``(n,)``, each; the last is true for bone, contrast and the like."""
    studies: int
    """Real studies looked at, those without any candidate too."""

    @property
    def is_real(self) -> NDArray[np.bool_]:
        """Whether a row comes from a study as it is."""
        return np.asarray(self.variant == AS_IT_IS)

    @property
    def is_changed(self) -> NDArray[np.bool_]:
        """Whether a row comes from a changed copy."""
        return np.isin(self.variant, list(PERTURBATIONS))

    @property
    def copies(self) -> int:
        """Changed copies with a candidate."""
        return len({*zip(self.study[self.is_changed], self.variant[self.is_changed], strict=True)})

    @property
    def weight(self) -> NDArray[np.float64]:
        """How much a row counts within its class; nothing is learnt from what other rules have to tell."""
        return np.where(self.is_of_another_rule, 0.0, np.where(self.is_real & self.is_mineral, REAL_WEIGHT, 1.0))

    def left_out(self) -> NDArray[np.float64]:
        """Log odds of every row from a fit without its study, shape ``(n,)``."""
        return left_out(self.names, self.values, self.is_mineral, self.study, weight=self.weight)


def known_rows(rows: Sequence[dict[str, str]], names: tuple[str, ...], *, studies: int) -> Rows:
    """Rows to fit on: what nobody knows is left out, and mineral in a cavity is neither owed nor wrong.

    What is false for another reason than noise (bone, contrast) counts as false in an unchanged study, but the rule
    does not learn from it.
    """
    kept = [
        row
        for row in rows
        if row["label"] in {LESION, "noise"}
        or (row["label"] not in {UNKNOWN, "incidental"} and row["variant"] not in PERTURBATIONS)
    ]
    return Rows(
        names=names,
        values=np.array([[float(row[name]) for name in names] for row in kept]),
        is_mineral=np.array([row["label"] == LESION for row in kept]),
        study=np.array([row["study"] for row in kept]),
        variant=np.array([row["variant"] for row in kept]),
        is_of_another_rule=np.array([row["label"] not in {LESION, "noise", "other"} for row in kept]),
        studies=studies,
    )


def limit_for(logit: NDArray[np.float64], rows: Rows) -> float:
    """Lowest log odds, to a tenth, that lets at most `ALLOWED` false foci a study pass.

    That holds for studies as they are and for changed copies. What other rules have to tell is not counted: no limit
    of this one keeps it out.
    """
    limits = []
    for of, volumes in ((rows.is_real, rows.studies), (rows.is_changed, rows.copies)):
        false = np.sort(logit[of & ~rows.is_mineral & ~rows.is_of_another_rule])[::-1]
        allowed = int(ALLOWED * volumes)
        limits.append(float(np.floor(false[allowed] * 10) / 10 + 0.1) if allowed < len(false) else -np.inf)
    return round(max(limits), 1)


def table_of(rows: Rows, made: Fit, logit: NDArray[np.float64], limit: float) -> str:
    """The table with the error on studies left out in its head."""
    passes = logit >= limit
    groups = (("real", rows.is_real), ("put in", np.char.startswith(rows.variant, "with")),
              ("in changed copies", rows.is_changed), ("in phantoms", rows.variant == PHANTOM))  # fmt: skip
    found = [
        f"#   {name}: {int((passes & of & rows.is_mineral).sum())} of {int((of & rows.is_mineral).sum())}"
        for name, of in groups
        if of.any()
    ]
    is_false = passes & ~rows.is_mineral & ~rows.is_of_another_rule
    false = [int((is_false & of).sum()) for of in (rows.is_real, rows.is_changed)]
    lines = [
        "# Whether a dense component is mineral or image noise: logistic regression.",
        "# log-odds of mineral = intercept + sum of weight * (feature - mean) / deviation.",
        "# The features are defined in calcification/foci.py.",
        f"# Written by tests/accuracy/{Path(__file__).name} on {datetime.now(UTC):%Y-%m-%d}: do not edit by hand.",
        f"# {len(logit)} candidates, {int(rows.is_mineral.sum())} of them mineral, from {rows.studies} real studies, "
        f"{rows.copies} changed copies{' and phantoms' * (PHANTOM in rows.variant)}.",
        "# Foci found with their study left out of the fit:",
        *found,
        f"# False foci then: {false[0]} in {rows.studies} studies, {false[1]} in {rows.copies} changed copies.",
        f"accept = {limit:g}",
        f"intercept = {made.intercept:.3f}",
    ]
    for name, mean, scale, weight in zip(made.names, made.mean, made.scale, made.weight, strict=True):
        lines += ["", f"[features.{name}]", f"mean = {mean:.4f}", f"deviation = {scale:.4f}", f"weight = {weight:.3f}"]
    return "\n".join(lines) + "\n"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a dump."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def fitted_without(rows: Sequence[dict[str, str]], study: str) -> tuple[float, float, tuple[Any, ...]]:
    """Rule fitted without any row of a study, in the shape of ``foci._table``."""
    kept = [row for row in rows if row["study"] != study]
    studies = len({row["study"] for row in kept if row["part"] != PHANTOM})
    known = known_rows(kept, tuple(FEATURES), studies=studies)
    made = fit(known.names, known.values, known.is_mineral, weight=known.weight)
    limit = limit_for(known.left_out(), known)
    return limit, made.intercept, tuple(zip(made.names, made.mean, made.scale, made.weight, strict=True))


def leave_out(args: argparse.Namespace) -> str:
    """Figures of every study under a rule that has seen nothing of it."""
    rows, scored = read_rows(args.rows), []
    with tempfile.TemporaryDirectory() as scratch:
        for study in find_studies(args.data, Path(scratch)):
            rule = fitted_without(rows, study.name)
            with mock.patch.object(foci, "_table", return_value=rule):
                scored += run_study(study, perturb=(), insert=args.insert, seed=args.seed, work=Path(scratch))
            sys.stderr.write(f"{study.name}: limit {rule[0]:g}\n")
    return left_out_table(scored)


def left_out_table(rows: Sequence[Row]) -> str:
    """Recall, false lesions and alerts by part of the body, and what was missed and invented."""
    lines, wrong = [], []
    for part in Part:
        plain = [r for r in rows if r.part == part and r.variant == FIRST]
        entries = [
            e for r in rows if r.part == part and r.variant == INSERTED for e in r.inserted if e["is_detectable"]
        ]
        clear = ratio(sum(r.clear_found for r in plain), sum(r.clear for r in plain))
        found = ratio(sum(r.found for r in plain), sum(r.owed for r in plain))
        false = f"{sum(r.false for r in plain) / max(len(plain), 1):.2f}"
        put_in = ratio(sum(e["found"] for e in entries), len(entries))
        lines.append((part.value, len(plain), found, clear, false, sum(r.alerts for r in plain), put_in))
        wrong += [(r.study, f"missed: {what}") for r in plain for what in r.missed]
        wrong += [(r.study, f"false: {what}") for r in plain for what in r.false_as]
    head = "part | studies | found of the reading | of the plain | false a study | cancer alerts | put in, found"
    return f"{table(head, lines)}\n\n{table('study | what', wrong)}"


def fit_rows(args: argparse.Namespace) -> str:
    """Fit the rule on rows that were dumped."""
    rows = read_rows(args.rows)
    names = (*(name for name in FEATURES if name not in args.without), *args.extra)
    studies = len({row["study"] for row in rows if row["part"] != PHANTOM})
    known = known_rows(rows, names, studies=studies)
    logit = known.left_out()
    made = fit(names, known.values, known.is_mineral, weight=known.weight)
    return table_of(known, made, logit, limit_for(logit, known))


def main() -> int:
    """Dump rows, or fit the table on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    dumping = commands.add_parser("dump", help="features and label of every candidate")
    dumping.add_argument("data", type=Path, nargs="*")
    dumping.add_argument("--out", type=Path, required=True)
    dumping.add_argument("--studies", default="*")
    dumping.add_argument("--seeds", type=int, nargs="*", default=(1, 2), help="one copy with lesions each")
    dumping.add_argument("--changes", type=int, default=1, help="changed copies of each study")
    dumping.add_argument("--phantoms", type=int, default=24)
    dumping.add_argument("--first-phantom", type=int, default=5000)
    fitting = commands.add_parser("fit", help="the table and its error on studies left out")
    fitting.add_argument("rows", type=Path)
    fitting.add_argument("--extra", nargs="*", default=(), choices=list(EXTRAS), help="features to try besides")
    fitting.add_argument("--without", nargs="*", default=(), choices=list(FEATURES))
    fitting.add_argument("--write", nargs="?", type=Path, const=TABLE, help="file that is replaced (default the table)")
    leaving = commands.add_parser("leave-out", help="figures of each study under a rule fitted without it")
    leaving.add_argument("rows", type=Path)
    leaving.add_argument("data", type=Path, nargs="*")
    leaving.add_argument("--insert", type=int, default=4, help="lesions put into each study")
    leaving.add_argument("--seed", type=int, default=7, help="of these lesions; those of the rows have others")
    leaving.add_argument("--write", nargs="?", type=Path, const=HERE.parents[1] / "docs" / "accuracy.md")
    args = parser.parse_args()
    if args.command == "dump":
        dump(args)
        return 0
    if args.command == "leave-out":
        text = leave_out(args)
        sys.stdout.write(text + "\n")
        if args.write:
            write_into(args.write, text, LEFT_OUT_MARKS)
        return 0
    text = fit_rows(args)
    sys.stdout.write(text)
    if args.write:
        args.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
