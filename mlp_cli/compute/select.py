"""Who computes: how many threads, on which kernels.

A training computes with the threads of its `ThreadTeam`, each of which calls a BLAS that is held to
one thread. BLAS reads its number of threads once, when NumPy is imported, so `hold_blas` must run
before anything imports NumPy, and this module imports NumPy only with the kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING

from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.machine import available_cores
from mlp_cli.errors import ConfigError

if TYPE_CHECKING:
    from mlp_cli.compute.kernels import Kernels

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Multiplications in the forward pass of one minibatch, for each of the two times that the threads
# meet over a hidden layer. Below it the meetings cost more than a second thread saves: NumPy's go
# through the interpreter, those of compiled code take less than a microsecond.
WORTH_MEETING, WORTH_MEETING_FAST = 8_000_000, 600_000


def choose_threads(
    option: int | None,
    hidden: Sequence[int],
    batch_size: int,
    fast: bool,
    environ: Mapping[str, str],
) -> int:
    """Return the threads for a training: `--threads`, else OMP_NUM_THREADS, else by the net.

    The last is a fixed rule, so that a run can be repeated: one thread for a small step, every core
    that the process may use for a larger one.

    Raises
    ------
    ConfigError
        If OMP_NUM_THREADS is set to something that is no number of threads.
    """
    if option is not None:
        return option
    text = environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ConfigError(
                f"OMP_NUM_THREADS={text}: no number of threads. Set it to 1 or more, or unset it."
            )
        return int(text)
    # 784 inputs and 10 classes stand for any data: the rule must not wait for the data to be read.
    work = batch_size * sum(n * m for n, m in pairwise((784, *hidden, 10)))
    meetings = 2 * len(hidden)
    worth = WORTH_MEETING_FAST if fast else WORTH_MEETING
    return available_cores() if meetings and work / meetings >= worth else 1


def want_fast(environ: Mapping[str, str]) -> bool:
    """Return whether a training runs on the compiled kernels: MLP_KERNELS, else where installed.

    Raises
    ------
    ConfigError
        If MLP_KERNELS is neither numpy nor fast, or asks for what is not installed.
    """
    wanted, installed = environ.get("MLP_KERNELS", ""), find_spec("numba") is not None
    if wanted not in ("", "numpy", "fast"):
        raise ConfigError(f"MLP_KERNELS={wanted}: give numpy or fast, or unset it.")
    if wanted == "fast" and not installed:
        raise ConfigError("MLP_KERNELS=fast: Numba is missing. Run: pip install 'mlp-cli[fast]'")
    return installed and wanted != "numpy"


def hold_blas(environ: MutableMapping[str, str]) -> None:
    """Hold the BLAS libraries that NumPy may use to one thread, by the variables they heed."""
    for name in THREAD_VARIABLES:
        environ[name] = "1"


def choose_kernels(fast: bool) -> Kernels:
    """Return what runs the operations of a step: compiled code, or NumPy.

    Raises
    ------
    ConfigError
        If Numba is installed and does not load, as where it does not know this NumPy yet.
    """
    if not fast:
        return NumPyKernels()
    try:
        from mlp_cli.compute.fast.kernels import FastKernels
    except (ImportError, OSError) as error:  # the latter where a library of its is gone
        raise ConfigError(
            f"the compiled kernels do not load: {error}. Set MLP_KERNELS=numpy to train without "
            "them, or mend the extra: pip install 'mlp-cli[fast]'"
        ) from error
    return FastKernels()
