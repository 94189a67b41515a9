"""A pseudo-terminal of a given width, and what a person sees on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
LINES = 24
ENVIRON = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "MLP_KERNELS": "numpy"}

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Pane(NamedTuple):
    """What `mlp` left on a terminal: its exit status, all that it wrote, the rows at the end."""

    returncode: int
    written: str
    rows: list[str]


def on_terminal(
    arguments: Sequence[object],
    columns: int,
    *,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    watch: Callable[[subprocess.Popen[bytes], str], object] = lambda process, written: None,
) -> Pane:
    """Run `mlp` on a terminal of this width; `watch` is called after each piece of its output."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    # Click and tqdm would take these variables for the size of the terminal.
    base = {name: of for name, of in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "mlp_cli", *map(str, arguments)],
        cwd=cwd,
        env={**base, **ENVIRON, **(environ or {})},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    written = b""
    try:
        while piece := _read(leader):
            written += piece
            watch(process, written.decode(errors="replace"))
    finally:
        os.close(leader)
        returncode = process.wait(60)
    text = written.decode()
    return Pane(returncode, text, rows(text, columns))


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 1 << 16)
    except OSError:  # Linux reports the end in this way
        return b""


def rows(text: str, columns: int) -> list[str]:
    """Return the rows of the screen after the text, as far as `mlp` uses a terminal."""
    screen, row, column = [""], 0, 0
    for character in COLOUR.sub("", text):
        if character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            screen += [""] * (row == len(screen))
        else:
            assert character.isprintable(), f"the screen does not know {character!r}"
            if column == columns:
                row, column = row + 1, 0
                screen += [""] * (row == len(screen))
            line = screen[row].ljust(column)
            screen[row] = line[:column] + character + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in screen]
