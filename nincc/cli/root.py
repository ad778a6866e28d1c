"""The command group, which imports a command's module only when it is called, and the one place errors end."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence

import click

from nincc import __version__
from nincc.errors import NinccError

#: Each command, in the order of the help, and its line there.
COMMANDS = {
    "model": "Write one of the published NINs as an ONNX file.",
    "inspect": "Show the layers, shapes and costs of a model, or the kernels and memory of an artefact.",
    "compile": "Compile a model to a native library, and verify it.",
    "explain": "Show what each pass does to a model, and how each kernel will run.",
    "verify": "Hold an artefact against a model, or let it test itself.",
    "run": "Run an artefact on arrays or pictures.",
    "bench": "Time an artefact against its peers.",
    "tune": "Measure kernels for a model and keep the best as records.",
    "records": "Export, merge, prune or draw tuned records.",
    "targets": "List the machines nincc compiles for.",
}

INTERRUPTED = 130  # what shells report for a process ended by SIGINT


class _Commands(click.Group):
    """Knows its commands by name; importing one waits until it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"nincc.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table above: no command is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nincc", message="%(prog)s %(version)s")
def group() -> None:
    """Compile ONNX Network-in-Network models to small native libraries.

    Results go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 internal error, 2 bad input
    or usage, 3 verification failed, 4 device or tool missing.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; every error becomes a line on stderr and the exit code it returns."""
    # Ended from outside, a command still takes away what it has half written.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        result = group.main(arguments, prog_name="nincc", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except NinccError as error:
        return _complain(str(error), error.exit_code)
    except click.ClickException as error:
        return _complain(_with_hint(error), 2)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        return _complain("internal error: please report it with the lines above", 1)


def _complain(message: str, code: int) -> int:
    click.echo(f"nincc: {' '.join(message.split())}", err=True)
    return code


def _with_hint(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message}; try '{context.command_path} --help'" if context else message
