"""Small DICOM files, and a store to put them into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from calcreport.service.store import Arrival, Store

STUDY = "1.2.826.0.1.3680043.10.1"
Write = Callable[..., Path]
Put = Callable[..., Arrival]


def write_image(path: Path, *, number: int = 1, study: str = STUDY, pixels: bytes = bytes(32), **tags: object) -> Path:
    """Write a CT image of 4 x 4 pixels; `tags` by keyword, ``None`` leaves one out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    dataset = Dataset()
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"{study}.1.{number}",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1",
        "Modality": "CT",
        "PatientName": "Marker^Patient",
        "PatientID": "MARKER",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 4,
        "Columns": 4,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "PixelData": pixels,
    }
    for keyword, value in {**values, **tags}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    meta.MediaStorageSOPClassUID = values["SOPClassUID"]
    meta.MediaStorageSOPInstanceUID = values["SOPInstanceUID"]
    dataset.file_meta = meta
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="session")
def write() -> Write:
    """Write a file: ``write(path, number=1, study=…, pixels=…, Manufacturer=…)``."""
    return write_image


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open store without a reserve."""
    store = Store(tmp_path / "store", reserve_bytes=lambda: 0)
    store.open()
    yield store
    store.close()


@pytest.fixture
def references(store: Store) -> SimpleNamespace:
    """``references.of(study)`` is how the store names a study."""
    return SimpleNamespace(of=store.reference)


@pytest.fixture
def put(store: Store) -> Put:
    """Write a file and keep it: ``put(number=1, …)``."""

    def keep(**how: object) -> Arrival:
        return store.keep(write_image(store.temporary(), **how))

    return keep
