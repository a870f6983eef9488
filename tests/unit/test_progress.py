import io

import pytest

from calcreport.progress import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_lines_only() -> None:
    stream = io.StringIO()
    progress = Progress(stream, is_quiet=False)
    progress.step("measuring")
    progress.line("study 1 of 2: reported")
    progress.close()
    assert stream.getvalue() == "calcreport: study 1 of 2: reported\n"


def test_a_terminal_gets_one_line_that_updates_and_is_cleared() -> None:
    stream = _Terminal()
    progress = Progress(stream, is_quiet=False)
    progress.step("one")
    progress.step("two")
    progress.close()
    assert stream.getvalue() == "\r\x1b[Kone …\r\x1b[Ktwo …\r\x1b[K"


@pytest.mark.parametrize("stream", [io.StringIO(), _Terminal()])
def test_quiet_shows_errors_only(stream: io.StringIO) -> None:
    progress = Progress(stream, is_quiet=True)
    progress.step("one")
    progress.line("two")
    progress.error("three")
    assert stream.getvalue() == "calcreport: three\n"


class _Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_nobody_listening_costs_nothing() -> None:
    progress = Progress(_Gone(), is_quiet=False)
    progress.line("unheard")
    progress.error("unheard")
    progress.close()
