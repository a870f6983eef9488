"""Write the documentation that is made from the code: error codes, Python interface, drawing of the layers, rules.

usage: generate.py [--check]     (--check writes nothing and fails when a file is not current)
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import core_sentences
import from_docstrings
import rule_sources
import table_columns

from calcreport.dicom import CODES
from calcreport.exit_codes import EXIT_CODES

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = ("src/calcreport", "phantom/src/calcphantom")
AREAS: Final = (
    "usage", "settings", "clinical", "findings", "review", "report", "render", "rules", "template", "path", "file",
    "zip", "study", "series", "geometry", "pixel", "hu", "mask", "anatomy", "check", "output", "phantom", "run",
    "cohort", "store", "association", "message", "analysis", "source", "delivery", "web", "dimse", "mllp", "commitment",
    "audit", "service", "queue", "worker", "internal",
)  # fmt: skip
CODE: Final = re.compile(rf"({'|'.join(AREAS)})\.(?!(?:json|txt|html|css|pdf|ya?ml|concern|status)$)[a-z][a-z0-9_]*")
"""A code; ``report.json`` is a file, ``report.concern`` and ``review.status`` are names of items told to the RIS."""

HEAD: Final = """# Error codes

Made from the code by `make docs`; do not edit. A code is stable and never reused with another meaning. It stands in
square brackets on standard error, in `summary.json`, and in `report.json` with the series it is about.

| exit code | meaning |
|---|---|
{codes}

