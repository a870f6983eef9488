"""Write the bundled sample studies: ``python -m calcphantom.samples sample_dicoms``."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calcphantom.dicom_series import write_study
from calcphantom.film.samples import FILM_SAMPLES, film_entry, write_film_samples
from calcphantom.kinds import KINDS
from calcphantom.recipe import PhantomRecipe, ScanRecipe
from calcphantom.study import STUDY_NUMBER, identifier, make_phantom, uid_stem
from calcphantom.truth import LesionTruth, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A bundled study.

    Parameters
    ----------
    name : str
        Folder name.
    kind : str
        A key of `KINDS`.
    seed : int
        Seed of the recipe.
    transfer_syntax : str
        A key of `TRANSFER_SYNTAXES`.
    scan : ScanRecipe
        Scanner settings.
    clinical : str
        Clinical data as YAML, written beside the folder; empty for none.
    """

    name: str
    kind: str
    seed: int
    transfer_syntax: str
    scan: ScanRecipe
    clinical: str = ""

    def recipe(self) -> PhantomRecipe:
        """Return the recipe of the study."""
        return KINDS[self.kind].recipe(self.kind, seed=self.seed, scan=self.scan)


SAMPLES: Final = (
    Sample(
        name="phlebolith_pelvis",
        kind="phlebolith",
        seed=11,
        transfer_syntax="jpeg-ls",
        scan=ScanRecipe(pixel_mm=1.0, spacing_mm=2.0, noise_hu=14),
        clinical="""\
patient: {age_years: 25, sex: F}
site: {region: pelvis}
symptoms: {symptomatic: no, pain: no}
conditions: {ckd_stage: 0, dialysis: no}
""",
    ),
    Sample(
        name="phleboliths_thigh",
        kind="venous-malformation",
        seed=11,
        transfer_syntax="jpeg-ls",
        scan=ScanRecipe(pixel_mm=1.0, spacing_mm=2.0, noise_hu=14),
        clinical="""\
patient: {age_years: 25, sex: F}
site: {region: thigh, laterality: right}
symptoms: {symptomatic: no, pain: no}
conditions: {ckd_stage: 0, dialysis: no}
""",
    ),
    Sample(
        name="myositis_calf",
        kind="myositis-ossificans",
        seed=31,
        transfer_syntax="jpeg-ls",
        scan=ScanRecipe(pixel_mm=0.7, spacing_mm=1.5, noise_hu=11),
        clinical="""\
patient: {age_years: 22, sex: M}
site: {region: calf, laterality: right}
symptoms: {symptomatic: yes, pain: yes, pain_explained_by: trauma, point_tenderness: yes, inflammation: no, fever: no}
growth: {rate: none}
history: {trauma: yes, trauma_weeks_ago: 8, surgery_at_site: no, malignancy: no, radiotherapy_at_site: no}
request: {question: "Firm swelling of the calf eight weeks after a football contusion."}
""",
    ),
    Sample(
        name="myonecrosis_calf",
        kind="calcific-myonecrosis",
        seed=13,
        transfer_syntax="jpeg-ls",
        scan=ScanRecipe(pixel_mm=0.8, spacing_mm=2.5, thickness_mm=3.0, noise_hu=12),
        clinical="""\
patient: {age_years: 70, sex: M}
site: {region: calf, laterality: right}
symptoms: {symptomatic: yes, pain: no}
mass: {palpable: yes, mobility: fixed}
growth: {rate: slow}
history: {trauma: yes, compartment_syndrome: yes, malignancy: no}
request: {question: "Swelling of the leg, slowly growing, forty years after a compartment syndrome."}
""",
    ),
    Sample(
        name="tumoral_calcinosis_hip",
        kind="tumoral-calcinosis",
        seed=14,
        transfer_syntax="jpeg2000",
        scan=ScanRecipe(pixel_mm=1.1, spacing_mm=2.5, noise_hu=13),
        clinical="""\
patient: {age_years: 40, sex: M}
site: {region: hip}
symptoms: {symptomatic: yes, pain: no}
mass: {palpable: yes}
conditions: {ckd_stage: 5, dialysis: yes}
labs:
  calcium: {value: 2.55, unit: mmol/L}
  phosphate: {value: 2.4, unit: mmol/L}
request: {question: "Painless enlarging hip swelling on dialysis."}
""",
    ),
    Sample(
        name="dermatomyositis_thighs",
        kind="dermatomyositis",
        seed=15,
        transfer_syntax="htj2k",
        scan=ScanRecipe(pixel_mm=1.1, spacing_mm=3.0, noise_hu=14),
        clinical="""\
patient: {age_years: 54, sex: F}
site: {region: thigh}
symptoms: {symptomatic: yes, rash_or_weakness: yes}
conditions: {dermatomyositis: yes, ckd_stage: 0, dialysis: no}
labs:
  calcium: {value: 2.35, unit: mmol/L}
  phosphate: {value: 1.1, unit: mmol/L}
""",
    ),
    Sample(
        name="sternocleidomastoid_neck",
        kind="sternocleidomastoid",
        seed=16,
        transfer_syntax="rle",
        scan=ScanRecipe(pixel_mm=0.7, spacing_mm=2.0, noise_hu=12),
        clinical="""\
patient: {age_years: 46, sex: M}
site: {region: neck, laterality: right}
symptoms: {symptomatic: yes, pain: no}
growth: {rate: none, stable_months: 24}
history: {trauma: yes, fracture: yes, malignancy: no}
""",
    ),
    Sample(
        name="deep_mass_thigh",
        kind="deep-mass",
        seed=17,
        transfer_syntax="jpeg-lossless",
        scan=ScanRecipe(pixel_mm=0.85, spacing_mm=2.5, noise_hu=12),
        clinical="""\
patient: {age_years: 58, sex: F}
site: {region: thigh, laterality: right}
symptoms: {symptomatic: yes, pain: yes}
mass: {palpable: yes, size_cm: 7.7, mobility: fixed}
growth: {rate: rapid, weeks: 10}
history: {trauma: no, radiotherapy_at_site: no, malignancy: no}
request: {question: "Growing deep mass of the thigh."}
""",
    ),
    Sample(
        name="nail_thigh",
        kind="nail",
        seed=18,
        transfer_syntax="jpeg2000",
        scan=ScanRecipe(pixel_mm=0.85, spacing_mm=2.0, noise_hu=14),
    ),
    Sample(
        name="negative_calf",
        kind="negative",
        seed=19,
        transfer_syntax="deflated",
        scan=ScanRecipe(pixel_mm=0.8, spacing_mm=3.0, noise_hu=16, tilt_deg=8.0),
    ),
)
"""The bundled studies."""


