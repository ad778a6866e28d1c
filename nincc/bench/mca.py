"""llvm-mca's static model of a core, asked for the cycles of one loop."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nincc.codegen.toolchain import llvm_tool
from nincc.emulate.arm.listing import Instruction
from nincc.errors import InternalError

TURNS = 100  # of the loop that are simulated: the pipes' filling hardly counts


@dataclass(frozen=True)
class LoopCycles:
    """Cycles of one turn, data in L1, and those that its multiply-adds alone need at their throughput."""

    cycles: float
    fma_cycles: float

    @property
    def fma_share(self) -> float:
        """How near the loop comes to the FMA pipes' limit."""
        return self.fma_cycles / self.cycles


def loop_cycles(body: Sequence[Instruction], triple: str, cpu: str) -> LoopCycles | None:
    """The model's word on a loop whose last instruction branches back; None where LLVM has no model of the core."""
    lines = [f"{instruction.mnemonic} {instruction.operands}" for instruction in body[:-1]]
    branch = body[-1]
    operands = [text.strip() for text in branch.operands.split(",")[:-1]]
    lines += [f"{branch.mnemonic} {', '.join([*operands, '.Lagain'])}"]
    with tempfile.TemporaryDirectory(prefix="nincc-mca-") as work:
        (Path(work) / "loop.s").write_text("\n".join([".Lagain:", *lines, ""]))
        options = [f"-mtriple={triple}", f"-mcpu={cpu}", f"-iterations={TURNS}", "-json", "loop.s"]
        try:
            report = json.loads(llvm_tool("llvm-mca", options, Path(work)))
        except InternalError as error:
            if "scheduling information" in error.what:
                return None
            raise
    region = report["CodeRegions"][0]
    costs = region["InstructionInfoView"]["InstructionList"]
    fma = sum(cost["RThroughput"] for cost, i in zip(costs, body, strict=False) if i.fma_lanes)
    return LoopCycles(region["SummaryView"]["TotalCycles"] / TURNS, fma)
