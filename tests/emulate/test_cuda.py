"""A GPU artefact on the stub driver and the PTX interpreter: Python's side, host arrays and device arrays by DLPack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codegen.gpu_net import GpuModel, gpu_input, gpu_options, gpu_program, gpu_reference, gpu_selftest, without
from emulate.gpu_process import run_on_gpu
from nincc.artefact import read_manifest, write_artefact
from nincc.errors import DeviceError, VerificationError
from nincc.gpu_driver import has_gpu
from nincc.runtime import load
from nincc.verify.isolated import IsolatedNet


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the toy artefact, an input and its right output."""
    write(tmp_path)
    np.save(tmp_path / "x.npy", gpu_input())
    np.save(tmp_path / "y.npy", gpu_reference(gpu_input()).astype(np.float32))
    return tmp_path


def write(folder: Path, **changes: str) -> None:
    program = gpu_program(**changes)
    write_artefact(folder / "toy", GpuModel(), program, [], gpu_options(), [], None, gpu_selftest(), profile=False)


def test_files_and_manifest(place: Path) -> None:
    manifest = read_manifest(place / "toy")
    assert sorted(path.name for path in (place / "toy").iterdir()) == manifest["files"]
    assert "kernels.ptx" in manifest["files"]
    assert manifest["target"]["kind"] == "cuda" and manifest["target"]["sm"] == 80
    assert manifest["kernels"][1]["launch"] == {"grid": [2, 1, 1], "block": [1, 1, 1], "shared_bytes": 65536}
    assert manifest["device_bytes"] >= 3 * 256
    assert "-ldl" in (place / "toy" / "toy.pc").read_text()


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_without_a_gpu_loading_says_so(place: Path) -> None:
    with pytest.raises(DeviceError, match=r"no CUDA driver: libcuda\.so\.1"):
        load(place / "toy")


def test_host_arrays(place: Path) -> None:
    run_on_gpu(
        """
with module.Net() as net:
    close(net(x))
    close(net(x[::1].copy()))
    assert net.selftest() < 1e-5
    raises(ValueError, "takes float32", net, x.astype(np.float64))
    raises(ValueError, "stream and out are for arrays in device memory", net, x, stream=1)
    assert [launch.kernel for launch in gpu.launches[:2]] == ["scale", "head"]
assert stub.alive() == 0
import nincc
with nincc.load("toy") as net:
    close(net(x))
raises(ValueError, "this net is closed", net, x)
raises(ValueError, "device is 3", module.Net, device=3)
""",
        place,
    )


def test_a_failed_launch_says_what_the_driver_says(place: Path) -> None:
    run_on_gpu(
        """
net = module.Net()
stub.fail("cuGraphLaunch", 719)
raises(module.NetError, "cuGraphLaunch: CUDA_ERROR_LAUNCH_FAILED (719): unspecified launch failure", net, x)
close(net(x))
net.close()
stub.fail("cuMemAlloc_v2", 2)
raises(MemoryError, "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY", module.Net)
assert stub.alive() == 0
""",
        place,
    )


DEVICE = """
import ctypes
CAPSULE = module._UNUSED

def wait():
    stub.library.cuCtxPushCurrent_v2(ctypes.c_void_p(1))
    assert stub.library.cuCtxSynchronize() == 0
    stub.library.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

class Library:
    '''Another library's arrays: they take and give memory by DLPack only.'''

    def __init__(self, owner, **changes):
        self.owner, self.changes = owner, changes
        self.capsule = owner.__dlpack__(stream=1)
        self.managed = module._Managed.from_address(module._capsule_pointer(self.capsule, CAPSULE))
        for name, value in changes.items():
            setattr(self.managed, name, value)

    def __dlpack_device__(self):
        return self.managed.device_type, self.managed.device

    def __dlpack__(self, stream=None):
        capsule = self.owner.__dlpack__(stream=stream)
        managed = module._Managed.from_address(module._capsule_pointer(capsule, CAPSULE))
        for name, value in self.changes.items():
            setattr(managed, name, value)
        return capsule

    def numpy(self):
        wait()
        shape = tuple(self.managed.shape[i] for i in range(self.managed.rank))
        return np.frombuffer(gpu.memory.read(self.managed.data, 4 * int(np.prod(shape))), np.float32).reshape(shape)

def on_device(array):
    owner = module.DeviceArray(array.shape, 0, None)
    gpu.memory.write(owner.pointer, array.tobytes())
    return owner

sys.modules["otherlib"] = type(sys)("otherlib")
sys.modules["otherlib"].from_dlpack = Library
Library.__module__ = "otherlib.arrays"
net = module.Net()
x_device = Library(on_device(x))
"""


