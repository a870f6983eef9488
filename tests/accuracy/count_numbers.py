"""Count the numbers set by hand that detection rests on: ``python tests/accuracy/count_numbers.py [FOLDER...]``.

A number counts where a constant (``Final``) of a module holds it; the fitted table does not. Decision 0030 says why.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "calcreport"


def hand_set_numbers(folder: Path) -> dict[str, int]:
    """How many numbers the constants of each module of a folder hold, without its subfolders."""
    counts = {}
    for path in sorted(folder.glob("*.py")):
        constants = [
            node.value
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.AnnAssign) and "Final" in ast.unparse(node.annotation) and node.value is not None
        ]
        leaves = [leaf for value in constants for leaf in ast.walk(value) if isinstance(leaf, ast.Constant)]
        counts[path.name] = sum(type(leaf.value) in {int, float} for leaf in leaves)
    return counts


def main() -> None:
    """Print the counts of each folder, and their sum."""
    total = 0
    for name in sys.argv[1:] or ("anatomy", "calcification"):
        counts = hand_set_numbers(SOURCE / name)
        total += sum(counts.values())
        sys.stdout.write(f"{name}: {sum(counts.values())}\n")
        sys.stdout.writelines(f"  {count:3d} {module}\n" for module, count in counts.items() if count)
    sys.stdout.write(f"total: {total}\n")


if __name__ == "__main__":
    main()
