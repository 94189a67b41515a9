"""Every system call of a command that the program answers for, and the command with one failing.

These calls count: those on the command's own files (its configuration, its data, its run, its
output), by name or by descriptor; and those of `WITHOUT_FILE`, which concern no file. They count
from the call of `main`, in a process that has loaded the libraries.

Others do not count. The loader, Python's start and imports read files of libraries, and no code of
the program runs between two of those calls. Memory, threads and signals (`mmap` without a file,
`brk`, `mprotect`, `munmap`, `madvise`, `futex`, `clone3`, `rt_sig*`) belong to the C library, and
no file system has a part in them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from helpers.forks import Forks

WITHOUT_FILE = ("getcwd", "getpid", "getrandom", "prlimit64", "sched_getaffinity")
ON_FILES = (
    *("access", "close", "fallocate", "fchmod", "fcntl", "fdatasync", "flock", "fsync"),
    *("ftruncate", "getdents64", "ioctl", "lseek", "mkdir", "mmap", "newfstatat", "openat"),
    *("pread64", "pwrite64", "read", "readlink", "rename", "statfs", "unlink", "utimensat"),
    *("write", "writev"),
)
ERRORS = ("EOPNOTSUPP", "ENOSYS", "EPERM", "ENODEV", "EINVAL")

_CALL = re.compile(r"^(\w+)\((.*)", re.MULTILINE)
_PATH = re.compile(r'<((?:\\x[0-9a-f]{2})+)>|"((?:\\x[0-9a-f]{2})*)"')


class Call(NamedTuple):
    """One call: its name, its number among those of this name in the main thread, its file."""

    name: str
    number: int
    file: str


class Command:
    """A command that works in the folder `disk`, which is a copy of `before` at each run.

    `after` is what a run without a fault leaves there, and `shown` what it prints.
    """

    def __init__(self, arguments: Sequence[str], before: Path, forks: Forks) -> None:
        self._arguments, self._forks, self.before = arguments, forks, before
        self.disk, self._log = forks.folder / "disk", forks.folder / "log"
        self.after = before.with_name(f"{before.name}-after")
        self.reset()
        forks.load(arguments)
        self.reset()
        done = self.run()
        assert done.returncode == 0, done.stderr
        self.shown = done.stdout
        shutil.copytree(self.disk, self.after)

    def reset(self) -> None:
        shutil.rmtree(self.disk, ignore_errors=True)
        shutil.copytree(self.before, self.disk)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the command, under strace if there are options for it."""
        tracing = ("-qq", "-y", "-xx", "-s", "4096", "-o", str(self._log))
        return self._forks.run(self._arguments, *((*tracing, *options) if options else ()))

    def calls(self) -> list[Call]:
        """Run the command, which must succeed, and return the calls that count."""
        self.reset()
        done = self.run("-e", f"trace={','.join((*ON_FILES, *WITHOUT_FILE))}")
        assert done.returncode == 0, done.stderr
        return [c for c in self._logged() if c.name in WITHOUT_FILE or self._is_own(c)]

    def failing(self, call: Call, error: str) -> subprocess.CompletedProcess[str]:
        """Run the command with one call failing."""
        self.reset()
        fault = f"inject={call.name}:error={error}:when={call.number}"
        done = self.run("-e", f"trace={call.name}", "-e", fault)
        hit = [found for found in self._logged() if found[:2] == call[:2]]
        assert hit == [call], f"{call} was missed"
        return done

    def _is_own(self, call: Call) -> bool:
        streams = [str(self._forks.folder / name) for name in ("stdout", "stderr")]
        return call.file.startswith((str(self.disk), *streams))

    def _logged(self) -> list[Call]:
        """Return the traced calls. Names of temporary files lose their random part."""
        numbers: Counter[str] = Counter()
        found: list[Call] = []
        for name, text in _CALL.findall(self._log.read_text()):
            numbers[name] += 1
            file = ""
            paths = [a or b for a, b in _PATH.findall(text) if name not in WITHOUT_FILE]
            if paths:  # a name counts from the folder before it, if there is one
                path = paths[1 if text.startswith("AT_FDCWD") else 0].replace("\\x", "")
                path = re.sub(r"\.\w+\.tmp$", ".tmp", os.fsdecode(bytes.fromhex(path)))
                file = str(self._forks.folder / path)
            found.append(Call(name, numbers[name], file))
        return found
