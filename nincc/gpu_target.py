"""What nincc knows of a GPU it compiles for: a frozen :class:`GpuTarget`, read from TOML like a CPU's."""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32  # threads that run in lockstep, on every NVIDIA GPU so far
THREADS_PER_BLOCK = 1024
SECTOR = 32  # bytes that global memory moves at least
MOST_REGISTERS = 255  # of a thread.  Source: CUDA C++ Programming Guide, compute capabilities
STATIC_SHARED = 49152  # bytes of shared memory that a kernel may declare; more is given at the launch


@dataclass(frozen=True)
class GpuTarget:
    """A compute capability, and the reference card whose numbers the cost rule and the estimates use.

    ``sm`` is the capability (80: 8.0) and ``ptx`` the PTX version that kernels are written in.  A multiprocessor
    ("SM") has ``registers`` of 32 bits and keeps at most ``threads`` and ``blocks``; ``shared_per_block``,
    ``shared_per_sm`` and ``l2`` are bytes.  ``lanes`` is what channels are padded to: 4 floats make a
    16-byte load.  ``host`` names the CPU target that the driver library is built for.
    """

    name: str
    description: str
    kind: str
    host: str
    sm: int
    ptx: str
    card: str
    sm_count: int
    registers: int
    threads: int
    blocks: int
    shared_per_block: int
    shared_per_sm: int
    l2: int
    clock_mhz: int
    bandwidth_gbs: int
    lanes: int

    @property
    def panel(self) -> int:
        """Output channels of one packed weight panel."""
        return 2 * self.lanes

    @property
    def capability(self) -> tuple[int, int]:
        """The compute capability as (major, minor)."""
        return divmod(self.sm, 10)

    @property
    def peak_gflops(self) -> float:
        """10^9 float32 operations a second at the card's boost clock."""
        return 2e-3 * fma_lanes(self.sm) * self.sm_count * self.clock_mhz


def fma_lanes(sm: int) -> int:
    """Float32 FMAs that an SM starts a clock.  Source: CUDA C++ Programming Guide, arithmetic throughput."""
    return 64 if sm in (70, 72, 75, 80) else 128


def reserved_shared(sm: int) -> int:
    """Bytes of shared memory that the system takes of each block.  Source: the guide's compute capabilities."""
    return 1024 if sm >= 80 else 0
