import base64
import json

import pytest

from calcreport.errors import SettingsError
from calcreport.service.adapter_settings import WebSettings
from calcreport.service.service_settings import service_settings_from_text
from calcreport.service.web import Body, WebClient, WebError


@pytest.fixture
def connect(server):
    """``connect(user=…)`` gives a client of the fake server."""
    clients = []

    def make(**settings) -> WebClient:
        clients.append(WebClient(WebSettings(**{"url": f"{server.url}/base", "timeout_seconds": 10, **settings})))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_a_document_is_read_below_the_address(connect, server, reply) -> None:
    server.answer = lambda _asked: reply(json.dumps({"Last": 3}).encode())
    assert connect().json("/changes?last") == {"Last": 3}
    assert server.paths == ["/base/changes?last"]


@pytest.mark.parametrize(
    ("status", "code", "is_retryable"),
    [
        (301, "web.moved", True),
        (302, "web.moved", True),
        (400, "web.refused", False),
        (401, "web.not_permitted", True),
        (403, "web.not_permitted", True),
        (404, "web.not_found", True),
        (408, "web.busy", True),
        (409, "web.refused", False),
        (413, "web.refused", False),
        (429, "web.busy", True),
        (500, "web.busy", True),
        (503, "web.busy", True),
        (507, "web.busy", True),
    ],
)
def test_a_refusal_has_a_code_and_says_whether_to_try_again(connect, server, reply, status, code, is_retryable) -> None:
    elsewhere = {"Location": f"{server.url}/elsewhere"}
    server.answer = lambda _asked: reply(b"PatientName", status=status, headers=elsewhere)
    with pytest.raises(WebError) as caught:
        connect().json("/x")
    assert (caught.value.code, caught.value.is_retryable, caught.value.status) == (code, is_retryable, status)
    assert "PatientName" not in caught.value.message
    assert server.paths == ["/base/x"], "a redirect was followed"


def test_a_server_that_is_not_there_is_tried_again_later(connect, server) -> None:
    client = connect()
    server.close()
    with pytest.raises(WebError) as caught:
        client.json("/x")
    assert (caught.value.code, caught.value.is_retryable) == ("web.unreachable", True)


def test_fewer_bytes_than_announced_are_no_file(connect, server, reply) -> None:
    server.answer = lambda _asked: reply(b"DICM and the beginning", length=1000)
    got = bytearray()
    with pytest.raises(WebError) as caught:
        connect().fetch("/x", accept="*/*", take=lambda blocks, _kind: got.extend(b"".join(blocks)))
    assert caught.value.code == "web.unreachable"


def test_no_json_is_no_answer(connect, server, reply) -> None:
    server.answer = lambda _asked: reply(b"<html>")
    with pytest.raises(WebError) as caught:
        connect().json("/x")
    assert caught.value.code == "web.unreadable"


def test_a_connection_the_server_gave_up_is_opened_again(connect, server, reply) -> None:
    server.answer = lambda _asked: reply(b"[]", is_closing=True)
    client = connect()
    sent = Body(kind="text/plain", length=3, blocks=lambda: iter([b"a", b"bc"]))
    assert [client.json("/x"), client.json("/y", body=sent), client.json("/z")] == [[], [], []]
    assert [asked.body for asked in server.requests] == [b"", b"abc", b""]


def test_credentials_come_from_files_and_are_read_again(connect, server, reply, tmp_path) -> None:
    server.answer = lambda _asked: reply(b"[]")
    secret = tmp_path / "secret"
    secret.write_text("one\n")
    basic = connect(user="hook", password_file=str(secret))
    bearer = connect(token_file=str(secret))
    basic.json("/")
    secret.write_text("two\n")
    bearer.json("/")
    told = [asked.headers["Authorization"] for asked in server.requests]
    assert told == [f"Basic {base64.b64encode(b'hook:one').decode()}", "Bearer two"]


def test_a_secret_that_is_missing_or_of_several_lines_is_a_wrong_setting(connect, tmp_path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        connect(user="hook", password_file=str(tmp_path / "none"))
    (tmp_path / "two").write_text("a\r\nX-Injected: 1")
    with pytest.raises(SettingsError, match="more than one line"):
        connect(token_file=str(tmp_path / "two"))


SOURCE = '[service.sources.pacs]\nkind = "orthanc"\nurl = "{}"\n'


@pytest.mark.parametrize(
    "url",
    [
        "ftp://pacs",
        "pacs:8042",
        "http://",
        "http://user:secret@pacs",
        "http://pacs/?a=b",
        "http://pacs/#a",
        "http://a b",
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_a_secret(url) -> None:
    with pytest.raises(SettingsError) as caught:
        service_settings_from_text(SOURCE.format(url))
    assert caught.value.code == "settings.invalid_value"
    assert "secret@" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        SOURCE.format("http://pacs") + "pol_seconds = 3\n",
        '[service.sinks.pacs]\nkind = "email"\n',
        '[service.sinks.pacs]\nkind = "dicom"\nhost = "pacs"\n',
        '[service.sinks.pacs]\nkind = "dicom"\nhost = "pacs"\nport = 104\ncalled_aet = "A TITLE THAT IS TOO LONG"\n',
        '[service.sinks.pacs]\nkind = "orthanc"\nurl = "http://pacs"\nobjects = ["ct"]\n',
        '[service.sources."Patient 1"]\nkind = "folder"\npath = "/data"\n',
    ],
)
def test_a_mistake_in_an_adapters_table_is_named(text) -> None:
    with pytest.raises(SettingsError) as caught:
        service_settings_from_text(text)
    assert "service.s" in caught.value.message
