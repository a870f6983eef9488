"""Clinical data through the command line, the hook and the service: nobody's data reach somebody else's report."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from listening import Service, send, wait_for

A, B, A_LATER = (f"1.2.826.0.1.3680043.10.{number}" for number in (11, 12, 13))
ONE = "patient: {age_years: 22, sex: M}\nhistory: {trauma: yes, trauma_weeks_ago: 8}\ngrowth: {rate: none}\n"
TABLE = "patient_id;patient.age_years;history.trauma;history.trauma_weeks_ago\n"
ROW_A, ROW_B = "A1;22;yes;8\n", "B1;60;yes;3\n"
SECRETS = ("A1", "B1", "X9", "ACC-B")


@pytest.fixture(scope="module")
def studies(write_study, tmp_path_factory) -> dict[str, Path]:
    """Two patients, and a later study of the first."""
    tags = {
        A: {"PatientID": "A1", "PatientAge": "022Y", "PatientSex": "M"},
        B: {"PatientID": "B1", "PatientAge": "060Y", "PatientSex": "F", "AccessionNumber": "ACC-B"},
        A_LATER: {"PatientID": "A1", "PatientAge": "023Y", "PatientSex": "M"},
    }
    root = tmp_path_factory.mktemp("studies")
    return {uid: write_study(root / uid, uid=uid, tags=values) for uid, values in tags.items()}


@pytest.fixture
def analyse(run, studies, tmp_path):
    """``analyse(text, A, B, name="c.yaml")`` gives the finished process and each study's report, where there is one."""

    def start(text: str | bytes, *uids: str, name: str = "c.yaml"):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        words = [*(studies[uid] for uid in uids), "--out", tmp_path / "out", "--clinical", tmp_path / name]
        done = run("analyze", *words, "--format", "json,text")
        assert not [secret for secret in SECRETS if secret in done.stderr]
        return done, {uid: report_in(tmp_path / "out" / uid) for uid in uids}

    return start


def report_in(folder: Path) -> dict | None:
    path = folder / "report.json"
    return json.loads(path.read_text()) if path.exists() else None


def trauma(report: dict | None) -> tuple[str, float | str]:
    assert report is not None
    history = report["clinical"]["history"]
    return history["trauma"], history["trauma_weeks_ago"]


def has_note(report: dict | None) -> bool:
    assert report is not None
    return any("No clinical data" in sentence for sentence in report["limitations"])


@pytest.mark.parametrize("uids", [(A, B), (A, A_LATER)])
def test_one_file_for_several_studies_is_refused_before_any_is_analysed(analyse, tmp_path, uids) -> None:
    done, reports = analyse(ONE, *uids)
    assert (done.returncode, "[clinical.which_study]" in done.stderr) == (2, True)
    assert set(reports.values()) == {None}
    assert not (tmp_path / "out" / "summary.json").exists()


def test_one_file_that_names_its_patient_serves_all_studies_of_this_patient(analyse) -> None:
    done, reports = analyse(f"patient_id: A1\n{ONE}", A, A_LATER)
    assert done.returncode == 0, done.stderr
    assert {trauma(report) for report in reports.values()} == {("yes", 8)}
    done, _reports = analyse(f"patient_id: A1\n{ONE}", A, B)
    assert (done.returncode, "[clinical.which_study]" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ONE, "clinical.other_patient"),
        ("patient: {age_years: 40}", "clinical.other_patient"),
        ("patient: {sex: M}", "clinical.other_patient"),
        ("patient_id: A1", "clinical.other_patient"),
        ("accession_number: ACC-A", "clinical.other_patient"),
        ("patient_id: B1\naccession_number: ACC-B\npatient: {age_years: 59, sex: F}", ""),
        ("history: {trauma: yes}", ""),
    ],
)
def test_data_of_another_patient_are_refused(analyse, tmp_path, text, code) -> None:
    analyse("", B)
    done, reports = analyse(text, B)
    assert done.returncode == (2 if code else 0), done.stderr
    (entry,) = json.loads((tmp_path / "out" / "summary.json").read_text())["studies"]
    assert entry["code"] == code
    assert (reports[B] is None) is bool(code), "a report of an earlier run does not stay for the refused study"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", TABLE + ROW_A + "X9;40;no;\n"),
        ("t", (TABLE + ROW_A).replace(";", "\t").encode("utf-16")),
        ("t.yaml", "- {patient_id: A1, patient: {age_years: 22}, history: {trauma: yes, trauma_weeks_ago: 8}}\n"),
        ("t.json", json.dumps([{"study_instance_uid": A, "history": {"trauma": "yes", "trauma_weeks_ago": 8}}])),
    ],
)
def test_a_table_gives_each_study_its_own_row_and_says_where_there_is_none(analyse, name, text) -> None:
    done, reports = analyse(text, A, B, name=name)
    assert done.returncode == 0, done.stderr
    assert (trauma(reports[A]), has_note(reports[A])) == (("yes", 8), False)
    assert (trauma(reports[B]), has_note(reports[B])) == (("unknown", "unknown"), True)
    assert ("1 of 2 rows of the clinical table match no study" in done.stderr) is (name == "t.csv")


