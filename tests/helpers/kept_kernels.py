"""Folders for compiled kernels, as NUMBA_CACHE_DIR names them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def folder_of_kernels(parent: Path) -> Path:
    """Make the folder of the compiled kernels if NUMBA_CACHE_DIR is `parent`, and return it."""
    code = "from mlp_cli.compute.fast.interpreter import cache; print(cache.cache_path)"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


def copy_kernels(parent: Path, *dtypes: str) -> Path:
    """Copy the kernels that the tests compiled for some types of parameters; return the folder."""
    from mlp_cli.compute.fast.interpreter import cache

    folder, kept = folder_of_kernels(parent), cache._files._cache_file
    shutil.copy(kept._index_path, folder)
    for (signature, *_), name in kept._load_index().items():
        if signature[-1].dtype.name in dtypes:
            shutil.copy(kept._data_path(name), folder)
    return folder
