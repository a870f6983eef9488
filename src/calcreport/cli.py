"""The command line: arguments in, exit code out.

Nothing heavy is imported here; each command fetches what it needs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import _thread
import argparse
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from calcreport import exit_codes
from calcreport.commands.options import PHANTOMS, add_arguments
from calcreport.errors import CalcReportError, UsageError
from calcreport.progress import Progress
from calcreport.version import software_version

if TYPE_CHECKING:
    from types import FrameType

Command = Callable[[argparse.Namespace, Progress], int]  # Runs a command and gives its exit code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, of what follows the program's name (``None``: this process's own); give its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal may know only ASCII
    options = _parser(words).parse_args(words)
    progress = Progress(sys.stderr, is_quiet=getattr(options, "quiet", False))
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        sys.unraisablehook = _pass_on if not options.debug else sys.__unraisablehook__
        _prepare(options.command, is_debug=options.debug)
        code: int = options.command(options, progress)
    except CalcReportError as error:
        progress.error(f"error [{error.code}]: {error.message}")
        code = exit_codes.exit_code_of(error)
    except KeyboardInterrupt:
        progress.error("interrupted [run.interrupted]: what was finished is in place, nothing is half-written")
        code = exit_codes.EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read standard output has seen enough
        _give_up_stdout()
        code = exit_codes.EXIT_DONE
    except Exception as error:  # noqa: BLE001  # last resort: a traceback never reaches the user unasked
        progress.error(f"error [internal.error]: {type(error).__name__}; please report it (--debug shows where)")
        code = exit_codes.EXIT_INTERNAL
        if options.debug:
            traceback.print_exc()
    finally:
        progress.close()
    if arguments is None:
        _end(code)
    return code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="calcreport",
        description="Finds soft-tissue calcification on CT, measures it, and drafts the report section.",
        epilog="A draft for a radiologist to check; not a medical device.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"calcreport {software_version()}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show events and tracebacks (may show patient data)")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (run, summary) in {
        "analyze": (_analyze, "find, measure and report calcification on the CT studies under the paths"),
        "cohort": (_cohort, "thousands of studies: resumable, with tables and a quality page"),
        "render": (_render, "every output again from an edited or reviewed report, without a new analysis"),
        "review": (_review, "read, accept, reject and correct results on a page on this machine"),
        "decide": (_decide, "the same report from findings typed by a reader, without images"),
        "rules": (
            partial(_printing, "rules", "run"),
            "show the rules with their sources, explain a report, check a site's own rules",
        ),
        "listen": (_listen, "receive studies over the network, analyse each when complete, hand the results on"),
        "worker": (partial(_printing, "status", "work"), "analyse studies of the receiving service on this machine"),
        "hook": (_hook, "one folder in, results out: for dispatchers and export rules of a PACS"),
        "status": (partial(_printing, "status", "run"), "show the receiving service, its queue and its studies"),
        "retry": (partial(_printing, "status", "retry"), "try studies again that the receiving service has given up"),
        "phantom": (_phantom, "write a synthetic study with known truth"),
        "schema": (_schema, "print a JSON Schema"),
    }.items():
        command = commands.add_parser(name, help=summary, description=summary, parents=[common], allow_abbrev=False)
        if name in words:
            add_arguments(command, name)
            command.set_defaults(command=run)
    return parser


def prepare_process() -> None:
    """Set what must stand before the libraries of an analysis are loaded."""
    gc.disable()  # loading makes many objects and no garbage; workers see to theirs
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # small matrices only; studies run side by side, and workers are forked
    # Huge pages have to be found and cleared, and on a virtual machine often fetched first: 0.1 s gained, 0.5 s lost.
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    if sys.platform == "linux" and hasattr(glibc := import_module("ctypes").CDLL(None), "mallopt"):
        # Slices need the same memory again and again; given back and fetched, it costs up to 2 ms a padded slice.
        glibc.mallopt(-3, 8 << 20)  # M_MMAP_THRESHOLD: smaller blocks stay in the heap
        glibc.mallopt(-1, 32 << 20)  # M_TRIM_THRESHOLD: free memory kept at its end


def _given(kind: Any, options: argparse.Namespace) -> Any:  # noqa: ANN401 - a dataclass, and one of it
    """Take over what was typed, under the names that the Python interface has too."""
    return kind(**{name: getattr(options, name) for name in kind.__dataclass_fields__.keys() & vars(options)})


def _analyze(options: argparse.Namespace, progress: Progress) -> int:
    from calcreport.arguments import AnalyzeOptions, request_from
    from calcreport.pipeline import analyse

    outcome = analyse(request_from(_given(AnalyzeOptions, options)), progress=progress)
    if options.debug:
        sys.stderr.write(outcome.detail)
    code = exit_codes.exit_code_of_studies(outcome.studies, is_written=outcome.is_summary_written)
    return code if code in {exit_codes.EXIT_USAGE, exit_codes.EXIT_UNDELIVERED} else _print(outcome.text, code)


def _cohort(options: argparse.Namespace, progress: Progress) -> int:
    from calcreport.cohort.run import CohortOptions, run_cohort

    outcome = run_cohort(_given(CohortOptions, options), progress)
    if options.debug:
        sys.stderr.write(outcome.detail)
    is_any = bool(outcome.studies)
    code = exit_codes.exit_code_of_studies(outcome.studies, is_written=True) if is_any else exit_codes.EXIT_DONE
    return _print(outcome.text, code)


def _printing(module: str, function: str, options: argparse.Namespace, _progress: Progress) -> int:
    """Command of `calcreport.commands` whose whole result is what it prints; imported when it is run."""
    return _print(getattr(import_module(f"calcreport.commands.{module}"), function)(options))


def _listen(options: argparse.Namespace, progress: Progress) -> int:
    from calcreport.service.private_names import require_private_names

    require_private_names()  # first: the service's modules import some of them
    return _printing("listen", "run", options, progress)


def _decide(options: argparse.Namespace, progress: Progress) -> int:
    from calcreport.api import report_on_findings
    from calcreport.formats import RENDERERS

    given = {name: getattr(options, name) for name in ("clinical", "config", "rules", "templates", "prior")}
    report, templates = report_on_findings(options.findings, is_typed=True, **given)
    progress.warn_of_rules(report.rules.warnings if report.rules else ())
    return _print(RENDERERS[options.format](report, templates, {}).decode("utf-8"))


def _render(options: argparse.Namespace, progress: Progress) -> int:
    from calcreport.api import render_job
    from calcreport.study.render import render_files

    names = ("review", "out", "format", "templates", "rules")
    job = render_job(Path(options.report), places=options.study, **{name: getattr(options, name) for name in names})
    progress.warn_of_rules(job.ruleset.warnings)
    return _print(render_files(job, progress)[1])


def _review(options: argparse.Namespace, progress: Progress) -> int:
    import secrets
    import webbrowser

    try:
        from calcreport.review.server import listen, serve
    except ModuleNotFoundError as error:
        msg = "the page needs Starlette and uvicorn; install calcreport[review]"
        raise UsageError(msg, code="output.no_review") from error
    from calcreport.review.desk import Desk
    from calcreport.review.drafts import Site

    desk = Desk(Path(options.folder), Site(templates=options.templates, rules=options.rules), options.reader)
    token = secrets.token_urlsafe(24)
    with listen(options.port) as port_socket:
        address = f"http://127.0.0.1:{port_socket.getsockname()[1]}/?token={token}"
        if _print(f"{address}\n"):
            return exit_codes.EXIT_DONE
        progress.line("open this address in a browser on this machine; Ctrl-C stops")
        if not options.no_browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            serve(desk, port_socket, token)
    if desk.unfinished:
        progress.line(f"decisions about {desk.unfinished} studies were not finished, and are not written")
    return exit_codes.EXIT_DONE


def _hook(options: argparse.Namespace, progress: Progress) -> int:
    from calcreport.commands.hook import run

    # The mask of the process is kept: a dispatcher's next step often runs as another user, and reads the results.
    return _print(*run(options, progress))


def _phantom(options: argparse.Namespace, _progress: Progress) -> int:
    if find_spec(PHANTOMS) is None:
        raise UsageError(
            "phantoms are a distribution of their own, which is not installed; "
            "in the source folder of calcreport run: pip install ./phantom",
            code="phantom.not_installed",
        )
    code: int = import_module(PHANTOMS).run(options)
    return code


def _schema(options: argparse.Namespace, _progress: Progress) -> int:
    import json

    module, name = {
        "report": ("model.report", "Report"),
        "findings": ("model.findings", "Findings"),
        "clinical": ("model.clinical", "ClinicalRow"),
        "review": ("model.typed_review", "Review"),
        "settings": ("settings", "Settings"),
    }[options.name]
    mode = "serialization" if options.name == "report" else "validation"
    schema = getattr(import_module(f"calcreport.{module}"), name).model_json_schema(mode=mode)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
    return _print(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


def _print(text: str, code: int = exit_codes.EXIT_DONE) -> int:
    """Write a result to standard output; the exit code is another one when it does not arrive."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # a reader that closes the pipe has seen enough: that is no failure
        _give_up_stdout()
    except OSError as error:
        _give_up_stdout()
        with suppress(OSError):
            sys.stderr.write(
                f"calcreport: error [output.stdout]: standard output cannot be written ({error.strerror})\n"
            )
        return exit_codes.EXIT_UNDELIVERED
    return code


def _give_up_stdout() -> None:
    """Let nothing more be written to standard output, not even what is still buffered."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare(command: Command, *, is_debug: bool) -> None:
    """Send our own events to standard error when asked; silence what libraries say, it can quote patient data."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    if is_debug:
        ours = logging.getLogger("calcreport")
        ours.setLevel(logging.DEBUG)
        ours.addHandler(logging.StreamHandler())
    if command in {_analyze, _cohort, _render, _review}:
        os.umask(os.umask(0o077) | 0o077)  # results name patients: readable by their owner only
    if command in {_analyze, _cohort, _render, _hook}:
        prepare_process()


def _end(code: int) -> None:
    """Leave a process of our own: what is asked from now on comes too late, and must not change the exit code."""
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)
    gc.freeze()  # or the interpreter would look through all that was loaded for garbage, a tenth of a second
    # After an interrupt within exec(), as in dataclasses, CPython forgets the exit code.
    if code == exit_codes.EXIT_INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _pass_on(unraisable: sys.UnraisableHookArgs) -> None:
    """Raise again an interrupt that fell where nothing can be raised; keep other such tracebacks from the user."""
    if unraisable.exc_type is KeyboardInterrupt:
        _thread.interrupt_main()


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
