"""The server of the review without a browser: who may ask, what is refused, and that nothing is lost or written."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

import calcreport
from calcreport.cli import _review
from calcreport.errors import UsageError
from calcreport.progress import Progress
from calcreport.review.desk import Desk
from calcreport.review.drafts import Site
from calcreport.review.server import listen, make_app

SAMPLES = Path(__file__).parents[3] / "sample_dicoms"
TOKEN, PORT = "a-token", 4711
HOST = f"127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def report():
    """Report of a bundled study, as text."""
    (study,) = calcreport.analyze(SAMPLES / "myositis_calf")
    assert study.report is not None
    return study.report.model_dump_json(by_alias=True)


@pytest.fixture
def folder(report, tmp_path):
    """Results with two studies whose images are gone."""
    for uid in ("2.25.1", "2.25.2"):
        data = json.loads(report)
        data["study"]["study_instance_uid"] = uid
        (tmp_path / uid).mkdir()
        (tmp_path / uid / "report.json").write_text(json.dumps(data, indent=2))
    return tmp_path


class Server:
    """The application, asked directly."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder, Site(), "Dr. Alpha")
        self.app = make_app(self.desk, TOKEN, port=PORT)

    def ask(self, path: str, body: object = None, *, method: str = "GET", **headers: str):
        """Status, headers and content of an answer."""
        given = {"host": HOST, "authorization": f"Bearer {TOKEN}"} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(), "scheme": "http", "server": ("127.0.0.1", PORT),
            "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
        }  # fmt: skip
        sent: list[dict] = []

        async def receive():
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message):
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, content

    def change(self, study: str, lesions: object, version: str):
        status, _, content = self.ask(
            f"/api/studies/{study}/review", {"lesions": lesions}, method="PUT", if_match=version
        )
        return status, json.loads(content)


@pytest.fixture
def server(folder):
    return Server(folder)


@pytest.fixture
def study():
    return "2.25.1"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"/?token={TOKEN}", {"authorization": ""}, 200),
        ("/", {"authorization": ""}, 403),
        ("/?token=other", {"authorization": ""}, 403),
        ("/?token=%C3%A9", {"authorization": ""}, 403),
        ("/api/studies", {}, 200),
        ("/api/studies", {"host": f"localhost:{PORT}"}, 200),
        ("/api/studies", {"authorization": ""}, 403),
        ("/api/studies", {"authorization": "Bearer other"}, 403),
        ("/api/studies", {"host": f"evil.example:{PORT}"}, 403),
        ("/api/studies", {"host": "127.0.0.1"}, 403),
        ("/api/studies", {"origin": "http://evil.example"}, 403),
        ("/api/studies", {"origin": "null"}, 403),
        ("/api/studies", {"origin": f"http://{HOST}"}, 200),
        ("/api/studies", {"sec-fetch-site": "cross-site"}, 403),
        ("/assets/app.js", {"authorization": ""}, 200),
        ("/assets/app.js", {"authorization": "", "host": "evil.example"}, 403),
        ("/assets/../drafts.py", {}, 404),
        ("/assets/..%2fdrafts.py", {}, 404),
        ("/api/studies/../../etc", {}, 404),
        ("/api/studies/none", {}, 422),
        ("/nothing", {}, 404),
    ],
)
def test_only_our_own_page_with_its_token_is_answered(server, path, headers, status) -> None:
    told, answered, _ = server.ask(path, **headers)
    assert told == status
    policy = answered["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert answered["cache-control"] == "no-store"


def test_the_list_has_every_study_with_its_concern_and_state(server) -> None:
    rows = json.loads(server.ask("/api/studies")[2])
    assert [(row["reviews"], row["lesions"], row["is_changed"]) for row in rows] == [([None], 1, False)] * 2
    assert all(row["concern"] and row["study"]["patient"]["name"] for row in rows)
    server.change("2.25.1", {"L1": "accept"}, server.desk.draft("2.25.1").version)
    assert [row["is_changed"] for row in json.loads(server.ask("/api/studies")[2])] == [True, False]


def test_a_decision_changes_the_text_and_no_file(server, folder, study) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    drafted = server.desk.draft(study).state()
    status, state = server.change(
        study, {"L1": {"mass": {"present": "yes", "max_diameter_mm": 80}}}, drafted["version"]
    )
    assert status == 200
    assert "8.0 cm" in state["text"]
    assert "8.0 cm" not in drafted["text"]
    assert state["findings"].splitlines()[0] in state["text"]
    assert state["impression"].splitlines()[0] in state["text"]
    assert state["rows"][0]["changes"] == [
        "soft-tissue mass present instead of not determined",
        "longest dimension of the mass 8.0 cm instead of not determined",
    ]
    assert state["rows"][0]["review"]["reader"] == "Dr. Alpha"
    assert "Alpha" not in state["text"]
    assert server.change(study, {}, state["version"])[1]["text"] == drafted["text"]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("lesions", "code"),
    [
        ({"L1": {"decision": "reject"}}, "review.value"),
        ({"L1": {"decision": "accept", "depth_class": "subcutaneous"}}, "review.value"),
        ({"L1": {"pattern": {"id": "P99"}}}, "review.value"),
        ({"L1": {"max_diameter_mm": -3}}, "review.value"),
        ({"L1": {"max_diameter_mm": float("inf")}}, "review.value"),
        ({"L1": {"other": 1}}, "review.unknown_key"),
        ({"L9": "accept"}, "review.unknown_lesion"),
        ([], "review.not_mapping"),
        ({"L1": {"decision": "reject", "reason": "x" * 401}}, "review.value"),
    ],
)
def test_what_no_reader_can_mean_is_refused_and_changes_nothing(server, study, lesions, code) -> None:
    version = server.desk.draft(study).version
    status, answer = server.change(study, lesions, version)
    assert (status in {400, 422}, answer["code"]) == (True, code)
    assert server.desk.draft(study).state()["decisions"] == {}
    assert server.desk.draft(study).version == version


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b'"x"', b"[" * 100_000, b"x" * 1_100_000])
def test_a_damaged_request_is_refused(server, study, body) -> None:
    status, _, content = server.ask(f"/api/studies/{study}/review", body, method="PUT", if_match="1")
    assert status in {400, 413}
    assert json.loads(content)["code"] in {"review.not_mapping", "review.too_large"}


