"""A message gives a reason, even if the exception behind it says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.servers import Client, Server
from helpers.stand_ins import Fetch

from mlp_cli.errors import DownloadError, StorageError, reason
from mlp_cli.storage.files import storage_errors

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", "last.npz"), "No space left on device"),
        (OSError("the disk is gone."), "the disk is gone"),
        (OSError(), "OSError"),
        (TimeoutError(), "TimeoutError"),
        (ValueError(""), "ValueError"),
        (ValueError(" . "), "ValueError"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
    ],
)
def test_a_reason_is_never_empty(error: Exception, expected: str) -> None:
    assert reason(error) == expected


@pytest.mark.parametrize("error", [OSError(), OSError(""), TimeoutError(), BlockingIOError("")])
def test_a_file_that_fails_in_silence_is_told_with_a_reason(error: OSError, tmp_path: Path) -> None:
    told = pytest.raises(StorageError, match=rf": {type(error).__name__}\. ")
    with told, storage_errors("read", tmp_path):
        raise error


@pytest.mark.long
@pytest.mark.parametrize("error", ["ImportError", "OSError", "RuntimeError"])
def test_kernels_that_fail_in_silence_are_told_with_a_reason(
    error: str, config: Path, tmp_path: Path
) -> None:
    package = tmp_path / "broken" / "numba"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise {error}")
    done = subprocess.run(
        [sys.executable, "-m", "mlp_cli", "train", config],
        env={  # with no compiled kernels, which would be loaded without Numba
            **os.environ, "PYTHONPATH": f"{package.parent}:{ROOT}", "MLP_KERNELS": "fast",
            "NUMBA_CACHE_DIR": str(tmp_path),
        },
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: the compiled kernels do not load: {error}. ")


def test_a_mirror_that_fails_in_silence_is_told_by_its_status(
    fetch: Fetch, short_limits: None
) -> None:
    def behave(client: Client) -> None:
        client.answer(b"", status="403 ")

    with Server(behave) as server, pytest.raises(DownloadError, match=r": HTTP 403\n"):
        fetch(server.url)