`…` stands for what was seen. The module, under `src/calcreport`, holds the text or raises the error.
"""

OTHERS: Final = {
    "clinical.value": "A value in the clinical file is not one of those allowed; the message names the field.",
    "clinical.unknown_key": "A key in the clinical file is not known; the message names near matches.",
    "clinical.lab_unit": "A laboratory value has no unit, or one that is not known for this test.",
    "clinical.lab_impossible": "A laboratory value is outside the physiologically possible range after conversion.",
    "findings.value": "A value in the findings file is not one of those allowed, or contradicts another one.",
    "findings.unknown_key": "A key in the findings file is not known; the message names near matches.",
    "findings.invalid": "The findings file holds mistakes of several kinds; the message lists all of them.",
    "findings.not_yaml": "The findings file is neither YAML nor JSON, too long, repeats a key or uses references.",
    "clinical.not_yaml": "The clinical file is neither YAML nor JSON, too long, repeats a key or uses references.",
    "clinical.which_study": "Data of one patient were given where there are several studies, or it is unclear which "
    "row of a table is about a study. Give a table keyed by `patient_id`, `accession_number` or `study_instance_uid`.",
    "clinical.other_patient": "Id, age or sex in the clinical data contradict the image header. Give the data of this "
    "patient, correct the field, or leave it out.",
    "clinical.repeated_key": "Two rows of a clinical table have the same key; leave one.",
    "clinical.no_key": "A clinical table has no key column, or a row of it no key.",
    "clinical.not_csv": "A clinical table is no CSV, or has a column without a name or a row of another length.",
    "clinical.invalid": "The clinical file holds mistakes of several kinds; the message lists all of them.",
    "review.value": "A value in the review file is not one of those allowed, or contradicts another one.",
    "review.unknown_key": "A key in the review file is not known; the message names near matches.",
    "review.invalid": "The review file holds mistakes of several kinds; the message lists all of them.",
    "review.not_yaml": "The review file is neither YAML nor JSON, too long, repeats a key or uses references.",
    "review.foreign": "A request to the page of `calcreport review` with another name in Host or Origin.",
    "review.no_token": "A request to the page of `calcreport review` without its token; open the printed address.",
    "review.not_here": "There is nothing under this address of `calcreport review`.",
    "review.too_large": "A request to `calcreport review` is larger than any review.",
    "run.interrupted": "Stopped by Ctrl-C or SIGTERM. What was finished is in place, nothing is half-written.",
    "output.stdout": "Standard output cannot be written; the files are in place.",
    "study.none_found": "No study lies under the paths; the message says why most files were set aside; do as it says.",
    "settings.unknown_key": "A key in the settings file is not known; the message names near matches.",
    "settings.invalid_value": "A setting is out of range, of the wrong type, or contradicts another one.",
    "settings.address": "The address of the service, or of its metrics, cannot be listened on. Is the port in use?",
    "study.changed": "Files of a study changed between the search and the analysis of a cohort. Run again.",
    "study.worker_lost": "Worker after worker was lost over a study; the log of the scheduler says why. Then --retry.",
    "study.images_removed": "Retention removed images of this study, and a late one came. Send the whole study.",
    "association.address_not_welcome": "A connection from an address that `service.peers.addresses` does not name.",
    "association.no_handshake": "A connection ended before it was one: no TLS handshake, or the peer left.",
    "association.not_welcome": "An association was rejected: wrong AE title called, or the calling one is not named.",
    "association.too_many": "An association was rejected: `service.limits` allows no more. The sender may try again.",
    "association.too_many_connections": "A connection was closed: as many as allowed are there, all of them busy.",
    "message.association_too_long": "An association was ended after `association_seconds`.",
    "message.command_too_large": "A connection was ended: a command without an end, or many requests at once.",
    "message.empty_fragment": "A connection was ended: a fragment without a header.",
    "message.no_data": "A C-STORE without an image was refused.",
    "message.pdu_too_large": "A connection was ended: a protocol data unit larger than `max_pdu_bytes` was announced.",
    "message.too_large": "An image is larger than `max_message_bytes`. The connection was ended, the file left out.",
    "message.too_slow": "A message or file took longer than `message_seconds`, or came more slowly than "
    "`min_bytes_per_second`. The connection was ended; a file that is fetched is tried again.",
    "commitment.not_told": "A sender asked whether its images are kept and could not be told; name it under "
    "`service.commitment.callers`. It will ask again.",
    "commitment.not_kept": "The archive does not confirm that it has a study's images; they stay. It is asked again.",
    "audit.unreachable": "The audit repository cannot be reached. Messages wait; they are sent when it is back.",
    "message.unexpected_data": "A connection was ended: data that belong to no image.",
    "analysis.wall_limit": "An analysis took longer than `wall_seconds` and was ended. It is tried again.",
    "analysis.cpu_limit": "An analysis used more than `cpu_seconds` and was ended. It is tried again.",
    "worker.lost": "The worker of a study gave no sign of life for `service.workers.lease_seconds`; its study goes to "
    "another one.",
    "worker.none": "No worker of `service.workers` lives: start one, and see what its standard error says.",
    "analysis.killed": "An analysis was killed, most likely for want of memory. It is tried again.",
    "analysis.crashed": "An analysis crashed in native code. It is tried again.",
    "analysis.failed": "An analysis ended without saying why. It is tried again.",
    "analysis.interrupted": "The service died twenty times over this study; `calcreport retry` brings it back.",
    "delivery.no_folder": "The folder of a folder sink is not there, or its share is not mounted. It is tried again.",
    "delivery.no_group": "The group of a folder sink does not exist on this machine. Mend `group`; it is tried again.",
    "delivery.failed": "A sink could not be reached or written to. It is tried again.",
    "source.failed": "A source could not read or write a file. It is run again after a while.",
    "web.unreadable": "The server's answer is not what its protocol prescribes. Check the address of the adapter.",
    "web.not_stored": "Orthanc or the archive did not store an object; its log says why.",
    "store.full": "The disk of the store is full, or its reserve is reached: images are refused (A700). Free space.",
    "clock.wrong": "The clock was set by more than an hour under the running service, or stands before a time it has "
    "shown: retention waits. Mend the clock, restart the service.",
    "study.unreadable": "The folder of a study in the store cannot be read (rights, a file in its place). Mend it and "
    "run `calcreport retry`.",
    "store.failed": "The store cannot be written to. Check the folder and its disk.",
    "check.skeleton_implausible": "Reason under `searched`: the skeleton that was recognised is implausible.",
    "check.lumen_unmeasured": "Reason under `searched`: in a recorded arterial phase no enhanced vessel was measured.",
    "check.lumen_implausible": "Reason under `searched`: the enhanced vessels that were recognised are implausible.",
    "check.many_in_cavity": "Reason under `searched`: many deposits lie in one body cavity.",
    "check.sharp_kernel": "Reason under `searched`: a sharp kernel exaggerates density. Send a soft-tissue kernel.",
    "internal.error": "A bug. Please report it; `--debug` shows where, and may show patient data.",
    "series.analysed": "The series was measured.",
    "series.not_best": "Another series of the study is better for measuring.",
}
"""Codes whose message is not written beside them in the code."""


@cache
def _sources() -> list[tuple[str, list[ast.AST]]]:
    """Path of every module below the top, and the nodes of its syntax tree."""
    files = sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    return [
        (path.relative_to(ROOT).as_posix(), list(ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
        for path in files
    ]


@cache
def written() -> dict[str, str]:
    """Meaning and remedy by code, from the code tables and from every place that raises an error."""
    texts = {code: f"{entry.meaning}. {entry.remedy}" for code, entry in CODES.items()}
    for _, nodes in _sources():
        for code, text in _raised(nodes):
            if code not in CODES:
                texts.setdefault(code, text)
    return {code: text for code, text in {**texts, **OTHERS}.items() if not _is_wording(code)}


def mentioned() -> set[str]:
    """Every code that stands anywhere in the source as a whole string; ids of the report's wording look the same."""
    return {code for code in _places() if CODE.fullmatch(code) and not _is_wording(code)}