def write_samples(root: Path, *, names: Sequence[str] = ()) -> list[Path]:
    """Write the bundled studies and their manifest.

    Parameters
    ----------
    root : Path
        Folder; each study goes to a folder of its own in it, replaced as a whole.
    names : Sequence[str]
        Only these; empty for all. The manifest is written only with all.

    Returns
    -------
    list[Path]
        The folders.
    """
    entries, folders = [_HEAD], []
    for name in (sample.name for sample in (*SAMPLES, *FILM_SAMPLES)):
        if (root / name).exists() and (not names or name in names):
            shutil.rmtree(root / name)
    for sample in SAMPLES:
        if names and sample.name not in names:
            continue
        folder = root / sample.name
        recipe = sample.recipe()
        volume, truth = make_phantom(recipe)
        write_study(volume, truth, recipe, folder, transfer_syntax=sample.transfer_syntax)[-1].unlink()
        if sample.clinical:
            (root / f"{sample.name}.clinical.yaml").write_text(sample.clinical, encoding="utf-8")
        entries.append(_entry(sample, truth, folder))
        folders.append(folder)
    for film_sample, film_truth, folder in write_film_samples(root, names=names):
        entries.append(film_entry(film_sample, film_truth, files=_file_fields(folder)))
        folders.append(folder)
    if not names:
        (root / "MANIFEST.toml").write_text("\n".join(entries), encoding="utf-8")
    return folders


def folder_hash(folder: Path) -> str:
    """SHA-256 over names and contents of the files of a folder, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


_HEAD: Final = """\
# Synthetic CT studies and radiographs, each with its recipe and what is true of it. No patient was scanned.
# Written by: python -m calcphantom.samples sample_dicoms
# Lengths in mm, volumes in mm3, densities in HU, positions in patient LPS mm. Distances run from surface to surface.
# Lengths on radiographs (study.shadow) are in mm at the detector, positions are row and column.
"""


def _file_fields(folder: Path) -> dict[str, object]:
    files = sorted(folder.iterdir())
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files), "sha256": folder_hash(folder)}


def _entry(sample: Sample, truth: Truth, folder: Path) -> str:
    recipe, scan = truth.recipe, truth.recipe.scan
    fields: dict[str, object] = {
        "folder": sample.name,
        "summary": KINDS[sample.kind].summary,
        "kind": sample.kind,
        "seed": sample.seed,
        "region": recipe.region.value,
        "study_instance_uid": identifier(uid_stem(recipe), STUDY_NUMBER),
        "transfer_syntax": sample.transfer_syntax,
        "clinical": f"{sample.name}.clinical.yaml" if sample.clinical else "",
        **_file_fields(folder),
        "pixel_mm": scan.pixel_mm,
        "spacing_mm": scan.spacing_mm,
        "thickness_mm": scan.slice_thickness_mm,
        "tilt_deg": scan.tilt_deg,
        "noise_hu": scan.noise_hu,
        "kernel": scan.kernel.value,
        "contrast": scan.contrast.value,
        "distractors": list(truth.distractors),
    }
    lines = ["[[study]]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    for lesion in truth.lesions:
        lines += ["", "[[study.lesion]]", *_lesion_lines(lesion)]
    return "\n".join(lines) + "\n"


def _lesion_lines(lesion: LesionTruth) -> list[str]:
    values: dict[str, object] = {
        "pattern": lesion.pattern,
        "side": lesion.side,
        "depth_class": lesion.depth_class.value,
        "bone_relation": lesion.bone_relation.value,
        "foci_count": lesion.foci_count,
        "centre_lps_mm": [round(v, 2) for v in lesion.centre_lps_mm],
    }
    numbers = ("max_diameter_mm", "ap_mm", "tr_mm", "cc_mm", "volume_mm3", "skin_distance_mm", "fascia_distance_mm")
    values |= {name: round(float(getattr(lesion, name)), 2) for name in (*numbers, "bone_distance_mm", "mean_hu")}
    if lesion.mass_max_diameter_mm is not None:
        values["mass_max_diameter_mm"] = round(lesion.mass_max_diameter_mm, 2)
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the samples to the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m calcphantom.samples", description=__doc__)
    parser.add_argument("root", type=Path, help="folder for the studies and MANIFEST.toml")
    parser.add_argument("names", nargs="*", help="only these studies")
    args = parser.parse_args(arguments)
    for folder in write_samples(args.root, names=args.names):
        sys.stdout.write(f"{folder.name}: {sum(p.stat().st_size for p in folder.iterdir()) / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
