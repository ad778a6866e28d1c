"""``nincc bench``: times an artefact against its peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nincc.cli.common import bytes_text, existing, json_option, note, progress, show, table
from nincc.errors import UsageError


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """``a,b`` as a tuple without repeats; None where the option is not given."""
    return None if value is None else tuple(dict.fromkeys(name for name in value.split(",") if name))


@click.command()
@click.argument("artefact")
@click.option("--model", metavar="FILE", help="The ONNX file it was compiled from, for the peers to read.")
@click.option("--threads", default=1, show_default=True, metavar="N", help="Threads of every program.")
@click.option(
    "--against",
    callback=_names,
    metavar="PEERS",
    help="Some of onnxruntime,openvino,ncnn,mnn; without it, all that are installed.",
)
@click.option("--layers", is_flag=True, help="Time each kernel too, in a build of its own (needs --model).")
@click.option("--plot", type=click.Path(path_type=Path), metavar="F.png", help="Draw the result there (.png, .svg).")
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(1), metavar="N", help="Bursts of each.")
@click.option(
    "--seconds", default=0.15, show_default=True, type=click.FloatRange(0, 60), metavar="S", help="Length of a burst."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the input.")
@json_option
def command(artefact: str, model: str | None, plot: Path | None, as_json: bool, **given: Any) -> None:
    """Time ARTEFACT, a compiled folder, against the peers that are installed.

    Each program runs in a process of its own, in bursts that take turns; while one is timed, the others are
    stopped. All get the same input and the same number of threads, and a peer whose outputs differ from ours is
    reported and not timed. Without --model, only the artefact is timed.

    An artefact for an ARM CPU that is not here is counted instead: the instructions of one emulated inference, and
    llvm-mca's cycles of each kernel's hottest loop. Of the options, only --seed and --json count then.

    An artefact for a GPU is timed by CUDA events, --layers each launch too. Without a GPU here its launches are
    interpreted instead: instructions, shared and global memory, occupancy, and the roofline time of the target's
    card, all of them estimates. Of the options, only --seed and --json count then.
    """
    from nincc.emulate.cuda.session import gpu_target_of

    if gpu_target_of(existing(artefact)) is not None:
        from nincc.cli.gpu import bench_gpu

        bench_gpu(Path(artefact), {**given, "model": model, "plot": plot}, as_json)
        return
    from nincc.bench.estimate import is_estimated

    if is_estimated(Path(artefact)):
        _estimate(artefact, model, given, as_json)
        return
    from nincc.bench.measure import BenchOptions, bench
    from nincc.bench.plot import check_plot, plot_bench

    if plot is not None:
        check_plot(plot)
    with progress("bench") as tell:
        result = bench(artefact, model, BenchOptions(**given), tell)
    if plot is not None:
        plot_bench(result, plot)
    for text in result.notes:
        note(text)
    show(result.to_dict(), as_json, lambda: _text(result))


def _estimate(artefact: str, model: str | None, given: dict[str, Any], as_json: bool) -> None:
    """Counts instead of times, for a CPU that is not here."""
    from nincc.bench.estimate import estimate
    from nincc.cli.estimate import estimate_text

    wanted = [name for name in ("against", "layers") if given[name]] + (["model"] if model else [])
    if wanted:
        raise UsageError(f"--{wanted[0]} times programs, and the artefact's CPU is not here", where=artefact)
    with progress("bench") as tell:
        tell("count instructions", 0, 0)
        result = estimate(Path(artefact), given["seed"])
    show(result.to_dict(), as_json, lambda: estimate_text(result))


def _text(result: Any) -> str:
    parts = [_heading(result), _programs(result), _costs(result)]
    if result.layers:
        parts.append(_layers(result))
    return "\n\n".join(parts)


def _heading(result: Any) -> str:
    limit = result.peak.direct_limit(result.macs) * 1e3
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    return "\n".join(
        (
            f"{result.model}, batch {result.batch}, {result.target}, {threads}",
            f"{result.machine.cpu}, {result.machine.cores} cores",
            f"FMA peak {result.peak.gflops:.1f} GFLOPS; {result.macs:,} MACs: direct convolution takes {limit:.3f} ms"
            " or more",
            *([f"a cache line from core to core and back: {result.apart} ns"] if result.apart else []),
        )
    )


def _programs(result: Any) -> str:
    header = ("program", "version", "median ms", "min", "p10", "p90", "ours/it", "GFLOPS", "of peak", "differs")
    rows = [_program_row(result, program) for program in result.programs if program.timing]
    lines = [table(rows, header, right=range(2, 10))]
    lines += [f"{program.name}: {program.note}" for program in result.programs if program.note]
    return "\n".join(lines)


def _program_row(result: Any, program: Any) -> tuple[str, ...]:
    timing = program.timing
    gflops = timing.gflops(result.macs)
    times = (timing.median, timing.minimum, timing.p10, timing.p90)
    return (
        program.name,
        program.version,
        *(f"{second * 1e3:.3f}" for second in times),
        f"{result.ratio(program):.2f}",
        f"{gflops:.1f}",
        f"{gflops / result.peak.gflops:.0%}",
        "-" if program.difference is None else f"{program.difference:.0e}",
    )


def _costs(result: Any) -> str:
    header = ("program", "import ms", "load ms", "first ms", "peak memory", "model files", "libraries")
    rows = [
        (
            program.name,
            *(f"{second * 1e3:.1f}" for second in (program.import_s, program.load_s, program.first_s)),
            *(bytes_text(count) for count in (program.peak_bytes, program.model_bytes, program.library_bytes)),
        )
        for program in result.programs
        if program.timing
    ]
    return table(rows, header, right=range(1, 7))


def _layers(result: Any) -> str:
    """Each kernel against the time of its own multiplications at the FMA peak."""
    total = sum(layer.seconds for layer in result.layers)
    rows = [
        (
            layer.layer or "-",
            layer.algorithm,
            f"{layer.macs:,}",
            f"{layer.seconds * 1e6:.1f}",
            f"{layer.seconds / total:.0%}",
            f"{layer.limit * 1e6:.1f}" if layer.macs else "-",
            f"{layer.limit / layer.seconds:.0%}" if layer.macs else "-",
        )
        for layer in result.layers
    ]
    rows.append(("all", "", f"{result.macs:,}", f"{total * 1e6:.1f}", "100%", "", ""))
    header = ("layer", "kernel", "MACs", "median us", "share", "limit us", "of limit")
    return table(rows, header, right=range(2, 7))
