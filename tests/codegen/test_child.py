"""Compiling in a child process: results, a user's error, and death at any stage come back as they should."""

import os
import signal
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
import pytest

from nincc.codegen.child import Progress, compile_in_child
from nincc.errors import InternalError, UsageError
from nincc.frontend import load_model
from nincc.options import CompileOptions
from nincc.target import load_target

OPTIONS = CompileOptions(target=load_target("x86-64-v2"), threads=1)
TEXT = """<ir_version: 8, opset_import: ["" : 17]>
tiny (float[1, 2, 4, 4] x) => (float[1, 3, 4, 4] y)
  <float[3, 2, 1, 1] w = {1, 2, 3, 4, 5, 6}> { y = Conv(x, w) }"""


@pytest.fixture
def model(tmp_path: Path) -> Any:
    path = tmp_path / "tiny.onnx"
    onnx.save(onnx.parser.parse_model(TEXT), path)
    return load_model(path)


class Deadly:
    """A model that ends the process that looks at it: as itself, it survives pickling."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        os.kill(os.getpid(), self.number)


class Refused:
    """A model that the child refuses as it would a user's mistake."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UsageError("no such thing", where="model.onnx", hint="try another")


class Broken:
    """A model that a bug of ours trips over."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise KeyError("missing")


def test_objects_plan_and_progress_come_back(model: Any, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    events: list[Progress] = []
    compiled = compile_in_child(model, OPTIONS, work, events.append)
    assert [path.read_bytes()[:4] for path in compiled.objects] == [b"\x7fELF"] * len(compiled.objects)
    assert {step.kernel for step in compiled.program.steps} == {path.stem for path in compiled.objects}
    assert [event.stage for event in events[:3]] == ["frontend", "passes", "lower"]
    kernels = [event for event in events if event.stage == "kernel"]
    assert [event.done for event in kernels] == list(range(len(compiled.objects)))
    assert any("becomes GEMM" in line for record in compiled.passes for line in record.changed)


def test_a_crash_names_the_signal_and_the_stage(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="SIGABRT at stage frontend"):
        compile_in_child(Deadly(signal.SIGABRT), OPTIONS, tmp_path)  # type: ignore[arg-type]


def test_a_users_error_keeps_its_class_and_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="model.onnx: no such thing; try another"):
        compile_in_child(Refused(), OPTIONS, tmp_path)  # type: ignore[arg-type]


def test_a_bug_is_an_internal_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="KeyError at stage frontend : 'missing'; please report") as raised:
        compile_in_child(Broken(), OPTIONS, tmp_path)  # type: ignore[arg-type]
    assert raised.value.exit_code == 1


def test_an_error_in_the_progress_display_ends_the_child(model: Any, tmp_path: Path) -> None:
    def interrupt(event: Progress) -> None:
        raise KeyboardInterrupt

    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(KeyboardInterrupt):
        compile_in_child(model, OPTIONS, work, interrupt)
    assert not list(work.glob("*.o"))
