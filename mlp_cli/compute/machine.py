"""The machine: how many threads a training gets, and the record of what it ran on.

A training's threads are those of its `Team`; each calls a BLAS that is held to one thread. BLAS
reads its number of threads once, when NumPy is imported, so `hold_blas` must run before anything
imports NumPy, and this module imports it only to describe it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlp_cli import __version__
from mlp_cli.errors import ConfigError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Multiplications in the forward pass of one minibatch, for each of the two times that the threads
# meet over a hidden layer. Below it the meetings cost more than a second thread saves: NumPy's go
# through the interpreter, those of compiled code take less than a microsecond.
WORTH_MEETING, WORTH_MEETING_FAST = 8_000_000, 600_000


def available_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_threads(
    option: int | None,
    hidden: Sequence[int],
    batch_size: int,
    fast: bool,
    environ: Mapping[str, str],
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
    work = batch_size * sum(n * m for n, m in pairwise((784, *hidden, 10)))
    meetings = 2 * len(hidden)
    worth = WORTH_MEETING_FAST if fast else WORTH_MEETING
    return available_cores() if meetings and work / meetings >= worth else 1


def want_fast(environ: Mapping[str, str]) -> bool:
    """Return whether a training runs on the compiled kernels: MLP_KERNELS, else where installed.

    Raises
    ------
    ConfigError
        If MLP_KERNELS is neither numpy nor fast, or asks for what is not installed.
    """
    wanted, installed = environ.get("MLP_KERNELS", ""), find_spec("numba") is not None
    if wanted not in ("", "numpy", "fast"):
        raise ConfigError(f"MLP_KERNELS={wanted}: give numpy or fast, or unset it.")
    if wanted == "fast" and not installed:
        raise ConfigError("MLP_KERNELS=fast: Numba is missing. Run: pip install 'mlp-cli[fast]'")
    return installed and wanted != "numpy"


def hold_blas(environ: MutableMapping[str, str]) -> None:
    """Hold the BLAS libraries that NumPy may use to one thread, by the variables they heed."""
    for name in THREAD_VARIABLES:
        environ[name] = "1"


def describe(threads: int, kernels: str) -> dict[str, Any]:
    """Return what the results of a run depend on beside its configuration."""
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return {
        "mlp": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "processor": processor(),
        "cores": available_cores(),
        "threads": threads,
        "kernels": kernels,
        "platform": platform.platform(),
    }


def processor() -> str:
    """Return the processor's name, as well as it is known."""
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
