"""What compiled code needs and Numba lacks: memory by its address, barriers, a fast eˣ."""

from __future__ import annotations

import math
import platform
import sys
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from mlp_cli.compute.fast.tiling import LINE

# No "nnan" and no "ninf": a training that diverges must be noticed.
jit = numba.njit(
    nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp", "afn"}
)

# Part of the function that calls it. Numba optimises what it calls as another function once more,
# so a chain of four functions would take four times as long to compile.
part = numba.njit(nogil=True, error_model="numpy", inline="always")

# The number of Linux's system call by which a thread sleeps until another wakes it, or 0.
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) * (sys.platform == "linux")
_WAIT, _WAKE = 128, 129  # FUTEX_WAIT and FUTEX_WAKE, for the threads of one process
_system_call = types.ExternalFunction("syscall", types.int64(*[types.int64] * 7))
_nap = types.ExternalFunction("usleep", types.int32(types.uint32))


@intrinsic
def pointer(_, address):
    """Return the memory at an address, for `carray`."""

    def build(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(address), build


@intrinsic
def stay_apart(_):
    """Keep the function that calls this out of its callers, so that it is compiled only once."""

    def build(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), build


@intrinsic
def _add(_, place, n):
    """Add n to the whole number at an address, atomically, and return what it was."""

    def build(context, builder, signature, args):
        word = context.get_value_type(types.int64)
        place = builder.inttoptr(args[0], word.as_pointer())
        return builder.atomic_rmw("add", place, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), build


@intrinsic
def _look(_, place):
    """Return the whole number at an address, atomically."""

    def build(context, builder, signature, args):
        word = context.get_value_type(types.int64)
        place = builder.inttoptr(args[0], word.as_pointer())
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(types.int64), build


@intrinsic
def _put(_, place, n):
    """Write the whole number at an address, atomically."""

    def build(context, builder, signature, args):
        word = context.get_value_type(types.int64)
        place = builder.inttoptr(args[0], word.as_pointer())
        builder.store_atomic(args[1], place, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


# Usually all workers come within microseconds of each other, and looking for the last one is by far
# the fastest way to wait. If something else has taken the last one's core, it comes milliseconds
# later, and the core that looks for it is needed: if this worker sleeps, the system can move the
# last one there. The two may then share a core for long, and whoever looks only keeps the other
# from it. So once long looking was in vain, workers look briefly. They look long again at the 2nd,
# 4th, 8th … wait after that, and at every RETRY-th, until it succeeds.
_LONG, _SHORT, _RETRY = 500_000, 300, 1024
_NAP = 50  # microseconds, on systems without futex


@jit
def _sleep(arrivals, seen):
    """Sleep while `seen` is the number of arrivals, or for a while."""
    if _FUTEX:
        _system_call(_FUTEX, arrivals, _WAIT, seen, 0, 0, 0)
    else:
        _nap(types.uint32(_NAP))


@jit
def barrier(counter, workers):
    """Wait until each of the workers has come as often as this one.

    `counter` is the address of BARRIER_WORDS whole numbers, 0 at first.
    """
    arrivals, asleep, in_vain = counter, counter + 8, counter + 16
    before = _add(arrivals, 1)
    everybody = (before // workers + 1) * workers
    if before + 1 == everybody:
        if _FUTEX and _add(asleep, 0):
            _system_call(_FUTEX, arrivals, _WAKE, workers, 0, 0, 0)
        return
    waits = _look(in_vain)
    if waits:
        waits = _add(in_vain, 1) + 1
    patient = waits & (waits - 1) == 0 or waits % _RETRY == 0
    for _ in range(_LONG if patient else _SHORT):
        if _look(arrivals) >= everybody:
            if patient and waits:
                _put(in_vain, 0)
            return
    if not waits:
        _put(in_vain, 1)
    _add(asleep, 1)
    seen = _look(arrivals)
    while seen < everybody:
        _sleep(arrivals, seen)
        seen = _look(arrivals)
    _add(asleep, -1)


# Bits of the x86 control register: results, and operands, below the normal range count as 0.
_FLUSH_TO_ZERO = 0x8040
_X86 = platform.machine() in ("x86_64", "AMD64")


@intrinsic
def flush_to_zero(_, control):
    """Make this thread take numbers below the normal range as 0; return the old setting.

    `control` is 0 to do so, or an old setting to restore it.
    """

    def build(context, builder, signature, args):
        if not _X86:
            return args[0]
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte])
        store, load = (
            builder.module.declare_intrinsic(f"llvm.x86.sse.{name}mxcsr", [], kind)
            for name in ("st", "ld")
        )
        register = cgutils.alloca_once(builder, number)
        place = builder.bitcast(register, byte)
        builder.call(store, [place])
        before = builder.load(register)
        first = builder.icmp_unsigned("==", args[0], number(0))
        flushing = builder.or_(before, number(_FLUSH_TO_ZERO))
        builder.store(builder.select(first, flushing, args[0]), register)
        builder.call(load, [place])
        return before

    return types.uint32(types.uint32), build


@intrinsic
def _power_of_two(_, n):
    """Return 2ⁿ by writing its bits; n is whole, of a floating type, and in its range."""
    single = n == types.float32
    word, shift, bias = (types.int32, 23, 127) if single else (types.int64, 52, 1023)

    def build(context, builder, signature, args):
        kind = context.get_value_type(word)
        exponent = builder.add(builder.fptosi(args[0], kind), kind(bias))
        return builder.bitcast(builder.shl(exponent, kind(shift)), context.get_value_type(n))

    return n(n), build


# 1 / k!, the series of eʳ; for |r| ≤ ½ ln 2, float64 needs so many terms.
_TERMS = [1 / math.factorial(k) for k in range(14)]


def _exponential(real: Any, largest: float) -> Any:
    """Return x → eˣ = 2ⁿ eʳ, n whole and |r| ≤ ½ ln 2, in arithmetic that loops can vectorise."""
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13 = map(real, _TERMS)
    half, log2e, highest = real(0.5), real(math.log2(math.e)), real(largest)
    high = real(0.693359375)  # ln 2 in so few bits that n times it is exact,
    low = real(math.log(2) - 0.693359375)  # and the rest

    @numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
    def series(x):
        x = highest if x > highest else x
        x = -highest if x < -highest else x
        n = np.floor(x * log2e + half)
        r = (x - n * high) - n * low
        e = c13 * r + c12
        e = ((e * r + c11) * r + c10) * r + c9
        e = ((e * r + c8) * r + c7) * r + c6
        e = ((e * r + c5) * r + c4) * r + c3
        e = ((e * r + c2) * r + c1) * r + c0
        return e * _power_of_two(n)

    return series


_exp32, _exp64 = _exponential(np.float32, 87.0), _exponential(np.float64, 708.0)


def exp(x):
    """Return eˣ, up to about e⁸⁷ in float32 and e⁷⁰⁸ in float64."""
    raise NotImplementedError


@overload(exp)
def _exp_of(x):
    series = _exp32 if x == types.float32 else _exp64
    return lambda x: series(x)


@intrinsic
def prefetch(_, address):
    """Ask for a line of memory ahead, so that it is in the second cache when it is read."""

    def build(context, builder, signature, args):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        hints = number(0), number(2), number(1)  # to read, second cache, data
        builder.call(prefetch, [builder.inttoptr(args[0], byte), *hints])
        return context.get_dummy_value()

    return types.void(types.intp), build


@jit
def prefetch_all(address, size):
    """Ask for `size` bytes of memory ahead."""
    for line in range(address, address + size, LINE):
        prefetch(line)
