"""Who takes part in a comparison, and the processes that they train in."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ours import KERNELS, PACKAGES
from workload import Workload

from mlp_cli.compute.machine import available_cores
from mlp_cli.compute.select import THREAD_VARIABLES

HERE = Path(__file__).parent
OURS = "mlp"


@dataclass(frozen=True)
class Contender:
    """A way to do a training, and how to start it.

    Attributes
    ----------
    key, name, family
        What it is called on the command line and in tables, and whose it is: of a family's
        members the fastest counts.
    module, options
        Where its `contender(work, threads, **options)` lies.
    package
        What must be installed for it.
    environment
        Variables that its process gets, beside the thread counts.
    pinned
        Whether only the cores that its process may use limit its threads.
    most_flops
        For an example; rows above that it sits out, unless it is asked for by name.
    """

    key: str
    name: str
    family: str
    module: str
    package: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    pinned: bool = False
    most_flops: float = float("inf")

    @property
    def installed(self) -> bool:
        """Whether its package can be imported."""
        return importlib.util.find_spec(self.package) is not None


def ours(kernels: str) -> Contender:
    """Return the contender that is this project with a set of its kernels."""
    name = f"mlp ({kernels})"
    return Contender(kernels, name, OURS, "ours", PACKAGES[kernels], environment=KERNELS[kernels])


RIVALS = {
    rival.key: rival
    for rival in (
        Contender("jax", "JAX", "JAX", "rivals.jax_scan", "jax", pinned=True),
        Contender(
            "jax-usual",
            "JAX, usual form",
            "JAX",
            "rivals.jax_scan",
            "jax",
            {"usual": True},
            pinned=True,
        ),
        Contender("torch", "PyTorch, eager", "PyTorch", "rivals.torch_eager", "torch"),
        Contender("compiled", "PyTorch, compiled", "PyTorch", "rivals.torch_compiled", "torch"),
        Contender(
            "sklearn",
            "scikit-learn",
            "scikit-learn",
            "rivals.sklearn_mlp",
            "sklearn",
            most_flops=2e7,
        ),
    )
}


def on_threads(threads: int) -> dict[str, str]:
    """Return an environment in which every library computes on so many threads."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


class WorkerError(Exception):
    """A contender's process ended before its time; the message is the end of what it said."""


class Worker:
    """A contender in a process of its own, on a fixed number of threads.

    It is asked for one thing at a time and sleeps in between, so that several can be measured in
    turns without starting and compiling each time.
    """

    def __init__(self, contender: Contender, work: Workload, threads: int) -> None:
        self.contender, self.threads = contender, threads
        environment = {**on_threads(threads), **contender.environment}
        spec = {
            "module": contender.module,
            "options": dict(contender.options),
            "threads": threads,
            "cores": threads if contender.pinned else None,
            "work": work.to_json(),
        }
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), json.dumps(spec)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.about = self._answer()

    def ask(self, do: str, **how: float) -> dict[str, Any]:
        """Have it `learn`, `measure` or `score`, as `worker` says.

        Raises
        ------
        WorkerError
            If the process is gone.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the missing answer tells
            self._process.stdin.write(json.dumps({"do": do, **how}) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return dict(json.loads(line))
        self._end()
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        self._said.close()
        raise WorkerError(lines[-1] if lines else f"ended with {self._process.returncode}")

    def close(self) -> None:
        """End the process."""
        self._end()
        self._said.close()

    def _end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def gemm_rate(dtype: str, threads: int) -> float:
    """Return the machine's rate of large products by NumPy, in floating-point operations/s."""
    command = [sys.executable, str(HERE / "gemm.py"), dtype]
    done = subprocess.run(
        command, env=on_threads(threads), capture_output=True, text=True, check=True
    )
    return float(done.stdout) * 1e9


def describe_machine() -> dict[str, Any]:
    """Return what a reader must know of the machine, as it is before anything is measured.

    The project's own record of it comes from a process that may load NumPy.
    """
    load = os.getloadavg()[0]
    program = "import json, mlp_cli.compute.machine as e; print(json.dumps(e.describe(0, '')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    found = dict(json.loads(done.stdout))
    return {
        **{key: value for key, value in found.items() if key not in ("threads", "kernels")},
        "load_before": load,
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE"),
    }


def thread_counts() -> list[int]:
    """Return the numbers of threads worth trying: one, and every core."""
    return sorted({1, available_cores()})
