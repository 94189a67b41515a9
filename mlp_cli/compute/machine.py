"""The machine: its cores, its processor, and the record of what a run ran on.

NumPy is imported only to describe it: `select.hold_blas` must run before that.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlp_cli._version import __version__


def available_cores(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> int:
    """Return the cores that this process may use, at least 1.

    The least of these counts: the processors that the process may run on, the CPU quota of its
    control group and of the groups above it (as a container has it), and SLURM_CPUS_PER_TASK. A
    part of a core does not count.

    Parameters
    ----------
    root
        The folder that holds `proc` and `sys`.
    environ
        The environment; by default this process's.
    """
    text = (os.environ if environ is None else environ).get("SLURM_CPUS_PER_TASK", "").strip()
    slurm = [int(text)] if text.isdecimal() and text.isascii() else []
    return max(1, int(min([_processors(), *slurm, *_quotas(root)])))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # not every system has it
        with suppress(OSError):  # a sandbox may forbid it
            return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quotas, in cores, of this process's control groups and of those above them."""
    groups = []
    with suppress(OSError):  # no control groups
        groups = os.fsdecode((root / "proc/self/cgroup").read_bytes()).splitlines()
    for group in groups:
        _, _, rest = group.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has no controllers here. Both versions may be mounted side by side.
        for mount in (controllers, "cpu") if controllers else ("", "unified"):
            top = root / "sys/fs/cgroup" / mount
            folder = top / path.strip("/")
            for each in (folder, *folder.parents):
                yield from _quota(each)
                if each == top:
                    break


def _quota(folder: Path) -> Iterator[float]:
    """Yield the quota of one control group, of version 1 or 2, if it has one."""
    with suppress(OSError, ValueError, ZeroDivisionError):  # "max", and -1 in version 1: no quota
        if (folder / "cpu.max").exists():
            quota, period = map(int, (folder / "cpu.max").read_text().split())
        else:
            quota, period = (
                int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period")
            )
        if quota > 0:
            yield quota / period


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
        f"{key}: {then.get(key)} then, {now.get(key)} now"
        for key in ("numpy", "blas", "processor", "threads", "kernels", "first_layer")
        if then.get(key) != now.get(key)
    ]
