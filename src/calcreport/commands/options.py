"""What may be typed after ``decide`` and ``rules``; nothing heavy is imported, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from importlib.util import find_spec
from typing import Final

DECIDE_FORMATS: Final = ("text", "text-full", "json", "html")
"""Formats that need no pictures."""

TABLES: Final = ("feature", "pattern", "gate", "flag", "explanation", "class", "concern", "recommendation", "note")
"""Kinds of rule, in the order they are applied."""

RULES_HELP: Final = "a site's own rules, a TOML file or a folder of them, laid over the built-in ones"
PHANTOMS: Final = "calcphantom"
"""Import name of the distribution that makes synthetic studies; a folder of the source repository holds it."""

_MOST_JOBS: Final = 256
"""More is a mistyped number."""

PRIOR_HELP: Final = "report.json of an earlier study of the patient: growth, or 'stable since'"
_STUDY_PRIOR_HELP: Final = "an earlier study of the patient: report.json, its results folder, or its images"


FORMAT_HELP: Final = (
    "comma list of text,json,html,png,sr,seg,sc and, on demand, text-full,pdf,hl7,fhir,sr-volumetric, "
    "csv (tables), nifti and coco (masks); default: the first seven"
)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that analyses images."""
    add = parser.add_argument
    add("--config", metavar="FILE", help="settings, TOML (calcreport schema settings)")
    add("--format", metavar="LIST", help=FORMAT_HELP)
    add("--templates", metavar="DIR", help="a site's own templates; a file there replaces the built-in one of its name")
    add("--rules", metavar="PATH", help=RULES_HELP)
    add("--quiet", action="store_true", help="no progress, only errors")


