"""Measure only the matrix products of a training step, by NumPy, our compiled kernels and PyTorch.

    python benchmarks/products.py L

times the products of row L: the forward pass, the weight gradients and the errors δ. Each library
runs in a separate process on all cores. In the compiled kernels each core computes some of the
neurons, as in training. The images per second are those of a training that does nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

from contenders import gemm_rate, on_threads, thread_counts
from tables import count, percent, table
from workload import ROWS

TRIES = 31
REPEATS = 10  # products in one call of the compiled kernels, because a call takes long to start


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
        if library == "compiled":  # the order of their arrays, except for the images
            a, delta = np.asfortranarray(a) if layer else a, np.asfortranarray(delta)
            factors = [(a, W.T), (delta.T, a)] + ([(delta, W)] if layer else [])
            made += [compiled(left, right, right is a) for left, right in factors]
            continue
        for left, right in factors:
            out = np.empty((len(left), right.shape[1]), work.dtype)
            if library == "NumPy":
                made.append(lambda left=left, right=right, out=out: np.matmul(left, right, out=out))
            else:
                import torch

                arrays = [torch.from_numpy(array) for array in (left, right, out)]
                made.append(lambda of=arrays: torch.mm(of[0], of[1], out=of[2]))
    return made


def compiled(left: Any, right: Any, by_rows: bool) -> Callable[[], object]:
    """Return a function that computes one product REPEATS times on all cores, compiled."""
    import numpy as np

    from mlp_cli.compute.fast.kernels import FastKernels
    from mlp_cli.compute.machine import available_cores
    from mlp_cli.compute.threads import ThreadTeam
    from mlp_cli.nn.backprop import columns_first
    from mlp_cli.nn.network import rows_of

    team = ThreadTeam(available_cores())
    rows, columns = len(left), right.shape[1]
    out = np.empty((rows, columns), left.dtype)
    if not by_rows:
        out = columns_first(rows, columns, left.dtype)

    def work(do: Any, me: int) -> None:
        own = rows_of(me, team.size, rows if by_rows else columns)
        mine = (left[own], right, out[own]) if by_rows else (left, right[:, own], out[:, own])
        for _ in range(REPEATS):
            do.product(*mine)
            do.meet(me)

    run = FastKernels().prepare(work, team, left.dtype)
    return lambda: team.run(run)


def seconds(library: str, row: str) -> float:
    """Return the seconds of the products of a step: the sum of their medians."""
    total = 0.0
    for product in products(library, row):
        times = []
        for _ in range(TRIES):
            started = time.perf_counter()
            product()
            times.append(time.perf_counter() - started)
        total += median(times) / (REPEATS if library == "compiled" else 1)
    return total


def main() -> None:
    """Print a table; in a child process, print the seconds of one library."""
    row, *library = sys.argv[1:]
    if library:
        print(seconds(library[0], row))
        return
    threads, lines = max(thread_counts()), []
    limit = gemm_rate(ROWS[row].dtype, threads)
    for name, variables in (("NumPy", threads), ("compiled", 1), ("PyTorch", threads)):
        command = [sys.executable, __file__, row, name]
        done = subprocess.run(
            command, env=on_threads(variables), capture_output=True, text=True, check=True
        )
        step = float(done.stdout)
        rate = ROWS[row].batch / step
        of_limit = percent(rate * ROWS[row].flops / limit)
        lines.append([name, f"{1000 * step:.3g}", count(rate), of_limit])
    print(table([f"row {row}, {threads} threads", "ms a step", "images/s", "of limit"], lines))


if __name__ == "__main__":
    main()
