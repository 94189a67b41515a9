"""The machine: its cores, its processor, and the record of what a run ran on.

NumPy is imported only to describe it: `select.hold_blas` must run before that.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlp_cli._version import __version__


def available_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe(threads: int, kernels: str) -> dict[str, Any]:
    """Return what the results of a run depend on, beside its configuration."""
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
    """Return the name of the processor, as far as it is known."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two records and can change the last bits of a result."""
    return [
        f"{key}: {then.get(key)} then, {now[key]} now"
        for key in ("numpy", "blas", "processor", "threads", "kernels")
        if then.get(key) != now[key]
    ]
