"""A small writer of radiographs, made with pydicom, and the reader under test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from calcreport.dicom import FilmHeader, FilmRanking, discover, rank_films, read_film
from calcreport.errors import InputError
from calcreport.model.film import FilmImage
from calcreport.settings import ReadingSettings

DX = "1.2.840.10008.5.1.4.1.1.1.1"
ROWS, COLUMNS = 120, 96


def scene(bits: int = 12) -> NDArray[np.uint16]:
    """Stored values of a film that shows dense things white: a ramp over the full range with a dense disc."""
    top = (1 << bits) - 1
    i, j = np.mgrid[:ROWS, :COLUMNS]
    values = (i * COLUMNS + j) * (top * 0.7) / (ROWS * COLUMNS)
    values[(i - 60) ** 2 + (j - 48) ** 2 < 100] = top
    return values.astype(np.uint16)


def film_dataset(pixels: NDArray[Any], bits: int, uids: dict[str, str]) -> Dataset:
    """One DX image for presentation, in MONOCHROME2, with nothing but what every film has."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID, ds.SOPInstanceUID = DX, generate_uid()
    ds.StudyDate, ds.StudyTime, ds.Modality, ds.Manufacturer = "20240115", "101500", "DX", "Maker"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "4711", "19700115", "F"
    ds.BodyPartExamined, ds.KVP = "THIGH", "60"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uids["study"], uids["series"]
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, int(pixels.dtype.kind == "i")
    data = pixels.tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW"
    return ds


@dataclass
class FilmWriter:
    """Writes films below one folder."""

    root: Path
    save: Callable[..., None]
    uids: dict[str, str] = field(default_factory=lambda: {k: generate_uid() for k in ("study", "series")})

    def __call__(
        self,
        pixels: NDArray[Any] | None = None,
        *,
        bits: int = 12,
        name: str = "film",
        edit: Callable[[Dataset], None] | None = None,
        codec: tuple[str, Callable[[NDArray[Any]], Any]] | None = None,
        raw: dict[int, str] | None = None,
        **tags: Any,
    ) -> Path:
        """Write one film; `tags` override (``None`` deletes), `codec` is a transfer syntax and its encoder.

        `raw` are values by tag that pydicom would not write as numbers.
        """
        pixels = scene(bits) if pixels is None else pixels
        ds = film_dataset(pixels, bits, self.uids)
        if codec is not None:
            ds.file_meta.TransferSyntaxUID = codec[0]
            ds.PixelData = encapsulate([bytes(codec[1](pixels))])
            ds["PixelData"].VR = "OB"
            ds["PixelData"].is_undefined_length = True
        for keyword, value in tags.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        for tag, text in (raw or {}).items():
            ds.add_new(tag, "LT", text)
        if edit is not None:
            edit(ds)
        path = self.root / name
        self.save(ds, path, ds.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian))
        return path


@dataclass
class FilmReader:
    """The reader under test."""

    settings: ReadingSettings = field(default_factory=ReadingSettings)

    def rank(self, *paths: Path) -> FilmRanking:
        with discover(paths, settings=self.settings) as found:
            assert len(found.studies) == 1, [row.code for row in found.set_aside]
            return rank_films(found.studies[0])

    def film(self, *paths: Path) -> FilmHeader:
        ranking = self.rank(*paths)
        assert len(ranking.candidates) == 1, [entry.code for entry in ranking.entries]
        return ranking.candidates[0]

    def read(self, *paths: Path) -> FilmImage:
        return read_film(self.film(*paths), settings=self.settings)

    def refusal(self, *paths: Path) -> str:
        with pytest.raises(InputError) as caught:
            self.read(*paths)
        return caught.value.code


@pytest.fixture
def write_film(tmp_path: Path, save_dataset: Callable[..., None]) -> FilmWriter:
    return FilmWriter(tmp_path, save_dataset)


@pytest.fixture
def film_reader() -> FilmReader:
    return FilmReader()


@pytest.fixture
def film_scene() -> Callable[..., NDArray[np.uint16]]:
    return scene


@pytest.fixture
def lut() -> Callable[..., Items]:
    """Make a LUT sequence of one item."""

    def make(first: int, outputs: NDArray[Any], *, bits: int = 16, count: int | None = None) -> Items:
        item = Dataset()
        item.add_new(0x00283002, "US", [(len(outputs) if count is None else count) % 65536, first % 65536, bits])
        item.add_new(0x00283006, "OW", np.asarray(outputs).tobytes())
        return Items([item])

    return make
