"""A step's operations as compiled code: Numba's, with the products of a BLAS.

`execute` runs a program: a table in which each line is one operation, its operands given by their
addresses in memory. It holds no Python object and no lock of the interpreter, so the members of a
team run beside each other from a chunk's first line to its last. `fast` writes the programs.

What NumPy does in several passes over an array is one loop here: a bias with its activation, the
softmax with its error, the whole of Adam. The products are the very function that NumPy's matmul
calls, or MKL's where that is installed and the product large: `intrinsics` says where. Beside
rounding, nothing may depend on which of the two runs a step: the loops below may reorder sums and
use reciprocals, but a value that is not finite stays one.

What was tried, as speed against the step without it, on two cores with AVX-512. N is 784-30-10 at
batch 10 and S 784-128-10 at 64, both SGD; M is 784-512-512-10 and L 784-2500-2000-1500-1000-500-10,
both Adam at 128.

    all of it, against NumPy's operations         N 3.2   S 2.5   M 2.1   L 1.6
    MKL's products where they are large           S 1.3   M 1.15  L 1.1
    ... and where they are small                  N 0.85
    SGD by the product itself: `descent`          N 1.17  S 1.05  784-100-10 at batch 1 2.0
    numbers below the normal range taken for 0    M 1.3, after five epochs
    the next images fetched ahead                 N 1.11  S 1.05
    ... between conversions, not before them      S 1.04
    losses counted here, not after each chunk     N 1.1   S 1.03
    waiting by spinning, then yielding for about
      a millisecond, and asleep only after that   S 1.3 against sleeping after 0.1 ms

and what did not help, and is not here:

    the update of some rows while their gradient
      is in cache, by 64, 128, 250, 500 rows      L 0.98 to 1.05  M 0.87 to 0.97
      the same with MKL, by 64 and 128 rows       L 0.97 to 1.0   M 0.98 to 1.0
    all errors first, then layer by layer the
      gradient and its update, one thread from
      the first layer and one from the last, so
      that one uses memory while one computes     L 1.02          M 1.0
    a minibatch's examples split among threads,
      not a layer's neurons                       the products 0.75 to 0.9
    images column-first as well                   a Wᵀ 1.2, δᵀ a 0.8
    OpenBLAS's kernels for other processors       the products 0.6 to 0.75
    a second thread on N                          0.75

What is left is BLAS: of a step's time 66 % on N, 97 % on S, 79 % on M and 77 % on L are products,
which on M and L run at 91 and 93 % of the rate of a large square one. Nearly all the rest there is
Adam's 28 bytes a parameter, at the speed of the memory.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from mlp_cli.functions import LEAK, TANH_HEIGHT, TANH_SLOPE
from mlp_cli.intrinsics import (
    PLAIN,
    TRANSPOSED,
    exp,
    flush_to_zero,
    gemm,
    jit,
    meet,
    pointer,
    prefetch,
)
from mlp_cli.operations import EPSILON, FRESH, GOLDEN, MIX, SHIFTS

# The operations' codes: the first number of a line.
PRODUCT, ACTIVATE, DERIVE, ERROR, COUNT, READ, LOOK_UP, MEET, SUM_SQUARES, CLIP, UPDATE = range(11)
NORMALISE, UNNORMALISE, DRAW, DEVIATE, MULTIPLY, ADD, LIMIT, NOISE, WARP = range(11, 20)
DESCEND = 20
# The functions' codes, in the order of the registries in `functions`.
RELU, LEAKY_RELU, ELU, TANH, SCALED_TANH, SIGMOID, IDENTITY = range(7)
CROSS_ENTROPY, MSE = range(2)
SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW = range(6)
OPERANDS = 13  # whole numbers in a line: the code, addresses, sizes
CONSTANTS = 4  # fractions that belong to it

_LINE = 64  # bytes of memory that come into a cache together


@jit
def _sigmoid(z):
    one = type(z)(1)
    return one / (one + exp(-z))


@jit
def _tanh(z):
    one, two = type(z)(1), type(z)(2)
    return one - two / (one + exp(two * z))


# a = f(z). Where z is no number, neither is a: comparisons are put so that it passes.
_VALUES = {
    RELU: jit(lambda z: type(z)(0) if z < type(z)(0) else z),
    LEAKY_RELU: jit(lambda z: z * type(z)(LEAK) if z < type(z)(0) else z),
    ELU: jit(lambda z: exp(z) - type(z)(1) if z < type(z)(0) else z),
    TANH: _tanh,
    SCALED_TANH: jit(lambda z: type(z)(TANH_HEIGHT) * _tanh(type(z)(TANH_SLOPE) * z)),
    SIGMOID: _sigmoid,
    IDENTITY: jit(lambda z: z),
}


@jit
def _step(a, below):
    if a > type(a)(0):
        return type(a)(1)
    return type(a)(below) if a <= type(a)(0) else a


# f′(z), from a
_SLOPES = {
    RELU: jit(lambda a: _step(a, 0)),
    LEAKY_RELU: jit(lambda a: _step(a, LEAK)),
    ELU: jit(lambda a: type(a)(1) if a > type(a)(0) else a + type(a)(1)),
    TANH: jit(lambda a: type(a)(1) - a * a),
    SCALED_TANH: jit(
        lambda a: (type(a)(TANH_HEIGHT**2) - a * a) * type(a)(TANH_SLOPE / TANH_HEIGHT),
    ),
    SIGMOID: jit(lambda a: a * (type(a)(1) - a)),
}


def _activation(f: Any) -> Any:
    @jit
    def activate(z, b, K, stride):
        for i in range(len(b)):
            neuron, bias = z[i * stride : i * stride + K], b[i]
            for k in range(K):
                neuron[k] = f(neuron[k] + bias)

    return activate


def _derivative(slope: Any) -> Any:
    @jit
    def derive(delta, a):
        for i in range(len(delta)):
            delta[i] *= slope(a[i])

    return derive


(
    _activate_relu,
    _activate_leaky_relu,
    _activate_elu,
    _activate_tanh,
    _activate_scaled_tanh,
    _activate_sigmoid,
    _activate_identity,
) = (_activation(f) for f in _VALUES.values())
(
    _derive_relu,
    _derive_leaky_relu,
    _derive_elu,
    _derive_tanh,
    _derive_scaled_tanh,
    _derive_sigmoid,
) = (_derivative(slope) for slope in _SLOPES.values())


@jit
def _activate(f, z, b, K, stride):
    if f == RELU:
        _activate_relu(z, b, K, stride)
    elif f == LEAKY_RELU:
        _activate_leaky_relu(z, b, K, stride)
    elif f == ELU:
        _activate_elu(z, b, K, stride)
    elif f == TANH:
        _activate_tanh(z, b, K, stride)
    elif f == SCALED_TANH:
        _activate_scaled_tanh(z, b, K, stride)
    elif f == SIGMOID:
        _activate_sigmoid(z, b, K, stride)
    else:
        _activate_identity(z, b, K, stride)


@jit
def _derive(f, delta, a):
    if f == RELU:
        _derive_relu(delta, a)
    elif f == LEAKY_RELU:
        _derive_leaky_relu(delta, a)
    elif f == ELU:
        _derive_elu(delta, a)
    elif f == TANH:
        _derive_tanh(delta, a)
    elif f == SCALED_TANH:
        _derive_scaled_tanh(delta, a)
    elif f == SIGMOID:
        _derive_sigmoid(delta, a)


@jit
def _error(loss, z, y, delta, most, total, c, stride):
    """δ_L = (softmax(z) − y) / K, or (a − y) ⊙ a ⊙ (1 − a) / K; `most` and `total` are scratch."""
    K, one = len(most), z.dtype.type(1)
    mean = one / z.dtype.type(K)
    if loss == CROSS_ENTROPY:
        most[:] = z[:K]
        for i in range(1, c):
            logits = z[i * stride : i * stride + K]
            for k in range(K):
                most[k] = most[k] if logits[k] <= most[k] else logits[k]
        total[:] = z.dtype.type(0)
        for i in range(c):
            logits, error = z[i * stride : i * stride + K], delta[i * K : i * K + K]
            for k in range(K):
                error[k] = exp(logits[k] - most[k])
                total[k] += error[k]
    for i in range(c):
        logits, error = z[i * stride : i * stride + K], delta[i * K : i * K + K]
        if loss == CROSS_ENTROPY:
            for k in range(K):
                error[k] = (error[k] / total[k] - y[k * c + i]) * mean
        else:
            for k in range(K):
                a = _sigmoid(logits[k])
                error[k] = (a - y[k * c + i]) * a * (one - a) * mean


@jit
def _count(loss, z, y, labels, losses, right, most, c, stride):
    """−Σ y log softmax(z), or ½ Σ (a − y)², for each example; and whether z is largest there."""
    n, half = len(labels), z.dtype.type(0.5)
    most[:] = z[:n]
    for k in range(n):
        right[k] = labels[k] == 0
    for i in range(1, c):
        logits = z[i * stride : i * stride + n]
        for k in range(n):
            if not logits[k] <= most[k]:
                most[k] = logits[k]
                right[k] = labels[k] == i
    losses[:] = z.dtype.type(0)
    for i in range(c):
        logits = z[i * stride : i * stride + n]
        for k in range(n):
            if loss == CROSS_ENTROPY:
                losses[k] += exp(logits[k] - most[k])
            else:
                error = _sigmoid(logits[k]) - y[k * c + i]
                losses[k] += half * error * error
    if loss == CROSS_ENTROPY:
        for k in range(n):
            losses[k] = math.log(losses[k])
        for i in range(c):
            logits = z[i * stride : i * stride + n]
            for k in range(n):
                losses[k] += y[k * c + i] * (most[k] - logits[k])


@jit
def _read(pixels, rows, soon, x, scale, shift, inputs):
    # Images in a random order: the processor cannot guess the next. Waiting for them while
    # nothing else is done was a fifth of a small net's step.
    for k in range(len(rows)):
        if k < len(soon):
            start = pixels.ctypes.data + soon[k] * inputs
            for line in range(start, start + inputs, _LINE):
                prefetch(line)
        source, out = pixels[rows[k] * inputs :][:inputs], x[k * inputs :][:inputs]
        for j in range(inputs):
            out[j] = x.dtype.type(source[j]) * scale[j] - shift[j]


@jit
def _look_up(labels, rows, found, one_hot, y, c):
    for k in range(len(rows)):
        label = labels[rows[k]]
        found[k] = label
        y[k * c : k * c + c] = one_hot[label * c : label * c + c]


@jit
def _normalise(z, gamma, running_mean, running_variance, hat, inverse, K):
    real = z.dtype.type
    share, fresh, sample = real(1) / real(K), real(FRESH), real(K) / real(max(K - 1, 1))
    for i in range(len(gamma)):
        neuron, out = z[i * K : i * K + K], hat[i * K : i * K + K]
        # The sums store nothing: a loop that also does takes its order from where its arrays lie,
        # since it is checked first whether they overlap, and so would the last bits.
        mean = variance = real(0)
        for k in range(K):
            mean += neuron[k]
        mean *= share
        for k in range(K):
            variance += (neuron[k] - mean) * (neuron[k] - mean)
        variance *= share
        scale = real(1) / math.sqrt(variance + real(EPSILON))
        for k in range(K):
            out[k] = (neuron[k] - mean) * scale
            neuron[k] = gamma[i] * out[k]
        inverse[i] = scale
        running_mean[i] += fresh * (mean - running_mean[i])
        running_variance[i] += fresh * (sample * variance - running_variance[i])


@jit
def _unnormalise(delta, gamma, hat, inverse, dgamma, dbeta, K):
    share = delta.dtype.type(1) / delta.dtype.type(K)
    for i in range(len(gamma)):
        errors, normed = delta[i * K : i * K + K], hat[i * K : i * K + K]
        total = product = delta.dtype.type(0)
        for k in range(K):
            total += errors[k]
            product += errors[k] * normed[k]
        dbeta[i], dgamma[i] = total, product
        scale, total, product = gamma[i] * inverse[i], total * share, product * share
        for k in range(K):
            errors[k] = scale * (errors[k] - total - normed[k] * product)


@jit
def _mixed(place, key):
    s = place * np.uint64(GOLDEN) + key
    s = (s ^ (s >> np.uint64(SHIFTS[0]))) * np.uint64(MIX[0])
    s = (s ^ (s >> np.uint64(SHIFTS[1]))) * np.uint64(MIX[1])
    return s ^ (s >> np.uint64(SHIFTS[2]))


@jit
def _draw(r, bits, drawn, key, first, width, threshold):
    # `drawn` is the memory of `bits`, four numbers of 16 bits to each of its 64.
    zero, kept = r.dtype.type(0), r.dtype.type(65536 / (65536 - threshold))
    fours = (width + 3) // 4
    for i in range(len(bits)):
        bits[i] = _mixed(np.uint64(first * fours + i), key)
    for line in range(len(r) // width):
        out, numbers = r[line * width :][:width], drawn[line * 4 * fours :][:width]
        for k in range(width):
            out[k] = kept if numbers[k] >= threshold else zero


@jit
def _deviate(r, bits, drawn, key, first, width, step):
    # `drawn` is the memory of `bits`, four numbers of 16 bits to each of its 64.
    real, fours = r.dtype.type, (width + 3) // 4
    half, unit = real(0.5 - 32768), real(step)
    for i in range(len(bits)):
        bits[i] = _mixed(np.uint64(first * fours + i), key)
    for line in range(len(r) // width):
        out, numbers = r[line * width :][:width], drawn[line * 4 * fours :][:width]
        for k in range(width):
            out[k] = (real(numbers[k]) + half) * unit


@jit
def _noise(noise, bits, drawn, key, first, height, two_k, width):
    # `drawn` is the memory of `bits`, four numbers of 16 bits to each of its 64.
    real, fours, k = noise.dtype.type, (width + 3) // 4, two_k // 2
    half, unit = real(0.5 - 32768), real(1 / 32768)
    for i in range(height):
        for field in range(two_k):
            image, which = first + field % k, field // k
            start = ((image * 2 + which) * height + i) * fours
            for four in range(fours):
                bits[four] = _mixed(np.uint64(start + four), key)
            out = noise[(i * two_k + field) * width :][:width]
            for j in range(width):
                out[j] = (real(drawn[j]) + half) * unit


@jit
def _warp(pixels, rows, maps, field, x, scale, shift, padded, height, width):
    # `padded` (height + 3, width + 3) is black around the image, so that no pixel asks where it is.
    real, k, inputs, line = x.dtype.type, len(rows), height * width, width + 3
    one, middle_i, middle_j = real(1), real((height - 1) / 2), real((width - 1) / 2)
    for n in range(k):
        image, own = pixels[rows[n] * inputs :][:inputs], maps[n * 7 :][:7]
        for i in range(height):
            inner = padded[(i + 1) * line + 1 :][:width]
            for j in range(width):
                inner[j] = real(image[i * width + j])
        for i in range(height):
            move_u = field[(i * 2 * k + n) * width :][:width]
            move_v = field[(i * 2 * k + k + n) * width :][:width]
            at = n * inputs + i * width
            out, times, less = (
                x[at:][:width],
                scale[i * width :][:width],
                shift[i * width :][:width],
            )
            y = real(i) - middle_i
            row_u, row_v = own[0] * y + own[4] + middle_i, own[2] * y + own[5] + middle_j
            for j in range(width):
                z = real(j) - middle_j
                u = row_u + own[1] * z + own[6] * move_u[j]
                v = row_v + own[3] * z + own[6] * move_v[j]
                u = min(max(u, -one), real(height)) + one
                v = min(max(v, -one), real(width)) + one
                p, q = np.int32(u), np.int32(v)
                u, v = u - real(p), v - real(q)
                tap = p * np.int32(line) + q
                upper = padded[tap] + v * (padded[tap + 1] - padded[tap])
                tap += np.int32(line)
                lower = padded[tap] + v * (padded[tap + 1] - padded[tap])
                out[j] = (upper + u * (lower - upper)) * times[j] - less[j]


@jit
def _add(a, r, out):
    for i in range(len(a)):
        out[i] = a[i] + r[i]


@jit
def _multiply(a, r, out):
    for i in range(len(out)):
        out[i] = a[i] * r[i]


@jit
def _limit(W, m, limit):
    n = len(W) // m
    for i in range(m):
        row = W[i * n : i * n + n]
        total = W.dtype.type(0)
        for j in range(n):
            total += row[j] * row[j]
        norm = math.sqrt(total)
        if norm > limit:
            factor = W.dtype.type(limit) / norm
            for j in range(n):
                row[j] *= factor


@jit
def _sum_squares(g):
    total = 0.0
    for i in range(len(g)):
        total += g[i] * g[i]
    return total


@jit
def _clip(g, limit, squares):
    norm = math.sqrt(squares.sum())
    if limit < norm < math.inf:
        factor = g.dtype.type(limit / norm)
        for i in range(len(g)):
            g[i] *= factor


@jit
def _descend(p, g, rate, decay):
    for i in range(len(p)):
        p[i] -= rate * (g[i] + decay * p[i])


@jit
def _momentum(p, g, v, rate, decay, mu, nesterov):
    # v ← μ v + g; p ← p − η v, or with Nesterov p − η (g + μ v)
    keep, look = (mu, g.dtype.type(1)) if nesterov else (g.dtype.type(1), g.dtype.type(0))
    for i in range(len(p)):
        gradient = g[i] + decay * p[i]
        velocity = mu * v[i] + gradient
        v[i] = velocity
        p[i] -= rate * (keep * velocity + look * gradient)


@jit
def _rmsprop(p, g, v, rate, decay, rho, epsilon):
    rest = g.dtype.type(1) - rho
    for i in range(len(p)):
        gradient = g[i] + decay * p[i]
        square = rho * v[i] + rest * gradient * gradient
        v[i] = square
        p[i] -= rate * gradient / (math.sqrt(square) + epsilon)


@jit
def _adam(p, g, m, v, rate, epsilon, decay, shrink, beta1, beta2):
    rest1, rest2 = g.dtype.type(1) - beta1, g.dtype.type(1) - beta2
    for i in range(len(p)):
        gradient = g[i] + decay * p[i]
        mean = beta1 * m[i] + rest1 * gradient
        square = beta2 * v[i] + rest2 * gradient * gradient
        m[i] = mean
        v[i] = square
        p[i] = shrink * p[i] - rate * mean / (math.sqrt(square) + epsilon)


@jit
def _update(rule, p, g, slot, second, factors, constants):
    real = g.dtype.type
    rate, decay, one, zero = real(factors[0]), real(constants[0]), real(1), real(0)
    if rule == SGD:
        _descend(p, g, rate, decay)
    elif rule in (MOMENTUM, NESTEROV):
        _momentum(p, g, slot, rate, decay, real(constants[1]), rule == NESTEROV)
    elif rule == RMSPROP:
        _rmsprop(p, g, slot, rate, decay, real(constants[1]), real(constants[2]))
    else:
        shrink = real(1 - factors[0] * constants[0]) if rule == ADAMW else one
        _adam(
            p, g, slot, second, real(factors[1]), real(factors[2]),
            zero if rule == ADAMW else decay, shrink, real(constants[1]), real(constants[2]),
        )  # fmt: skip


def _kept(function: Any) -> Any:
    """Compile a function, and keep what came out where a folder can be written."""
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither beside this file nor in the user's own
        return numba.njit(nogil=True, error_model="numpy")(function)


@_kept
def execute(program, constants, like):
    """Run a program's lines (n, OPERANDS), each with its (n, CONSTANTS), from first to last.

    `like` is an array of the parameters' type. Numbers below its normal range count as 0: late in
    a training many gradients are so small, and processors take a hundred times as long for them.
    """
    real = like.dtype
    control = flush_to_zero(np.uint32(0))
    for i in range(len(program)):
        line = program[i]
        code = line[0]
        if code in (PRODUCT, DESCEND):
            alpha, beta = 1.0, 0.0
            if code == DESCEND:
                rate = numba.carray(pointer(line[12]), 1, np.float64)[0]
                alpha, beta = -rate, 1 - rate * constants[i, 0]
            gemm(
                like, alpha, beta,
                TRANSPOSED if line[1] else PLAIN, TRANSPOSED if line[2] else PLAIN,
                line[3], line[4], line[5], line[6], line[7], line[8], line[9], line[10], line[11],
            )  # fmt: skip
        elif code == ACTIVATE:
            K, m, stride = line[4], line[5], line[6]
            z = numba.carray(pointer(line[2]), m * stride, real)
            _activate(line[1], z, numba.carray(pointer(line[3]), m, real), K, stride)
        elif code == DERIVE:
            delta = numba.carray(pointer(line[2]), line[4], real)
            _derive(line[1], delta, numba.carray(pointer(line[3]), line[4], real))
        elif code == ERROR:
            K, c, stride = line[6], line[7], line[8]
            z = numba.carray(pointer(line[2]), c * stride, real)
            y = numba.carray(pointer(line[3]), K * c, real)
            delta = numba.carray(pointer(line[4]), K * c, real)
            s = numba.carray(pointer(line[5]), 2 * K, real)
            _error(line[1], z, y, delta, s[:K], s[K:], c, stride)
        elif code == COUNT:
            n, c, stride = line[8], line[9], line[10]
            z = numba.carray(pointer(line[2]), c * stride, real)
            y = numba.carray(pointer(line[3]), n * c, real)
            labels = numba.carray(pointer(line[4]), n, np.uint8)
            losses = numba.carray(pointer(line[5]), n, real)
            right = numba.carray(pointer(line[6]), n, np.bool_)
            most = numba.carray(pointer(line[7]), n, real)
            _count(line[1], z, y, labels, losses, right, most, c, stride)
        elif code == READ:
            count, inputs, total = line[7], line[8], line[9]
            pixels = numba.carray(pointer(line[1]), total * inputs, np.uint8)
            rows = numba.carray(pointer(line[2]), count, np.int64)
            soon = numba.carray(pointer(line[3]), line[10], np.int64)
            x = numba.carray(pointer(line[4]), count * inputs, real)
            scale = numba.carray(pointer(line[5]), inputs, real)
            shift = numba.carray(pointer(line[6]), inputs, real)
            _read(pixels, rows, soon, x, scale, shift, inputs)
        elif code == LOOK_UP:
            count, c, total = line[6], line[7], line[8]
            labels = numba.carray(pointer(line[1]), total, np.uint8)
            rows = numba.carray(pointer(line[2]), count, np.int64)
            found = numba.carray(pointer(line[3]), count, np.uint8)
            one_hot = numba.carray(pointer(line[4]), c * c, real)
            _look_up(
                labels, rows, found, one_hot, numba.carray(pointer(line[5]), count * c, real), c
            )
        elif code == MEET:
            meet(line[1], line[2])
        elif code == SUM_SQUARES:
            squares = numba.carray(pointer(line[3]), 1, np.float64)
            if line[4]:
                squares[0] = 0
            squares[0] += _sum_squares(numba.carray(pointer(line[1]), line[2], real))
        elif code == CLIP:
            squares = numba.carray(pointer(line[3]), line[4], np.float64)
            _clip(numba.carray(pointer(line[1]), line[2], real), constants[i, 0], squares)
        elif code == UPDATE:
            size = line[4]
            p = numba.carray(pointer(line[2]), size, real)
            g = numba.carray(pointer(line[3]), size, real)
            slot = numba.carray(pointer(line[5]), size, real)
            second = numba.carray(pointer(line[6]), size, real)
            factors = numba.carray(pointer(line[7]), 3, np.float64)
            _update(line[1], p, g, slot, second, factors, constants[i])
        elif code == NORMALISE:
            K, m = line[7], line[8]
            z = numba.carray(pointer(line[1]), K * m, real)
            gamma = numba.carray(pointer(line[2]), m, real)
            mean = numba.carray(pointer(line[3]), m, real)
            variance = numba.carray(pointer(line[4]), m, real)
            hat = numba.carray(pointer(line[5]), K * m, real)
            _normalise(z, gamma, mean, variance, hat, numba.carray(pointer(line[6]), m, real), K)
        elif code == UNNORMALISE:
            K, m = line[7], line[8]
            delta = numba.carray(pointer(line[1]), K * m, real)
            gamma = numba.carray(pointer(line[2]), m, real)
            hat = numba.carray(pointer(line[3]), K * m, real)
            inverse = numba.carray(pointer(line[4]), m, real)
            dgamma = numba.carray(pointer(line[5]), m, real)
            dbeta = numba.carray(pointer(line[6]), m, real)
            _unnormalise(delta, gamma, hat, inverse, dgamma, dbeta, K)
        elif code in (DRAW, DEVIATE):
            lines, width = line[6], line[7]
            count = lines * ((width + 3) // 4)
            bits = numba.carray(pointer(line[2]), count, np.uint64)
            drawn = numba.carray(pointer(line[2]), 4 * count, np.uint16)
            key = numba.carray(pointer(line[3]), 1, np.uint64)[0] ^ np.uint64(line[4])
            r = numba.carray(pointer(line[1]), lines * width, real)
            if code == DRAW:
                _draw(r, bits, drawn, key, line[5], width, line[8])
            else:
                _deviate(r, bits, drawn, key, line[5], width, constants[i, 0])
        elif code in (MULTIPLY, ADD):
            a = numba.carray(pointer(line[1]), line[4], real)
            r = numba.carray(pointer(line[2]), line[4], real)
            out = numba.carray(pointer(line[3]), line[4], real)
            if code == MULTIPLY:
                _multiply(a, r, out)
            else:
                _add(a, r, out)
        elif code == NOISE:
            height, two_k, width = line[6], line[7], line[8]
            noise = numba.carray(pointer(line[1]), height * two_k * width, real)
            bits = numba.carray(pointer(line[2]), (width + 3) // 4, np.uint64)
            drawn = numba.carray(pointer(line[2]), 4 * len(bits), np.uint16)
            key = numba.carray(pointer(line[3]), 1, np.uint64)[0]
            first = numba.carray(pointer(line[4]), 1, np.int64)[0] + line[5]
            _noise(noise, bits, drawn, key, first, height, two_k, width)
        elif code == WARP:
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
            _warp(pixels, rows, maps, field, x, scale, shift, padded, height, width)
        elif code == LIMIT:
            W = numba.carray(pointer(line[1]), line[2] * line[3], real)
            _limit(W, line[2], constants[i, 0])
    flush_to_zero(control)
