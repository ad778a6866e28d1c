"""Writes tests/data/exports/: small NINs as PyTorch's two ONNX exporters write them.

    pip install torch==2.13.0 onnxscript onnx
    python tests/data/make_exports.py            # writes every file anew

The tests need none of this: the files are in the repository, each below 20 KB.  ``dynamo`` is PyTorch's
default exporter (torch.export), ``legacy`` the TorchScript one.  The number in a file's name is the opset.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.nn import functional

OUT = Path(__file__).parent / "exports"


def mlpconv(inputs: int, widths: tuple[int, int, int], kernel: int, norm: bool = False) -> list[nn.Module]:
    """One mlpconv block: a k×k convolution and two 1×1, each with ReLU."""
    layers: list[nn.Module] = []
    for index, width in enumerate(widths):
        size = kernel if index == 0 else 1
        layers.append(nn.Conv2d(inputs, width, size, padding=size // 2, bias=not norm))
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers.append(nn.ReLU())
        inputs = width
    return layers


class Plain(nn.Module):
    """The paper's net in small: ceil pools, Dropout, global average pool, softmax."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *mlpconv(3, (8, 6, 4), 5, norm), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(0.5),
            *mlpconv(4, (8, 8, 8), 3, norm), nn.AvgPool2d(3, 2, ceil_mode=True), nn.Dropout(0.5),
            *mlpconv(8, (8, 8, 5), 3, norm),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.pool(self.features(x)).flatten(1), dim=1)


class View(nn.Module):
    """View by run-time sizes, a mean by axes, a residual sum, a concatenation and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*mlpconv(3, (8, 8, 8), 3))
        self.a, self.b = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        joined = torch.cat([functional.relu6(self.a(x) + x), functional.leaky_relu(self.b(x), 0.1)], dim=1)
        mean = joined.mean([2, 3])
        return self.head(mean.view(mean.size(0), -1)), joined


class Shuffle(nn.Module):
    """Grouped 1×1 convolutions with a channel shuffle between, padded floor pools, sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.one, self.two = nn.Conv2d(8, 8, 1, groups=2), nn.Conv2d(8, 8, 1, groups=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(torch.relu(self.stem(x)), 3, 2, padding=1)
        x = torch.relu(self.one(x))
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = functional.avg_pool2d(self.two(x), 3, 2, padding=1, ceil_mode=True)
        return torch.sigmoid(x.mean((2, 3), keepdim=True)).squeeze(3).squeeze(2)


def export(net: nn.Module, name: str, opset: int, dynamo: bool, **options: object) -> None:
    """Writes one file with seeded weights; BatchNorm gets statistics that matter."""
    torch.manual_seed(7)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    if options.get("training") != torch.onnx.TrainingMode.TRAINING:
        net.eval()
    kind = "dynamo" if dynamo else "legacy"
    path = OUT / f"{name}_{kind}_{opset}.onnx"
    options.setdefault("external_data", False)
    if not dynamo:
        options.pop("external_data")
    image = torch.rand(1, 3, 16, 16)
    torch.onnx.export(net, (image,), str(path), opset_version=opset, dynamo=dynamo, **options)
    slim(path)
    print(path.name, path.stat().st_size)


def slim(path: Path) -> None:
    """Drops what records the exporting machine: stack traces and module scopes."""
    model = onnx.load(path, load_external_data=False)
    for holder in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input,
                   *model.graph.output, *model.graph.initializer):
        del holder.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    onnx.save(model, path)


def main() -> None:
    warnings.filterwarnings("ignore")
    OUT.mkdir(exist_ok=True)
    batch = {"input_names": ["image"], "dynamic_axes": {"image": {0: "n"}}}
    for opset in (18, 19, 20):
        export(Plain(), "plain", opset, True)
    export(Plain(norm=True), "norm", 18, True)
    export(Plain(), "external", 18, True, external_data=True)
    export(View(), "view", 18, True, dynamic_shapes=({0: torch.export.Dim("n")},))
    export(Shuffle(), "shuffle", 20, True)
    for opset in (9, 13, 18):
        export(Plain(), "plain", opset, False)
        export(View(), "view", opset, False, **batch)
    export(Plain(norm=True), "norm", 11, False, do_constant_folding=False, keep_initializers_as_inputs=True,
           training=torch.onnx.TrainingMode.PRESERVE)
    export(Shuffle(), "shuffle", 9, False, **batch)
    export(Shuffle(), "shuffle", 17, False)
    export(Plain(norm=True), "training", 13, False, training=torch.onnx.TrainingMode.TRAINING)


if __name__ == "__main__":
    main()
