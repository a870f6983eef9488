"""``--prior``: an earlier report beside a new study, growth and "stable since" end to end."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from calcreport.model.report import Report


def _analyse(run, study: Path, out: Path, *more) -> Report:
    result = run("analyze", study, "--out", out, "--format", "json,text", *more)
    assert result.returncode == 0, result.stderr
    (path,) = out.glob("*/report.json")
    return Report.model_validate_json(path.read_text())


def _write(write_study, folder: Path, day: str, mm: float, number: int, **tags) -> Path:
    given = {"StudyDate": day, "BodyPartExamined": "LEG", "Laterality": "R", "PatientBirthDate": "19700101"} | tags
    uid = f"1.2.826.0.1.3680043.10.7{number}"
    return write_study(folder, deposit_mm=mm, uid=uid, tags={"FrameOfReferenceUID": uid} | given)


@pytest.fixture(scope="module")
def studies(run, write_study, tmp_path_factory) -> dict[str, Path]:
    """Reports of one leg on three days: 12 mm, 12 mm again, and 22 mm."""
    root = tmp_path_factory.mktemp("course")
    reports = {}
    for number, (name, day, mm) in enumerate(
        [("first", "20250110", 12.0), ("same", "20260110", 12.0), ("grown", "20260410", 22.0)]
    ):
        _write(write_study, root / name, day, mm, number)
        _analyse(run, root / name, root / f"{name}.out")
        (reports[name],) = (root / f"{name}.out").glob("*/report.json")
    return reports | {"root": root}


def test_growth_raises_the_flag_with_its_numbers(run, studies, tmp_path) -> None:
    before = shutil.copy(studies["same"], tmp_path)  # without images: they would contradict, see the next test
    report = _analyse(run, studies["root"] / "grown", tmp_path / "out", "--prior", before)
    (lesion,) = report.lesions
    growth = lesion.growth
    assert growth is not None
    assert (growth.status, growth.comparable, growth.prior_id, growth.interval_days) == ("matched", "yes", "L1", 90)
    assert growth.change_mm == pytest.approx(10, abs=1.5)
    assert growth.change_percent == pytest.approx(83, abs=12)
    assert growth.change_mm_per_month == pytest.approx(10 / 90 * 30.4, abs=0.5)
    assert lesion.flags.growth.state == "present"
    text = " ".join((tmp_path / "out").glob("*/report.txt").__next__().read_text().split())
    assert "COMPARISON: CT 2026-01-10" in text
    assert "mm a month over 90 days" in text
    assert "Stability not established" not in text


def test_a_lesion_alone_on_its_side_is_not_compared_where_the_images_do_not_fit(run, studies, tmp_path) -> None:
    """A shaft that nothing marks: the place may be any along it, and the lesion another one."""
    report = _analyse(run, studies["root"] / "grown", tmp_path / "out", "--prior", studies["same"])
    (lesion,) = report.lesions
    assert (lesion.growth.status, lesion.growth.comparable, lesion.growth.course) == ("matched", "no", None)
    assert "do not fit at its place" in lesion.growth.reason
    assert lesion.flags.growth.state == "cannot_determine"
    text = " ".join((tmp_path / "out").glob("*/report.txt").__next__().read_text().split())
    assert "do not fit at its place" in text
    assert "stable" not in text.partition("IMPRESSION")[2].lower().replace("stability not", "")


def test_without_the_earlier_report_nothing_is_said_of_growth(studies) -> None:
    report = Report.model_validate_json(studies["grown"].read_text())
    assert report.lesions[0].growth is None
    assert report.lesions[0].flags.growth.state == "not_provided"
    assert any("Stability not established" in text for text in report.limitations)


def test_stable_since_reaches_back_through_earlier_reports(run, studies, tmp_path, write_study) -> None:
    second = _analyse(run, studies["root"] / "same", tmp_path / "2", "--prior", studies["first"])
    assert second.lesions[0].growth is not None
    assert second.lesions[0].growth.stable_since == "2025-01-10"
    assert second.lesions[0].flags.growth.state == "absent"
    study = _write(write_study, tmp_path / "third", "20270110", 12.0, 9)
    (earlier,) = (tmp_path / "2").glob("*/report.json")
    third = _analyse(run, study, tmp_path / "3", "--prior", earlier)
    assert third.lesions[0].growth is not None
    assert (third.lesions[0].growth.stable_since, third.lesions[0].growth.prior_date) == ("2025-01-10", "2026-01-10")
    first_mm = Report.model_validate_json(studies["first"].read_text()).lesions[0].size.max_diameter_mm
    assert third.lesions[0].growth.earlier_lengths == (("2025-01-10", pytest.approx(first_mm)),)


def test_several_earlier_studies_are_a_curve_in_whatever_order_they_are_named(run, studies, tmp_path) -> None:
    for name in ("first", "same"):
        shutil.copy(studies[name], tmp_path / f"{name}.json")  # without images, as above
    named = [word for name in ("same", "first") for word in ("--prior", tmp_path / f"{name}.json")]
    report = _analyse(run, studies["root"] / "grown", tmp_path / "out", *named)
    assert report.comparison is not None
    growth = report.lesions[0].growth
    assert growth is not None
    assert (report.comparison.date, growth.prior_date) == ("2026-01-10", "2026-01-10")
    first_mm = Report.model_validate_json(studies["first"].read_text()).lesions[0].size.max_diameter_mm
    assert growth.earlier_lengths == (("2025-01-10", pytest.approx(first_mm)),)


def test_each_of_several_earlier_studies_has_to_be_of_the_patient(run, studies, tmp_path, write_study) -> None:
    _write(write_study, tmp_path / "other", "20240110", 12.0, 4, PatientBirthDate="19710101")
    named = ("--prior", studies["same"], "--prior", tmp_path / "other")
    result = run("analyze", studies["root"] / "grown", "--out", tmp_path / "out", *named)
    assert result.returncode == 2
    assert "[prior.other_patient]" in result.stderr


def test_another_side_is_another_lesion(run, studies, tmp_path, write_study) -> None:
    study = _write(write_study, tmp_path / "left", "20260410", 22.0, 5, Laterality="L")
    report = _analyse(run, study, tmp_path / "out", "--prior", studies["same"])
    assert report.lesions[0].growth is not None
    assert report.lesions[0].growth.status == "not_found"
    assert report.lesions[0].flags.growth.state == "cannot_determine"


def test_decide_compares_with_a_report_of_analyze(run, studies, tmp_path) -> None:
    (tmp_path / "f.yaml").write_text(
        "modality: CT\nstudy_date: 2026-07-10\n"
        "lesions: [{size: {max_diameter_mm: 24}, depth: {class: subfascial},"
        " location: {region: thigh, laterality: right}}]"
    )
    result = run("decide", tmp_path / "f.yaml", "--prior", studies["same"], "--format", "json")
    growth = json.loads(result.stdout)["lesions"][0]["growth"]
    assert (growth["status"], growth["prior_id"], growth["comparable"]) == ("matched", "L1", "unknown")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"day": "20260710", "number": 6, "PatientBirthDate": "19710101"}, "prior.other_patient"),
        ({"day": "20260710", "number": 6, "PatientID": "S2", "PatientName": "Other^Limb"}, "prior.other_patient"),
        ({"day": "20250101", "number": 6}, "report.not_earlier"),
        ({"day": "20260710", "number": 1}, "report.same_study"),
    ],
)
def test_a_report_that_cannot_be_compared_is_refused(run, studies, tmp_path, write_study, given, code) -> None:
    study = _write(write_study, tmp_path / "study", mm=22.0, **given)
    result = run("analyze", study, "--out", tmp_path / "out", "--prior", studies["same"])
    assert result.returncode == 2
    assert f"[{code}]" in result.stderr
    assert "Limb" not in result.stderr


def test_one_earlier_report_does_not_fit_several_studies(run, studies, tmp_path, write_study) -> None:
    for number in (7, 8):
        _write(write_study, tmp_path / "in" / str(number), "20260710", 12.0, number)
    result = run("analyze", tmp_path / "in", "--out", tmp_path / "out", "--prior", studies["same"])
    assert result.returncode == 2
    assert "[usage.prior_for_many]" in result.stderr


@pytest.mark.parametrize(
    "break_it",
    [
        lambda report: report | {"findings": None},
        lambda report: report | {"findings": {"lesions": [{"size": {"max_diameter_mm": "NaN-Jane"}}]}},
        lambda report: {key: value for key, value in report.items() if key != "lesions"},
        lambda report: report | {"Jane Doe\u001b": 1},
    ],
)
def test_a_damaged_report_is_named_without_its_content(run, studies, tmp_path, break_it) -> None:
    (tmp_path / "r.json").write_text(json.dumps(break_it(json.loads(studies["same"].read_text()))))
    (tmp_path / "f.yaml").write_text("lesions: []")
    result = run("decide", tmp_path / "f.yaml", "--prior", tmp_path / "r.json")
    assert result.returncode == 2
    assert "[report." in result.stderr
    assert "\u001b" not in result.stderr
    assert "NaN" not in result.stderr


# --- images ---------------------------------------------------------------------------------------------------------

SAMPLE = Path(__file__).parents[2] / "sample_dicoms" / "phleboliths_thigh"


@pytest.fixture(scope="module")
def earlier_images(tmp_path_factory) -> Path:
    """A sample, turned and shifted into a frame of reference of its own, a year before."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "accuracy"))
    from calcphantom.insert import read_host  # noqa: PLC0415
    from turned import Pose, turned, write_study  # noqa: PLC0415

    before = turned(read_host(SAMPLE), Pose(), 1)
    return write_study(before.host, tmp_path_factory.mktemp("earlier"), salt="earlier", day="20250101")


