"""The program, loaded once and forked for every command: a start costs milliseconds instead of a second of imports.

Run as a script it reads one JSON list a line, ``[words, folder, output file, error file]``, starts the program with
these words in a child, and answers with the child's return code. `Preloaded` is the other end.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LONGEST_S: Final = 120
"""A command that takes longer is ended by SIGALRM."""
SAMPLE: Final = Path(__file__).parents[2] / "sample_dicoms" / "deep_mass_thigh"
ENVIRONMENT: Final = {"PYTHONWARNINGS": "default", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Preloaded:
    """Commands of the program, each in a process of its own with its own streams."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **ENVIRONMENT},
        )  # fmt: skip

    def run(self, words: Sequence[str], folder: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `subprocess.run` does."""
        with tempfile.TemporaryDirectory() as streams:
            out, err = (Path(streams) / name for name in ("out", "err"))
            assert self._server.stdin is not None
            assert self._server.stdout is not None
            self._server.stdin.write(json.dumps([list(words), folder, str(out), str(err)]) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            texts = [path.read_text(encoding="utf-8") for path in (out, err)]
        return subprocess.CompletedProcess([*words], code, *texts)

    def close(self) -> None:
        """End the server."""
        with self._server:
            assert self._server.stdin is not None
            self._server.stdin.close()


def _serve() -> list[str]:
    """Answer requests; returns only in a child, with the words of its command."""
    for line in sys.stdin:
        words, folder, *files = json.loads(line)
        child = os.fork()
        if not child:
            signal.alarm(LONGEST_S)
            os.chdir(folder)
            for stream, path in enumerate((os.devnull, *files)):
                opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                os.dup2(opened, stream)
                os.close(opened)
            return list(words)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, which `python -m calcreport` does not see
    import calcreport.pipeline
    from calcreport.arguments import AnalyzeOptions, request_from
    from calcreport.cli import main
    from calcreport.dicom import discover
    from calcreport.study.analyse import analyse_study
    from calcreport.study.folder import ResultsFolder

    # Tables, templates and what writes DICOM are loaded once and not by every child.
    with tempfile.TemporaryDirectory() as out:
        request = request_from(AnalyzeOptions(paths=(str(SAMPLE),), out=out))
        results = ResultsFolder(Path(out), run_id="0" * 12)
        results.prepare()
        with discover(request.paths, settings=request.settings.reading) as found:
            analyse_study(found.studies[0], request, results, lambda _: None)
    gc.freeze()
    sys.argv = [str(Path(calcreport.__file__).with_name("__main__.py")), *_serve()]
    sys.exit(main())
