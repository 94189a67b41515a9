"""The compiled kernels as machine code: on what they depend, and how they are loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="needs the extra `fast`")

from mlp_cli.compute.fast.kernels import kernel_cache
from mlp_cli.compute.fast.machine_code import MachineCode, load_code, unpack
from mlp_cli.compute.fast.version import code_version

ROOT = Path(__file__).parents[2]


def test_the_file_of_the_kernels_is_named_by_their_version() -> None:
    file = kernel_cache("float32").file
    assert file is not None and code_version() in file.name


@pytest.mark.parametrize(
    "change",
    [
        {"NUMBA_OPT": "1"},
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_CPU_FEATURES": "-avx512f"},
        {"NUMBA_NUM_THREADS": "1"},
        {"NUMBA_CACHE_DIR": "elsewhere"},
    ],
    ids=str,
)
def test_settings_that_change_the_code_change_its_version(
    change: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_version()
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    changes = not {"NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR"} & change.keys()
    assert (code_version() != before) == changes


def test_numbas_file_of_settings_changes_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_version()
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".numba_config.yaml").write_text("opt: 1\n")
    assert code_version() != before


def test_code_that_uses_an_unknown_function_is_not_given_to_llvm() -> None:
    file = kernel_cache("float32").file
    assert file is not None
    code = unpack(file.name, file.read_bytes())
    assert code is not None and "mlp_sgemm" in code.outside
    with pytest.raises(LookupError, match="no function nonsense"):
        load_code(MachineCode(code.entry, ["nonsense"], code.content), {})


def test_the_kernels_are_loaded_without_numba() -> None:
    program = (
        "import sys, numpy as np; from mlp_cli.compute.select import load_kernels\n"
        "assert load_kernels(fast=True).is_ready(np.dtype('float32'))\n"
        "print({'numba', 'scipy'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "set()\n", done.stderr
