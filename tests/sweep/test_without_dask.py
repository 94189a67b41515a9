"""`--cluster` without the extra."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.sweeps import run, write_sweep


@pytest.mark.skipif(find_spec("distributed") is not None, reason="Dask is installed here")
def test_the_missing_extra_is_named_before_anything_is_made(
    tmp_path: Path, own_images: Callable[..., Path]
) -> None:
    file, out = write_sweep(tmp_path, own_images()), tmp_path / "out"
    done = run(file, "--out", out, "--cluster", "tcp://host:8786")
    assert done.returncode == 2
    assert "--cluster needs Dask. Run: pip install 'mlp-cli[cluster]'" in done.stderr
    assert not out.exists()
