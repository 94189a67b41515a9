"""The choice of threads and kernels, and the record of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlp_cli.compute.machine import available_cores, describe, differing
from mlp_cli.compute.select import choose_threads, hold_blas, want_fast
from mlp_cli.errors import ConfigError


def test_the_option_comes_before_the_variable_and_the_variable_before_the_rule() -> None:
    assert (
        choose_threads(3, [30], 10, False, {"OMP_NUM_THREADS": "2", "MLP_OVERSUBSCRIBE": "1"}) == 3
    )
    assert (
        choose_threads(None, [30], 10, False, {"OMP_NUM_THREADS": "2,1", "MLP_OVERSUBSCRIBE": "1"})
        == 2
    )
    assert choose_threads(None, [30], 10, False, {}) == 1
    assert choose_threads(None, [30], 10, False, {"OMP_NUM_THREADS": ""}) == 1
    assert choose_threads(None, [2500, 2000], 128, False, {}) == available_cores()
    assert choose_threads(None, [128], 64, False, {}) == 1
    assert choose_threads(None, [128], 64, True, {}) == available_cores()
    assert choose_threads(None, [30], 10, True, {}) == 1


def test_more_threads_than_cores_are_taken_only_if_they_are_forced() -> None:
    cores, told = available_cores(), []
    for option, environ in [(cores + 1, {}), (None, {"OMP_NUM_THREADS": str(cores + 1)})]:
        assert choose_threads(option, [30], 10, False, environ, told.append) == cores
        forced = {**environ, "MLP_OVERSUBSCRIBE": "1"}
        assert choose_threads(option, [30], 10, False, forced, told.append) == cores + 1
    assert choose_threads(cores, [30], 10, False, {}, told.append) == cores
    first, second = told
    assert first.startswith(f"threads={cores + 1}, but this process may use {cores} core")
    assert second.startswith(f"OMP_NUM_THREADS={cores + 1}, but")


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "²"])
def test_the_refusal_of_a_wrong_number_of_threads_names_the_variable(text: str) -> None:
    with pytest.raises(ConfigError, match="OMP_NUM_THREADS="):
        choose_threads(None, [30], 10, False, {"OMP_NUM_THREADS": text})


def test_hold_blas_keeps_the_blas_of_numpy_on_one_thread() -> None:
    environ: dict[str, str] = {}
    hold_blas(environ)
    assert environ["OPENBLAS_NUM_THREADS"] == environ["OMP_NUM_THREADS"] == "1"
    code = (
        "import os; from mlp_cli.compute.select import hold_blas; hold_blas(os.environ)\n"
        "import numpy as np; a = np.ones((2000, 2000)); a @ a\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    if Path("/proc/self/task").exists():
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout == "1\n"


def test_the_record_of_the_machine_is_json_and_differing_names_the_differences() -> None:
    here = describe(2, "numpy")
    assert json.loads(json.dumps(here)) == here
    assert here["threads"] == 2
    assert here["processor"]
    assert differing(here, here) == []
    assert differing({**here, "threads": 1, "python": "2"}, here) == ["threads: 1 then, 2 now"]


def test_the_fastest_kernels_installed_are_used_unless_the_variable_says_otherwise() -> None:
    installed = find_spec("numba") is not None
    assert want_fast({}) == installed
    assert not want_fast({"MLP_KERNELS": "numpy"})
    with pytest.raises(ConfigError, match="give numpy or fast"):
        want_fast({"MLP_KERNELS": "quick"})
    if installed:
        assert want_fast({"MLP_KERNELS": "fast"})
    else:
        with pytest.raises(ConfigError, match=r"pip install 'mlp-cli\[fast\]'"):
            want_fast({"MLP_KERNELS": "fast"})


def test_available_cores_counts_the_cores_that_the_process_may_use() -> None:
    if hasattr(os, "sched_getaffinity"):
        assert available_cores() == len(os.sched_getaffinity(0))
