"""Keeps compiled code for later processes: one process compiles, and the others wait for it.

Without a lock, processes that start together would all compile. Here the first one locks the
folder, and the others wait and then load what it kept. The system releases the lock of a process
that ends. If there can be no lock, each compiles for itself.

`is_ready` tells whether code is kept, without compiling. `runs.kernels` asks it before a training
that is too short to be worth compiling for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mlp_cli.compute.fast.machine_code import MachineCode, Run, load_code, unpack
from mlp_cli.compute.kernels import Note
from mlp_cli.errors import reason
from mlp_cli.storage.files import atomic_writer
from mlp_cli.storage.locks import try_lock

# Seconds: the longest wait for a process that compiles, and the pause between two tries.
LONGEST_WAIT, PAUSE = 300.0, 0.1
EVERY = 5.0  # seconds, after which a process that compiles says so again

_one_at_a_time = threading.Lock()


class KernelCache:
    """Loads and keeps the code of a function.

    Parameters
    ----------
    name
        The name of its file, which differs if anything differs that the code depends on.
    folder
        The folder of the file, or None if nothing can be kept.
    functions
        The addresses of functions that the code may call, as `load_code` takes them.
    load_compiler
        Is called if the code must be compiled, and returns a function that compiles it.

    Attributes
    ----------
    file
        The file of the code, or None if nothing can be kept.
    """

    def __init__(
        self,
        name: str,
        folder: Path | None,
        functions: Mapping[str, int],
        load_compiler: Callable[[], Callable[[], MachineCode]],
    ) -> None:
        self.file = None if folder is None else folder / name
        self._functions = functions
        self._load_compiler = load_compiler
        self._run: Run | None = None

    def is_ready(self) -> bool:
        """Return whether `load` need not compile, nor wait for another process.

        Damaged files do not count.

        Raises
        ------
        MemoryError
            If the code does not fit in memory.
        """
        with _one_at_a_time:
            self._run = self._run or self._find()
            return self._run is not None

    def load(self, warn: Note, log: Note) -> Run:
        """Return the function, which is compiled if it is not kept.

        `warn` is told before anything that takes long, and `log` its progress and its end.

        Raises
        ------
        ConfigError
            If the compiler does not load.
        MemoryError
            If the code does not fit in memory.
        """
        with _one_at_a_time:
            self._run = self._run or self._find()
            if self._run is None:
                with self._locked(warn):
                    self._run = self._find() or self._compile(warn, log)
            return self._run

    def _find(self) -> Run | None:
        """Load the code that is kept; return None if there is none, or if its file is damaged."""
        if self.file is None:
            return None
        try:
            code = unpack(self.file.name, self.file.read_bytes())
            return None if code is None else load_code(code, self._functions)
        except (OSError, LookupError):  # the file is not there, or it cannot be used
            return None

    @contextmanager
    def _locked(self, warn: Note) -> Iterator[None]:
        """Lock the folder for the block; wait while another process has it, but not for ever."""
        descriptor = None
        try:
            with suppress(OSError):  # the file system has no locks
                if self.file is not None:
                    descriptor = os.open(self.file.parent, os.O_RDONLY)
                    _wait_for_lock(descriptor, warn)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _compile(self, warn: Note, log: Note) -> Run:
        compile_code = self._load_compiler()
        often = "once on a machine"
        if self.file is None:
            often = (
                "each time, because no folder can be written to keep them. Name one by "
                "NUMBA_CACHE_DIR"
            )
        warn(
            f"the kernels must be compiled. This takes about half a minute, {often}. "
            "MLP_KERNELS=numpy does without them."
        )
        began, ended = time.monotonic(), threading.Event()
        threading.Thread(target=_tell, args=(began, ended, log), daemon=True).start()
        try:
            code = compile_code()
        finally:
            ended.set()
        done = f"Compiled the kernels in {time.monotonic() - began:.0f} s"
        if self.file is not None:
            try:
                _keep(code, self.file)
                done += f", and kept them in {self.file.parent}"
            except OSError as error:  # a full disk, for example
                warn(
                    f"the compiled kernels cannot be kept in {self.file.parent}: {reason(error)}. "
                    "The next process compiles them again. Name another folder by NUMBA_CACHE_DIR."
                )
        log(f"{done}.")
        return load_code(code, self._functions)


def _wait_for_lock(descriptor: int, warn: Note) -> None:
    deadline, warned = time.monotonic() + LONGEST_WAIT, False
    while not try_lock(descriptor) and time.monotonic() < deadline:
        if not warned:
            warn("another process is compiling the kernels. Waiting for it.")
        warned = True
        time.sleep(PAUSE)


def _tell(began: float, ended: threading.Event, log: Note) -> None:
    """Tell now and then how long the compiling has taken, until it has ended."""
    while not ended.wait(EVERY):
        log(f"compiling for {time.monotonic() - began:.0f} s …")


def _keep(code: MachineCode, file: Path) -> None:
    with suppress(FileNotFoundError):
        file.read_bytes()  # a file that cannot be read may be whole, and stays
    with atomic_writer(file) as out:
        out.write(code.pack(file.name))
