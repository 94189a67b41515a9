"""Who computes: how many threads, on which kernels.

A training computes with the threads of its `ThreadTeam`, each of which calls a BLAS that is held to
one thread. BLAS reads its number of threads once, when NumPy is imported, so `hold_blas` must run
before anything imports NumPy, and this module imports NumPy only with the kernels.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from mlp_cli.compute.machine import available_cores
from mlp_cli.errors import ConfigError, did_you_mean, reason
from mlp_cli.storage.locks import WINDOWS

if TYPE_CHECKING:
    from mlp_cli.compute.engine import Engine
    from mlp_cli.compute.kernels import Kernels

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Multiplications in the forward pass of one minibatch, for each of the two barriers of a hidden
# layer. With fewer, the barriers cost more than a second thread saves. Those of NumPy's kernels go
# through the interpreter; those of compiled code take less than a microsecond.
WORTH_A_BARRIER, WORTH_A_BARRIER_FAST = 8_000_000, 600_000

# Multiplications in the forward passes of a training. With fewer, compiling takes longer than it
# saves: compiling takes about 20 s, and the compiled kernels save 20 s of 10¹² multiplications. For
# each layer in each step they save another 30 µs, as for LAYER multiplications. On the rows N, S,
# M, L and batch1 of `benchmarks/throughput.py`, on two processors, they saved 0.4 to 2.3 times as
# much as this rule says.
WORTH_COMPILING, LAYER = 1_000_000_000_000, 1_500_000


def choose_threads(
    option: int | None,
    hidden: Sequence[int],
    batch_size: int,
    fast: bool,
    environ: Mapping[str, str],
    warn: Callable[[str], object] = lambda message: None,
) -> int:
    """Return the threads of a training: `option`, else OMP_NUM_THREADS, else by the network.

    The rule is fixed, so that a run can be repeated: one thread for a small step, every core that
    the process may use for a larger one.

    Threads that share a core wait for each other at every barrier, and a training takes tens of
    times as long. So at most one thread a core is taken, and `warn` is told, unless the variable
    MLP_OVERSUBSCRIBE is set.

    Raises
    ------
    ConfigError
        If OMP_NUM_THREADS is set and is not a number of threads.
    """
    text = environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if option is not None:
        wanted, name = option, "threads"
    elif text:
        if not text.isdecimal() or int(text) < 1:
            raise ConfigError(
                f"OMP_NUM_THREADS={text}: no number of threads. Set it to 1 or more, or unset it."
            )
        wanted, name = int(text), "OMP_NUM_THREADS"
    else:
        # 784 inputs and 10 classes stand for any data, since the data are not read yet.
        work = batch_size * sum(n * m for n, m in pairwise((784, *hidden, 10)))
        barriers = 2 * len(hidden)
        worth = WORTH_A_BARRIER_FAST if fast else WORTH_A_BARRIER
        return available_cores() if barriers and work / barriers >= worth else 1
    cores = available_cores()
    if wanted <= cores or environ.get("MLP_OVERSUBSCRIBE"):
        return wanted
    warn(
        f"{name}={wanted}, but this process may use {cores} core{'s' * (cores > 1)}: more threads "
        f"would slow it down, so it takes {cores}. MLP_OVERSUBSCRIBE=1 takes {wanted} all the same."
    )
    return cores


def want_fast(environ: Mapping[str, str], kernels: str | None = None) -> bool:
    """Return whether to use compiled kernels: `kernels`, else MLP_KERNELS, else if installed.

    Raises
    ------
    ConfigError
        If what is wanted is neither numpy nor fast, or cannot be had.
    """
    name, wanted = "MLP_KERNELS", environ.get("MLP_KERNELS", "")
    if kernels is not None:
        name, wanted = "kernels", kernels
    installed = find_spec("numba") is not None and not WINDOWS
    if wanted not in ("", "numpy", "fast"):
        meant = did_you_mean(str(wanted), ("numpy", "fast"))
        raise ConfigError(f"{name}={wanted}: give numpy or fast, or unset it.{meant}")
    if wanted == "fast" and WINDOWS:  # `fast.blas` cannot find NumPy's BLAS there
        raise ConfigError(f"{name}=fast: Windows has no compiled kernels. Give numpy, or unset it.")
    if wanted == "fast" and not installed:
        raise ConfigError(f"{name}=fast: Numba is missing. Run: pip install 'mlp-cli[fast]'")
    return installed and wanted != "numpy"


def hold_blas(environ: MutableMapping[str, str]) -> None:
    """Hold the BLAS libraries that NumPy may use to one thread, by their variables."""
    for name in THREAD_VARIABLES:
        environ[name] = "1"


def is_worth_compiling(sizes: Sequence[int], batch_size: int, images: int, epochs: int) -> bool:
    """Return whether compiled kernels save a training more time than it takes to compile them.

    Parameters
    ----------
    sizes
        The neurons of the layers, from the inputs to the classes.
    batch_size, images, epochs
        The images of a step and of an epoch, and the number of epochs.
    """
    steps = epochs * -(-images // batch_size)
    return steps * sum(batch_size * n * m + LAYER for n, m in pairwise(sizes)) >= WORTH_COMPILING


def load_late_blas(fast: bool) -> None:
    """Load the BLAS of SciPy, if SciPy is installed and the kernels are compiled.

    Numba loads it when it compiles. Whoever holds the libraries that are loaded to one thread must
    have it loaded before.
    """
    if fast and find_spec("scipy") is not None:
        import_module("scipy.linalg.cython_blas")


class EngineChoice(NamedTuple):
    """What computes a training: how many threads, and whether they run compiled kernels.

    `numpy_threads` is the number of threads if NumPy's kernels take the place of the compiled ones.
    It is None if they may not, because the user names the kernels.
    """

    threads: int
    fast: bool
    numpy_threads: int | None = None


def choose_engine(
    hidden: Sequence[int],
    batch_size: int,
    environ: Mapping[str, str],
    threads: int | None = None,
    kernels: str | None = None,
    warn: Callable[[str], object] = lambda message: None,
) -> EngineChoice:
    """Choose for a network with these hidden layers: `threads` and `kernels` if they are given.

    `warn` is told if there are fewer threads than were wanted. If neither `kernels` nor MLP_KERNELS
    names the kernels, the choice allows NumPy's in place of the compiled ones.

    Raises
    ------
    ConfigError
        If the environment or `kernels` name what cannot be had.
    """
    fast, numpy_threads = want_fast(environ, kernels), None
    if fast and not (environ.get("MLP_KERNELS") if kernels is None else kernels):
        numpy_threads = choose_threads(threads, hidden, batch_size, False, environ)
    fast_threads = choose_threads(threads, hidden, batch_size, fast, environ, warn)
    return EngineChoice(fast_threads, fast, numpy_threads)


def build_engine(choice: EngineChoice) -> Engine:
    """Start the threads, and load the kernels.

    Raises
    ------
    ConfigError
        As `load_kernels`; or if the system does not give so many threads.
    """
    from mlp_cli.compute.engine import Engine
    from mlp_cli.compute.threads import ThreadTeam

    kernels = load_kernels(choice.fast)
    return Engine(ThreadTeam(choice.threads), kernels)


def load_kernels(fast: bool) -> Kernels:
    """Load the kernels: compiled code, or NumPy.

    Raises
    ------
    ConfigError
        If Numba is installed and does not load, for example because it does not know this NumPy
        yet, or because a variable NUMBA_… keeps it from compiling.
    """
    if not fast:
        from mlp_cli.compute.kernels import NumPyKernels

        return NumPyKernels()
    with kernel_errors():
        from mlp_cli.compute.fast import FastKernels  # needs the extra
    return FastKernels()


@contextmanager
def kernel_errors() -> Iterator[None]:
    """Turn an exception from the block, which loads the compiled kernels, into a `ConfigError`.

    Raises
    ------
    ConfigError
        In place of any exception.
    """
    try:
        with warnings.catch_warnings():  # Numba warns, with a traceback, and ignores the variable
            warnings.filterwarnings("error", "Environment variable", RuntimeWarning)
            yield
    except Exception as error:  # Numba raises many kinds, by what it meets
        why = reason(error).partition("\n")[0].removesuffix(".")
        raise ConfigError(
            f"the compiled kernels do not load: {why}. {_numba_variables()}Set "
            "MLP_KERNELS=numpy to train without them, or reinstall the extra: "
            "pip install 'mlp-cli[fast]'"
        ) from error


def _numba_variables() -> str:
    """Return a sentence about the variables for Numba that are set, if any are."""
    found = [f"{name}={os.environ[name]}" for name in os.environ if name.startswith("NUMBA_")]
    return f"Unset {', '.join(found)}, if that is the cause. " if found else ""
