"""A PostgreSQL server of a test's own: a cluster in a temporary folder, with a socket in it, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def programs() -> Path | None:
    """Folder of Debian's newest PostgreSQL; its programs are not on the path."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: float(path.parent.name))


class Postgres:
    """A cluster that runs, or ran; ``database`` names it to libpq."""

    def __init__(self, bin_folder: Path, folder: Path) -> None:
        self._bin, self.folder = bin_folder, folder
        self.database = f"host={folder} user=calcreport dbname=postgres"
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root
        self._who: dict[str, Any] = {"user": pwd.getpwnam("postgres").pw_name} if os.geteuid() == 0 else {}
        if self._who:
            shutil.chown(folder, **self._who)

    def make(self) -> None:
        """Make an empty cluster, in the place of the one that was there."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        words = [
            self._bin / "initdb",
            "-D",
            self.folder / "data",
            "-A",
            "trust",
            "-U",
            "calcreport",
            "-N",
            "-E",
            "UTF8",
        ]
        subprocess.run(words, check=True, capture_output=True, cwd=self.folder, **self._who)

    def start(self) -> None:
        """Start, and wait until it answers."""
        words = ["-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", *words], stdout=log, stderr=log, cwd=self.folder, **self._who
            )
        ready = [self._bin / "pg_isready", "-q", "-h", self.folder]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it at once, with every connection."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def new_database(self) -> str:
        """Make a database, and give what names it to libpq."""
        self._databases += 1
        self.ask(f"CREATE DATABASE test_{self._databases}", self.database)
        return self.database.replace("dbname=postgres", f"dbname=test_{self._databases}")

    def ask(self, query: str, database: str) -> str:
        """Answer of a query, bare."""
        words = [self._bin / "psql", "-X", "-t", "-A", "-c", query, database]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def running_postgres(bin_folder: Path) -> Iterator[Postgres]:
    """Make and start a server, and end and remove it."""
    with tempfile.TemporaryDirectory(prefix="calcreport-pg-") as folder:
        server = Postgres(bin_folder, Path(folder))
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