def test_device_arrays_are_read_where_they_are(place: Path) -> None:
    run_on_gpu(
        DEVICE
        + """
uploads = stub.calls("cuMemcpyHtoDAsync_v2")
result = net(x_device)
assert isinstance(result, Library)
close(result.numpy())
assert stub.calls("cuMemcpyHtoDAsync_v2") == uploads
assert stub.calls("cuMemcpyDtoHAsync_v2") == 0

target = Library(on_device(np.zeros(2, np.float32)))
assert net(x_device, out=target) is target
close(target.numpy())

plain = net(on_device(x))           # from no library: ours is what comes back
assert type(plain).__name__ == "DeviceArray" and plain.shape == (2,)
close(Library(plain).numpy())
""",
        place,
    )


def test_device_memory_is_given_back(place: Path) -> None:
    run_on_gpu(
        DEVICE
        + """
result = net(x_device)
needs = result.owner._needs
assert needs, "inputs live as long as the result"
net.close()
del result, needs, x_device
gc.collect()
assert stub.alive() == 0, stub.alive()
assert not module._lent
""",
        place,
    )


def test_wrong_device_arrays(place: Path) -> None:
    run_on_gpu(
        DEVICE
        + """
owner = x_device.owner
strides = (ctypes.c_int64 * 2)(1, 2)
raises(ValueError, "is not float32", net, Library(owner, code=0))
raises(ValueError, "is not float32", net, Library(owner, bits=16))
raises(ValueError, "is on GPU 1, this net on GPU 0", net, Library(owner, device=1))
raises(ValueError, "has shape (2,), this net takes (2, 8)", net, Library(on_device(np.zeros(2, np.float32))))
raises(ValueError, "is not dense", net, Library(owner, strides=strides))
raises(ValueError, "input 0 is not aligned to 16 bytes", net, Library(owner, byte_offset=4))
raises(ValueError, "out has 2 arrays, this net gives 1", net, x_device, out=(x_device, x_device))
raises(ValueError, "is not in device memory", net, x_device, out=np.zeros(2, np.float32))
close(net(x_device).numpy())
""",
        place,
    )


def test_streams(place: Path) -> None:
    run_on_gpu(
        DEVICE
        + """
class Stream:
    def __init__(self):
        handle = ctypes.c_void_p()
        stub.library.cuCtxPushCurrent_v2(ctypes.c_void_p(1))
        assert stub.library.cuStreamCreate(ctypes.byref(handle), 1) == 0
        self.cuda_stream = handle.value

done = len(gpu.launches)
stream = Stream()
result = net(on_device(x), stream=stream)
assert len(gpu.launches) == done, "nobody has waited"
taken = Library(result)             # a reader in another stream: waits for ours
assert len(gpu.launches) == done + 2
close(taken.numpy())
""",
        place,
    )


def test_profile_times_each_launch(tmp_path: Path) -> None:
    program = gpu_program()
    write_artefact(tmp_path / "toy", GpuModel(), program, [], gpu_options(), [], None, None, profile=True)
    np.save(tmp_path / "x.npy", gpu_input())
    np.save(tmp_path / "y.npy", gpu_reference(gpu_input()).astype(np.float32))
    run_on_gpu(
        """
net = module.Net()
raises(ValueError, "no run has been timed yet", net.profile)
close(net(x))
np.testing.assert_allclose(net.profile(), [1e-6, 1e-6], rtol=1e-6)
net.close()
assert stub.alive() == 0
""",
        tmp_path,
    )


def test_an_isolated_net_is_emulated(place: Path) -> None:
    with IsolatedNet(place / "toy") as net:
        assert net.device == ("native" if has_gpu() else "PTX interpreter")
        np.testing.assert_allclose(net((gpu_input(),))[0], np.load(place / "y.npy"), atol=1e-6)
        assert net.selftest() < 1e-5


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_what_the_interpreter_finds_is_a_failed_verification(tmp_path: Path) -> None:
    from codegen.gpu_net import PTX

    write(tmp_path, ptx=PTX.replace("mul.wide.u32 	%rd5, %r1, 32;", "mul.wide.u32 	%rd5, %r1, 32000;"))
    with IsolatedNet(tmp_path / "toy") as net, pytest.raises(VerificationError, match="the PTX interpreter stops at"):
        net((gpu_input(),))


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_wrong_kernel_fails_the_selftest(tmp_path: Path) -> None:
    from codegen.gpu_net import PTX

    write(tmp_path, ptx=without(PTX, r"max\.f32").replace("[%rd11], %r6", "[%rd11], %r5"))
    with IsolatedNet(tmp_path / "toy") as net, pytest.raises(VerificationError, match="results differ by"):
        net.selftest()
