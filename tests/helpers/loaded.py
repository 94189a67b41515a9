"""`mlp` in children of one process that has loaded its modules: a test then waits for no imports.

Such a child goes on from where `python -W error -m mlp_cli` is after its imports. It has a folder,
open files, signals and an exit code of its own, and what it changes is gone when it ends.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from mlp_cli.compute.select import hold_blas, want_fast

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "mlp_cli"]


class Loaded:
    """A process that runs `mlp`, each time in a child, in the environment as it is now."""

    current: Loaded  # that of the session

    def __init__(self) -> None:
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._server: subprocess.Popen[bytes] | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._socket, end = socket.socketpair()
        server = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, str(end.fileno())],
            env=self._environ,
            pass_fds=[end.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        end.close()
        return server

    def close(self) -> None:
        """End the process."""
        if self._server is not None:
            self._socket.close()
            self._server.wait()

    def run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        text: bool = True,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[Any]:
        """Run `mlp` as `subprocess.run` does.

        A variable that may count for imports gets a process that begins from nothing. So does every
        command on other systems than Linux, where a process with loaded libraries may not fork.
        """
        command = [*COMMAND, *arguments]
        if fixed(env) != fixed(self._environ) or sys.platform != "linux":
            return subprocess.run(
                command,
                cwd=cwd,
                env=env,
                capture_output=True,
                text=text,
                timeout=timeout,
                check=False,
            )
        if self._server is None:
            self._server = self._start()
        mode = "w+" if text else "w+b"
        with TemporaryFile(mode) as out, TemporaryFile(mode) as err:
            request = json.dumps([arguments, os.fspath(cwd), dict(env)]).encode()
            self._socket.settimeout(timeout)
            self._socket.sendall(len(request).to_bytes(4, "big"))
            socket.send_fds(self._socket, [request[:1]], [out.fileno(), err.fileno()])
            self._socket.sendall(request[1:])
            try:
                answer = self._socket.recv(4)
            except TimeoutError:  # a late answer would be taken for the next one
                self._server.kill()
                self.close()
                self._server = None
                raise
            assert answer, "the process has ended"
            code = int.from_bytes(answer, "big", signed=True)
            written = [file.seek(0) or file.read() for file in (out, err)]
        return subprocess.CompletedProcess(command, code, *written)


def fixed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may count for imports: not pytest's, nor those of `mlp`."""
    return {n: v for n, v in environ.items() if not n.startswith(("MLP_", "PYTEST_"))}


def serve(requests: socket.socket) -> None:
    """Run each command that is asked for in a child, and answer with its exit code."""
    while size := requests.recv(4, socket.MSG_WAITALL):
        begin, files, _, _ = socket.recv_fds(requests, 1, 2)
        rest = requests.recv(int.from_bytes(size, "big") - 1, socket.MSG_WAITALL)
        arguments, cwd, environ = json.loads(begin + rest)
        child = os.fork()
        if not child:
            requests.close()
            for number, file in enumerate(files, 1):
                os.dup2(file, number)
                os.close(file)
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environ)
            sys.path[0] = cwd
            sys.argv[1:] = arguments
            runpy.run_module("mlp_cli", run_name="__main__", alter_sys=True)
            sys.exit()
        for file in files:
            os.close(file)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        requests.sendall(code.to_bytes(4, "big", signed=True))


def load() -> None:
    """Import what most commands do. No thread is started, since a child would not have it."""
    before = dict(os.environ)
    hold_blas(os.environ)
    for name in ("mlp_cli.api", "mlp_cli.cli.main", *["mlp_cli.compute.fast"] * want_fast({})):
        import_module(name)
    os.environ.clear()
    os.environ.update(before)
    gc.freeze()


if __name__ == "__main__":
    load()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        serve(requests)
