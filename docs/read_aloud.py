"""Write the texts of docs/read-aloud.md anew: what `calcreport analyze` gives today; what stands around them stays.

usage: read_aloud.py [--check] [FOLDER ...]

Bundled studies are those of sample_dicoms. Real studies, which are not bundled, are looked for by name in the folders
given; the text of one that is in none of them stays. With --check nothing is written, and an old text fails.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import calcreport

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs/read-aloud.md"
SECTION: Final = re.compile(r"(?<=^After, )\d+ words:\n\n```\n.*?(?=^```$)", re.MULTILINE | re.DOTALL)
COMMIT: Final = re.compile(r"\+g[0-9a-f]+(\.dirty)?(?= \(rules)")
"""What a version has behind it between releases, in the last line of a text."""


def main(arguments: list[str]) -> int:
    """Give the exit code."""
    folders = [ROOT / "sample_dicoms", *(Path(name) for name in arguments if not name.startswith("--"))]
    written = PAGE.read_text(encoding="utf-8")
    current = "## ".join(_renewed(part, folders) for part in written.split("## "))
    if "--check" not in arguments:
        PAGE.write_text(current, encoding="utf-8")
    elif current != written:
        sys.stderr.write("docs/read-aloud.md is not current; run docs/read_aloud.py\n")
        return 1
    return 0


def _renewed(part: str, folders: list[Path]) -> str:
    name = part.partition("\n")[0]
    study = next((folder / name for folder in folders if SECTION.search(part) and (folder / name).is_dir()), None)
    if study is None:
        return part
    clinical = study.with_name(f"{name}.clinical.yaml")
    (result,) = calcreport.analyze([study], clinical=clinical if clinical.exists() else None)
    text = COMMIT.sub("", result.text or "")
    return SECTION.sub(lambda _: f"{len(text.split())} words:\n\n```\n{text}", part)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
