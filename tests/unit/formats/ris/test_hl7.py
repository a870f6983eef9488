"""The message for the RIS, read back as a receiver reads it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from calcreport.formats import Templates, load_templates
from calcreport.formats.ris import as_hl7
from calcreport.formats.ris.sections import Section, cut_sections
from calcreport.formats.text import as_text
from calcreport.model.report import FlagState, LesionReview, PatientLevel, Report
from calcreport.resources import template_texts

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[3] / "films")]

import made_films
import ris_reading


@pytest.fixture(scope="module")
def all_reports(reports: dict[str, Report], templates: Templates) -> dict[str, Report]:
    films = {f"film_{name}": case().report(templates) for name, case in made_films.CASES.items()}
    return reports | films


def send(report: Report, templates: Templates) -> bytes:
    return as_hl7.render(report, templates, {})


def one(content: bytes, name: str) -> ris_reading.Segment:
    (segment,) = [segment for segment in ris_reading.read(content) if segment.name == name]
    return segment


def test_hl7apy_finds_no_fault_in_any_report(
    all_reports: dict[str, Report], templates: Templates, tmp_path: Path
) -> None:
    for name, report in all_reports.items():
        assert ris_reading.validate(send(report, templates), tmp_path) == [], name


def test_the_header_says_what_it_is_and_how_it_is_written(reports: dict[str, Report], templates: Templates) -> None:
    header = one(send(reports["myositis_ossificans"], templates), "MSH")
    assert [header[9][number] for number in (1, 2, 3)] == ["ORU", "R01", "ORU_R01"]
    assert (header[3].text, header[12].text, header[18].text) == ("calcreport", "2.5.1", "UNICODE UTF-8")
    assert header[7].text == "20261002100000+0000"


def test_nothing_is_ever_final(all_reports: dict[str, Report], templates: Templates) -> None:
    for report in all_reports.values():
        for status in ("accepted", "corrected"):
            review = LesionReview(status=status, reader="Roe", date="2026-10-03")
            lesions = tuple(lesion.model_copy(update={"review": review}) for lesion in report.lesions)
            segments = ris_reading.read(send(report.model_copy(update={"lesions": lesions}), templates))
            assert {segment[25].text for segment in segments if segment.name == "OBR"} == {"P"}
            for segment in segments:
                if segment.name == "OBX":
                    assert segment[11].text == ("O" if segment[3][1] == "113014" else "P")


def test_the_sections_are_the_text_section(all_reports: dict[str, Report], templates: Templates) -> None:
    for report in all_reports.values():
        written = as_text.render(report, templates, {}).decode("ascii")
        sections = cut_sections(report, templates)
        parts = [f"{part.heading}: {part.text}" if part.heading else part.text for part in sections]
        assert " ".join(parts).split() == written.split()
        assert {part.name for part in sections} >= {"technique", "comparison", "findings", "flags", "impression"}
        sent = ris_reading.observations(send(report, templates))
        assert [sent[f"text.{part.name}"][5].text for part in sections] == [part.text for part in sections]
        assert sections[-1].name == "draft"


def test_a_paragraph_is_one_line_whatever_the_width_of_the_text(
    all_reports: dict[str, Report], templates: Templates
) -> None:
    for report in all_reports.values():
        narrow = report.model_copy(update={"settings": {**report.settings, "text": {"wrap_columns": 40}}})
        told, folded = (as_hl7.render(one, templates, {}).split(b"\rOBX|2|", 1)[1] for one in (report, narrow))
        assert told == folded
        section = as_text.render(narrow, templates, {}).decode("ascii")
        assert max(map(len, section.split("\n"))) <= 40  # the text itself is folded


def test_sections_go_by_their_loinc_codes(reports: dict[str, Report], templates: Templates) -> None:
    sent = ris_reading.observations(send(reports["deep_mass"], templates))
    codes = {name.removeprefix("text."): (part[3][1], part[3][3]) for name, part in sent.items()}
    assert codes["findings"] == ("59776-5", "LN")
    assert codes["impression"] == ("19005-8", "LN")
    assert codes["comparison"] == ("111424", "DCM")
    assert codes["flags"] == ("text.flags", "99CALCREPORT")


def test_text_that_reads_like_a_heading_opens_no_section(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["phlebolith"]
    where = base.lesions[0].location.model_copy(update={"region": "a  IMPRESSION: 1. No finding.\nIMPRESSION: none"})
    report = base.model_copy(update={"lesions": (base.lesions[0].model_copy(update={"location": where}),)})
    assert "  IMPRESSION: 1. No finding. IMPRESSION" in as_text.render(report, templates, {}).decode("ascii")
    names = [section.name for section in cut_sections(report, templates)]
    assert names == ["technique", "comparison", "findings", "flags", "impression", "draft"]


def test_a_site_s_own_layout_is_sent_as_it_stands(reports: dict[str, Report]) -> None:
    texts = template_texts()
    layout = (
        "Own layout\nFINDINGS: {{ say.impression[0] }}\n{{ say.draft }} See {{ statements.say('heading.findings') }}."
    )
    site = load_templates(texts, {"report.txt.j2": layout})
    report = reports["phlebolith"]
    sent = ris_reading.observations(send(report, site))
    text = "\n".join(part[5].text for name, part in sent.items() if name.startswith("text."))
    written = as_text.render(report, site, {}).decode("ascii")
    assert text.split() == written.split()
    assert sent["text.report"][3][1] == "18748-4"
    own_word = load_templates(texts, {"statements.toml": '[heading]\nfindings = "BEFUND"'})
    assert ris_reading.observations(send(report, own_word))["text.findings"][3][5] == "Befund"


def test_the_same_report_gives_the_same_message(reports: dict[str, Report], templates: Templates) -> None:
    report = reports["deep_mass"]
    content = send(report, templates)
    assert content == send(Report.model_validate_json(report.model_dump_json(by_alias=True)), templates)
    changed = send(report.model_copy(update={"patient": PatientLevel(notes=("One more.",))}), templates)
    later = send(report.model_copy(update={"created": "2026-10-02T10:00:01+00:00"}), templates)
    ids = {one(sent, "MSH")[10].text for sent in (content, changed, later)}
    assert len(ids) == 3
    assert {len(identifier) for identifier in ids} == {20}


def test_every_number_returns_with_its_unit(reports: dict[str, Report], templates: Templates) -> None:
    lesion = reports["deep_mass"].lesions[0]
    sent = ris_reading.observations(send(reports["deep_mass"], templates), "L1")
    expected = {
        "size.max_diameter_mm": (lesion.size.max_diameter_mm, "mm"),
        "size.volume_mm3": (lesion.size.volume_mm3, "mm3"),
        "mass.max_diameter_mm": (lesion.mass.max_diameter_mm, "mm"),
        "mass.mineral_fraction": (lesion.mass.mineral_fraction, "1"),
        "density.mean_hu": (lesion.density.mean_hu, "[hnsf'U]"),
        "density.max_hu": (lesion.density.max_hu, "[hnsf'U]"),
        "depth.skin_distance_mm": (lesion.depth.skin_distance_mm, "mm"),
        "depth.fascia_distance_mm": (lesion.depth.fascia_distance_mm, "mm"),
        "foci.count": (lesion.foci.count, "1"),
    }
    for name, (number, unit) in expected.items():
        assert (sent[name][2].text, float(sent[name][5].text), sent[name][6][1]) == ("NM", number, unit), name
    assert (sent["density.mean_hu"][3][1], sent["density.mean_hu"][3][3]) == ("112181", "DCM")
    assert (sent["depth.skin_distance_mm"][3][1], sent["depth.skin_distance_mm"][3][3]) == ("121243", "DCM")


def test_zero_is_sent_and_what_was_not_measured_is_not(reports: dict[str, Report], templates: Templates) -> None:
    abutting = ris_reading.observations(send(reports["deep_mass"], templates), "L2")
    assert abutting["depth.fascia_distance_mm"][5].text == "0"
    report = reports["deep_mass"]
    bare = report.model_copy(update={"lesions": (ris_reading.unmeasured(report.lesions[0]),)})
    sent = ris_reading.observations(send(bare, templates), "L1")
    assert {segment[2].text for segment in sent.values()} == {"CWE", "ST"}
    unknown = {"depth.class", "bone_relation", "mass.present", "location.laterality"}
    assert {sent[name][5][1] for name in unknown} == {"unknown", "cannot_determine"}
    assert not {"location.region", "location.images", "tracking_uid"} & set(sent)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_what_is_no_measurement_is_left_out(number: float, reports: dict[str, Report], templates: Templates) -> None:
    base = reports["phlebolith"]
    size = base.lesions[0].size.model_copy(update={"axial_long_mm": number})
    sent = ris_reading.observations(send(ris_reading.with_lesion(base, size=size), templates), "L1")
    assert "size.axial_long_mm" not in sent
    assert "size.max_diameter_mm" in sent


def test_what_the_scan_cuts_is_at_least_so_long(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["deep_mass"]
    cut = ris_reading.observations(send(base, templates), "L2")["size.max_diameter_mm"]
    assert (cut[2].text, cut[5][1], cut[5][2]) == ("SN", ">=", "7.4")
    density = base.lesions[0].density.model_copy(update={"is_clipped": True})
    sent = ris_reading.observations(send(ris_reading.with_lesion(base, density=density), templates), "L1")
    assert {name for name, segment in sent.items() if segment[2].text == "SN"} == {
        "density.mean_hu", "density.max_hu", "density.p95_hu",
    }  # fmt: skip


def test_only_an_absent_flag_is_sent_as_absent(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["phlebolith"]
    for state in FlagState:
        flag = base.lesions[0].flags.growth.model_copy(update={"state": state, "evidence": "told"})
        flags = base.lesions[0].flags.model_copy(update={"growth": flag})
        sent = ris_reading.observations(send(ris_reading.with_lesion(base, flags=flags), templates), "L1")
        value = sent["flags.growth"][5]
        assert value[1] == state.value
        assert ("absent" in value[2].lower()) == (state is FlagState.ABSENT)
        assert "told" in value[2]


def test_a_rejected_lesion_sends_no_number(reports: dict[str, Report], templates: Templates) -> None:
    report = ris_reading.rejecting(reports["deep_mass"], "L1")
    told = {name: segment[5].text for name, segment in ris_reading.observations(send(report, templates), "L1").items()}
    assert {name for name, value in told.items() if value} == {"id", "tracking_uid"} & set(told)
    assert "size.max_diameter_mm" in ris_reading.observations(send(report, templates), "L2")


def test_a_rejected_lesion_is_withdrawn_item_by_item(
    reports: dict[str, Report], templates: Templates, tmp_path: Path
) -> None:
    """What an earlier draft sent would stay at the receiver for good."""
    base = reports["deep_mass"]
    draft = ris_reading.observations(send(base, templates), "L1")
    after = send(ris_reading.rejecting(base, "L1"), templates)
    withdrawn = ris_reading.observations(after, "L1")
    assert draft.keys() == withdrawn.keys() - {"review.status"}
    assert {segment[11].text for segment in withdrawn.values()} == {"D"}
    assert {segment[11].text for segment in ris_reading.observations(after, "L2").values()} == {"P"}
    assert ris_reading.observations(after)["report.concern"][11].text == "P"
    assert ris_reading.validate(after, tmp_path) == []


def test_with_every_lesion_the_concern_is_withdrawn(
    reports: dict[str, Report], templates: Templates, tmp_path: Path
) -> None:
    base = reports["deep_mass"]
    sent = send(ris_reading.rejecting(base, "L1", "L2"), templates)
    study = ris_reading.observations(sent)
    gone = {name for name, segment in study.items() if segment[11].text == "D"}
    assert gone == {"report.concern", *(f"flags_summary.{name}" for name in base.flags_summary)}
    assert not any(study[name][5].text for name in gone)
    assert ris_reading.validate(sent, tmp_path) == []


def test_without_a_lesion_no_concern_is_claimed(reports: dict[str, Report], templates: Templates) -> None:
    sent = ris_reading.observations(send(reports["negative"], templates))
    assert not [name for name in sent if name == "report.concern" or name.startswith("flags_summary.")]
    assert "text.impression" in sent


def test_a_reported_lump_has_its_concern_without_a_lesion(reports: dict[str, Report], templates: Templates) -> None:
    report = ris_reading.lump_without_lesion(reports["negative"])
    sent = ris_reading.observations(send(report, templates))
    assert sent["report.concern"][5].text == "high"
    told = {name: segment[5].text for name, segment in sent.items() if name.startswith("flags_summary.")}
    assert told == {f"flags_summary.{name}": "present" for name in ("size", "growth", "mass", "history")}
    red_flags = sent["text.flags"][5].text
    assert "Not applicable" not in red_flags
    for name in ("size >5 cm", "rapid growth"):
        assert name in red_flags.lower()


def test_the_flags_of_the_study_are_the_summary_of_the_report(
    all_reports: dict[str, Report], templates: Templates
) -> None:
    for name, report in all_reports.items():
        sent = ris_reading.observations(send(report, templates))
        told = {code: segment[5].text for code, segment in sent.items() if code.startswith("flags_summary.")}
        assert told == {f"flags_summary.{flag}": state.value for flag, state in report.flags_summary.items()}, name


def test_a_contour_without_mineral_claims_no_count_and_no_pattern(
    reports: dict[str, Report], templates: Templates
) -> None:
    """None above the threshold is not none."""
    base = reports["deep_mass"]
    lesion = base.lesions[0]
    told = {"foci": lesion.foci.model_copy(update={"count": 0, "largest_max_diameter_mm": None})}
    bare = told | {"size": type(lesion.size)(), "mass": lesion.mass.model_copy(update={"mineral_fraction": 0.0})}
    of_mineral = {"foci.count", "mass.mineral_fraction", "pattern.id", "pattern.confidence", "bone_relation"}
    sent = ris_reading.observations(send(ris_reading.with_lesion(base, **bare), templates), "L1")
    assert of_mineral.isdisjoint(sent)
    assert {"mass.max_diameter_mm", "depth.class", "flags.size"} <= set(sent)
    assert of_mineral - {"mass.mineral_fraction"} <= set(ris_reading.observations(send(base, templates), "L1"))
    # a reader who states its length has seen mineral that the program did not count
    stated = told | {"size": type(lesion.size)(max_diameter_mm=12.0)}
    sent = ris_reading.observations(send(ris_reading.with_lesion(base, **stated), templates), "L1")
    assert "pattern.id" in sent
    assert "foci.count" not in sent


def test_lengths_on_radiographs_are_called_projected(templates: Templates) -> None:
    for name, case in made_films.CASES.items():
        report = case().report(templates)
        for lesion in report.lesions:
            sent = ris_reading.observations(send(report, templates), lesion.id)
            lengths = {key for key, segment in sent.items() if segment[6][1] in {"mm", "mm3", "{pixels}"}}
            own = {key for key in lengths if not key.startswith(("mass.", "size.uncertainty"))}
            assert own, name
            assert all(key.startswith("projected.") for key in own), name
            assert all("not the true size" in sent[key][3][2] or "not the depth" in sent[key][3][2] for key in own)
            units = {sent[key][6][1] for key in own if "diameter" in key}
            assert units == ({"{pixels}"} if lesion.size.max_diameter_mm is None else {"mm"}), name
            assert not any(key.startswith("density.") for key in sent)


def test_a_radiograph_names_no_tissue_it_does_not_show(templates: Templates) -> None:
    report = made_films.rim_mass().report(templates)
    pattern = ris_reading.observations(send(report, templates), "L1")["pattern.id"][5]
    assert pattern[1] == "P05"
    assert pattern[2] == templates.statements.say("pattern.film.P05")


def test_a_radiograph_says_nothing_of_bone(templates: Templates) -> None:
    """Beside bone in a projection is not apart from bone."""
    for name, case in made_films.CASES.items():
        report = case().report(templates)
        for lesion in report.lesions:
            assert "bone_relation" not in ris_reading.observations(send(report, templates), lesion.id), name


@pytest.mark.parametrize(
    ("name", "repetitions"),
    [
        ("Doe^Jane^Q^Dr^Jr", [("Doe", "Jane", "Q", "Jr", "Dr", "A")]),
        ("Doe", [("Doe", "", "", "", "", "A")]),
        ("^Jane", [("", "Jane", "", "", "", "A")]),
        (
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            [
                ("Yamada", "Tarou", "", "", "", "A"),
                ("山田", "太郎", "", "", "", "I"),
                ("やまだ", "たろう", "", "", "", "P"),
            ],
        ),
        ("=王^小東", [("王", "小東", "", "", "", "I")]),
        ("a^b^c^d^e^f^g", [("a", "b", "c", "e^f^g", "d", "A")]),
        ("O'Neil & Sons^M|SH|~\\.br\\", [("O'Neil & Sons", "M|SH|~\\.br\\", "", "", "", "A")]),
    ],
)
def test_a_person_name_keeps_its_groups(
    name: str, repetitions: list[tuple[str, ...]], reports: dict[str, Report], templates: Templates
) -> None:
    base = reports["phlebolith"]
    patient = base.study.patient.model_copy(update={"name": name})
    report = base.model_copy(update={"study": base.study.model_copy(update={"patient": patient})})
    field = one(send(report, templates), "PID")[5]
    assert [tuple(part.get(number, "") for number in (1, 2, 3, 4, 5, 8)) for part in field.repetitions] == repetitions


def test_who_is_not_named_is_unspecified_and_gets_no_id(
    reports: dict[str, Report], templates: Templates, tmp_path: Path
) -> None:
    base = reports["phlebolith"]
    study = base.study.model_copy(
        update={"patient": type(base.study.patient)(), "accession_number": None, "study_date": None}
    )
    content = send(base.model_copy(update={"study": study}), templates)
    person = one(content, "PID")
    assert person[3].text == ""
    assert person[5][7] == "U"
    assert ris_reading.validate(content, tmp_path) == ["Error: Missing required child PID.PID_3"]


def test_a_value_that_orders_deletion_is_left_out(reports: dict[str, Report], templates: Templates) -> None:
    base = reports["phlebolith"]
    patient = base.study.patient.model_copy(update={"name": '""^""', "id": ' "" '})
    study = base.study.model_copy(update={"patient": patient, "accession_number": '""'})
    assert b'""' not in send(base.model_copy(update={"study": study}), templates)


def test_a_long_text_goes_in_several_parts(
    reports: dict[str, Report], templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of this program is short; the layout of a site may be as long as it likes."""
    long = "\n".join(f"{number}. Finding {number} " + "\\ " * 30 for number in range(1500))
    section = Section(name="impression", heading="IMPRESSION", text=long)
    monkeypatch.setattr(as_hl7, "cut_sections", lambda *_: (section,))
    content = send(reports["phlebolith"], templates)
    parts = [s for s in ris_reading.read(content) if s.name == "OBX" and s[3][1] == "19005-8"]
    assert [part[4].text for part in parts] == [str(number) for number in range(1, len(parts) + 1)]
    assert len(parts) > 1
    assert max(len(segment) for segment in content.decode().split("\r")) < 65_536
    assert " ".join(part[5].text for part in parts).split() == long.split()


def test_times_and_numbers_as_the_standard_writes_them() -> None:
    assert as_hl7.timestamp("2026-10-02T10:00:00+02:00") == "20261002100000+0200"
    assert as_hl7.timestamp("2026-10-02T10:00:00") == "20261002100000"
    assert [as_hl7.timestamp(text) for text in (None, "", "yesterday")] == ["", "", ""]
    assert [as_hl7.day_digits(text) for text in ("2026-10-02", "20261002", "2026-02-30", "x", None)] == [
        "20261002", "20261002", "", "", "",
    ]  # fmt: skip
    assert [as_hl7.numeric(value) for value in (0.0, -0.0001, 1e-7, 12.3456, 3.5e5, -40.0)] == [
        "0", "0", "0", "12.346", "350000", "-40",
    ]  # fmt: skip
