"""The table of a site as the service sees it: taken over when it is whole, kept when the next one is not."""

import os

import pytest

from calcreport.errors import ClinicalError
from calcreport.service import clinical_watch
from calcreport.service.clinical_watch import ClinicalWatch, study_of_clinical
from calcreport.service.journal import Journal

GOOD, BETTER = "patient_id,history.trauma\nA,yes\n", "patient_id,history.trauma\nA,yes\nB,no\n"
BAD, ONE = "patient_id,history.trauma\nA,perhaps\n", "history: {trauma: yes}\n"


class Scene:
    """A watch and the table it watches, with a clock set by hand."""

    def __init__(self, folder, monkeypatch):
        self.path = folder / "site.csv"
        self.now = 0.0
        self.named = str(self.path)
        monkeypatch.setattr(clinical_watch, "monotonic", lambda: self.now)
        root = folder / "store"
        root.mkdir()
        self.watch = ClinicalWatch(root, lambda: self.named, journal=Journal())

    def write(self, text):
        self.path.write_text(text)
        os.utime(self.path, ns=(1, int(self.now) + 1))

    def look(self, times=2):
        for _time in range(times):
            self.now += 2.0
            self.watch.look()

    @property
    def used(self):
        path = self.watch.table()
        return path and path.read_text()


@pytest.fixture
def scene(tmp_path, monkeypatch):
    return Scene(tmp_path, monkeypatch)


def test_a_new_version_is_taken_when_it_is_at_rest(scene):
    scene.write(GOOD)
    assert scene.used == GOOD
    scene.write(BETTER)
    scene.look(1)
    assert scene.used == GOOD, "it may still be written to"
    scene.look(1)
    assert scene.used == BETTER


@pytest.mark.parametrize(
    ("text", "code"), [(BAD, "clinical.value"), (ONE, "clinical.unknown_key"), ("", "clinical.not_csv")]
)
def test_the_last_good_version_stays_until_the_next_one_is(scene, text, code):
    scene.write(GOOD)
    scene.look()
    scene.write(text)
    scene.look(3)
    assert (scene.used, scene.watch.problem) == (GOOD, code)
    scene.path.unlink()
    scene.look()
    assert (scene.used, scene.watch.problem) == (GOOD, "usage.no_such_file")
    scene.write(BETTER)
    scene.look()
    assert (scene.used, scene.watch.problem) == (BETTER, "")


def test_without_any_good_version_nothing_is_analysed(scene):
    scene.write(BAD)
    scene.look()
    with pytest.raises(ClinicalError) as refusal:
        scene.watch.table()
    assert refusal.value.code == "clinical.value"
    scene.write(GOOD)
    assert scene.used == GOOD


def test_the_copy_is_the_owner_s_and_goes_with_the_setting(scene, tmp_path):
    scene.write(GOOD)
    assert scene.watch.table().stat().st_mode & 0o077 == 0
    scene.named = None
    scene.look()
    assert scene.watch.table() is None
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"history: {trauma: yes}", "clinical.which_study"),
        (b"patient_id: A", "clinical.which_study"),
        (b"- study_instance_uid: 1.2.3", "clinical.which_study"),
        (b"study_instance_uid: 1.2.3\nhistory: {truama: yes}", "clinical.unknown_key"),
        (b"\xff\xfe\x00", "clinical.which_study"),
        (b"#" * 1_000_001, "clinical.which_study"),
        (b"", "clinical.which_study"),
    ],
)
def test_a_file_of_a_study_names_it(content, code):
    with pytest.raises(ClinicalError) as refusal:
        study_of_clinical(content)
    assert refusal.value.code == code
    assert study_of_clinical(b"study_instance_uid: 1.20") == "1.20"
