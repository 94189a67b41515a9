"""The stack, which a library would overflow if its limit (`ulimit -s`) is small.

The process would then end by a segmentation fault, without a message. That is what Python itself
does below about 80 kB, before any code of this program runs.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

SMALL, ENOUGH = 1 << 20, 8 << 20  # bytes; the second is what Linux gives by default


def ensure_stack() -> None:
    """If the limit on the stack is small, raise it as far as is allowed, and start anew.

    The main thread would get a larger stack at once. But the size of the other threads' stacks, and
    what Python takes for the end of its own, are set when a process starts.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return

    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    larger = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft == resource.RLIM_INFINITY or soft >= min(SMALL, larger) or not sys.executable:
        return
    with suppress(OSError, ValueError):  # if it is not allowed, the small stack has to do
        resource.setrlimit(resource.RLIMIT_STACK, (larger, hard))
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
