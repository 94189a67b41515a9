"""Interactive shells on a pseudo-terminal, with the completion of `mlp` installed as documented."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).parents[2]
STARTUP = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
PROMPT = {
    "bash": "PS1='READY> '",
    "zsh": "PS1='READY> '",
    "fish": "function fish_prompt; echo 'READY> '; end",
}
PATIENCE = 20  # seconds

# Run by a user it only notes its arguments, so that a test sees what the shell made of a line.
PROGRAM = """\
#!/bin/sh
[ -n "$_MLP_COMPLETE$MLP_TEST_RUN" ] && exec "{python}" -W error -m mlp_cli "$@"
printf '%s\\n' "$@" >"$HOME/called.part" && mv "$HOME/called.part" "$HOME/called"
"""


class Shell:
    """A shell whose home is `home`, which is also where it works."""

    def __init__(self, name: str, home: Path) -> None:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        self._home = home
        program = home / "bin" / "mlp"
        program.parent.mkdir()
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(0o755)
        startup = home / STARTUP[name]
        startup.parent.mkdir(parents=True, exist_ok=True)
        environ = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
        }
        script = subprocess.run(
            ["mlp", "completion", name],
            env={**environ, "MLP_TEST_RUN": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        startup.write_text(f"{PROMPT[name]}\n{script}")
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            os.chdir(home)
            os.execvpe(name, [name, "-i"], environ)
        self.shows("READY> ")

    def called(self, line: str) -> list[str]:
        """Type a line with tabs, press Enter, and return the arguments that `mlp` then gets."""
        self.type(f"{line}\r")
        called, end = self._home / "called", time.monotonic() + PATIENCE
        while not called.exists():
            assert time.monotonic() < end, self._read(0)
            self._read(0.05)
        arguments = called.read_text().splitlines()
        called.unlink()
        return arguments

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._terminal, keys.encode())

    def shows(self, *expected: str) -> None:
        """Wait until all of `expected` are shown."""
        text, end = "", time.monotonic() + PATIENCE
        while not all(each in text for each in expected):
            assert time.monotonic() < end, text
            text += self._read(0.05)

    def _read(self, seconds: float) -> str:
        if not select.select([self._terminal], [], [], seconds)[0]:
            return ""
        return os.read(self._terminal, 1 << 16).decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)
