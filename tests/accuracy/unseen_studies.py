"""Real studies in folders someone has, with what is known of each; nothing of it is part of this repository.

Three layouts are known, each taken from any of the folders given, unpacked or as ``NAME.tar.xz``:

- ``gold.json``: ``cases[]`` of limbs, images in ``CASE/CT/image`` (see `run_real`).
- ``torso.json``: ``NAME: {true: [...], neutral: [...]}`` with ``lps_mm`` and ``size_mm`` each, images in ``NAME``
  (``folder`` and ``archive`` override); everything else reported there is false.
- ``totalsegmentator_examples``: ``example_ct_dicom`` and ``example_ct.nii.gz`` with label maps of TotalSegmentator.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from calcphantom.dicom_series import decimal_text
from calcphantom.insert.host import renewed_uid
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

Floats = NDArray[np.float64]
Box = tuple[Floats, Floats]
"""Lowest and highest corner, LPS mm."""

SURE = 0.7
CLEAR = (0.8, 20.0, 250.0)
"""Confidence, mm3 at 150 HU, and peak in HU from which a finding is plain."""
FINDING_SLACK_MM = 2.0
NOT_ASKED = ("prostate", "tracheal", "linea_aspera", "abdominal_wall", "periosteal")
"""Organ calcification, and places the reading could not decide: neither owed nor wrong."""
EXAMPLES = "totalsegmentator_examples"
SEEN_LATER = {"STS_013": (((-48.0, 28.0, 765.0), (-33.0, 58.0, 832.0), "wall of the other femoral artery"),)}
"""Mineral that a reading does not list and that a second look found: lowest and highest corner, LPS mm, and what it is.
Neither owed nor wrong."""
LABELS = (
    (1, 9, "organ"), (10, 14, "lung"), (15, 17, "airway or organ"), (18, 20, "bowel"), (21, 24, "organ"),
    (25, 50, "spine"), (51, 68, "heart or vessel"), (69, 78, "bone"), (79, 79, "spinal canal"), (80, 89, ""),
    (90, 90, "brain"), (91, 116, "bone"), (117, 117, "cartilage"),
)  # fmt: skip
"""Classes of TotalSegmentator 2, first and last number; muscles are where lesions belong."""


class Part(StrEnum):
    """What a study shows, and how it is scored."""

    LIMB = "limb"
    TRUNK = "trunk"
    EXAMPLE = "labelled example"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """A place of which something is known."""

    box: Box
    name: str
    owed: str = ""
    """``"separate"`` or ``"fused"`` with bone where a finding has to be reported; else it may be."""
    is_clear: bool = False
    depth: str = ""
    is_listed_enough: bool = False
    """Being listed as incidental is enough."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """One real study."""

    name: str
    part: Part
    folder: Path
    known: tuple[Known, ...] = ()
    components: tuple[tuple[Box, str, float], ...] = ()
    """Other dense things: box, what it is, mm3."""
    labels: Path | None = None
    tumour: Box | None = None


def find_studies(roots: Iterable[Path], work: Path) -> list[Study]:
    """Studies of all folders; archives are unpacked into `work`. What is absent is passed over."""
    places = [*roots, work]
    studies = [*_limbs(places, work), *_trunks(places, work), *_examples(places, work)]
    return list({study.name: study for study in studies}.values())


def _limbs(places: list[Path], work: Path) -> Iterable[Study]:
    for path in (place / "gold.json" for place in places if (place / "gold.json").is_file()):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            folder = _images(case["case"], f"{case['case']}.tar.xz", places, work)
            if folder is not None:
                yield limb_study(case, folder / "CT" / "image")


def _trunks(places: list[Path], work: Path) -> Iterable[Study]:
    for path in (place / "torso.json" for place in places if (place / "torso.json").is_file()):
        for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
            folder = _images(name, entry.get("archive", f"{name}.tar.xz"), places, work)
            if folder is not None:
                yield trunk_study(name, entry, folder / entry.get("folder", ""))


def _images(name: str, archive: str, places: list[Path], work: Path) -> Path | None:
    for place in places:
        if (place / name).is_dir():
            return place / name
    for place in places:
        if (place / archive).is_file():
            with tarfile.open(place / archive) as packed:
                packed.extractall(work, filter="data")
            return work / name if (work / name).is_dir() else None
    return None


def limb_study(case: dict[str, Any], folder: Path) -> Study:
    """Study of one case of ``gold.json``."""
    known = []
    for item in case["findings"]:
        skip = item["confidence"] < SURE or item["below_150HU_size_limit"] or any(w in item["name"] for w in NOT_ASKED)
        volume = item["volume_mm3_median"]["150"]
        depth = (item.get("depth_to_fascia") or "").split(" ")[0]
        known.append(
            Known(
                box=_box(case, item["bbox_zyx"], FINDING_SLACK_MM),
                name=f"{item['label']} {volume:.0f} mm3 peak {item['hu_max']}",
                owed="" if skip else ("fused" if item["touches_bone_component_at_150"] else "separate"),
                is_clear=item["confidence"] >= CLEAR[0] and volume >= CLEAR[1] and item["hu_max"] >= CLEAR[2],
                depth=depth if depth in {"deep", "superficial"} else "",
            )
        )
    for low, high, name in SEEN_LATER.get(case["case"], ()):
        known.append(Known(box=(np.array(low), np.array(high)), name=name))
    gtv, half = case["gtv"], case["gtv"]["axial_long_mm"] / 2
    centre, origin, step = np.array(gtv["centroid_lps_mm"]), case["origin_lps"], case["spacing_zyx_mm"]
    z = origin[2] + np.array(gtv["z_range"]) * step[0]
    return Study(
        name=case["case"],
        part=Part.LIMB,
        folder=folder,
        known=tuple(known),
        components=tuple((_box(case, c["bbox_zyx"], 0.5), c["label"], c["vol_mm3"]) for c in case["components"]),
        tumour=(np.array([*(centre[:2] - half), z.min()]), np.array([*(centre[:2] + half), z.max()])),
    )


def _box(case: dict[str, Any], bbox: list[list[int]], grow_mm: float) -> Box:
    origin, step = np.array(case["origin_lps"]), np.array(case["spacing_zyx_mm"])
    edges = (np.array(bbox, dtype=float) - 0.5) * step[:, None]
    return origin + edges[::-1, 0] - grow_mm, origin + edges[::-1, 1] + grow_mm


def trunk_study(name: str, entry: dict[str, Any], folder: Path) -> Study:
    """Study of one entry of ``torso.json``."""
    known = []
    for kind in ("true", "neutral"):
        for item in entry.get(kind, []):
            reach = item.get("size_mm", 5.0) / 2 + 3.0
            place = np.array(item["lps_mm"], dtype=float)
            known.append(
                Known(
                    box=(place - reach, place + reach),
                    name=item["what"],
                    owed="separate" if kind == "true" else "",
                    is_listed_enough=True,
                )
            )
    return Study(name=name, part=Part.TRUNK, folder=folder, known=tuple(known))


def _examples(places: list[Path], work: Path) -> list[Study]:
    folder = _images(EXAMPLES, f"{EXAMPLES}.tar.xz", places, work)
    if folder is None:
        return []
    found = []
    if (folder / "example_ct_dicom").is_dir():
        labels = folder / "example_seg_dicom.nii.gz"
        found.append(
            Study(
                name="example_ct_dicom",
                part=Part.EXAMPLE,
                folder=folder / "example_ct_dicom",
                labels=labels if labels.is_file() else None,
            )
        )
    if (folder / "example_ct.nii.gz").is_file():
        images, labels = work / "example_ct", folder / "example_seg_fast_force_split.nii.gz"
        if not images.is_dir():
            write_nifti_as_ct(folder / "example_ct.nii.gz", images)
        found.append(
            Study(
                name="example_ct",
                part=Part.EXAMPLE,
                folder=images,
                labels=labels if labels.is_file() else None,
            )
        )
    return found


def write_nifti_as_ct(path: Path, folder: Path) -> None:
    """Write a NIfTI image of HU as an axial DICOM CT series without claims about patient or contrast."""
    image = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(path)), "LPS")
    values = np.clip(np.rint(SimpleITK.GetArrayFromImage(image)), -1024, 32767).astype("<i2")
    step, origin = image.GetSpacing(), np.array(image.GetOrigin())
    folder.mkdir(parents=True)
    for number, plane in enumerate(values):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = renewed_uid(f"{path.name}:{number}", "nifti")
        ds = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = CTImageStorage, meta.MediaStorageSOPInstanceUID, "CT"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = (
            renewed_uid(f"{path.name}:{what}", "nifti") for what in ("study", "series", "frame")
        )
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.PatientName = ds.PatientID = ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.StudyID = ""
        ds.PatientBirthDate = ds.PatientSex = ds.ReferringPhysicianName = ds.Manufacturer = ""
        ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
        ds.ImagePositionPatient = [decimal_text(float(v)) for v in (*origin[:2], origin[2] + number * step[2])]
        ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        ds.PixelSpacing, ds.SliceThickness = [decimal_text(step[1]), decimal_text(step[0])], decimal_text(step[2])
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = plane.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
        ds.PixelData = plane.tobytes()
        ds["PixelData"].VR = "OW"
        dcmwrite(folder / f"slice_{number + 1:04d}.dcm", ds, enforce_file_format=True)


class LabelMap:
    """Structures of a label map, asked for by place."""

    def __init__(self, path: Path) -> None:
        """Read a NIfTI label map."""
        self._image = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(path)), "LPS")
        self._labels = SimpleITK.GetArrayFromImage(self._image).astype(np.int32)

    def structure(self, points_mm: Floats) -> str:
        """Structure most of the points (shape ``(n, 3)``, LPS mm) lie in or within 3 mm of; empty for none."""
        points_mm = np.asarray(points_mm)[:: max(1, len(points_mm) // 2000)]
        origin, step = np.array(self._image.GetOrigin()), np.array(self._image.GetSpacing())
        reach = np.array([[dx, dy, dz] for dx in (-3, 0, 3) for dy in (-3, 0, 3) for dz in (-3, 0, 3)], dtype=float)
        index = np.rint((points_mm[:, None, :] + reach - origin) / step).astype(int).reshape(-1, 3)
        inside = ((index >= 0) & (index < np.array(self._labels.shape)[::-1])).all(axis=1)
        x, y, z = index[inside].T
        seen = self._labels[z, y, x].reshape(-1)
        names = [structure_of(int(label)) for label in seen]
        named = [name for name in names if name]
        return max(set(named), key=named.count) if len(named) > 0.1 * max(len(seen), 1) else ""


def structure_of(label: int) -> str:
    """Name of a class of TotalSegmentator 2; empty for muscles and background."""
    return next((name for low, high, name in LABELS if low <= label <= high), "")
