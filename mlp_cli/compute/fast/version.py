"""The version of compiled code: a digest of all that it depends on."""

from __future__ import annotations

import sys
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from mlp_cli.compute.fast.blas import WIDE
from mlp_cli.compute.fast.settings import compile_settings

NUMBA = metadata.version("numba")  # without loading it


def code_version() -> str:
    """Return a name that differs if anything that is compiled, or the processor, differs."""
    here = Path(__file__).parent
    mathematics = (here.parents[1] / "nn").glob("*.py")  # for its constants
    sources = [file.read_bytes() for file in (*sorted(mathematics), *sorted(here.glob("*.py")))]
    made_with = (
        *(sys.implementation.cache_tag, NUMBA, llvmlite.__version__, np.__version__, WIDE),
        *(llvm.get_process_triple(), llvm.get_host_cpu_name(), _features(), compile_settings()),
    )
    text = repr(made_with).encode(errors="surrogateescape")
    return sha256(b"".join([*sources, text])).hexdigest()[:20]


def _features() -> str:
    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:  # LLVM does not know them on every system
        return ""
