"""The contenders of a comparison, and the processes in which they train."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lib.machine import environment
from lib.workload import Workload

OURS = "mlp"
# Our sets of kernels, each with the package that it needs. Each is a separate contender.
KERNELS = {"numpy": "mlp_cli", "fast": "numba"}


@dataclass(frozen=True)
class Contender:
    """An implementation of a training, and how to start it.

    Attributes
    ----------
    key, name
        Its name on the command line and in tables.
    family
        The library; the fastest member of a family counts.
    module, options
        The module of its `contender(work, threads, **options)`, and these options.
    package
        The package that must be installed for it.
    pinned
        Whether its threads can be limited only by the cores that its process may use.
    most_flops
        Floating-point operations per example. Rows above it are skipped, unless the contender is
        requested by name.
    lacks
        What it cannot do, of what a workload may need.
    """

    key: str
    name: str
    family: str
    module: str
    package: str
    options: Mapping[str, Any] = field(default_factory=dict)
    pinned: bool = False
    most_flops: float = float("inf")
    lacks: frozenset[str] = frozenset()

    def does(self, work: Workload, asked_for: bool) -> bool:
        """Whether it takes part in a row; `asked_for` says if it was requested by name."""
        return not self.lacks & work.needs and (asked_for or work.flops <= self.most_flops)

    @property
    def installed(self) -> bool:
        """Whether its package can be imported."""
        return importlib.util.find_spec(self.package) is not None


UNUSUAL = frozenset({"batch_norm", "dropout", "distorted"})


def ours(kernels: str) -> Contender:
    """Return this project with one set of its kernels as a contender."""
    options = {"kernels": kernels}
    return Contender(kernels, f"mlp ({kernels})", OURS, "lib.ours", KERNELS[kernels], options)


def installed_kernels() -> list[str]:
    """Return the names of our kernels that are installed."""
    return [name for name in KERNELS if ours(name).installed]


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
        Contender(
            "compiled",
            "PyTorch, compiled",
            "PyTorch",
            "rivals.torch_compiled",
            "torch",
            lacks=UNUSUAL,
        ),
        Contender(
            "sklearn",
            "scikit-learn",
            "scikit-learn",
            "rivals.sklearn_mlp",
            "sklearn",
            most_flops=2e7,
            lacks=UNUSUAL,
        ),
    )
}


class WorkerError(Exception):
    """A contender's process ended too early; the message is the last line of its stderr."""


class Worker:
    """A contender in a separate process, on a fixed number of threads, or on as many as it chooses.

    It gets one request at a time and sleeps in between. So several can be measured in turns without
    starting and compiling each time.
    """

    def __init__(self, contender: Contender, work: Workload, threads: int | None) -> None:
        spec = {
            "module": contender.module,
            "options": dict(contender.options),
            "threads": threads,
            "cores": threads if contender.pinned else None,
            "work": work.to_json(),
        }
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lib.worker", json.dumps(spec)],
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def ask(self, do: str, **how: float) -> dict[str, Any]:
        """Send the request `learn`, `measure` or `score` (see `worker`), and return the answer.

        Raises
        ------
        WorkerError
            If the process has ended.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the missing answer is noticed below
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
