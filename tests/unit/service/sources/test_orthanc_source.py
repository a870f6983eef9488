import json

import pytest

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import OrthancSourceSettings
from calcreport.service.journal import Journal
from calcreport.service.sources.orthanc import OrthancSource

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.34"


def _id(number: int) -> str:
    return "-".join([f"{number:08x}"] * 5)


STUDY, SERIES = _id(900), _id(800)


class FakeOrthanc:
    """One study in one series, and a feed."""

    def __init__(self, server, reply) -> None:
        self.reply = reply
        self.classes: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.feed: list[tuple[str, str]] = []
        self.first = 0
        self.is_stable = True
        self.down_after: int | None = None
        server.answer = self.answer

    def store(self, number: int, class_uid: str = CT, content: bytes | None = None) -> None:
        self.classes[_id(number)] = class_uid
        self.files[_id(number)] = b"DICM%d" % number if content is None else content
        self.feed.append(("NewInstance", _id(number)))

    def answer(self, asked):
        path, _, query = asked.path.partition("?")
        if path == "/changes":
            return self._changes(query)
        kind, name, *rest = path.strip("/").split("/")
        if kind == "studies" and name == STUDY and not rest:
            return self._json({"IsStable": self.is_stable, "MainDicomTags": {"StudyInstanceUID": "1.2.3"}})
        if kind == "studies" and name == STUDY:
            return self._json([{"ID": instance} for instance in self.files])
        if kind == "series":
            return self._json({"ParentStudy": STUDY})
        if kind == "instances" and name in self.files:
            return self._instance(name, rest)
        return self.reply(status=404)

    def _instance(self, name, rest):
        if rest == ["file"]:
            if self.down_after is not None:
                self.down_after -= 1
                if self.down_after < 0:
                    return self.reply(status=503)
            return self.reply(self.files[name], kind="application/dicom")
        if rest:
            known = self.classes[name]
            return self.reply(known.encode() + b"\0", kind="text/plain") if known else self.reply(status=404)
        return self._json({"ParentSeries": SERIES})

    def _changes(self, query):
        last = self.first + len(self.feed)
        if query == "last":
            return self._json({"Changes": [], "Done": True, "Last": last})
        words = dict(word.split("=") for word in query.split("&"))
        since, limit = int(words["since"]), min(int(words["limit"]), 3)
        rows = [
            {"ChangeType": kind, "ID": name, "Seq": number}
            for number, (kind, name) in enumerate(self.feed, start=self.first + 1)
            if number > since
        ]
        page = rows[:limit]
        return self._json(
            {"Changes": page, "Done": len(rows) <= limit, "Last": page[-1]["Seq"] if page else max(since, last)}
        )

    def _json(self, document):
        return self.reply(json.dumps(document).encode())


@pytest.fixture
def orthanc(server, reply):
    return FakeOrthanc(server, reply)


@pytest.fixture
def look(server, inbox, rounds):
    """``look()`` lets the source look at the feed once, as after a restart."""

    def run(times: int = 1, **settings) -> None:
        chosen = OrthancSourceSettings(kind="orthanc", url=server.url, timeout_seconds=2, **settings)
        OrthancSource("pacs", chosen, Journal()).run(inbox, rounds(times))

    return run


def test_what_was_there_before_is_left_alone_unless_asked_for(orthanc, look, inbox) -> None:
    orthanc.store(1)
    look()
    assert inbox.kept == []
    inbox.cursors.clear()
    look(is_from_beginning=True)
    assert inbox.kept == [b"DICM1"]


def test_a_stable_study_is_fetched_once_and_its_size_told(orthanc, look, inbox, server) -> None:
    look()
    for number in range(1, 8):  # more than a page
        orthanc.store(number)
    orthanc.feed.append(("StableStudy", STUDY))
    look()
    assert sorted(inbox.kept) == [b"DICM%d" % number for number in range(1, 8)]
    assert inbox.expected == [("1.2.3", 7)]
    orthanc.feed += [("StableStudy", STUDY), ("StableSeries", SERIES)]
    server.requests.clear()
    look(times=3)
    assert not [path for path in server.paths if path.endswith("/file")]


