"""CT volumes of known geometry, an ellipsoid of known shape, and mask files drawn from it by other software."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RTStructureSetStorage

from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference

FRAME = "1.2.826.0.1.3680043.10.1.1"
CENTRE_MM = np.array([12.337, -21.871, 103.219])
RADII_MM = np.array([17.3, 12.1, 14.7])


def _affine(
    slice_step: Sequence[float], row_step: Sequence[float], column_step: Sequence[float]
) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = slice_step, row_step, column_step
    return affine


def _oblique() -> NDArray[np.float64]:
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tip = np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
    rotation = turn @ tip
    return _affine(rotation[:, 2] * 2.5, rotation[:, 1] * 0.9, rotation[:, 0] * 0.9)


AFFINES = {
    "isotropic": _affine((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "anisotropic": _affine((0, 0, 3.27), (0, 0.9, 0), (0.7, 0, 0)),
    "tilted": _affine((0, 1.1, 3.0), (0, 0.9, 0), (0.9, 0, 0)),
    "flipped": _affine((0, 0, -2.0), (0, -0.8, 0), (-0.8, 0, 0)),
    "oblique": _oblique(),
}


@pytest.fixture
def make_volume() -> Callable[..., CtVolume]:
    """Soft tissue everywhere, the ellipsoid well inside unless ``shift`` (voxels) moves it towards an edge."""

    def make(kind: str = "isotropic", shift: Sequence[int] = (0, 0, 0), frame: str | None = FRAME) -> CtVolume:
        affine = AFFINES[kind].copy()
        shape = tuple(int(np.ceil(60.0 / np.linalg.norm(affine[:3, axis]))) for axis in range(3))
        middle = (np.array(shape) - 1) / 2 + shift
        affine[:3, 3] = CENTRE_MM - affine[:3, :3] @ (middle + 0.137)
        hu = np.full(shape, 50, dtype=np.int16)
        slices = tuple(SliceReference(sop_instance_uid=f"1.2.3.{i}", instance_number=i + 1) for i in range(shape[0]))
        return CtVolume(
            hu=hu,
            geometry=VolumeGeometry(affine=affine, shape=shape),
            slices=slices,
            series_instance_uid="1.2.4",
            frame_of_reference_uid=frame,
        )

    return make


def _quadratic(points_mm: NDArray[np.float64], scale: float = 1.0) -> NDArray[np.float64]:
    return (((points_mm - CENTRE_MM) / (RADII_MM * scale)) ** 2).sum(axis=-1)


@pytest.fixture
def truth() -> Callable[..., NDArray[np.bool_]]:
    """Voxels whose centre lies inside the ellipsoid, from its equation."""

    def inside(volume: CtVolume, scale: float = 1.0) -> NDArray[np.bool_]:
        index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.geometry.shape), indexing="ij"), axis=-1)
        return np.asarray(_quadratic(volume.geometry.lps_mm(index), scale) <= 1)

    return inside


@pytest.fixture
def full() -> Callable[..., NDArray[np.bool_]]:
    """A contour's mask laid back into the whole volume."""

    def lay(contour: object, volume: CtVolume) -> NDArray[np.bool_]:
        whole = np.zeros(volume.hu.shape, dtype=np.bool_)
        whole[contour.mask.box] = contour.mask.voxels
        return whole

    return lay


@pytest.fixture
def outline() -> Callable[..., list[NDArray[np.float64]]]:
    """Contours of the ellipsoid in the planes of given fractional slice indices, LPS mm, each ``(n, 3)``."""

    def draw(
        volume: CtVolume, positions: Sequence[float] | None = None, scale: float = 1.0, points: int = 800
    ) -> list[NDArray[np.float64]]:
        geometry = volume.geometry
        contours = []
        for position in np.arange(geometry.shape[0]) if positions is None else positions:
            # In the plane the ellipsoid is a conic in (row, column): centre and axes from its matrix.
            steps = geometry.affine[:3, 1:3] / (RADII_MM * scale)[:, None]
            start = (geometry.lps_mm(np.array([position, 0.0, 0.0])) - CENTRE_MM) / (RADII_MM * scale)
            matrix = steps.T @ steps
            centre = -np.linalg.solve(matrix, steps.T @ start)
            height = 1 - float(start @ start) + float(centre @ matrix @ centre)
            if height <= 0:
                continue
            angles = np.linspace(0, 2 * np.pi, points, endpoint=False) + 0.01
            circle = np.stack((np.cos(angles), np.sin(angles))) * np.sqrt(height)
            row_column = centre[:, None] + np.linalg.solve(np.linalg.cholesky(matrix).T, circle)
            contours.append(geometry.lps_mm(np.column_stack((np.full(points, position), row_column.T))))
        return contours

    return draw


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


