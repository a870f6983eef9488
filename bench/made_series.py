"""CT series to time: the size and statistics of real ones, made from a seed.

A lower body in a field of 360 mm: skin, fat, muscle, two thighbones with marrow, a table, quantum noise, specks below
the smallest deposit that counts, veins with phleboliths and one shell-like lesion; or the chest of a phantom. Lesions
may be many, and the field of view may be a circle that cuts the body, padded as scanners pad. The content is the same
for every number of slices, so that cost can be held against size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from calcphantom.recipe import PhantomRecipe, Region, ScanRecipe
from calcphantom.study import make_phantom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROWS: Final = 512
PIXEL_MM: Final = 0.703125
SLICE_MM: Final = 1.0
NOISE_HU: Final = 20.0
SLICES_A_PHLEBOLITH: Final = 40
SPECKS_A_SLICE: Final = 0.6
LESION_RADIUS_MM: Final = 16.0
SHELL_AT_MM: Final = (265.0, 218.0)
CLEAR_MM: Final = 20.0
"""The shell, in the muscle of one thigh; deposits keep clear of it, or both would be one lesion."""


FIELD_RADIUS_MM: Final = 150.0
"""Of the circle that is imaged where there is padding: it cuts both thighs and the flanks."""
PADDING_STORED: Final = {"undeclared": 0, "declared": -2000}
"""Stored values: -1024 HU, to which air is clipped as well, and one that stands in the header."""
NODULE_RINGS: Final = ((36.0, 180), (72.0, 360))
"""Around the bone, in muscle and in fat: radius in mm, and degrees that are free of the shell and the veins."""
NODULE_RADIUS_MM: Final = 3.5
NODULE_LEVEL_MM: Final = 30.0
"""Levels are turned against each other, or deposits in a row would be a vessel."""
TRUNK_PLANES: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a series holds."""

    slices: int
    anatomy: Literal["thighs", "trunk"] = "thighs"
    padding: Literal["none", "undeclared", "declared"] = "none"
    nodules: int = 0
    """Deposits in the muscle of the thighs, beside the shell and the phleboliths."""

    @property
    def name(self) -> str:
        """As in the table."""
        padding = {"none": "", "undeclared": ", padded with -1024", "declared": ", padded with -2000"}[self.padding]
        nodules = f", {self.nodules} deposits" if self.nodules else ""
        return f"{self.anatomy}{padding}{nodules}"


