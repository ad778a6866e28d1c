"""What a Linux process holds: its resident memory, and the native libraries it has mapped."""

from __future__ import annotations

from pathlib import Path

_SYSTEM = tuple(Path(folder) for folder in ("/lib", "/lib64", "/usr/lib", "/usr/lib64"))
_PACKAGES = {"site-packages", "dist-packages"}


def resident_bytes() -> int:
    """This process's resident memory now."""
    return _status("VmRSS")


def peak_resident_bytes() -> int:
    """The most this process has held since it started or since :func:`forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Makes the peak start again from what is resident now (Linux: 5 to clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def mapped_libraries() -> set[Path]:
    """The shared libraries this process has mapped, without the system's and Python's own."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {Path(line.split(maxsplit=5)[5]) for line in lines if line.count("/")}
    return {path for path in paths if ".so" in path.name and path.is_file() and not _is_everyones(path)}


def _is_everyones(library: Path) -> bool:
    """Whether it belongs to the system or to Python, not to a package."""
    if _PACKAGES & set(library.parts):
        return False
    return "lib-dynload" in library.parts or any(folder in library.parents for folder in _SYSTEM)


def total_bytes(files: set[Path]) -> int:
    """The size of the files together."""
    return sum(path.stat().st_size for path in files)


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/self/status has no {key}")
