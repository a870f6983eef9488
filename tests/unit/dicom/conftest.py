"""A small writer of CT series, made with pydicom: the scene is painted in patient space, so its true size is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from calcreport.dicom import CtSeries, Discovery, SeriesRanking, discover, rank_ct_series, read_ct
from calcreport.settings import ReadingSettings

AIR, TISSUE, MINERAL = -1000, 40, 700
Edit = Callable[[int, Dataset], None]


@dataclass
class Recipe:
    """A sphere of mineral in a cylinder of tissue in air, and the slices laid through it.

    `centre` and lengths are LPS mm; `positions` are the corners of the slices.
    """

    rows: int = 48
    columns: int = 40
    spacing: tuple[float, float] = (1.0, 1.25)
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0)
    step: tuple[float, float, float] = (0.0, 0.0, 2.0)
    origin: tuple[float, float, float] = (-25.0, -24.0, 100.0)
    count: int = 16
    radius: float = 9.0
    positions: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    uids: dict[str, str] = field(default_factory=lambda: {k: generate_uid() for k in ("study", "series", "frame")})

    def __post_init__(self) -> None:
        if not len(self.positions):
            self.positions = np.array(self.origin) + np.arange(self.count)[:, None] * np.array(self.step)
        self.centre = self.points(self.positions[[0, -1]])[:, :: self.rows - 1, :: self.columns - 1].mean(
            axis=(0, 1, 2)
        )

    @property
    def volume_mm3(self) -> float:
        return 4 / 3 * np.pi * self.radius**3

    def points(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Voxel centres of slices with these corners, shape (n, rows, columns, 3), LPS mm."""
        along_columns, along_rows = np.array(self.orientation, dtype=float).reshape(2, 3)
        i, j = np.mgrid[: self.rows, : self.columns]
        in_plane = i[..., None] * self.spacing[0] * along_rows + j[..., None] * self.spacing[1] * along_columns
        return np.asarray(positions)[:, None, None, :] + in_plane

    def paint(self, positions: NDArray[np.float64] | None = None) -> NDArray[np.int16]:
        """HU of slices, shape (n, rows, columns)."""
        points = self.points(self.positions if positions is None else positions)
        offset = points - self.centre
        hu = np.full(points.shape[:3], AIR, dtype=np.int16)
        hu[np.linalg.norm(offset[..., :2], axis=-1) < 1.7 * self.radius] = TISSUE
        hu[np.linalg.norm(offset, axis=-1) < self.radius] = MINERAL
        return hu


def slice_dataset(recipe: Recipe, number: int, hu: NDArray[np.int16]) -> Dataset:
    """One classic CT image; stored unsigned 12-bit with intercept -1024."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.StudyDate, ds.StudyTime, ds.ContentTime = "20240115", "101500", f"1015{number % 60:02d}"
    ds.AccessionNumber, ds.Modality, ds.Manufacturer = "A1", "CT", "Maker"
    ds.StudyDescription, ds.SeriesDescription = "CT thigh", "Thigh 2.0"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "4711", "19700115", "F"
    ds.BodyPartExamined, ds.SliceThickness, ds.KVP = "THIGH", "2.0", "120"
    ds.ConvolutionKernel, ds.PatientPosition = "B30f", "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = recipe.uids["study"], recipe.uids["series"]
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 2, 1, number + 1
    ds.ImagePositionPatient = [f"{value:.6g}" for value in recipe.positions[number]]
    ds.ImageOrientationPatient = [f"{value:.8g}" for value in recipe.orientation]
    ds.FrameOfReferenceUID = recipe.uids["frame"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.PixelSpacing = recipe.rows, recipe.columns, [str(v) for v in recipe.spacing]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.PixelData = (hu.astype(np.int32) + 1024).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def save(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> None:
    """Write with file meta information."""
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = str(ds.SOPInstanceUID).strip() or generate_uid()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, enforce_file_format=True)


class Writer:
    """Writes series below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(
        self,
        recipe: Recipe | None = None,
        *,
        edit: Edit | None = None,
        skip: Sequence[int] = (),
        folder: str = "ct",
        **tags: Any,
    ) -> Path:
        """Write a series; `tags` override every slice (``None`` deletes), `edit` changes single ones."""
        recipe = recipe or Recipe()
        target = self.root / folder
        target.mkdir(parents=True, exist_ok=True)
        hu = recipe.paint()
        for number in range(len(hu)):
            if number in skip:
                continue
            ds = slice_dataset(recipe, number, hu[number])
            for keyword, value in tags.items():
                if value is None:
                    delattr(ds, keyword)
                else:
                    setattr(ds, keyword, value)
            if edit is not None:
                edit(number, ds)
            save(
                ds,
                target / f"{number:04d}{ds.InstanceNumber}",
                ds.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian),
            )
        return target


@dataclass
class Reader:
    """The reader under test, with its settings."""

    settings: ReadingSettings = field(default_factory=ReadingSettings)

    def discover(self, *paths: Path) -> Discovery:
        return discover(paths, settings=self.settings)

    def rank(self, *paths: Path) -> SeriesRanking:
        with self.discover(*paths) as found:
            assert len(found.studies) == 1, [row.code for row in found.set_aside]
            return rank_ct_series(found.studies[0])

    def read(self, *paths: Path) -> CtSeries:
        """The best series of the only study."""
        with self.discover(*paths) as found:
            assert len(found.studies) == 1, [row.code for row in found.set_aside]
            ranking = rank_ct_series(found.studies[0])
            assert ranking.candidates, [entry.code for entry in ranking.entries]
            return read_ct(ranking.candidates[0], settings=self.settings)


def measure(ct: CtSeries) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Volume (mm3), centroid (LPS mm) and diameter along each axis (mm, from the second moment) of the mineral."""
    index = np.argwhere(ct.volume.hu > 300)
    points = ct.volume.geometry.lps_mm(index)
    return len(index) * ct.volume.geometry.voxel_volume_mm3, points.mean(axis=0), 2 * np.sqrt(5 * points.var(axis=0))


def assert_true_size(ct: CtSeries, recipe: Recipe) -> None:
    """The sphere has its true volume, place and diameters in every direction."""
    volume, centroid, diameters = measure(ct)
    assert volume == pytest.approx(recipe.volume_mm3, rel=0.06)
    assert np.abs(centroid - recipe.centre).max() < 0.5
    assert np.abs(diameters - 2 * recipe.radius).max() < 0.6


@pytest.fixture(autouse=True)
def _write_whatever_a_test_wants() -> Iterator[None]:
    before = pydicom.config.settings.writing_validation_mode, pydicom.config.settings.reading_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    yield
    pydicom.config.settings.writing_validation_mode, pydicom.config.settings.reading_validation_mode = before


@pytest.fixture
def recipe_type() -> type[Recipe]:
    return Recipe


@pytest.fixture
def write_ct(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def check_true_size() -> Callable[[CtSeries, Recipe], None]:
    return assert_true_size


@pytest.fixture
def measure_mineral() -> Callable[[CtSeries], tuple[float, NDArray[np.float64], NDArray[np.float64]]]:
    return measure


@pytest.fixture
def make_slice() -> Callable[[Recipe, int, NDArray[np.int16]], Dataset]:
    return slice_dataset


@pytest.fixture
def save_dataset() -> Callable[..., None]:
    return save
