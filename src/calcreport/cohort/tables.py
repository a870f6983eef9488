"""What a cohort comes to: tables, quality page and ``cohort.json``, from the records of its studies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from calcreport.cohort.index import Index
from calcreport.cohort.task import digest_request, read_record
from calcreport.formats.page.as_qc import QC_FILE, RANK, render_qc
from calcreport.formats.tables.write import table_files
from calcreport.study.folder import ResultsFolder, folder_name
from calcreport.study.kept import THUMBNAIL_FILE, StudyRecord
from calcreport.study.request import Request


def write_tables(
    index: Index, request: Request, results: ResultsFolder, out: Path, *, salt: bytes, with_identifiers: bool
) -> str:
    """Write every file that is about the cohort as a whole, and say what it holds.

    Studies come in the order of their UIDs, so that the tables do not depend on the order they were analysed in.
    """

    def records() -> Iterator[StudyRecord]:
        for study in index.studies():
            record = read_record(out, folder_name(study))
            if record is not None:
                yield record

    for name, content in table_files(records, salt=salt, with_identifiers=with_identifiers):
        results.write_file(name, content)
    software = f"{request.software.name} {request.software.version} · {request.created}"
    page = render_qc(map(_qc_row, records()), request.templates, software=software, folder=str(out))
    results.write_file(QC_FILE, page)
    status, concern, codes, lesions = Counter[str](), Counter[str](), Counter[str](), 0
    for record in records():
        status[record.status] += 1
        lesions += len(record.lesions)
        if record.code:
            codes[record.code] += 1
        else:
            concern[str(record.study["concern"])] += 1
    waiting = index.count_studies() - status.total()
    about = {
        "schema_version": "1.0",
        "software": request.software.model_dump(),
        "created": request.created,
        "settings": request.settings.model_dump(mode="json"),
        "rules_sha256": request.ruleset.sha256,
        "request_sha256": digest_request(request),
        "formats": request.formats,
        "with_identifiers": with_identifiers,
        "inputs": {
            "paths": [str(path) for path in request.paths],
            "files": index.count_files(),
            "studies": index.count_studies(),
            "set_aside": [{"code": code, "message": why, "count": n} for code, why, n in index.set_aside()],
        },
        "counts": {
            **{name: status[name] for name in ("reported", "no_calcification", "refused")},
            "not_analysed": waiting,
            "lesions": lesions,
            "concern": dict(sorted(concern.items())),
            "refusals": dict(sorted(codes.items())),
        },
    }
    results.write_file("cohort.json", f"{json.dumps(about, indent=2, ensure_ascii=False)}\n".encode())
    refused = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    return (
        f"{status.total()} studies: {status['reported']} with {lesions} lesions, {status['no_calcification']} without "
        f"calcification where it was searched, {status['refused']} refused{f' ({refused})' if refused else ''}"
        f"{f'; {waiting} not analysed yet' if waiting else ''}.\nTables, qc.html and cohort.json are in place.\n"
    )


def _qc_row(record: StudyRecord) -> dict[str, Any]:
    """Row of the quality page; a study without a page of its own has no link, one without measurements no concern."""
    name, is_refused = folder_name(str(record.study["study_instance_uid"])), record.status == "refused"
    largest, concern = record.study["largest_max_diameter_mm"], str(record.study["concern"] or "")
    return {
        "folder": name,
        "link": "" if is_refused else f"{quote(name, safe='')}/report.html",
        "status": record.status,
        "code": record.code,
        "message": record.message,
        "concern": concern,
        "rank": -1 if is_refused else RANK[concern],
        "lesion_count": len(record.lesions),
        "largest_mm": largest if isinstance(largest, float) else None,
        "patterns": sorted({str(row["pattern_id"]) for row in record.lesions}),
        "regions": sorted({str(row["region"]) for row in record.lesions if row["region"]}),
        "thumbnail": f"{name}/{THUMBNAIL_FILE}" if record.has_thumbnail else "",
    }
