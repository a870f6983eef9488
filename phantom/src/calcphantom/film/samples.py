"""The bundled studies of radiographs; written with the others by `calcphantom.samples`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from calcphantom.film.dicom import write_films
from calcphantom.film.kinds import FILM_KINDS, exposure_of
from calcphantom.film.recipe import Collimation, ExposureRecipe, FilmRecipe, Photometric
from calcphantom.film.study import expose, film_uid_stem
from calcphantom.film.truth import FilmStudyTruth, FilmTruth, ShadowTruth
from calcphantom.recipe import Region, ScanRecipe
from calcphantom.study import STUDY_NUMBER, identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmSample:
    """A bundled study of radiographs.

    Parameters
    ----------
    name : str
        Folder name.
    kind : str
        A key of `FILM_KINDS`.
    seed : int
        Seed of the recipe.
    transfer_syntax : str
        A key of `calcphantom.dicom_series.TRANSFER_SYNTAXES`.
    exposure : ExposureRecipe
        How the films are taken.
    clinical : str
        Clinical data as YAML, written beside the folder; empty for none.
    """

    name: str
    kind: str
    seed: int
    transfer_syntax: str
    exposure: ExposureRecipe
    clinical: str = ""

    def recipe(self) -> FilmRecipe:
        """Return the recipe of the study."""
        phantom = FILM_KINDS[self.kind].recipe(self.kind, seed=self.seed, scan=ScanRecipe())
        return FilmRecipe(phantom=phantom, exposure=self.exposure)


FILM_SAMPLES: Final = (
    FilmSample(
        name="phleboliths_leg_films",
        kind="leg-phleboliths",
        seed=45,
        transfer_syntax="jpeg2000",
        exposure=replace(exposure_of(Region.CALF), pixel_mm=0.25, collimation=Collimation.HEADER),
        clinical="""\
patient: {age_years: 47, sex: F}
site: {region: calf, laterality: right}
symptoms: {symptomatic: yes, pain: no}
conditions: {ckd_stage: 0, dialysis: no}
history: {venous_disease: yes}
request: {question: "Soft compressible swelling of the calf since youth."}
""",
    ),
    FilmSample(
        name="rim_mass_thigh_films",
        kind="thigh-rim-mass",
        seed=42,
        transfer_syntax="jpeg-lossless",
        exposure=replace(
            exposure_of(Region.THIGH),
            pixel_mm=0.25,
            photometric=Photometric.MONOCHROME1,
            is_processed=True,
            collimation=Collimation.VISIBLE,
            modality="CR",
        ),
        clinical="""\
patient: {age_years: 24, sex: M}
site: {region: thigh, laterality: right}
symptoms: {symptomatic: yes, pain: yes, pain_explained_by: trauma, point_tenderness: yes, inflammation: no, fever: no}
mass: {palpable: yes}
growth: {rate: none}
history: {trauma: yes, trauma_weeks_ago: 7, surgery_at_site: no, malignancy: no, radiotherapy_at_site: no}
request: {question: "Firm swelling of the thigh seven weeks after a blow."}
""",
    ),
)
"""The bundled studies of radiographs."""


def write_film_samples(root: Path, *, names: Sequence[str] = ()) -> list[tuple[FilmSample, FilmStudyTruth, Path]]:
    """Write the bundled films; each study goes to a folder of its own, which must not exist.

    Parameters
    ----------
    root : Path
        Folder.
    names : Sequence[str]
        Only these; empty for all.

    Returns
    -------
    list[tuple[FilmSample, FilmStudyTruth, Path]]
        What was written, what is true of it, and where.
    """
    written = []
    for sample in FILM_SAMPLES:
        if names and sample.name not in names:
            continue
        recipe, folder = sample.recipe(), root / sample.name
        films, truth = expose(recipe)
        write_films(films, truth, recipe, folder, transfer_syntax=sample.transfer_syntax)[-1].unlink()
        if sample.clinical:
            (root / f"{sample.name}.clinical.yaml").write_text(sample.clinical, encoding="utf-8")
        written.append((sample, truth, folder))
    return written


def film_entry(sample: FilmSample, truth: FilmStudyTruth, *, files: dict[str, object]) -> str:
    """Manifest entry of a study of radiographs; `files` are the fields on its files."""
    exposure = sample.exposure
    fields: dict[str, object] = {
        "folder": sample.name,
        "summary": FILM_KINDS[sample.kind].summary,
        "kind": sample.kind,
        "seed": sample.seed,
        "modality": exposure.modality,
        "region": truth.recipe.phantom.region.value,
        "study_instance_uid": identifier(film_uid_stem(truth.recipe), STUDY_NUMBER),
        "transfer_syntax": sample.transfer_syntax,
        "clinical": f"{sample.name}.clinical.yaml" if sample.clinical else "",
        **files,
        "views": [film.view for film in truth.films],
        "pixel_mm": exposure.pixel_mm,
        "magnification": [round(film.magnification, 3) for film in truth.films],
        "scale": exposure.spacing.value,
        "photometric": exposure.photometric.value,
        "bits": exposure.bits,
        "border": exposure.collimation.value,
        "distractors": list(truth.distractors),
    }
    lines = ["[[study]]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    for film in truth.films:
        for shadow in film.shadows:
            lines += ["", "[[study.shadow]]", *_shadow_lines(film, shadow)]
    return "\n".join(lines) + "\n"


def _shadow_lines(film: FilmTruth, shadow: ShadowTruth) -> list[str]:
    values: dict[str, object] = {
        "view": film.view,
        "pattern": shadow.pattern,
        "foci_count": len(shadow.foci),
        "centroid_px": [round(v, 1) for v in shadow.centroid],
        "longest_mm": round(shadow.longest_mm, 2),
        "across_mm": round(shadow.across_mm, 2),
        "over_bone_share": round(shadow.over_bone_share, 2),
        "to_skin_line_mm": round(shadow.to_skin_line_mm, 2),
    }
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]
