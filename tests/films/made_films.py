"""Films and findings made by hand: a limb in air, foci of known size; no search and no file is involved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import hypot

import numpy as np
from numpy.typing import NDArray

from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.formats import Templates
from calcreport.model.clinical import as_given, parse_clinical
from calcreport.model.film import (
    FilmFindings,
    FilmImage,
    FilmReading,
    FilmScale,
    FilmSegment,
    FilmView,
    PixelMask,
    ProjectedLesion,
    ScaleKind,
    Shadow,
)
from calcreport.model.image import SliceReference
from calcreport.model.report import (
    Depth,
    Excluded,
    FilmPlace,
    Foci,
    Location,
    Pattern,
    Report,
    SeriesEntry,
    Size,
    Software,
    Study,
)
from calcreport.resources import rule_texts
from calcreport.rules import decide_and_ask, load_rules
from calcreport.settings import Settings
from calcreport.study.findings import film_findings_for_rules

SERIES = "1.2.826.0.1.3680043.10.2"
DETECTOR = FilmScale(kind=ScaleKind.DETECTOR, spacing_mm=(0.15, 0.15))
CALIBRATED = FilmScale(kind=ScaleKind.CALIBRATED, spacing_mm=(0.14, 0.14), calibration="FIDUCIAL", magnification=1.12)
UNSCALED = FilmScale(kind=ScaleKind.NONE)
SEARCHED = FilmReading(noise=12.0, searched_share=0.6, has_skin_line=True)


def make_film(
    number: int = 1,
    *,
    view: str | None = "AP",
    side: str | None = "right",
    part: str | None = "LOWERLEG",
    scale: FilmScale = DETECTOR,
    shape: tuple[int, int] = (900, 500),
    foci: tuple[tuple[float, float, float], ...] = (),
    notes: tuple[str, ...] = (),
) -> FilmImage:
    """A limb with one bone; each focus is (row, column, diameter) in pixels."""
    columns = np.arange(shape[1])[None, :]
    across = np.abs(columns - shape[1] / 2) / shape[1]
    grey = np.where(across < 0.4, 60.0 + 60.0 * np.sqrt(np.maximum(0.0, 0.16 - across**2)) / 0.4, 8.0)
    grey = np.broadcast_to(grey, shape).copy()
    grey[np.broadcast_to(across < 0.1, shape)] += 70.0
    grey[discs(shape, foci)] += 60.0
    grey += np.random.default_rng(number).normal(0.0, 4.0, shape)
    return FilmImage(
        intensity=(grey * 10).astype(np.float32),
        picture=np.clip(grey, 0, 255).astype(np.uint8),
        is_imaged=np.ones(shape, dtype=bool),
        scale=scale,
        view=FilmView(position=view, laterality=side, body_part=part, patient_orientation=("L", "F")),
        reference=SliceReference(sop_instance_uid=f"{SERIES}.{number}", instance_number=number),
        series_instance_uid=SERIES,
        kvp=55.0,
        notes=notes,
    )


def discs(shape: tuple[int, ...], foci: tuple[tuple[float, float, float], ...]) -> NDArray[np.bool_]:
    """Mask of discs, each (row, column, diameter) in pixels."""
    mask = np.zeros(shape, dtype=bool)
    for row, column, diameter in foci:
        reach = int(diameter / 2) + 1
        i, j = max(int(row) - reach, 0), max(int(column) - reach, 0)
        part = mask[i : int(row) + reach + 2, j : int(column) + reach + 2]
        rows, columns = np.ogrid[i : i + part.shape[0], j : j + part.shape[1]]
        part |= np.hypot(rows - row, columns - column) <= diameter / 2
    return mask


def make_shadow(
    films: tuple[FilmImage, ...], film: int, foci: tuple[tuple[float, float, float], ...], *, skin: bool = True
) -> Shadow:
    """Shadow of discs: longest diameter along the rows of the box, as wide as the box across."""
    mask = discs(films[film].intensity.shape, foci)
    i, j = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    middle = ((i[0] + i[-1]) / 2, (j[0] + j[-1]) / 2)
    return Shadow(
        film=film,
        mineral=PixelMask(offset=(int(i[0]), int(j[0])), pixels=mask[i[0] : i[-1] + 1, j[0] : j[-1] + 1]),
        longest=segment(films[film], (i[0] - 0.5, middle[1]), (i[-1] + 0.5, middle[1])),
        across=segment(films[film], (middle[0], j[0] - 0.5), (middle[0], j[-1] + 0.5)),
        to_skin_line=segment(films[film], (middle[0], j[0] - 0.5), (middle[0], 0.1 * mask.shape[1])) if skin else None,
        contrast_to_noise=14.0,
        is_over_bone=False,
        is_cut=False,
    )


def segment(film: FilmImage, start: tuple[float, float], end: tuple[float, float]) -> FilmSegment:
    spacing = film.scale.spacing_mm
    apart = (end[0] - start[0], end[1] - start[1])
    return FilmSegment(
        start=start,
        end=end,
        length_px=hypot(*apart),
        length_mm=None if spacing is None else hypot(apart[0] * spacing[0], apart[1] * spacing[1]),
    )


def place_of(film: FilmImage, shadow: Shadow) -> FilmPlace:
    low = np.array(shadow.mineral.offset) - 0.5
    high = low + shadow.mineral.pixels.shape
    return FilmPlace(
        sop_instance_uid=film.reference.sop_instance_uid,
        instance_number=film.reference.instance_number,
        view=film.view.position,
        centroid_px=tuple((low + high) / 2),
        bbox_px=(tuple(low), tuple(high)),
        max_diameter_mm=shadow.longest.length_mm,
        perpendicular_mm=shadow.across.length_mm,
        max_diameter_px=shadow.longest.length_px,
        perpendicular_px=shadow.across.length_px,
        projected_skin_line_mm=shadow.to_skin_line.length_mm if shadow.to_skin_line else None,
        is_over_bone=shadow.is_over_bone,
        contrast_to_noise=shadow.contrast_to_noise,
    )


def make_lesion(
    films: tuple[FilmImage, ...],
    shadows: tuple[Shadow, ...],
    *,
    pattern: tuple[str, str, str] = ("P30", "indeterminate", "low"),
    count: int | None = 1,
    bone: str = "separate",
    features: dict[str, str] | None = None,
) -> ProjectedLesion:
    best, film = shadows[0], films[shadows[0].film]
    side = film.view.laterality if film.view.laterality in {"left", "right"} else "unknown"
    kind = film.scale.kind
    return ProjectedLesion(
        size=Size(
            max_diameter_mm=best.longest.length_mm,
            perpendicular_mm=best.across.length_mm,
            max_diameter_px=best.longest.length_px,
            perpendicular_px=best.across.length_px,
            projected=True,
            plane=None if kind is ScaleKind.NONE else kind.value,
            is_minimum=any(shadow.is_cut for shadow in shadows),
        ),
        foci=Foci(count=count, largest_max_diameter_mm=None if best.longest.length_mm is None else 6.2),
        pattern=Pattern(
            id=pattern[0], label=pattern[1], confidence=pattern[2], scores={pattern[0]: 0.6}, features=features or {}
        ),
        depth=Depth.model_validate({"class": "cannot_determine", "reason": "projection radiograph"}),
        bone_relation=bone,
        location=Location(
            laterality=side,
            laterality_source="none" if side == "unknown" else "header",
            films=tuple(place_of(films[shadow.film], shadow) for shadow in shadows),
        ),
        shadows=shadows,
    )


@dataclass(frozen=True)
class FilmCase:
    """Findings of one study, and what the clinician told."""

    findings: FilmFindings
    clinical: dict[str, object] = field(default_factory=dict)
    part: str = "LOWERLEG"

    def report(self, templates: Templates, *, has_pictures: bool = False) -> Report:
        """The report as the program makes it, with the rules that are shipped."""
        study = Study(
            study_instance_uid="1.2.826.0.1.3680043.10.1.1", study_date="2026-10-02", modality="DX", description="XR",
            patient={"name": "Doe^Jane", "id": "4711", "sex": "F", "age_years": 46.0}, body_part=self.part,
        )  # fmt: skip
        settings, clinical, rules = Settings(), parse_clinical(self.clinical), load_rules(rule_texts())
        rule_findings = film_findings_for_rules(self.findings, study, clinical)
        decision = decide_and_ask(rule_findings, clinical, settings.policy, rules)
        series = SeriesEntry(
            series_instance_uid=SERIES, modality="DX", status="analysed", code="series.analysed", series_number=1,
            message="Measured.", description="AP lateral", image_count=len(self.findings.films),
        )  # fmt: skip
        return compose_report(
            self.findings,
            decision,
            context=DraftContext(
                study=study,
                series=(series,),
                clinical=as_given(clinical),
                settings=settings,
                software=Software(name="calcreport", version="0.1.0", rules_version="1.0"),
                created="2026-10-02T10:00:00+00:00",
                rule_findings=rule_findings,
            ),
            imaging=None,
            statements=templates.statements,
            has_pictures=has_pictures,
        )


CLUSTER = tuple((430.0 + 40 * n, 110.0 + 18 * (n % 3), 26.0 + 6 * (n % 2)) for n in range(6))
CLUSTER_LATERAL = tuple((432.0 + 40 * n, 380.0 - 12 * (n % 3), 24.0 + 6 * (n % 2)) for n in range(6))


def cluster(scale: FilmScale = DETECTOR, lateral_scale: FilmScale | None = None) -> FilmCase:
    """Coarse foci beside the tibia on two views that were tied."""
    films = (
        make_film(1, scale=scale, foci=CLUSTER),
        make_film(2, scale=lateral_scale or scale, foci=CLUSTER_LATERAL, view="LAT"),
    )
    shadows = (make_shadow(films, 0, CLUSTER), make_shadow(films, 1, CLUSTER_LATERAL))
    lesion = make_lesion(films, shadows, pattern=("P09", "amorphous focal deposit", "low"), count=6)
    return FilmCase(FilmFindings(films=films, readings=(SEARCHED, SEARCHED), lesions=(lesion,), excluded=()))


def rim_mass() -> FilmCase:
    """A shell of mineral of 60 mm on one film of the thigh; the reader felt a mass."""
    films = (make_film(1, side="left", part="THIGH", scale=DETECTOR, foci=((450.0, 120.0, 400.0),), shape=(900, 700)),)
    shadow = replace(make_shadow(films, 0, ((450.0, 120.0, 400.0),), skin=False), is_over_bone=True)
    lesion = make_lesion(
        films, (shadow,), pattern=("P05", "rim of mineral", "low"), bone="cannot_determine",
        features={"rim_complete": "yes"},
    )  # fmt: skip
    reading = FilmReading(noise=9.0, searched_share=0.4, has_skin_line=False, notes=("No skin line on the film.",))
    findings = FilmFindings(films=films, readings=(reading,), lesions=(lesion,), excluded=())
    return FilmCase(findings, clinical={"mass": {"palpable": "yes"}, "history": {"trauma": "no"}}, part="THIGH")


def unscaled() -> FilmCase:
    """A film without pixel spacing, side or view."""
    foci = ((300.0, 120.0, 40.0),)
    films = (make_film(7, view=None, side=None, part=None, scale=UNSCALED, foci=foci),)
    lesion = make_lesion(films, (make_shadow(films, 0, foci),))
    dot = Excluded(
        reason="metal", centroid_lps_mm=None, max_diameter_mm=None, volume_mm3=None, detail="staple",
        sop_instance_uid=films[0].reference.sop_instance_uid, centroid_px=(40.0, 60.4), max_diameter_px=12.0,
    )  # fmt: skip
    findings = FilmFindings(films=films, readings=(SEARCHED,), lesions=(lesion,), excluded=(dot,))
    return FilmCase(findings, part="")


def negative() -> FilmCase:
    """Two films on which nothing was found; one is marked FOR PROCESSING."""
    films = (
        make_film(1, part="KNEE", scale=CALIBRATED),
        make_film(2, part="KNEE", view="LL", notes=("Stored for processing: grey values are not those of a viewer.",)),
    )
    findings = FilmFindings(films=films, readings=(SEARCHED, SEARCHED), lesions=(), excluded=())
    return FilmCase(findings, part="KNEE")


def vessel_track() -> FilmCase:
    """Calcified walls of an artery over 200 mm of one film."""
    foci = tuple((60.0 + 4 * n, 130.0, 8.0) for n in range(334))
    films = (make_film(1, shape=(1500, 500), foci=foci),)
    lesion = make_lesion(films, (make_shadow(films, 0, foci),), pattern=("P02", "tram-track", "moderate"), count=3)
    return FilmCase(FilmFindings(films=films, readings=(SEARCHED,), lesions=(lesion,), excluded=()))


def phlebolith() -> FilmCase:
    """A smooth round focus of 6 mm on one of two films that could not be tied."""
    foci = ((500.0, 120.0, 40.0),)
    films = (make_film(1, foci=foci), make_film(2, view="LAT"))
    lesion = make_lesion(
        films, (make_shadow(films, 0, foci),), pattern=("P01", "phlebolith", "low"), features={"lucent_centre": "yes"}
    )
    findings = FilmFindings(
        films=films, readings=(SEARCHED, SEARCHED), lesions=(lesion,), excluded=(),
        notes=("Findings on the two views could not be tied to each other.",),
    )  # fmt: skip
    return FilmCase(findings)


CASES = {
    "film_cluster": cluster,
    "film_rim_mass": rim_mass,
    "film_unscaled": unscaled,
    "film_negative": negative,
    "film_vessel_track": vessel_track,
    "film_phlebolith": phlebolith,
}


def masked(film: FilmImage, shadow: Shadow) -> NDArray[np.bool_]:
    """Mask of a shadow on its whole film."""
    whole = np.zeros(film.intensity.shape, dtype=bool)
    whole[shadow.mineral.box] = shadow.mineral.pixels
    return whole
