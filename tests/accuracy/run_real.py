"""Hold the image analysis against a reading of real CT studies, case by case.

python tests/accuracy/run_real.py DATA [--write docs/real_cases.md]

DATA holds one folder per case, ``CASE/CT/image`` with a CT series and ``CASE/CT/mask`` with an RTSTRUCT of the mass
(the layout of the public soft-tissue sarcoma cases of the IBSI validation data set), and ``gold.json`` with a reading:
``cases[]`` with ``case``, ``origin_lps``, ``spacing_zyx_mm``, ``gtv`` and ``findings[]`` (``name``, ``label``,
``confidence``, ``bbox_zyx``, ``hu_max``, ``depth_to_fascia``, ``touches_bone_component_at_150``,
``below_150HU_size_limit``). Neither images nor reading are part of this repository.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from calcreport.calcification.analysis import analyse_ct
from calcreport.contour.read import read_lesion_masks
from calcreport.dicom import discover, rank_ct_series, read_ct
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.report import DepthClass
from calcreport.settings import DetectionSettings, ReadingSettings

MARK = "<!-- figures: written by tests/accuracy/run_real.py -->"
SURE = 0.7
SLACK_MM = 2.0
NOT_ASKED = ("prostate", "tracheal", "linea_aspera", "abdominal_wall", "periosteal")
"""Organ calcification, and places the reading could not decide."""
DEEP = {DepthClass.SUBFASCIAL, DepthClass.JUXTACORTICAL, DepthClass.CROSSES_FASCIA}
SHALLOW = {DepthClass.CUTANEOUS, DepthClass.SUBCUTANEOUS}


@dataclass
class Tally:
    """Counts over all cases."""

    asked: int = 0
    found: int = 0
    fused: int = 0
    fused_found: int = 0
    false: int = 0
    depth_asked: int = 0
    depth_right: int = 0
    mass: int = 0
    mass_size: int = 0
    mass_depth: int = 0
    rows: list[str] = field(default_factory=list)


def box_of(case: dict[str, Any], bbox: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Box of a finding, LPS mm, grown by the slack."""
    origin, step = np.array(case["origin_lps"]), np.array(case["spacing_zyx_mm"])
    edges = (np.array(bbox, dtype=float) - 0.5) * step[:, None]
    return origin + edges[::-1, 0] - SLACK_MM, origin + edges[::-1, 1] + SLACK_MM


def touches(lesion: MeasuredLesion, box: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether a lesion's box meets another."""
    low, high = np.array(lesion.location.bbox_lps_mm)
    return bool((low <= box[1]).all() and (high >= box[0]).all())


def analyse(folder: Path) -> tuple[CtFindings, CtFindings]:
    """Findings without and with the contour of the mass."""
    reading = ReadingSettings()
    with discover([folder / "CT" / "image"], settings=reading) as found:
        series = read_ct(rank_ct_series(found.studies[0]).candidates[0], settings=reading)
    mask = next((folder / "CT" / "mask").iterdir())
    contours = read_lesion_masks(mask, series.volume)
    settings = DetectionSettings()
    return (
        analyse_ct(series.volume, series.acquisition, settings=settings),
        analyse_ct(series.volume, series.acquisition, settings=settings, contours=contours),
    )


def hold_findings(case: dict[str, Any], findings: CtFindings, tally: Tally) -> str:
    """Compare the lesions of one case with its reading; returns words for the table."""
    used: set[int] = set()
    seen: list[dict[str, Any]] = []
    missed: list[dict[str, Any]] = []
    for item in case["findings"]:
        hits = [i for i, lesion in enumerate(findings.lesions) if touches(lesion, box_of(case, item["bbox_zyx"]))]
        used.update(hits)
        skip = item["confidence"] < SURE or item["below_150HU_size_limit"] or any(w in item["name"] for w in NOT_ASKED)
        if skip:
            continue
        (seen if hits else missed).append(item)
        if item["touches_bone_component_at_150"]:
            tally.fused += 1
            tally.fused_found += bool(hits)
            continue
        tally.asked += 1
        tally.found += bool(hits)
        side = (item.get("depth_to_fascia") or "").split(" ")[0]
        if hits and side in ("deep", "superficial"):
            tally.depth_asked += 1
            tally.depth_right += findings.lesions[hits[0]].depth.class_ in (DEEP if side == "deep" else SHALLOW)
    false = len(findings.lesions) - len(used)
    tally.false += false
    return f"{len(seen)} | {len(missed)} | {false}"


def hold_mass(case: dict[str, Any], findings: CtFindings, tally: Tally) -> str:
    """Compare the measured contour with its reading."""
    masses = [lesion for lesion in findings.lesions if lesion.mass.source == "contour"]
    lesion = max(masses, key=lambda item: item.mass.max_diameter_mm or 0.0)
    measured, read = lesion.mass.max_diameter_mm or 0.0, case["gtv"]["max_3d_diameter_mm"]
    tally.mass += 1
    tally.mass_size += abs(measured - read) <= max(4.0, 0.03 * read)
    layer, side = lesion.mass.depth_class, case["gtv"]["depth_class"]
    agrees = layer is DepthClass.ABUTS_FASCIA or (layer in SHALLOW) == (side == "superficial")
    tally.mass_depth += agrees
    return f"{measured - read:+.1f} | {'yes' if agrees else 'no'}"


def main() -> int:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", type=Path, help="document whose figures are replaced")
    args = parser.parse_args()
    tally = Tally()
    for case in json.loads((args.data / "gold.json").read_text(encoding="utf-8"))["cases"]:
        plain, contoured = analyse(args.data / case["case"])
        words = hold_findings(case, plain, tally)
        tally.rows.append(f"| {case['case']} | {words} | {hold_mass(case, contoured, tally)} |")
        sys.stderr.write(f"{case['case']}\n")
    cases = len(tally.rows)
    text = "\n".join(
        (
            f"Run of {datetime.now(UTC):%Y-%m-%d} on {cases} cases.\n",
            "| figure | value |",
            "|---|---|",
            f"| findings of the reading that are found | {tally.found} of {tally.asked} |",
            f"| mineral fused with the cortex that is found | {tally.fused_found} of {tally.fused} |",
            f"| lesions the reading does not have | {tally.false} ({tally.false / cases:.2f} a case) |",
            f"| deep or superficial as read | {tally.depth_right} of {tally.depth_asked} |",
            f"| mass by contour: diameter within 4 mm or 3 % | {tally.mass_size} of {tally.mass} |",
            f"| mass by contour: layer agrees, or abuts the fascia | {tally.mass_depth} of {tally.mass} |\n",
            "| case | found | missed | not in the reading | mass diameter minus reading, mm | mass layer agrees |",
            "|---|---|---|---|---|---|",
            *tally.rows,
        )
    )
    sys.stdout.write(text + "\n")
    if args.write:
        head = args.write.read_text(encoding="utf-8").split(MARK)[0]
        args.write.write_text(head + MARK + "\n\n" + text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
