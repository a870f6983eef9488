"""How mineral in cartilage (P16) and tophi (P17) of hand, knee and foot are found and named on CT, in both definitions.

python tests/accuracy/run_joint_patterns.py --first 500 --seeds 3
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from typing import Final

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  (threads are set before numpy is imported)
from calcphantom import (  # noqa: E402
    Extra,
    Kernel,
    Layer,
    LesionRecipe,
    NoRoomError,
    PhantomRecipe,
    Region,
    ScanRecipe,
    make_phantom,
)
from calcphantom.recipe import RoughLesionRecipe  # noqa: E402
from calcphantom.scoring import score_study  # noqa: E402
from run_phantoms import acquisition  # noqa: E402

from calcreport.calcification.analysis import analyse_ct  # noqa: E402
from calcreport.settings import DetectionSettings  # noqa: E402

CASES: Final = (
    ("P17", Region.FOOT, "ankle fat", (7.0, 13.0), (165.0, 230.0), Layer.SUBCUTANEOUS),
    ("P17", Region.HAND, "finger", (6.0, 9.0), (165.0, 230.0), Layer.SUBCUTANEOUS),
    ("P16", Region.HAND, None, (8.0, 18.0), (400.0, 700.0), Layer.SUBFASCIAL),
    ("P16", Region.CALF, None, (8.0, 18.0), (400.0, 700.0), Layer.SUBFASCIAL),
)
"""Pattern, region, place, diameters in mm, densities in HU, layer."""


def outcome(seed: int, number: int, definition: type[LesionRecipe]) -> str:
    """What came of one lesion: its name and how sure that is, or why there is none."""
    pattern, region, site, size, density, layer = CASES[number]
    rng = np.random.default_rng([seed, 5])
    lesion = definition(
        pattern=pattern, diameter_mm=float(rng.uniform(*size)), hu=float(rng.uniform(*density)), layer=layer, site=site
    )
    scan = ScanRecipe(
        pixel_mm=float(rng.uniform(0.3, 0.6)), spacing_mm=float(rng.choice([0.6, 1.0, 1.5, 2.0])),
        noise_hu=float(rng.uniform(10, 22)), kernel=Kernel.STANDARD,
    )  # fmt: skip
    extras = (Extra.KNEE_END,) if region is Region.CALF else ()
    recipe = PhantomRecipe(kind="joint", region=region, seed=seed, lesions=(lesion,), scan=scan, extras=extras)
    try:
        volume, truth = make_phantom(recipe)
    except NoRoomError:
        return "no room"
    found = analyse_ct(volume, acquisition(recipe), settings=DetectionSettings(), contrast=None)
    score = score_study(found, truth, voxel_diagonal_mm=volume.geometry.voxel_diagonal_mm).lesions[0]
    if not score.is_found:
        return "not found" if score.is_required else "not found, too faint or joined to bone"
    return f"{score.pattern} {score.confidence}"


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for seed in range(args.first, args.first + args.seeds):
        for number, case in enumerate(CASES):
            for definition in (LesionRecipe, RoughLesionRecipe):
                name = "second" if definition is RoughLesionRecipe else "first"
                counts[case[0], case[1].value, name, outcome(seed, number, definition)] += 1
    rows = [f"| {' | '.join(key)} | {count} |" for key, count in sorted(counts.items())]
    head = ("| pattern | region | definition | named | lesions |", "|---|---|---|---|---|")
    sys.stdout.write("\n".join((*head, *rows)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
