"""Change the code of a folder in small ways and see whether the tests of that folder notice.

python tests/mutation/run.py src/calcreport/rules --mutants 150 --at-least 80

Mutants are drawn by a seed, evenly over all places that can be changed. Each runs in a process of its own, where the
changed module is compiled in place of the file: no file is written. See docs/decisions/0023-mutation-testing.md.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib.machinery
import io
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coverage
import hypothesis
import numpy as np  # noqa: F401  (loaded once here, and not once for each mutant)
import pydantic  # noqa: F401
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
EXTRA_TESTS = {
    "src/calcreport/rules": ("tests/properties/test_rules.py",),
    "src/calcreport/anatomy": ("tests/unit/calcification/test_pinned_phantoms.py",),
}
"""Tests of a folder that stand elsewhere than under its own path in tests/unit."""
TIMED = "not less_than_ten_milliseconds"
"""Tests of speed fail on a busy machine without any mutant."""

SWAPPED = {
    ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"), ast.Eq: ("!=",),
    ast.NotEq: ("==",), ast.Is: ("is not",), ast.IsNot: ("is",), ast.In: ("not in",), ast.NotIn: ("in",),
    ast.And: ("or",), ast.Or: ("and",), ast.Add: ("-",), ast.Sub: ("+",), ast.Mult: ("/",), ast.Div: ("*",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the text between two offsets of a file, and what stands there instead."""

    path: Path
    line: int
    last_line: int
    start: int
    end: int
    text: str

    def source(self) -> tuple[str, str]:
        """The file before and after."""
        data = (ROOT / self.path).read_bytes()
        return data.decode(), (data[: self.start] + self.text.encode() + data[self.end :]).decode()

    def original(self) -> str:
        """The text that is changed."""
        return (ROOT / self.path).read_bytes()[self.start : self.end].decode()

    def diff(self) -> str:
        """The text as it is and as it is changed."""
        return f"{self.path}:{self.line}\n  - {self.original()}\n  + {self.text}\n"


def mutants_of(path: Path) -> list[Mutant]:
    """Every change of a file, in the order of its lines."""
    data = (ROOT / path).read_bytes()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    made = []
    for node in changeable(ast.parse(data)):
        texts, test = changes(node), getattr(node, "test", None)
        if isinstance(node, ast.If | ast.While) and isinstance(test, ast.Name | ast.Attribute | ast.Call):
            node, texts = test, [f"(not {ast.unparse(test)})"]  # noqa: PLW2901
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[node.end_lineno - 1] + node.end_col_offset
        made += [Mutant(path, node.lineno, node.end_lineno, first, last, text) for text in texts]
    return sorted(made, key=lambda mutant: (mutant.start, mutant.end, mutant.text))


def changeable(tree: ast.AST) -> Iterator[Any]:
    """Nodes that decide or compute: not types, decorators, texts, imports or what is logged."""
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom) or not isinstance(child, ast.AST):
                continue
            if isinstance(child, ast.If | ast.Call) and ast.unparse(child).startswith(("if TYPE_CHECKING", "_log.")):
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            yield from changeable(child)


def changes(node: ast.AST) -> list[str]:
    """Texts that may stand in place of a node, in brackets where its surroundings could read them otherwise."""
    match node:
        case ast.Constant(value=bool()):
            texts = [str(not node.value)]
        case ast.Constant(value=int() | float()):
            texts = [str(node.value + 1 if node.value in {0, 1} else node.value * 2)]
        case ast.IfExp():
            texts = [f"({ast.unparse(node.body)} if not ({ast.unparse(node.test)}) else {ast.unparse(node.orelse)})"]
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            texts = ["return None"]
        case ast.Raise() | ast.AugAssign() | ast.Expr(value=ast.Call()) | ast.Continue() | ast.Break():
            texts = ["pass"]
        case _:
            texts = swaps(node)
    return texts


