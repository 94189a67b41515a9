"""Variables that Numba and BLAS read: a run works, or one message names the variable."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

Mlp = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra `fast`")

REFUSED = [
    "NUMBA_DISABLE_JIT=1",
    "NUMBA_NUM_THREADS=0",
    "NUMBA_NUM_THREADS=many",
    "NUMBA_OPT=9",
    "NUMBA_DEBUG=loud",
    "NUMBA_OPT=junk",
    "NUMBA_CPU_FEATURES=junk",
    "NUMBA_CPU_FEATURES=+avx,junk",
]
HARMLESS = [
    "NUMBA_THREADING_LAYER=none-of-them",
    "OPENBLAS_NUM_THREADS=many",
    "MKL_NUM_THREADS=0",
    "KMP_AFFINITY=odd",
    "OPENBLAS_CORETYPE=odd",
    "NUMBA_CACHE_DIR=/dev/null",
    "NUMBA_CACHE_DIR=/proc",
    "NUMBA_CACHE_LOCATOR_CLASSES=junk",
]


@pytest.mark.parametrize("variable", REFUSED)
def test_the_message_names_a_variable_that_keeps_the_kernels_from_loading(
    variable: str, mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    name, _, value = variable.partition("=")
    known = vars(pytest.importorskip("numba").config)
    if not {name, name.removeprefix("NUMBA_")} & known.keys():
        pytest.skip(f"this release of Numba does not read {name}")
    for command in (["train", config, "--out", "a"], ["gradcheck", config]):
        done = mlp(*command, **{name: value})
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("Error: the compiled kernels do not load: ")
        assert variable in done.stderr
        assert "MLP_KERNELS=numpy" in done.stderr
        assert "Traceback" not in done.stderr
    done = mlp("train", config, "--out", "b", MLP_KERNELS="numpy", **{name: value})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("variable", HARMLESS)
def test_a_training_works_with_odd_values_of_other_variables(
    variable: str, mlp: Mlp, config: Path
) -> None:
    name, _, value = variable.partition("=")
    done = mlp("train", config, "--out", "a", "--quiet", **{name: value})
    assert (done.returncode, done.stderr) == (0, "")
