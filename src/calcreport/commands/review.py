"""``calcreport review``: a page on this machine alone to read, accept, reject and correct a results folder."""

from __future__ import annotations

import argparse
import secrets
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from calcreport.errors import UsageError
from calcreport.progress import Progress
from calcreport.review.desk import Desk
from calcreport.review.drafts import Site


def run(options: argparse.Namespace, progress: Progress, say: Callable[[str], int]) -> None:
    """Serve the page until the process is asked to stop; `say` prints its address, the first line; 0 when it arrived.

    Raises `UsageError` ``usage.…``, ``review.…``; ``output.no_review`` where the extra is missing.
    """
    try:
        from calcreport.review.server import listen, serve  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        msg = "the page needs Starlette and uvicorn; install calcreport[review]"
        raise UsageError(msg, code="output.no_review") from error
    desk = Desk(Path(options.folder), Site(templates=options.templates, rules=options.rules), options.reader)
    token = secrets.token_urlsafe(24)
    with listen(options.port) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/?token={token}"
        if say(f"{address}\n"):
            return
        progress.line("open this address in a browser on this machine; Ctrl-C stops")
        if not options.no_browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            serve(desk, taken, token)
    if desk.unfinished:
        progress.line(f"decisions about {desk.unfinished} studies were not finished, and are not written")
