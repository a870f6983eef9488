"""Other people's programs accept the structured reports of every sample study."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from calcreport.formats.dicom.segmentation import write_segmentation
from calcreport.formats.dicom.structured_report import write_structured_report, write_volumetric_report
from calcreport.formats.dicom.subject import Subject

pytestmark = pytest.mark.interop

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())
JUDGED = ("deep_mass_thigh", "nail_thigh", "phleboliths_leg_films")
"""Samples whose reports, with a volumetric one of a mass, hold every kind of item: the template validator is slow."""


def kinds_of_items(item: pydicom.Dataset, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each content item below one: relationship, type and concept of it and of those above."""
    for child in item.get("ContentSequence", ()):
        concept = child.get("ConceptNameCodeSequence")
        path = (*above, child.RelationshipType, child.ValueType, concept[0].CodeValue if concept else "")
        yield path
        yield from kinds_of_items(child, path)


@pytest.fixture
def report(sample: Callable[[str], Subject], tmp_path: Path) -> Callable[[str], Path]:
    """``report("myositis_calf")`` gives the file of that study's structured report."""

    def write(name: str) -> Path:
        file = tmp_path / f"{name}.dcm"
        file.write_bytes(write_structured_report(sample(name)))
        return file

    return write


@pytest.fixture
def special(
    request: pytest.FixtureRequest, tmp_path: Path, outlined: Subject, multiframe: Subject, sample: Callable
) -> Path:
    """A report with a mass, of a multi-frame object, and one that refers to a segmentation."""
    file = tmp_path / "special.dcm"
    if request.param == "mass":
        file.write_bytes(write_structured_report(outlined))
    elif request.param == "multiframe":
        file.write_bytes(write_structured_report(multiframe))
    else:
        subject = outlined if request.param == "volumetric mass" else sample("phleboliths_thigh")
        file.write_bytes(write_volumetric_report(subject, write_segmentation(subject)))
    return file


SPECIAL = pytest.mark.parametrize("special", ["mass", "multiframe", "volumetric", "volumetric mass"], indirect=True)


@pytest.mark.parametrize("name", NAMES)
def test_dciodvfy_finds_no_error(report, dciodvfy, name: str) -> None:
    verdict = dciodvfy(report(name))
    assert verdict.errors == []
    assert verdict.code == 0
    assert "Comprehensive3DSR" in verdict.text


@SPECIAL
def test_dciodvfy_finds_no_error_in_special_reports(special: Path, dciodvfy) -> None:
    verdict = dciodvfy(special)
    assert verdict.errors == []
    assert verdict.code == 0


@pytest.mark.parametrize("name", NAMES)
def test_dcentvfy_finds_that_it_belongs_to_the_images(report, dcentvfy, tmp_path: Path, name: str) -> None:
    verdict = dcentvfy(report(name), *plain(SAMPLES / name, tmp_path))
    assert verdict.errors == []


def plain(folder: Path, target: Path) -> list[Path]:
    """Headers of a study without pixels: dcentvfy cannot read every way of storing those."""
    files = []
    for path in sorted(folder.rglob("*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        files.append(target / path.name)
        header.save_as(files[-1])
    return files


@pytest.mark.parametrize("name", JUDGED)
def test_the_template_validator_finds_no_error(report, pixelmed_sr, name: str) -> None:
    verdict = pixelmed_sr(report(name))
    assert "Found Root Template TID_1500" in verdict.text
    assert "Root Template Validation Complete" in verdict.text
    assert verdict.errors == []


@pytest.mark.parametrize("special", ["volumetric mass"], indirect=True)
def test_the_template_validator_finds_no_error_in_special_reports(special: Path, pixelmed_sr) -> None:
    verdict = pixelmed_sr(special)
    assert "Root Template Validation Complete" in verdict.text
    assert verdict.errors == []


@pytest.mark.parametrize("special", ["volumetric mass"], indirect=True)
def test_what_the_template_validator_judges_holds_every_kind_of_item(
    report, special: Path, outlined: Subject, multiframe: Subject
) -> None:
    kinds = {name: set(kinds_of_items(pydicom.dcmread(report(name)))) for name in NAMES}
    for name, subject in (("mass", outlined), ("multiframe", multiframe)):
        kinds[name] = set(kinds_of_items(pydicom.dcmread(io.BytesIO(write_structured_report(subject)))))
    judged = set(kinds_of_items(pydicom.dcmread(special))).union(*(kinds[name] for name in JUDGED))
    assert {name: own - judged for name, own in kinds.items() if own - judged} == {}


@pytest.mark.parametrize("name", NAMES)
def test_dsrdump_reads_it_as_a_draft(report, dsrdump, name: str) -> None:
    verdict = dsrdump(report(name))
    assert verdict.code == 0
    assert "Preliminary Flag    : PRELIMINARY" in verdict.text
    assert "Verification Flag   : UNVERIFIED" in verdict.text
    assert not [line for line in verdict.text.splitlines() if line.startswith("E:")]


@pytest.mark.slow
def test_the_validators_do_find_errors(report, dciodvfy, dcentvfy, pixelmed_sr, tmp_path: Path) -> None:
    """A check that cannot fail shows nothing: damage of the kind that each one is for is seen."""
    file = report("myositis_calf")
    header = pydicom.dcmread(file)
    assert pydicom.dcmread(file).StudyDescription != "another"
    header.StudyDescription = "another"
    header.save_as(tmp_path / "other.dcm")
    assert dcentvfy(file, tmp_path / "other.dcm").errors
    del header.PreliminaryFlag, header.VerificationFlag
    procedure = next(
        item
        for item in header.ContentSequence
        if "ConceptCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeValue == "121058"
    )
    procedure.ConceptCodeSequence[0].CodeValue = "nonsense"
    header.save_as(file)
    assert dciodvfy(file).errors
    assert pixelmed_sr(file).errors
