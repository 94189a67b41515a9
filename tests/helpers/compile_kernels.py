"""A program that compiles the kernels, unless they are compiled already."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.fast import FastKernels

if __name__ == "__main__":
    for name in ("float32", "float64"):
        FastKernels().compile(np.dtype(name), print, print)
