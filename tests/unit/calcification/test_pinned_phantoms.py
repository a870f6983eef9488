"""What the analysis makes of phantoms of every region, pinned: maps of body and bones, lesions, what was set aside.

The other tests of these packages ask one thing of a small painted body each. Here the whole search runs on whole
regions, and a change of any step that moves a result shows as a difference, to be read like that of a golden report:
CALCREPORT_UPDATE_PINS=1 writes the file again. Counts of voxels may differ by half a percent, lengths by 0.1 mm.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import calcphantom
import numpy as np
import pytest
from calcphantom import Region, make_phantom
from calcphantom.body_recipes import body_recipe
from calcphantom.kinds import random_recipe

import calcreport.model
from calcreport.anatomy.body import find_body, find_envelope
from calcreport.anatomy.body_map import find_body_map
from calcreport.anatomy.bone_map import find_bone_map
from calcreport.anatomy.coarse import coarsen, volume_noise_hu
from calcreport.calcification.analysis import analyse_ct
from calcreport.model.image import Acquisition
from calcreport.settings import Settings

CACHE: Final = Path(__file__).parents[3] / ".pytest_cache/phantoms"
EXPECTED: Final = Path(__file__).with_name("pinned_phantoms.json")
SEEDS: Final = {
    **dict.fromkeys(("thorax 702", "thorax 704", "thorax 709", "thorax 710"), Region.THORAX),
    **dict.fromkeys(("abdomen 702", "abdomen 705", "abdomen 706", "abdomen 709"), Region.ABDOMEN),
    "shoulder 701": Region.SHOULDER, "hand 701": Region.HAND, "foot 702": Region.FOOT,
    **dict.fromkeys(("neck 711", "neck 716", "pelvis 703", "pelvis 722", "thigh 706", "thigh 709", "thigh 712",
                     "thigh 714", "calf 717", "calf 727")),
}  # fmt: skip
"""Name with the seed, and region where it is drawn by region: lesions, plaques, cartilage, contrast, cut fields."""
COARSER: Final = 1.6  # times the pixel of the recipe, so that a test takes a second


def _phantom(name: str) -> Any:
    region, seed = SEEDS[name], int(name.split()[1])
    recipe = random_recipe(seed, has_lesions=True) if region is None else body_recipe(seed, region, has_lesions=True)
    scan = replace(
        recipe.scan, pixel_mm=COARSER * recipe.scan.pixel_mm, spacing_mm=max(2.5, recipe.scan.spacing_mm),
        thickness_mm=None,
    )  # fmt: skip
    recipe = replace(recipe, scan=scan, length_mm=min(recipe.length_mm or 150.0, 150.0))
    return make_phantom(recipe)[0], Acquisition(kvp=scan.kvp, contrast=scan.contrast)


@pytest.fixture(scope="module")
def phantom(request: pytest.FixtureRequest) -> Any:
    """Name, volume and acquisition of a phantom; kept while what makes phantoms stays as it is."""
    folders = (Path(calcphantom.__file__).parent, Path(calcreport.model.__file__).parent)
    sources = b"".join(path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py")))
    kept = CACHE / f"{request.param}-{hashlib.sha256(sources).hexdigest()[:16]}.pickle"
    CACHE.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        made = kept.with_suffix(f".{os.getpid()}")
        made.write_bytes(pickle.dumps(_phantom(request.param)))
        made.rename(kept)
    return request.param, *pickle.loads(kept.read_bytes())  # noqa: S301 - written above


def _maps(volume: Any) -> dict[str, Any]:
    """Sizes of what the maps mark, and the parts of the body by level."""
    coarse = coarsen(volume)
    body = find_body(coarse)
    bones = find_bone_map(volume, coarse, body, volume_noise_hu(volume.hu))
    places = find_body_map(coarse, body, bones.on_coarse(coarse), volume.geometry)
    envelope = find_envelope(coarse, body, bones.on_coarse(coarse))
    points = np.argwhere(body.mask)[:: max(1, int(body.mask.sum()) // 400)] * coarse.step
    found = [places.place(volume.geometry.lps_mm(point)) for point in points.astype(np.float64)]
    regions: dict[str, int] = {}
    for place in found:
        key = f"{place.laterality} {place.region} {place.cavity.name}"
        regions[key] = regions.get(key, 0) + 1
    return {
        "voxels": {
            "body": int(body.mask.sum()), "firm": int(body.firm.sum()), "muscles": int(envelope.mask.sum()),
            "bone": int(bones.bone.sum()), "free": int(bones.free.sum()), "cartilage": int(bones.cartilage.sum()),
            "lumen": int(bones.lumen.sum()), "pools": int(bones.pools.sum()), "cage": int(places.cage.sum()),
            **{f"cavity {n}": int(count) for n, count in enumerate(np.bincount(places.cavity.ravel())) if n},
        },
        "lumen_hu": bones.lumen_hu and round(bones.lumen_hu), "doubt": bones.doubt, "regions": list(places.regions),
        "places": dict(sorted(regions.items())),
    }  # fmt: skip


def _findings(volume: Any, acquisition: Acquisition) -> dict[str, Any]:
    """Everything that a report says of lesions, and what was set aside."""
    found = analyse_ct(volume, acquisition, settings=Settings().detection)
    return {
        "limits": [round(found.thresholds.grow), round(found.thresholds.seed)],
        "lesions": [
            {
                "mm": [lesion.size.max_diameter_mm, lesion.size.axial_short_mm, lesion.depth.skin_distance_mm,
                       lesion.depth.fascia_distance_mm],
                "voxels": lesion.mineral and int(lesion.mineral.voxels.sum()),
                "words": [
                    lesion.depth.class_, lesion.pattern.id, lesion.pattern.confidence, lesion.bone_relation,
                    lesion.location.region, lesion.location.laterality, lesion.foci.count,
                ],
            }
            for lesion in found.lesions
        ],
        "excluded": [[row.reason, row.detail, row.count] for row in found.excluded],
        "incidental": [[row.kind, row.structure, row.first_slice, row.last_slice] for row in found.incidental],
        "notes": [*found.notes, *(doubt.code for doubt in found.doubts)],
    }  # fmt: skip


def _alike(now: Any, then: Any, *, relative: float = 0.0, absolute: float = 0.0) -> bool:
    """Whether two trees are the same; numbers within `relative`, or within `absolute`."""
    if isinstance(now, dict) and isinstance(then, dict):
        limits = {"voxels": {"relative": 0.005}, "mm": {"absolute": 0.1}}
        same = {"relative": relative, "absolute": absolute}
        return now.keys() == then.keys() and all(_alike(now[k], then[k], **limits.get(k, same)) for k in now)
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(
            _alike(a, b, relative=relative, absolute=absolute) for a, b in zip(now, then, strict=True)
        )
    if isinstance(now, float | int) and isinstance(then, float | int):
        return abs(now - then) <= max(absolute, relative * abs(then), 1e-9)
    return bool(now == then)


@pytest.mark.slow
@pytest.mark.parametrize("phantom", SEEDS, indirect=True)
@pytest.mark.parametrize("what", ["maps", "findings"])
def test_a_phantom_is_analysed_as_it_was(phantom: Any, what: str) -> None:
    name, volume, acquisition = phantom
    now = json.loads(json.dumps(_maps(volume) if what == "maps" else _findings(volume, acquisition), default=_plain))
    kept = json.loads(EXPECTED.read_text(encoding="utf-8")) if EXPECTED.exists() else {}
    if os.environ.get("CALCREPORT_UPDATE_PINS"):
        kept.setdefault(name, {})[what] = now
        EXPECTED.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    then = kept[name][what]
    differing = {key: (now[key], then[key]) for key in then if not _alike({key: now[key]}, {key: then[key]})}
    assert not differing, differing


def _plain(value: Any) -> Any:
    """A number that JSON does not know."""
    return round(float(value), 2)
