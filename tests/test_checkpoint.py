"""Checkpoints: what is written comes back, and what is damaged is refused."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlp_cli.checkpoint import load_checkpoint, save_checkpoint
from mlp_cli.errors import CheckpointError, ConfigError, StorageError

ARRAYS = {
    "layers.0.weight": np.arange(12, dtype=np.float32).reshape(4, 3),
    "layers.0.bias": np.ones(4, np.float32),
    "input.mean": np.array(0.5, np.float32),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "last.npz", ARRAYS, {"config": {"seed": 1}})
    return tmp_path / "last.npz"


def test_what_is_saved_comes_back(path: Path) -> None:
    found = load_checkpoint(path)
    assert found.header == {"format": 1, "config": {"seed": 1}}
    assert set(found.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == np.float32


def test_numpy_opens_it_without_pickle(path: Path) -> None:
    with np.load(path, allow_pickle=False) as archive:
        assert archive["layers.0.weight"].shape == (4, 3)


def test_nothing_is_left_beside_it_and_its_mode_is_an_ordinary_files(path: Path) -> None:
    assert [entry.name for entry in path.parent.iterdir()] == ["last.npz"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_every_truncation_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(path)


def same_or_refused(path: Path) -> None:
    try:
        found = load_checkpoint(path)
    except CheckpointError:
        return
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_every_flipped_bit_is_refused_or_harmless(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for bit in [*range(0, 8 * 400), *range(8 * (len(content) - 700), 8 * len(content), 5)]:
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        same_or_refused(path)
        content[bit // 8] ^= 1 << bit % 8


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_any_bytes_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


def npz(path: Path, **members: object) -> Path:
    np.savez(path, **members)
    return path


def test_a_changed_value_is_refused(path: Path, tmp_path: Path) -> None:
    with np.load(path) as archive:
        members = dict(archive)
    members["layers.0.bias"] = members["layers.0.bias"] * 2
    with pytest.raises(CheckpointError, match="digest"):
        load_checkpoint(npz(tmp_path / "changed.npz", **members))


def test_pickles_bombs_and_double_names_are_refused(path: Path, tmp_path: Path) -> None:
    hostile = npz(tmp_path / "pickle.npz", header=np.array([{}], dtype=object))
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_checkpoint(hostile)

    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", bytes(10_000_000))
    with pytest.raises(CheckpointError, match="compressed"):
        load_checkpoint(bomb)

    double = tmp_path / "double.npz"
    member = io.BytesIO()
    np.save(member, np.ones(3))
    with zipfile.ZipFile(double, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("digest.npy", member.getvalue())
        archive.writestr("digest.npy", member.getvalue())
    with pytest.raises(CheckpointError, match="twice"):
        load_checkpoint(double)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.npz")


def test_a_full_disk_keeps_the_old_checkpoint(path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        save_checkpoint(path / "below-a-file.npz", ARRAYS, {})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Out of range float"):
        save_checkpoint(path, ARRAYS, {"loss": float("nan")})
    assert path.read_bytes() == before
