"""Checkpoints load as they were saved, and a damaged one is refused."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from golden.make import FOLDER
from helpers.craft import flipped
from helpers.proofs import Proof
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlp_cli.errors import CheckpointError, ConfigError, StorageError
from mlp_cli.storage import checkpoint
from mlp_cli.storage.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mlp_cli.storage.npz import write_npz

ARRAYS = {
    "layers.0.weight": np.arange(12, dtype=np.float32).reshape(4, 3),
    "layers.0.bias": np.ones(4, np.float32),
    "input.mean": np.array(0.5, np.float32),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "last.npz", ARRAYS, {"config": {"seed": 1}})
    return tmp_path / "last.npz"


def test_a_checkpoint_loads_as_it_was_saved(path: Path) -> None:
    found = load_checkpoint(path)
    assert found.header == {"format": 1, "config": {"seed": 1}}
    assert set(found.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == np.float32


def test_the_file_equals_the_one_that_savez_writes() -> None:
    written, expected = io.BytesIO(), io.BytesIO()
    members = {**ARRAYS, "header": np.array("{}"), "empty": np.zeros(0)}
    write_npz(written, members)
    np.savez(expected, **members)
    assert written.getvalue() == expected.getvalue()


def test_an_array_may_have_the_name_of_an_option_of_savez(tmp_path: Path) -> None:
    names = ("file", "args", "kwds", "compress")
    save_checkpoint(tmp_path / "last.npz", {name: np.ones(2) for name in names}, {})
    assert load_checkpoint(tmp_path / "last.npz").arrays.keys() == set(names)


def test_a_checkpoint_written_with_a_numpy_below_2_2_loads(tmp_path: Path) -> None:
    # Below NumPy 2.2, savez(file, allow_pickle=False, **members) stores the option as an array.
    save_checkpoint(tmp_path / "whole.npz", ARRAYS, {"config": {}})
    with np.load(tmp_path / "whole.npz") as archive:
        members = {name: archive[name] for name in archive.files}
    with (tmp_path / "last.npz").open("wb") as file:
        write_npz(file, {"allow_pickle": np.array(False), **members})
    found = load_checkpoint(tmp_path / "last.npz")
    assert found.arrays.keys() == ARRAYS.keys()
    # If it is also damaged, it is refused, and so is any other additional array of that type.
    members["layers.0.bias"] = members["layers.0.bias"] + 1
    for more in ({"allow_pickle": np.array(False)}, {"more": np.array(True)}):
        with (tmp_path / "last.npz").open("wb") as file:
            write_npz(file, {**more, **members})
        with pytest.raises(CheckpointError, match="its digest does not match"):
            load_checkpoint(tmp_path / "last.npz")


def test_an_array_without_elements_loads(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.npz", {"empty": np.zeros((0, 3))}, {})
    assert load_checkpoint(tmp_path / "last.npz").arrays["empty"].shape == (0, 3)


def test_the_order_in_memory_does_not_matter(tmp_path: Path) -> None:
    transposed = np.arange(12, dtype=np.float32).reshape(3, 4).T
    save_checkpoint(tmp_path / "last.npz", {"w": transposed, "v": transposed[::2]}, {})
    found = load_checkpoint(tmp_path / "last.npz").arrays
    np.testing.assert_array_equal(found["w"], transposed)
    np.testing.assert_array_equal(found["v"], transposed[::2])


def test_numpy_opens_it_without_pickle(path: Path) -> None:
    with np.load(path, allow_pickle=False) as archive:
        assert archive["layers.0.weight"].shape == (4, 3)


def test_saving_leaves_one_file_with_ordinary_permissions(path: Path) -> None:
    assert [entry.name for entry in path.parent.iterdir()] == ["last.npz"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def outcome(path: Path, content: bytes, *undamaged: Checkpoint) -> str:
    """Return "refused", "equal" (to an undamaged file), or "silent" if wrong content loads."""
    path.unlink(missing_ok=True)  # because ext4 forces a file to disk when it is overwritten
    path.write_bytes(content)
    try:
        found = load_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)
        return "refused"
    for one in undamaged:
        if found.header == one.header and set(found.arrays) == set(one.arrays):
            pairs = [(found.arrays[name], array) for name, array in one.arrays.items()]
            if all(a.dtype == b.dtype and a.shape == b.shape for a, b in pairs) and all(
                a.tobytes() == b.tobytes() for a, b in pairs
            ):
                return "equal"
    return "silent"


SUBJECT, OTHER = (FOLDER / f"hidden-adam-float32-{kind}.npz" for kind in ("last", "best"))
CONTENT, OTHERS_CONTENT = SUBJECT.read_bytes(), OTHER.read_bytes()
SIZE = len(CONTENT)
BLOCKS = [(start, length) for length in (1, 4, 64, 512, 4096) for start in range(0, SIZE, length)]


@pytest.mark.proof("C6 each bit of a checkpoint, flipped")
def test_a_flipped_bit_is_refused_or_harmless(proof: Proof, tmp_path: Path) -> None:
    undamaged = load_checkpoint(SUBJECT)
    for bit in proof.points(range(8 * SIZE), quick=1000):
        assert outcome(tmp_path / "f", flipped(CONTENT, [bit]), undamaged) != "silent"


@pytest.mark.proof("C6 random bits of a checkpoint, one or several, flipped")
def test_flipped_bits_are_refused_or_harmless(proof: Proof, tmp_path: Path) -> None:
    undamaged = load_checkpoint(SUBJECT)
    for seed in proof.trials(quick=500, long=10_000):
        generator = np.random.default_rng(seed)
        bits = generator.integers(0, 8 * SIZE, generator.choice([1, 2, 3, 8, 100]))
        assert outcome(tmp_path / "f", flipped(CONTENT, bits), undamaged) != "silent"


@pytest.mark.proof("C6 each length of a truncated checkpoint")
def test_a_truncated_checkpoint_is_refused(proof: Proof, tmp_path: Path) -> None:
    for length in proof.points(range(SIZE), quick=400):
        assert outcome(tmp_path / "f", CONTENT[:length]) == "refused"


@pytest.mark.proof("C6 zeroed blocks of a checkpoint")
def test_a_zeroed_block_is_refused_or_harmless(proof: Proof, tmp_path: Path) -> None:
    undamaged = load_checkpoint(SUBJECT)
    for start, length in proof.points(BLOCKS, quick=400):
        zeroed = CONTENT[:start] + bytes(length) + CONTENT[start + length :]
        assert outcome(tmp_path / "f", zeroed[:SIZE], undamaged) != "silent"


@pytest.mark.proof("C6 swapped blocks of a checkpoint")
def test_swapped_blocks_are_refused_or_harmless(proof: Proof, tmp_path: Path) -> None:
    undamaged = load_checkpoint(SUBJECT)
    for seed in proof.trials(quick=300, long=10_000):
        generator = np.random.default_rng(seed)
        length = generator.choice([1, 4, 64, 512, 4096])
        a, b = sorted(generator.integers(0, SIZE - length, 2))
        b = max(b, min(a + length, SIZE - length))
        pieces = [CONTENT[:a], CONTENT[b : b + length], CONTENT[a + length : b]]
        swapped = b"".join([*pieces, CONTENT[a : a + length], CONTENT[b + length :]])
        assert outcome(tmp_path / "f", swapped, undamaged) != "silent"


@pytest.mark.proof("C6 two checkpoints spliced at each byte")
def test_spliced_files_are_refused_or_harmless(proof: Proof, tmp_path: Path) -> None:
    undamaged = load_checkpoint(SUBJECT), load_checkpoint(OTHER)
    for at in proof.points(range(len(OTHERS_CONTENT)), quick=200):
        for spliced in (
            CONTENT[:at] + OTHERS_CONTENT[at:],
            OTHERS_CONTENT[:at] + CONTENT[at:],
            CONTENT[: SIZE - at] + OTHERS_CONTENT[len(OTHERS_CONTENT) - at :],
            OTHERS_CONTENT[: len(OTHERS_CONTENT) - at] + CONTENT[SIZE - at :],
        ):
            assert outcome(tmp_path / "f", spliced, *undamaged) != "silent"


class _EqualToAll(str):
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def test_without_the_digest_some_damage_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undamaged = load_checkpoint(SUBJECT)
    bits = np.random.default_rng(0).integers(0, 8 * SIZE, 200)
    monkeypatch.setattr(checkpoint, "_digest", lambda *_: _EqualToAll())
    found = [outcome(tmp_path / "f", flipped(CONTENT, [bit]), undamaged) for bit in bits]
    assert found.count("silent") > 20


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


def test_a_missing_checkpoint_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.npz")


def test_a_failed_save_keeps_the_old_checkpoint(path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        save_checkpoint(path / "below-a-file.npz", ARRAYS, {})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Out of range float"):
        save_checkpoint(path, ARRAYS, {"loss": float("nan")})
    assert path.read_bytes() == before
