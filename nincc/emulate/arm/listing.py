"""A library's instructions as LLVM's disassembler writes them: which are multiply-adds, what they load and store."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nincc.codegen.toolchain import llvm_tool

INSTRUCTION_BYTES = 4  # of both instruction sets that nincc generates

_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
_BRANCH = re.compile(r"^(b(\.\w+|eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?|cbn?z|tbn?z)$")
_TARGET = re.compile(r"0x([0-9a-f]+)(?:\s+<.*>)?$")
_VECTOR = re.compile(r"v\d+\.(\d+)([bhsd])")
_BYTES = {"b": 1, "h": 2, "s": 4, "w": 4, "r": 4, "d": 8, "x": 8, "q": 16}
_NARROW = {"b": 1, "sb": 1, "h": 2, "sh": 2, "sw": 4}


@dataclass(frozen=True)
class Instruction:
    """One line of the disassembly."""

    address: int
    mnemonic: str
    operands: str

    @cached_property
    def branch_target(self) -> int | None:
        """Where a branch within a function goes; None for everything else, calls included."""
        found = _TARGET.search(self.operands) if _BRANCH.match(self.mnemonic) else None
        return int(found[1], 16) if found else None

    @cached_property
    def fma_lanes(self) -> int:
        """float32 multiply-adds that it does: 4 or 2 of a NEON instruction, 1 of a scalar one, else 0."""
        if self.mnemonic in ("fmla", "fmls"):
            first = _VECTOR.match(self.operands)
            return int(first[1]) if first and first[2] == "s" else 0
        if self.mnemonic in ("fmadd", "fmsub", "fnmadd", "fnmsub"):
            return 1 if self.operands.startswith("s") else 0
        if re.match(r"v(fma|fms|mla|mls|nmla|fnma)\.f32", self.mnemonic):
            return {"q": 4, "d": 2}.get(self.operands[0], 1)
        return 0

    @property
    def is_vector_fma(self) -> bool:
        return self.fma_lanes > 1

    @cached_property
    def load_bytes(self) -> int:
        """Bytes that it reads from memory."""
        if re.match(r"(ld|vld|pop|vpop)", self.mnemonic):
            return self._moved()
        return 0

    @cached_property
    def store_bytes(self) -> int:
        """Bytes that it writes to memory."""
        if re.match(r"(st|vst|push|vpush)", self.mnemonic):
            return self._moved()
        return 0

    def _moved(self) -> int:
        narrow = re.match(r"(?:ld|st)u?r(sb|sh|sw|b|h)", self.mnemonic)
        if narrow:
            return _NARROW[narrow[1]]
        registers = self.operands.partition("[")[0] if not self.operands.startswith("{") else self.operands
        if "{" in self.operands:
            return self._listed(self.operands[self.operands.index("{") + 1 : self.operands.index("}")])
        names = re.findall(r"\b([wxqdsbhr])\d+\b|\b(lr|sp|wzr|xzr|r\w+|fp|sl|ip|pc)\b", registers)
        return sum(_BYTES[name] if name else 8 if other == "xzr" else 4 for name, other in names)

    def _listed(self, inside: str) -> int:
        """Registers in braces: ``v0.4s, v1.4s``, ``d16, d17``, ``d8-d15``, ``r4, lr``, or lanes of them."""
        if self.mnemonic.endswith("r") and _VECTOR.search(inside):  # ld1r: one element for all lanes
            return sum(_BYTES[kind] for _, kind in _VECTOR.findall(inside))
        vectors = _VECTOR.findall(inside)
        if vectors:
            return sum(int(lanes) * _BYTES[kind] for lanes, kind in vectors)
        if "[" in inside:  # d16[0], or d16[] of a load to all lanes: one element each register, or in all
            size = int(self.mnemonic.rpartition(".")[2]) // 8
            return size if "[]" in inside else size * inside.count("[")
        ranges = re.sub(r"([a-z])(\d+)-\1?(\d+)", _spelled, inside)
        return sum(_BYTES.get(name.strip()[0], 4) for name in ranges.split(","))


def _spelled(match: re.Match[str]) -> str:
    return ", ".join(f"{match[1]}{number}" for number in range(int(match[2]), int(match[3]) + 1))


class Listing:
    """All instructions of a library, by address."""

    def __init__(self, library: Path) -> None:
        flags = ["-d", "--no-show-raw-insn", "--print-imm-hex"]
        text = llvm_tool("llvm-objdump", [*flags, str(library.resolve())], library.resolve().parent)
        found = (_LINE.match(line) for line in text.splitlines())
        self.instructions = [
            Instruction(int(match[1], 16), match[2], match[3].split("//")[0].split("@")[0].strip())
            for match in found
            if match
        ]
        self._addresses = [instruction.address for instruction in self.instructions]

    def between(self, start: int, end: int) -> list[Instruction]:
        """Those at addresses ``start`` … ``end`` - 1."""
        return self.instructions[self.index(start) : self.index(end)]

    def index(self, address: int) -> int:
        """The place in ``instructions`` of the first one at ``address`` or behind."""
        return bisect_right(self._addresses, address - 1)