def test_a_study_that_is_not_stable_waits_over_restarts(orthanc, look, inbox) -> None:
    look()
    orthanc.store(1)
    orthanc.is_stable = False
    look(times=2)
    assert inbox.kept == []
    orthanc.is_stable = True
    look()
    assert inbox.kept == [b"DICM1"]


def test_our_own_results_do_not_bring_a_study_back(orthanc, look, inbox) -> None:
    look()
    orthanc.store(1)
    look()
    orthanc.store(2, SR)
    look()
    assert inbox.kept == [b"DICM1"]
    orthanc.store(3)  # a late image: the whole study, in case its images were removed meanwhile
    look()
    assert inbox.kept == [b"DICM1", b"DICM1", b"DICM3"]
    assert inbox.expected[-1] == ("1.2.3", 2)


def test_half_a_study_is_fetched_again_and_its_whole_size_stays_told(orthanc, look, inbox) -> None:
    look()
    for number in (1, 2, 3):
        orthanc.store(number)
    orthanc.down_after = 1
    with pytest.raises(DeliveryError):
        look()
    assert (inbox.kept, inbox.expected) == ([b"DICM1"], [("1.2.3", 3)])
    assert not list(inbox.folder.iterdir()), "a file that was not fetched is left"
    orthanc.down_after = None
    look()
    assert set(inbox.kept) == {b"DICM1", b"DICM2", b"DICM3"}


def test_a_damaged_image_does_not_hold_up_the_others(orthanc, look, inbox) -> None:
    look()
    orthanc.store(1)
    orthanc.store(2, content=b"no image")
    look()
    assert (inbox.kept, inbox.expected) == ([b"DICM1"], [("1.2.3", 2), ("1.2.3", 1)])
    look()
    assert inbox.kept == [b"DICM1"]
    assert not list(inbox.folder.iterdir())


def test_an_instance_whose_kind_orthanc_does_not_know_is_fetched_and_looked_at(orthanc, look, inbox) -> None:
    look()
    orthanc.store(1, class_uid="")
    look()
    assert inbox.kept == [b"DICM1"]


def test_what_is_gone_is_passed_over(orthanc, look, inbox) -> None:
    look()
    orthanc.feed.append(("NewInstance", _id(77)))
    orthanc.store(1)
    look()
    assert inbox.kept == [b"DICM1"]


def test_another_orthanc_under_the_same_address_is_read_from_its_beginning(orthanc, look, inbox) -> None:
    orthanc.first = 1000
    look()
    orthanc.first = 0
    orthanc.store(1)
    look()
    assert inbox.kept == [b"DICM1"]


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"since": "x"}'])
def test_a_damaged_cursor_loses_nothing(orthanc, look, inbox, cursor) -> None:
    orthanc.store(1)
    inbox.cursors["pacs"] = cursor
    look()
    assert inbox.kept == [b"DICM1"]


@pytest.mark.parametrize("name", ["../tools/shutdown", "x?a=b", "a" * 44, "", _id(1) + "/../../tools/reset"])
def test_a_name_that_is_none_never_becomes_part_of_an_address(orthanc, look, server, name) -> None:
    look()
    orthanc.feed.append(("NewInstance", name))
    server.requests.clear()
    look()
    assert {path.partition("?")[0] for path in server.paths} == {"/changes"}


@pytest.mark.parametrize("document", ["[]", "{}", '{"Last": -1}', '{"Last": "3"}', "null"])
def test_a_server_that_is_no_orthanc_is_named(server, reply, look, document) -> None:
    server.answer = lambda _asked: reply(document.encode())
    with pytest.raises(DeliveryError) as caught:
        look()
    assert caught.value.code == "web.unreadable"
