"""Folders for compiled kernels, as NUMBA_CACHE_DIR names them."""

from __future__ import annotations

import shutil
from pathlib import Path


def folder_of_kernels(parent: Path) -> Path:
    """Make the folder of the compiled kernels if NUMBA_CACHE_DIR is `parent`, and return it."""
    folder = parent / "mlp-kernels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def copy_kernels(parent: Path, *dtypes: str) -> Path:
    """Copy the kernels that the tests compiled for some types of parameters; return the folder."""
    from mlp_cli.compute.fast.kernels import kernel_cache

    folder = folder_of_kernels(parent)
    for dtype in dtypes:
        kept = kernel_cache(dtype).file
        assert kept is not None
        shutil.copy(kept, folder)
    return folder
