"""The two ARM instruction sets as the emulator sees them: registers, calls, what a CPU model can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nincc.codegen.driver.features import hwcap_bits
from nincc.emulate.device import GET_UNICORN
from nincc.errors import DeviceError

try:
    import unicorn
    from unicorn import arm64_const, arm_const
except ImportError as error:
    raise DeviceError("unicorn is not installed", hint=GET_UNICORN) from error


@dataclass(frozen=True)
class Cpu:
    """How to run code for one architecture.

    ``word`` is the bytes of a pointer, ``arguments`` the registers of the first ones, ``floats`` those of the first
    floating-point ones, ``return_code`` the instruction that ends a function, and ``resolver`` the code behind a
    TLSDESC relocation (empty where the architecture has none).
    """

    architecture: str
    word: int
    arguments: tuple[int, ...]
    floats: tuple[int, ...]
    stack: int
    link: int
    counter: int
    return_code: bytes
    resolver: bytes

    def start(self, model: int, thread_area: int) -> Any:
        """A CPU of that model with its floating-point unit on; ``thread_area`` is where thread-local data lies."""
        if self.word == 8:
            engine = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
            engine.ctl_set_cpu_model(model)
            engine.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, 3 << 20)
            engine.reg_write(arm64_const.UC_ARM64_REG_TPIDR_EL0, thread_area)
            return engine
        engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
        engine.ctl_set_cpu_model(model)
        engine.reg_write(arm_const.UC_ARM_REG_C1_C0_2, 0xF << 20)
        engine.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
        return engine


EVERY_BLOCK, EVERY_INSTRUCTION, Fault = unicorn.UC_HOOK_BLOCK, unicorn.UC_HOOK_CODE, unicorn.UcError

_A64, _A32 = arm64_const, arm_const

AARCH64 = Cpu(
    architecture="aarch64",
    word=8,
    arguments=tuple(getattr(_A64, f"UC_ARM64_REG_X{i}") for i in range(8)),
    floats=tuple(getattr(_A64, f"UC_ARM64_REG_D{i}") for i in range(3)),
    stack=_A64.UC_ARM64_REG_SP,
    link=_A64.UC_ARM64_REG_LR,
    counter=_A64.UC_ARM64_REG_PC,
    return_code=bytes.fromhex("c0035fd6"),  # ret
    resolver=bytes.fromhex("000440f9 c0035fd6"),  # ldr x0, [x0, #8]; ret
)
ARMV7 = Cpu(
    architecture="armv7l",
    word=4,
    arguments=tuple(getattr(_A32, f"UC_ARM_REG_R{i}") for i in range(4)),
    floats=tuple(getattr(_A32, f"UC_ARM_REG_D{i}") for i in range(3)),
    stack=_A32.UC_ARM_REG_SP,
    link=_A32.UC_ARM_REG_LR,
    counter=_A32.UC_ARM_REG_PC,
    return_code=bytes.fromhex("1eff2fe1"),  # bx lr
    resolver=b"",
)
CPUS = {cpu.architecture: cpu for cpu in (AARCH64, ARMV7)}

_MODELS = {
    "cortex-a53": _A64.UC_CPU_ARM64_A53,
    "cortex-a57": _A64.UC_CPU_ARM64_A57,
    "cortex-a72": _A64.UC_CPU_ARM64_A72,
    "cortex-a7": _A32.UC_CPU_ARM_CORTEX_A7,
    "cortex-a15": _A32.UC_CPU_ARM_CORTEX_A15,
}
_NEWEST = {"aarch64": _A64.UC_CPU_ARM64_MAX, "armv7l": _A32.UC_CPU_ARM_MAX}
_ARMV8_0 = ("fp", "asimd", "aes", "pmull", "sha1", "sha2", "crc32")


def cpu_of(triple: str) -> Cpu:
    """The CPU of a target's triple; DeviceError where nothing here emulates it."""
    architecture = triple.split("-")[0]
    if architecture not in CPUS:
        raise DeviceError(f"nothing here emulates {architecture}")
    return CPUS[architecture]


def model_of(cpu: Cpu, name: str) -> int:
    """The emulator's number for the core called ``name``; the newest one it has where it knows no such core."""
    return int(_MODELS.get(name, _NEWEST[cpu.architecture]))


def hwcap(cpu: Cpu, name: str) -> int:
    """AT_HWCAP as Linux would give it on that core."""
    bits = hwcap_bits(cpu.architecture)
    names = _ARMV8_0 if cpu is AARCH64 and name in _MODELS else tuple(bits)
    return sum(1 << bits[feature] for feature in names)
