"""One rule for the names of a data set's files: MNIST's folder, the user's own, and a mirror."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.stand_ins import IMAGES, RAW, Fetch

from mlp_cli.config.load import from_dict
from mlp_cli.data import mnist
from mlp_cli.data.dataset import load_dataset
from mlp_cli.errors import DataError, StorageError

FILE = IMAGES._replace(name="images-idx3-ubyte")
NAMES = {
    "images-idx3-ubyte": bytes,
    "images.idx3-ubyte": bytes,
    "images-idx3-ubyte.gz": gzip.compress,
    "images.idx3-ubyte.gz": gzip.compress,
    "images.idx3-ubyte is gzipped": gzip.compress,
}


@pytest.fixture(params=NAMES)
def renamed(request: pytest.FixtureRequest) -> Callable[[str, bytes], tuple[str, bytes]]:
    """A function that renames and packs a file of MNIST's in one of the ways that are known."""
    pattern, pack = request.param.removesuffix(" is gzipped"), NAMES[request.param]

    def rename(name: str, content: bytes) -> tuple[str, bytes]:
        dot = "." if ".idx" in pattern else "-"
        suffix = ".gz" if pattern.endswith(".gz") else ""
        return name.replace("-idx", f"{dot}idx") + suffix, pack(content)

    return rename


def test_mnists_folder_knows_each_name(renamed, tmp_path: Path) -> None:
    name, content = renamed(FILE.name, RAW["images"])
    (tmp_path / name).write_bytes(content)
    assert mnist.find(tmp_path, FILE) == tmp_path / name


@pytest.mark.serial
@pytest.mark.usefixtures("short_limits")
def test_a_folder_as_a_mirror_knows_each_name(renamed, fetch: Fetch, tmp_path: Path) -> None:
    name, content = renamed(FILE.name, RAW["images"])
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / name).write_bytes(content)
    assert fetch(tmp_path / "shelf", files=[FILE]) == [FILE.name]
    assert (fetch.folder / FILE.name).read_bytes() == RAW["images"]


def test_the_users_own_folder_knows_each_name(renamed, own_images: Callable[..., Path]) -> None:
    folder = own_images()
    config = from_dict({"data": {"path": str(folder), "validation": 100}}, "")
    expected = load_dataset(config, folder).train.images.copy()
    for path in list(folder.iterdir()):
        name, content = renamed(path.name, path.read_bytes())
        path.unlink()
        (folder / name).write_bytes(content)
    np.testing.assert_array_equal(load_dataset(config, folder).train.images, expected)


def test_the_dash_comes_before_the_dot_and_raw_before_gzipped(tmp_path: Path) -> None:
    order = ["images-idx3-ubyte", "images.idx3-ubyte"]
    order += [f"{name}.gz" for name in order]
    for name in reversed(order):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "images-idx3-ubyte.zip").write_bytes(b"")
    assert [path.name for path in mnist.files_named(tmp_path, FILE.name)] == order


def test_a_folder_that_cannot_be_read_is_one_message(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 100)  # no permission would not stop root
    config = from_dict({"data": {"path": str(folder), "validation": 100}}, "")
    with pytest.raises(StorageError, match=r"cannot read the folder .*: File name too long"):
        load_dataset(config, folder)


def test_another_name_is_not_taken(own_images: Callable[..., Path]) -> None:
    folder = own_images()
    config = from_dict({"data": {"path": str(folder), "validation": 100}}, "")
    (folder / "train-images-idx3-ubyte").rename(folder / "train_images_idx3_ubyte")
    with pytest.raises(DataError, match="neither train-images-idx3-ubyte nor"):
        load_dataset(config, folder)
