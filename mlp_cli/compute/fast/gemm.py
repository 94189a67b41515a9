"""Matrix products for compiled code, by the functions of `blas`."""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from numba import types
from numba.extending import overload

from mlp_cli.compute.fast.blas import ADDRESSES, LARGE, ROW_MAJOR, WIDE
from mlp_cli.compute.fast.intrinsics import jit

for _name, _address in ADDRESSES.items():
    llvmlite.binding.add_symbol(_name, _address)

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
            enum(ROW_MAJOR), enum(ta), enum(tb), size(m), size(n), size(k), number(alpha),
            a, size(lda), b, size(ldb), number(beta), c, size(ldc),
        )  # fmt: skip

    return call
