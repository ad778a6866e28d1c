"""``nincc tune`` and ``nincc records`` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

from nincc.gpu_driver import has_gpu
from nincc.target import load_target
from tests.cli.process import as_json, fail, nincc, succeed
from tests.records.lines import CONV_TASK, CUT, DIRECT, F4, GEMM, GEMM_TASK, LAUNCH_TASK, header, line, write
from tests.tune.nets import one_product, two_layers, two_products


def test_dry_run_lists_the_tasks(tmp_path: Path) -> None:
    path = two_layers(tmp_path)
    tasks = as_json("tune", path, "--dry-run")["tasks"]
    assert [task["layers"] for task in tasks] == [["conv1"], ["conv2"]]
    text = succeed("tune", path, "--dry-run").splitlines()
    assert text[0].split() == ["task", "layers", "MACs", "kernels", "algorithms"] and len(text) == 3
    assert list(tmp_path.glob("*.jsonl")) == []


def test_dry_run_lists_a_gpus_launches(tmp_path: Path) -> None:
    (task,) = as_json("tune", two_products(tmp_path), "--dry-run", "--target", "cuda")["tasks"]
    assert task["name"] == "launch 1x1 192>160>96 1x1024" and task["layers"] == ["first+second"]
    assert task["points"] > 200


def test_tune_writes_records_and_a_table(tmp_path: Path) -> None:
    done = nincc("tune", two_layers(tmp_path), "--trials", "3", "--target", "native", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (records,) = tmp_path.glob("small.*.jsonl")
    assert json.loads(records.read_text().splitlines()[0].removeprefix("#"))["model"]["name"] == "small"
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["task", "layers", "rule"]
    assert lines[-1].startswith("whole net, measured, 1 thread: ")
    assert "instructions" not in done.stdout


def test_a_gpus_table_tells_instructions(tmp_path: Path) -> None:
    given = ("--target", "cuda", "--runner", "static", "--trials", "2")
    done = nincc("tune", one_product(tmp_path), *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[6:9] == ["best/rule", "instructions/rule", "GFLOPS"]
    assert lines[-1].startswith("its instructions: ") and lines[-1].endswith(" M by these records")


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    path = two_layers(tmp_path)
    if not has_gpu():
        assert "use --runner static" in fail(4, "tune", path, "--target", "cuda")
    assert "--tracker HOST:PORT" in fail(2, "tune", path, "--runner", "rpc")
    assert "No such command 'tidy'" in fail(2, "records", "tidy")
    other = write(tmp_path / "r.jsonl", head=header())
    text = fail(2, "compile", path, "--target", "arm", "--schedules", other, "--no-verify", "-o", tmp_path / "out")
    assert "records for target x86-64-v3, not cortex-a72" in text and not (tmp_path / "out").exists()
    assert "holds no records" in fail(2, "records", "report", two_layers(tmp_path))


def test_export_prune_merge_report(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", *(line(CONV_TASK, knobs, t) for knobs, t in ((DIRECT, 2e-3), (F4, 4e-4))))
    more = write(tmp_path / "more.jsonl", line(GEMM_TASK, GEMM, 5e-4))
    out = tmp_path / "out.jsonl"
    assert as_json("records", "merge", path, more, "-o", out)["records"] == 3
    assert as_json("records", "export", path, more, "-o", tmp_path / "best.jsonl")["records"] == 3
    picture = tmp_path / "p.png"
    found = as_json("records", "report", out, "--plot", picture)
    assert [one["trials"] for one in found] == [2, 1] and picture.read_bytes().startswith(b"\x89PNG")
    assert as_json("records", "prune", out) == {"file": str(out), "before": 3, "after": 3}
    assert "F(4, 5) m=4 mr=6" in succeed("records", "report", out)


def test_a_report_tells_a_launchs_instructions(tmp_path: Path) -> None:
    text = line(LAUNCH_TASK, CUT, 4e-6, estimate=True, instructions=41_250_000, issue=2e-6)
    failed = line(LAUNCH_TASK, {**CUT, "chunk": 32}, None, 4)
    path = write(tmp_path / "r.jsonl", text, failed, head=header(load_target("sm_80"), "static"))
    picture = tmp_path / "p.svg"
    (found,) = as_json("records", "report", path, "--plot", picture)
    assert found["instructions"] == 41_250_000 and "time and energy" in picture.read_text()
    assert "M instructions" in succeed("records", "report", path)
