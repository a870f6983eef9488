"""Reported studies made by hand: a small volume with masks, headers that count how often they are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from calcreport.formats import load_templates
from calcreport.formats.dicom.instance import untroubled
from calcreport.formats.dicom.subject import Subject, revise
from calcreport.model.evidence import LesionReview
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
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference
from calcreport.model.lesion import CtFindings, MeasuredLesion, VoxelMask
from calcreport.model.report import (
    Density,
    Depth,
    FilmPlace,
    Flag,
    Flags,
    Foci,
    KeyImage,
    Lesion,
    Location,
    Mass,
    Patient,
    PatientLevel,
    Pattern,
    RejectedLesion,
    Report,
    Size,
    Software,
    Study,
    Technique,
    Thresholds,
)
from calcreport.model.uids import derive_uid
from calcreport.resources import template_texts

STUDY = "1.2.826.0.1.3680043.10.9.1"
SERIES = "1.2.826.0.1.3680043.10.9.1.2"
FRAME = "1.2.826.0.1.3680043.10.9.1.3"
TEMPLATES = load_templates(template_texts())

_PATTERN = Pattern(id="P09", label="amorphous", confidence="low", scores={}, features={})


class Headers:
    """Source headers; `asked` holds the UIDs that were asked for."""

    def __init__(self, headers: dict[str, Dataset]) -> None:
        self.headers, self.asked = headers, []

    def __contains__(self, uid: str) -> bool:
        return uid in self.headers

    def header(self, uid: str) -> Dataset:
        self.asked.append(uid)
        return self.headers[uid]


def header(uid: str, **values: object) -> Dataset:
    made = Dataset()
    told: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 192", "PatientName": "Doe^Jane", "PatientID": "4711", "PatientBirthDate": "",
        "PatientSex": "F", "StudyDate": "20261002", "StudyTime": "", "ReferringPhysicianName": "", "StudyID": "",
        "AccessionNumber": "", "StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SOPInstanceUID": uid,
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT", "FrameOfReferenceUID": FRAME,
        "SliceThickness": "2.5",
    }  # fmt: skip
    with untroubled():
        for keyword, value in {**told, **values}.items():
            if value is not None:
                setattr(made, keyword, value)
    return made


def slice_uid(index: int) -> str:
    return f"{SERIES}.{index + 1}"


def volume_of(shape: tuple[int, int, int], affine: NDArray[np.float64] | None = None) -> CtVolume:
    if affine is None:
        affine = np.array([[0.0, 0, 0.7, -10], [0, 0.8, 0, 5], [2.5, 0, 0, 100], [0, 0, 0, 1]])
    return CtVolume(
        hu=np.zeros(shape, np.int16),
        geometry=VolumeGeometry(affine=np.array(affine, dtype=np.float64), shape=shape),
        slices=tuple(SliceReference(sop_instance_uid=slice_uid(i), instance_number=i + 1) for i in range(shape[0])),
        series_instance_uid=SERIES,
        frame_of_reference_uid=FRAME,
    )


def mask_of(cells: NDArray[np.bool_]) -> VoxelMask:
    """Mask cut out of a whole volume."""
    used = np.nonzero(cells)
    low = tuple(int(axis.min()) for axis in used)
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in used)
    return VoxelMask(offset=low, voxels=cells[box].copy())


def flags_of(**states: str) -> Flags:
    names = ("size", "depth", "growth", "pain", "mass", "history", "aggressive")
    return Flags(**{name: Flag(state=states.get(name, "not_provided"), evidence="") for name in names})


def lesion_of(number: int, *, side: str = "unknown", films: tuple[FilmPlace, ...] = (), **told: object) -> Lesion:
    fields: dict[str, object] = {
        "id": f"L{number}", "series_instance_uid": SERIES, "size": Size(max_diameter_mm=12.0), "foci": Foci(count=1),
        "mass": Mass(), "density": Density(), "depth": Depth(class_="subfascial", skin_distance_mm=20.0),
        "pattern": _PATTERN, "bone_relation": "separate",
        "location": Location(
            laterality=side, region="thigh", films=films,
            key_image=None if films else KeyImage(sop_instance_uid=slice_uid(0), instance_number=1),
        ),
        "flags": flags_of(), "concern": "indeterminate", "differential": (), "recommendations": (),
        "images": tuple(f"images/L{number}.png" if view == 0 else f"images/L{number}_{view + 1}.png"
                        for view in range(max(1, len(films)))),
        "tracking_uid": derive_uid("test", str(number)),
    }  # fmt: skip
    return Lesion(**{**fields, **told})


def report_of(lesions: tuple[Lesion, ...], *, modality: str = "CT", **told: object) -> Report:
    fields: dict[str, object] = {
        "software": Software(name="calcreport", version="0.1.0", rules_version="1.0"),
        "study": Study(
            study_instance_uid=STUDY, study_date="20261002", modality=modality, description="CT thigh",
            patient=Patient(name="Doe^Jane", id="4711"),
        ),
        "series": (),
        "technique": Technique(
            kvp=120.0, slice_thickness_mm=2.5, spacing_mm=(0.8, 0.7, 2.5), kernel=None, contrast="none",
            threshold_hu=Thresholds(grow=130.0, seed=200.0) if modality == "CT" else None,
        ),
        "lesions": lesions, "excluded": (), "patient": PatientLevel(),
        "concern": lesions[0].concern if lesions else "none",
        "flags_summary": {name: flag.state for name, flag in lesions[0].flags} if lesions else {},
        "impression": ("1.2 cm calcification, right thigh (L1), indeterminate.",), "recommendations": (),
        "limitations": (), "clinical": {}, "settings": {}, "created": "2026-10-02T10:00:00+00:00",
    }  # fmt: skip
    return Report(**{**fields, **told})


def ct_subject(
    volume: CtVolume,
    masks: list[tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]],
    *,
    headers: dict[str, Dataset] | None = None,
    lesions: tuple[Lesion, ...] | None = None,
) -> Subject:
    """Study of a volume with a lesion for each pair of mineral and contour, given as masks of the whole volume."""
    lesions = lesions if lesions is not None else tuple(lesion_of(number + 1) for number in range(len(masks)))
    measured = tuple(
        MeasuredLesion(
            size=lesion.size, foci=lesion.foci, mass=lesion.mass, density=lesion.density, depth=lesion.depth,
            pattern=lesion.pattern, bone_relation="separate", location=lesion.location,
            mineral=None if mineral is None else mask_of(mineral),
            contour=None if contour is None else mask_of(contour), key_slice=0,
        )
        for lesion, (mineral, contour) in zip(lesions, masks, strict=True)
    )  # fmt: skip
    if headers is None:
        headers = {
            slice_uid(i): header(slice_uid(i), ImagePositionPatient=[f"{x:.6g}" for x in place])
            for i, place in enumerate(volume.geometry.lps_mm(np.array([(i, 0, 0) for i in range(len(volume.slices))])))
        }
    findings = CtFindings(
        lesions=measured, excluded=(), thresholds=Thresholds(grow=130.0, seed=200.0), threshold_reason="",
        noise_hu=10.0, notes=(), maximum_intensity_hu=np.zeros((1, 1), np.int16),
    )  # fmt: skip
    return _subject(report_of(lesions), findings, volume, headers)


def film_subject(
    masks: list[list[NDArray[np.bool_]]],
    *,
    shape: tuple[int, int] = (30, 21),
    scale: FilmScale = FilmScale(kind=ScaleKind.NONE),  # noqa: B008 - frozen
) -> Subject:
    """Study of radiographs: for each film the lesions on it as masks of the whole film, each a lesion of its own."""
    films, headers, lesions, measured = [], {}, [], []
    for number, found in enumerate(masks):
        uid = f"{SERIES}.9.{number + 1}"
        headers[uid] = header(
            uid, SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR", SliceThickness=None, FrameOfReferenceUID=None,
            PatientOrientation=["L", "F"],
        )  # fmt: skip
        films.append(
            FilmImage(
                intensity=np.zeros(shape, np.float32),
                picture=np.zeros(shape, np.uint8),
                is_imaged=np.ones(shape, bool),
                scale=scale,
                view=FilmView(position="AP"),
                reference=SliceReference(sop_instance_uid=uid, instance_number=number + 1),
                series_instance_uid=SERIES,
            )
        )
        for cells in found:
            rows, columns = np.nonzero(cells)
            line = FilmSegment(start=(0, 0), end=(1, 1), length_px=1.4, length_mm=None)
            place = FilmPlace(
                sop_instance_uid=uid, instance_number=number + 1, view="AP", centroid_px=(1, 1),
                bbox_px=((0, 0), (1, 1)), max_diameter_px=9.0, perpendicular_px=5.0,
            )  # fmt: skip
            lesion = lesion_of(len(lesions) + 1, films=(place,), size=Size(max_diameter_px=9.0, projected=True))
            box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            shadow = Shadow(
                film=number, longest=line, across=line, to_skin_line=None, contrast_to_noise=5.0, is_over_bone=False,
                is_cut=False,
                mineral=PixelMask(offset=(int(rows.min()), int(columns.min())), pixels=cells[box].copy()),
            )  # fmt: skip
            lesions.append(lesion)
            measured.append(
                ProjectedLesion(
                    size=lesion.size,
                    foci=lesion.foci,
                    pattern=lesion.pattern,
                    depth=lesion.depth,
                    bone_relation="cannot_determine",
                    location=lesion.location,
                    shadows=(shadow,),
                )
            )
    reading = FilmReading(noise=1.0, searched_share=0.9, has_skin_line=False)
    findings = FilmFindings(films=tuple(films), readings=(reading,) * len(films), lesions=tuple(measured), excluded=())
    return _subject(report_of(tuple(lesions), modality="CR"), findings, None, headers)


def rejecting(subject: Subject, number: int) -> Subject:
    """The same study with one of its lesions, counted from 1, rejected by a reader."""
    lesions, order = list(subject.report.lesions), list(subject.order)
    order.pop(number - 1)
    review = LesionReview(status="rejected", reason="vessel")
    rejected = RejectedLesion(lesion=lesions.pop(number - 1).model_copy(update={"review": review}), finding={})
    update = {"lesions": tuple(lesions), "rejected": (*subject.report.rejected, rejected)}
    if not lesions:
        update |= {"flags_summary": {}, "concern": "none"}
    return replace(subject, report=subject.report.model_copy(update=update), order=tuple(order))


def _subject(
    report: Report,
    findings: CtFindings | FilmFindings,
    volume: CtVolume | None,
    headers: dict[str, Dataset],
) -> Subject:
    return Subject(
        report=report, findings=findings, order=tuple(range(len(report.lesions))), volume=volume,
        source=Headers(headers), section="FINDINGS\n", statements=TEMPLATES.statements, revision=revise(report),
    )  # type: ignore[arg-type]  # fmt: skip