def _beside(out: Path, name: str) -> int:
    """Width of a key image: a third panel makes it wider."""
    (path,) = out.glob(f"*/images/{name}")
    with Image.open(path) as picture:
        return picture.width


def _review_and_take_back(run, path: Path) -> None:
    """A lesion is rejected, another corrected, and all of it taken back; the earlier slice stays beside the others."""
    review = path.with_name("review.yaml")
    review.write_text("lesions: {L1: {decision: reject, reason: bone}, L2: {decision: correct, max_diameter_mm: 9}}")
    corrected = path.with_name("images") / "L2.png"
    with Image.open(corrected) as picture:
        width = picture.width
    assert run("render", path, "--format", "json,png").returncode == 0
    with Image.open(corrected) as picture:
        assert picture.width == width
    assert not (corrected.with_name("L1.png")).exists()
    review.write_text("lesions: {}")
    assert run("render", path, "--format", "json,png").returncode == 0


def test_earlier_images_are_analysed_and_laid_over(run, earlier_images, tmp_path) -> None:
    result = run("analyze", SAMPLE, "--prior", earlier_images, "--out", tmp_path / "out", "--format", "json,text,png")
    assert result.returncode == 0, result.stderr
    (path,) = (tmp_path / "out").glob("*/report.json")
    report = Report.model_validate_json(path.read_text())
    assert report.comparison is not None
    assert (report.comparison.source, report.comparison.vanished) == ("images", ())
    assert len(report.lesions) == 3
    for lesion in report.lesions:
        assert lesion.growth is not None
        assert (lesion.growth.status, lesion.growth.comparable, lesion.growth.course) == ("matched", "yes", "stable")
    assert len({lesion.growth.prior_id for lesion in report.lesions if lesion.growth}) == 3
    assert "COMPARISON: CT 2025-01-01" in result.stdout  # how it was compared gives way to the limit of words
    (drawn,) = (tmp_path / "out").glob("*/images/L1.png")
    before = drawn.read_bytes()
    shutil.rmtree(drawn.parent)
    result = run("render", path, "--format", "json,png")
    assert result.returncode == 0, result.stderr
    assert drawn.read_bytes() == before  # the earlier images are beside it again
    _review_and_take_back(run, path)
    assert drawn.read_bytes() == before  # of a lesion that was rejected and came back as well
    run("analyze", SAMPLE, "--out", tmp_path / "alone", "--format", "json,png")
    assert _beside(tmp_path / "out", "L1.png") > _beside(tmp_path / "alone", "L1.png")
    assert not list((tmp_path / "out").glob("*20250101*"))


