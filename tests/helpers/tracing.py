"""System calls of a command under strace, faults at each of them, and power failures.

`trace` runs a command and returns its calls. `with_fault` runs it again with a fault at one call.
`Disk` replays the calls in the style of ALICE (Pillai et al., OSDI 2014), and gives the states in
which a power failure between any two calls may leave a disk.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import NamedTuple

import pytest

NAMES = (
    *("openat", "write", "pwrite64", "writev", "ftruncate", "fsync", "fdatasync", "fchmod"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "rmdir", "link", "lseek"),
)
HARMLESS = ("lseek",)  # traced for the positions of writes, but never made to fail


class Call(NamedTuple):
    """One system call; `number` counts the calls of this name in its thread from 1."""

    thread: int
    name: str
    number: int
    text: str
    paths: tuple[str, ...]
    strings: tuple[bytes, ...]
    result: int | None

    @property
    def target(self) -> str:
        """The first path of the call, without the random part of a temporary file's name."""
        return re.sub(r"\.\w+\.tmp$", ".tmp", self.paths[0]) if self.paths else ""

    def __str__(self) -> str:
        return f"{self.name} {self.number} of {self.target}"


@cache
def usable() -> bool:
    """Whether strace is installed and allowed to trace."""
    found = shutil.which("strace")
    return bool(found) and not subprocess.run([found, "true"], capture_output=True).returncode


