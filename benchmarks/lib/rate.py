"""Measure the rate of the cores themselves, which limits every training.

Prints GFLOP/s, the best of 32 bursts on 2 threads at once:

    OPENBLAS_NUM_THREADS=2 python benchmarks/lib/rate.py float32 2

With Numba, a burst is nothing but fused multiply-adds on vectors in registers. No product of
matrices is faster. Without Numba it is NumPy's product of 2048 x 2048 matrices, which is up to 12 %
slower.
"""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

TRIES = 32
SIZE = 2048  # of the matrices
CHAINS, ROUNDS = 12, 4_000_000  # sums that do not wait for each other, and additions to each


def product_rate(dtype: str) -> float:
    """Return the rate of NumPy's product in floating-point operations per second."""
    import numpy as np

    generator = np.random.default_rng(0)
    a, b = (generator.standard_normal((SIZE, SIZE)).astype(dtype) for _ in range(2))
    product = np.empty_like(a)
    return 2 * SIZE**3 / shortest(lambda: np.matmul(a, b, out=product))


def register_rate(dtype: str, threads: int) -> float:
    """Return the rate of multiply-adds in registers in floating-point operations per second."""
    from llvmlite import binding, ir
    from numba import njit, types
    from numba.core import cgutils
    from numba.extending import intrinsic

    features = binding.get_host_cpu_features()
    bits = 512 if features.get("avx512f") else 256 if features.get("avx") else 128
    kind, width = (ir.FloatType(), 32) if dtype == "float32" else (ir.DoubleType(), 64)
    lanes = bits // width

    @intrinsic
    def multiply_add(_, rounds, x):
        """Set each sum to sum · x + x, `rounds` times; return the total of the first lanes."""

        def build(context, builder, signature, args):
            vector = ir.VectorType(kind, lanes)
            first = builder.fptrunc(args[1], kind) if width == 32 else args[1]
            number = ir.IntType(32)
            alone = builder.insert_element(ir.Constant(vector, ir.Undefined), first, number(0))
            zeros = ir.Constant(ir.VectorType(number, lanes), [0] * lanes)
            spread = builder.shuffle_vector(alone, alone, zeros)
            sums = [cgutils.alloca_once_value(builder, spread) for _ in range(CHAINS)]
            with cgutils.for_range(builder, args[0]):
                for place in sums:
                    scaled = builder.fmul(builder.load(place), spread, flags=("contract",))
                    builder.store(builder.fadd(scaled, spread, flags=("contract",)), place)
            total = ir.Constant(vector, [0.0] * lanes)
            for place in sums:
                total = builder.fadd(total, builder.load(place))
            found = builder.extract_element(total, number(0))
            return builder.fpext(found, ir.DoubleType()) if width == 32 else found

        return types.float64(types.intp, types.float64), build

    @njit("float64(intp, float64)", nogil=True)
    def burst(rounds, x):
        return multiply_add(rounds, x)

    with ThreadPoolExecutor(threads) as pool:
        flops = 2 * lanes * CHAINS * ROUNDS * threads
        return flops / shortest(lambda: list(pool.map(burst, [ROUNDS] * threads, [0.5] * threads)))


def shortest(work: Callable[[], object]) -> float:
    """Return the least seconds of several tries."""
    seconds = []
    for _ in range(TRIES):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    _, dtype, threads = sys.argv
    has_numba = find_spec("numba") is not None
    print((register_rate(dtype, int(threads)) if has_numba else product_rate(dtype)) / 1e9)