@pytest.fixture
def write_rtstruct(tmp_path: Path) -> Callable[..., Path]:
    """Write structures ``[(name, interpreted type, [contour points])]`` as an RT Structure Set."""

    def write(
        structures: Sequence[tuple[str, str, Sequence[NDArray[np.float64]]]],
        frame: str = FRAME,
        roi_frame: str | None = None,
        geometric_type: str = "CLOSED_PLANAR",
        change: Callable[[Dataset], None] | None = None,
    ) -> Path:
        dataset = _item(SOPClassUID=RTStructureSetStorage, SOPInstanceUID="1.2.5", Modality="RTSTRUCT", PatientName="X")
        dataset.ReferencedFrameOfReferenceSequence = DicomSequence([_item(FrameOfReferenceUID=frame)])
        rois, observations, drawn = [], [], []
        for number, (name, interpreted, contours) in enumerate(structures, start=1):
            rois.append(_item(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=roi_frame or frame))
            observations.append(_item(ReferencedROINumber=number, RTROIInterpretedType=interpreted))
            items = []
            for points in contours:
                data = "\\".join(f"{value:.9f}"[:16] for value in points.ravel()).encode()
                data += b" " * (len(data) % 2)
                item = _item(ContourGeometricType=geometric_type, NumberOfContourPoints=len(points))
                # As raw bytes: pydicom would spend most of the time of these tests on turning numbers to text.
                item[0x30060050] = RawDataElement(Tag(0x30060050), "DS", len(data), data, 0, True, True)
                items.append(item)
            drawn.append(_item(ReferencedROINumber=number, ContourSequence=DicomSequence(items)))
        dataset.StructureSetROISequence = DicomSequence(rois)
        dataset.RTROIObservationsSequence = DicomSequence(observations)
        dataset.ROIContourSequence = DicomSequence(drawn)
        if change is not None:
            change(dataset)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.5"
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        path = tmp_path / "contour"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def ct_files() -> Callable[[CtVolume], list[Dataset]]:
    """Headers of the CT slices, as highdicom needs them for a segmentation."""

    def headers(volume: CtVolume) -> list[Dataset]:
        geometry = volume.geometry
        row_step, column_step = geometry.affine[:3, 1], geometry.affine[:3, 2]
        row_mm, column_mm = np.linalg.norm(row_step), np.linalg.norm(column_step)
        datasets = []
        for i in range(geometry.shape[0]):
            dataset = _item(
                SOPClassUID=CTImageStorage,
                SOPInstanceUID=f"1.2.3.{i + 1}", Modality="CT", PatientName="X", PatientID="1",
                PatientBirthDate="", PatientSex="", StudyInstanceUID="1.2.6", SeriesInstanceUID="1.2.4", StudyID="",
                StudyDate="", StudyTime="", AccessionNumber="", ReferringPhysicianName="", SeriesNumber=1,
                InstanceNumber=i + 1, FrameOfReferenceUID=volume.frame_of_reference_uid, PositionReferenceIndicator="",
                Rows=geometry.shape[1], Columns=geometry.shape[2], SliceThickness=1.0,
                ImagePositionPatient=[round(float(v), 9) for v in geometry.lps_mm(np.array([i, 0, 0]))],
                ImageOrientationPatient=[
                    round(float(v), 9) for v in np.concatenate((column_step / column_mm, row_step / row_mm))
                ],
                PixelSpacing=[float(row_mm), float(column_mm)], BitsAllocated=16, BitsStored=16, HighBit=15,
                PixelRepresentation=1, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
            )  # fmt: skip
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            datasets.append(dataset)
        return datasets

    return headers


@pytest.fixture
def write_seg(tmp_path: Path, ct_files: Callable[[CtVolume], list[Dataset]]) -> Callable[..., Path]:
    """Write masks as a DICOM Segmentation with highdicom."""

    def write(
        volume: CtVolume,
        pixels: NDArray[np.generic],
        labels: Sequence[str],
        kind: str = "BINARY",
        change: Callable[[Dataset], None] | None = None,
    ) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import highdicom as hd  # noqa: PLC0415 - 0.4 s, only for these tests

            category = hd.sr.CodedConcept("85756007", "SCT", "Tissue")
            descriptions = [
                hd.seg.SegmentDescription(number, label, category, category, "MANUAL")
                for number, label in enumerate(labels, start=1)
            ]
            segmentation = hd.seg.Segmentation(
                ct_files(volume), pixels, kind, descriptions, series_instance_uid="1.2.7", series_number=2,
                sop_instance_uid="1.2.8", instance_number=1, manufacturer="x", manufacturer_model_name="x",
                software_versions="1", device_serial_number="1",
            )  # fmt: skip
            if change is not None:
                change(segmentation)
            path = tmp_path / "segmentation"
            segmentation.save_as(path)
        return path

    return write


@pytest.fixture
def write_image(tmp_path: Path) -> Callable[..., Path]:
    """Write an array on an orthogonal grid with SimpleITK; the suffix chooses the format."""

    def write(
        voxels: NDArray[np.generic], affine: NDArray[np.float64], suffix: str, *, is_compressed: bool = False
    ) -> Path:
        image = SimpleITK.GetImageFromArray(voxels)
        steps = affine[:3, [2, 1, 0]]
        spacing = np.linalg.norm(steps, axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(affine[:3, 3].tolist())
        image.SetDirection((steps / spacing).ravel().tolist())
        path = tmp_path / f"mask{suffix}"
        SimpleITK.WriteImage(image, str(path), useCompression=is_compressed)
        return path

    return write


@pytest.fixture
def code_of() -> Callable[..., str]:
    """Code of the named error a call ends with."""
    from calcreport.errors import InputError  # noqa: PLC0415

    def call(function: Callable[..., object], *arguments: object, **options: object) -> str:
        with pytest.raises(InputError) as caught:
            function(*arguments, **options)
        return caught.value.code

    return call


@pytest.fixture
def centre_mm() -> NDArray[np.float64]:
    """Centre of the ellipsoid, LPS mm."""
    return CENTRE_MM