def write_series(folder: Path, case: Case, seed: int = 20261120) -> None:
    """Write uncompressed CT files of 512 x 512 int16 into a new folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    slices = case.slices
    planes = _trunk() if case.anatomy == "trunk" else _anatomy()[None]
    slice_mm = 240.0 / slices if case.anatomy == "trunk" else SLICE_MM
    phleboliths = [(i, *rng.choice([(70.0, 220.0), (118.0, 224.0)])) for i in range(20, slices, SLICES_A_PHLEBOLITH)]
    nodules = _nodules(case, rng)
    template = _template(case, slice_mm)
    for i in range(slices):
        place = i * (len(planes) - 1) / max(slices - 1, 1)
        low = min(int(place), max(len(planes) - 2, 0))
        hu = planes[low] + np.float32(place - low) * (planes[min(low + 1, len(planes) - 1)] - planes[low])
        if case.anatomy == "thighs":
            for at, x_mm, y_mm in phleboliths:
                _add_ball(hu, x_mm, y_mm, 3.0, (i - at) * slice_mm)
            for z_mm, x_mm, y_mm in nodules:
                _add_ball(hu, x_mm, y_mm, NODULE_RADIUS_MM, i * slice_mm - z_mm)
            _add_lesion(hu, (i - slices // 2) * slice_mm)
            for _ in range(rng.poisson(SPECKS_A_SLICE)):
                row, column = rng.integers(200, 300), rng.integers(60, 215)  # in the other thigh than the lesion
                hu[row, column : column + rng.integers(1, 3)] += rng.uniform(120.0, 260.0)
        hu += rng.standard_normal(hu.shape, dtype=np.float32) * np.float32(NOISE_HU)
        _write(template, hu, folder, i, case)


def _trunk() -> NDArray[np.float32]:
    """Planes of a chest without noise, HU, shape ``(TRUNK_PLANES, 512, 512)``."""
    scan = ScanRecipe(pixel_mm=PIXEL_MM, spacing_mm=240.0 / TRUNK_PLANES, noise_hu=0.0)
    volume, _ = make_phantom(
        PhantomRecipe(kind="bench", region=Region.THORAX, lesions=(), seed=7, length_mm=240.0, scan=scan)
    )
    planes = np.full((volume.hu.shape[0], ROWS, ROWS), -1000.0, dtype=np.float32)
    rows, columns = (min(size, ROWS) for size in volume.hu.shape[1:])
    top, left = (ROWS - rows) // 2, (ROWS - columns) // 2
    cut_top, cut_left = (volume.hu.shape[1] - rows) // 2, (volume.hu.shape[2] - columns) // 2
    planes[:, top : top + rows, left : left + columns] = volume.hu[
        :, cut_top : cut_top + rows, cut_left : cut_left + columns
    ]
    return planes


def _nodules(case: Case, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Height, x and y of deposits, mm: on rings around both bones, too far apart to be one lesion."""
    places = [
        (z_mm, middle_mm + ring_mm * np.cos(angle), 180.0 - ring_mm * np.sin(angle))
        for level, z_mm in enumerate(np.arange(8.0, case.slices * SLICE_MM - 8.0, NODULE_LEVEL_MM))
        for middle_mm in (95.0, 265.0)
        for ring_mm, degrees in NODULE_RINGS
        for angle in np.deg2rad(np.arange(30 * (level % 2), degrees + degrees % 360, 60))
    ]
    shell = (case.slices // 2 * SLICE_MM, *SHELL_AT_MM)
    places = [place for place in places if np.hypot.reduce(np.subtract(place, shell)) > LESION_RADIUS_MM + CLEAR_MM]
    if len(places) < case.nodules:
        msg = f"no room for {case.nodules} deposits in {case.slices} slices"
        raise ValueError(msg)
    chosen = rng.choice(len(places), case.nodules, replace=False)
    return [places[n] for n in chosen]


def _add_ball(hu: NDArray[np.float32], x_mm: float, y_mm: float, radius_mm: float, off_mm: float) -> None:
    """Add a dense ball to a slice that lies this far from its middle."""
    if abs(off_mm) <= radius_mm:
        hu[_disc(x_mm, y_mm, float(np.sqrt(radius_mm**2 - off_mm**2)))] = 420.0


def _disc(x_mm: float, y_mm: float, radius_mm: float, flattening: float = 1.0) -> NDArray[np.bool_]:
    """Pixels inside an ellipse; x from the left, y from the top of the field, in mm."""
    y, x = np.ogrid[:ROWS, :ROWS]
    distance = (x * PIXEL_MM - x_mm) ** 2 + ((y * PIXEL_MM - y_mm) / flattening) ** 2
    return np.asarray(distance <= radius_mm**2)


def _anatomy() -> NDArray[np.float32]:
    """One slice without noise, HU, shape ``(512, 512)``."""
    hu = np.full((ROWS, ROWS), -1000.0, dtype=np.float32)
    for x_mm in (95.0, 265.0):
        hu[_disc(x_mm, 180.0, 80.0)] = -100.0
        hu[_disc(x_mm, 180.0, 78.5)] = -105.0
        hu[_disc(x_mm, 180.0, 66.0)] = 55.0
        hu[_disc(x_mm + 20.0, 195.0, 14.0)] = -90.0
        hu[_disc(x_mm + 20.0, 195.0, 4.5)] = 45.0
        hu[_disc(x_mm, 175.0, 15.0)] = 1150.0
        hu[_disc(x_mm, 175.0, 8.0)] = -40.0
    table = np.s_[int(268 / PIXEL_MM) : int(274 / PIXEL_MM), int(20 / PIXEL_MM) : int(340 / PIXEL_MM)]
    hu[table] = 60.0
    return hu


def _add_lesion(hu: NDArray[np.float32], z_mm: float) -> None:
    """Add a calcified shell with a soft centre, in the muscle of one thigh, 36 mm below the bone."""
    if abs(z_mm) >= LESION_RADIUS_MM:
        return
    outer_mm = float(np.sqrt(LESION_RADIUS_MM**2 - z_mm**2))
    hu[_disc(*SHELL_AT_MM, outer_mm)] = 480.0
    inner_mm = LESION_RADIUS_MM - 4.0
    if abs(z_mm) < inner_mm:
        hu[_disc(*SHELL_AT_MM, float(np.sqrt(inner_mm**2 - z_mm**2)))] = 70.0


def _template(case: Case, slice_mm: float) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    template = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    part = "CHEST" if case.anatomy == "trunk" else "THIGH"
    uid = f"1.2.826.0.1.9.{case.slices}.{1 + case.nodules}.{1 + (case.anatomy == 'trunk')}{len(case.padding)}"
    elements: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SOPClassUID": CTImageStorage, "StudyDate": "20261120",
        "SeriesDate": "20261120", "StudyTime": "120000", "AccessionNumber": "", "Modality": "CT",
        "Manufacturer": "calcreport bench", "ReferringPhysicianName": "", "StudyDescription": case.anatomy.capitalize(),
        "SeriesDescription": "Axial 1.0 soft", "PatientName": "Bench^Made", "PatientID": "BENCH",
        "PatientBirthDate": "19800101", "PatientSex": "F", "BodyPartExamined": part, "SliceThickness": slice_mm,
        "KVP": 120, "ConvolutionKernel": "B31f", "PatientPosition": "HFS",
        "StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "FrameOfReferenceUID": f"{uid}.2",
        "StudyID": "1", "SeriesNumber": 3, "AcquisitionNumber": 1, "PositionReferenceIndicator": "",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": ROWS, "Columns": ROWS, "PixelSpacing": [PIXEL_MM, PIXEL_MM], "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": 1, "RescaleIntercept": -1024, "RescaleSlope": 1, "RescaleType": "HU",
    }  # fmt: skip
    if case.padding == "declared":
        elements["PixelPaddingValue"] = PADDING_STORED["declared"]
    for name, value in elements.items():
        setattr(template, name, value)
    return template


def _write(template: FileDataset, hu: NDArray[np.float32], folder: Path, i: int, case: Case) -> None:
    uid = f"{template.SeriesInstanceUID}.{i + 1}"
    template.file_meta.MediaStorageSOPInstanceUID = uid
    template.SOPInstanceUID = uid
    template.InstanceNumber = i + 1
    template.ImagePositionPatient = [-ROWS * PIXEL_MM / 2, -ROWS * PIXEL_MM / 2, i * template.SliceThickness]
    stored = (np.clip(np.rint(hu), -1024, 3071) + 1024).astype("<i2")
    if case.padding != "none":
        stored[~_disc(ROWS * PIXEL_MM / 2, ROWS * PIXEL_MM / 2, FIELD_RADIUS_MM)] = PADDING_STORED[case.padding]
    template.PixelData = stored.tobytes()
    template.save_as(folder / f"IM{i:05d}", enforce_file_format=True)
