"""A service and its workers, killed at any moment: every study has its results, once.

The database is a PostgreSQL of the test's own; what it loses is queued again from the store.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread

sys.path.append(str(Path(__file__).parent))

from killed_at import LOCAL, MOMENTS
from listening import Service, free_port, send, wait_for
from postgres_server import Postgres, programs, running_postgres

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
UID = "1.2.826.0.1.3680043.10.77"
IMAGES = 30
LEASE_S = 5


class Site:
    """A service, with a folder that it delivers to, and workers beside it."""

    def __init__(self, command: list[str], folder: Path, write_study: Callable[..., Path], database: str = "") -> None:
        self.command, self.folder, self.write_study, self.database = command, folder, write_study, database
        self.out = folder / "out"
        self.out.mkdir(exist_ok=True)
        self.metrics = free_port()
        self.service = Service(command, folder, self.settings())
        self.workers: list[subprocess.Popen[bytes]] = []
        self.studies = 0

    def settings(self) -> str:
        workers = (
            f'[service.workers]\ndatabase = "{self.database}"\nlease_seconds = {LEASE_S}\n' if self.database else ""
        )
        return (
            f'[service.study]\nquiet_seconds = 1\n[service.analysis]\nformats = "json,sr"\nretry_seconds = 0.2\n'
            f"{workers}"
            f'[service.metrics]\nport = {self.metrics}\n[service.sinks.out]\nkind = "folder"\npath = "{self.out}"\n'
        )

    def start(self, moment: str = "") -> None:
        """Start the service; it kills itself at a moment."""
        killed = [sys.executable, str(HERE / "killed_at.py"), moment]
        self.service.command = killed if moment else self.command
        self.service.start()
        self.service.command = self.command

    def start_worker(self, moment: str = "") -> subprocess.Popen[bytes]:
        """Start a worker; it kills itself at a moment."""
        words = [sys.executable, HERE / "killed_at.py", moment] if moment else self.command
        with (self.folder / "worker.log").open("ab") as log:
            words = [*words, "worker", "--config", self.folder / "service.toml"]
            self.workers.append(subprocess.Popen(words, stdout=log, stderr=log))
        return self.workers[-1]

    def send(self) -> None:
        """Send one more study; what is not taken is sent again, as a modality does."""
        self.studies += 1
        folder = self.write_study(self.folder / f"study-{self.studies}", uid=f"{UID}.{self.studies}")
        files = sorted(folder.iterdir())

        def is_taken() -> bool:
            try:
                return send(self.service.port, files) == [0] * IMAGES
            except (AssertionError, AttributeError, RuntimeError, OSError):  # it died meanwhile
                if self.service.process is None or self.service.process.poll() is not None:
                    self.service.process = None
                    self.start()
                return False

        wait_for(is_taken)

    def log(self) -> str:
        return self.service.log.read_text(errors="replace")

    def events(self, name: str) -> list[str]:
        """Studies that the service logged an event of."""
        return re.findall(rf" {name} .*study_ref=(\w+)", self.log())

    def hint(self) -> str:
        worker = self.folder / "worker.log"
        return f"{self.service.records()} {self.log()[-3000:]} {worker.read_text()[-3000:] if worker.exists() else ''}"

    def analysing(self) -> list[psutil.Process]:
        """Processes of analyses."""
        words = ("analyze", str(self.service.store))
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if all(word in " ".join(process.info["cmdline"] or []) for word in words)
        ]

    def check(self) -> None:
        """Every study that was sent has its results once: in the store, in its record, and delivered."""
        wait_for(lambda: self.count("done") == self.studies, seconds=90, hint=self.hint)
        records = self.service.records()
        assert [record["revision"] for record in records] == [1] * self.studies
        assert all(record["outcome"] == "reported" and not record.get("lease") for record in records)
        wanted = {f"{UID}.{number}" for number in range(1, self.studies + 1)}
        assert {
            json.loads((path / "report.json").read_text())["study"]["study_instance_uid"]
            for path in self.service.results()
        } == wanted
        assert {path.name for path in self.out.iterdir()} == wanted
        for path in self.service.results():
            report = dcmread(path / "sr.dcm")
            assert "PredecessorDocumentsSequence" not in report
            assert (self.out / path.name / "sr.dcm").read_bytes() == (path / "sr.dcm").read_bytes()

    def count(self, state: str) -> int:
        return sum(record.get("state") == state for record in self.service.records())

    def end(self) -> None:
        for process in self.workers:
            process.kill()
            process.wait()
        self.service.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    folder = programs()
    if folder is None:
        pytest.skip("postgresql is not installed")
    with running_postgres(folder) as server:
        yield server


@pytest.fixture
def site(command, tmp_path, write_study, monkeypatch) -> Iterator[Callable[..., Site]]:
    """``site(database)`` gives a service that is not started yet."""
    sites = []
    monkeypatch.setenv("IMAGES", str(IMAGES))

    def make(database: str = "") -> Site:
        if database:
            monkeypatch.setenv("WORKERS", "yes")
        sites.append(Site(command, tmp_path, write_study, database))
        return sites[-1]

    yield make
    for each in sites:
        each.end()


def test_two_workers_share_the_work_and_one_that_is_killed_is_replaced_by_the_other(site, postgres) -> None:
    place = site(postgres.new_database())
    place.start()
    workers = [place.start_worker(), place.start_worker()]
    wait_for(lambda: place.service.status()["service"]["workers"] == 2, hint=place.hint)
    for _study in range(6):
        place.send()

    def busy() -> dict[int, psutil.Process]:
        return {process.ppid(): process for process in place.analysing()}

    found = wait_for(lambda: (now := busy()).keys() >= {worker.pid for worker in workers} and now, hint=place.hint)
    workers[0].kill()
    wait_for(lambda: not found[workers[0].pid].is_running(), seconds=5)  # an analysis does not outlive its worker
    place.check()
    assert Counter(Counter(place.events("analysis_done")).values()) == {1: 6}
    assert "code=worker.lost" in place.log()
    assert max(Counter(place.events("analysis_begun")).values()) >= 2
    assert postgres.ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'", place.database) == "0"


def worker_at_work(place: Site) -> subprocess.Popen[bytes]:
    """The worker of a service, which has begun to analyse the one study that was sent."""
    place.start()
    worker = place.start_worker()
    place.send()
    wait_for(lambda: next((p for p in place.analysing() if p.ppid() == worker.pid), None), hint=place.hint)
    return worker


def test_a_worker_that_is_told_to_end_gives_its_study_back(site, postgres) -> None:
    place = site(postgres.new_database())
    first = worker_at_work(place)
    first.send_signal(signal.SIGTERM)
    assert first.wait(15) == 0
    place.service.stop()  # and the service ends meanwhile, without a word about the study
    assert place.count("analysing") == 1
    place.start()
    place.start_worker()
    place.check()
    assert len(place.events("analysis_begun")) == 1
    assert not any(record.get("interruptions") for record in place.service.records())


@pytest.mark.long
def test_a_worker_that_was_frozen_cannot_answer_for_another(site, postgres) -> None:
    place = site(postgres.new_database())
    frozen = worker_at_work(place)
    frozen.send_signal(signal.SIGSTOP)
    wait_for(lambda: place.events("analysis_failed"), hint=place.hint)
    place.start_worker()
    wait_for(lambda: len(place.events("analysis_begun")) == 2, hint=place.hint)
    frozen.send_signal(signal.SIGCONT)
    place.check()
    assert len(place.events("analysis_done")) == 1


@pytest.mark.long
def test_a_database_that_is_lost_is_filled_again_from_the_store(site) -> None:
    if programs() is None:
        pytest.skip("postgresql is not installed")
    with running_postgres(programs()) as server:
        place = site(server.database)
        worker = worker_at_work(place)
        server.stop()
        assert worker.wait(60) == 5, place.hint()  # to be started anew by whoever watches over it
        place.send()
        wait_for(lambda: len(place.events("analysis_begun")) >= 2, hint=place.hint)
        parts = wait_for(
            lambda: (found := place.service.status()["service"]["parts"])["queue"]["code"] and found, seconds=60
        )
        assert parts["queue"]["code"] == "queue.unreachable"
        server.make()  # not a row of what was there
        server.start()
        place.start_worker()
        place.check()


def test_what_a_worker_is_told_before_it_starts(site, postgres, command) -> None:
    place = site(postgres.new_database())

    def said(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [*command, *words, "--config", place.folder / "service.toml"], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    code, text = said("worker", "--check")
    assert (code, "usage.no_store" in text) == (2, True)
    place.start()
    assert said("worker", "--check") == (0, "workers at present: 0\nall well\n")
    code, text = said("status", "--health")
    assert (code, "worker.none" in text) == (5, True)
    assert "workers 0" in said("status")[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{place.metrics}/metrics", timeout=5) as answer:
        assert "calcreport_workers 0.0" in answer.read().decode()
    place.service.configure(site().settings())
    code, text = said("worker")
    assert (code, "usage.no_database" in text) == (2, True)


@pytest.mark.long
def test_killed_at_any_moment_with_workers(site, postgres) -> None:
    place = site(postgres.new_database())
    for moment, dying in MOMENTS.items():
        place.start(moment if dying == "listen" else "")
        worker = place.start_worker(moment if dying == "worker" else "")
        victim = worker if dying == "worker" else place.service.process
        place.send()
        assert victim.wait(60) == -signal.SIGKILL, (moment, place.hint())
        if dying == "worker":
            place.start_worker()
        elif place.service.process in {None, victim}:
            place.service.process = None
            place.start()
        wait_for(lambda: place.count("done") == place.studies, seconds=60, hint=place.hint)
        for process in place.workers:
            process.kill()
            process.wait()
        place.service.stop(signal.SIGKILL)
    place.start()
    place.check()


@pytest.mark.long
def test_killed_at_any_moment_without_workers(site) -> None:
    place = site()
    for moment in LOCAL:
        place.start(moment)
        victim = place.service.process
        place.send()
        assert victim.wait(60) == -signal.SIGKILL, (moment, place.hint())
        if place.service.process in {None, victim}:
            place.service.process = None
            place.start()
        wait_for(lambda: place.count("done") == place.studies, seconds=60, hint=place.hint)
        place.service.stop(signal.SIGKILL)
    place.start()
    place.check()
