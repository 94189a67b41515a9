"""A program that compiles the kernels, unless they are compiled already."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.fast import MULTIPLIES_PAIRS, FastKernels

if __name__ == "__main__":
    for name in ("float32", "float64"):
        FastKernels().compile(np.dtype(name), print, print)
    if MULTIPLIES_PAIRS:
        FastKernels(rounds=True).compile(np.dtype("float32"), print, print)