def test_a_results_folder_finds_its_images(run, earlier_images, tmp_path) -> None:
    _analyse(run, earlier_images, tmp_path / "before")
    report = _analyse(run, SAMPLE, tmp_path / "out", "--prior", tmp_path / "before")
    assert report.comparison is not None
    assert report.comparison.source == "images"
    assert {lesion.growth.status for lesion in report.lesions if lesion.growth} == {"matched"}


def test_images_of_somebody_else_are_refused_before_they_are_measured(run, write_study, tmp_path) -> None:
    other = _write(write_study, tmp_path / "other", "20200110", 12.0, 3)
    result = run("analyze", SAMPLE, "--prior", other, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "[prior.other_patient]" in result.stderr
    assert "analysed first" not in result.stderr


def test_a_folder_of_several_earlier_studies_is_refused(run, write_study, studies, tmp_path) -> None:
    for number in (1, 2):
        _write(write_study, tmp_path / "in" / str(number), "20200110", 12.0, number)
    result = run("analyze", studies["root"] / "first", "--prior", tmp_path / "in", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "[prior.which_study]" in result.stderr


@pytest.mark.parametrize(
    ("tags", "number", "is_found"),
    [
        ({}, 40, True),
        ({"PatientBirthDate": "19710101"}, 41, False),
        ({"PatientSex": "M"}, 42, False),
        ({"PatientSex": ""}, 43, False),  # not known is no agreement
        ({"PatientID": "SYN2"}, 44, False),
        ({"StudyDate": "20270101"}, 45, False),
        ({"PatientName": "Other^Person"}, 47, False),
        ({"IssuerOfPatientID": "ELSEWHERE", "PatientName": "Other^Person"}, 46, False),
    ],
)
def test_among_results_of_many_each_study_finds_the_earlier_one_of_its_patient(
    run, write_study, tmp_path, tags, number, is_found
) -> None:
    mine = {"PatientSex": "F", "IssuerOfPatientID": "HERE"}
    _write(write_study, tmp_path / "in" / "then", "20250110", 12.0, number, **(mine | tags))
    _write(write_study, tmp_path / "in" / "before", "20240110", 12.0, 60, **(mine | {"PatientID": "SYN9"}))
    assert run("analyze", tmp_path / "in", "--out", tmp_path / "held").returncode == 0
    now = _write(write_study, tmp_path / "now", "20260410", 22.0, 50, **mine)
    report = _analyse(run, now, tmp_path / "out", "--priors", tmp_path / "held")
    assert (report.comparison is not None) is is_found
    if is_found:
        assert report.comparison.date == "2025-01-10"
        assert report.lesions[0].growth.prior_id == "L1"
        assert report.lesions[0].flags.growth.state == "cannot_determine"  # the images of the shaft do not fit


def test_the_latest_of_the_same_part_is_compared_and_a_damaged_report_is_passed_over(
    run, write_study, tmp_path
) -> None:
    mine = {"PatientSex": "F"}
    for number, (day, part) in enumerate((("20240110", "LEG"), ("20250110", "LEG"), ("20251210", "HEAD")), start=70):
        folder = tmp_path / "in" / str(number)
        _write(write_study, folder, day, 12.0, number, **(mine | {"BodyPartExamined": part}))
    run("analyze", tmp_path / "in", "--out", tmp_path / "held")
    (tmp_path / "held" / "damaged").mkdir()
    (tmp_path / "held" / "damaged" / "report.json").write_text('{"study": {"patient": {"id": "SYN1"}}}')
    now = _write(write_study, tmp_path / "now", "20260410", 12.0, 80, **mine)
    report = _analyse(run, now, tmp_path / "out", "--priors", tmp_path / "held")
    assert report.comparison is not None
    assert report.comparison.date == "2025-01-10"


def test_a_folder_of_results_that_is_none_is_named(run, studies, tmp_path) -> None:
    result = run("analyze", studies["root"] / "first", "--priors", tmp_path / "none", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "[usage.no_such_file]" in result.stderr
    assert "--priors" in result.stderr
