"""A CT series to time: the size and statistics of a real one, made from a seed.

A lower body in a field of 360 mm: skin, fat, muscle, two thighbones with marrow, a table, quantum noise, specks below
the smallest deposit that counts, veins with phleboliths and one shell-like lesion. The content is the same for every
number of slices, so that cost can be held against size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
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


def write_series(folder: Path, slices: int, seed: int = 20261120) -> None:
    """Write ``slices`` uncompressed CT files of 512 x 512 int16 into a new folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    anatomy = _anatomy()
    phleboliths = [(i, *rng.choice([(70.0, 220.0), (118.0, 224.0)])) for i in range(20, slices, SLICES_A_PHLEBOLITH)]
    template = _template(slices)
    for i in range(slices):
        hu = anatomy.copy()
        for at, x_mm, y_mm in phleboliths:
            if abs(i - at) * SLICE_MM <= 3.0:
                radius_mm = np.sqrt(3.0**2 - ((i - at) * SLICE_MM) ** 2)
                hu[_disc(x_mm, y_mm, radius_mm)] = 420.0
        _add_lesion(hu, (i - slices // 2) * SLICE_MM)
        for _ in range(rng.poisson(SPECKS_A_SLICE)):
            row, column = rng.integers(200, 300), rng.integers(60, 215)  # in the other thigh than the lesion
            hu[row, column : column + rng.integers(1, 3)] += rng.uniform(120.0, 260.0)
        hu += rng.standard_normal(hu.shape, dtype=np.float32) * np.float32(NOISE_HU)
        _write(template, hu, folder, i)


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
    centre_mm = (265.0, 218.0)
    outer_mm = float(np.sqrt(LESION_RADIUS_MM**2 - z_mm**2))
    hu[_disc(*centre_mm, outer_mm)] = 480.0
    inner_mm = LESION_RADIUS_MM - 4.0
    if abs(z_mm) < inner_mm:
        hu[_disc(*centre_mm, float(np.sqrt(inner_mm**2 - z_mm**2)))] = 70.0


def _template(slices: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    template = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    elements: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SOPClassUID": CTImageStorage, "StudyDate": "20261120",
        "SeriesDate": "20261120", "StudyTime": "120000", "AccessionNumber": "", "Modality": "CT",
        "Manufacturer": "calcreport bench", "ReferringPhysicianName": "", "StudyDescription": "Thighs",
        "SeriesDescription": "Axial 1.0 soft", "PatientName": "Bench^Made", "PatientID": "BENCH",
        "PatientBirthDate": "19800101", "PatientSex": "F", "BodyPartExamined": "THIGH", "SliceThickness": SLICE_MM,
        "KVP": 120, "ConvolutionKernel": "B31f", "PatientPosition": "HFS",
        "StudyInstanceUID": f"1.2.826.0.1.9.{slices}",
        "SeriesInstanceUID": f"1.2.826.0.1.9.{slices}.1", "FrameOfReferenceUID": f"1.2.826.0.1.9.{slices}.2",
        "StudyID": "1", "SeriesNumber": 3, "AcquisitionNumber": 1, "PositionReferenceIndicator": "",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": ROWS, "Columns": ROWS, "PixelSpacing": [PIXEL_MM, PIXEL_MM], "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": 1, "RescaleIntercept": -1024, "RescaleSlope": 1, "RescaleType": "HU",
    }  # fmt: skip
    for name, value in elements.items():
        setattr(template, name, value)
    return template


def _write(template: FileDataset, hu: NDArray[np.float32], folder: Path, i: int) -> None:
    uid = f"{template.SeriesInstanceUID}.{i + 1}"
    template.file_meta.MediaStorageSOPInstanceUID = uid
    template.SOPInstanceUID = uid
    template.InstanceNumber = i + 1
    template.ImagePositionPatient = [-ROWS * PIXEL_MM / 2, -ROWS * PIXEL_MM / 2, i * SLICE_MM]
    template.PixelData = (np.clip(np.rint(hu), -1024, 3071) + 1024).astype("<i2").tobytes()
    template.save_as(folder / f"IM{i:05d}", enforce_file_format=True)