@cache
def _places() -> dict[str, list[str]]:
    """Modules that name each code, or its ``.reason`` behind a variable area; first those that hold its text."""
    named: dict[str, list[str]] = {}
    stated: dict[str, list[str]] = {}
    for path, nodes in _sources():
        place = path.removeprefix("src/calcreport/")
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                named.setdefault(node.value, []).append(place)
            elif isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.JoinedStr):
                named.setdefault(_spoken(node.value).removeprefix("…"), []).append(place)
        for code, _ in _raised(nodes):
            stated.setdefault(code, []).append(place)
    return {code: list(dict.fromkeys([*stated.get(code, []), *places])) for code, places in named.items()}


def _is_wording(code: str) -> bool:
    """Whether this is an id of the report's wording, or the beginning of one."""
    return code not in OTHERS and any(known.startswith(code) for known in _wording())


@cache
def _wording() -> frozenset[str]:
    return frozenset(_ids(tomllib.loads((ROOT / "templates/statements.toml").read_text(encoding="utf-8"))))


def page() -> str:
    """Text of ``docs/error-codes.md``."""
    texts = written()
    parts = [HEAD.format(codes="\n".join(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()))]
    for area in (*AREAS, *sorted({code.split(".")[0] for code in texts} - set(AREAS))):
        rows = [
            f"| `{code}` | {_cell(text)} | {_module(code)} |"
            for code, text in sorted(texts.items())
            if code.split(".")[0] == area
        ]
        if rows:
            head = ["| code | meaning and remedy | module |", "|---|---|---|"]
            parts.append("\n".join([f"## {area}", "", *head, *rows, ""]))
    return "\n".join(parts)


def _module(code: str) -> str:
    if code in CODES:
        return "`dicom/codes.toml`"
    area, reason = code.split(".", 1)
    found = next((_places()[name] for name in (code, f".{reason}", f"{area}.…", ".…") if name in _places()), [])
    return f"`{found[0]}`" if found else "–"


def _raised(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """Code and message of every call such as ``InputError(msg, code="…")``."""
    assigned = [
        (node.lineno, node.targets[0].id, node.value)
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        if len(node.args) == 2 and isinstance(node.args[0], ast.Constant) and CODE.fullmatch(str(node.args[0].value)):
            yield str(node.args[0].value), _spoken(_value_of(node.args[1], node.lineno, assigned))
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        code = given.get("code")
        message = node.args[0] if node.args else given.get("message")
        if not (
            isinstance(code, ast.Constant) and isinstance(code.value, str) and CODE.fullmatch(code.value) and message
        ):
            continue
        yield code.value, _spoken(_value_of(message, node.lineno, assigned))


def _value_of(node: ast.expr, line: int, assigned: list[tuple[int, str, ast.expr]]) -> ast.expr:
    """What was last assigned to a name before a line; any other expression as it is."""
    earlier = [entry for entry in assigned if isinstance(node, ast.Name) and entry[1] == node.id and entry[0] <= line]
    return max(earlier, key=lambda entry: entry[0])[2] if earlier else node


def _ids(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _ids(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _spoken(node: ast.expr) -> str:
    """Text of a string expression, ``…`` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_spoken(value) for value in values)
        case ast.BinOp(left=left, right=right):
            return _spoken(left) + _spoken(right)
        case _:
            return "…"


def _cell(text: str) -> str:
    text = " ".join(text.replace("|", "\\|").split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def main() -> int:
    """Write the pages, or check that they are current."""
    drawn = ROOT / "docs/architecture.md"
    pages = {
        ROOT / "docs/error-codes.md": page(),
        ROOT / "docs/api.md": from_docstrings.interface(),
        ROOT / "docs/rule-sources.md": rule_sources.page(),
        ROOT / "templates/core.toml": core_sentences.page(),
        ROOT / "docs/cohort-columns.md": table_columns.page(),
        drawn: from_docstrings.with_drawing(drawn.read_text(encoding="utf-8")),
    }
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        names = ", ".join(path.relative_to(ROOT).as_posix() for path in stale)
        unexplained = ", ".join(sorted(mentioned() - set(written())))
        sys.stderr.write(f"not current: {names}; run: make docs\n" if stale else "")
        sys.stderr.write(f"codes that no text explains: {unexplained}\n" if unexplained else "")
        return 1 if stale or unexplained else 0
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
