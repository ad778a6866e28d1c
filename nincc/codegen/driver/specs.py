"""Names, shapes and sizes of a net's inputs and outputs, as the templates need them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from nincc.codegen.driver.template import c_string, fill, plain_text
from nincc.tensor import TensorSpec

Specs = Sequence[TensorSpec]


def tensor_values(name: str, inputs: Specs, outputs: Specs) -> dict[str, object]:
    """Template values for the C API, the driver, the example and the Python file."""
    input_names, output_names = _parameters("input", inputs), _parameters("output", outputs)
    return {
        "shapes": _macros(name, inputs, outputs),
        "run_doc": _run_doc(inputs, outputs),
        "parameters": ", ".join(
            [f"const float *{p}" for p in input_names] + [f"float *{p}" for p in output_names]
        ),
        "arguments": ", ".join(input_names + output_names),
        "input_names": ", ".join(input_names),
        "output_names": ", ".join(output_names),
        "input_count": len(inputs),
        "output_count": len(outputs),
        "input_elements": ", ".join(str(spec.elements) for spec in inputs),
        "output_elements": ", ".join(str(spec.elements) for spec in outputs),
        "input_total": sum(spec.elements for spec in inputs),
        "output_total": sum(spec.elements for spec in outputs),
        "inputs": repr([(spec.name, spec.shape) for spec in inputs]),
        "outputs": repr([(spec.name, spec.shape) for spec in outputs]),
        "call": ", ".join(f"{p}{list(spec.shape)}" for p, spec in zip(input_names, inputs, strict=True)),
        "bind": "\n".join(_BIND.format(i=i) for i in range(len(inputs))),
        "results": ", ".join(f"self._results[{i}].copy()" for i in range(len(outputs))),
        **_example_values(inputs, outputs),
    }


def profile_values(name: str, steps: int, profile: bool) -> dict[str, object]:
    """Template values of the per-step timing; empty texts without it."""
    if not profile:
        keys = ("profile", "profile_field", "profile_signature", "profile_method")
        return {"steps_macro": _STEP, **dict.fromkeys(keys, "")}
    return {
        "profile": f"\n#define {name.upper()}_STEPS {steps}\n"
        "/* Seconds that each step of the context's last run took; manifest.json names the steps. */\n"
        f"{name}_status {name}_profile({name}_context *context, double *seconds);\n",
        "profile_field": "    double seconds[STEPS];\n",
        "steps_macro": _TIMED_STEP,
        "profile_signature": " " * 12 + f"library.{name}_profile.argtypes = [ctypes.c_void_p] * 2\n",
        "profile_method": _PROFILE_METHOD.format(name=name, steps=steps),
    }


def device_values(name: str, inputs: Specs, outputs: Specs) -> dict[str, object]:
    """Template values of what a GPU's library has beyond a CPU's."""
    given = [f"device_{parameter}" for parameter in _parameters("input", inputs)]
    made = [f"device_{parameter}" for parameter in _parameters("output", outputs)]
    parameters = ", ".join([f"const void *{p}" for p in given] + [f"void *{p}" for p in made])
    names = {"name": name, "parameters": parameters}
    return {
        "device_parameters": parameters,
        "device_input_names": ", ".join(given),
        "device_output_names": ", ".join(made),
        "device_api": _DEVICE_API.format(**names),
        "device_doc": _DEVICE_DOC.format(**names),
        "libraries": "-lm -lpthread -ldl",
        "kernel_code": "PTX that nincc generated with Apache TVM and LLVM, perhaps assembled by ptxas",
        "device_classes": fill("dlpack.py.in", name, names),
        "device_signature": _DEVICE_SIGNATURE.format(**names),
        "device_call": _DEVICE_CALL,
        "device_call_doc": _DEVICE_CALL_DOC,
        "device_import": "import sys\n",
        "open_parameter": "device=0",
        "open_options": "self.device",
        "open_doc": "``device`` is the GPU's number.",
        "device_field": "        self.device = device\n",
        "device_keywords": ", stream=None, out=None",
        "device_method": fill("net_device.py.in", name, names),
    }


def no_device_values() -> dict[str, object]:
    """The same for a CPU's library: none of it."""
    code = "machine code that nincc generated with Apache TVM and LLVM"
    values = {
        "libraries": "-lm -lpthread",
        "kernel_code": code,
        "open_parameter": "map_weights=False",
        "open_options": "0, bool(map_weights)",
        "open_doc": _MAP_WEIGHTS_DOC,
    }
    return {**values, **dict.fromkeys(_DEVICE_KEYS, "")}


_MAP_WEIGHTS_DOC = """With ``map_weights`` it reads the weights
    from the library's file, which processes share; else from a copy, faster by a few per cent, one for all Nets."""


_DEVICE_API = """
/* The same with tensors in device memory of the context's GPU, aligned to 16 bytes: launches into `stream` (a CUstream
 * or cudaStream_t; NULL: the default stream) and returns at once.  The tensors must live until the stream is done. */
{name}_status {name}_run_device({name}_context *context, {parameters}, void *stream);
"""

