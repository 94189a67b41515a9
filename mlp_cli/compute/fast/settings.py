"""What the user sets for Numba: variables NUMBA_…, and a file in the working directory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FOLDER = "NUMBA_CACHE_DIR"  # this program reads it itself

# These change nothing of what is compiled.
_OF_NO_EFFECT = (FOLDER, "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER")


def compile_settings() -> str:
    """Return all settings that can change what Numba compiles."""
    lines = sorted(
        f"{name}={os.environ[name]}"
        for name in os.environ
        if name.startswith("NUMBA_") and name not in _OF_NO_EFFECT
    )
    return "\n".join([*lines, _file()])


def _file() -> str:
    with suppress(OSError):
        return Path(".numba_config.yaml").read_text(errors="surrogateescape")
    return ""


def check_settings() -> None:
    """Refuse settings with which Numba cannot compile, before anything is to be compiled.

    If nothing is set, Numba is not loaded.

    Raises
    ------
    ImportError
        With the variable and the reason.
    """
    if not _file() and not any(name.startswith("NUMBA_") and name != FOLDER for name in os.environ):
        return
    import numba

    settings = vars(numba.config)  # the attributes of this module are made at run time
    if settings["DISABLE_JIT"]:
        raise ImportError("NUMBA_DISABLE_JIT turns compiling off")
    features = (settings["CPU_FEATURES"] or "").split(",")
    if any(feature and feature[0] not in "+-" for feature in features):  # LLVM ends the process
        raise ImportError("in NUMBA_CPU_FEATURES, each feature must begin with + or -")
