"""The receiving service held against dcmtk's senders: other people's idea of the protocol."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

sys.path.append(str(Path(__file__).parents[1] / "e2e"))

from listening import TITLE, Service

pytestmark = pytest.mark.interop
SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
NO_ANALYSIS = "[service.analysis]\nworkers = 0\n"
Tool = Callable[[str], str]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service([sys.executable, "-m", "calcreport"], tmp_path, NO_ANALYSIS).start()
    yield service
    assert service.stop() == 0


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120, check=False)


def _values(dataset: Dataset) -> tuple[int, ...]:
    return tuple(dataset.pixel_array.ravel().tolist())


def test_echo(service: Service, need_tool: Tool) -> None:
    assert _run(need_tool("echoscu"), "-aec", TITLE, "127.0.0.1", service.port).returncode == 0
    assert _run(need_tool("echoscu"), "-aec", "SOMEONE", "127.0.0.1", service.port).returncode != 0


@pytest.mark.parametrize("study", ["myositis_calf", "negative_calf", "rim_mass_thigh_films", "phleboliths_thigh"])
def test_every_kind_of_sample_arrives_as_it_was_sent(service: Service, need_tool: Tool, study: str) -> None:
    files = sorted(SAMPLES.joinpath(study).rglob("*.dcm"))
    result = _run(need_tool("dcmsend"), "-aec", TITLE, "127.0.0.1", service.port, *files)
    assert result.returncode == 0, result.stderr
    assert len(service.images()) == len(files)
    sent = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in files}
    assert {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in service.images()} == sent
    for path in service.images():
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


@pytest.mark.parametrize(("option", "syntax"), [("-xb", ExplicitVRBigEndian), ("-xi", ImplicitVRLittleEndian)])
def test_uncompressed_images_arrive_in_any_byte_order(
    service: Service, need_tool: Tool, limb_images: list[Path], option: str, syntax: str
) -> None:
    files = limb_images[:3]
    assert _run(need_tool("storescu"), option, "-aec", TITLE, "127.0.0.1", service.port, *files).returncode == 0
    kept = [pydicom.dcmread(path) for path in service.images()]
    assert {str(dataset.file_meta.TransferSyntaxUID) for dataset in kept} == {syntax}
    assert {_values(dataset) for dataset in kept} == {_values(pydicom.dcmread(path)) for path in files}


def test_a_compressed_image_is_byte_for_byte_what_was_sent(service: Service, need_tool: Tool) -> None:
    files = sorted(SAMPLES.joinpath("myositis_calf").rglob("*.dcm"))[:5]
    assert _run(need_tool("dcmsend"), "-aec", TITLE, "127.0.0.1", service.port, *files).returncode == 0
    fragments = {pydicom.dcmread(path).PixelData for path in files}
    assert {pydicom.dcmread(path).PixelData for path in service.images()} == fragments


def test_twenty_senders_at_once(service: Service, need_tool: Tool, limb_images: list[Path]) -> None:
    program = need_tool("storescu")
    senders = [
        subprocess.Popen([program, "-aec", TITLE, "127.0.0.1", str(service.port), *map(str, limb_images)])
        for _number in range(20)
    ]
    assert [sender.wait(120) for sender in senders] == [0] * 20
    assert len(service.images()) == len(limb_images)


def test_a_sender_that_aborts_leaves_nothing_behind(service: Service, need_tool: Tool, limb_images: list[Path]) -> None:
    assert (
        _run(need_tool("storescu"), "--abort", "-aec", TITLE, "127.0.0.1", service.port, *limb_images[:2]).stderr == ""
    )
    assert len(service.images()) == 2
    assert service.incoming() == []


@pytest.fixture
def limb_images(tmp_path: Path) -> list[Path]:
    """Uncompressed slices."""
    files = []
    for number, path in enumerate(sorted(SAMPLES.joinpath("negative_calf").rglob("*.dcm"))[:8]):
        dataset = pydicom.dcmread(path)
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress(generate_instance_uid=False)
        files.append(tmp_path / f"{number}.dcm")
        dataset.save_as(files[-1])
    return files
