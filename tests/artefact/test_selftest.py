"""The selftest's input: the same bits from numpy and from the driver's C."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from codegen.toy_net import toy_driver, toy_program, write_sources
from nincc.artefact import Selftest, selftest_inputs
from nincc.artefact.selftest import expected_bytes
from nincc.errors import InternalError
from nincc.tensor import TensorSpec

SPECS = [TensorSpec("a", (2, 3, 5)), TensorSpec("b", (7,))]


def test_values_are_spread_over_the_interval() -> None:
    values = selftest_inputs([TensorSpec("x", (1, 3, 64, 64))])[0]
    assert values.dtype == np.float32 and values.shape == (1, 3, 64, 64)
    assert -1 <= values.min() < -0.99 and 0.99 < values.max() < 1
    assert abs(values.mean()) < 0.02 and abs(values.std() - 3**-0.5) < 0.02
    assert np.array_equal(values * 2**23, np.round(values * 2**23))


def test_inputs_differ_from_each_other() -> None:
    first, second = selftest_inputs([TensorSpec("x", (64,)), TensorSpec("y", (64,))])
    assert not np.any(first == second)


def test_the_driver_makes_the_same_bits(gcc: str, tmp_path: Path) -> None:
    write_sources(toy_driver(), tmp_path)
    text = (tmp_path / "driver.c").read_text()
    function = re.search(r"static float selftest_value.*?^}", text, re.DOTALL | re.MULTILINE)
    assert function is not None
    loops = "".join(
        f"for (uint32_t e = 0; e < {spec.elements}; ++e) {{ float v = selftest_value({index}, e);"
        " fwrite(&v, 4, 1, stdout); }\n"
        for index, spec in enumerate(SPECS)
    )
    main = f"int main(void) {{\n{loops}return 0; }}\n"
    (tmp_path / "main.c").write_text("#include <stdint.h>\n#include <stdio.h>\n" + function[0] + "\n" + main)
    subprocess.run([gcc, "-O2", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    output = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, check=True).stdout
    wanted = np.concatenate([array.ravel() for array in selftest_inputs(SPECS)])
    np.testing.assert_array_equal(np.frombuffer(output, np.float32), wanted)


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.raises(InternalError, match="shapes"):
        expected_bytes(Selftest((np.zeros((2, 4), np.float32),), 1e-5), toy_program())
    assert expected_bytes(None, toy_program()) == b""
