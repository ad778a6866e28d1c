"""Runs code in a process of its own that has a stand-in GPU: a stub driver cannot be taken out of a process again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

PRELUDE = """
import gc, sys
from pathlib import Path
import numpy as np
from nincc import runtime
from nincc.emulate.cuda.gpu import EmulatedGpu
from nincc.emulate.cuda.library import Stub, build_stub
from nincc.target import host_of, load_target
stub = Stub(build_stub(Path("."), host_of(load_target("cuda"))))
gpu = EmulatedGpu(stub)
module = runtime._module(Path("toy"))
x, y = np.load("x.npy"), np.load("y.npy")
def close(result):
    np.testing.assert_allclose(result, y, atol=1e-6)
def raises(kind, text, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except kind as error:
        assert text in str(error), error
        return
    raise AssertionError(f"no {kind.__name__}")
"""


def run_on_gpu(code: str, folder: Path) -> str:
    """Runs ``code`` in ``folder``, which holds the artefact ``toy`` and x.npy and y.npy; gives what it prints."""
    (folder / "code.py").write_text(PRELUDE + code)
    done = subprocess.run(
        [sys.executable, "code.py"],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