def test_a_row_of_another_patient_refuses_its_study_alone(analyse, tmp_path) -> None:
    done, reports = analyse(TABLE + ROW_A + "B1;22;yes;8\n", A, B, name="t.csv")
    assert (done.returncode, "[clinical.other_patient]" in done.stderr) == (4, True)
    assert trauma(reports[A]) == ("yes", 8)
    assert reports[B] is None
    codes = {entry["code"] for entry in json.loads((tmp_path / "out" / "summary.json").read_text())["studies"]}
    assert codes == {"", "clinical.other_patient"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (TABLE + "A1;22;perhaps;8\n", "clinical.value"),
        (TABLE + ROW_A + ROW_A, "clinical.repeated_key"),
        (TABLE.replace("patient_id", "patient") + ROW_A, "clinical.unknown_key"),
        ("history.trauma\nyes\n", "clinical.no_key"),
    ],
)
def test_a_table_with_a_mistake_is_refused_as_a_whole(analyse, text, code) -> None:
    done, reports = analyse(text, A, name="t.csv")
    assert (done.returncode, f"[{code}]" in done.stderr) == (2, True)
    assert reports == {A: None}


# --- hook ---


def test_the_hook_takes_clinical_data_that_lie_beside_the_images(run, studies, tmp_path) -> None:
    source, table = tmp_path / "in", tmp_path / "t.csv"
    source.mkdir()
    for path in studies[A].iterdir():
        (source / path.name).hardlink_to(path)
    table.write_text(TABLE + "A1;22;yes;3\n")
    for text, weeks in (("", 3), (f"study_instance_uid: {A}\n{ONE}", 8)):
        if text:
            (source / "clinical.yaml").write_text(text)
        out = tmp_path / f"out{weeks}"
        out.mkdir()
        done = run("hook", source, out, "--clinical", table, "--format", "json")
        assert done.returncode == 0, done.stderr
        assert trauma(report_in(out / A)) == ("yes", weeks)
    (source / "clinical.yaml").write_text(f"study_instance_uid: {B}\n{ONE}")
    done = run("hook", source, tmp_path / "out3", "--format", "json")
    assert (done.returncode, "clinical.other_patient" in done.stderr) == (2, True)


@pytest.mark.parametrize("text", [ONE, "- {patient_id: A1, history: {trauma: yes, trauma_weeks_ago: 8}}\n"])
def test_a_batch_of_folders_takes_a_table_only(run, studies, tmp_path, text) -> None:
    for uid in (A, A_LATER):
        folder = tmp_path / "batch" / uid / "in"
        folder.mkdir(parents=True)
        for path in studies[uid].iterdir():
            (folder / path.name).hardlink_to(path)
    (tmp_path / "c.yaml").write_text(text)
    where = {"WORKFLOW_DIR": str(tmp_path), "BATCH_NAME": "batch", "OPERATOR_IN_DIR": "in", "OPERATOR_OUT_DIR": "out"}
    done = run("hook", "--clinical", tmp_path / "c.yaml", "--format", "json", env=where)
    found = [report_in(tmp_path / "batch" / uid / "out" / uid) for uid in (A, A_LATER)]
    if text == ONE:
        assert (done.returncode, "[clinical.which_study]" in done.stderr, found) == (2, True, [None, None])
    else:
        assert (done.returncode, [trauma(report) for report in found]) == (0, [("yes", 8)] * 2)


@pytest.mark.parametrize(("name", "text", "code"), [("c.yaml", ONE, 2), ("t.csv", TABLE + ROW_A, 0)])
def test_a_rule_of_a_dispatcher_names_a_table_only(run, studies, tmp_path, name, text, code) -> None:
    source, out, given = tmp_path / "in", tmp_path / "out", tmp_path / name
    source.mkdir()
    out.mkdir()
    for path in studies[A].iterdir():
        (source / f"{path.name}.dcm").hardlink_to(path)
    given.write_text(text)
    settings = {"calcreport": {"clinical": str(given), "format": "sr"}}
    task = {"id": "1", "info": {}, "process": {"module_name": "calcreport", "settings": settings}, "dispatch": {}}
    (source / "task.json").write_text(json.dumps(task))
    done = run("hook", env={"MERCURE_IN_DIR": str(source), "MERCURE_OUT_DIR": str(out)})
    assert (done.returncode, "[clinical.which_study]" in done.stderr) == (code, bool(code)), done.stderr


