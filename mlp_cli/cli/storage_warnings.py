"""The warnings that a file system lacks something, shown as the program's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlp_cli.errors import StorageWarning


@contextmanager
def storage_warnings_to(warn: Callable[[str], object]) -> Iterator[None]:
    """Give the `StorageWarning`s of the block to `warn`, each text once.

    Python's option `-W` does not change that: a training must not end by such a warning. All other
    warnings stay Python's.
    """
    shown = set()
    with warnings.catch_warnings():
        # Not "once": CPython then shows a text once for each module that warns.
        warnings.filterwarnings("always", category=StorageWarning)
        show_others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **to: Any) -> None:
            if not isinstance(message, StorageWarning):
                show_others(message, category, *place, **to)
            elif str(message) not in shown:
                shown.add(str(message))
                warn(f"{message.path}: {message}")

        warnings.showwarning = show
        yield
