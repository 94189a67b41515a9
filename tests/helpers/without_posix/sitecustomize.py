"""Makes this system look like Windows to the program, as far as Python lets it.

A folder on PYTHONPATH with a module of this name is imported by each Python at its start, so child
processes look the same. What only POSIX has is gone: modules, functions and constants. A folder
cannot be opened, and a file that is open can be neither replaced nor removed. The module `msvcrt`
is a stand-in with the one function that the program needs.

Python's own modules that need POSIX here are imported first, and keep what they need.
"""

from __future__ import annotations

import fcntl
import mmap
import multiprocessing.connection
import multiprocessing.popen_spawn_posix  # noqa: F401
import os
import select
import signal
import subprocess  # noqa: F401 - takes `msvcrt` for a sign of Windows
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

GONE = {
    mmap: ["MADV_WILLNEED"],
    os: [
        *("fork", "forkpty", "getegid", "geteuid", "getgid", "getuid", "killpg", "mkfifo"),
        *("posix_fadvise", "sched_getaffinity", "setsid", "statvfs", "sysconf"),
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"),
    ],
    select: ["epoll", "poll"],
    signal: ["SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "pthread_sigmask"],
}
flock, exclusive = fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB
real_open = os.open


def refuse(path: object) -> None:
    raise PermissionError(13, "Permission denied", os.fspath(path))  # type: ignore[call-overload]


def open_file(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
    is_temporary = flags & os.O_TMPFILE == os.O_TMPFILE  # by `tempfile`, which does else on Windows
    if Path(path).is_dir() and not is_temporary:
        refuse(path)
    return real_open(path, flags, *arguments, **options)


def is_open(path: Any) -> bool:
    """Whether a process has the file open."""
    name = os.path.realpath(path)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) == name:
                return True
        except OSError:  # it has just been closed, or is that of another user
            pass
    return False


def unless_open(change: Callable[..., None], at: int) -> Callable[..., None]:
    def changed(*paths: Any, **options: Any) -> None:
        if is_open(paths[at]):
            refuse(paths[at])
        change(*paths, **options)

    return changed


def locking(descriptor: int, mode: int, amount: int) -> None:
    assert (mode, amount) == (msvcrt.LK_NBLCK, 1)
    try:
        flock(descriptor, exclusive)
    except BlockingIOError:
        refuse("")


for module, names in GONE.items():
    for name in names:
        delattr(module, name)
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None  # type: ignore[assignment]
os.open = open_file
os.replace = os.rename = unless_open(os.replace, 1)
os.unlink = os.remove = unless_open(os.unlink, 0)
msvcrt: Any = ModuleType("msvcrt")
msvcrt.LK_NBLCK, msvcrt.locking = 2, locking
sys.modules["msvcrt"] = msvcrt
