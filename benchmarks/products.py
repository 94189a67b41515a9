"""The matrix products of a training step, and nothing else: what each library's own are worth.

    python benchmarks/products.py L

times the products of row L, forward, weight gradients and errors, by NumPy and by PyTorch, each in
a process of its own on every core. The images a second are those of a training that had nothing
else to do.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

from contenders import gemm_rate, on_threads, thread_counts
from tables import count, percent, table
from workload import ROWS

TRIES = 31


def products(library: str, row: str) -> list[Callable[[], object]]:
    """Return the products of a step of a row, each ready to be called."""
    import numpy as np

    drawn = np.random.default_rng(0)
    work = ROWS[row]
    K, made = work.batch, []
    for layer, (n, m) in enumerate(pairwise(work.sizes)):
        a, W, delta = (
            drawn.standard_normal(shape).astype(work.dtype) for shape in ((K, n), (m, n), (K, m))
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
    """Return what the products of a step take: the sum of each one's median."""
    total = 0.0
    for product in products(library, row):
        times = []
        for _ in range(TRIES):
            started = time.perf_counter()
            product()
            times.append(time.perf_counter() - started)
        total += median(times)
    return total


def main() -> None:
    """Print a table, or as a child of its own one library's seconds."""
    row, *library = sys.argv[1:]
    if library:
        print(seconds(library[0], row))
        return
    threads, lines = max(thread_counts()), []
    limit = gemm_rate(ROWS[row].dtype, threads)
    for name in ("NumPy", "PyTorch"):
        command = [sys.executable, __file__, row, name]
        done = subprocess.run(
            command, env=on_threads(threads), capture_output=True, text=True, check=True
        )
        step = float(done.stdout)
        rate = ROWS[row].batch / step
        of_limit = percent(rate * ROWS[row].flops / limit)
        lines.append([name, f"{1000 * step:.3g}", count(rate), of_limit])
    print(table([f"row {row}, {threads} threads", "ms a step", "images/s", "of limit"], lines))


if __name__ == "__main__":
    main()
