"""Results in OHIF in front of Orthanc, opened as a person does: five numbers at outlines, segmentations, captures."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
DIST = Path(__file__).parents[2] / "build/ohif-3.13.2"
CT, FILMS = "myositis_calf", "phleboliths_leg_films"  # 225 columns; two films that both show lesions
FIVE = {
    "Maximum 3D Diameter of a Mesh": ("size", "max_diameter_mm"),
    "Volume": ("size", "volume_mm3"),
    "Distance from skin": ("depth", "skin_distance_mm"),
    "Mean Attenuation Coefficient": ("density", "mean_hu"),
    "Short axis": ("size", "axial_short_mm"),
}
_FLAGS = (
    "--no-sandbox", "--no-first-run", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 60_000

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def _module(name: str):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def archive(need_tool, tmp_path_factory):
    """An Orthanc with images and results of a CT and of radiographs; their folders of results by sample."""
    out = tmp_path_factory.mktemp("out")
    sources = [SAMPLES / name for name in (CT, FILMS)]
    subprocess.run(
        [sys.executable, "-m", "calcreport", "analyze", *sources, "--out", out, "--quiet",
         "--format", "json,png,sr,seg,sc"],
        check=True, capture_output=True,
    )  # fmt: skip
    folders = {}
    with _module("orthanc_server").running_orthanc(need_tool("Orthanc"), tmp_path_factory.mktemp("orthanc")) as orthanc:
        for source in sources:
            images = sorted(source.rglob("*.dcm"))
            folders[source.name] = out / str(pydicom.dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
            for file in (*images, *sorted(folders[source.name].glob("*.dcm"))):
                orthanc.ask("/instances", body=file.read_bytes())
        yield orthanc, folders


@pytest.fixture(scope="module")
def open_study(archive, need_tool):
    """``open_study(sample)`` gives the page with that study, its folder of results, and what Orthanc answers."""
    if not (DIST / "index.html").exists():
        # CI fails on what "is not installed" alone
        pytest.skip("OHIF is not installed" if shutil.which("npm") else ".ci/system-packages gets OHIF where npm is")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - with the browser

    orthanc, folders = archive
    with _module("ohif_server").running_ohif(DIST, orthanc.url) as viewer, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_tool("chromium"), args=list(_FLAGS))
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        context.set_default_timeout(PATIENCE_MS)

        def show(sample: str):
            viewer.answers.clear()
            page = context.new_page()
            page.goto(f"{viewer.url}/viewer?StudyInstanceUIDs={folders[sample].name}")
            tour = page.get_by_text("Skip all")
            page.add_locator_handler(tour, tour.first.click)
            return page, folders[sample], viewer.answers

        yield show
        browser.close()


def series(page, kind: str):
    """Entries of the study list for series of a modality."""
    return page.locator("[data-cy^='study-browser-thumbnail']").filter(has=page.get_by_text(kind, exact=True))


def lines_drawn(page) -> list[str]:
    """Labels beside outlines, a line each, after the structured report was opened.

    OHIF may draw nothing of a report that is asked for while a viewport is still being set up, nor when it is asked for
    again; the page is loaded anew then.
    """
    from playwright.sync_api import TimeoutError  # noqa: A004, PLC0415 - with the browser

    labels = page.locator("svg text tspan")
    for _ in range(4):
        with contextlib.suppress(TimeoutError):
            page.wait_for_load_state("networkidle", timeout=20_000)
            page.wait_for_timeout(1_500)
            series(page, "SR").dblclick()
            labels.first.wait_for(timeout=15_000)
            return labels.all_text_contents()
        page.reload()
    pytest.fail("the structured report is not drawn")


def coloured_pixels(page) -> int:
    """Pixels in the image area that are plainly not grey."""
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), dtype=int)
    area = picture[150:-80, 280:-60]
    return int((area.max(axis=2) - area.min(axis=2) > 60).sum())


def test_a_ct_study(open_study) -> None:
    page, folder, answers = open_study(CT)
    series(page, "OT").dblclick()
    page.wait_for_selector("text=(1/2)")  # summary and one lesion

    series(page, "SEG").dblclick()
    before = coloured_pixels(page)
    page.get_by_role("button", name="Yes", exact=True).click()
    for _ in range(100):
        if coloured_pixels(page) > before + 400:
            break
        page.wait_for_timeout(200)
    else:
        pytest.fail("the segmentation is not drawn")
    segmentation = pydicom.dcmread(folder / "seg.dcm", stop_before_pixels=True)
    assert segmentation.Columns % 8
    assert any(f"{segmentation.SOPInstanceUID}/frames/" in path for _, path in answers)

    drawn = dict(line.rsplit(": ", 1) for line in lines_drawn(page))
    (lesion,) = json.loads((folder / "report.json").read_text())["lesions"]
    assert list(drawn) == list(FIVE)
    uncertainty = lesion["size"]["uncertainty_mm"]
    for name, (group, field) in FIVE.items():
        shown, value = drawn[name].split()[0], lesion[group][field]
        assert float(shown) == pytest.approx(value, abs=0.5 if field in ("volume_mm3", "mean_hu") else uncertainty)
        assert re.search(r"\.\d0$", shown)  # two digits are OHIF's; the second is never one of ours
    assert [answer for answer in answers if answer[0] != 200] == []
    page.close()


def test_radiographs(open_study) -> None:
    """OHIF draws no segmentation that has no place in the patient; asked for it, it must not lose the study."""
    page, folder, answers = open_study(FILMS)
    drawn = dict(line.rsplit(": ", 1) for line in lines_drawn(page))
    assert next(iter(drawn)) == "Projected longest diameter"
    assert not {"Volume", "Distance from skin", "Mean Attenuation Coefficient"} & set(drawn)
    series(page, "OT").dblclick()
    page.wait_for_selector(f"text=(1/{len(list(folder.glob('sc_*.dcm')))})")
    assert len(list(folder.glob("seg*.dcm"))) == 2
    series(page, "SEG").first.dblclick()
    page.wait_for_selector("text=Loading SEG")
    assert series(page, "SEG").count() == 2
    assert [answer for answer in answers if answer[0] != 200] == []
    page.close()
