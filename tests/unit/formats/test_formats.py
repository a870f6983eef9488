from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from calcreport.cli import main
from calcreport.errors import TemplateError
from calcreport.formats import DEFAULT_FORMATS, FILE_NAMES, FORMATS, RENDERERS, Templates, as_json, load_templates
from calcreport.formats.page import as_html
from calcreport.formats.text import as_text
from calcreport.model.report import FlagState, Report
from calcreport.resources import template_texts

SCHEMA = Path(__file__).parents[3] / "docs" / "schema" / "report.schema.json"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser would see: text, attributes, and whether every element was closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"stray </{tag}>"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def picture_of(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1388, 594), grey).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = picture_of(0)


def page_of(report: Report, templates: Templates, pictures: dict[str, bytes] | None = None) -> str:
    return as_html.render(report, templates, pictures or {}).decode()


def text_of(report: Report, templates: Templates) -> str:
    return as_text.render(report, templates, {}).decode("ascii")


def full_text_of(report: Report, templates: Templates) -> str:
    return as_text.render_full(report, templates, {}).decode("ascii")


def test_every_format_of_a_report_is_in_the_table() -> None:
    assert set(RENDERERS) <= set(FORMATS)
    assert set(RENDERERS) == {"text", "text-full", "json", "html", "pdf", "hl7", "fhir"}
    assert set(RENDERERS) <= set(FILE_NAMES)
    assert set(DEFAULT_FORMATS) == {"text", "json", "html", "png", "sr", "seg", "sc"}
    with pytest.raises(TypeError):
        RENDERERS["text"] = as_json.render  # type: ignore[index]


def test_text_and_page_name_every_lesion_of_the_json(reports: dict[str, Report], templates: Templates) -> None:
    for report in reports.values():
        text, page = full_text_of(report, templates), Page(page_of(report, templates))
        findings = text.split("FINDINGS:")[1].split("SARCOMA FLAGS:")[0]
        impression = text.split("IMPRESSION:")[1].lower()
        count = templates.statements.choose("number", str(len(report.lesions)), str(len(report.lesions)))
        for number, lesion in enumerate(report.lesions, start=1):
            is_counted = len(report.lesions) == 1 or f"{count} " in impression  # all of them in one group
            assert is_counted or re.search(rf"\b{lesion.id.lower()}\b", impression)
            assert f"({lesion.id})" in findings
            assert ("h2", {"id": lesion.id, "tabindex": "-1"}) in page.seen
            assert page.text.count(f"Lesion {number} ({lesion.id})") == 1


def test_the_text_is_short_lines_of_printable_ascii(reports: dict[str, Report], templates: Templates) -> None:
    for report in reports.values():
        content = as_text.render_full(report, templates, {})
        assert all(byte == 10 or 32 <= byte < 127 for byte in content)
        assert max(map(len, content.split(b"\n"))) <= 80
        assert b"\n\n\n" not in content
        assert all(line == line.rstrip() for line in content.split(b"\n"))


def test_the_sections_come_in_the_order_of_a_dictated_report(reports: dict[str, Report], templates: Templates) -> None:
    order = ["CLINICAL INFORMATION", "TECHNIQUE", "COMPARISON", "FINDINGS", "SARCOMA FLAGS", "IMPRESSION"]
    for report in reports.values():
        headings = re.findall(r"^([A-Z ]+):$", full_text_of(report, templates), flags=re.MULTILINE)
        assert headings[:6] == order
        assert headings[6:] in (["RECOMMENDATION", "LIMITATIONS"], ["LIMITATIONS"])
        of_section = re.findall(r"(?:^|  )([A-Z]{4}[A-Z ]+):", text_of(report, templates), flags=re.MULTILINE)
        assert of_section == [*order[1:], "LIMITATION"][: len(of_section)]
        assert len(of_section) >= len(order) - 1


def test_no_report_says_normal_and_only_high_concern_is_suspicious(
    reports: dict[str, Report], templates: Templates
) -> None:
    for report in reports.values():
        for words in (text_of(report, templates), Page(page_of(report, templates)).text):
            assert not re.search(r"\b(normal|unremarkable|benign)\b", words, flags=re.IGNORECASE)
            assert report.concern == "high" or "suspicious" not in words.lower()


def test_only_an_absent_flag_is_worded_as_a_negative(reports: dict[str, Report], templates: Templates) -> None:
    report = reports["phlebolith"]
    lesion = report.lesions[0]
    for state in FlagState:
        flag = lesion.flags.growth.model_copy(update={"state": state})
        changed = lesion.model_copy(update={"flags": lesion.flags.model_copy(update={"growth": flag})})
        flags = " ".join(
            text_of(report.model_copy(update={"lesions": (changed,)}), templates)
            .split("SARCOMA FLAGS:")[1]
            .split("IMPRESSION:")[0]
            .split()
        )
        negatives = re.findall(r"Absent: ([^.]*)\.", flags)
        assert any("rapid growth" in negative for negative in negatives) == (state is FlagState.ABSENT)