def swaps(node: ast.AST) -> list[str]:
    """Texts with another operator."""
    match node:
        case ast.Compare(ops=[op]):
            left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
            return [f"({left} {new} {right})" for new in SWAPPED[type(op)]]
        case ast.BoolOp():
            (new,) = SWAPPED[type(node.op)]
            return ["(" + f" {new} ".join(f"({ast.unparse(value)})" for value in node.values) + ")"]
        case ast.BinOp() if type(node.op) in SWAPPED and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            (new,) = SWAPPED[type(node.op)]
            return [f"(({ast.unparse(node.left)}) {new} ({ast.unparse(node.right)}))"]
        case ast.UnaryOp(op=ast.Not()):
            return [f"({ast.unparse(node.operand)})"]
    return []


@dataclass
class Reached:
    """Which tests ran which lines of a folder, and how long each took, seen once on unchanged code."""

    by_line: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: list[Reached]) -> Reached:
        """All that was seen in several processes."""
        whole = cls()
        for part in parts:
            whole.seconds |= part.seconds
            for path, lines in part.by_line.items():
                for line, found in lines.items():
                    whole.by_line.setdefault(path, {}).setdefault(line, []).extend(found)
        return whole

    def tests_of(self, mutant: Mutant) -> tuple[list[str], bool]:
        """Tests that run the changed lines, short ones first, and whether no others need to run.

        A test that does not run a line can notice its change only through a cache or a fixture; without it the score
        is too low at most. Lines that run on import are anybody's: tests that run the module come first.
        """
        lines = self.by_line.get(str(ROOT / mutant.path), {})
        tests = {test for line in range(mutant.line, mutant.last_line + 1) for test in lines.get(line, ()) if test}
        is_complete = bool(tests)
        tests = tests or {test for found in lines.values() for test in found if test}
        own = f"/test_{mutant.path.name}::"
        return sorted(tests, key=lambda test: (own not in test, self.seconds.get(test, 0.0), test)), is_complete


class Order:
    """pytest plugin: named tests first, then the others or none; a test that takes far longer than usual is stopped."""

    def __init__(self, mutant: Mutant, reached: Reached) -> None:
        named, self.is_complete = reached.tests_of(mutant)
        self.place = {test: place for place, test in enumerate(named)}
        self.seconds = reached.seconds

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The tests that may notice the change come first."""
        items.sort(key=lambda item: self.place.get(item.nodeid, len(self.place)))
        if self.is_complete:
            del items[len(self.place) :]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """An endless loop is noticed."""
        signal.setitimer(signal.ITIMER_REAL, 10 + 10 * self.seconds.get(item.nodeid, 0.0))
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 60)


class Watch:
    """pytest plugin: notes which lines each test runs and how long it takes."""

    def __init__(self, folder: Path) -> None:
        self.coverage = coverage.Coverage(data_file=None, branch=False, config_file=False, source=[str(folder)])
        self.reached = Reached()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Lines are counted for the test that runs."""
        self.coverage.switch_context(item.nodeid)
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self.reached.seconds[item.nodeid] = time.perf_counter() - start
            self.coverage.switch_context("")


def look(tests: list[str], folder: Path) -> Reached | None:
    """Run the tests on unchanged code; None when they fail."""
    watch = Watch(folder)
    watch.coverage.start()
    code, said = run_tests(tests, watch)
    watch.coverage.stop()
    if code:
        sys.stderr.write(said[-3000:])
        return None
    data = watch.coverage.get_data()
    watch.reached.by_line = {path: data.contexts_by_lineno(path) for path in data.measured_files()}
    return watch.reached


