"""An archive that is asked by C-FIND and sends by C-MOVE, played by pynetdicom; real ones: tests/interop."""

import logging
from datetime import date

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from calcreport.errors import DeliveryError, SettingsError
from calcreport.service.adapter_settings import DimseSourceSettings
from calcreport.service.journal import Journal
from calcreport.service.service_settings import service_settings_from_text
from calcreport.service.sources.archive import DimseSource

CT = "1.2.840.10008.5.1.4.1.1.2"
FIND, MOVE = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2"
TODAY = f"{date.today():%Y%m%d}"  # noqa: DTZ011 - as the source asks for it
ME = ("HERE", "P1", "19700101", "F")
WHO = ("IssuerOfPatientID", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate")


class FakeArchive:
    """One series a study; what is to be moved is noted, and does not come."""

    def __init__(self) -> None:
        self.studies: dict[str, tuple[int, tuple[str, ...]]] = {}  # number of images, and values of `WHO`
        self.moved: list[str] = []
        self.find_status, self.is_known, self.unknown = 0, True, set()
        entity = AE("ARCHIVE")
        entity.add_supported_context(FIND)
        entity.add_supported_context(MOVE)
        handlers = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._move)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    def _find(self, event):
        asked = event.identifier
        for study, (count, who) in self.studies.items():
            row = Dataset()
            row.StudyInstanceUID = study
            if asked.QueryRetrieveLevel == "STUDY" and self._matches(asked, study, who):
                for keyword, value in zip(WHO, who, strict=True):
                    setattr(row, keyword, value)
                yield 0xFF00, row
            elif asked.StudyInstanceUID == study and asked.QueryRetrieveLevel == "SERIES":
                row.SeriesInstanceUID, row.Modality = f"{study}.1", "CT"
                yield 0xFF00, row
            elif asked.StudyInstanceUID == study:
                yield from ((0xFF00, image) for image in self._images(row, count))
        if self.find_status:
            yield self.find_status, None

    @staticmethod
    def _images(row, count):
        for number in range(count):
            row.SOPInstanceUID, row.SOPClassUID = f"{row.StudyInstanceUID}.1.{number}", CT
            yield row

    @staticmethod
    def _matches(asked, study, who) -> bool:
        if "ModalitiesInStudy" not in asked:
            return asked.StudyInstanceUID == study
        first, _, last = str(asked.StudyDate).partition("-")
        return asked.ModalitiesInStudy == "CT" and first <= who[4] <= last  # some archives do not look at Patient IDs

    def _move(self, event):
        study = str(event.identifier.StudyInstanceUID)
        self.moved.append(study)
        assert event.move_destination == "CALCREPORT"
        yield ("127.0.0.1", 9) if self.is_known and study not in self.unknown else (None, None)
        yield 0


@pytest.fixture
def archive():
    fake = FakeArchive()
    yield fake
    fake.server.shutdown()


@pytest.fixture
def look(archive, inbox, rounds):
    def run(times: int = 2, **settings) -> None:
        chosen = DimseSourceSettings(
            kind="dicom", host="127.0.0.1", port=archive.server.server_address[1], called_aet="ARCHIVE",
            timeout_seconds=5, is_from_beginning=True, **settings,
        )  # fmt: skip
        DimseSource("pacs", chosen, Journal()).run(inbox, rounds(times))

    return run


def test_earlier_studies_of_the_same_patient_are_sent_first_and_marked(archive, look, inbox, caplog) -> None:
    archive.studies = {
        "1.1": (2, (*ME, TODAY)),
        "1.2": (2, (*ME, "20200101")),  # the third
        "1.3": (2, (*ME, "20230101")),
        "1.4": (9, (*ME, "20240101")),  # too large
        "1.5": (2, ("THERE", *ME[1:], "20250101")),
        "1.6": (2, (*ME[:2], "19710101", "F", "20250101")),
        "1.7": (2, (*ME[:3], "M", "20250101")),
        "1.8": (2, (*ME[:3], "", "20250101")),  # not known is no agreement
        "1.9": (2, ("HERE", "P2", *ME[2:], "20250101")),  # of somebody else, who is no wrong patient
    }
    with caplog.at_level(logging.INFO):
        look(earlier_studies=2, earlier_images=8)
    assert archive.moved == ["1.3", "1.1"]
    assert inbox.expected == [("1.3", 2), ("1.1", 2)]
    assert inbox.asked_by == {"pacs#earlier", "pacs"}
    assert "earlier_refused step=pacs code=prior.other_patient" in caplog.text
    assert "19700101" not in caplog.text


def test_without_a_date_of_birth_no_earlier_study_is_asked_for(archive, look, caplog) -> None:
    who = (*ME[:2], "", "F")
    archive.studies = {"1.1": (1, (*who, TODAY)), "1.2": (1, (*who, "20250101"))}
    with caplog.at_level(logging.INFO):
        look(earlier_studies=2)
    assert archive.moved == ["1.1"]
    assert "earlier_refused step=pacs code=prior.patient_unknown" in caplog.text


def test_images_that_the_archive_could_not_send_are_not_waited_for(archive, look, inbox, monkeypatch) -> None:
    archive.studies = {"1.1": (5, (*ME, TODAY))}
    answer = Dataset()
    answer.Status, answer.NumberOfCompletedSuboperations = 0xB000, 3
    monkeypatch.setattr("pynetdicom.association.Association.send_c_move", lambda *_: iter([(answer, None)]))
    look()
    assert inbox.expected == [("1.1", 5), ("1.1", 3)]


def test_an_archive_that_does_not_know_us_is_asked_again(archive, look) -> None:
    archive.studies, archive.is_known = {"1.1": (1, (*ME, TODAY))}, False
    with pytest.raises(DeliveryError) as caught:
        look()
    assert (caught.value.code, caught.value.is_retryable) == ("dimse.not_moved", True)
    archive.is_known = True
    look()
    assert archive.moved == ["1.1", "1.1"]


def test_an_earlier_study_that_cannot_be_had_holds_up_no_later_one(archive, look, inbox, caplog) -> None:
    stranger = (ME[0], "P2", *ME[2:], "20250201")  # given though another Patient ID was asked for
    archive.studies = {"1.1": (1, (*ME, TODAY)), "1.2": (1, (*ME, "20250101")), "1.3": (1, stranger)}
    archive.unknown = {"1.2"}
    with caplog.at_level(logging.INFO):
        look(earlier_studies=1)
    assert archive.moved == ["1.2", "1.1"]
    assert "earlier_refused step=pacs code=dimse.not_moved" in caplog.text
    assert "prior.other_patient" not in caplog.text
    assert "pacs" in inbox.cursors


def test_a_query_that_fails_is_no_empty_archive(archive, look, inbox) -> None:
    archive.find_status = 0xA700
    with pytest.raises(DeliveryError) as caught:
        look()
    assert caught.value.code == "dimse.query_failed"
    assert "pacs" not in inbox.cursors


def test_the_archive_sends_to_the_title_of_the_service() -> None:
    text = '[service]\naet = "OURS"\n[service.sources.pacs]\nkind = "dicom"\nhost = "h"\nport = 1\ncalled_aet = "A"\n'
    with pytest.raises(SettingsError, match=r"service\.sources\.pacs\.calling_aet"):
        service_settings_from_text(text)
    settings = service_settings_from_text(f'{text}calling_aet = "OURS"\n')
    assert isinstance(settings.sources["pacs"], DimseSourceSettings)
