"""Renders every generated text of an artefact from a :class:`Driver`."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from nincc.codegen.driver import specs
from nincc.codegen.driver.cuda import cuda_values
from nincc.codegen.driver.features import cpu_template, feature_rows
from nincc.codegen.driver.layout import ContextLayout, context_layout
from nincc.codegen.driver.steps import kernel_prototypes, step_calls
from nincc.codegen.driver.template import fill, plain_text
from nincc.codegen.program import Program
from nincc.errors import UsageError
from nincc.gpu_target import GpuTarget
from nincc.target import AnyTarget, Target, host_of

API = ("open", "open_in", "run", "close", "selftest", "manifest", "strerror", "last_error")

HUGE_PAGE = 2 << 20  # bytes: x86's, and ARM's where small pages are 4 KiB

# NAME_open and the like would clash with these of the C library.
_TAKEN = ("mq", "sem", "shm")


@dataclass(frozen=True)
class Driver:
    """What the generated code says of a net.

    ``model`` and ``sha256`` name the ONNX file.  ``tolerance`` is the selftest's largest allowed absolute
    error, None for a library without stored outputs.  ``profile`` adds ``NAME_profile``.
    """

    name: str
    program: Program
    target: AnyTarget
    model: str
    sha256: str
    version: str
    tolerance: float | None = None
    profile: bool = False

    @property
    def host(self) -> Target:
        """The CPU that the C code is compiled for."""
        return host_of(self.target)


def check_name(name: str) -> str:
    """``name`` if it can prefix C symbols and name a Python module; UsageError otherwise."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name, re.ASCII) or keyword.iskeyword(name):
        raise UsageError(
            f"'{name}' cannot name a net",
            hint="use a letter, then letters, digits and underscores (at most 64), and no Python keyword",
        )
    if name in _TAKEN:
        hint = f"{name}_open belongs to the C library; take another name"
        raise UsageError(f"'{name}' cannot name a net", hint=hint)
    return name


def api_symbols(driver: Driver) -> list[str]:
    """The symbols that the libraries export."""
    functions = [*API]
    if isinstance(driver.target, GpuTarget):
        functions.append("run_device")
    if driver.profile:
        functions.append("profile")
    return [f"{driver.name}_{function}" for function in functions]


def driver_sources(driver: Driver) -> dict[str, str]:
    """Texts of the files that compile to the driver's object, by file name.

    ``data.s`` includes ``weights.bin``, ``expected.bin`` (float32) and ``manifest.json`` from its folder, and for
    a GPU ``kernels.ptx`` and ``kernels.cubin``.
    """
    values = _values(driver)
    gpu = isinstance(driver.target, GpuTarget)
    values |= {key: fill(file, driver.name, values) for key, file in _parts(driver).items()}
    if driver.profile:
        values["profile"] = fill("cuda_profile.c.in" if gpu else "profile.c.in", driver.name, values)
    data = fill("cuda_data.s.in", driver.name, values) if gpu else ""
    return {
        f"{driver.name}.h": fill("api.h.in", driver.name, _values(driver)),
        "driver.c": fill("cuda.c.in" if gpu else "driver.c.in", driver.name, values),
        "data.s": data + fill("data.s.in", driver.name, values),
    }


def artefact_texts(driver: Driver) -> dict[str, str]:
    """Texts that ship beside the libraries, by file name."""
    values = _values(driver)
    files = {
        f"{driver.name}.h": "api.h.in",
        f"{driver.name}.py": "net.py.in",
        f"{driver.name}.pc": "package.pc.in",
        "example.c": "example.c.in",
        "NOTICE": "NOTICE.in",
    }
    return {file: fill(template, driver.name, values) for file, template in files.items()}


def _parts(driver: Driver) -> dict[str, str]:
    """Which template stands for which key of the driver's own template."""
    parts = {
        "checks": "checks.c.in",
        "status": "status.c.in",
        "selftest": "no_selftest.c.in" if driver.tolerance is None else "selftest.c.in",
    }
    if isinstance(driver.target, GpuTarget):
        run = "cuda_run_profile.c.in" if driver.profile else "cuda_run.c.in"
        return parts | {"loader": "cuda_loader.c.in", "context": "cuda_context.c.in", "run_graph": run}
    weights = "weights.c.in" if len(driver.program.weights) >= HUGE_PAGE else "few_weights.c.in"
    return parts | {"cpu": cpu_template(driver.target), "pool": "pool.c.in", "weights": weights}


def _values(driver: Driver) -> dict[str, object]:
    program = driver.program
    return {
        "name": driver.name,
        "upper": driver.name.upper(),
        "title": plain_text(driver.model),
        "model": plain_text(driver.model),
        "sha256": driver.sha256,
        "version": driver.version,
        "target": driver.target.name,
        "threads": program.threads,
        "step_count": len(program.steps),
        "tolerance": repr(driver.tolerance),
        **specs.tensor_values(driver.name, program.inputs, program.outputs),
        **specs.profile_values(driver.name, len(program.steps), driver.profile),
        **_target_values(driver),
    }


def _target_values(driver: Driver) -> dict[str, object]:
    """What differs between a CPU's templates and a GPU's."""
    program = driver.program
    if isinstance(driver.target, GpuTarget):
        values = cuda_values(program, driver.target, driver.profile)
        return values | specs.device_values(driver.name, program.inputs, program.outputs)
    return {
        "features": feature_rows(driver.target),
        "kernels": kernel_prototypes(program),
        "steps": step_calls(program),
        "weight_bytes": len(program.weights),
        "huge_page": HUGE_PAGE,
        **_layout_values(context_layout(program, driver.profile)),
        **specs.no_device_values(),
    }


def _layout_values(layout: ContextLayout) -> dict[str, object]:
    return {
        "head_bytes": layout.head_bytes,
        "context_bytes": layout.context_bytes,
        "input_copies": ", ".join(map(str, layout.input_copies)),
        "output_copies": ", ".join(map(str, layout.output_copies)),
    }