def test_the_later_of_two_writers_is_refused_with_the_present_state(server, study) -> None:
    version = server.desk.draft(study).version
    assert server.change(study, {"L1": "accept"}, version)[0] == 200
    status, answer = server.change(study, {"L1": {"decision": "reject", "reason": "bone"}}, version)
    assert (status, answer["code"]) == (409, "review.changed_meanwhile")
    assert answer["state"]["rows"][0]["review"]["status"] == "accepted"
    assert server.change(study, {}, answer["state"]["version"])[0] == 200


def test_a_report_changed_on_disk_is_never_decided_about(server, folder, study) -> None:
    draft = server.desk.draft(study)
    report = folder / study / "report.json"
    report.write_text(report.read_text().replace("\n", "\n ", 1))
    status, answer = server.change(study, {"L1": "accept"}, draft.version)
    assert (status, answer["code"]) == (409, "review.changed_on_disk")
    _, _, content = server.ask(f"/api/studies/{study}")  # nothing was decided, so that the present report is taken
    assert server.change(study, {"L1": "accept"}, json.loads(content)["version"])[0] == 200


def test_decisions_keep_the_reader_and_day_they_were_made_by(server, folder, study) -> None:
    (folder / study / "review.yaml").write_text(
        "reader: Dr. Beta\ndate: 2026-01-05\nlesions: {L1: {depth_class: subcutaneous}}\n"
    )
    state = server.desk.draft(study).state()
    assert state["rows"][0]["review"] | {"reader": "Dr. Beta", "date": "2026-01-05"} == state["rows"][0]["review"]
    assert not state["is_changed"]
    same = server.change(study, state["decisions"], state["version"])[1]
    assert yaml.safe_load(same["review_yaml"])["lesions"]["L1"] == {
        "reader": "Dr. Beta", "date": "2026-01-05", "depth_class": "subcutaneous"
    }  # fmt: skip
    other = server.change(study, {"L1": {"depth_class": "subfascial", "region": "Foot"}}, same["version"])[1]
    assert other["rows"][0]["review"]["reader"] == "Dr. Alpha"
    assert other["rows"][0]["now"]["location"]["region"] == "foot"


def test_a_site_whose_rules_change_safety_rows_is_told_so_beside_the_text(folder, study, tmp_path) -> None:
    rules = tmp_path / "site.toml"
    rules.write_text('schema = 1\nversion = "9"\nremoved = ["F2"]\n')
    state = Desk(folder, Site(rules=rules), "Dr. Alpha").draft(study).state()
    assert state["notice"] == "Rules of the site: safety rows taken out: F2. "


