"""The BLAS of compiled code: the functions that NumPy's matmul calls, or MKL's.

The functions of NumPy are found through its own extension module. Large products use MKL if it is
installed and the processor is Intel's. `gemm` calls them.
"""

from __future__ import annotations

import ctypes
import resource
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlp_cli.compute.machine import processor

# The functions that NumPy's extension module is linked to: by the names of OpenBLAS in NumPy's own
# wheels, and of any other CBLAS. The first two names take 64-bit sizes.
_NAMES = ("scipy_cblas_{}gemm64_", "cblas_{}gemm64_", "cblas_{}gemm")

# Multiplications. OpenBLAS has special kernels for products up to this size, which are up to three
# times as fast as MKL's. Above it, MKL is 1.1 to 3 times as fast.
LARGE = 1_000_000

ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112

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
    library.cblas_sgemm_64(ROW_MAJOR, PLAIN, PLAIN, *sizes, factor, *at, *at, factor, *at)
    return _MKL(installed.version, library)


MKL = _load_mkl()


def _find_blas() -> tuple[bool, dict[str, int]]:
    """Return whether sizes have 64 bits, and the addresses of the products by their names."""
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
    found: dict[str, int] = {}
    for kind, function, other in zip("sd", functions, large, strict=True):
        found[f"mlp_{kind}gemm"] = _address(function)
        found[f"mlp_large_{kind}gemm"] = _address(other)
    return wide, found


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


WIDE, ADDRESSES = _find_blas()
