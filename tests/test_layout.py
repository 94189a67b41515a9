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
    "storage.files",
    "cli.signals",
    "compute.machine",
    "compute.threads",
    "config.yaml12",
    "config.choices",
    "config.schema",
    "config.describe",
    "config.checking",
    "config.load",
    "nn.functions",
    "nn.buffers",
    "nn.ops",
    "compute.kernels",
    "nn.network",
    "nn.backprop",
    "nn.optimizers",
    "nn.schedules",
    "data.idx",
    "data.mnist",
    "data.synthetic",
    "data.distortion",
    "data.dataset",
    "data.transfer",
    "data.download",
    "training.metrics",
    "training.scoring",
    "training.steps",
    "training.trainer",
    "training.divergence",
    "training.build",
    "compute.fast.intrinsics",
    "compute.fast.blas",
    "compute.fast.opcodes",
    "compute.fast.layers",
    "compute.fast.images",
    "compute.fast.randomness",
    "compute.fast.updates",
    "compute.fast.interpreter",
    "compute.fast.fuse_sgd",
    "compute.fast.recorder",
    "compute.fast.kernels",
    "compute.fast",
    "storage.npz",
    "storage.checkpoint",
    "runs.folder",
    "inference.model",
    "inference.evaluate",
    "gradcheck.references",
    "gradcheck.check",
    "runs.resume",
    "runs.saver",
    "runs.train",
    "reports.figures",
    "reports.text",
    "cli.progress",
    "cli.options",
    "cli.main",
    "__main__",
]

# Who may import what from outside the standard library; NumPy is everybody's but the first five's.
HOMES = {
    "click": {"cli.main", "cli.options"},
    "llvmlite": {"compute.fast.blas", "compute.fast.intrinsics"},
    "matplotlib": {"reports.figures"},
    "numba": {
        "compute.fast.blas",
        "compute.fast.intrinsics",
        "compute.fast.kernels",
        "compute.fast.interpreter",
    },
    "pydantic": {"config.choices", "config.schema", "config.checking"},
    "pydantic_core": {"config.schema"},
    "requests": {"data.transfer"},
    "tqdm": {"cli.progress"},
    "urllib3": {"data.transfer"},
    "yaml": {"config.yaml12"},
}
NUMPY_ALONE = {
    "nn.functions", "nn.buffers", "nn.ops", "compute.kernels", "nn.network", "nn.backprop",
    "nn.optimizers",
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
DEPARTMENTS = {
    "cli",
    "compute",
    "config",
    "data",
    "gradcheck",
    "inference",
    "nn",
    "reports",
    "runs",
    "storage",
    "training",
}
MODULES = sorted({".".join(file.parts).removesuffix(".__init__") for file in FILES} - DEPARTMENTS)


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
        "import sys; from mlp_cli.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sorted(sys.modules))"
    )
    loaded = set(python(code).stdout.split("Commands:")[1].split())
    assert "click" in loaded
    assert not {"numpy", "requests", "pydantic", "yaml", "tqdm"} & loaded


def test_reading_a_configuration_does_not_load_numpy() -> None:
    # `train` fixes the number of threads between the two.
    loaded = python("import sys, mlp_cli.config.load; print(*sys.modules)").stdout.split()
    assert "numpy" not in loaded
