"""Commands in children of one process that has loaded the libraries, each under strace.

A command then takes less than a tenth of a second, and only its own system calls are traced: the
tracing begins at the call of `main`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

PR_SET_PTRACER, ANY_PROCESS = 0x59616D61, -1


class Forks:
    """A process in `folder` that runs `mlp` with the arguments that it is given."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Forks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.communicate()

    def load(self, arguments: Sequence[str]) -> None:
        """Run a command in the process itself, which loads what it needs."""
        self._ask("load", arguments)

    def run(self, arguments: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a child, under strace if there are options for it."""
        code = self._ask("run", arguments, options)
        out, err = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, code, out, err)

    def _ask(self, kind: str, arguments: Sequence[str], options: Sequence[str] = ()) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps([kind, arguments, options]), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())


def serve() -> None:
    """Answer each line of the standard input with an exit code."""
    from mlp_cli.cli.main import main

    for line in sys.stdin:
        kind, arguments, options = json.loads(line)
        if kind == "load":
            try:
                main(arguments)
            except SystemExit as done:
                code = done.code or 0
        else:
            gc.collect()  # so that garbage, which may hold files, is collected at the same calls
            child = os.fork()
            if not child:
                begin(traced=bool(options))
                main(arguments)
            code = follow(child, options)
        os.write(3, f"{code}\n".encode())


def begin(*, traced: bool) -> None:
    """Send the child's output to files, and wait until it is traced."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    if traced:
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY_PROCESS, 0, 0, 0)  # if the system asks for it
        os.kill(os.getpid(), signal.SIGSTOP)


def follow(child: int, options: Sequence[str]) -> int:
    """Trace a child to its end, and return its exit code."""
    if options:
        os.waitpid(child, os.WUNTRACED)
        with subprocess.Popen(
            ["strace", "-p", str(child), *options], stderr=subprocess.DEVNULL
        ) as tracer:
            status = Path(f"/proc/{child}/status")
            while "TracerPid:\t0\n" in status.read_text() and tracer.poll() is None:
                time.sleep(0.001)
            os.kill(child, signal.SIGCONT)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert tracer.returncode == 0
        return code
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    os.dup2(1, 3)
    os.set_inheritable(3, False)
    os.dup2(2, 1)  # the answers go through 3, and all that `load` prints is no answer
    serve()
