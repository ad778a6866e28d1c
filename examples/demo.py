"""Compiles two small NINs trained on handwritten digits, runs the libraries, and checks every result.

    make demo

Each net is compiled as it is (its pool folded into the last convolution) and with ``keep_maps``, which
gives the last block's maps as a further output. Printed are the accuracy on 200 digits that the nets
were not trained on, whether each digit agrees with ONNX Runtime, and on how many digits the label's own
confidence map has the highest mean of all ten. Ends with exit code 1 if a digit disagrees or a share is
below 95 %.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import nincc

Array = np.ndarray[Any, Any]
ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
NETS = {
    "digits_linear": "ends in a 1x1 convolution and the pool",
    "digits_relu": "ends in a 1x1 convolution, ReLU, the pool and softmax",
}
TOLERANCE = 2e-5  # of the largest score
LEAST_SHARE = 0.95


def main() -> int:
    digits = np.load(DATA / "digits.npz")
    images = digits["images"].astype(np.float32)[:, None] / 255
    good = [show(name, text, images, digits["labels"]) for name, text in NETS.items()]
    print("all digits agree with ONNX Runtime" if all(good) else "FAILED: see above")
    return 0 if all(good) else 1


def show(name: str, text: str, images: Array, labels: Array) -> bool:
    """Compile a net, run it on every digit and print what came out; whether all of it is as it should be."""
    print(f"{name}: {text}")
    model = DATA / f"{name}.onnx"
    (scores,) = run(model, name, images)
    kept_scores, maps = run(model, f"{name}_maps", images, keep_maps=True)
    reference = onnx_runtime(model, images)
    agrees = compare(scores, reference, labels) and compare(kept_scores, reference, labels, "  with maps kept:")
    return compare_maps(maps, labels) and agrees


def run(model: Path, name: str, images: Array, keep_maps: bool = False) -> list[Array]:
    """Every output of the compiled net for every digit, one digit at a time."""
    folder = ROOT / "build" / "demo" / name
    start = time.perf_counter()
    nincc.compile(model, target="x86", out=folder, name=name, keep_maps=keep_maps)
    print(f"  compiled and verified in {time.perf_counter() - start:.1f} s: {folder.relative_to(ROOT)}", flush=True)
    net = nincc.load(folder)
    results = [net(image[None]) for image in images]
    return [np.concatenate(parts) for parts in zip(*(r if keep_maps else (r,) for r in results), strict=True)]


def compare(scores: Array, reference: Array, labels: Array, intro: str = " ") -> bool:
    """Hold the library's scores against the reference's, digit by digit."""
    answers, expected, total = scores.argmax(1), reference.argmax(1), len(labels)
    differing = np.flatnonzero(answers != expected)
    for index in differing:
        print(f"  digit {index}: nincc says {answers[index]}, ONNX Runtime {expected[index]}")
    error = float(np.abs(scores - reference).max() / np.abs(reference).max())
    accuracy, theirs = share(scores, labels), share(reference, labels)
    print(f"{intro} accuracy {accuracy:.1%} on {total} digits, by ONNX Runtime {theirs:.1%};", end=" ")
    print(f"same answer on {total - len(differing)} of {total}, scores within {error:.0e} of the largest")
    return not len(differing) and error <= TOLERANCE and accuracy >= LEAST_SHARE


def compare_maps(maps: Array, labels: Array) -> bool:
    """On how many digits the label's confidence map has the highest mean."""
    highest = share(maps.mean(axis=(2, 3)), labels)
    print(f"  the label's own confidence map has the highest mean on {highest:.1%}")
    return highest >= LEAST_SHARE


def onnx_runtime(model: Path, images: Array) -> Array:
    """The reference's scores, one digit at a time."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def share(scores: Array, labels: Array) -> float:
    """The part of the digits whose label has the highest score."""
    return float((scores.argmax(1) == labels).mean())


if __name__ == "__main__":
    sys.exit(main())
