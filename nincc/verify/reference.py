"""The two references: ONNX Runtime on the file as given, and float64 on the graph that nincc imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from nincc.errors import ModelError
from nincc.frontend.model import Model
from nincc.verify.evaluator import evaluate
from nincc.verify.ops.registry import Array

# A compile tells nobody anything: Microsoft's builds of ONNX Runtime send telemetry unless told not to.
onnxruntime.disable_telemetry_events()


class OnnxRuntime:
    """ONNX Runtime on the original file, float32: it knows nothing of nincc's frontend.

    A dynamic batch is pinned only by the batch that is fed.  Raises ModelError where ONNX Runtime refuses
    the file or the inputs.
    """

    name = f"onnxruntime {onnxruntime.__version__} (float32) on the original file"

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = False  # one run: the arena would only hold memory
        self._path = path
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class
            raise self._refused(error) from error

    @property
    def outputs(self) -> list[str]:
        """The names of the file's own outputs."""
        return [output.name for output in self._session.get_outputs()]

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Every output of the file, by name."""
        try:
            return dict(zip(self.outputs, self._session.run(None, inputs), strict=True))
        except Exception as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ModelError:
        reason = " ".join(str(error).split())[:300]
        return ModelError(f"ONNX Runtime cannot run it: {reason}", where=str(self._path))


class Float64:
    """The Relay module before nincc's passes, evaluated in float64."""

    name = "float64 evaluation of the imported graph"

    def __init__(self, model: Model, relay_module: Any) -> None:
        self._outputs = [spec.name for spec in model.outputs]
        self._module = relay_module

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Every output of the model, by name."""
        return dict(zip(self._outputs, evaluate(self._module, inputs), strict=True))