_DEVICE_SIGNATURE = """            pointers = [ctypes.c_void_p] * (2 + len(INPUTS + OUTPUTS))
            library.{name}_run_device.argtypes = pointers
"""

_DEVICE_DOC = """ * The first {name}_open opens the GPU's driver library; weights and workspace lie on the device.
"""

_DEVICE_KEYS = (
    "device_api", "device_doc", "device_classes", "device_signature", "device_call", "device_call_doc", "device_import",
    "device_field", "device_keywords", "device_method",
)  # fmt: skip

_DEVICE_CALL_DOC = """
        Arrays in device memory (anything with ``__dlpack__``: torch, cupy) are read where they are: launches go into
        ``stream`` (default: the default stream), and the outputs are new arrays of the same library, or ``out``.
"""

_DEVICE_CALL = """        if any(_is_on_device(array) for array in arrays):
            return self._on_device(arrays, stream, out)
        if stream is not None or out is not None:
            raise ValueError("stream and out are for arrays in device memory")
"""

# After an inference the caches hold weights, not Python, so that each line of code comes from afar.  Those that find an
# array's memory take 5 us, which an array that comes again is spared; a loop over one or two arrays would take some 10.
_BIND = """            given = arrays[{i}]
            if given is not self._arrays[{i}] or not _is_plain(given, INPUTS[{i}][1]):
                array = _checked(given, *INPUTS[{i}])
                memory = self._memory[{i}] = _memory(array)
                # A copy is made anew at each call: its source may have changed.
                self._arrays[{i}] = given if given is array and type(memory) is _Floats else _UNBOUND"""

_STEP = """#define STEP(index, layer, call)          \\
    do {                                  \\
        if ((call) != 0) return layer;    \\
    } while (0)
"""

_TIMED_STEP = """#define STEP(index, layer, call)                                        \\
    do {                                                                \\
        int64_t start = now();                                          \\
        if ((call) != 0) return layer;                                  \\
        context->seconds[index] = (double)(now() - start) * 1e-9;       \\
    } while (0)
"""

_PROFILE_METHOD = '''
    def profile(self):
        """Seconds that each step of the last call took, as an array."""
        seconds = numpy.empty({steps}, numpy.float64)
        with self._turn:
            _check(self._library.{name}_profile(self._context, seconds.ctypes.data))
        return seconds
'''


def _parameters(kind: str, specs: Specs) -> list[str]:
    """``input`` where there is one, else ``input0``, ``input1`` … in graph order."""
    return [kind] if len(specs) == 1 else [f"{kind}{index}" for index in range(len(specs))]


def _macros(name: str, inputs: Specs, outputs: Specs) -> str:
    lines = []
    for kind, specs in (("input", inputs), ("output", outputs)):
        for parameter, spec in zip(_parameters(kind, specs), specs, strict=True):
            prefix = f"{name}_{parameter}".upper()
            shape = ", ".join(map(str, spec.shape))
            lines += [
                f"#define {prefix}_NAME {c_string(spec.name)}",
                f"#define {prefix}_RANK {len(spec.shape)}",
                f"#define {prefix}_SHAPE {{ {shape} }}",
                f"#define {prefix}_ELEMENTS {spec.elements}",
            ]
    return "\n".join(lines)


def _run_doc(inputs: Specs, outputs: Specs) -> str:
    if len(inputs) == len(outputs) == 1:
        return ""
    parts = [
        f"{parameter} {plain_text(spec.name)} [{', '.join(map(str, spec.shape))}]"
        for kind, specs in (("input", inputs), ("output", outputs))
        for parameter, spec in zip(_parameters(kind, specs), specs, strict=True)
    ]
    return "  Tensors in graph order:\n" + "".join(f" *     {part}\n" for part in parts) + " *"


def _example_values(inputs: Specs, outputs: Specs) -> dict[str, object]:
    files = [f"{parameter}.f32" for parameter in _parameters("input", inputs)]
    starts = [0, *accumulate(spec.elements for spec in inputs)]
    ends = [0, *accumulate(spec.elements for spec in outputs)]
    reads = [
        f"    if (read_file(argv[{index + 1}], inputs + {starts[index]}, {spec.elements}) != 0) return 1;"
        for index, spec in enumerate(inputs)
    ]
    images = outputs[0].shape[0] if len(outputs[0].shape) > 1 else 1
    arguments = [f"inputs + {start}" for start in starts[:-1]] + [f"outputs + {end}" for end in ends[:-1]]
    return {
        "files": " ".join(files),
        "shape_text": "; ".join(" x ".join(map(str, spec.shape)) for spec in inputs),
        "reads": "\n".join(reads),
        "example_arguments": ", ".join(arguments),
        "images": images,
        "classes": outputs[0].elements // images,
    }
