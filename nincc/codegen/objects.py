"""One PrimFunc to one ELF object, by TVM's LLVM back end: a plain C function, no TVM runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nincc._tvm import tvm
from nincc.codegen.lower import tvm_target
from nincc.target import Target


def emit_object(name: str, func: Any, target: Target, folder: Path) -> Path:
    """Compiles ``func`` to ``folder/name.o`` with the C symbol ``name`` and returns the file's path.

    The function takes a pointer for each parameter and returns int32 (0: done).  Parallel loops call
    ``TVMBackendParallelLaunch``.  LLVM may abort the process on a bad module: call in a child process.
    """
    machine = tvm_target(target)
    module = tvm.IRModule({name: func.with_attr("global_symbol", name)})
    # "crt" with "system-lib" makes runtime functions plain symbols instead of pointers filled in by a loader.
    module = module.with_attr("executor", tvm.relay.backend.Executor("aot", {"unpacked-api": True}))
    module = module.with_attr("runtime", tvm.relay.backend.Runtime("crt", {"system-lib": True}))
    with machine, tvm.transform.PassContext(opt_level=3, config={"tir.disable_cse_tir": True}):
        compiled = tvm.driver._ffi_api.tir_to_runtime({machine: module}, machine)
    path = folder / f"{name}.o"
    _llvm_module(compiled).save(str(path), "o")
    return path


def _llvm_module(module: Any) -> Any:
    """The LLVM module within what ``tir_to_runtime`` returns."""
    if module.type_key == "llvm":
        return module
    return next(_llvm_module(inner) for inner in module.imported_modules)
