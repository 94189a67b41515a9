"""The program `mlp`, also as `python -m mlp_cli`."""

from __future__ import annotations

import os
import signal

from mlp_cli.cli.stack import ensure_stack
from mlp_cli.runs.interruption import SIGNALS


def main() -> None:
    """Run the program and exit."""
    ensure_stack()
    # Until there is something to save, Ctrl-C ends the process without Python's traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # To the first process of a container, the default of a signal does nothing.
    if os.getpid() == 1:
        for number in SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, lambda number, _: os._exit(128 + number))
    from mlp_cli.cli import main

    main.main()


if __name__ == "__main__":
    main()
