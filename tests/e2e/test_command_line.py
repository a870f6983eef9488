import json
import resource
import subprocess
import sys

import pytest

from calcreport.version import software_version

COMMANDS = ("analyze", "render", "decide", "rules", "phantom", "schema")


def _processor_seconds(words: list[str]) -> float:
    """Processor time of a program and its workers: other tests beside it make it wait, but no busier."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_start_up_takes_no_time(command: list[str], word: str) -> None:
    assert min(_processor_seconds([*command, word]) for _ in range(5)) < 0.3


@pytest.mark.parametrize(
    "words",
    [["--help"], ["analyze", "--help"], ["decide", "--help"], ["rules", "check", "--help"], ["schema", "--help"]],
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from calcreport.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'pydantic', 'pydicom', 'scipy', 'PIL', 'jinja2', 'yaml'} & set(sys.modules)\n"
        "sys.exit(','.join(sorted(heavy)) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_plain_path_imports_no_library_it_does_not_need() -> None:
    code = (
        "import sys, calcreport.arguments, calcreport.study.analyse\n"
        "heavy = {'SimpleITK', 'skimage', 'highdicom', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "sys.exit(','.join(sorted(heavy)) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_version_is_told(run) -> None:
    assert run("--version").stdout == f"calcreport {software_version()}\n"


def test_the_commands_are_those_that_work(run) -> None:
    words = run("--help").stdout.split("commands:")[1].split()
    assert [word for word in COMMANDS if word in words] == list(COMMANDS)
    assert run("guess").returncode == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run, name: str) -> None:
    result = run(name, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: calcreport {name}")


@pytest.mark.parametrize("name", ["report", "findings", "clinical", "settings"])
def test_a_schema_is_json_that_names_every_field(run, name: str) -> None:
    schema = json.loads(run("schema", name).stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    expected = {
        "report": {"schema_version", "lesions", "excluded", "impression"},
        "findings": {"modality", "lesions"},
        "clinical": {"patient", "symptoms", "labs"},
        "settings": {"detection", "policy", "reading"},
    }[name]
    assert expected <= schema["properties"].keys()


def test_a_schema_may_be_cut_short_by_its_reader(command: list[str]) -> None:
    process = subprocess.Popen([*command, "schema", "report"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


def test_one_small_study_takes_little_time(command: list[str], limb, tmp_path) -> None:
    words = [*command, "analyze", str(limb), "--out"]
    seconds = min(_processor_seconds([*words, str(tmp_path / str(number))]) for number in range(3))
    assert seconds < 2.0, "one second on a machine that has nothing else to do"


def test_a_bug_is_told_without_a_traceback(limb, tmp_path) -> None:
    """Break the analysis from outside and see what the user sees."""
    code = (
        "import sys, calcreport.calcification.analysis as s\n"
        "def broken(*_a, **_k): raise LookupError('SECRET')\n"
        "s.analyse_ct = broken\n"
        "from calcreport.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "analyze", str(limb), "--out", str(tmp_path / "out")]
    plain = subprocess.run(words, capture_output=True, text=True, check=False)
    assert plain.returncode == 1
    assert "[internal.error]" in plain.stderr
    assert "LookupError" in plain.stderr
    assert "SECRET" not in plain.stderr
    assert "Traceback" not in plain.stderr
    debug = subprocess.run([*words, "--debug"], capture_output=True, text=True, check=False)
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr
