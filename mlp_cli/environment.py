"""The machine: how many threads a training gets, and the record of what it ran on.

NumPy's BLAS reads its number of threads once, when NumPy is imported. So `limit_threads` must run
before anything imports NumPy, and this module imports it only to describe it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlp_cli import __version__
from mlp_cli.errors import ConfigError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Multiplications in the forward pass of one minibatch, below which handing work to a second thread
# costs more than the thread saves.
SMALL_STEP = 5_000_000


def available_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_threads(
    option: int | None, hidden: Sequence[int], batch_size: int, environ: Mapping[str, str]
) -> int:
    """Return the threads for a training: `--threads`, else OMP_NUM_THREADS, else by the net.

    The last is a fixed rule, so that a run can be repeated: one thread for a small step, every core
    that the process may use for a larger one.

    Raises
    ------
    ConfigError
        If OMP_NUM_THREADS is set to something that is no number of threads.
    """
    if option is not None:
        return option
    text = environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ConfigError(
                f"OMP_NUM_THREADS={text}: no number of threads. Set it to 1 or more, or unset it."
            )
        return int(text)
    # 784 inputs and 10 classes stand for any data: the rule must not wait for the data to be read.
    sizes = (784, *hidden, 10)
    work = batch_size * sum(n * m for n, m in pairwise(sizes))
    return 1 if work < SMALL_STEP else available_cores()


def limit_threads(threads: int, environ: MutableMapping[str, str]) -> None:
    """Set the variables from which the BLAS libraries that NumPy may use take their threads."""
    for name in THREAD_VARIABLES:
        environ[name] = str(threads)


def describe(threads: int) -> dict[str, Any]:
    """Return what the results of a run depend on beside its configuration."""
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return {
        "mlp": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "processor": _processor(),
        "cores": available_cores(),
        "threads": threads,
        "kernels": "numpy",
        "platform": platform.platform(),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what differs between two records among the things that change a result's last bits."""
    return [
        f"{key}: {then.get(key)} then, {now[key]} now"
        for key in ("numpy", "blas", "processor", "threads", "kernels")
        if then.get(key) != now[key]
    ]
