"""The compiler's cache and tools: where they live, and what happens when they cannot."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from nincc.codegen import toolchain
from nincc.errors import InternalError, ToolError
from nincc.target import load_target

TARGET = load_target("x86")


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NINCC_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_cache_is_where_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_settings: None) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert toolchain.cache_dir() == tmp_path / "home" / ".cache" / "nincc"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert toolchain.cache_dir() == tmp_path / "xdg" / "nincc"
    monkeypatch.setenv("NINCC_CACHE_DIR", str(tmp_path / "own"))
    assert toolchain.cache_dir() == tmp_path / "own"


@pytest.mark.parametrize("home", ["/proc/nowhere", "relative/path"])
def test_without_a_home_to_write_in_the_cache_is_private(
    monkeypatch: pytest.MonkeyPatch, no_settings: None, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    cache = toolchain.cache_dir()
    assert cache.is_dir() and cache.stat().st_mode & 0o777 == 0o700
    assert cache == toolchain.cache_dir()


def test_a_named_cache_that_cannot_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINCC_CACHE_DIR", "/proc/nowhere")
    with pytest.raises(ToolError, match="/proc/nowhere.*NINCC_CACHE_DIR"):
        toolchain.cache_dir()


def test_a_private_cache_ends_with_its_process(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int a(void); int a(void) { return 1; }\n")
    code = (
        "from pathlib import Path; from nincc.codegen import toolchain; from nincc.target import load_target;"
        "toolchain.compile_c('a.c', 'a.o', load_target('x86'), 'glibc', Path('.')); print(toolchain.cache_dir())"
    )
    environment = {"HOME": "/proc/nowhere", "PYTHONPATH": str(Path(toolchain.__file__).parents[2])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert (tmp_path / "a.o").is_file()
    assert "nincc-cache-" in done.stdout and not Path(done.stdout.strip()).exists()


def test_compiles_at_once_share_a_cold_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nincc.codegen import toolchain;"
        "from nincc.target import load_target;"
        "toolchain.compile_c('a.c', 'a.o', load_target('x86'), 'glibc', Path(sys.argv[1]))"
    )
    monkeypatch.setenv("NINCC_CACHE_DIR", str(tmp_path / "cache"))
    running = []
    for index in range(3):
        folder = tmp_path / str(index)
        folder.mkdir()
        (folder / "a.c").write_text("#include <math.h>\nfloat a(float x);\nfloat a(float x) { return expf(x); }\n")
        running.append(subprocess.Popen([sys.executable, "-c", code, str(folder)]))
    assert [process.wait() for process in running] == [0, 0, 0]
    objects = {(tmp_path / str(index) / "a.o").read_bytes() for index in range(3)}
    assert len(objects) == 1


def test_a_tool_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int a(void) { return undeclared; }\n")
    with pytest.raises(InternalError, match="undeclared"):
        toolchain.compile_c("a.c", "a.o", TARGET, "glibc", tmp_path)


def test_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int a(int unused);\nint a(int unused) { return 1; }\n")
    with pytest.raises(InternalError, match="unused"):
        toolchain.compile_c("a.c", "a.o", TARGET, "glibc", tmp_path)


def test_a_missing_package_is_a_tool_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ToolError, match="'no-such-tools' is missing; run: pip install no-such-tools") as caught:
        toolchain._packaged("no-such-tools", "bin/tool")
    assert caught.value.exit_code == 4


def test_zig_names_of_targets() -> None:
    assert toolchain.zig_triple(TARGET, "glibc") == "x86_64-linux-gnu.2.17"
    assert toolchain.zig_triple(TARGET, "musl") == "x86_64-linux-musl"
    arm64, arm32 = load_target("cortex-a72"), load_target("cortex-a7")
    assert toolchain.zig_triple(arm64, "glibc") == "aarch64-linux-gnu.2.17"
    assert toolchain.zig_triple(arm64, "musl") == "aarch64-linux-musl"
    assert toolchain.zig_triple(arm32, "glibc") == "arm-linux-gnueabihf.2.17"
    assert toolchain.zig_triple(arm32, "musl") == "arm-linux-musleabihf"
