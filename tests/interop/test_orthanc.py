"""Objects in a PACS: Orthanc takes them by C-STORE and STOW-RS, finds them under their study, and gives them back."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
STUDIES = ("myositis_calf", "dermatomyositis_thighs", "negative_calf", "phleboliths_leg_films")

_spec = importlib.util.spec_from_file_location("orthanc_server", Path(__file__).with_name("orthanc_server.py"))
orthanc_server = importlib.util.module_from_spec(_spec)
sys.modules["orthanc_server"] = orthanc_server
_spec.loader.exec_module(orthanc_server)

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def orthanc(need_tool, tmp_path_factory):
    with orthanc_server.running_orthanc(need_tool("Orthanc"), tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="module")
def objects(tmp_path_factory) -> dict[str, list[Path]]:
    """Every DICOM object of some samples, as the program writes them."""
    out = tmp_path_factory.mktemp("out")
    subprocess.run(
        [sys.executable, "-m", "calcreport", "analyze", *(SAMPLES / name for name in STUDIES), "--out", out, "--quiet",
         "--jobs", "2", "--format", "text,json,png,sr,seg,sc,pdf"],
        check=True, capture_output=True,
    )  # fmt: skip
    return {folder.name: sorted(folder.glob("*.dcm")) for folder in out.iterdir() if folder.is_dir()}


def data_set(content: bytes) -> bytes:
    """Everything behind the file meta information, which every system writes anew."""
    meta = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).file_meta
    return content[144 + meta.FileMetaInformationGroupLength :]


def multipart(files: list[Path]) -> tuple[bytes, str]:
    boundary = b"calcreport-test-boundary"
    parts = b"".join(
        b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n"
        for file in files
    )
    kind = f'multipart/related; type="application/dicom"; boundary={boundary.decode()}'
    return parts + b"--" + boundary + b"--\r\n", kind


def read_back(orthanc, uid: str) -> bytes:
    """File of an instance by its SOP Instance UID."""
    (name,) = orthanc.json("/tools/lookup", body=uid.encode())
    return orthanc.ask(f"{name['Path']}/file")


def check(orthanc, objects) -> None:
    assert len(objects) == len(STUDIES)
    for study, files in objects.items():
        found = orthanc.json(
            f"/dicom-web/instances?StudyInstanceUID={study}&limit=1000", accept="application/dicom+json"
        )
        known = {row["00080018"]["Value"][0]: row["0020000D"]["Value"][0] for row in found}
        assert files
        for file in files:
            uid = str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID)
            assert known.get(uid) == study, file.name
            assert data_set(read_back(orthanc, uid)) == data_set(file.read_bytes()), file.name


def clear(orthanc) -> None:
    for patient in orthanc.json("/patients"):
        orthanc.delete(f"/patients/{patient}")


def test_c_store(orthanc, objects, need_tool) -> None:
    clear(orthanc)
    files = [file for group in objects.values() for file in group]
    command = [need_tool("storescu"), "-R", "-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(orthanc.json("/instances")) == len(files)
    check(orthanc, objects)


def test_stow_rs(orthanc, objects) -> None:
    clear(orthanc)
    for study, files in objects.items():
        body, kind = multipart(files)
        orthanc.ask(f"/dicom-web/studies/{study}", body=body, kind=kind, accept="application/dicom+json")
    check(orthanc, objects)


def test_an_unchanged_result_sent_twice_is_one_result(orthanc, objects) -> None:
    clear(orthanc)
    for _ in range(2):
        for study, files in objects.items():
            body, kind = multipart(files)
            orthanc.ask(f"/dicom-web/studies/{study}", body=body, kind=kind, accept="application/dicom+json")
    assert len(orthanc.json("/instances")) == sum(map(len, objects.values()))


def test_every_frame_of_a_segmentation_is_given_out(orthanc, objects) -> None:
    """A viewer asks for frames; Orthanc refuses those of single bits unless their columns fill whole bytes."""
    clear(orthanc)
    asked = set()
    for study, files in objects.items():
        for file in (file for file in files if file.name.startswith("seg")):
            orthanc.ask("/instances", body=file.read_bytes())
            header = pydicom.dcmread(file, stop_before_pixels=True)
            series = f"/dicom-web/studies/{study}/series/{header.SeriesInstanceUID}"
            for number in range(1, int(header.NumberOfFrames) + 1):
                kind = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
                frame = orthanc.ask(f"{series}/instances/{header.SOPInstanceUID}/frames/{number}", accept=kind)
                assert len(frame) > header.Rows * header.Columns * header.BitsAllocated // 8
            asked.add(header.Columns % 8 == 0)
    assert False in asked
