"""Matrix products for compiled code: the functions that NumPy's matmul calls, or MKL's.

The functions of NumPy are found through its own extension module. Large products use MKL if it is
installed and the processor is Intel's.
"""

from __future__ import annotations

import ctypes
import resource
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
from numba import types
from numba.extending import overload

from mlp_cli.compute.fast.intrinsics import jit
from mlp_cli.compute.machine import processor

# The functions that NumPy's extension module is linked to: by the names of OpenBLAS in NumPy's own
# wheels, and of any other CBLAS. The first two names take 64-bit sizes.
_NAMES = ("scipy_cblas_{}gemm64_", "cblas_{}gemm64_", "cblas_{}gemm")

# Multiplications. OpenBLAS has special kernels for products up to this size, which are up to three
# times as fast as MKL's. Above it, MKL is 1.1 to 3 times as fast.
LARGE = 1_000_000

_ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112

# MKL's settings for one thread, and for results that do not depend on the addresses of operands.
_SEQUENTIAL, _SAME_BITS = 1, 2


class _MKL(NamedTuple):
    version: str
    library: ctypes.CDLL


def _load_mkl() -> _MKL | None:
    """Load MKL if it is installed and the processor is Intel's, for which it is made.

    MKL loads its parts when they are first called, and ends the process if it cannot. So it is not
    used if memory is limited, or if the working directory is gone, which it asks for.
    """
    limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    if "Intel" not in processor() or limited:
        return None
    try:
        Path.cwd()
        installed = metadata.distribution("mkl")
    except (metadata.PackageNotFoundError, OSError):
        return None
    found = [file for file in installed.files or () if file.name.startswith("libmkl_rt.so")]
    if not found:
        return None
    library = ctypes.CDLL(str(installed.locate_file(found[0])))
    if not hasattr(library, "cblas_sgemm_64"):  # older than what the extra asks for
        return None
    library.MKL_Set_Threading_Layer(_SEQUENTIAL)
    if library.MKL_CBWR_Set(_SAME_BITS) != 0:
        raise ImportError("MKL was in use before it could be told to be reproducible")
    size, factor, number = ctypes.c_int64(1), ctypes.c_float(1), ctypes.c_float()
    sizes, at = (size, size, size), (ctypes.byref(number), size)
    # A product loads the last of its parts: now, not amid a training.
    library.cblas_sgemm_64(_ROW_MAJOR, PLAIN, PLAIN, *sizes, factor, *at, *at, factor, *at)
    return _MKL(installed.version, library)


MKL = _load_mkl()


def _add(kind: str, function: Any) -> None:
    address = ctypes.cast(function, ctypes.c_void_p).value
    llvmlite.binding.add_symbol(f"mlp_{kind}", address)


def _find_blas() -> bool:
    """Make the products known to the compiler; return whether their sizes have 64 bits."""
    # This module has had its name in all releases, unlike `numpy.core`, and uses the same BLAS.
    library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    for name in _NAMES:
        functions = [getattr(library, name.format(kind), None) for kind in "sd"]
        if all(functions):
            break
    else:
        raise ImportError("NumPy's BLAS has no CBLAS interface")
    wide = "64" in name
    large = functions
    if MKL is not None:
        name = "cblas_{}gemm_64" if wide else "cblas_{}gemm"
        large = [getattr(MKL.library, name.format(kind)) for kind in "sd"]
    for kind, function, other in zip("sd", functions, large, strict=True):
        _add(f"{kind}gemm", function)
        _add(f"large_{kind}gemm", other)
    return wide


WIDE = _find_blas()
_SIZE = types.int64 if WIDE else types.int32


def _gemm_type(real: Any) -> Any:
    size, enum, address = _SIZE, types.int32, types.intp
    return types.void(
        *(enum, enum, enum, size, size, size, real),
        *(address, size, address, size, real, address, size),
    )


_GEMM = {
    real: [
        types.ExternalFunction(f"mlp_{size}{kind}gemm", _gemm_type(real)) for size in ("", "large_")
    ]
    for kind, real in (("s", types.float32), ("d", types.float64))
}


def gemm(real, *operands):
    """Write C ← α A B + β C, by the CBLAS's arguments, in the type of `real`."""
    raise NotImplementedError


@overload(gemm)
def _gemm_of(real, alpha, beta, ta, tb, m, n, k, a, lda, b, ldb, c, ldc):
    small, large = (_calling(gemm, real.dtype) for gemm in _GEMM[real.dtype])

    def call(real, alpha, beta, ta, tb, m, n, k, a, lda, b, ldb, c, ldc):
        if m * n * k > LARGE:
            large(alpha, beta, ta, tb, m, n, k, a, lda, b, ldb, c, ldc)
        else:
            small(alpha, beta, ta, tb, m, n, k, a, lda, b, ldb, c, ldc)

    return call


def _calling(gemm, number):
    enum, size = types.int32, _SIZE

    @jit
    def call(alpha, beta, ta, tb, m, n, k, a, lda, b, ldb, c, ldc):
        gemm(
            enum(_ROW_MAJOR), enum(ta), enum(tb), size(m), size(n), size(k), number(alpha),
            a, size(lda), b, size(ldb), number(beta), c, size(ldc),
        )  # fmt: skip

    return call