def strace(
    command: Sequence[object], folder: Path, log: Path, environ: Mapping[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    if not usable():
        pytest.skip("needs strace and the permission to trace")
    return subprocess.run(
        [
            *("strace", "-f", "-qq", "-y", "-xx", "-s", "10000000", "-o", str(log)),
            *("-e", f"trace={','.join(NAMES)}", *options, *map(str, command)),
        ],
        cwd=folder,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def trace(
    command: Sequence[object], folder: Path, log: Path, environ: Mapping[str, str]
) -> list[Call]:
    """Run a command that must succeed; return all its traced calls."""
    done = strace(command, folder, log, environ)
    assert done.returncode == 0, done.stderr
    return list(read(log, folder))


def with_fault(
    command: Sequence[object],
    folder: Path,
    log: Path,
    environ: Mapping[str, str],
    call: Call,
    fault: str,
) -> subprocess.CompletedProcess[str] | None:
    """Run a command with `error=…` or `signal=…` at one call of its traced run.

    Return None if another call had its number. Other tests may have written the bytecode of a
    module meanwhile, and the command now opens a file less.
    """
    done = strace(
        command, folder, log, environ, "-e", f"inject={call.name}:{fault}:when={call.number}"
    )
    # strace counts in each thread and child, so a call of a child (`uname`) may fail as well.
    hit = [found.target for found in read(log, folder) if found[1:3] == call[1:3]]
    return done if call.target in hit else None


def touching(calls: Sequence[Call], folder: Path) -> list[Call]:
    """Return the calls that write into a folder or force its files to disk."""
    inside = str(folder)
    return [
        call
        for call in calls
        if call.name not in HARMLESS
        and any(path == inside or path.startswith(f"{inside}/") for path in call.paths)
        and (call.name != "openat" or re.search("O_CREAT|O_WRONLY|O_RDWR|O_DIREC|O_TMP", call.text))
    ]


_CALL = re.compile(r"(\w+)\((.*?)(?:\) += (-?\d+|\?)(.*)|)$")
_PATHS = re.compile(r'<((?:\\x[0-9a-f]{2}|[^<>"\\])*)>|"((?:\\x[0-9a-f]{2})*)"')


def read(log: Path, folder: Path) -> Iterator[Call]:
    """Yield the calls in strace's log, in the order in which they began."""
    begun: dict[int, str] = {}
    numbers: Counter[tuple[int, str]] = Counter()
    for line in log.read_text().splitlines():
        thread, text = line.split(maxsplit=1)
        if text.startswith(("+++", "---")):
            continue
        if text.startswith("<..."):
            text = begun.pop(int(thread)) + text.split("resumed>", 1)[1]
        elif text.endswith("<unfinished ...>"):
            begun[int(thread)] = text.removesuffix("<unfinished ...>")
            continue
        yield _call(int(thread), text, folder, numbers)
    for pid, text in begun.items():
        yield _call(pid, text, folder, numbers)


def _call(thread: int, text: str, folder: Path, numbers: Counter[tuple[int, str]]) -> Call:
    found = _CALL.match(text)
    assert found, text
    name, arguments, result, _ = found.groups()
    numbers[thread, name] += 1
    paths, strings = [], []
    for handle, string in _PATHS.findall(arguments):
        if handle:
            paths.append(_bytes(handle).decode())
        else:
            strings.append(_bytes(string))
    if name.startswith(("openat", "rename", "unlink", "mkdir", "rmdir", "link")):
        paths = [str(folder / string.decode()) for string in strings]
    number = None if result in (None, "?") else int(result)
    return Call(
        thread, name, numbers[thread, name], arguments, tuple(paths), tuple(strings), number
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


# ---------------------------------------------------------------- power failures


@dataclass
class File:
    """A file's content, and the part that is surely on disk: the writes before its last fsync."""

    content: bytes = b""
    on_disk: bytes = b""
    unsynced: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, at: int, chunk: bytes) -> None:
        self.content = _patched(self.content, at, chunk)
        self.unsynced.append((at, chunk))

    def sync(self) -> None:
        self.on_disk, self.unsynced = self.content, []

    def after_loss(self) -> set[bytes]:
        """Return the possible contents after a power failure: writes may be missing or zeros."""
        found = {self.on_disk, self.content}
        for last in range(len(self.unsynced) + 1):
            begun = self._with(self.unsynced[:last])
            found |= {begun, self._with(self.unsynced[last:])}
            found.add(self._with(self.unsynced[:last] + self.unsynced[last + 1 :]))
        zeros = [(at, bytes(len(chunk))) for at, chunk in self.unsynced]
        found.add(self._with(zeros))
        return found

    def _with(self, writes: Sequence[tuple[int, bytes]]) -> bytes:
        content = self.on_disk
        for at, chunk in writes:
            content = _patched(content, at, chunk)
        return content


def _patched(content: bytes, at: int, chunk: bytes) -> bytes:
    content = content.ljust(at, b"\0")
    return content[:at] + chunk + content[at + len(chunk) :]


Names = dict[str, File | None]  # None: a folder


class Disk:
    """Replays calls in a folder, and gives its possible states after a power failure."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.names: Names = {}
        self.changes: list[tuple[str, Names, set[str]]] = []  # of folders, not yet on disk
        self._durable: Names = {}
        self._positions: dict[tuple[str, int], int] = {}
        self._append: set[str] = set()
        if folder.is_dir():
            self._durable[self.folder] = None
            for path in folder.rglob("*"):
                content = path.read_bytes() if path.is_file() else b""
                self._durable[str(path)] = File(content, content) if path.is_file() else None
        self.names = dict(self._durable)

    def replay(self, call: Call) -> None:
        """Apply the effect of a call."""
        paths = [path for path in call.paths if path.startswith(self.folder)]
        if not paths or call.result is None or call.result < 0:
            return
        path = paths[0]
        if call.name == "openat" and "O_TMPFILE" not in call.text:
            self._open(path, call)
        elif call.name == "lseek":
            self._positions[path, _descriptor(call)] = call.result
        elif call.name == "write":
            self._write(path, call)
        elif call.name in ("fsync", "fdatasync"):
            self._sync(path)
        elif call.name == "rename":
            self._change(paths[1], {paths[1]: self.names[path]}, {path})
        elif call.name == "unlink":
            self._change(path, {}, {path})
        elif call.name == "mkdir":
            self._change(path, {path: None}, set())
        elif "TMPFILE" not in call.text and call.name != "fchmod":
            raise AssertionError(f"cannot replay {call}")

    def _open(self, path: str, call: Call) -> None:
        if "O_CREAT" in call.text and path not in self.names:
            self._change(path, {path: File()}, set())
        file = self.names.get(path)
        if file is None:
            return
        if "O_TRUNC" in call.text:
            file.content, file.on_disk, file.unsynced = b"", b"", []
        (self._append.add if "O_APPEND" in call.text else self._append.discard)(path)
        assert call.result is not None
        self._positions[path, call.result] = 0

    def _write(self, path: str, call: Call) -> None:
        file, key = self.names.get(path), (path, _descriptor(call))
        assert file is not None, call
        assert call.result is not None
        at = len(file.content) if path in self._append else self._positions[key]
        file.write(at, call.strings[0][: call.result])
        self._positions[key] = at + call.result

    def _change(self, path: str, new: Names, gone: set[str]) -> None:
        self.changes.append((str(Path(path).parent), new, gone))
        self.names = _changed(self.names, new, gone)

    def _sync(self, path: str) -> None:
        file = self.names.get(path)
        if file is not None:
            file.sync()
            return
        for parent, new, gone in self.changes:
            if parent == path:
                self._durable = _changed(self._durable, new, gone)
        self.changes = [change for change in self.changes if change[0] != path]

    def after_loss(self) -> Iterator[dict[str, bytes]]:
        """Yield the possible states as contents by path.

        They combine every subset of the changed names with every kind of missing data, one file at
        a time. A file exists only if the folders above it do.
        """
        every = range(len(self.changes))
        for chosen in chain.from_iterable(combinations(every, n) for n in range(len(every) + 1)):
            names = self._durable
            for number in chosen:
                _, new, gone = self.changes[number]
                names = _changed(names, new, gone)
            files = {
                path: file
                for path, file in names.items()
                if file is not None and self._reachable(path, names)
            }
            for whole in (True, False):
                base = {p: f.content if whole else f.on_disk for p, f in files.items()}
                yield base
                for path, file in files.items():
                    yield from ({**base, path: content} for content in file.after_loss())

    def _reachable(self, path: str, names: Names) -> bool:
        folders = [str(p) for p in Path(path).parents if str(p).startswith(self.folder)]
        return all(folder in names for folder in folders)


def _changed(names: Names, new: Names, gone: set[str]) -> Names:
    return {**{path: file for path, file in names.items() if path not in gone}, **new}


def _descriptor(call: Call) -> int:
    found = re.match(r"\d+", call.text)
    assert found, call
    return int(found[0])
