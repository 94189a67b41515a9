"""Measure only the matrix products of a training step, by NumPy and PyTorch.

    python benchmarks/products.py M

times the products of row M: the forward pass, the weight gradients and the errors δ. Each library
runs in a separate process on all cores. The images per second are those of a training that does
nothing else. A library that is not installed is left out.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from statistics import median

import click
from lib.command import SETTINGS
from lib.machine import core_rate, environment, thread_counts
from lib.tables import count, percent, table
from lib.workload import ROWS

PACKAGES = {"NumPy": "numpy", "PyTorch": "torch"}
TRIES = 31


def products(library: str, row: str) -> list[Callable[[], object]]:
    """Return the matrix products of one step of a row as functions."""
    import numpy as np

    generator = np.random.default_rng(0)
    work = ROWS[row]
    K, made = work.batch, []
    for layer, (n, m) in enumerate(pairwise(work.sizes)):
        a, W, delta = (
            generator.standard_normal(shape).astype(work.dtype)
            for shape in ((K, n), (m, n), (K, m))
        )
        factors = [(a, W.T), (delta.T, a)] + ([(delta, W)] if layer else [])
        for left, right in factors:
            out = np.empty((len(left), right.shape[1]), work.dtype)
            if library == "NumPy":
                made.append(lambda left=left, right=right, out=out: np.matmul(left, right, out=out))
            else:
                import torch

                arrays = [torch.from_numpy(array) for array in (left, right, out)]
                made.append(lambda of=arrays: torch.mm(of[0], of[1], out=of[2]))
    return made


def seconds(library: str, row: str) -> float:
    """Return the seconds of the products of a step: the sum of their medians."""
    total = 0.0
    for product in products(library, row):
        times = []
        for _ in range(TRIES):
            started = time.perf_counter()
            product()
            times.append(time.perf_counter() - started)
        total += median(times)
    return total


@click.command(context_settings=SETTINGS)
@click.argument("row", type=click.Choice(list(ROWS)))
@click.option("--library", type=click.Choice(list(PACKAGES)), help="Print its seconds alone.")
def main(row: str, library: str | None) -> None:
    """Measure only the matrix products of a training step."""
    if library is not None:
        print(seconds(library, row))
        return
    threads, lines = max(thread_counts()), []
    limit = core_rate(ROWS[row].dtype, threads)
    for name in (name for name, package in PACKAGES.items() if find_spec(package) is not None):
        command = [sys.executable, __file__, row, "--library", name]
        done = subprocess.run(
            command, env=environment(threads), capture_output=True, text=True, check=True
        )
        step = float(done.stdout)
        rate = ROWS[row].batch / step
        of_limit = percent(rate * ROWS[row].flops / limit)
        lines.append([name, f"{1000 * step:.3g}", count(rate), of_limit])
    print(table([f"row {row}, {threads} threads", "ms a step", "images/s", "of limit"], lines))


if __name__ == "__main__":
    main()
