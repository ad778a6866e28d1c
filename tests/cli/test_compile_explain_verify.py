"""``nincc compile``, ``explain`` and ``verify``, as processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from tests.artefacts import small
from tests.cli.process import ROOT, as_json, fail, nincc, succeed
from tests.verify.small_nets import perturbed, small_proto


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, digits_linear):
    """A trained net of dynamic batch, compiled with batch 3."""
    folder = tmp_path_factory.mktemp("compiled")
    done = nincc(
        "compile", digits_linear, "--target", "x86", "-o", folder / "net", "--name", "digits",
        "--batch", 3, "--dump-ir", folder / "ir",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done


def test_compile_writes_the_artefact_and_says_how_right_it_is(compiled):
    folder, done = compiled
    names = {path.name for path in (folder / "net").iterdir()}
    assert names == {
        "NOTICE", "digits.h", "digits.pc", "digits.py", "example.c", "libdigits.a", "libdigits.so", "manifest.json"
    }  # fmt: skip
    assert done.stderr == "note: dynamic batch pinned to 3 (--batch)\n"
    for text in ("verified (native) on 4 inputs", "onnxruntime", "float64", "block (second build)", "would pass with"):
        assert text in done.stdout


def test_compile_dumps_the_ir(compiled):
    names = sorted(path.name for path in (compiled[0] / "ir").iterdir())
    assert names[0] == "00_Imported.txt"
    assert "driver.c" in names


def test_verify_against_the_model_and_alone(compiled, digits_linear):
    folder = compiled[0] / "net"
    assert "would pass with --rtol" in succeed("verify", folder, "--model", digits_linear)
    data = as_json("verify", folder)
    assert data["verdict"] == "pass"
    assert data["input_kinds"] == ["selftest"]


def test_verify_says_which_tolerance_would_pass(compiled, digits_linear):
    folder = compiled[0] / "net"
    done = nincc("verify", folder, "--model", digits_linear, "--rtol", 1e-12, "--json")
    assert done.returncode == 3
    data = json.loads(done.stdout)
    assert data["guilty"] == "tolerance"
    assert f"--rtol {data['passing_rtol']:.3g} would pass" in done.stderr
    assert as_json("verify", folder, "--model", digits_linear, "--rtol", data["passing_rtol"])["verdict"] == "pass"


def test_verify_another_model_is_exit_3(tmp_path):
    onnx.save(perturbed(small_proto(softmax=True), "w2", 1.0), tmp_path / "other.onnx")
    done = nincc("verify", small().folder, "--model", tmp_path / "other.onnx")
    assert done.returncode == 3
    assert "WRONG: passes or kernels" in done.stdout
    assert "its sha256 differs" in done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_verify_on_given_inputs(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.zeros((2, 3, 8, 8), np.float32))
    data = as_json("verify", small().folder, "--model", small().model, "--inputs", tmp_path / "in.npz")
    assert data["input_kinds"] == ["in.npz"]
    np.savez(tmp_path / "in.npz", y=np.zeros((2, 3, 8, 8), np.float32), z=np.zeros(1))
    message = fail(2, "verify", small().folder, "--model", small().model, "--inputs", tmp_path / "in.npz")
    assert "array 'y' is no input; inputs: x" in message


def test_verify_a_damaged_library(tmp_path):
    """Cut short, the library takes the process that loads it down with it; nincc says so and lives."""
    shutil.copytree(small().folder, tmp_path / "cut")
    library = tmp_path / "cut" / "libsmall.so"
    library.write_bytes(library.read_bytes()[:3000])
    done = nincc("verify", tmp_path / "cut")
    assert done.returncode in (3, 4)  # what a cut file does to the loader is the system's to decide
    assert "Traceback" not in done.stderr
    np.savez(tmp_path / "in.npz", x=np.zeros((2, 3, 8, 8), np.float32))
    assert nincc("run", tmp_path / "cut", "--input", tmp_path / "in.npz").returncode in (3, 4)
    library.write_bytes(b"")
    assert "cannot load the library" in fail(4, "verify", tmp_path / "cut")


def test_a_wrong_compile_is_exit_3_and_leaves_nothing(tmp_path):
    """A code generator that spoils one weight, planted in a process of its own."""
    code = """
import sys
from dataclasses import replace
import nincc.compiler as compiler
right = compiler.compile_in_child
def wrong(*arguments):
    compiled = right(*arguments)
    spoiled = bytearray(compiled.program.weights)
    spoiled[3] ^= 0x40
    return replace(compiled, program=replace(compiled.program, weights=bytes(spoiled)))
compiler.compile_in_child = wrong
from nincc.cli import main
main(sys.argv[1:])
"""
    command = [sys.executable, "-c", code, "compile", str(small().model), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 3
    assert "small.onnx: wrong result: output 'prob'" in done.stderr
    assert "guilty: passes or kernels" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.onnx", "-o", "out"], "none.onnx: "),
        (["{model}", "-o", "out", "--batch", "7"], "batch"),
        (["{model}", "-o", "out", "--name", "7up"], "'7up' cannot name a net"),
        (["{model}", "-o", "out", "--target", "none.toml"], "none.toml: cannot read target file"),
        (["{model}", "-o", "out", "--schedules", "none.jsonl"], "none.jsonl: no such file"),
        (["{model}", "-o", "/proc/out"], "/proc/out"),
    ],
)
def test_compile_errors(arguments, message, tmp_path):
    given = [argument.format(model=small().model) for argument in arguments]
    assert message in fail(2, "compile", *given, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_compile_refuses_a_file_that_is_no_model(tmp_path):
    (tmp_path / "text.onnx").write_text("not a model")
    assert "text.onnx" in fail(2, "compile", "text.onnx", "-o", "out", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["text.onnx"]


def test_explain_a_relu_head(digits_relu):
    text = succeed("explain", digits_relu)
    assert text.count("1×1 convolution becomes GEMM") == 6
    assert "becomes the GEMM's epilogue" in text
    assert "kernels, in the order they run" in text


def test_explain_a_linear_head_commutes_the_mean(digits_linear):
    data = as_json("explain", digits_linear)
    passes = {record["pass"]: record for record in data["passes"]}
    assert any("mean of 7×7 pixels is taken first" in text for text in passes["FoldGlobalAvgPool"]["changed"])
    assert data["kernels"][0]["op"].startswith("nincc.conv2d")
    assert sum(kernel["macs"] for kernel in data["kernels"]) > 3e6


def test_explain_with_maps_says_why_the_pool_is_not_folded(digits_relu):
    data = as_json("explain", digits_relu, "--keep-maps")
    passes = {record["pass"]: record for record in data["passes"]}
    assert passes["FoldGlobalAvgPool"]["changed"] == []
    assert len(passes["FoldGlobalAvgPool"]["declined"]) == 1
