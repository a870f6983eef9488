import json
from urllib.parse import parse_qs, urlsplit

import pytest

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DicomwebSourceSettings
from calcreport.service.journal import Journal
from calcreport.service.sources.archive import DicomwebSource

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.34"
TODAY = "20261101"
PART = b"--b\r\nContent-Type: application/dicom\r\n\r\n%s\r\n--b--\r\n"


class FakeArchive:
    """Studies of today: Study Instance UID → SOP Instance UID → SOP Class UID."""

    def __init__(self, server, reply) -> None:
        self.reply = reply
        self.studies: dict[str, dict[str, str]] = {}
        self.patients: dict[str, tuple[str | None, ...]] = {}  # issuer, id, date of birth, sex, day
        self.has_counts = self.has_pages = True
        self.is_down = False
        server.answer = self.answer

    def answer(self, asked):
        parts = urlsplit(asked.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        words = parts.path.strip("/").split("/")
        if "StudyInstanceUID" in query or "PatientID" in query:
            named = [query["StudyInstanceUID"]] if "StudyInstanceUID" in query else [
                uid for uid, tags in self.patients.items() if tags[1] == query["PatientID"]
                and tags[4] <= query["StudyDate"].lstrip("-") and query["ModalitiesInStudy"] == "CT"
            ]  # fmt: skip
            return self._rows([self._patient(uid) for uid in named], query)
        if words == ["studies"]:
            today = [uid for uid in self.studies if uid not in self.patients or self.patients[uid][4] == TODAY]
            return self._rows([self._study(uid) for uid in today], query) if query["ModalitiesInStudy"] == "CT" \
                else self.reply(status=204)  # fmt: skip
        if words[-1] == "instances":
            rows = [self._instance(uid, kind) for uid, kind in self.studies[words[1]].items()]
            return self._rows(rows, query)
        if self.is_down:
            return self.reply(status=503)
        return self.reply(PART % (b"DICM" + words[-1].encode()), kind='multipart/related; boundary="b"')

    def _rows(self, rows, query):
        start = int(query["offset"]) if self.has_pages else 0
        rows = rows[start : start + 2] if self.has_pages else rows
        return self.reply(json.dumps(rows).encode()) if rows else self.reply(status=204)

    def _study(self, uid):
        count = {"00201208": {"vr": "IS", "Value": [len(self.studies[uid])]}} if self.has_counts else {}
        return {"0020000D": {"vr": "UI", "Value": [uid]}} | count

    def _patient(self, uid):
        tags = zip(("00100021", "00100020", "00100030", "00100040", "00080020"), self.patients[uid], strict=True)
        return self._study(uid) | {tag: {"Value": [value]} for tag, value in tags if value is not None}

    @staticmethod
    def _instance(uid, kind):
        return {"0020000E": {"Value": ["1.9"]}, "00080018": {"Value": [uid]}, "00080016": {"Value": [kind]}}


@pytest.fixture
def archive(server, reply):
    return FakeArchive(server, reply)


@pytest.fixture
def look(server, inbox, rounds):
    """``look(2)`` queries twice, as after a restart."""

    def run(times: int = 2, **settings) -> None:
        chosen = DicomwebSourceSettings(kind="dicomweb", url=server.url, timeout_seconds=2, **settings)
        DicomwebSource("pacs", chosen, Journal()).run(inbox, rounds(times))

    return run


@pytest.mark.parametrize("has_counts", [True, False])
@pytest.mark.parametrize("has_pages", [True, False])
def test_a_study_at_rest_is_fetched_once_and_a_late_image_with_it_again(
    archive, look, inbox, has_counts, has_pages
) -> None:
    archive.has_counts, archive.has_pages = has_counts, has_pages
    look(1)
    archive.studies["1.2"] = {f"1.2.{number}": CT for number in range(5)}
    look(3)
    whole = [b"DICM1.2.%d" % number for number in range(5)]
    assert (sorted(inbox.kept), inbox.expected) == (whole, [("1.2", 5)])
    archive.studies["1.2"]["1.2.77"] = SR  # our own
    look(3)
    assert sorted(inbox.kept) == whole
    archive.studies["1.2"]["1.2.5"] = CT
    look(3)
    assert b"DICM1.2.5" in inbox.kept
    assert inbox.expected[-1] == ("1.2", 6)


def test_a_study_that_still_grows_is_not_fetched(archive, inbox, server) -> None:
    source = DicomwebSource("pacs", DicomwebSourceSettings(kind="dicomweb", url=server.url), Journal())

    class Growing:
        looks = 0

        def is_set(self) -> bool:
            return self.looks >= 6

        def wait(self, _seconds: float) -> None:
            self.looks += 1
            if self.looks < 4:
                archive.studies["1.2"] = {f"1.2.{number}": CT for number in range(self.looks)}
            if self.looks == 5:
                assert len(inbox.kept) == 3

    source.run(inbox, Growing())
    assert inbox.expected == [("1.2", 3)]


def test_what_was_there_before_is_left_alone_unless_asked_for(archive, look, inbox) -> None:
    archive.studies["1.2"] = {"1.2.1": CT}
    look(3)
    assert inbox.kept == []
    inbox.cursors.clear()
    look(3, is_from_beginning=True)
    assert inbox.kept == [b"DICM1.2.1"]


def test_an_archive_that_fails_in_the_middle_is_asked_again(archive, look, inbox) -> None:
    look(1)
    archive.studies["1.2"] = {"1.2.1": CT}
    archive.is_down = True
    with pytest.raises(DeliveryError):
        look(3)
    archive.is_down = False
    look(2)
    assert inbox.kept == [b"DICM1.2.1"]


@pytest.mark.parametrize("uid", ["../../system", "1.2/x", "1.2?a=b", "..", "", "1" * 65])
def test_a_uid_that_is_none_never_becomes_part_of_an_address(archive, look, inbox, server, uid) -> None:
    look(1)
    archive.studies[uid] = {"1.2.1": CT}
    archive.studies["1.2"] = {uid: CT, "1.2.1": CT}
    look(2)
    assert inbox.kept == [b"DICM1.2.1"]
    assert not [path for path in server.paths if "/.." in path or "system" in path or "/x/" in path]


def test_no_uid_is_kept_in_the_cursor(archive, look, inbox) -> None:
    archive.studies["1.2.840.113619.2.55"] = {"1.2.840.113619.2.55.1": CT}
    look(1)
    assert "113619" not in inbox.cursors["pacs"]


ME = ("HERE", "P1", "19700101", "F")


@pytest.mark.parametrize(
    ("other", "is_fetched"),
    [
        ((*ME, "20250101"), True),
        (("THERE", *ME[1:], "20250101"), False),
        ((*ME[:2], "19710101", "F", "20250101"), False),
        ((*ME[:3], "M", "20250101"), False),
        ((*ME[:3], None, "20250101"), False),
        ((*ME, TODAY), False),  # of the same day: fetched as one of its own
    ],
)
def test_the_earlier_study_of_the_same_patient_comes_first_and_is_marked(
    archive, look, inbox, other, is_fetched
) -> None:
    look(1, earlier_studies=2)
    archive.studies |= {"1.2": {"1.2.1": CT}, "1.3": {"1.3.1": CT}}
    archive.patients |= {"1.2": (*ME, TODAY), "1.3": other}
    look(3, earlier_studies=2)
    assert ("pacs#earlier" in inbox.senders) is is_fetched
    if is_fetched:
        assert inbox.kept == [b"DICM1.3.1", b"DICM1.2.1"]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, {"1.2.1"}),  # off, unless it is asked for
        ({"earlier_studies": 1}, {"1.2.1", "1.5.1"}),
        ({"earlier_studies": 2}, {"1.2.1", "1.4.1", "1.4.2", "1.5.1"}),
        ({"earlier_studies": 2, "earlier_images": 1}, {"1.2.1", "1.5.1"}),
    ],
)
def test_earlier_studies_are_limited_in_number_and_size(archive, look, inbox, settings, kept) -> None:
    look(1, **settings)
    archive.studies |= {
        "1.2": {"1.2.1": CT}, "1.3": {"1.3.1": CT}, "1.4": {"1.4.1": CT, "1.4.2": CT}, "1.5": {"1.5.1": CT},
    }  # fmt: skip
    days = {"1.2": TODAY, "1.3": "20230101", "1.4": "20240101", "1.5": "20250101"}
    archive.patients = {uid: (*ME, day) for uid, day in days.items()}
    look(3, **settings)
    assert set(inbox.kept) == {b"DICM" + name.encode() for name in kept}


def test_without_date_of_birth_or_sex_no_earlier_study_is_asked_for(archive, look, inbox) -> None:
    look(1, earlier_studies=2)
    archive.studies |= {"1.2": {"1.2.1": CT}, "1.3": {"1.3.1": CT}}
    archive.patients = {"1.2": ("HERE", "P1", None, "F", TODAY), "1.3": ("HERE", "P1", None, "F", "20250101")}
    look(3, earlier_studies=2)
    assert inbox.kept == [b"DICM1.2.1"]
