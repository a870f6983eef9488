import json
import subprocess
import sys
import time
from argparse import Namespace

import pytest

from calcreport.commands.status import existing_store
from calcreport.errors import DeliveryError, UsageError
from calcreport.service.queue import Handover, Record
from calcreport.service.status import as_json, as_text, ask_retry, require_healthy, studies_of, write_status


def _write(store, put, number, **record):
    study = put(number=1, study=f"1.2.826.77.{number}").study
    if record:
        store.write_record(study, Record(changed=time.time() - 60.0 * number, images=1, **record))
    return study


def test_studies_are_listed_by_reference_and_nothing_else_names_them(store, references, put):
    _write(store, put, 1, state="done", revision=2, outcome="reported", study_instance_uid="1.2.826.77.1")
    study = _write(store, put, 2, state="failed", code="analysis.crashed", message="it crashed", attempts=3)
    _write(store, put, 3)
    put(number=1, study="1.2.826.77.4", SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    lines = studies_of(store.root)
    assert {line.state for line in lines} == {"done", "failed", "receiving", "aside"}
    for text in (as_text(store.root, lines, most=20), as_json(store.root, lines)):
        assert references.of(study) in text
        assert "analysis.crashed" in text
        assert "it crashed" in text
        assert "1.2.826" not in text
        assert "MARKER" not in text.upper()
        assert study not in text


def test_dead_letters_are_shown_whatever_their_age(store, references, put):
    dead = _write(store, put, 99, state="failed", code="analysis.crashed")
    for number in range(5):
        _write(store, put, number, state="done")
    text = as_text(store.root, studies_of(store.root), most=2)
    assert references.of(dead) in text
    assert text.count(" done ") == 2
    assert "3 older" in text


def test_why_results_are_not_delivered_is_shown(store, put):
    _write(store, put, 1, state="delivering", deliveries={"pacs": Handover(attempts=4, code="delivery.down")})
    assert "[delivery.down]" in as_text(store.root, studies_of(store.root), most=20)


def test_the_service_is_healthy_when_it_says_so_and_said_so_just_now(store):
    with pytest.raises(DeliveryError) as caught:
        require_healthy(store.root)
    assert caught.value.code == "service.not_running"
    good = {"state": "running", "written": time.time(), "problems": []}
    write_status(store.root, good)
    require_healthy(store.root)
    for change, code in (
        ({"written": time.time() - 60}, "service.not_running"),
        ({"state": "stopped"}, "service.not_running"),
        ({"problems": ["store.full"]}, "store.full"),
    ):
        write_status(store.root, {**good, **change})
        with pytest.raises(DeliveryError) as caught:
            require_healthy(store.root)
        assert caught.value.code == code


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"written": "now"}', b"\xff"])
def test_a_status_file_that_is_damaged_is_a_service_that_does_not_run(store, content):
    (store.root / "status.json").write_bytes(content)
    assert "not running" in as_text(store.root, studies_of(store.root), most=1)


def test_retry_takes_references_and_all_dead_letters(store, references, put):
    done = _write(store, put, 1, state="done")
    dead = _write(store, put, 2, state="failed", code="analysis.crashed")
    assert ask_retry(store.root, [], is_all=True) == [references.of(dead)]
    assert store.take_retries() == [dead]
    assert ask_retry(store.root, [references.of(done)], is_all=False) == [references.of(done)]
    assert store.take_retries() == [done]
    assert store.take_retries() == []


@pytest.mark.parametrize("reference", ["", "../x", "0" * 12, "*"])
def test_retry_of_what_is_not_there_is_refused(store, put, reference):
    _write(store, put, 1, state="failed")
    with pytest.raises(UsageError):
        ask_retry(store.root, [reference], is_all=False)
    assert store.take_retries() == []


def test_json_is_json(store, put):
    _write(store, put, 1, state="done", revision=1, outcome="reported")
    report = json.loads(as_json(store.root, studies_of(store.root)))
    assert report["studies"][0]["state"] == "done"
    assert report["service"]["is_running"] is False


def test_whoever_may_not_read_the_store_is_told_as_whom_to_run(store, monkeypatch):
    options = Namespace(config=None, store=str(store.root), health=True)
    monkeypatch.setattr("calcreport.commands.status.os.access", lambda *_: False)
    with pytest.raises(UsageError) as caught:
        existing_store(options)
    assert caught.value.code == "usage.store_unreadable"
    assert "sudo -u" in caught.value.message


def test_status_loads_no_analysis():
    heavy = ("scipy", "pynetdicom", "highdicom")
    code = f"import sys, calcreport.commands.status; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_study_whose_folder_cannot_be_read_has_no_age(store, put):
    study = put().study
    record = store.folder(study) / "record.json"
    record.mkdir()  # as unreadable to root as to anybody
    (line,) = studies_of(store.root)
    assert (line.state, line.code, line.changed) == ("failed", "study.unreadable", 0.0)
    text = as_text(store.root, [line], most=20)
    assert f"{store.reference(study)}  failed  0    0       -  " in text