def is_noticed(mutant: Mutant, tests: list[str], reached: Reached) -> bool:
    """Whether the tests fail with a mutant."""
    target, source = str(ROOT / mutant.path), mutant.source()[1]
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, fullname: str) -> Any:
        changed = Path(self.path).resolve() == Path(target)
        return compile(source, target, "exec", dont_inherit=True) if changed else usual(self, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        return run_tests(tests, Order(mutant, reached))[0] != 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run_tests(tests: list[str], plugin: object) -> tuple[int, str]:
    """Exit code and output of pytest, which stops at the first failure and looks for no simpler example of it."""
    hypothesis.settings.register_profile(
        "mutants", database=None, deadline=None, phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate)
    )
    hypothesis.settings.load_profile("mutants")
    options = [
        "-x",
        "-q",
        "--tb=short",
        "--assert=plain",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--hypothesis-seed=0",
        "-k",
        TIMED,
    ]
    options += ["-W", "ignore:Module already imported"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main([*options, *tests], plugins=[plugin])
    return code, said.getvalue()


def out_of_time(_signal: int, _frame: object) -> None:
    """A test that does not end fails."""
    raise TimeoutError


def sample(made: list[Mutant], number: int, seed: int) -> list[Mutant]:
    """Mutants by a digest of their own text: a change elsewhere in the source leaves the others in the sample."""
    seen: Counter[str] = Counter()
    keyed = []
    for mutant in made:
        key = f"{seed} {mutant.path} {mutant.original()} {mutant.text}"
        seen[key] += 1
        keyed.append((hashlib.sha256(f"{key} {seen[key]}".encode()).digest(), mutant))
    return [mutant for _digest, mutant in sorted(keyed, key=lambda pair: pair[0])[:number]]


def tests_of(folder: Path) -> list[str]:
    """Test files that stand for a folder or file of the source."""
    area = Path("tests/unit") / folder.relative_to("src/calcreport").with_suffix("")
    while not (ROOT / area).is_dir():
        area = area.parent
    own = sorted(path.relative_to(ROOT) for path in (ROOT / area).rglob("test_*.py"))
    return [*map(str, own), *EXTRA_TESTS.get(str(folder), ())]


def main() -> int:
    """Draw, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder or file of src/calcreport")
    parser.add_argument("--mutants", type=int, default=150, help="number drawn")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--at-least", type=float, default=0.0, help="lowest score in percent that passes")
    parser.add_argument("--tests", nargs="+", help="tests to run instead of those of the folder")
    args = parser.parse_args()
    os.chdir(ROOT)
    sys.dont_write_bytecode = True
    files = sorted(args.folder.rglob("*.py")) if args.folder.is_dir() else [args.folder]
    made = [mutant for path in files for mutant in mutants_of(path)]
    drawn = sample(made, args.mutants, args.seed)
    tests, survivors, start = args.tests or tests_of(args.folder), [], time.perf_counter()
    # A pool forks before any module of the project is imported: each process imports the changed one.
    with multiprocessing.get_context("fork").Pool(args.jobs, maxtasksperchild=1) as pool:
        parts = [tests[start :: args.jobs] for start in range(args.jobs)]
        looked = pool.starmap(look, [(part, args.folder.resolve()) for part in parts if part], chunksize=1)
        passed = [part for part in looked if part is not None]
        if len(passed) < len(looked):
            parser.exit(2, "the tests do not pass on unchanged code\n")
        reached = Reached.of(passed)
        sys.stdout.write(f"lines of {len(reached.seconds)} tests seen in {time.perf_counter() - start:.0f} s\n")
        results = [pool.apply_async(is_noticed, (mutant, tests, reached)) for mutant in drawn]
        for done, (mutant, result) in enumerate(zip(drawn, results, strict=True), 1):
            if not result.get():
                survivors.append(mutant)
                sys.stdout.write(f"[{done}/{len(drawn)}] survived: {mutant.diff()}")
            elif done % 10 == 0:
                sys.stdout.write(f"[{done}/{len(drawn)}]\n")
            sys.stdout.flush()
    noticed = len(drawn) - len(survivors)
    low, high = stats.binomtest(noticed, len(drawn)).proportion_ci(method="wilson")
    sys.stdout.write(
        f"noticed {noticed} of {len(drawn)} mutants, {100 * noticed / len(drawn):.1f} % (95 % interval {100 * low:.0f}-"
        f"{100 * high:.0f} %); {len(made)} can be made; seed {args.seed}; {time.perf_counter() - start:.0f} s\n"
    )
    return 0 if 100 * noticed >= args.at_least * len(drawn) else 1


if __name__ == "__main__":
    sys.exit(main())
