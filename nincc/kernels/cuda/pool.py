"""``nincc.pool2d`` on a GPU: a thread for each quad of channels of an output pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.cuda.emit import ThreadEmitter, over, rest
from nincc.kernels.cuda.stage import QUAD
from nincc.kernels.cuda.window import pooled
from nincc.kernels.spec import pooling_spec

te = tvm.te

THREADS = 128


def pool2d(data: Any, attrs: Mapping[str, Any]) -> Any:
    """[N, H, W, Cp] → [N, OH, OW, Cp]."""
    batch, height, width, stride = (int(v) for v in data.shape)
    pool = pooling_spec(attrs)
    rows, cols = pool.out_size
    quads = stride // QUAD
    items = batch * rows * cols * quads

    def body(inputs: Any, outputs: Any) -> Any:
        em = ThreadEmitter((-(-items // THREADS), 1, 1), min(THREADS, items))
        source, out = em.view(inputs[0]), em.view(outputs[0])
        item = em.scalar(em.block[0] * THREADS + em.thread, "item")
        with em.guard(item < items, items % em.threads != 0):
            pixel = em.scalar(over(item, quads), "pixel")
            y, x, image = rest(over(pixel, cols), rows), rest(pixel, cols), over(pixel, rows * cols)
            start = source.at(image * (height * width * stride) + rest(item, quads) * QUAD)
            at = (em.scalar(y, "y"), em.scalar(x, "x"))
            value = pooled(em, pool, (height, width), lambda r, c: start.load((r * width + c) * stride), at)
            out.store(item * QUAD, value)
        return em.ib.get()

    return te.extern((batch, rows, cols, stride), [data], body, name="nincc_cuda_pool2d", dtype="float32")
