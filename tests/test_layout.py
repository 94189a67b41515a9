"""The layout's rules: imports point one way, and each library has its one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mlp_cli"

# A module may import those before it, wherever in its text the import stands.
ORDER = [
    "__init__",
    "errors",
    "files",
    "signals",
    "environment",
    "team",
    "yaml12",
    "choices",
    "settings",
    "options",
    "source",
    "config",
    "functions",
    "operands",
    "operations",
    "kernels",
    "network",
    "backpropagation",
    "optimizer",
    "schedule",
    "idx",
    "mnist",
    "digits",
    "distortion",
    "data",
    "transfer",
    "download",
    "metrics",
    "scoring",
    "steps",
    "trainer",
    "divergence",
    "build",
    "fast.intrinsics",
    "fast.blas",
    "fast.codes",
    "fast.layers",
    "fast.images",
    "fast.randomness",
    "fast.rules",
    "fast.program",
    "fast.descent",
    "fast.recorder",
    "fast.kernels",
    "fast",
    "npz",
    "checkpoint",
    "rundir",
    "model",
    "evaluate",
    "references",
    "gradcheck",
    "resume",
    "saving",
    "run",
    "pictures",
    "report",
    "view",
    "command_options",
    "cli",
    "__main__",
]

# Who may import what from outside the standard library; NumPy is everybody's but the first five's.
HOMES = {
    "click": {"cli", "command_options"},
    "llvmlite": {"fast.blas", "fast.intrinsics"},
    "matplotlib": {"pictures"},
    "numba": {"fast.blas", "fast.intrinsics", "fast.kernels", "fast.program"},
    "pydantic": {"choices", "settings", "source"},
    "pydantic_core": {"settings"},
    "requests": {"transfer"},
    "tqdm": {"view"},
    "urllib3": {"transfer"},
    "yaml": {"yaml12"},
}
NUMPY_ALONE = {
    "functions", "operands", "operations", "kernels", "network", "backpropagation", "optimizer"
}  # fmt: skip


def path(module: str) -> Path:
    """Where a module's text is; that of a package is its `__init__`."""
    file = PACKAGE.joinpath(*module.split("."))
    return file / "__init__.py" if file.is_dir() else file.with_suffix(".py")


def imports(module: str) -> set[str]:
    """Every module that a module's text imports, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path(module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            name = str(node.module)
            within = {f"{name}.{alias.name}" for alias in node.names}
            modules = {one for one in within if one.removeprefix("mlp_cli.") in MODULES}
            found |= modules if modules == within else {name, *modules}
    return found


FILES = (file.relative_to(PACKAGE).with_suffix("") for file in PACKAGE.rglob("*.py"))
MODULES = sorted(".".join(file.parts).removesuffix(".__init__") for file in FILES)


def test_every_module_has_its_place() -> None:
    assert set(MODULES) == set(ORDER) & set(MODULES)
    assert set(ORDER) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    if module == "__init__":  # it resolves `load` on first use
        return
    own = {name.removeprefix("mlp_cli.") for name in imports(module) if "mlp_cli." in name}
    later = (own & set(MODULES)) - set(ORDER[: ORDER.index(module)])
    assert not later


@pytest.mark.parametrize("module", MODULES)
def test_each_library_has_its_one_place(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(module)} - set(sys.stdlib_module_names)
    for library in outside - {"mlp_cli", "numpy"}:
        assert module in HOMES[library]


@pytest.mark.parametrize("module", sorted(NUMPY_ALONE))
def test_the_mathematics_imports_numpy_alone(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(module)} - set(sys.stdlib_module_names)
    assert outside <= {"numpy", "mlp_cli"}
    own = {name for name in imports(module) if name.startswith("mlp_cli.")}
    assert own <= {f"mlp_cli.{name}" for name in NUMPY_ALONE}
    code = f"import sys, mlp_cli.{module}; print(*sorted(sys.modules))"
    loaded = python(code).stdout.split()
    assert not {"click", "yaml", "requests", "pydantic", "tqdm"} & set(loaded)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_prints_but_the_command_line(module: str) -> None:
    names = {
        node.func.id
        for node in ast.walk(ast.parse(path(module).read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "print" not in names


@pytest.mark.parametrize("module", MODULES)
def test_no_global_randomness(module: str) -> None:
    text = path(module).read_text()
    assert "np.random.seed" not in text
    assert "default_rng()" not in text
    assert "import random" not in text


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mlp_cli.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sorted(sys.modules))"
    )
    loaded = set(python(code).stdout.split("Commands:")[1].split())
    assert "click" in loaded
    assert not {"numpy", "requests", "pydantic", "yaml", "tqdm"} & loaded


def test_reading_a_configuration_does_not_load_numpy() -> None:
    # `train` fixes the number of threads between the two.
    loaded = python("import sys, mlp_cli.config; print(*sys.modules)").stdout.split()
    assert "numpy" not in loaded
