"""A process for which permissions count, though the tests may run as root."""

from __future__ import annotations

import ctypes


def without_root() -> None:
    """Give up the capabilities by which root ignores permissions; for `preexec_fn`."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, from the next exec on
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
