"""The running of a program: a table in which each line is one operation.

Operands are given by their addresses in memory. `execute` holds no Python object and no lock of the
interpreter, so the members of a team run beside each other from a chunk's first line to its last.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numpy as np

from mlp_cli.compute.fast import images, layers, opcodes, randomness, updates
from mlp_cli.compute.fast.blas import PLAIN, TRANSPOSED, WIDE, gemm
from mlp_cli.compute.fast.intrinsics import flush_to_zero, meet, pointer


@numba.njit(nogil=True, error_model="numpy")
def _run(program, constants, like):
    """Run a program's lines (n, OPERANDS), each with its (n, CONSTANTS), from first to last.

    `like` is an array of the parameters' type. Numbers below its normal range count as 0: late in
    a training many gradients are so small, and processors take a hundred times as long for them.
    """
    real = like.dtype
    control = flush_to_zero(np.uint32(0))
    for i in range(len(program)):
        line = program[i]
        code = line[0]
        if code in (opcodes.PRODUCT, opcodes.DESCEND):
            alpha, beta = 1.0, 0.0
            if code == opcodes.DESCEND:
                rate = numba.carray(pointer(line[12]), 1, np.float64)[0]
                alpha, beta = -rate, 1 - rate * constants[i, 0]
            gemm(
                like, alpha, beta,
                TRANSPOSED if line[1] else PLAIN, TRANSPOSED if line[2] else PLAIN,
                line[3], line[4], line[5], line[6], line[7], line[8], line[9], line[10], line[11],
            )  # fmt: skip
        elif code == opcodes.ACTIVATE:
            K, m, stride = line[4], line[5], line[6]
            z = numba.carray(pointer(line[2]), m * stride, real)
            layers.activate(line[1], z, numba.carray(pointer(line[3]), m, real), K, stride)
        elif code == opcodes.DERIVE:
            delta = numba.carray(pointer(line[2]), line[4], real)
            layers.derive(line[1], delta, numba.carray(pointer(line[3]), line[4], real))
        elif code == opcodes.ERROR:
            K, c, stride = line[6], line[7], line[8]
            z = numba.carray(pointer(line[2]), c * stride, real)
            y = numba.carray(pointer(line[3]), K * c, real)
            delta = numba.carray(pointer(line[4]), K * c, real)
            s = numba.carray(pointer(line[5]), 2 * K, real)
            layers.error(line[1], z, y, delta, s[:K], s[K:], c, stride)
        elif code == opcodes.COUNT:
            n, c, stride = line[8], line[9], line[10]
            z = numba.carray(pointer(line[2]), c * stride, real)
            y = numba.carray(pointer(line[3]), n * c, real)
            labels = numba.carray(pointer(line[4]), n, np.uint8)
            losses = numba.carray(pointer(line[5]), n, real)
            right = numba.carray(pointer(line[6]), n, np.bool_)
            most = numba.carray(pointer(line[7]), n, real)
            layers.count(line[1], z, y, labels, losses, right, most, c, stride)
        elif code == opcodes.READ:
            count, inputs, total = line[7], line[8], line[9]
            pixels = numba.carray(pointer(line[1]), total * inputs, np.uint8)
            rows = numba.carray(pointer(line[2]), count, np.int64)
            soon = numba.carray(pointer(line[3]), line[10], np.int64)
            x = numba.carray(pointer(line[4]), count * inputs, real)
            scale = numba.carray(pointer(line[5]), inputs, real)
            shift = numba.carray(pointer(line[6]), inputs, real)
            images.read(pixels, rows, soon, x, scale, shift, inputs)
        elif code == opcodes.LOOK_UP:
            count, c, total = line[6], line[7], line[8]
            labels = numba.carray(pointer(line[1]), total, np.uint8)
            rows = numba.carray(pointer(line[2]), count, np.int64)
            found = numba.carray(pointer(line[3]), count, np.uint8)
            one_hot = numba.carray(pointer(line[4]), c * c, real)
            images.look_up(
                labels, rows, found, one_hot, numba.carray(pointer(line[5]), count * c, real), c
            )
        elif code == opcodes.MEET:
            meet(line[1], line[2])
        elif code == opcodes.SUM_SQUARES:
            squares = numba.carray(pointer(line[3]), 1, np.float64)
            if line[4]:
                squares[0] = 0
            squares[0] += updates.sum_squares(numba.carray(pointer(line[1]), line[2], real))
        elif code == opcodes.CLIP:
            squares = numba.carray(pointer(line[3]), line[4], np.float64)
            updates.clip(numba.carray(pointer(line[1]), line[2], real), constants[i, 0], squares)
        elif code == opcodes.UPDATE:
            size = line[4]
            p = numba.carray(pointer(line[2]), size, real)
            g = numba.carray(pointer(line[3]), size, real)
            slot = numba.carray(pointer(line[5]), size, real)
            second = numba.carray(pointer(line[6]), size, real)
            factors = numba.carray(pointer(line[7]), 3, np.float64)
            updates.update(line[1], p, g, slot, second, factors, constants[i])
        elif code == opcodes.NORMALISE:
            K, m = line[7], line[8]
            z = numba.carray(pointer(line[1]), K * m, real)
            gamma = numba.carray(pointer(line[2]), m, real)
            mean = numba.carray(pointer(line[3]), m, real)
            variance = numba.carray(pointer(line[4]), m, real)
            hat = numba.carray(pointer(line[5]), K * m, real)
            layers.normalise(
                z, gamma, mean, variance, hat, numba.carray(pointer(line[6]), m, real), K
            )
        elif code == opcodes.UNNORMALISE:
            K, m = line[7], line[8]
            delta = numba.carray(pointer(line[1]), K * m, real)
            gamma = numba.carray(pointer(line[2]), m, real)
            hat = numba.carray(pointer(line[3]), K * m, real)
            inverse = numba.carray(pointer(line[4]), m, real)
            dgamma = numba.carray(pointer(line[5]), m, real)
            dbeta = numba.carray(pointer(line[6]), m, real)
            layers.unnormalise(delta, gamma, hat, inverse, dgamma, dbeta, K)
        elif code in (opcodes.DRAW, opcodes.DEVIATE):
            lines, width = line[6], line[7]
            count = lines * ((width + 3) // 4)
            bits = numba.carray(pointer(line[2]), count, np.uint64)
            drawn = numba.carray(pointer(line[2]), 4 * count, np.uint16)
            key = numba.carray(pointer(line[3]), 1, np.uint64)[0] ^ np.uint64(line[4])
            r = numba.carray(pointer(line[1]), lines * width, real)
            if code == opcodes.DRAW:
                randomness.draw(r, bits, drawn, key, line[5], width, line[8])
            else:
                randomness.deviate(r, bits, drawn, key, line[5], width, constants[i, 0])
        elif code in (opcodes.MULTIPLY, opcodes.ADD):
            a = numba.carray(pointer(line[1]), line[4], real)
            r = numba.carray(pointer(line[2]), line[4], real)
            out = numba.carray(pointer(line[3]), line[4], real)
            if code == opcodes.MULTIPLY:
                randomness.multiply(a, r, out)
            else:
                randomness.add(a, r, out)
        elif code == opcodes.NOISE:
            height, two_k, width = line[6], line[7], line[8]
            noise = numba.carray(pointer(line[1]), height * two_k * width, real)
            bits = numba.carray(pointer(line[2]), (width + 3) // 4, np.uint64)
            drawn = numba.carray(pointer(line[2]), 4 * len(bits), np.uint16)
            key = numba.carray(pointer(line[3]), 1, np.uint64)[0]
            first = numba.carray(pointer(line[4]), 1, np.int64)[0] + line[5]
            randomness.noise(noise, bits, drawn, key, first, height, two_k, width)
        elif code == opcodes.WARP:
            count, total, height, width = line[9], line[10], line[11], line[12]
            inputs = height * width
            pixels = numba.carray(pointer(line[1]), total * inputs, np.uint8)
            rows = numba.carray(pointer(line[2]), count, np.int64)
            maps = numba.carray(pointer(line[3]), count * 7, real)
            field = numba.carray(pointer(line[4]), 2 * count * inputs, real)
            x = numba.carray(pointer(line[5]), count * inputs, real)
            scale = numba.carray(pointer(line[6]), inputs, real)
            shift = numba.carray(pointer(line[7]), inputs, real)
            padded = numba.carray(pointer(line[8]), (height + 3) * (width + 3), real)
            images.warp(pixels, rows, maps, field, x, scale, shift, padded, height, width)
        elif code == opcodes.LIMIT:
            W = numba.carray(pointer(line[1]), line[2] * line[3], real)
            updates.limit(W, line[2], constants[i, 0])
    flush_to_zero(control)


def _version() -> int:
    """Return a number that differs where anything that is compiled does."""
    here = Path(__file__).parent
    mathematics = (here.parents[1] / "nn").glob("*.py")  # for its constants
    files = [*sorted(mathematics), *sorted(here.glob("*.py"))]
    sources = b"".join(file.read_bytes() for file in files)
    return int.from_bytes(sha256(sources + bytes([WIDE])).digest()[:7], "big")


def _keep(version: int) -> Any:
    """Have `_run` compiled, and what comes out kept where a folder can be written.

    Numba takes up what it kept where this file is the same, and the values are that the function
    closes over: so that closes over the version of all that it calls.
    """

    def execute(program, constants, like):
        _ = version
        _run(program, constants, like)

    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(execute)
    except RuntimeError:  # neither beside this file nor in the user's own
        return numba.njit(nogil=True, error_model="numpy")(execute)


execute = _keep(_version())
