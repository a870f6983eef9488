"""The receiving service from the network to the report: what it acknowledged is there, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pydicom
import pytest

sys.path.append(str(Path(__file__).parent))

from listening import EXPLICIT, Rough, Service, associate, data_set_of, encoded, send, wait_for

MARKERS = ("Synthetic", "Limb", "SYN1")
QUICK = '[service.study]\nquiet_seconds = 1\n[service.analysis]\nformats = "json,text"\nretry_seconds = 0.2\n'
Start = Callable[..., Service]


@pytest.fixture
def start(command: list[str], tmp_path: Path) -> Iterator[Start]:
    """``start(toml)`` gives a running service."""
    services = []

    def begin(toml: str = QUICK) -> Service:
        service = Service(command, tmp_path, toml)
        services.append(service)
        return service.start()

    yield begin
    for service in services:
        service.stop(signal.SIGKILL)


@pytest.fixture
def open_rough() -> Iterator[Callable[..., Rough]]:
    """``open_rough(port)`` gives a peer that speaks byte by byte."""
    with ExitStack() as stack:
        yield lambda port, **how: stack.enter_context(Rough(port, **how))


@pytest.fixture(scope="module")
def files(limb: Path) -> list[Path]:
    return sorted(limb.iterdir())


def test_a_study_is_kept_as_it_came_reported_once_and_superseded_by_late_images(start, files) -> None:
    service = start(QUICK.replace("json,text", "json,sr"))
    assert send(service.port, files[:-2]) == [0] * (len(files) - 2)
    kept = {data_set_of(path) for path in service.images()}
    assert kept == {data_set_of(path) for path in files[:-2]}
    (record,) = service.wait_done()
    assert record["outcome"] == "reported"
    (results,) = service.results()
    assert json.loads((results / "report.json").read_text())["lesions"]
    first = pydicom.dcmread(results / "sr.dcm")

    assert set(send(service.port, files[:-2])) == {0}  # once more: nothing happens
    time.sleep(2.5)
    assert service.records() == [record]

    assert send(service.port, files[-2:]) == [0, 0]
    service.wait_done(revision=2)
    assert len(service.results()) == 1
    second = pydicom.dcmread(service.results()[0] / "sr.dcm")
    (item,) = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == first.SOPInstanceUID

    (study,) = service.studies()
    assert (study["state"], study["revision"], study["images"]) == ("done", 2, len(files))
    assert service.stop() == 0
    said = service.log.read_text() + (service.store / "status.json").read_text() + json.dumps(study)
    uid = str(first.StudyInstanceUID)
    assert not [word for word in (*MARKERS, uid, "Traceback") if word in said]


def test_our_own_results_sent_back_do_nothing(start, files) -> None:
    service = start(QUICK.replace("json,text", "json,sr,seg,sc,png"))
    send(service.port, files)
    service.wait_done()
    (results,) = service.results()
    ours = sorted(results.glob("*.dcm"))
    assert {pydicom.dcmread(path).Modality for path in ours} >= {"SR", "SEG"}
    assert set(send(service.port, ours)) == {0}
    time.sleep(2.5)
    assert [record["revision"] for record in service.records()] == [1]
    assert len(list(service.store.glob("studies/*/aside/*"))) == len(ours)


@pytest.mark.parametrize("moment", ["receiving", "waiting", "analysing", "analysing_late"])
def test_a_service_that_is_killed_reports_after_it_is_started_again(start, files, moment) -> None:
    service = start()
    send(service.port, files)
    if moment != "receiving":
        wait_for(lambda: any(record.get("state") in {"waiting", "analysing"} for record in service.records()))
    if moment.startswith("analysing"):
        wait_for(lambda: any(record.get("state") == "analysing" for record in service.records()))
        time.sleep(0.8 if moment == "analysing_late" else 0.05)
    service.restart()
    service.wait_done()
    assert len(service.results()) == 1
    assert len(service.images()) == len(files)


def test_a_message_in_flight_is_finished_before_the_service_stops(start, files, open_rough) -> None:
    service = start()
    content = data_set_of(files[0])
    rough = open_rough(service.port)
    instance = str(pydicom.dcmread(files[0], stop_before_pixels=True).SOPInstanceUID)
    fragments = list(rough.data(content, size=4000))
    rough.socket.sendall(rough.command(instance) + b"".join(fragments[:3]))
    time.sleep(0.3)
    begun = time.monotonic()
    service.tell(signal.SIGTERM)
    for fragment in fragments[3:]:
        time.sleep(0.2)
        rough.socket.sendall(fragment)
    assert rough.status() == 0
    assert service.stop() == 0
    assert time.monotonic() - begun < 15
    assert [data_set_of(path) for path in service.images()] == [content]


def test_a_sender_that_never_ends_does_not_keep_the_service_from_stopping(start, files, open_rough) -> None:
    service = start()
    rough = open_rough(service.port)
    rough.socket.sendall(rough.command("1.2.3") + next(rough.data(data_set_of(files[0]), size=1000)))
    time.sleep(0.3)
    begun = time.monotonic()
    assert service.stop(signal.SIGTERM, seconds=20) == 0
    assert time.monotonic() - begun < 15


def test_an_analysis_under_way_is_ended_politely_and_begins_anew(start, files) -> None:
    service = start()
    send(service.port, files)
    wait_for(lambda: any(record.get("state") == "analysing" for record in service.records()))
    assert service.stop() == 0
    (record,) = service.records()
    assert (record.get("state", "waiting"), record.get("attempts", 0), record.get("interruptions", 0)) == (
        "waiting",
        0,
        0,
    )
    service.start()
    service.wait_done()


def test_a_poison_study_becomes_a_dead_letter_and_comes_back_by_hand(start, files, run) -> None:
    service = start(QUICK + "wall_seconds = 0.2\n")
    send(service.port, files)
    wait_for(lambda: any(record.get("state") == "failed" for record in service.records()), seconds=30)
    (study,) = service.studies()
    assert (study["state"], study["code"], study["attempts"]) == ("failed", "analysis.wall_limit", 3)
    assert not service.results()
    text = run("status", "--store", service.store).stdout
    assert f"{study['reference']}  failed" in text
    assert "[analysis.wall_limit] after 3 attempts" in text

    service.configure(QUICK)
    service.tell(signal.SIGHUP)
    wait_for(lambda: "reloaded" in service.log.read_text())
    assert run("retry", study["reference"], "--store", service.store).returncode == 0
    service.wait_done()


def test_settings_are_read_again_and_a_mistake_changes_nothing(start, files) -> None:
    service = start('[service.peers]\ncalling = ["SCANNER"]\n')
    with pytest.raises(AssertionError, match="not let in"):
        send(service.port, files[:1], calling="STRANGER")
    assert send(service.port, files[:1], calling="SCANNER") == [0]
    service.configure('[service.peers]\ncalling = ["STRANGER"]\n')
    service.tell(signal.SIGHUP)
    wait_for(lambda: "reloaded" in service.log.read_text())
    assert send(service.port, files[1:2], calling="STRANGER") == [0]
    service.configure("[service.peers]\ncallling = []\n")
    service.tell(signal.SIGHUP)
    wait_for(lambda: "reload_failed code=settings.unknown_key" in service.log.read_text())
    assert send(service.port, files[2:3], calling="STRANGER") == [0]
    with pytest.raises(AssertionError, match="not let in"):
        send(service.port, files[3:4], calling="SCANNER")
    with pytest.raises(AssertionError, match="not let in"):
        send(service.port, files[3:4], calling="STRANGER", called="SOMEONE")


def test_health_says_when_all_places_are_taken(start, files, open_rough, run) -> None:
    service = start(f"{QUICK}[service.limits]\nmax_associations = 1\n")
    sender = open_rough(service.port)
    assert sender.store("1.2.3", b"") is not None  # one that has begun to send does not give way
    sender.socket.sendall(sender.command("1.2.4"))
    for _newcomer in range(3):
        with pytest.raises(AssertionError):
            send(service.port, files[:1])
    wait_for(lambda: run("status", "--store", service.store, "--health").returncode == 5)
    assert "association.too_many" in run("status", "--store", service.store, "--health").stderr
    sender.close()
    wait_for(lambda: _is_taken(service.port, files[:1]))
    wait_for(lambda: run("status", "--store", service.store, "--health").returncode == 0)


def _is_taken(port: int, files: list[Path]) -> bool:
    try:
        return send(port, files) == [0]
    except AssertionError:
        return False


def test_an_address_that_is_not_named_gets_no_answer(start, files) -> None:
    service = start('[service.peers]\naddresses = ["10.99.0.0/16"]\n')
    with pytest.raises(AssertionError, match="not let in"):
        send(service.port, files[:1])
    assert service.images() == []
    assert "association.address_not_welcome" in service.log.read_text()


def test_the_same_uid_with_other_content_is_kept_and_flagged(start, files) -> None:
    service = start()
    dataset = pydicom.dcmread(files[0])
    dataset.PixelData = bytes(reversed(dataset.PixelData))
    with associate(service.port) as association:
        assert association.send_c_store(pydicom.dcmread(files[0])).Status == 0
        assert association.send_c_store(dataset).Status == 0
    assert len(service.images()) == 2
    (record,) = service.wait_done()
    assert record["conflicts"] == 1
    assert record["outcome"] == "refused"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda raw: raw[: len(raw) // 2], 0xC000),
        (lambda _raw: b"", 0xC000),
        (lambda _raw: bytes(range(256)) * 8, 0xC000),
        (lambda raw: raw.replace(b".10.1.1.0", b".10.1.1.7", 1), 0xA900),
    ],
    ids=["half", "empty", "garbage", "other_uid"],
)
def test_a_data_set_that_is_not_what_it_should_be_is_refused(start, files, open_rough, change, status) -> None:
    service = start()
    dataset = pydicom.dcmread(files[0])
    rough = open_rough(service.port)
    raw = encoded(dataset)
    assert change(raw) != raw
    assert rough.store(str(dataset.SOPInstanceUID), change(raw)) == status
    assert rough.store(str(dataset.SOPInstanceUID), raw) == 0
    assert len(service.images()) == 1
    assert service.incoming() == []


def test_one_service_a_store(start, run) -> None:
    service = start()
    result = run("listen", "--store", service.store, "--port", "1")
    assert (result.returncode, "store.in_use" in result.stderr) == (5, True)


def test_a_service_with_safety_rows_changed_says_so_in_its_log_and_when_checked(start, run, tmp_path) -> None:
    rules = tmp_path / "site.toml"
    rules.write_text('schema = 1\nversion = "9"\nremoved = ["F2"]\n')
    service = start(f'[rules]\npath = "{rules}"\n')
    wait_for(lambda: "safety_rows_changed count=1" in service.log.read_text())
    checked = run("listen", "--check", "--config", service.folder / "service.toml")
    assert "WARNING: safety rows taken out: F2; every report says so\n" in checked.stdout


def test_a_service_is_healthy_while_it_runs(start, run) -> None:
    service = start()
    wait_for((service.store / "status.json").exists)
    assert run("status", "--store", service.store, "--health").returncode == 0
    config = service.folder / "service.toml"
    checked = run("listen", "--check", "--config", config)  # beside the service that runs
    assert (checked.returncode, "a service is running on this store" in checked.stdout) == (0, True), checked.stderr
    config.write_text("[service.limit]\n")
    assert run("listen", "--check", "--config", config).returncode == 2
    assert run("status", "--store", service.store, "--config", config, "--health").returncode == 0
    assert service.is_alive()
    service.stop()
    result = run("status", "--store", service.store, "--health")
    assert (result.returncode, "service.not_running" in result.stderr) == (5, True)


@pytest.mark.parametrize(
    ("toml", "code", "word"),
    [
        ("", 0, "all well"),
        ("[service.limit]\n", 2, "settings.unknown_key"),
        ('[service.tls]\ncertificate = "none.pem"\n', 2, "settings.tls"),
        ("[policy]\nsize_limit_m = 3\n", 2, "settings.unknown_key"),
        ('[service.analysis]\nformats = "jsn"\n', 2, "usage.unknown_format"),
        ('[service.analysis]\nclinical = "none.yaml"\n', 2, "usage.no_such_file"),
    ],
)
def test_a_check_names_what_is_wrong(command, tmp_path, toml, code, word) -> None:
    service = Service(command, tmp_path, toml)
    words = [*command, "listen", "--check", "--config", str(tmp_path / "service.toml")]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    assert word in result.stdout + result.stderr
    assert not service.images()


def test_a_check_names_a_port_in_use_and_a_store_that_is_missing(start, run, tmp_path) -> None:
    service = start()
    result = run("listen", "--check", "--store", tmp_path / "other", "--port", service.port)
    assert (result.returncode, "settings.address" in result.stderr) == (2, True)
    result = run("listen", "--check")
    assert (result.returncode, "usage.no_store" in result.stderr) == (2, True)


def test_an_encrypted_service_takes_encrypted_images_only(start, files, tmp_path, need_tool, open_rough) -> None:
    import ssl  # noqa: PLC0415

    pem, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([need_tool("openssl"), *words.split(), "-keyout", key, "-out", pem], check=True, capture_output=True)
    service = start(f'[service.tls]\ncertificate = "{pem}"\nkey = "{key}"\n')
    open_rough(service.port, is_associated=False)  # never shakes hands; must not hold up others
    context = ssl.create_default_context(cafile=pem)
    begun = time.monotonic()
    assert send(service.port, files[:5], tls_args=(context, "localhost")) == [0] * 5
    assert time.monotonic() - begun < 4, "the silent one is given 5 s"
    plain = open_rough(service.port, is_associated=False)
    plain.socket.sendall(plain.request())
    assert plain.receive()[0] != 2
    assert len(service.images()) == 5
    subprocess.run([need_tool("openssl"), *words.split(), "-keyout", key, "-out", pem], check=True, capture_output=True)
    renewed = ssl.create_default_context(cafile=pem)
    with pytest.raises(AssertionError):
        send(service.port, files[:1], tls_args=(renewed, "localhost"))
    service.tell(signal.SIGHUP)
    wait_for(lambda: "reloaded" in service.log.read_text())
    assert send(service.port, files[:1], tls_args=(renewed, "localhost")) == [0]
    pem.write_text("no certificate")
    service.tell(signal.SIGHUP)
    wait_for(lambda: "reload_failed code=settings.tls" in service.log.read_text())
    assert send(service.port, files[:1], tls_args=(renewed, "localhost")) == [0]


def test_the_service_drops_no_privileges_it_needs_and_shares_nothing(start, files) -> None:
    service = start()
    send(service.port, files[:1])
    for path in [service.store, *service.store.rglob("*")]:
        assert not path.stat().st_mode & 0o077, path.name
    assert os.access(service.store, os.W_OK)


def test_compressed_images_stay_as_they_are(start) -> None:
    sample = Path(__file__).parents[2] / "sample_dicoms/myositis_calf"
    paths = sorted(path for path in sample.iterdir() if path.suffix == ".dcm")[:4]
    assert {pydicom.dcmread(path).file_meta.TransferSyntaxUID for path in paths} != {EXPLICIT}
    service = start()
    assert send(service.port, paths) == [0] * 4
    assert {data_set_of(path) for path in service.images()} == {data_set_of(path) for path in paths}
