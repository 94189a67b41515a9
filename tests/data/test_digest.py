"""The digest of data: the same for the same arrays, another for others, and quick."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.changes import pack
from helpers.stand_ins import idx

from mlp_cli.config.load import from_dict
from mlp_cli.data import digest as digests
from mlp_cli.data import mnist, synthetic
from mlp_cli.data.dataset import load_dataset
from mlp_cli.data.digest import digest
from mlp_cli.data.idx import idx_header, read_idx


def test_the_digest_of_an_array_is_the_sha256_of_its_raw_file(
    own_images: Callable[..., Path],
) -> None:
    folder = own_images()
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    config = from_dict({"data": {"path": str(folder), "validation": 100}}, "")
    assert load_dataset(config, folder).record.digests == files
    pack(folder)
    assert load_dataset(config, folder).record.digests == files
    config = from_dict({"data": {"path": str(folder), "validation": 100, "test": False}}, "")
    assert load_dataset(config, folder).record.digests == {
        name: found for name, found in files.items() if name.startswith("train")
    }


def test_mnists_digests_are_the_published_ones(mnist_source: Path, tmp_path: Path) -> None:
    (tmp_path / "mnist").symlink_to(mnist_source)
    named = load_dataset(from_dict({}, ""), tmp_path).record
    own = load_dataset(from_dict({"data": {"path": str(mnist_source)}}, ""), tmp_path).record
    assert named.digests == own.digests == {file.name: file.sha256 for file in mnist.MNIST_FILES}


@pytest.mark.long
def test_the_digits_that_the_program_draws_have_digests_too() -> None:
    found = load_dataset(from_dict({"data": {"dataset": "synthetic"}}, ""), Path()).record.digests
    expected = [hashlib.sha256(idx(array)).hexdigest() for array in synthetic.draw_digits()]
    assert [*found.values()] == expected


def test_each_bit_of_a_small_array_counts_and_so_does_its_shape() -> None:
    array = np.random.default_rng(1).integers(0, 256, 60).astype(np.uint8)
    found = {digest(array, shape) for shape in ((3, 4, 5), (3, 5, 4), (60,), (60, 1, 1))}
    assert len(found) == 4
    for bit in range(8 * len(array)):
        changed = array.copy()
        changed[bit // 8] ^= 1 << bit % 8
        found.add(digest(changed, (3, 4, 5)))
    assert len(found) == 4 + 480


@pytest.mark.parametrize("size", [101, 400, 997])
def test_of_a_large_array_evenly_spread_blocks_count(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WHOLE", 100), ("BLOCKS", 5), ("BLOCK", 10)):
        monkeypatch.setattr(digests, name, value)
    array = np.zeros(size, np.uint8)
    before, seen = digest(array, (size,)), []
    for at in range(size):
        array[at] = 1
        if digest(array, (size,)) != before:
            seen.append(at)
        array[at] = 0
    starts = seen[::10]
    assert seen == [start + i for start in starts for i in range(10)]
    assert (starts[0], seen[-1], len(starts)) == (0, size - 1, 5)
    assert np.ptp(np.diff(starts)) <= 1


def test_an_array_as_large_as_the_limit_is_read_whole() -> None:
    array = np.zeros(digests.WHOLE, np.uint8)
    before = digest(array, (len(array),))
    array[digests.WHOLE // 3] = 1
    assert digest(array, (len(array),)) != before
    assert max(file.size for file in mnist.MNIST_FILES) < digests.WHOLE
    assert digests.BLOCKS * digests.BLOCK < digests.WHOLE


@pytest.mark.serial
@pytest.mark.parametrize(("size", "limit"), [(digests.WHOLE, 0.3), (1 << 30, 0.15)])
def test_the_digest_of_a_file_takes_little_time(size: int, limit: float, tmp_path: Path) -> None:
    shape = (size // 1024, 32, 32)
    path = tmp_path / "images"
    with path.open("wb") as file:
        file.write(idx_header(shape))
        file.truncate(16 + size)
    array = read_idx(path, ndim=3)
    started = time.process_time()  # other processes do not count, but the reading of the file does
    digest(array, shape)
    assert time.process_time() - started < limit
