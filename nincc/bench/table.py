"""Bench results as Markdown tables, and the place in a document that holds them."""

from __future__ import annotations

from collections.abc import Sequence

from nincc.bench.peers.base import PEERS
from nincc.bench.result import BenchResult, ProgramResult
from nincc.errors import UsageError


def times_table(results: Sequence[BenchResult]) -> str:
    """A row a result: medians in ms of ours and every peer, and ours as a share of the fastest peer."""
    ours = ["÷ fastest peer", "spread", "core to core ns", "GFLOPS", "of peak", "direct limit"]
    header = ["net", "batch", "threads", "nincc", *PEERS, *ours]
    return markdown(header, [_times_row(result) for result in results], left=1)


def costs_table(results: Sequence[BenchResult]) -> str:
    """A row a program and net: what loading it takes, in time, memory and files.  One thread's results only."""
    header = ["net", "batch", "program", "load ms", "first ms", "peak memory MB", "model MB", "libraries MB"]
    rows = [
        [result.model, str(result.batch), program.name, *_costs(program)]
        for result in results
        if result.threads == 1
        for program in result.programs
        if program.timing
    ]
    return markdown(header, rows, left=1)


def machine_lines(results: Sequence[BenchResult]) -> str:
    """The machine, the target, the programs' versions and every note, as a Markdown list."""
    first = results[0]
    machine, peak = first.machine, first.peak
    lines = [
        f"{machine.cpu}, {machine.cores} cores ({machine.native_target}); compiled for {first.target}",
        f"FMA peak {peak.gflops / peak.threads:.0f} GFLOPS a core",
        ", ".join(f"{program.name} {program.version}" for program in first.programs),
        *dict.fromkeys(note for result in results for note in result.notes),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _times_row(result: BenchResult) -> list[str]:
    by_name = {program.name: program for program in result.programs}
    ours, fastest = result.ours, result.fastest_peer
    assert ours.timing is not None
    gflops = ours.timing.gflops(result.macs)
    ratio = result.ratio(fastest) if fastest else None
    return [
        result.model,
        str(result.batch),
        str(result.threads),
        _median(ours),
        *(_median(by_name.get(name)) for name in PEERS),
        "–" if ratio is None or fastest is None else f"**{ratio:.2f}** ({fastest.name})",
        f"{ours.timing.spread:.0%}",
        result.apart or "–",
        f"{gflops:.0f}",
        f"{gflops / result.peak.gflops:.0%}",
        f"{result.peak.direct_limit(result.macs) * 1e3:.2f}",
    ]


def _median(program: ProgramResult | None) -> str:
    return f"{program.timing.median * 1e3:.3g}" if program and program.timing else "–"


def _costs(program: ProgramResult) -> list[str]:
    seconds = [f"{(value or 0) * 1e3:.1f}" for value in (program.load_s, program.first_s)]
    sizes = (program.peak_bytes, program.model_bytes, program.library_bytes)
    return [*seconds, *(f"{(value or 0) / 1e6:.1f}" for value in sizes)]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A Markdown table whose first ``left`` columns are flush left, the others flush right."""
    marks = ["---" if column < left else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, marks, *rows))


def replace_part(document: str, part: str, text: str) -> str:
    """The document with ``text`` between ``<!-- PART -->`` and ``<!-- /PART -->``; UsageError where they are not."""
    begin, end = f"<!-- {part} -->\n", f"<!-- /{part} -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise UsageError(f"the document has no place for '{part}'", hint=f"put {begin.strip()} and {end} there")
    return f"{before}{begin}{text}\n{end}{after}"
