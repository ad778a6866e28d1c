"""CPU features that a driver can check before it runs a net, by their names in ``/proc/cpuinfo``."""

from __future__ import annotations

from collections.abc import Callable

from nincc.errors import UsageError
from nincc.target import Target

_NONE, _AVX, _AVX512 = "0", "XCR0_AVX", "XCR0_AVX512"
_EAX, _EBX, _ECX, _EDX = range(4)

# name: CPUID leaf, register, bit, state the operating system must save.
# Source: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E.
_X86_64: dict[str, tuple[int, int, int, str]] = {
    "sse3": (1, _ECX, 0, _NONE),
    "pni": (1, _ECX, 0, _NONE),
    "ssse3": (1, _ECX, 9, _NONE),
    "fma": (1, _ECX, 12, _AVX),
    "cx16": (1, _ECX, 13, _NONE),
    "sse4_1": (1, _ECX, 19, _NONE),
    "sse4_2": (1, _ECX, 20, _NONE),
    "movbe": (1, _ECX, 22, _NONE),
    "popcnt": (1, _ECX, 23, _NONE),
    "avx": (1, _ECX, 28, _AVX),
    "f16c": (1, _ECX, 29, _AVX),
    "bmi1": (7, _EBX, 3, _NONE),
    "avx2": (7, _EBX, 5, _AVX),
    "bmi2": (7, _EBX, 8, _NONE),
    "avx512f": (7, _EBX, 16, _AVX512),
    "avx512dq": (7, _EBX, 17, _AVX512),
    "avx512ifma": (7, _EBX, 21, _AVX512),
    "avx512cd": (7, _EBX, 28, _AVX512),
    "avx512bw": (7, _EBX, 30, _AVX512),
    "avx512vl": (7, _EBX, 31, _AVX512),
    "avx512vbmi": (7, _ECX, 1, _AVX512),
    "avx512_vbmi2": (7, _ECX, 6, _AVX512),
    "gfni": (7, _ECX, 8, _NONE),
    "vaes": (7, _ECX, 9, _AVX),
    "vpclmulqdq": (7, _ECX, 10, _AVX),
    "avx512_vnni": (7, _ECX, 11, _AVX512),
    "avx512_bitalg": (7, _ECX, 12, _AVX512),
    "avx512_vpopcntdq": (7, _ECX, 14, _AVX512),
    "lahf_lm": (0x80000001, _ECX, 0, _NONE),
    "abm": (0x80000001, _ECX, 5, _NONE),
}

# name: its bit in the word AT_HWCAP; below, in AT_HWCAP2.  Source: Linux, arch/arm*/include/uapi/asm/hwcap.h.
_AARCH64 = {
    "fp": 0, "asimd": 1, "aes": 3, "pmull": 4, "sha1": 5, "sha2": 6, "crc32": 7, "atomics": 8, "fphp": 9,
    "asimdhp": 10, "asimdrdm": 12, "jscvt": 13, "fcma": 14, "lrcpc": 15, "dcpop": 16, "sha3": 17, "asimddp": 20,
    "sha512": 21, "sve": 22, "asimdfhm": 23, "uscat": 25, "ilrcpc": 26, "flagm": 27, "sb": 29,
}  # fmt: skip
_AARCH64_2 = {"dcpodp": 0, "sve2": 1, "flagm2": 7, "frint": 8, "i8mm": 13, "bf16": 14}
_ARMV7 = {
    "half": 1, "thumb": 2, "fastmult": 4, "vfp": 6, "edsp": 7, "neon": 12, "vfpv3": 13, "tls": 15, "vfpv4": 16,
    "idiva": 17, "idivt": 18, "vfpd32": 19, "lpae": 20,
}  # fmt: skip


def _hwcap_rows(bits: dict[str, int], more: dict[str, int]) -> dict[str, str]:
    rows = {name: f"AT_HWCAP, {bit}" for name, bit in bits.items()}
    return rows | {name: f"AT_HWCAP2, {bit}" for name, bit in more.items()}


def _cpuid_rows() -> dict[str, str]:
    return {name: f"{leaf:#x}, {word}, {bit}, {state}" for name, (leaf, word, bit, state) in _X86_64.items()}


# What stands behind a feature's name in the driver's table.
_BY_ARCHITECTURE: dict[str, Callable[[], dict[str, str]]] = {
    "x86_64": _cpuid_rows,
    "aarch64": lambda: _hwcap_rows(_AARCH64, _AARCH64_2),
    "armv7l": lambda: _hwcap_rows(_ARMV7, {}),
}


def known_features(architecture: str) -> list[str]:
    """The feature names a target of this architecture may require."""
    return sorted(_BY_ARCHITECTURE[architecture]()) if architecture in _BY_ARCHITECTURE else []


def hwcap_bits(architecture: str) -> dict[str, int]:
    """The bits of an ARM architecture's AT_HWCAP by feature name."""
    return {"aarch64": _AARCH64, "armv7l": _ARMV7}[architecture]


def cpu_template(target: Target) -> str:
    """The template of the part of the driver that knows the CPU."""
    return "cpu_x86_64.c.in" if target.architecture == "x86_64" else "cpu_arm.c.in"


def feature_rows(target: Target) -> str:
    """The rows of the driver's table of required features; UsageError for one it cannot check."""
    if target.architecture not in _BY_ARCHITECTURE:
        raise UsageError(
            f"no driver for architecture '{target.architecture}'",
            where=f"target {target.name}",
            hint="architectures: " + ", ".join(_BY_ARCHITECTURE),
        )
    table = _BY_ARCHITECTURE[target.architecture]()
    unknown = [name for name in target.requires if name not in table]
    if unknown:
        raise UsageError(
            f"required feature '{unknown[0]}' is unknown",
            where=f"target {target.name}",
            hint="known features: " + ", ".join(sorted(table)),
        )
    return "\n".join(f'    {{"{name}", {table[name]}}},' for name in target.requires)
