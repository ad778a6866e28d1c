"""The command line: ``nincc COMMAND``.  One module a command; each parses, calls the API and prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process with its exit code (see ``nincc.errors``)."""
    from nincc.cli.root import run

    sys.exit(run(arguments))
