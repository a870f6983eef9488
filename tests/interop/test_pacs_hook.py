"""A study sent to Orthanc comes back to it as report, segmentation and key images: once, whatever dies meanwhile."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "sample_dicoms"
DEPLOY = HERE.parents[1] / "deploy"
STUDY = SAMPLES / "phleboliths_thigh"
IMAGES = 28


def _module(name: str):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


orthanc_server, listener = _module("orthanc_server"), _module("running_listener")

pytestmark = pytest.mark.interop


@pytest.fixture
def program(need_tool) -> str:
    return need_tool("Orthanc")


@pytest.fixture
def send(need_tool):
    """``send(orthanc, folder)`` sends images to Orthanc as a modality does."""
    need_tool("storescu")
    path = listener.dcmtk("storescu")
    if path is None:
        pytest.skip("storescu of dcmtk is not installed")

    def run(orthanc, *files: Path) -> None:
        # -xt: the images are JPEG-LS; -R: only what is needed is proposed
        command = [path, "-xt", "-R", "-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port), *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def settings_for(orthanc, *, source: str = "", sink: str = "") -> str:
    source = source or f'kind = "orthanc"\nurl = "{orthanc.url}"\npoll_seconds = 0.3'
    sink = sink or f'kind = "orthanc"\nurl = "{orthanc.url}"'
    return f"""