def test_a_damaged_review_is_not_applied_and_not_replaced(server, folder, study) -> None:
    (folder / study / "review.yaml").write_text("lesions: {L1: reject}\n")
    state = server.desk.draft(study).state()
    assert "[review.value]" in state["notice"]
    assert state["is_blocked"]
    headers = {"if_match": state["version"]}
    status, _, content = server.ask(f"/api/studies/{study}/finish", {}, method="POST", **headers)
    assert (status, json.loads(content)["code"]) == (422, "review.not_applied")


def test_a_rejection_in_the_report_itself_is_kept(server, folder, study) -> None:
    report = folder / study / "report.json"
    data = json.loads(report.read_text())
    data["lesions"][0]["review"] = {"status": "rejected", "reason": "a bone", "changes": []}
    report.write_text(json.dumps(data))
    state = server.desk.draft(study).state()
    assert (state["rows"][0]["review"]["status"], state["rows"][0]["review"]["reason"]) == ("rejected", "a bone")
    assert state["decisions"]["L1"]["decision"] == "reject"


def test_without_images_it_says_so_and_finishes_nothing(server, folder, study) -> None:
    described = json.loads(server.ask(f"/api/studies/{study}/images")[2])
    assert "[render.no_study]" in described["problem"]
    state = server.change(study, {"L1": "accept"}, server.desk.draft(study).version)[1]
    status, _, content = server.ask(f"/api/studies/{study}/finish", {}, method="POST", if_match=state["version"])
    answer = json.loads(content)
    assert (status, answer["code"], answer["state"]["rows"][0]["review"]["status"]) == (
        422,
        "render.no_study",
        "accepted",
    )
    assert not (folder / study / "review.yaml").exists()
    assert server.ask(f"/api/studies/{study}/stacks/0/0")[0] == 422
    assert server.ask(f"/api/studies/{study}/pictures/..%2freport.png")[0] == 404


def test_a_damaged_report_is_a_row_and_stops_nothing(server, folder, study) -> None:
    (folder / study / "report.json").write_text("{")
    rows = {row["folder"]: row for row in json.loads(server.ask("/api/studies")[2])}
    assert rows[study]["status"] == "refused"
    assert len(rows) == 2
    assert server.ask(f"/api/studies/{study}")[0] == 422


def test_drafts_that_were_not_finished_are_never_dropped(folder, study) -> None:
    for number in range(12):
        shutil.copytree(folder / study, folder / f"1.2.{number}")
    server = Server(folder)
    server.change(study, {"L1": "accept"}, server.desk.draft(study).version)
    for number in range(12):
        server.desk.draft(f"1.2.{number}")
    assert server.desk.draft(study).is_changed
    assert server.desk.unfinished == 1


def test_a_window_that_outlived_its_draft_is_refused(server, study) -> None:
    version = server.desk.draft(study).version
    server.desk._drafts.clear()  # as when many others were opened meanwhile
    status, answer = server.change(study, {"L1": "accept"}, version)
    assert (status, answer["code"]) == (409, "review.changed_meanwhile")


def test_a_report_with_a_byte_order_mark_is_not_taken_for_changed(server, folder, study) -> None:
    path = folder / study / "report.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert server.change(study, {"L1": "accept"}, server.desk.draft(study).version)[0] == 200


def test_a_folder_without_reports_and_a_port_in_use_are_named(tmp_path) -> None:
    for given, code in ((tmp_path / "none", "usage.no_such_folder"), (tmp_path, "review.no_study")):
        with pytest.raises(UsageError) as refused:
            Desk(given, Site(), None)
        assert refused.value.code == code
    with listen(0) as taken:
        for port in (taken.getsockname()[1], 70_000, -1):
            with pytest.raises(UsageError) as refused:
                listen(port)
            assert refused.value.code == "usage.port"


def test_without_the_extra_it_says_what_to_install(monkeypatch, folder) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "calcreport.review.server")
    with pytest.raises(UsageError, match=r"calcreport\[review\]") as refused:
        _review(argparse.Namespace(folder=str(folder)), Progress(io.StringIO(), is_quiet=True))
    assert refused.value.code == "output.no_review"


def test_rules_of_a_site_have_to_be_named(folder, study) -> None:
    path = folder / study / "report.json"
    data = json.loads(path.read_text())
    data["rules"]["name"] = "our rules"
    path.write_text(json.dumps(data))
    status, _, content = Server(folder).ask(f"/api/studies/{study}")
    assert (status, json.loads(content)["code"]) == (422, "render.site_rules")
