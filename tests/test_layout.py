"""The rule of the layout: a department imports only lower ones, and each library has a place."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mlp_cli"

# From the lowest to the highest. A department may import itself and all lower ones, also inside
# functions. Departments in one row do not import each other.
FLOORS = [
    {"_version", "errors", "nn"},
    {"storage"},
    {"config", "compute"},
    {"data"},
    {"training"},
    {"inference", "gradcheck"},
    {"runs"},
    {"reports", "sweep", "api"},
    {"cli"},
]
FACE = {"__init__", "__main__"}  # they import on first use

# Which modules or departments may import a library. All but config may import NumPy.
HOMES = {
    "PIL": "data.pictures.reading runs.tensorboard",
    "click": "cli",
    "distributed": "sweep.cluster sweep.cluster_client sweep.cluster_task",
    "google": "runs.tensorboard",
    "jinja2": "reports.page",
    "llvmlite": "compute.fast",
    "matplotlib": "reports.figures reports.comparison_figures reports.page",
    "numba": "compute.fast",
    "onnx": "inference.export.onnx_model",
    "onnxruntime": "inference.export.onnx_model",
    "optuna": "reports.importance sweep.search",
    "pydantic": "config",
    "pydantic_core": "config",
    "requests": "data.transfer",
    "safetensors": "inference.export.safetensors_file",
    "threadpoolctl": "api inference.averaging sweep.cluster_task",
    "tensorboardX": "runs.tensorboard",
    "tqdm": "runs.progress",
    "urllib3": "data.transfer",
    "yaml": "config.yaml12",
}

MODULES = sorted(
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts) for file in PACKAGE.rglob("*.py")
)


def imports(module: str) -> set[str]:
    """Return every module that the text of a module imports, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def department(module: str) -> str:
    return module.removeprefix("mlp_cli.").split(".")[0]


@pytest.mark.parametrize("module", [module for module in MODULES if module not in FACE])
def test_no_import_points_upward(module: str) -> None:
    own = department(module)
    (floor,) = [i for i, floor in enumerate(FLOORS) if own in floor]
    below = {own}.union(*FLOORS[:floor])
    if own == "nn":
        below = {"nn"}
    used = {department(name) for name in imports(module) if name.startswith("mlp_cli.")}
    assert used <= below


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_only_where_the_table_allows_it(module: str) -> None:
    libraries = {name.split(".")[0] for name in imports(module)} - set(sys.stdlib_module_names)
    for library in libraries - {"mlp_cli", "numpy"}:
        assert any(f"{module}.".startswith(f"{home}.") for home in HOMES[library].split())
    if department(module) == "config":
        assert "numpy" not in libraries


def test_the_package_has_at_most_18_files_and_folders_at_its_top() -> None:
    entries = {entry.name for entry in PACKAGE.iterdir()} - {"__pycache__"}
    assert len(entries) <= 18
    assert all((PACKAGE / name / "__init__.py").exists() for name in entries if "." not in name)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_prints_or_uses_global_random_state(module: str) -> None:
    text = (PACKAGE / f"{module.replace('.', '/')}.py").read_text()
    names = {
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "print" not in names
    assert "np.random.seed" not in text
    assert "default_rng()" not in text
    assert "import random" not in text


@pytest.mark.parametrize("module", MODULES)
def test_a_module_and_a_constructor_are_small(module: str) -> None:
    text = (PACKAGE / f"{module.replace('.', '/')}.py").read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            assert len([*node.args.args, *node.args.kwonlyargs]) - 1 <= 10, node.lineno


def python(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_help_loads_no_large_library() -> None:
    loaded = python(
        "from mlp_cli.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('LOADED', *sorted(sys.modules))"
    )
    loaded = loaded[loaded.index("LOADED") :]
    assert "click" in loaded
    assert not {"numpy", "requests", "pydantic", "yaml", "tqdm"} & set(loaded)


def test_the_mathematics_loads_numpy_alone() -> None:
    modules = ", ".join(f"mlp_cli.{module}" for module in MODULES if department(module) == "nn")
    loaded = python(f"import {modules}; print(*sys.modules)")
    assert not {"click", "yaml", "requests", "pydantic", "tqdm"} & set(loaded)


def test_reading_a_configuration_does_not_load_numpy() -> None:
    # `train` fixes the number of threads between the two.
    modules = "mlp_cli.config.load, mlp_cli.compute.select"
    assert "numpy" not in python(f"import {modules}; print(*sys.modules)")
