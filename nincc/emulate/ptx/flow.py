"""A kernel's control-flow graph, and where threads that part at a branch meet again."""

from __future__ import annotations

from dataclasses import dataclass

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.syntax import Instruction, Kernel, Operand, Symbol

EXIT = -1
"""The block that every ``ret`` leads to."""

_BRANCHES = ("bra", "brx")
_BARRIERS = ("bar", "barrier")
_ENDS = ("ret", "exit", "trap")


@dataclass(frozen=True)
class Block:
    """Instructions ``start`` … ``stop``; the last one decides where to go on if it is of a kind that does.

    ``successors`` are block numbers: of a guarded branch the target, then the fall-through.  ``meeting`` is the block
    where all ways from here meet again, EXIT if only the kernel's end is that.
    """

    start: int
    stop: int
    successors: tuple[int, ...]
    meeting: int = EXIT


def is_barrier(instruction: Instruction) -> bool:
    """Whether the instruction holds a whole block up; ``bar.warp.sync`` does not."""
    return instruction.name in _BARRIERS and "warp" not in instruction.opcode


def ends_block(instruction: Instruction) -> bool:
    """Whether control may go elsewhere than to the next instruction, or waits here."""
    return instruction.name in (*_BRANCHES, *_ENDS) or is_barrier(instruction)


def control_flow(kernel: Kernel) -> list[Block]:
    """The kernel's blocks in textual order; block 0 is its start."""
    code = kernel.instructions
    starts = {0, len(code)} | set(kernel.labels.values())
    starts |= {place + 1 for place, instruction in enumerate(code) if ends_block(instruction)}
    order = sorted(starts)
    numbers = {start: number for number, start in enumerate(order[:-1])} | {len(code): EXIT}
    blocks = [
        Block(start, stop, _successors(kernel, code[stop - 1], numbers, stop))
        for start, stop in zip(order[:-1], order[1:], strict=True)
    ]
    meetings = immediate_post_dominators([block.successors for block in blocks])
    return [
        Block(block.start, block.stop, block.successors, meeting)
        for block, meeting in zip(blocks, meetings, strict=True)
    ]


def _successors(kernel: Kernel, last: Instruction, numbers: dict[int, int], stop: int) -> tuple[int, ...]:
    following = numbers[stop]
    if last.name in _ENDS:
        return (EXIT,) if last.guard is None else (EXIT, following)
    if last.name == "brx":
        return tuple(numbers[kernel.labels[label]] for label in _table(kernel, last))
    if last.name != "bra":
        return (following,)
    target = numbers[_label(kernel, last, last.operands[0])]
    return (target,) if last.guard is None else (target, following)


def _table(kernel: Kernel, branch: Instruction) -> tuple[str, ...]:
    table = branch.operands[1]
    if not isinstance(table, Symbol) or table.name not in kernel.branch_targets:
        raise unknown(branch.line, branch.text)
    return kernel.branch_targets[table.name]


def _label(kernel: Kernel, branch: Instruction, operand: Operand) -> int:
    if not isinstance(operand, Symbol) or operand.name not in kernel.labels:
        raise unknown(branch.line, branch.text)
    return kernel.labels[operand.name]


def immediate_post_dominators(successors: list[tuple[int, ...]]) -> list[int]:
    """For each node the first node that every way from it to EXIT passes; EXIT where there is no other.

    Source: Cooper, Harvey, Kennedy, "A simple, fast dominance algorithm" (2001), on the reversed graph.
    """
    order = _reverse_postorder(successors)
    rank = {node: place for place, node in enumerate(order)}
    found: dict[int, int] = {EXIT: EXIT}

    def meet(a: int, b: int) -> int:
        while a != b:
            while rank[a] > rank[b]:
                a = found[a]
            while rank[b] > rank[a]:
                b = found[b]
        return a

    changed = True
    while changed:
        changed = False
        for node in order[1:]:
            known = [successor for successor in successors[node] if successor in found]
            best = known[0]
            for other in known[1:]:
                best = meet(best, other)
            changed |= found.get(node) != best
            found[node] = best
    return [found.get(node, EXIT) for node in range(len(successors))]


def _reverse_postorder(successors: list[tuple[int, ...]]) -> list[int]:
    """EXIT and every node that leads to it, in reverse postorder of the reversed graph."""
    predecessors: dict[int, list[int]] = {}
    for node, following in enumerate(successors):
        for successor in following:
            predecessors.setdefault(successor, []).append(node)
    postorder: list[int] = []
    seen = {EXIT}
    stack = [(EXIT, iter(predecessors.get(EXIT, ())))]
    while stack:
        node, rest = stack[-1]
        nearer = next((other for other in rest if other not in seen), None)
        if nearer is None:
            postorder.append(node)
            stack.pop()
        else:
            seen.add(nearer)
            stack.append((nearer, iter(predecessors.get(nearer, ()))))
    return postorder[::-1]
