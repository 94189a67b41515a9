"""Numba's settings, which variables NUMBA_… set."""

from __future__ import annotations

import numba

SETTINGS = vars(numba.config)  # the attributes of this module are made at run time


def check_settings() -> None:
    """Refuse settings with which Numba cannot compile, before anything is to be compiled.

    Raises
    ------
    ImportError
        With the variable and the reason.
    """
    if SETTINGS["DISABLE_JIT"]:
        raise ImportError("NUMBA_DISABLE_JIT turns compiling off")
    features = (SETTINGS["CPU_FEATURES"] or "").split(",")
    if any(feature and feature[0] not in "+-" for feature in features):  # LLVM ends the process
        raise ImportError("in NUMBA_CPU_FEATURES, each feature must begin with + or -")
