"""Measure NumPy's rate for a large matrix product, which limits the speed of every training.

Prints GFLOP/s, the best of 8 products of 2048 x 2048 matrices, on OPENBLAS_NUM_THREADS threads:

    OPENBLAS_NUM_THREADS=2 python benchmarks/lib/gemm.py float32
"""

import sys
import time

import numpy as np

SIZE, TRIES = 2048, 8


def rate(dtype: str) -> float:
    """Return the best rate in floating-point operations per second."""
    generator = np.random.default_rng(0)
    a, b = (generator.standard_normal((SIZE, SIZE)).astype(dtype) for _ in range(2))
    product = np.empty_like(a)
    seconds = []
    for _ in range(TRIES):
        started = time.perf_counter()
        np.matmul(a, b, out=product)
        seconds.append(time.perf_counter() - started)
    return 2 * SIZE**3 / min(seconds)


if __name__ == "__main__":
    print(rate(sys.argv[1]) / 1e9)
