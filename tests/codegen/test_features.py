"""The driver's table of CPU features against what Linux says of this machine."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nincc.codegen.driver import known_features
from nincc.codegen.driver.features import feature_rows
from nincc.codegen.driver.template import fill
from nincc.codegen.toolchain import link_program
from nincc.errors import UsageError
from nincc.target import cpu_names, cpu_target, load_target

# What the pieces of driver.c need around them to be a program of their own.
MAIN = """
int main(void)
{
    unsigned state = saved_state();
    for (const struct feature *f = required; f->name != NULL; ++f) printf("%s %d\\n", f->name, has_feature(f, state));
    unsigned before = float_mode_enter();
    volatile float tiny = 1e-38f;
    volatile float product = tiny * 0.25f;
    float_mode_leave(before);
    volatile float again = tiny * 0.25f;
    cpu_pause();
    printf("flushed %d %d\\n", product == 0.0f, again == 0.0f);
    return missing_feature() != NULL;
}
"""


def cpu_flags() -> set[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def test_agrees_with_the_kernel_on_every_feature(gcc: str, tmp_path: Path) -> None:
    names = tuple(known_features("x86_64"))
    target = replace(load_target("x86"), requires=names)
    cpu = fill("cpu_x86_64.c.in", "nin", {"features": feature_rows(target)})
    (tmp_path / "cpu.c").write_text("#include <stdio.h>\n" + cpu + MAIN)
    subprocess.run([gcc, "-O1", "-Wall", "-Wextra", "-Werror", "cpu.c", "-o", "cpu"], cwd=tmp_path, check=True)
    done = subprocess.run(["./cpu"], cwd=tmp_path, capture_output=True, text=True)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said.pop("flushed") == "1 0"
    flags = cpu_flags() | ({"sse3"} if "pni" in cpu_flags() else set())
    assert {name for name, has in said.items() if has == "1"} == flags & set(names)
    assert set(said) == set(names)
    assert done.returncode == (not set(names) <= flags)


@pytest.mark.parametrize("name", cpu_names())
def test_every_shipped_x86_target_can_be_checked(name: str) -> None:
    target = load_target(name)
    if target.architecture == "x86_64":
        assert feature_rows(target).count("{") == len(target.requires) > 0


ARM_MAIN = """
int main(void)
{
    for (const struct feature *f = required; f->name != NULL; ++f) printf("%s %d\\n", f->name, has_feature(f));
    unsigned before = float_mode_enter();
    volatile float tiny = 1e-38f;
    volatile float product = tiny * 0.25f;
    float_mode_leave(before);
    volatile float again = tiny * 0.25f;
    cpu_pause();
    printf("flushed %d %d\\n", product == 0.0f, again == 0.0f);
    return missing_feature() != NULL;
}
"""
ARMV8 = {"fp", "asimd", "aes", "pmull", "sha1", "sha2", "crc32"}


@pytest.mark.parametrize(
    ("target", "program", "core", "has", "lacks"),
    [
        ("cortex-a72", "qemu-aarch64", "cortex-a72", ARMV8, {"atomics", "asimdhp", "sve"}),
        ("cortex-a7", "qemu-arm", "cortex-a7", {"neon", "vfpv4", "idiva"}, {"crc32"}),
        ("cortex-a7", "qemu-arm", "cortex-a9", {"neon", "vfpv3"}, {"vfpv4", "idiva"}),
    ],
)
def test_arm_features_and_float_mode(
    target: str, program: str, core: str, has: set[str], lacks: set[str], tmp_path: Path
) -> None:
    """What the emulated kernel says of the core, and denormals as zero within a run only."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    machine = cpu_target(target)
    every = replace(machine, requires=tuple(known_features(machine.architecture)))
    cpu = fill("cpu_arm.c.in", "nin", {"features": feature_rows(every)})
    (tmp_path / "cpu.c").write_text("#include <stdio.h>\n" + cpu + ARM_MAIN)
    link_program(["-Wall", "-Wextra", "-Werror", "cpu.c"], "cpu", machine, tmp_path)
    done = subprocess.run([program, "-cpu", core, "./cpu"], cwd=tmp_path, capture_output=True, text=True)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said.pop("flushed") == "1 0"
    found = {name for name, answer in said.items() if answer == "1"}
    assert has <= found and not lacks & found
    assert set(said) == set(known_features(machine.architecture))
    assert done.returncode == (found != set(said))


def test_what_cannot_be_checked_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'quantum' is unknown"):
        feature_rows(replace(load_target("x86"), requires=("avx2", "quantum")))
    with pytest.raises(UsageError, match="no driver for architecture 'mips'"):
        feature_rows(replace(load_target("x86"), triple="mips-unknown-linux-gnu"))
