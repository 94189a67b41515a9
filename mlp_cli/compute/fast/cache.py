"""Keeps compiled code for later processes: one process compiles, and the others wait for it.

Numba keeps what it compiles in a folder, without a lock: processes that start together would all
compile. Here the first one locks the folder, and the others wait and then load what it kept. The
system releases the lock of a process that ends. If there can be no lock, each compiles for itself.

Numba's choice of a folder is NUMBA_CACHE_DIR, then the `__pycache__` of the program, then the
user's cache (XDG_CACHE_HOME or `~/.cache`). If none of them can be written, `private_folder` makes
one among the temporary files.

`is_ready` tells whether code is kept, without compiling. `runs.kernels` asks it before a training
that is too short to be worth compiling for.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numba.core import caching
from numba.core.compiler_lock import global_compiler_lock

from mlp_cli.compute.fast.settings import SETTINGS
from mlp_cli.compute.kernels import Note, say_nothing
from mlp_cli.errors import reason
from mlp_cli.storage.locks import try_lock

# Seconds: the longest wait for a process that compiles, and the pause between two tries.
LONGEST_WAIT, PAUSE = 300.0, 0.1
EVERY = 5.0  # seconds, after which a process that compiles says so again

_FunctionCache: Any = caching.FunctionCache  # Numba gives it no types


class KernelCache:
    """Loads and keeps the code of a function. Numba calls it, holding a lock against threads.

    Parameters
    ----------
    function
        The function, as Numba's decorator returns it. Its `__qualname__` names the kept files.

    Raises
    ------
    RuntimeError
        If a setting of Numba keeps it from looking for a folder.
    """

    def __init__(self, function: Any) -> None:
        self._function = function
        self._files = _find_files(function.py_func)
        self._are_damaged = False
        self._warn: Note = say_nothing
        self._log: Note = say_nothing
        self._lock: int | None = None  # a descriptor of the folder
        self._began = 0.0
        self._ended = threading.Event()
        function._cache = self

    @property
    def cache_path(self) -> str | None:
        """The folder, or None if nothing can be kept."""
        return None if self._files is None else str(self._files.cache_path)

    def is_ready(self, signature: Any) -> bool:
        """Return whether a call with this signature need not compile, nor wait for another process.

        Damaged files do not count.

        Raises
        ------
        MemoryError
            If the code does not fit in memory.
        """
        with global_compiler_lock:
            if signature in self._function.overloads:  # it was loaded or compiled in this process
                return True
            if self._files is None or not any(self._kept_files()):
                return False  # without Numba's target, whose start takes 0.2 s
            return self._load(signature, self._function.targetctx) is not None

    @contextmanager
    def reporting(self, warn: Note, log: Note) -> Iterator[None]:
        """In the block, `warn` before anything that takes long, and `log` its progress and its end.

        No lock is held after the block.
        """
        self._warn, self._log = warn, log
        try:
            yield
        finally:
            self._ended.set()
            self._warn = self._log = say_nothing
            self._unlock()

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the code that was kept for a signature, or None if it must be compiled."""
        found = self._load(signature, context)
        if found is None and self.cache_path is not None:
            self._wait(self.cache_path)
            found = self._load(signature, context)
        if found is None:
            often = "once on a machine"
            if SETTINGS["OPT"] == 0:
                often = "each time, because they cannot be kept with NUMBA_OPT=0. Unset it"
            elif self._files is None:
                often = (
                    "each time, because no folder can be written to keep them. Name one by "
                    "NUMBA_CACHE_DIR"
                )
            self._warn(
                f"the kernels must be compiled. This takes about half a minute, {often}. "
                "MLP_KERNELS=numpy does without them."
            )
            self._began, self._ended = time.monotonic(), threading.Event()
            threading.Thread(target=self._tell, args=(self._ended,), daemon=True).start()
        return found

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep compiled code if there is a folder for it."""
        self._ended.set()
        done = f"Compiled the kernels in {time.monotonic() - self._began:.0f} s"
        if self._files is not None and SETTINGS["OPT"] > 0:  # Numba cannot keep other code
            try:
                if self._are_damaged:
                    self._remove_files()
                self._files.save_overload(signature, compiled)
                done += f", and kept them in {self.cache_path}"
            except Exception as error:  # a full disk, or a damaged file that cannot be removed
                self._warn(
                    f"the compiled kernels cannot be kept in {self.cache_path}: {reason(error)}. "
                    "The next process compiles them again. Name another folder by NUMBA_CACHE_DIR."
                )
        self._unlock()
        self._log(f"{done}.")

    def _tell(self, ended: threading.Event) -> None:
        """Tell now and then how long the compiling has taken, until it has ended."""
        while not ended.wait(EVERY):
            self._log(f"compiling for {time.monotonic() - self._began:.0f} s …")

    def _load(self, signature: Any, context: Any) -> Any:
        """Load the code, None if there is none or if its files are damaged.

        Numba does not force its files to disk, so a loss of power tears them. A torn pickle can
        raise nearly anything. So can a process that cannot load whole files, because a variable or
        a limit is in the way. Therefore the files stay until this process keeps new ones.

        Raises
        ------
        MemoryError
            If the code does not fit in memory; the files stay.
        """
        if self._files is None:
            return None
        try:
            found = self._files.load_overload(signature, context)
        except MemoryError:
            raise
        except OSError:  # the files cannot be read, and may be whole
            return None
        except Exception:
            self._are_damaged = True
            return None
        self._are_damaged = False
        return found

    def _remove_files(self) -> None:
        for file in self._kept_files():
            with suppress(OSError):
                file.unlink()

    def _kept_files(self) -> Iterator[Path]:
        """Return the files of the function in the folder, for all signatures."""
        return Path(self._files.cache_path).glob(f"{self._files._impl.filename_base}.*")

    def _wait(self, folder: str) -> None:
        """Lock the folder; wait while another process holds the lock, but not for ever."""
        with suppress(OSError):  # the file system has no locks
            self._lock = os.open(folder, os.O_RDONLY)
            deadline, warned = time.monotonic() + LONGEST_WAIT, False
            while not try_lock(self._lock) and time.monotonic() < deadline:
                if not warned:
                    self._warn("another process is compiling the kernels. Waiting for it.")
                warned = True
                time.sleep(PAUSE)

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _find_files(function: Any) -> Any:
    """Return Numba's cache in the first folder that can be written, or None."""
    before = SETTINGS["CACHE_DIR"]
    try:
        return _FunctionCache(function)
    except RuntimeError:  # there is no folder, unless a variable keeps Numba from looking for one
        if SETTINGS.get("CACHE_LOCATOR_CLASSES"):
            raise
    for parent in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp"):
        folder = private_folder(Path(parent)) if parent else None
        if folder is None:
            continue
        SETTINGS["CACHE_DIR"] = str(folder)
        try:
            with suppress(RuntimeError):
                return _FunctionCache(function)
        finally:
            SETTINGS["CACHE_DIR"] = before  # other functions of this process stay where they are
    return None


def private_folder(parent: Path) -> Path | None:
    """Make a folder in `parent` that is provably this user's alone, and return it, or else None.

    What is kept there are pickles, which run code when they are loaded. So the folder must not be
    one that another user made, can write, or can replace: it is no link, this user owns it and
    nobody else has any rights, and each folder above it belongs to this user or to root and lets
    no other user rename what it holds.
    """
    try:
        folder = parent.resolve(strict=True) / f"mlp-kernels-{os.geteuid()}"
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if is_own and not found.st_mode & 0o077 and all(map(_is_safe, folder.parents)):
            return folder
    except OSError:  # there is no such folder, or it cannot be written
        pass
    return None


def _is_safe(folder: Path) -> bool:
    found = folder.stat()
    is_shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    return found.st_uid in (0, os.geteuid()) and not is_shared
