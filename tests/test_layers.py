"""Imports go one way: a module imports only from its own package and from layers before it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nincc"

LAYERS = [
    {"errors"},
    {"progress", "resources", "tensor", "_tvm"},
    {"gpu_target", "gpu_driver"},
    {"target", "macs", "zoo"},
    {"options"},
    {"kernels"},
    {"records"},
    {"frontend"},
    {"passes"},
    {"codegen"},
    {"artefact"},
    {"runtime"},
    {"emulate"},
    {"verify"},
    {"bench", "report"},
    {"tune"},
    {"compiler"},
    {"api"},
    {"cli"},
    {"__main__"},
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES = 300


def layer(path: Path) -> str:
    """``nincc/passes/base.py`` is of layer ``passes``, ``nincc/api.py`` of ``api``."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(path: Path) -> Iterator[str]:
    """Every dotted name that the file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_layers(path: Path) -> set[str]:
    names = (name.split(".") for name in imported_modules(path))
    return {parts[1] for parts in names if parts[0] == "nincc" and len(parts) > 1}


def test_every_module_has_a_layer() -> None:
    unknown = {layer(path) for path in MODULES} - set(LEVELS) - {"__init__"}
    assert not unknown


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = layer(path)
    if own == "__init__":
        return  # the package's face: it names what lies behind it, and imports it on first use
    later = {name for name in imported_layers(path) - {own, "__version__"} if LEVELS[name] >= LEVELS[own]}
    assert not later


def test_the_check_sees_an_import_that_goes_back(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from nincc.cli import main\n    import nincc.verify.report\n")
    assert imported_layers(module) == {"cli", "verify"}


def test_tvm_comes_through_its_one_door() -> None:
    direct = [
        str(path)
        for path in MODULES
        if path.name != "_tvm.py" and any(name.split(".")[0] == "tvm" for name in imported_modules(path))
    ]
    assert not direct


@pytest.mark.parametrize(
    "module", ["nincc", "nincc.cli", "nincc.runtime", "nincc.api", "nincc.zoo", "nincc.frontend.model"]
)
def test_import_leaves_tvm_alone(module: str) -> None:
    code = f"import sys, {module}; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_runtime_needs_neither_onnx_nor_the_compiler() -> None:
    code = "import sys, nincc; nincc.load; import nincc.runtime; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"onnx", "onnxruntime", "click", "rich", "nincc.codegen"} & set(loaded.stdout.split())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES
