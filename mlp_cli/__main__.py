"""The program `mlp`, also as `python -m mlp_cli`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the program and exit."""
    # Until there is something to save, Ctrl-C ends the process without Python's traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlp_cli.cli import main

    main.main()


if __name__ == "__main__":
    main()
