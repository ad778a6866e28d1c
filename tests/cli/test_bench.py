"""``nincc bench`` as a user calls it."""

from __future__ import annotations

import pytest

from tests.cli.process import as_json, fail, nincc, succeed


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, digits_linear):
    """An artefact whose model has a dynamic batch, compiled for three images at a time."""
    out = tmp_path_factory.mktemp("bench") / "net"
    succeed("compile", digits_linear, "-o", out, "--batch", 3, "--no-verify")
    return out


def test_table_and_notes(compiled, digits_linear):
    options = ("--against", "onnxruntime", "--rounds", 1, "--seconds", 0.01, "--layers")
    done = nincc("bench", compiled, "--model", digits_linear, *options)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "batch 3, x86-64-v3, 1 thread" in lines[0]
    assert any(line.startswith("onnxruntime") for line in lines)
    assert any("gemm" in line for line in lines)
    assert all(line.startswith("note: ") for line in done.stderr.splitlines())


def test_json(compiled):
    found = as_json("bench", compiled, "--rounds", 1, "--seconds", 0.01, "--threads", 2)
    assert found["threads"] == 2 and found["batch"] == 3
    assert found["programs"][0]["timing"]["median"] > 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--against", "mnn"), 2, "add --model"),
        (("--against", "nobody"), 2, "unknown peer 'nobody'"),
        (("--threads", "9"), 2, "compile it with --threads 9"),
        (("--plot", "bench.txt"), 2, "use .png"),
        (("--layers", "--rounds", "1", "--seconds", "0"), 2, "add --model"),
        (("--rounds", "0"), 2, "--rounds"),
    ],
)
def test_wrong_options(compiled, options, code, words):
    assert words in fail(code, "bench", compiled, *options)


def test_folder_that_is_no_artefact(tmp_path):
    assert "no artefact" in fail(2, "bench", tmp_path)
