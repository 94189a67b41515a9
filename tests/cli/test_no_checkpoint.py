"""A file that is no `.npz` at all is not called a damaged one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from mlp_cli.errors import CheckpointError
from mlp_cli.storage.checkpoint import load_checkpoint, save_checkpoint


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((28, 28), np.float32))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"# mlp\n\nTrain fully connected networks.\n", "it is not an .npz file"),
        (b"a", "it is not an .npz file"),
        (b"seed: 0\n" * 1000, "it is not an .npz file"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "it is not an .npz file"),
        (b"\0" * 5000, "it is not an .npz file"),
        (npy(), "it is not an .npz file"),
        (b"", "it is empty"),
        (b"PK", "it ends early"),
        (b"PK\3\4", "it ends early"),
        (b"PK\5\6" + b"\0" * 18, "its header or its digest is missing"),
        (b"PK\1\2" + b"\0" * 50, "its directory does not match its members"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_the_reason_tells_what_the_file_is(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{path} is damaged or no .* mlp: {reason}\. Use"):
        load_checkpoint(path)


def test_a_checkpoint_whose_first_bytes_are_lost_is_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    save_checkpoint(path, {"weights": np.zeros(3, np.float32)}, {})
    path.write_bytes(path.read_bytes()[2:])
    with pytest.raises(CheckpointError, match=r"it is not an \.npz file"):
        load_checkpoint(path)
