"""Relay, after our passes, to TIR kernels in the order they run.

The module is fused and brought to A-normal form; each primitive function is lowered by Relay's own
compiler through its op strategies (ours for ``nincc.*``, TOPI's for the rest), and each call of one
becomes a :class:`Call`.  Values that only rename another (reshape, tuples) cost nothing, nor on a CPU do
parts of one (:mod:`nincc.codegen.values`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nincc._tvm import tvm
from nincc.codegen.cuda.schedule import Scheduler
from nincc.codegen.cuda.split import DeviceKernels, split_kernels
from nincc.codegen.scratch import Hoisted, hoist_scratch
from nincc.codegen.values import Value, joined, sliced
from nincc.errors import InternalError
from nincc.gpu_target import GpuTarget
from nincc.target import AnyTarget, Target

relay = tvm.relay


@dataclass(frozen=True)
class Call:
    """One run of a kernel: reads ``inputs``, writes ``outputs``."""

    kernel: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    function: Any


@dataclass
class Lowered:
    """The net as kernels (by name), calls in order, and the values of the graph's outputs."""

    kernels: dict[str, Hoisted | DeviceKernels] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)


def tvm_target(target: Target) -> Any:
    """TVM's description of ``target``; the key ``nincc`` leads to our strategies."""
    text = f"llvm -keys=nincc,cpu -mtriple={target.triple} -mcpu={target.cpu}"
    if target.triple.endswith("hf"):
        text += " -mfloat-abi=hard"
    if target.features:
        text += " -mattr=" + ",".join(target.features)
    return tvm.target.Target(text, host=text)


def lower(mod: Any, target: AnyTarget, threads: int) -> Lowered:
    """Lowers ``mod["main"]``; large scratch memory of a kernel becomes parameters of it."""
    kernels = _GpuKernels(target) if isinstance(target, GpuTarget) else _CpuKernels(target, threads)
    with kernels.machine, tvm.transform.PassContext(opt_level=3, config={"tir.disable_cse_tir": True}):
        mod = tvm.transform.Sequential(
            [
                relay.transform.InferType(),
                relay.transform.FuseOps(fuse_opt_level=2),
                relay.transform.ToANormalForm(),
                relay.transform.InferType(),
            ]
        )(mod)
        return _Lowerer(kernels).run(mod["main"])


class _CpuKernels:
    """Primitive functions to kernels that are called."""

    has_parts = True

    def __init__(self, target: Target, threads: int) -> None:
        self.machine = tvm_target(target)
        self._threads = threads
        self._compiler = tvm.relay.backend.te_compiler.get()
        self._compiler.clear()

    def lower(self, function: Any) -> tuple[str, Any]:
        """The PrimFunc of ``function``, and a name that equal functions share."""
        funcs = dict(self._compiler.lower(function, self.machine).funcs.functions.items())
        if len(funcs) != 1:
            raise InternalError(f"Relay lowered one function to {len(funcs)} kernels: {list(funcs)}")
        ((var, prim_func),) = funcs.items()
        return var.name_hint, prim_func

    def finish(self, name: str, func: Any) -> Hoisted:
        return hoist_scratch(func, self._threads)


class _GpuKernels:
    """Primitive functions to kernels that are launched; the driver's tensors have no parts."""

    has_parts = False

    def __init__(self, target: GpuTarget) -> None:
        self._scheduler = Scheduler(target)
        self.machine = self._scheduler.ours

    def lower(self, function: Any) -> tuple[str, Any]:
        """The PrimFunc of ``function``, and a name that equal functions share."""
        return self._scheduler.lower(function)

    def finish(self, name: str, func: Any) -> DeviceKernels:
        return split_kernels(name, func, self.machine)


