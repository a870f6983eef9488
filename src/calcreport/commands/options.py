"""What may be typed after each command; nothing heavy is imported, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

PHANTOMS: Final = "calcphantom"
"""Import name of the distribution that makes synthetic studies; a folder of the source repository holds it."""
_MOST_JOBS: Final = 256  # More is a mistyped number
_EITHER: Final = "|"  # Name of a group of options of which one may be given

Arguments = Mapping[str, Mapping[str, Any]]
"""Keywords of ``add_argument`` by the name of the argument, in the order of the help page."""


def add_arguments(parser: argparse.ArgumentParser, command: str) -> None:
    """Add the arguments of a command; ``phantom`` has its own, and where it is not installed takes any words."""
    if command == "rules":
        _add_rules(parser)
    elif command == "phantom" and find_spec(PHANTOMS) is not None:
        import_module(PHANTOMS).add_arguments(parser)
    else:
        _add(parser, _COMMANDS[command])


def _add(parser: argparse._ActionsContainer, arguments: Arguments) -> None:
    for name, keywords in arguments.items():
        if name == _EITHER:
            _add(parser.add_mutually_exclusive_group(), keywords)
        else:
            parser.add_argument(name, **keywords)


def _add_rules(parser: argparse.ArgumentParser) -> None:
    """Add the actions of ``rules`` and their arguments."""
    parser.set_defaults(action="list", rules=None, config=None, format="text", table=None, rule=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action")
    # A default set here would win over what was typed before the action; --debug is typed behind it or before.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show events and tracebacks")
    for name, (summary, arguments) in _ACTIONS_ON_RULES.items():
        _add(
            actions.add_parser(name, help=summary, description=summary, parents=[common], allow_abbrev=False), arguments
        )


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


def _takes(metavar: str, summary: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - keywords of add_argument
    return {"metavar": metavar, "help": summary, **more}


def _switch(summary: str) -> dict[str, Any]:
    return {"action": "store_true", "help": summary}


def _prints(*formats: str) -> Arguments:
    return {"--format": {"choices": formats, "default": "text", "help": "what to print (default text)"}}


_SHARED: Final[Arguments] = {
    "paths": _takes("PATH", "folder, file, zip archive or DICOMDIR", nargs="+"),
    "--clinical": _takes("FILE", "clinical data, YAML or JSON (calcreport schema clinical)"),
    "--threshold-hu": _takes("GROW[,SEED]", "thresholds in HU; override header, clinical data and settings"),
    "--config": _takes("FILE", "settings, TOML (calcreport schema settings)"),
    "--format": _takes(
        "LIST",
        "comma list of text,json,html,png,sr,seg,sc and, on demand, text-full,pdf,hl7,fhir,sr-volumetric, "
        "csv (tables), nifti and coco (masks); default: the first seven",
    ),
    "--templates": _takes("DIR", "a site's own templates; a file there replaces the built-in one of its name"),
    "--rules": _takes("PATH", "a site's own rules, a TOML file or a folder of them, laid over the built-in ones"),
    "--quiet": _switch("no progress, only errors"),
}
"""Arguments of several commands."""
_ANALYSIS: Final = ("--config", "--format", "--templates", "--rules", "--quiet")
"""Of every command that analyses images."""
_SERVICE: Final[Arguments] = {
    "--config": _takes("FILE", "settings, TOML; its tables [service] are about the receiving service"),
    "--store": _takes("DIR", "folder everything is kept in; overrides service.store of the settings file"),
}
"""Of every command about the receiving service."""


def _shared(*names: str) -> Arguments:
    return {name: _SHARED[name] for name in names}


# Arguments of each command.
_COMMANDS: Final[Mapping[str, Arguments]] = {
    "analyze": {
        **_shared("paths"),
        "--out": _takes("DIR", "results go to DIR/<StudyInstanceUID>/, an overview to DIR/summary.json", required=True),
        **_shared("--clinical"),
        "--lesion-mask": _takes("FILE", "contour of the whole lesion: RTSTRUCT, SEG, NIfTI, NRRD, MetaImage"),
        "--lesion-roi": _takes("NAME", "which structure of the lesion mask is the lesion, by name or number"),
        "--anatomy": _takes(
            "PATH",
            "masks of bones and organs as hints: TotalSegmentator label map (NIfTI), folder of NIfTI, DICOM SEG; "
            "'run' lets an installed TotalSegmentator make them",
        ),
        **_shared("--threshold-hu"),
        "--prior": _takes("PATH", "earlier study: report.json, its folder or images; again: a curve", action="append"),
        "--priors": _takes("DIR", "results of many: each study is compared with the latest earlier one of its patient"),
        "--jobs": _takes("N", "studies analysed side by side (default 1)", type=_job_count, default=1),
        **_shared(*_ANALYSIS),
    },
    "cohort": {
        **_shared("paths"),
        "--out": _takes("DIR", "tables, qc.html and a folder a study; named again, the run goes on", required=True),
        "--clinical": _takes("TABLE", "clinical data, CSV or a YAML list with a key column (docs/cohort.md)"),
        "--anatomy": _takes("DIR", "folder with masks of bones and organs, a file or folder a study UID; or 'run'"),
        "--lesion-mask": _takes("DIR", "folder with contours of whole lesions, a file a study UID"),
        **_shared("--threshold-hu"),
        "--jobs": _takes("N", "studies analysed side by side (default: one a core)", type=_job_count),
        "--scheduler": _takes("ADDRESS", "a Dask scheduler's address or file: its workers analyse (extra: cohort)"),
        "--shard": _takes("I/N", "this part of so many, such as 3/20, of a job array", type=_shard, default=(1, 1)),
        "--max-study-gb": _takes("GB", "memory a study may take (default: a fair share)", type=float, default=0.0),
        "--compare": _switch("each study with the latest earlier one of its patient among these"),
        "--identify": _switch("names, ids and dates in the tables, not only salted hashes"),
        "--salt": _takes("FILE", "secret behind the hashes of patient ids (default: DIR/salt.txt, made when missing)"),
        "--retry": _switch("also studies again that crashed or took too much time or memory"),
        _EITHER: {
            f"--{only}-only": {"action": "store_const", "const": only, "dest": "only", "help": summary}
            for only, summary in (("index", "find the studies, and end"), ("tables", "analyse nothing: tables"))
        },
        **_shared(*_ANALYSIS),
    },
    "render": {
        "report": _takes("REPORT.json", "report.json of analyze, as written or edited"),
        "--review": _takes("FILE", "a reader's decisions (calcreport schema review); default: review.yaml beside"),
        "--study": _takes(
            "PATH",
            "folder, file, zip archive or DICOMDIR with the images; default: where analyze found them",
            action="append",
        ),
        "--out": _takes("DIR", "results go to DIR/<StudyInstanceUID>/; default: where the report lies"),
        **_shared("--format", "--rules", "--templates", "--quiet"),
    },
    "review": {
        "folder": _takes("DIR", "results folder of analyze, or the folder of one study in it"),
        "--port": _takes("N", "port on this machine (default: any that is free)", type=int, default=0),
        "--no-browser": _switch("print the address, and open no browser"),
        "--reader": _takes("NAME", "who decides, as it should stand in the audit"),
        **_shared("--rules", "--templates"),
        "--quiet": _switch("print the address, and nothing else but errors"),
    },
    "decide": {
        "findings": _takes("FINDINGS", "findings, YAML or JSON (calcreport schema findings); - for standard input"),
        **_shared("--clinical", "--config"),
        **_prints("text", "text-full", "json", "html"),  # formats that need no pictures
        "--prior": _takes("FILE", "report.json of an earlier study of the patient: growth, or 'stable since'"),
        **_shared("--rules", "--templates"),
    },
    "listen": {
        **_SERVICE,
        "--aet": _takes("TITLE", "AE title senders have to call (default CALCREPORT)"),
        "--host": _takes("ADDRESS", "address to listen on (default 127.0.0.1: this machine only)"),
        "--port": _takes("N", "port to listen on (default 11112)", type=int),
        "--quiet-seconds": _takes("S", "a study is complete when no image came for so long", type=float),
        "--check": _switch("check settings, files, store and port, say what was found, and end"),
    },
    "hook": {
        "source": _takes("IN", "folder with the study; default: from the dispatcher's variables", nargs="?"),
        "target": _takes("OUT", "folder for the results", nargs="?"),
        **_shared("--clinical"),
        **_shared(*_ANALYSIS),
    },
    "worker": {**_SERVICE, "--check": _switch("check settings, store and database, say what was found, and end")},
    "status": {
        **_SERVICE,
        **_prints("text", "json"),
        "--last": _takes("N", "studies shown in text (default 20); dead letters always are", type=int, default=20),
        "--health": _switch("print nothing; exit code 0 when the service runs and is well, else 5"),
    },
    "retry": {
        "references": _takes("REFERENCE", "studies, as status lists them", nargs="*"),
        "--all": _switch("every dead letter"),
        **_SERVICE,
    },
    "phantom": {"words": _takes("KIND", "needs: pip install ./phantom", nargs=argparse.REMAINDER)},
    "schema": {"name": {"choices": ("report", "findings", "clinical", "review", "settings")}},
}
_TABLES: Final = ("feature", "pattern", "gate", "flag", "explanation", "class", "concern", "recommendation", "note")
"""Kinds of rule, in the order they are applied."""
_CHOSEN: Final[Arguments] = {
    "--rule": _takes("ID", "only this row, or rows that conclude this", action="append"),
    "--table": {"choices": _TABLES, "help": "only this table"},
    **_prints("text", "json"),
    **_shared("--rules"),
    "--config": _takes("FILE", "settings, TOML; may name a site's own rules"),
}
"""Which rules are listed or explained, and how."""
# Summary and arguments of each action.
_ACTIONS_ON_RULES: Final[Mapping[str, tuple[str, Arguments]]] = {
    "list": ("print the rule table with its sources (the default)", _CHOSEN),
    "explain": (
        "say of every rule why it did or did not fire in a report",
        {
            "report": _takes("REPORT.json", "a report.json of analyze or decide"),
            "--lesion": _takes("L1", "only this lesion"),
            "--all": _switch("every rule with its evidence, not one screen"),
            **_CHOSEN,
        },
    ),
    "facts": ("list what a rule may ask: facts, columns of a row, the words and units they take", {}),
    "check": (
        "check a site's own rules and name every mistake",
        {"file": _takes("PATH", "a TOML file or a folder of them")},
    ),
}