# --- service ---

QUICK = '[service.study]\nquiet_seconds = 1\n[service.analysis]\nformats = "json"\nretry_seconds = 0.2\n'
Start = Callable[[str], Service]


@pytest.fixture
def start(command: list[str], tmp_path: Path) -> Iterator[Start]:
    services = []

    def begin(toml: str) -> Service:
        services.append(Service(command, tmp_path, toml))
        return services[-1].start()

    yield begin
    for service in services:
        service.stop(signal.SIGKILL)


def wait_report(service: Service, uid: str) -> dict:
    return wait_for(
        lambda: next((report_in(folder) for folder in service.results() if folder.name == uid), None),
        seconds=60,
        hint=service.log.read_text,
    )


def wait_counter(service: Service, name: str, count: int) -> None:
    wait_for(
        lambda: service.status()["service"].get("counters", {}).get(name, 0) >= count,
        seconds=60,
        hint=service.log.read_text,
    )


@pytest.mark.slow
def test_a_changed_table_holds_for_the_next_study_and_a_broken_one_changes_nothing(
    start, run, studies, tmp_path
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(TABLE + ROW_A)
    service = start(f'{QUICK}clinical = "{table}"\n')
    send(service.port, studies[A].iterdir())
    assert trauma(wait_report(service, A)) == ("yes", 8)

    table.write_text(TABLE + ROW_A + ROW_B)
    wait_counter(service, "clinical_tables_read", 2)
    table.write_text(TABLE + ROW_A + "B1;60;perhaps;\n")
    wait_counter(service, "clinical_tables_refused", 1)
    wait_for(lambda: service.status()["service"]["problems"] == ["clinical.value"])
    health = run("status", "--store", service.store, "--health")
    assert (health.returncode, "[clinical.value]" in health.stderr) == (5, True)
    assert "clinical_table_refused code=clinical.value" in service.log.read_text()

    send(service.port, studies[B].iterdir())
    assert trauma(wait_report(service, B)) == ("yes", 3)  # of the last good version
    send(service.port, studies[A_LATER].iterdir())
    assert trauma(wait_report(service, A_LATER)) == ("yes", 8)

    table.write_text(TABLE + ROW_B)
    wait_for(lambda: service.status()["service"]["problems"] == [])
    assert service.stop() == 0
    assert not [secret for secret in SECRETS if secret in service.log.read_text()]


def test_a_study_whose_row_is_of_another_patient_waits_until_the_table_is_mended(start, studies, tmp_path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(TABLE + "B1;22;yes;8\n")
    service = start(f'{QUICK}clinical = "{table}"\n')
    send(service.port, studies[B].iterdir())
    wait_for(lambda: [study["code"] for study in service.studies()] == ["clinical.other_patient"], seconds=60)
    assert not service.results()
    table.write_text(TABLE + ROW_B)
    assert trauma(wait_report(service, B)) == ("yes", 3)


def test_a_file_that_comes_with_a_study_is_about_this_study_alone(start, studies, tmp_path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    for uid in (A, B):
        for path in studies[uid].iterdir():
            (drop / f"{uid}-{path.name}").hardlink_to(path)
    (drop / f"{A}.clinical.yaml").write_text(f"study_instance_uid: {A}\n{ONE}")
    (drop / "clinical.json").write_text('{"history": {"trauma": "yes"}}')  # of which study?
    service = start(f'{QUICK}[service.sources.drop]\nkind = "folder"\npath = "{drop}"\npoll_seconds = 0.3\n')
    assert trauma(wait_report(service, A)) == ("yes", 8)
    assert trauma(wait_report(service, B)) == ("unknown", "unknown")
    assert "code=clinical.which_study" in service.log.read_text()

    (drop / "b.clinical.yaml").write_text(f"study_instance_uid: {B}\nhistory: {{trauma: no}}\n")
    wait_for(lambda: trauma(report_in(next(f for f in service.results() if f.name == B)))[0] == "no", seconds=60)


@pytest.mark.parametrize("text", [ONE, f"patient_id: A1\n{ONE}", ""])
def test_the_service_refuses_data_of_one_patient(command, run, tmp_path, text) -> None:
    (tmp_path / "c.yaml").write_text(text)
    Service(command, tmp_path, f'[service.analysis]\nclinical = "{tmp_path / "c.yaml"}"\n')
    for words in (["--check"], []):
        done = run("listen", *words, "--config", tmp_path / "service.toml")
        assert (done.returncode, "[clinical.which_study]" in done.stderr) == (2, True)
