"""Help, versions, exit codes, and what is imported for them."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

import nincc as package
from nincc.cli.root import COMMANDS
from tests.artefacts import small
from tests.cli.process import COMMAND, ROOT, fail, nincc, succeed

HEAVY = ("tvm", "onnx", "onnxruntime", "numpy", "rich", "PIL")


def test_help_lists_every_command():
    text = succeed("--help")
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "3 verification failed" in " ".join(text.split())


def test_help_is_quick():
    """Under 0.3 s; the best of five, as the machine may be busy."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments):
    code = (
        f"import sys; from nincc.cli.root import run; code = run({arguments!r})\n"
        f"sys.exit(code or ','.join({{name.split('.')[0] for name in sys.modules}} & set({HEAVY!r})) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


GROUPS = {"records": [("export",), ("merge",), ("prune",), ("report",)]}
LEAVES = [(name, *part) for name in COMMANDS for part in GROUPS.get(name, [()])]


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_json_and_explains_each_option(words):
    text = succeed(*words, "--help")
    assert "--json" in text
    options = text.split("Options:")[1]
    for line in options.splitlines():
        if line.startswith("  -"):
            index = options.index(line)
            rest = options[index + len(line) :].split("\n")
            described = "  " in line.strip() or (len(rest) > 1 and rest[1].startswith("     "))
            assert described, line


def test_version():
    assert succeed("--version") == f"nincc {package.__version__}\n"


def test_it_also_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "nincc", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("nincc ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "No such command 'frobnicate'; try 'nincc --help'"),
        (["run"], "Missing argument 'ARTEFACT'; try 'nincc run --help'"),
        (["model", "nin-cifar10"], "Missing option '-o' / '--output'; try 'nincc model --help'"),
        (["compile", "x.onnx", "-o", "out", "--optimize", "beauty"], "'beauty' is not one of 'speed', 'size'"),
        (["compile", "x.onnx", "-o", "out", "--threads", "many"], "'many' is not a valid integer"),
        (["targets", "z80"], "unknown target 'z80'; known targets: "),
    ],
)
def test_usage_errors_are_one_line(arguments, message):
    assert message in fail(2, *arguments)


def test_no_arguments_shows_the_help():
    done = nincc()
    assert "Usage: nincc" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_is_a_traceback_and_exit_1():
    code = (
        "import sys, nincc.target\n"
        "def broken(name): raise KeyError('planted')\n"
        "nincc.target.load_target = broken\n"
        "from nincc.cli import main\n"
        "main(['targets', 'x86'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "KeyError: 'planted'" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("nincc: internal error: please report it")


def test_a_reader_that_leaves_early():
    shell = f"'{sys.executable}' '{ROOT / 'cli.py'}' targets x86 --json | true"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_compile_leaves_nothing(number, code, digits_relu, tmp_path):
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    process = subprocess.Popen(
        [*COMMAND, "compile", str(digits_relu), "-o", str(work / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        # A shell starts what runs in the background with SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(temporary.glob("nincc-*/net/*.pickle")):  # the code generator has its job
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in said
    assert list(work.iterdir()) == []
    assert list(temporary.glob("nincc*")) == []


def test_progress_is_shown_on_a_terminal_only():
    """Piped, stderr stays empty (every other test sees that); on a terminal a line tells what is being done."""
    master, slave = pty.openpty()
    command = [*COMMAND, "verify", str(small().folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    seen = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:  # the terminal's other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"verify" in seen
    assert b"verified (native)" in out and b"\x1b" not in out
