"""Sample studies as the DICOM objects are made from them, and other people's programs that judge those objects."""

from __future__ import annotations

import contextlib
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from scipy.ndimage import binary_dilation

import calcreport.formats.dicom.objects
from calcreport.arguments import AnalyzeOptions, request_from
from calcreport.dicom import discover
from calcreport.formats.dicom.subject import Subject
from calcreport.study.analyse import analyse_study
from calcreport.study.folder import ResultsFolder

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
CREATED = "2026-11-20T09:30:15+01:00"

_PIXELMED = ("pixelmed.jar", "commons-codec.jar", "slf4j-api.jar", "slf4j-nop.jar")
_JAVA_FLAGS = (
    "-XX:TieredStopAtLevel=1",  # starts sooner
    "-Djava.awt.headless=true",
    # newer Java stops the validator's style sheets otherwise
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
)

Analyse = Callable[..., Subject]
Tool = Callable[..., str]


class _Caught(Exception):  # noqa: N818 - no error: the way out of an analysis that has what it was run for
    def __init__(self, subject: Subject) -> None:
        self.subject = subject


@pytest.fixture(scope="session")
def analyse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analyse]:
    """``analyse(folder, clinical=None, lesion_mask=None)`` gives the study as its DICOM objects are made from it."""
    with contextlib.ExitStack() as opened, pytest.MonkeyPatch.context() as patch:

        def catch(subject: Subject, *_: object, **__: object) -> dict[str, bytes]:
            raise _Caught(subject)

        def run(folder: Path, *, clinical: Path | None = None, lesion_mask: Path | None = None) -> Subject:
            out = tmp_path_factory.mktemp("out")
            options = AnalyzeOptions(paths=(folder,), out=out, clinical=clinical, lesion_mask=lesion_mask, format="sr")
            request = replace(request_from(options), created=CREATED)
            found = opened.enter_context(discover(request.paths, settings=request.settings.reading))
            results = ResultsFolder(out, run_id="test")
            results.prepare()
            with patch.context() as here:
                here.setattr(calcreport.formats.dicom.objects, "write_objects", catch)
                try:
                    outcome = analyse_study(found.studies[0], request, results, lambda _: None)
                except _Caught as caught:
                    return caught.subject
            msg = f"no report: {outcome.sentence()}"
            raise AssertionError(msg)

        yield run


@pytest.fixture(scope="session")
def sample(analyse: Analyse) -> Callable[[str], Subject]:
    """``sample("myositis_calf")`` gives that sample study with its clinical data; analysed once."""
    known: dict[str, Subject] = {}

    def find(name: str) -> Subject:
        if name not in known:
            clinical = SAMPLES / f"{name}.clinical.yaml"
            known[name] = analyse(SAMPLES / name, clinical=clinical if clinical.exists() else None)
        return known[name]

    return find


@dataclass(frozen=True)
class Verdict:
    """What a program said about files, and how it ended."""

    code: int
    text: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith("Error")]


def _run(*command: str) -> Verdict:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    return Verdict(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def dciodvfy(need_tool: Tool) -> Callable[[Path], Verdict]:
    """Checks one object against its definition."""
    path = need_tool("dciodvfy")
    return lambda file: _run(path, "-new", str(file))


@pytest.fixture(scope="session")
def dcentvfy(need_tool: Tool) -> Callable[..., Verdict]:
    """Checks that objects agree on patient, study, series and equipment."""
    path = need_tool("dcentvfy")
    return lambda *files: _run(path, *map(str, files))


@pytest.fixture(scope="session")
def dsrdump(need_tool: Tool) -> Callable[[Path], Verdict]:
    """Prints a structured report."""
    path = need_tool("dsrdump")
    return lambda file: _run(path, "+Pn", str(file))


@pytest.fixture(scope="session")
def pixelmed_sr(need_tool: Tool) -> Callable[[Path], Verdict]:
    """Checks a structured report against its template."""
    java = need_tool("java")
    jars = [Path("/usr/share/java") / name for name in _PIXELMED]
    if not all(jar.exists() for jar in jars):
        pytest.skip("libpixelmed-java is not installed")
    validator = "com.pixelmed.validate.DicomSRValidator"
    return lambda file: _run(java, *_JAVA_FLAGS, "-cp", ":".join(map(str, jars)), validator, str(file))


@pytest.fixture(scope="session")
def outlined(sample: Callable[[str], Subject], analyse: Analyse, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """``deep_mass_thigh`` with a reader's contour of the whole mass, somewhat larger than its mineral."""
    import SimpleITK as sitk  # noqa: N813, PLC0415 - slow to import

    plain = sample("deep_mass_thigh")
    volume, mineral = plain.volume, plain.findings.lesions[0].mineral
    inside = np.zeros(volume.hu.shape, dtype=bool)
    inside[mineral.box] = mineral.voxels
    inside = binary_dilation(inside, iterations=6)
    affine = volume.geometry.affine
    steps = affine[:3, [2, 1, 0]]  # columns first
    lengths = np.linalg.norm(steps, axis=0)
    image = sitk.GetImageFromArray(inside.astype(np.uint8))
    image.SetSpacing(lengths.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((steps / lengths).ravel().tolist())
    file = tmp_path_factory.mktemp("mask") / "mass.nrrd"
    sitk.WriteImage(image, str(file))
    return analyse(SAMPLES / "deep_mass_thigh", lesion_mask=file)


@pytest.fixture(scope="session")
def multiframe(analyse: Analyse, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """``phleboliths_thigh`` as one multi-frame object."""
    headers = [pydicom.dcmread(path) for path in sorted((SAMPLES / "phleboliths_thigh").rglob("*.dcm"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = LegacyConvertedEnhancedCTImage(
            headers, series_instance_uid="2.25.1", series_number=1, sop_instance_uid="2.25.2", instance_number=1
        )
        folder = tmp_path_factory.mktemp("multiframe")
        whole.save_as(folder / "whole.dcm")
    return analyse(folder)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """``edited(name, PatientID="x", StudyID=None)`` copies a sample with other header values; ``None`` deletes one."""

    def copy(name: str, **values: object) -> Path:
        for path in sorted((SAMPLES / name).rglob("*.dcm")):
            with warnings.catch_warnings(), pydicom.config.disable_value_validation():
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(path)
                for keyword, value in values.items():
                    header.pop(keyword, None)
                    if value is not None:
                        setattr(header, keyword, value)
                header.save_as(tmp_path / path.name)
        return tmp_path

    return copy
