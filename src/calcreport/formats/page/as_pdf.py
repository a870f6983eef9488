"""``report.pdf``: the page on paper, with the patient's name and the page number on every sheet."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from types import ModuleType
from typing import Final

from calcreport.errors import TemplateError, UsageError
from calcreport.formats.page import as_html
from calcreport.formats.ris.items import moment
from calcreport.formats.templates import Templates
from calcreport.model.report import Report

STYLE: Final = "report_pdf.css"  # Template with the rules for paper that a browser does not know

_EPOCH: Final = "SOURCE_DATE_EPOCH"  # variable that fontTools reads the time from
_CHATTY: Final = ("weasyprint", "weasyprint.progress", "fontTools")  # Loggers that quote what they stumble over


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:
    """Render the page as PDF, without network or disk; the same report gives the same bytes on one machine.

    Raises `UsageError` ``output.no_pdf`` when WeasyPrint or the Pango library it needs is missing, `TemplateError` when
    the page cannot be rendered or a site's templates lack `STYLE`.
    """
    weasyprint = load_weasyprint()
    page = as_html.render(report, templates, pictures).decode()
    style = templates.texts.get(STYLE)
    if style is None:
        msg = f"The template {STYLE} does not exist; restore it in the templates folder."
        raise TemplateError(msg, code="template.missing")
    with _undisturbed(report.created):
        fetcher = weasyprint.urls.URLFetcher(allowed_protocols=("data",), allow_redirects=False)
        paper = weasyprint.CSS(string=style, url_fetcher=fetcher)
        document = weasyprint.HTML(string=page, url_fetcher=fetcher).render(stylesheets=[paper])
        document.metadata.created = document.metadata.modified = report.created
        document.metadata.generator = f"{report.software.name} {report.software.version}"
        identifier = hashlib.sha256(page.encode()).digest()[:16]
        content: bytes = document.write_pdf(pdf_identifier=identifier)
    return content


def load_weasyprint() -> ModuleType:
    """Load what makes PDF, also ahead of a long analysis; raises `UsageError` ``output.no_pdf`` where it is missing."""
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # it prints advice where libraries are missing
            warnings.simplefilter("ignore")
            import weasyprint  # noqa: PLC0415 - an extra, and slow to import
            import weasyprint.urls  # noqa: PLC0415
    except (ImportError, OSError) as error:  # the second one where Pango is missing
        msg = (
            "a PDF report needs WeasyPrint and the Pango library; install calcreport[pdf] and Pango "
            "(Debian and Ubuntu: apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0), "
            "or leave pdf out of --format"
        )
        raise UsageError(msg, code="output.no_pdf") from error
    loaded: ModuleType = weasyprint
    return loaded


@contextmanager
def _undisturbed(created: str | None) -> Iterator[None]:
    """Keep the loggers quiet that would quote parts of the report, and have embedded fonts carry its time.

    fontTools, which cuts the fonts, would write the present time.
    """
    time = moment(created) or datetime(1980, 1, 1, tzinfo=UTC)
    loggers = [logging.getLogger(name) for name in _CHATTY]
    before, epoch = [logger.disabled for logger in loggers], os.environ.get(_EPOCH)
    os.environ[_EPOCH] = str(int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()))
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was
        del os.environ[_EPOCH]
        if epoch is not None:
            os.environ[_EPOCH] = epoch
