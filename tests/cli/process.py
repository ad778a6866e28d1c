"""Runs the command line as a user does: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, str(ROOT / "cli.py")]


def nincc(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The finished process; its output is text."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def succeed(*arguments: object, cwd: Path | None = None) -> str:
    """What the command printed; it must end with 0."""
    done = nincc(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_json(*arguments: object, cwd: Path | None = None) -> Any:
    """What the command says with ``--json``: stdout is that and nothing else."""
    return json.loads(succeed(*arguments, "--json", cwd=cwd))


def fail(code: int, *arguments: object, cwd: Path | None = None) -> str:
    """The one line on stderr of a command that must end with ``code``, and print nothing else."""
    done = nincc(*arguments, cwd=cwd)
    assert done.returncode == code, (done.returncode, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("nincc: ")
    return lines[0]