class _Lowerer:
    """Walks the let-bindings of main once, in order."""

    def __init__(self, kernels: _CpuKernels | _GpuKernels) -> None:
        self.kernels = kernels
        self.values: dict[Any, Any] = {}
        self.names: dict[str, str] = {}
        self.result = Lowered()

    def run(self, main: Any) -> Lowered:
        for index, param in enumerate(main.params):
            self.values[param] = Value(_type_bytes(param.checked_type), input_index=index)
        body = main.body
        while isinstance(body, relay.Let):
            self.values[body.var] = self._bind(body.value)
            body = body.body
        self.result.results = _flatten(self._value(body))
        self._separate_results()
        return self.result

    def _bind(self, expr: Any) -> Any:
        if isinstance(expr, relay.Function):
            return expr
        if isinstance(expr, relay.Call):
            return self._call(expr)
        return self._value(expr)

    def _value(self, expr: Any) -> Any:
        if isinstance(expr, relay.Constant):
            data = expr.data.numpy()
            return Value(data.nbytes, constant=data)
        if isinstance(expr, relay.Tuple):
            return [self._value(item) for item in expr.fields]
        if isinstance(expr, relay.TupleGetItem):
            return self._value(expr.tuple_value)[expr.index]
        if isinstance(expr, relay.Call):
            return self._call(expr)
        return self.values[expr]

    def _call(self, call: Any) -> Any:
        function = call.op if isinstance(call.op, relay.Function) else self.values[call.op]
        inputs = [value for arg in call.args for value in _flatten(self._value(arg))]
        if _renames_only(function):
            return inputs[0]
        if self.kernels.has_parts and isinstance(call.checked_type, relay.TensorType):
            size = _type_bytes(call.checked_type)
            part = sliced(function, inputs, size) or joined(function, inputs, size)
            if part is not None:
                return part
        outputs = [Value(size) for size in _tuple_bytes(call.checked_type)]
        self._emit(function, inputs, outputs)
        return outputs if isinstance(call.checked_type, relay.TupleType) else outputs[0]

    def _emit(self, function: Any, inputs: list[Value], outputs: list[Value]) -> None:
        name = self._kernel(function)
        self.result.calls.append(Call(name, tuple(inputs), tuple(outputs), function))

    def _kernel(self, function: Any) -> str:
        """Lowers ``function`` to a PrimFunc, once, and names it by its place and its op."""
        hint, prim_func = self.kernels.lower(function)
        if hint not in self.names:
            op = hint.split("#")[0].removeprefix("tvmgen_default_").removeprefix("fused_").replace("nincc_", "")
            name = f"k{len(self.names):02d}_{op[:40]}"
            self.names[hint] = name
            self.result.kernels[name] = self.kernels.finish(name, prim_func)
        return self.names[hint]

    def _separate_results(self) -> None:
        """Each graph output is written by kernels of its own: copies inputs, constants, parts and repeats."""
        seen: list[Value] = []
        for index, value in enumerate(self.result.results):
            if not value.is_written or any(value is v for v in seen):
                value = self._copy(value)
                self.result.results[index] = value
            seen.append(value)

    def _copy(self, value: Value) -> Value:
        var = relay.var("x", shape=(value.bytes // 4,), dtype="float32")
        function = relay.Function([var], relay.copy(var)).with_attr("Primitive", tvm.tir.IntImm("int32", 1))
        function = relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]
        copied = Value(value.bytes)
        self._emit(function, [value], [copied])
        return copied


def _renames_only(function: Any) -> bool:
    """Whether Relay marked ``function`` as a reshape, which moves no bytes."""
    attrs = function.attrs
    return bool(attrs and "relay.reshape_only" in attrs and int(attrs["relay.reshape_only"]))


def _flatten(value: Any) -> list[Value]:
    return [leaf for item in value for leaf in _flatten(item)] if isinstance(value, list) else [value]


def _tuple_bytes(kind: Any) -> list[int]:
    if isinstance(kind, relay.TupleType):
        return [size for item in kind.fields for size in _tuple_bytes(item)]
    return [_type_bytes(kind)]


def _type_bytes(kind: Any) -> int:
    count = 1
    for extent in kind.concrete_shape:
        count *= int(extent)
    return int(count * (tvm.DataType(kind.dtype).bits // 8))
