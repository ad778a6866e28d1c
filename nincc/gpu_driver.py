"""This machine's GPU, by NVIDIA's driver library, called directly as the nets' own libraries do."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from nincc.errors import DeviceError

if TYPE_CHECKING:
    import numpy as np

_LIBRARY = "libcuda.so.1"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


@cache
def has_gpu() -> bool:
    """Whether NVIDIA's driver is here and finds a GPU."""
    count = ctypes.c_int()
    try:
        driver = ctypes.CDLL(_LIBRARY)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False


class Gpu:
    """The first GPU.  What is made in it needs a current context: see :func:`primary`."""

    def __init__(self, driver: ctypes.CDLL) -> None:
        self._driver = driver
        self.call("cuInit", 0)

    def call(self, function: str, *arguments: Any) -> None:
        """One call of the driver; DeviceError where it fails."""
        code = getattr(self._driver, function)(*arguments)
        if code == 0:
            return
        name = ctypes.c_char_p()
        self._driver.cuGetErrorName(code, ctypes.byref(name))
        raise DeviceError(f"{function}: {(name.value or b'CUDA error').decode()} ({code})")

    @contextmanager
    def made(self, kind: Any, create: str, destroy: str, *arguments: Any) -> Iterator[Any]:
        """What ``create`` makes, given back in the end."""
        handle = kind()
        self.call(create, ctypes.byref(handle), *arguments)
        try:
            yield handle
        finally:
            self.call(destroy, handle)

    def memory(self, size: int) -> Any:
        """``size`` bytes of the device."""
        return self.made(ctypes.c_uint64, "cuMemAlloc_v2", "cuMemFree_v2", ctypes.c_size_t(size))

    def stream(self) -> Any:
        """A stream that no other waits for."""
        return self.made(ctypes.c_void_p, "cuStreamCreate", "cuStreamDestroy_v2", 1)

    def event(self) -> Any:
        """An event that holds a time."""
        return self.made(ctypes.c_void_p, "cuEventCreate", "cuEventDestroy_v2", 0)

    def upload(self, to: Any, array: np.ndarray[Any, Any], stream: Any) -> None:
        """Orders a copy of ``array``, which must live until it is done."""
        self.call("cuMemcpyHtoDAsync_v2", to, ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), stream)

    def seconds(self, events: tuple[Any, Any], stream: Any, work: Callable[[], None]) -> float:
        """What the GPU takes for all that ``work`` orders on ``stream``, between the two ``events``; waits for it."""
        milliseconds = ctypes.c_float()
        self.call("cuEventRecord", events[0], stream)
        work()
        self.call("cuEventRecord", events[1], stream)
        self.call("cuEventSynchronize", events[1])
        self.call("cuEventElapsedTime", ctypes.byref(milliseconds), *events)
        return milliseconds.value / 1e3

    def name(self) -> str:
        """What the driver calls the GPU."""
        text = ctypes.create_string_buffer(128)
        self.call("cuDeviceGetName", text, len(text), 0)
        return text.value.decode(errors="replace")

    def capability(self) -> tuple[int, int]:
        """Its compute capability as (major, minor)."""
        values = ctypes.c_int(), ctypes.c_int()
        for value, attribute in zip(values, (_CAPABILITY_MAJOR, _CAPABILITY_MINOR), strict=True):
            self.call("cuDeviceGetAttribute", ctypes.byref(value), attribute, 0)
        return values[0].value, values[1].value


def first_gpu() -> Gpu:
    """The first GPU, without a context; DeviceError where there is no driver."""
    try:
        return Gpu(ctypes.CDLL(_LIBRARY))
    except OSError as error:
        raise DeviceError(f"no CUDA driver: {error}") from error


@contextmanager
def primary() -> Iterator[Gpu]:
    """The first GPU with its primary context current, which is the one that nets' contexts share."""
    gpu = first_gpu()
    context, popped = ctypes.c_void_p(), ctypes.c_void_p()
    gpu.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
    try:
        gpu.call("cuCtxPushCurrent_v2", context)
        try:
            yield gpu
        finally:
            gpu.call("cuCtxPopCurrent_v2", ctypes.byref(popped))
    finally:
        gpu.call("cuDevicePrimaryCtxRelease_v2", 0)