[service]
port = {orthanc_server.free_port()}
[service.study]
quiet_seconds = 1
[service.limits]
reserve_bytes = 0
[service.sources.pacs]
{source}
[service.sinks.pacs]
{sink}
"""


def in_orthanc(orthanc) -> dict[str, list[pydicom.Dataset]]:
    """What Orthanc holds, by SOP Class UID; pixels are left out."""
    found: dict[str, list[pydicom.Dataset]] = {}
    for name in orthanc.json("/instances"):
        header = pydicom.dcmread(io.BytesIO(orthanc.ask(f"/instances/{name}/file")), stop_before_pixels=True)
        found.setdefault(str(header.SOPClassUID), []).append(header)
    return found


def classes_in(orthanc) -> list[str]:
    names = orthanc.json("/instances")
    return [orthanc.ask(f"/instances/{name}/metadata/SopClassUid").decode().strip("\0") for name in names]


def reports_in(orthanc) -> int:
    return classes_in(orthanc).count(Comprehensive3DSRStorage)


def cursor(store: Path) -> bool:
    return (store / "cursors" / "pacs").exists()


def records(store: Path) -> list[dict]:
    return [json.loads(path.read_bytes()) for path in store.glob("studies/*/record.json")]


def is_done(store: Path) -> bool:
    return [record.get("state") for record in records(store)] == ["done"]


def stable_studies(orthanc) -> int:
    changes = orthanc.json("/changes?since=0&limit=10000")["Changes"]
    return sum(change["ChangeType"] == "StableStudy" for change in changes)


def check_results(orthanc, store: Path, *, images: int = IMAGES, reports: int = 1) -> dict[str, list[pydicom.Dataset]]:
    """Everything of the study and of its results is in Orthanc once, and every object says what it is."""
    found = in_orthanc(orthanc)
    assert len(found[Comprehensive3DSRStorage]) == reports
    assert len(found[SegmentationStorage]) == reports
    assert len(found[SecondaryCaptureImageStorage]) >= 2 * reports  # a summary and key images
    ours = (Comprehensive3DSRStorage, SegmentationStorage, SecondaryCaptureImageStorage)
    others = [header for name, group in found.items() if name not in ours for header in group]
    assert len(others) == images
    everything = [header for group in found.values() for header in group]
    assert len({header.StudyInstanceUID for header in everything}) == 1
    assert len({header.SOPInstanceUID for header in everything}) == len(everything)
    for header in found[Comprehensive3DSRStorage]:
        assert (header.VerificationFlag, header.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    for header in found[SegmentationStorage]:
        assert header.SegmentSequence[0].SegmentAlgorithmType in {"AUTOMATIC", "SEMIAUTOMATIC"}
    for header in found[SecondaryCaptureImageStorage]:
        assert header.BurnedInAnnotation == "YES"
        assert header.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert {header.Manufacturer for name in ours for header in found[name]} == {"calcreport"}
    delivered = {str(pydicom.dcmread(path).SOPInstanceUID) for path in store.glob("studies/*/results/*/*.dcm")}
    assert delivered <= {str(header.SOPInstanceUID) for header in everything}
    assert len(list(store.glob("studies/*/images/*"))) == images
    return found


def test_a_study_comes_back_once_and_a_late_image_gives_a_revision(program, send, tmp_path) -> None:
    first, late = files_of(STUDY)[:-1], files_of(STUDY)[-1]
    with (
        orthanc_server.running_orthanc(program, tmp_path / "orthanc") as orthanc,
        listener.running_listener(tmp_path / "service", settings_for(orthanc)) as service,
    ):
        service.wait_for(lambda: cursor(service.store), "the first look")
        send(orthanc, *first)
        service.wait_for(lambda: is_done(service.store), "the results")
        service.wait_for(lambda: stable_studies(orthanc) >= 2, "the study to be stable again, with our results")
        time.sleep(1.5)
        found = check_results(orthanc, service.store, images=IMAGES - 1)
        assert len(service.events("analysis_begun")) == 1, "our own results, or the second stable event, triggered us"
        assert not list(service.store.glob("studies/*/aside/*")), "our own results were fetched"
        report = found[Comprehensive3DSRStorage][0]
        for name in orthanc.json("/instances"):  # nothing received was altered
            content = orthanc.ask(f"/instances/{name}/file")
            header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
            if header.SOPClassUID == pydicom.dcmread(late).SOPClassUID:
                kept = [path.read_bytes()[-2000:] for path in service.store.glob("studies/*/images/*")]
                assert content[-2000:] in kept

        send(orthanc, late)
        service.wait_for(lambda: reports_in(orthanc) == 2, "the second revision")
        service.wait_for(lambda: is_done(service.store), "the end of it")
        both = check_results(orthanc, service.store, reports=2)[Comprehensive3DSRStorage]
        second = next(header for header in both if header.SOPInstanceUID != report.SOPInstanceUID)
        superseded = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert superseded.ReferencedSOPInstanceUID == report.SOPInstanceUID
        assert records(service.store)[0]["revision"] == 2
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=15) == 0
    patient = pydicom.dcmread(late, stop_before_pixels=True)
    for secret in (str(patient.PatientName), str(patient.PatientID), str(patient.StudyInstanceUID)):
        assert secret not in service.log()


@pytest.mark.slow
def test_killed_at_twelve_moments_a_study_comes_back_once(program, send, tmp_path) -> None:
    folder = tmp_path / "service"
    with orthanc_server.running_orthanc(program, tmp_path / "orthanc") as orthanc:
        settings = settings_for(orthanc)
        with listener.running_listener(folder, settings) as service:
            service.wait_for(lambda: cursor(service.store), "the first look")
        send(orthanc, *files_of(STUDY))
        for moment in listener.MOMENTS:
            with listener.running_listener(folder, settings, moment=moment) as service:
                ended = service.process.wait(timeout=listener.PATIENCE_SECONDS)
                assert ended == -signal.SIGKILL, (moment, service.log()[-3000:])
        with listener.running_listener(folder, settings) as service:
            service.wait_for(lambda: is_done(service.store), "the end")
            service.wait_for(lambda: stable_studies(orthanc) >= 2, "the study to be stable again, with our results")
            time.sleep(1.5)
            check_results(orthanc, service.store)
            assert records(service.store)[0]["revision"] == 1


@pytest.mark.slow
def test_orthanc_down_for_a_while_loses_nothing_and_doubles_nothing(program, send, tmp_path) -> None:
    folder, place = tmp_path / "service", tmp_path / "orthanc"
    with orthanc_server.running_orthanc(program, place) as orthanc:
        settings = settings_for(orthanc)
        with listener.running_listener(folder, settings) as service:
            service.wait_for(lambda: cursor(service.store), "the first look")
        send(orthanc, *files_of(STUDY))
        time.sleep(1.5)  # stable: known to the feed before it goes down
    images = folder / "store" / "studies"
    with listener.running_listener(folder, settings, moment="never, but slowly") as service:
        service.wait_for(lambda: service.events("source_failed"), "a source that says it cannot reach Orthanc")
        with orthanc_server.running_orthanc(program, place, again=orthanc):
            service.wait_for(lambda: len(list(images.glob("*/images/*"))) >= 3, "the first images")
        there = len(list(images.glob("*/images/*")))
        assert there < IMAGES, "it was to go down in the middle"
        time.sleep(3)  # longer than the quiet period: half a study must not be taken for a whole one
        assert not service.events("study_complete")
        with orthanc_server.running_orthanc(program, place, again=orthanc):
            service.wait_for(lambda: service.events("analysis_begun"), "the rest of the images")
        service.wait_for(lambda: service.events("delivery_failed"), "a sink that says it cannot reach Orthanc")
        with orthanc_server.running_orthanc(program, place, again=orthanc):
            service.wait_for(lambda: is_done(service.store), "the end")
            time.sleep(1.5)
            check_results(orthanc, service.store)
            assert len(service.events("analysis_begun")) == 1


def test_a_folder_in_and_c_store_out(program, tmp_path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    with orthanc_server.running_orthanc(program, tmp_path / "orthanc") as orthanc:
        sink = f'kind = "dicom"\nhost = "127.0.0.1"\nport = {orthanc.dicom_port}\ncalled_aet = "ORTHANC"'
        settings = settings_for(orthanc, source=f'kind = "folder"\npath = "{drop}"\npoll_seconds = 0.3', sink=sink)
        with listener.running_listener(tmp_path / "service", settings) as service:
            shutil.copytree(STUDY, drop / "study")
            (drop / "note.txt").write_text("no image")
            before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files_of(drop)}
            service.wait_for(lambda: is_done(service.store), "the results")
            found = in_orthanc(orthanc)
        assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files_of(drop)} == before
    assert len(found[Comprehensive3DSRStorage]) == len(found[SegmentationStorage]) == 1
    assert len(service.events("file_refused")) == 1


def test_dicomweb_in_and_out(program, send, tmp_path) -> None:
    today = tmp_path / "today"
    today.mkdir()
    for path in files_of(STUDY):
        image = pydicom.dcmread(path)
        image.StudyDate = f"{date.today():%Y%m%d}"  # noqa: DTZ011 - as a scanner writes it
        image.save_as(today / path.name)
    with orthanc_server.running_orthanc(program, tmp_path / "orthanc") as orthanc:
        web = f'kind = "dicomweb"\nurl = "{orthanc.url}/dicom-web"'
        settings = settings_for(orthanc, source=f"{web}\npoll_seconds = 0.5", sink=web)
        with listener.running_listener(tmp_path / "service", settings) as service:
            service.wait_for(lambda: cursor(service.store), "the first look")
            send(orthanc, *files_of(today))
            service.wait_for(lambda: is_done(service.store), "the results")
            time.sleep(2)
            check_results(orthanc, service.store)
            assert len(service.events("analysis_begun")) == 1


def test_what_is_there_before_the_first_look_is_left_alone(program, send, tmp_path) -> None:
    with orthanc_server.running_orthanc(program, tmp_path / "orthanc") as orthanc:
        send(orthanc, *files_of(STUDY)[:3])
        time.sleep(1.5)
        with listener.running_listener(tmp_path / "service", settings_for(orthanc)) as service:
            service.wait_for(lambda: cursor(service.store), "the first look")
            time.sleep(1.5)
            assert not list(service.store.glob("studies/*"))


def test_an_orthanc_that_pushes_by_its_lua_script(program, send, tmp_path) -> None:
    port = orthanc_server.free_port()
    pushing = {
        "LuaScripts": [str(DEPLOY / "orthanc/calcreport.lua")],
        "DicomModalities": {"calcreport": ["CALCREPORT", "127.0.0.1", port]},
    }
    check_push(program, send, tmp_path, port, pushing)


def test_an_orthanc_that_pushes_by_its_python_plugin(program, send, tmp_path) -> None:
    plugin = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
    if not plugin.exists():
        pytest.skip("orthanc-python is not installed")
    port = orthanc_server.free_port()
    pushing = {
        "Plugins": [str(plugin)],
        "PythonScript": str(DEPLOY / "orthanc/calcreport.py"),
        "DicomModalities": {"calcreport": ["CALCREPORT", "127.0.0.1", port]},
    }
    check_push(program, send, tmp_path, port, pushing, is_late=True)


def check_push(program, send, tmp_path, port, pushing, *, is_late=False) -> None:
    with orthanc_server.running_orthanc(program, tmp_path / "orthanc", **pushing) as orthanc:
        settings = settings_for(orthanc).replace("port = ", f"port = {port}  # ", 1)
        settings = settings[: settings.index("[service.sources.pacs]")] + settings[settings.index("[service.sinks") :]
        if is_late:  # the script has to try again
            send(orthanc, *files_of(STUDY))
            time.sleep(2.5)
        with listener.running_listener(tmp_path / "service", settings) as service:
            service.wait_for(lambda: service.events("started"), "the start")
            if not is_late:
                send(orthanc, *files_of(STUDY))
            service.wait_for(lambda: is_done(service.store), "the results")
            service.wait_for(lambda: stable_studies(orthanc) >= 2, "the study to be stable again, with our results")
            time.sleep(1.5)
            check_results(orthanc, service.store)
            assert len(service.events("analysis_begun")) == 1
            assert not list(service.store.glob("studies/*/aside/*")), "our own results were sent to us"


def test_what_mercure_dispatches_reaches_a_pacs(program, need_tool, tmp_path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    out.mkdir()
    shutil.copytree(STUDY, source)
    (source / "task.json").write_text(json.dumps({"process": {"module_name": "calcreport", "settings": {}}}))
    where = {"MERCURE_IN_DIR": str(source), "MERCURE_OUT_DIR": str(out)}
    command = [sys.executable, "-m", "calcreport", "hook", "--quiet"]
    subprocess.run(command, env={**os.environ, **where}, check=True, capture_output=True)
    shutil.copy(source / "task.json", out)  # Mercure's own file lies beside the results
    with orthanc_server.running_orthanc(program, tmp_path / "orthanc") as orthanc:
        # as its dispatcher calls it
        words = ["127.0.0.1", str(orthanc.dicom_port), "+sd", str(out), "-aet", "MERCURE", "-aec", "ORTHANC", "-nuc",
                 "+sp", "*.dcm", "-to", "60", "+crf", str(out / "sent.txt")]  # fmt: skip
        done = subprocess.run([need_tool("dcmsend"), *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = in_orthanc(orthanc)
    assert len(found[Comprehensive3DSRStorage]) == len(found[SegmentationStorage]) == 1
    assert sum(map(len, found.values())) == len(list(out.glob("*.dcm")))