def add_analyze(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``analyze``."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="folder, file, zip archive or DICOMDIR")
    add(
        "--out",
        required=True,
        metavar="DIR",
        help="results go to DIR/<StudyInstanceUID>/, an overview to DIR/summary.json",
    )
    add("--clinical", metavar="FILE", help="clinical data, YAML or JSON (calcreport schema clinical)")
    add("--lesion-mask", metavar="FILE", help="contour of the whole lesion: RTSTRUCT, SEG, NIfTI, NRRD, MetaImage")
    add("--lesion-roi", metavar="NAME", help="which structure of the lesion mask is the lesion, by name or number")
    add(
        "--anatomy",
        metavar="PATH",
        help="masks of bones and organs as hints: TotalSegmentator label map (NIfTI), folder of NIfTI, DICOM SEG; "
        "'run' lets an installed TotalSegmentator make them",
    )
    add("--threshold-hu", metavar="GROW[,SEED]", help="thresholds in HU; override header, clinical data and settings")
    add("--prior", metavar="PATH", help=_STUDY_PRIOR_HELP)
    add("--jobs", type=_job_count, default=1, metavar="N", help="studies analysed side by side (default 1)")
    add_common(parser)


def add_cohort(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cohort``."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="folder, file, zip archive or DICOMDIR")
    add(
        "--out", required=True, metavar="DIR", help="tables, qc.html and a folder a study; named again, the run goes on"
    )
    add("--clinical", metavar="TABLE", help="clinical data, CSV or a YAML list with a key column (docs/cohort.md)")
    add(
        "--anatomy", metavar="DIR", help="folder with masks of bones and organs, a file or folder a study UID; or 'run'"
    )
    add("--lesion-mask", metavar="DIR", help="folder with contours of whole lesions, a file a study UID")
    add("--threshold-hu", metavar="GROW[,SEED]", help="thresholds in HU; override header, clinical data and settings")
    add("--jobs", type=_job_count, metavar="N", help="studies analysed side by side (default: one a core)")
    add(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler's address or file: its workers analyse (extra: cohort)"
    )
    add(
        "--shard", type=_shard, default=(1, 1), metavar="I/N", help="this part of so many, such as 3/20, of a job array"
    )
    add("--max-study-gb", type=float, default=0.0, metavar="GB", help="memory a study may take (default: a fair share)")
    add("--identify", action="store_true", help="names, ids and dates in the tables, not only salted hashes")
    add(
        "--salt",
        metavar="FILE",
        help="secret behind the hashes of patient ids (default: DIR/salt.txt, made when missing)",
    )
    add("--retry", action="store_true", help="also studies again that crashed or took too much time or memory")
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--index-only", action="store_const", const="index", dest="only", help="find the studies, and end"
    )
    only.add_argument(
        "--tables-only", action="store_const", const="tables", dest="only", help="analyse nothing: tables"
    )
    add_common(parser)


def add_render(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``render``."""
    add = parser.add_argument
    add("report", metavar="REPORT.json", help="report.json of analyze, as written or edited")
    add("--review", metavar="FILE", help="a reader's decisions (calcreport schema review); default: review.yaml beside")
    add(
        "--study",
        action="append",
        metavar="PATH",
        help="folder, file, zip archive or DICOMDIR with the images; default: where analyze found them",
    )
    add("--out", metavar="DIR", help="results go to DIR/<StudyInstanceUID>/; default: where the report lies")
    add("--format", metavar="LIST", help=FORMAT_HELP)
    add("--rules", metavar="PATH", help=RULES_HELP)
    add("--templates", metavar="DIR", help="a site's own templates; a file there replaces the built-in one of its name")
    add("--quiet", action="store_true", help="no progress, only errors")


def _job_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_JOBS:
        msg = f"a whole number from 1 to {_MOST_JOBS}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text, re.ASCII)
    if numbers is None or not 1 <= int(numbers[1]) <= int(numbers[2]):
        msg = "a part of so many, such as 3/20"
        raise argparse.ArgumentTypeError(msg)
    return int(numbers[1]), int(numbers[2])


def add_review(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``review``."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="results folder of analyze, or the folder of one study in it")
    add("--port", type=int, default=0, metavar="N", help="port on this machine (default: any that is free)")
    add("--no-browser", action="store_true", help="print the address, and open no browser")
    add("--reader", metavar="NAME", help="who decides, as it should stand in the audit")
    add("--rules", metavar="PATH", help=RULES_HELP)
    add("--templates", metavar="DIR", help="a site's own templates; a file there replaces the built-in one of its name")
    add("--quiet", action="store_true", help="print the address, and nothing else but errors")


def add_hook(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``hook``."""
    add = parser.add_argument
    add("source", nargs="?", metavar="IN", help="folder with the study; default: from the dispatcher's variables")
    add("target", nargs="?", metavar="OUT", help="folder for the results")
    add("--clinical", metavar="FILE", help="clinical data, YAML or JSON (calcreport schema clinical)")
    add_common(parser)
    parser.set_defaults(jobs=1)


def add_decide(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``decide``."""
    add = parser.add_argument
    add(
        "findings", metavar="FINDINGS", help="findings, YAML or JSON (calcreport schema findings); - for standard input"
    )
    add("--clinical", metavar="FILE", help="clinical data, YAML or JSON (calcreport schema clinical)")
    add("--config", metavar="FILE", help="settings, TOML (calcreport schema settings)")
    add("--format", choices=DECIDE_FORMATS, default="text", help="what to print (default text)")
    add("--prior", metavar="FILE", help=PRIOR_HELP)
    add("--rules", metavar="PATH", help=RULES_HELP)
    add("--templates", metavar="DIR", help="a site's own templates; a file there replaces the built-in one of its name")


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Add the actions of ``rules`` and their arguments."""
    parser.set_defaults(action="list", rules=None, config=None, format="text", table=None, rule=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action")
    listing = _action(actions, "list", "print the rule table with its sources (the default)")
    explaining = _action(actions, "explain", "say of every rule why it did or did not fire in a report")
    explaining.add_argument("report", metavar="REPORT.json", help="a report.json of analyze or decide")
    explaining.add_argument("--lesion", metavar="L1", help="only this lesion")
    explaining.add_argument("--all", action="store_true", help="every rule with its evidence, not one screen")
    facts = _action(
        actions, "facts", "list what a rule may ask: facts, columns of a row, the words and units they take"
    )
    facts.set_defaults(action="facts")
    for action in (listing, explaining):
        action.add_argument("--rule", action="append", metavar="ID", help="only this row, or rows that conclude this")
        action.add_argument("--table", choices=TABLES, help="only this table")
        action.add_argument("--format", choices=("text", "json"), default="text", help="what to print (default text)")
        action.add_argument("--rules", metavar="PATH", help=RULES_HELP)
        action.add_argument("--config", metavar="FILE", help="settings, TOML; may name a site's own rules")
    checking = _action(actions, "check", "check a site's own rules and name every mistake")
    checking.add_argument("file", metavar="PATH", help="a TOML file or a folder of them")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    # A default set here would win over what was typed before the action; --debug is typed behind it or before.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show events and tracebacks")
    return actions.add_parser(name, help=summary, description=summary, parents=[common], allow_abbrev=False)


_STORE: Final = "folder everything is kept in; overrides service.store of the settings file"
_CONFIG: Final = "settings, TOML; its tables [service] are about the receiving service"


def add_listen(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``listen``."""
    add = parser.add_argument
    add("--config", metavar="FILE", help=_CONFIG)
    add("--store", metavar="DIR", help=_STORE)
    add("--aet", metavar="TITLE", help="AE title senders have to call (default CALCREPORT)")
    add("--host", metavar="ADDRESS", help="address to listen on (default 127.0.0.1: this machine only)")
    add("--port", type=int, metavar="N", help="port to listen on (default 11112)")
    add("--quiet-seconds", type=float, metavar="S", help="a study is complete when no image came for so long")
    add("--check", action="store_true", help="check settings, files, store and port, say what was found, and end")


def add_status(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``status``."""
    add = parser.add_argument
    add("--config", metavar="FILE", help=_CONFIG)
    add("--store", metavar="DIR", help=_STORE)
    add("--format", choices=("text", "json"), default="text", help="what to print (default text)")
    add("--last", type=int, default=20, metavar="N", help="studies shown in text (default 20); dead letters always are")
    add("--health", action="store_true", help="print nothing; exit code 0 when the service runs and is well, else 5")


def add_retry(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``retry``."""
    add = parser.add_argument
    add("references", nargs="*", metavar="REFERENCE", help="studies, as status lists them")
    add("--all", action="store_true", help="every dead letter")
    add("--config", metavar="FILE", help=_CONFIG)
    add("--store", metavar="DIR", help=_STORE)


def add_phantom(parser: argparse.ArgumentParser) -> None:
    """Add what may be typed after ``phantom``; where the distribution is missing, anything may."""
    if find_spec(PHANTOMS) is None:
        parser.add_argument("words", nargs=argparse.REMAINDER, metavar="KIND", help="needs: pip install ./phantom")
    else:
        import_module(PHANTOMS).add_arguments(parser)


def add_schema(parser: argparse.ArgumentParser) -> None:
    """Add the argument of ``schema``."""
    parser.add_argument("name", choices=("report", "findings", "clinical", "review", "settings"))
