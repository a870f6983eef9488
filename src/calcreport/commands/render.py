"""``calcreport render``: every output again from a report that was edited or reviewed, without a new analysis."""

from __future__ import annotations

import argparse
from pathlib import Path

from calcreport.api import render_job
from calcreport.progress import Progress
from calcreport.study.render import render_files


def run(options: argparse.Namespace, progress: Progress) -> str:
    """Render a report again.

    Raises `ConfigurationError` ``usage.…``, ``report.…``, ``review.…``, ``render.…``, ``rules.…``, ``template.…``;
    `InputError` when the images cannot be read any more; `OutputError` when the results cannot be written.
    """
    job = render_job(
        Path(options.report),
        review=options.review,
        out=options.out,
        places=options.study,
        format=options.format,
        templates=options.templates,
        rules=options.rules,
    )
    return render_files(job, progress)[1]
