"""The page in a browser: it sorts, copies and steps, asks nobody for anything, and prints the patient on each sheet."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from calcreport.errors import ClinicalError
from calcreport.files.findings import review_from_text
from calcreport.formats import Templates
from calcreport.formats.page import as_html
from calcreport.formats.text import as_text
from calcreport.model.report import Concern, LesionGrowth, Report
from calcreport.text.wording import present

sys.path.append(str(Path(__file__).parents[1] / "dicom"))

import made_subjects as made

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
HOSTILE = [
    '"; } </style><script>document.title="owned"</script>', "\\", "a\nb", "*/ @import url(http://pacs.invalid/x);",
    "\u202e\u2028", "' onfocus=alert(1) x='", "<svg onload=alert(1)>", "];alert(1)//",
]  # fmt: skip
SIZES_MM = (9.0, 44.0, None, 120.5, 17.3, 17.12, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
CONCERNS = (Concern.HIGH, Concern.FLAGGED, Concern.NONE, Concern.INDETERMINATE, *(Concern.NONE,) * 8)


def report_of(**patient: object) -> Report:
    """Twelve lesions of different size and concern."""
    lesions = []
    for number, (size_mm, concern) in enumerate(zip(SIZES_MM, CONCERNS, strict=True), start=1):
        lesion = made.lesion_of(number, side="right")
        size = lesion.size.model_copy(update={"max_diameter_mm": size_mm})
        lesions.append(lesion.model_copy(update={"size": size, "concern": concern}))
    report = made.report_of(tuple(lesions))
    study = report.study.model_copy(update={"patient": report.study.patient.model_copy(update=patient)})
    return report.model_copy(update={"study": study})


def page_of(report: Report, templates: Templates) -> str:
    return as_html.render(report, templates, {}).decode()


def skeleton_of(page: str) -> str:
    (content,) = re.findall(r'download="review.yaml" href="data:text/yaml;base64,([^"]*)"', page)
    return base64.b64decode(content).decode("ascii")


@pytest.mark.parametrize(
    ("lengths", "comparable", "shown"),
    [
        ([("2024-01-01", 10.0)], "yes", [(0, 50, "2024-01-01", "1.0 cm"), (50, 25, "2025-01-01", "1.5 cm"),
                                         (100, 0, "2026-01-02", "2.0 cm")]),
        ([("2024-01-01", 10.0)], "no", []),
        ([], "yes", []),
        ([("no day", 10.0), ("2025-01-01", 15.0)], "yes", []),
    ],
)  # fmt: skip
def test_three_lengths_and_more_are_a_curve(lengths, comparable, shown, templates: Templates) -> None:
    report = report_of()
    growth = LesionGrowth(
        status="matched", comparable=comparable, earlier_lengths=tuple(lengths), prior_date="2025-01-01",
        before_mm=15.0, now_mm=20.0,
    )  # fmt: skip
    lesion = report.lesions[0].model_copy(update={"growth": growth})
    study = report.study.model_copy(update={"study_date": "2026-01-02"})
    report = report.model_copy(update={"lesions": (lesion, *report.lesions[1:]), "study": study})
    assert as_html._curve(lesion, present(report, templates.statements)) == shown
    page = page_of(report, templates)
    assert page.count('<svg class="curve"') == bool(shown)
    for _, _, date, length in shown:
        assert f"<title>{date}: {length}</title>" in page


def test_the_review_file_decides_nothing_until_a_person_does(templates: Templates) -> None:
    report = report_of()
    skeleton = skeleton_of(page_of(report, templates))
    with pytest.raises(ClinicalError):
        review_from_text(skeleton)
    for word in ("accept", "reject", "correct"):
        lines = [re.sub(r"^#(?=  \"L\d+\": .*\b" + word + r"\b)", "", line) for line in skeleton.splitlines()]
        decided = review_from_text("\n".join(lines))
        assert list(decided.lesions) == [lesion.id for lesion in report.lesions]
        assert {verdict.decision for verdict in decided.lesions.values()} == {word}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_inert_on_sheets_and_in_the_review_file(text: str, templates: Templates) -> None:
    base = report_of(name=text, id=text)
    place = base.lesions[0].location.model_copy(update={"region": text})
    report = base.model_copy(update={"lesions": (base.lesions[0].model_copy(update={"location": place}),)})
    page = page_of(report, templates)
    style = page.split("<style>")[1].split("</style>")[0]
    (head,) = re.findall(r'@top-left \{ content: "([^"]*)"; width', style)
    assert re.fullmatch(r"(?:[A-Za-z0-9 .,:-]|\\[0-9a-f]{1,6} )*", head)
    assert page.count("<script>") == 1
    assert all(line.startswith("#") or line == "lesions:" for line in skeleton_of(page).splitlines())


@pytest.fixture
def open_page(need_tool: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a page from disk; every address that it asks for is in ``asked``, everything it complains of in ``said``."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_tool("chromium"), args=list(FLAGS))

        def open_it(page: str, **options: Any) -> Any:
            file = tmp_path / "report.html"
            file.write_text(page, encoding="utf-8")
            tab = browser.new_context(**options).new_page()
            tab.asked, tab.said = [], []
            tab.on("request", lambda request: tab.asked.append(request.url))
            tab.on("console", lambda message: tab.said.append(message.text))
            tab.on("pageerror", lambda error: tab.said.append(str(error)))
            tab.goto(file.as_uri())
            return tab

        yield open_it
        browser.close()


def ids_of(tab: Any) -> list[str]:
    return [row.split()[0] for row in tab.locator("table.all tbody tr").all_inner_texts()]


def test_a_click_sorts_and_what_is_unknown_stays_last(open_page: Callable[..., Any], templates: Templates) -> None:
    tab = open_page(page_of(report_of(), templates))
    head = tab.locator(".all th", has_text="Longest")
    head.locator("button").click()
    assert ids_of(tab) == ["L4", "L2", "L5", "L6", "L1", "L7", "L8", "L9", "L10", "L11", "L12", "L3"]
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").press("Enter")
    assert ids_of(tab) == ["L12", "L11", "L10", "L9", "L8", "L7", "L1", "L6", "L5", "L2", "L4", "L3"]
    tab.locator(".all th", has_text="Concern").locator("button").click()
    assert ids_of(tab)[:3] == ["L1", "L2", "L4"]
    assert head.get_attribute("aria-sort") is None
    tab.locator(".all th", has_text="Lesion").locator("button").click()
    assert ids_of(tab) == [f"L{number}" for number in range(1, 13)]
    assert [url for url in tab.asked if not url.startswith("file:")] == tab.said == []


def test_the_buttons_copy_the_text_and_its_parts(open_page: Callable[..., Any], templates: Templates) -> None:
    report = report_of()
    text = as_text.render(report, templates, {}).decode()
    tab = open_page(page_of(report, templates), permissions=["clipboard-read", "clipboard-write"])
    for name in ("all", "findings", "impression"):
        tab.get_by_role("button", name=f"Copy {name}").click()
        tab.get_by_role("button", name="Copied").first.wait_for()
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert text == copied if name == "all" else f"{name.upper()}:\n{copied}\n" in text
        assert len(copied.split()) > 5
        tab.get_by_role("button", name=f"Copy {name}").wait_for()


def test_j_and_k_step_from_lesion_to_lesion(open_page: Callable[..., Any], templates: Templates) -> None:
    tab = open_page(page_of(report_of(), templates))
    seen = []
    for key in "jjjkj":
        tab.keyboard.press(key)
        seen.append(tab.evaluate("document.activeElement.id"))
    assert seen == ["L1", "L2", "L3", "L2", "L3"]


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_screen_and_the_page_is_short(
    width: int, open_page: Callable[..., Any], templates: Templates
) -> None:
    tab = open_page(page_of(report_of(), templates), viewport={"width": width, "height": 900})
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    tab.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    if width == 1400:
        tab.reload()
        assert tab.evaluate("document.documentElement.scrollHeight") <= 8 * 900


def test_a_browser_prints_the_patient_on_every_sheet(
    open_page: Callable[..., Any], templates: Templates, need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    tab = open_page(page_of(report_of(), templates))
    tab.pdf(path=tmp_path / "print.pdf", prefer_css_page_size=True)
    done = subprocess.run(
        [need_tool("pdftotext"), "-layout", tmp_path / "print.pdf", "-"], capture_output=True, check=True
    )
    sheets = done.stdout.decode().split("\f")[:-1]
    for number, sheet in enumerate(sheets, start=1):
        for told in ("Doe, Jane", "4711", "DRAFT, NOT VERIFIED", f"Page {number} of {len(sheets)}"):
            assert told in sheet
    assert "".join(sheets).count("Distance from the skin") == 12  # what is folded on the screen is on paper


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_text_has_contrast(scheme: str, open_page: Callable[..., Any], templates: Templates) -> None:
    tab = open_page(page_of(report_of(), templates), color_scheme=scheme)
    assert tab.evaluate(WORST_CONTRAST) >= 4.5  # WCAG 2.2, level AA


WORST_CONTRAST = """() => {
  const light = (colour) => {
    const part = colour.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const read = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (one) => {
    const colour = read(getComputedStyle(one).backgroundColor);
    return colour.length === 3 || colour[3] > 0 ? colour : behind(one.parentElement);
  };
  return Math.min(...[...document.querySelectorAll("main *")].filter((one) => one.innerText).map((one) => {
    const [a, b] = [light(read(getComputedStyle(one).color)), light(behind(one))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}"""
