"""The pipeline: one list of passes in order, and the runner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nincc._tvm import tvm
from nincc.errors import InternalError, NinccError
from nincc.gpu_target import GpuTarget
from nincc.options import CompileOptions
from nincc.passes.base import Pass
from nincc.passes.cancel_transposes import CancelTransposes
from nincc.passes.canonicalize_global_pool import CanonicalizeGlobalPool
from nincc.passes.conv1x1_to_gemm import Conv1x1ToGemm
from nincc.passes.expand_batch_norm import ExpandBatchNorm
from nincc.passes.fold_global_avg_pool import FoldGlobalAvgPool
from nincc.passes.fold_padding import FoldPadding
from nincc.passes.fold_scale_axis import FoldScaleAxis
from nincc.passes.fuse_gemm_chain import FuseGemmChain
from nincc.passes.fuse_head import FuseHead
from nincc.passes.fuse_mlpconv import FuseMlpconv
from nincc.passes.fuse_pool import FusePool
from nincc.passes.layout import Layout
from nincc.passes.pick_conv_algorithm import PickConvAlgorithm
from nincc.passes.record import PassRecord
from nincc.passes.schedules import schedules_record
from nincc.passes.simplify_reshape import SimplifyReshape
from nincc.passes.split_batch import SplitBatch
from nincc.passes.standard import DeadCodeElimination, FoldConstant, SimplifyInference
from nincc.target import AnyTarget

relay = tvm.relay

CANONICAL: tuple[Pass, ...] = (
    # Inference only: batch normalisation opened up, training's leftovers gone, constants computed.
    ExpandBatchNorm(),
    SimplifyInference(),
    FoldConstant(),
    DeadCodeElimination(),
    # One way to write each thing: no transposes, padding in the convolution, scales in the weights.
    SimplifyReshape(),
    CancelTransposes(),
    FoldPadding(),
    FoldScaleAxis(),
    CanonicalizeGlobalPool(),
)

KERNELS: tuple[Pass, ...] = (
    # Each pass leaves pack and unpack around what it emits.
    Conv1x1ToGemm(),
    FoldGlobalAvgPool(),
    PickConvAlgorithm(),
    FusePool(),
    # Packed from end to end: reshapes and transposes that stand between pack and unpack go first.
    SimplifyReshape(),
    CancelTransposes(),
    Layout(),
    SimplifyReshape(),
)

PIPELINE: tuple[Pass, ...] = (
    *CANONICAL,
    # The first blocks, a part of the batch at a time.
    SplitBatch(),
    *KERNELS,
    # 1×1 convolutions that now follow each other share a kernel.
    FuseGemmChain(),
)

GPU_PIPELINE: tuple[Pass, ...] = (
    *CANONICAL,
    *KERNELS,
    # Launches: layers that share one, each cut to fill the card.
    FuseMlpconv(),
    FuseHead(),
    SimplifyReshape(),
)


def pipeline_for(target: AnyTarget) -> tuple[Pass, ...]:
    """The passes that a compile for ``target`` runs."""
    return GPU_PIPELINE if isinstance(target, GpuTarget) else PIPELINE


def optimize(module: Any, options: CompileOptions) -> tuple[Any, list[PassRecord]]:
    """Run the pipeline on a module of standard operators.

    Returns the module, whose main calls ``nincc`` operators, and a record for every pass and for the schedules.  With
    ``options.dump_ir`` the module goes to that folder before the first pass and after each.
    """
    module, records = run_passes(module, pipeline_for(options.target), options)
    return module, [*records, schedules_record(module, options)]


def run_passes(module: Any, passes: Sequence[Pass], options: CompileOptions) -> tuple[Any, list[PassRecord]]:
    """Run ``passes`` in order; a failure names the pass and those that ran before it."""
    records: list[PassRecord] = []
    module = relay.transform.InferType()(module)
    _dump(module, options.dump_ir, 0, "Imported")
    for step in passes:
        try:
            module, record = step(module, options)
        except NinccError as error:
            if error.exit_code != 1:
                raise
            raise _failure(step, records, error) from error
        except Exception as error:
            raise _failure(step, records, error) from error
        records.append(record)
        _dump(module, options.dump_ir, len(records), step.name)
    return module, records


def _failure(step: Pass, records: list[PassRecord], error: Exception) -> InternalError:
    before = ", ".join(record.pass_name for record in records) or "none"
    return InternalError(f"pass {step.name} failed: {error}", hint=f"passes before it: {before}")


def _dump(module: Any, folder: Path | None, number: int, name: str) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:02d}_{name}.txt").write_text(module.astext(show_meta_data=False) + "\n")
