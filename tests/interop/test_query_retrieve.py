"""The service asks an archive by C-FIND and has it send by C-MOVE: Orthanc, and dcmtk's archive."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "e2e"))

from listening import CT, Service, free_port, wait_for  # noqa: E402

_spec = importlib.util.spec_from_file_location("orthanc_server", HERE / "orthanc_server.py")
orthanc_server = importlib.util.module_from_spec(_spec)
sys.modules["orthanc_server"] = orthanc_server
_spec.loader.exec_module(orthanc_server)

pytestmark = pytest.mark.interop
SAMPLES = HERE.parents[1] / "sample_dicoms"
IMAGES = 3  # of a study
ME = {"PatientID": "P1", "PatientBirthDate": "19700101", "PatientSex": "F"}


@contextmanager
def _orthanc(need_tool, folder: Path, port: int) -> Iterator[int]:
    peers = {"service": ["CALCREPORT", "127.0.0.1", port]}
    with orthanc_server.running_orthanc(need_tool("Orthanc"), folder, DicomModalities=peers) as server:
        yield server.dicom_port


@contextmanager
def _dcmqrscp(need_tool, folder: Path, port: int) -> Iterator[int]:
    own, held = free_port(), folder / "held"
    held.mkdir(parents=True)
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {own}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nservice = (CALCREPORT, 127.0.0.1, {port})\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nARCHIVE {held} RW (200, 1024mb) ANY\nAETable END\n"
    )
    words = [need_tool("dcmqrscp"), "-c", str(folder / "dcmqrscp.cfg")]
    with (folder / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            wait_for(lambda: _answers(own))  # pynetdicom leaves a socket open where nobody listens
            yield own
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def _send(images: list[pydicom.Dataset], port: int, **tags: str) -> None:
    entity = AE()
    entity.add_requested_context(CT)
    association = entity.associate("127.0.0.1", port, ae_title="ARCHIVE")
    for image in images:
        for keyword, value in (ME | tags).items():
            setattr(image, keyword, value)
        image.SeriesInstanceUID = f"{image.StudyInstanceUID}.1"
        image.SOPInstanceUID = f"{image.StudyInstanceUID}.{image.InstanceNumber}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        assert association.send_c_store(image).Status == 0
    association.release()


@pytest.fixture(scope="module")
def images() -> list[pydicom.Dataset]:
    """Uncompressed slices."""
    found = [pydicom.dcmread(path) for path in sorted((SAMPLES / "negative_calf").rglob("*.dcm"))[:IMAGES]]
    for image in found:
        if image.file_meta.TransferSyntaxUID.is_compressed:
            image.decompress(generate_instance_uid=False)
    return found


@pytest.mark.parametrize("archive", [_orthanc, _dcmqrscp])
def test_a_study_of_today_comes_with_the_earlier_one_of_its_patient(need_tool, images, tmp_path, archive) -> None:
    service = Service([sys.executable, "-m", "calcreport"], tmp_path)
    with archive(need_tool, tmp_path / "archive", service.port) as port:
        service.configure(
            "[service.study]\nquiet_seconds = 1\n[service.analysis]\nworkers = 0\n[service.sources.pacs]\n"
            f'kind = "dicom"\nhost = "127.0.0.1"\nport = {port}\ncalled_aet = "ARCHIVE"\npoll_seconds = 0.3\n'
            "is_from_beginning = true\nearlier_studies = 1\n"
        )
        now = f"{date.today():%Y%m%d}"  # noqa: DTZ011 - as the service asks for it
        _send(images, port, StudyInstanceUID="1.2.3.1", StudyDate="20240110")  # the latest alone is asked for
        _send(images, port, StudyInstanceUID="1.2.3.2", StudyDate="20250110")
        _send(images, port, StudyInstanceUID="1.2.3.3", StudyDate="20250210", PatientBirthDate="19710101")
        _send(images, port, StudyInstanceUID="1.2.3.4", StudyDate=now)
        service.start()
        records = wait_for(lambda: len(r := service.records()) == 2 and r, hint=service.log.read_text)
        assert service.stop() == 0
    found = {record["study_instance_uid"]: record.get("is_earlier", False) for record in records}
    assert found == {"1.2.3.2": True, "1.2.3.4": False}
    assert {record["images"] for record in records} == {IMAGES}
    assert "earlier_refused step=pacs code=prior.other_patient" in service.log.read_text()