def test_the_page_loads_nothing_and_runs_nothing(reports: dict[str, Report], templates: Templates) -> None:
    for report in reports.values():
        page = Page(page_of(report, templates, {"images/overview.png": PICTURE, "images/L1.png": PICTURE}))
        assert page.open == []
        policy = next(attrs["content"] for tag, attrs in page.seen if attrs.get("http-equiv"))
        assert policy is not None
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
        assert not {"link", "iframe", "object", "form"} & {tag for tag, _ in page.seen}
        script = re.findall(r"<script>(.*?)</script>", page_of(report, templates), flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
        assert policy.count("script-src") == 1
        assert f"script-src 'sha256-{digest}'" in policy  # that one and no other may run
        assert len(script) == [tag for tag, _ in page.seen].count("script") == 1
        for tag, attrs in page.seen:
            assert not any(name.startswith("on") for name in attrs)
            if tag == "img":
                assert attrs["alt"]
                assert (attrs["src"] or "").startswith("data:image/png;base64,")
            if tag == "a":
                assert (attrs["href"] or "").startswith("data:text/yaml;base64," if "download" in attrs else "#L")


def test_the_page_holds_the_pictures_and_the_text(reports: dict[str, Report], templates: Templates) -> None:
    report = reports["deep_mass"]
    pictures = {f"images/L{number}.png": picture_of(number) for number in (1, 2)}
    page = page_of(report, templates, pictures)
    for picture in pictures.values():
        assert base64.b64encode(picture).decode() in page
    assert text_of(report, templates) in Page(page).text


def test_headings_of_the_page_form_an_outline(reports: dict[str, Report], templates: Templates) -> None:
    for report in reports.values():
        levels = [int(tag[1]) for tag, _ in Page(page_of(report, templates)).seen if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_published_schema_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "report"]) == 0
    assert SCHEMA.read_text(encoding="utf-8") == capsys.readouterr().out, (
        "run: calcreport schema report > docs/schema/report.schema.json"
    )


HOSTILE = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.sampled_from(
    [
        "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "{% raw %}", "{label}",
        "\u202egnp.exe",
        "a\nIMPRESSION:\n1. No finding.", "x" * 300, "]]>", "&lt;b&gt;", "\x00\x1b[31m", "</style></pre></section>",
        "\u2028\u0085", "\ufeff\u200b",
    ]
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(HOSTILE, min_size=8, max_size=8))
def test_any_text_survives_escaped_and_folded(
    words: list[str], reports: dict[str, Report], templates: Templates
) -> None:
    base = reports["myositis_ossificans"]
    lesion = base.lesions[0]
    patient = base.study.patient.model_copy(update={"name": words[0], "id": words[1]})
    report = base.model_copy(
        update={
            "study": base.study.model_copy(update={"patient": patient, "description": words[2], "body_part": words[3]}),
            "clinical": {
                "request": {"question": words[4]},
                "site": {"region": words[5]},
                "history": {"trauma": words[6]},
            },
            "lesions": (
                lesion.model_copy(
                    update={"location": lesion.location.model_copy(update={"region": words[5]}), "notes": (words[7],)}
                ),
            ),
            "series": tuple(entry.model_copy(update={"description": words[2]}) for entry in base.series),
        }
    )
    for content, width in ((full_text_of(report, templates), 80), (text_of(report, templates), 10_000)):
        assert all(character == "\n" or " " <= character <= "~" for character in content)
        assert max(map(len, content.split("\n"))) <= width
        assert sum(line == "IMPRESSION:" for line in content.split("\n")) == 1
    page = Page(page_of(report, templates))
    assert page.open == []
    assert {tag for tag, _ in page.seen} == {tag for tag, _ in Page(page_of(base, templates)).seen}
    assert not any(name.startswith("on") for _, attrs in page.seen for name in attrs)
    assert Report.model_validate_json(as_json.render(report, templates, {})) == report


def test_what_hides_or_reorders_text_becomes_visible(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["phlebolith"]
    study = base.study.model_copy(update={"description": "CT\u202eabc\x00"})
    page = page_of(base.model_copy(update={"study": study}), templates)
    assert "CT[U+202E]abc[U+0000]" in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("{{ report.no_such_field }}", "template.failed"),
        ("{{ unknown }}", "template.failed"),
        ("{% for x in %}", "template.syntax"),
        ("{% include 'missing.j2' %}", "template.missing"),
        ("{{ report.__class__.__mro__ }}", "template.failed"),
        ("{{ ''.__class__ }}", "template.failed"),
        ("{{ statements.say('no.such') }}", "template.statement"),
        ("{{ 1 // 0 }}", "template.failed"),
        ("{{ range(10) }}", "template.failed"),
        ("{% include 'report.txt.j2' %}", "template.failed"),
        ("{{ 'x' * 9999999999 }}", "template.failed"),
        ("{{ 9 ** 9 ** 9 }}", "template.failed"),
        ("{{ '%9999999999d' % 1 }}", "template.failed"),
        ("{{ 'x'.ljust(9999999999) }}", "template.failed"),
        ("{{ 'x'|center(9999999999) }}", "template.syntax"),
    ],
)
def test_a_faulty_site_template_is_named(
    template: str, code: str, reports: dict[str, Report], templates: Templates
) -> None:
    site = load_templates(templates.texts, {"report.txt.j2": template})
    with pytest.raises(TemplateError) as caught:
        as_text.render(reports["phlebolith"], site, {})
    assert caught.value.code == code
    assert "Doe" not in caught.value.message


def test_a_site_changes_one_sentence_and_keeps_the_others(reports: dict[str, Report]) -> None:
    texts = template_texts()
    site = load_templates(texts, {"statements.toml": 'comparison_none = "None known."'})
    text = full_text_of(reports["phlebolith"], site)
    assert "COMPARISON:\nNone known.\n" in text
    assert "Smooth rounded calcification." in " ".join(text.split())
