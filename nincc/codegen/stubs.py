"""Stand-ins for the C library's shared objects, to link against without having one.

A shared library must record which libraries it needs and, with glibc, at which version it takes each
symbol.  The linker only reads names and versions for that, so empty functions do.  Versions are those
of glibc 2.17 (its ``abilist`` files), the oldest the libraries run with.
"""

from __future__ import annotations

from pathlib import Path

from nincc.codegen.toolchain import assemble, link
from nincc.target import Target

# What the driver calls, and what LLVM may call for a kernel.
_PTHREAD = """
    pthread_create pthread_join pthread_sigmask pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock
    pthread_mutex_unlock pthread_cond_init pthread_cond_destroy pthread_cond_wait pthread_cond_broadcast
"""
_C = """
    calloc malloc free memcpy memmove memset memcmp strlen snprintf vsnprintf getpid sched_yield clock_gettime
    sigfillset getauxval madvise
"""
_M_FLOAT = """
    acosf acoshf asinf asinhf atan2f atanf atanhf cbrtf ceilf copysignf cosf coshf erfcf erff exp2f expf
    expm1f fabsf floorf fmaf fmaxf fminf fmodf hypotf ldexpf lgammaf log10f log1pf log2f logf nearbyintf
    powf rintf roundf sinf sinhf sqrtf tanf tanhf tgammaf truncf
"""
_M = [*_M_FLOAT.split(), *(name[:-1] for name in _M_FLOAT.split())]

_DL = "dlopen dlsym dlclose dlerror"

_SONAMES = {
    "libc.so.6": _C.split(),
    "libm.so.6": _M,
    "libpthread.so.0": _PTHREAD.split(),
    "libdl.so.2": _DL.split(),
}
# The dynamic linker's own symbol, for thread-local variables.
_LOADERS = {
    "x86_64": "ld-linux-x86-64.so.2",
    "aarch64": "ld-linux-aarch64.so.1",
    "armv7l": "ld-linux-armhf.so.3",
}
_EABI = ["__aeabi_memcpy", "__aeabi_memmove", "__aeabi_memset", "__aeabi_memclr"]  # LLVM's names on 32-bit ARM
_EABI = [name + alignment for name in _EABI for alignment in ("", "4", "8")]
_VERSIONS = {
    "aarch64": ("GLIBC_2.17", {}),
    "armv7l": ("GLIBC_2.4", {"clock_gettime": "GLIBC_2.17", "getauxval": "GLIBC_2.16"}),
    "x86_64": (
        "GLIBC_2.2.5",
        {
            "memcpy": "GLIBC_2.14",
            "clock_gettime": "GLIBC_2.17",
            "getauxval": "GLIBC_2.16",
            "__tls_get_addr": "GLIBC_2.3",
            **{name: "GLIBC_2.3.2" for name in _PTHREAD.split() if name.startswith("pthread_cond_")},
        },
    ),
}


def make_stubs(target: Target, libc: str, folder: Path) -> list[str]:
    """Writes the stubs for a C library into ``folder``; gives their file names, to put on a link line."""
    if libc == "musl":
        # musl is one object, with a clock of 64 bits for 32-bit ARM; its loader takes any name that begins with
        # "libc." for itself.
        symbols = [*_c_symbols(target), "__clock_gettime64", *_M, *_PTHREAD.split(), *_DL.split(), "__tls_get_addr"]
        return [_stub("libc.so", symbols, None, target, folder)]
    libraries = {**_SONAMES, "libc.so.6": _c_symbols(target), _LOADERS[target.architecture]: ["__tls_get_addr"]}
    versions = _VERSIONS[target.architecture]
    return [_stub(soname, symbols, versions, target, folder) for soname, symbols in libraries.items()]


def _c_symbols(target: Target) -> list[str]:
    return [*_C.split(), *(_EABI if target.architecture == "armv7l" else ())]


def _stub(
    soname: str, symbols: list[str], versions: tuple[str, dict[str, str]] | None, target: Target, folder: Path
) -> str:
    base = f"stub-{soname}"
    functions = [f"    .globl {name}\n    .type {name},%function\n{name}:\n" for name in symbols]
    (folder / f"{base}.s").write_text("    .text\n" + "".join(functions))
    assemble(f"{base}.s", f"{base}.o", target, folder)
    script = []
    if versions is not None:
        (folder / f"{base}.map").write_text(_version_script(symbols, *versions))
        script = ["--version-script", f"{base}.map"]
    link(["-shared", "-soname", soname, *script, f"{base}.o", "-o", base], folder)
    return base


def _version_script(symbols: list[str], default: str, special: dict[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name in symbols:
        groups.setdefault(special.get(name, default), []).append(name)
    return "".join(f"{version} {{ {'; '.join(names)}; }};\n" for version, names in sorted(groups.items()))
