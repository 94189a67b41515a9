"""The machine: its cores, its rate, the record of it, and the environment of a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lib.command import log

HERE = Path(__file__).parents[1]  # the folder of the benchmarks
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
BUSY = 0.5  # processes that are running or waiting for a core, in the mean of the last minute


def environment(threads: int | None = None, **more: str) -> dict[str, str]:
    """Return an environment in which every library uses `threads` threads, or chooses for itself.

    Its Python finds the modules of the benchmarks.
    """
    kept = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    fixed = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
    path = os.pathsep.join(filter(None, [str(HERE), kept.get("PYTHONPATH")]))
    return {**kept, **fixed, **more, "PYTHONPATH": path}


def thread_counts() -> list[int]:
    """Return the numbers of threads to try: one, and the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted({1, len(os.sched_getaffinity(0))})
    return sorted({1, os.cpu_count() or 1})


@cache
def core_rate(dtype: str, threads: int) -> float:
    """Return the rate of the cores (see `rate`), in floating-point operations per second."""
    command = [sys.executable, "-m", "lib.rate", dtype, str(threads)]
    done = subprocess.run(
        command, env=environment(threads), capture_output=True, text=True, check=True
    )
    return float(done.stdout) * 1e9


def describe_machine() -> dict[str, Any]:
    """Return what a reader must know about the machine, and its load before the measurements.

    It is the `env.json` of a short training. A warning is logged if the machine is busy.
    """
    load = os.getloadavg()[0]
    if load > BUSY:
        log(f"The machine is not quiet (load {load:.1f}): do not trust the figures.")
    with tempfile.TemporaryDirectory() as folder:
        config, out = Path(folder) / "config.yaml", Path(folder) / "run"
        tiny = {
            "data": {"dataset": "synthetic"},
            "model": {"hidden": []},
            "training": {"epochs": 1},
        }
        config.write_text(json.dumps(tiny))
        command = [sys.executable, "-m", "mlp_cli", "train", "--config", config, "--out", out]
        subprocess.run(
            command, env=environment(MLP_KERNELS="numpy"), capture_output=True, check=True
        )
        found = json.loads((out / "env.json").read_text())
    return {
        **{key: value for key, value in found.items() if key not in ("threads", "kernels")},
        "load_before": load,
        "limit": "multiply-adds in registers" if find_spec("numba") else "NumPy's large product",
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE"),
    }
