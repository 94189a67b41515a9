"""The same digits in every format: the images are equal, and a network learns and is scored."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers.idx_writer import idx_of
from numpy.typing import NDArray

from mlp_cli import SilentObserver, evaluate, train
from mlp_cli.config.load import load_config
from mlp_cli.data.dataset import load_dataset
from mlp_cli.data.formats.collection import Answers
from mlp_cli.data.formats.importing import import_collection
from mlp_cli.data.synthetic import draw_digits

Image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")
pytestmark = pytest.mark.long

Digits = NDArray[np.uint8]
DRAWN = draw_digits()
SETS = {"train": (DRAWN[0][:600], DRAWN[1][:600]), "test": (DRAWN[2][:150], DRAWN[3][:150])}


def pictures(folder: Path, name: str, images: Digits, labels: Digits, suffix: str = "png") -> None:
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / name / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:04}.{suffix}")


def photographs(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    pictures(folder, name, images, labels, "jpg")


def kaggle_table(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    rows = np.column_stack([labels, images.reshape(len(images), -1)])
    head = ",".join(["label", *(f"pixel{i}" for i in range(images[0].size))])
    np.savetxt(folder / f"{name}.csv", rows, "%d", ",", header=head, comments="")


def table_with_the_label_last(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    rows = np.column_stack([images.reshape(len(images), -1), labels])
    np.savetxt(folder / f"mnist_{name}.csv.gz", rows, "%d", ",")


def arrays_of_keras(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    file = folder / "mnist.npz"
    before = dict(np.load(file)) if file.exists() else {}
    np.savez_compressed(file, **before, **{f"x_{name}": images, f"y_{name}": labels})


def arrays_of_kmnist(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    np.savez(folder / f"kmnist-{name}-imgs.npz", images)
    np.savez(folder / f"kmnist-{name}-labels.npz", labels)


def arrays_with_labels_in_32_bits(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    np.save(folder / f"x_{name}.npy", images[..., None])
    np.save(folder / f"y_{name}.npy", labels.astype(np.int32))


def arrays_with_one_hot_labels(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    np.save(folder / f"x_{name}.npy", np.asfortranarray(images.reshape(len(images), -1)))
    np.save(folder / f"y_{name}.npy", np.eye(10)[labels])


def idx(folder: Path, name: str, images: NDArray[np.generic], labels: NDArray[np.generic]) -> None:
    start = {"train": "train", "test": "t10k"}[name]
    (folder / f"{start}-images-idx3-ubyte").write_bytes(idx_of(images))
    (folder / f"{start}-labels-idx1-ubyte").write_bytes(idx_of(labels))


def files_of_fashion_mnist(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    idx(folder, name, images, labels)


def idx_in_16_bits(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    idx(folder, name, images.astype(np.int16), labels)


def idx_in_32_bits(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    idx(folder, name, images.astype(np.int32), labels.astype(np.int32))


def idx_in_shares_of_white(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    idx(folder, name, images / np.float32(255), labels)


def files_of_emnist(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    start = f"emnist-letters-{name}"
    on_their_side = np.ascontiguousarray(images.swapaxes(1, 2))
    for end, array in (("images-idx3", on_their_side), ("labels-idx1", labels + np.uint8(1))):
        (folder / f"{start}-{end}-ubyte.gz").write_bytes(gzip.compress(idx_of(array)))


def files_of_qmnist(folder: Path, name: str, images: Digits, labels: Digits) -> None:
    tables = np.column_stack([labels, *[np.arange(len(labels))] * 7]).astype(np.int32)
    (folder / f"qmnist-{name}-images-idx3-ubyte").write_bytes(idx_of(images))
    (folder / f"qmnist-{name}-labels-idx2-int").write_bytes(idx_of(tables))


FORMATS = [
    pictures, photographs, kaggle_table, table_with_the_label_last, arrays_of_keras,
    arrays_of_kmnist, arrays_with_labels_in_32_bits, arrays_with_one_hot_labels,
    files_of_fashion_mnist, idx_in_16_bits, idx_in_32_bits, idx_in_shares_of_white,
    files_of_emnist, files_of_qmnist,
]  # fmt: skip


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_digits_in_any_format_are_read_learned_and_scored(
    write: Callable[[Path, str, Digits, Digits], None], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, (images, labels) in SETS.items():
        write(source, name, images, labels)
    settings = {
        "data": {"path": str(source), "validation": 0, "scaling": "standard"},
        "model": {"hidden": []},
        "training": {"epochs": 4, "batch_size": 16},
    }
    dataset = load_dataset(load_config(settings), tmp_path)
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        images, labels = SETS[name]
        assert split is not None
        # Class folders have their pictures in the order of the classes.
        ours, theirs = (np.argsort(each, kind="stable") for each in (labels, split.labels))
        np.testing.assert_array_equal(split.labels[theirs], labels[ours])
        difference = np.abs(split.images[theirs].astype(int) - images[ours].reshape(-1, 784))
        assert difference.mean() <= (3 if write is photographs else 0)  # JPEG loses some detail
    assert dataset.names == (tuple("ABCDEFGHIJ") if write is files_of_emnist else ())
    run = train(settings, out=tmp_path / "run", observer=SilentObserver())
    evaluation = evaluate([run], split="test")
    assert run.result is not None
    assert (evaluation.scores.n, evaluation.errors) == (150, run.result["test_errors"])
    assert evaluation.accuracy > 0.6


def test_the_digits_of_scikit_learn_are_imported_and_learned(tmp_path: Path) -> None:
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        pytest.skip("needs scikit-learn, which holds the digits")
    source = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    import_collection(source, tmp_path / "digits", Answers(white=16), test_share=0.2)
    settings = {
        "data": {"path": str(tmp_path / "digits"), "validation": 100},
        "optimizer": {"name": "adam"},
        "training": {"batch_size": 16},
    }
    run = train(settings, out=tmp_path / "run", observer=SilentObserver())
    assert evaluate([run], split="test").accuracy > 0.9
