"""`data.path`: the classes are named by `labels.txt`, and what is found is said."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers.own_images import write_own_images
from helpers.stand_ins import idx
from helpers.stopping import Stop, resume

from mlp_cli import load
from mlp_cli.config.load import from_dict
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset, load_dataset
from mlp_cli.errors import DataError

NAMES = ("cat", "Hund", "кот")
TEXT = "cat\nHund\nкот\n"
WRONG = {
    "an empty name": (b"cat\n\nbird\n", 2, "the name is empty"),
    "a blank name": (b"cat\n  \nbird\n", 2, "the name is empty"),
    "an empty file": (b"", 1, "the name is empty"),
    "an empty line at the end": (b"cat\ndog\nbird\n\n", 4, "the name is empty"),
    "a name twice": (b"cat\ndog\ncat\n", 3, "the name 'cat' stands in line 1 already"),
    "an escape": (b"cat\n\x1b[2J\nbird\n", 2, r"the name '\x1b[2J' has a control character"),
    "a tab": (b"cat\ndog\ta\nbird\n", 2, r"the name 'dog\ta' has a control character"),
    "another direction": ("cat\ndog\u202e\nbird\n".encode(), 2, "has a control character"),
    "an old line end": (b"cat\rdog\rbird", 1, "has a control character"),
    "Latin-1": (b"cat\ndog\nV\xf6gel\n", 3, "it is not UTF-8"),
    "too few names": (b"cat\ndog\n", 2, "ends after 2 names, but there are labels up to 2"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_own_images(tmp_path, 4, 5, classes=3, train=60)


def own_config(path: Path, **data: object) -> Config:
    settings = {"data": {"path": str(path), "validation": 15, **data}, "model": {"hidden": []}}
    return from_dict(settings | {"training": {"epochs": 2, "batch_size": 8}}, "")


def loaded(path: Path, **data: object) -> Dataset:
    return load_dataset(own_config(path, **data), path)


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.removesuffix("\n").encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.encode("utf-8-sig"),
    ],
    ids=["Unix", "no last line end", "Windows", "a BOM"],
)
def test_a_file_of_names_names_the_classes(content: bytes, folder: Path) -> None:
    assert loaded(folder).names == ()
    (folder / "labels.txt").write_bytes(content)
    found = loaded(folder)
    assert (found.names, found.classes, found.record.names) == (NAMES, 3, list(NAMES))


@pytest.mark.parametrize("name", WRONG)
def test_wrong_names_are_one_message_with_file_and_line(name: str, folder: Path) -> None:
    content, line, why = WRONG[name]
    (folder / "labels.txt").write_bytes(content)
    with pytest.raises(DataError) as caught:
        loaded(folder)
    assert str(caught.value).startswith(f"{folder / 'labels.txt'}, line {line}: ")
    assert why in str(caught.value)


def test_a_file_of_names_has_limits(folder: Path) -> None:
    names = "\n".join(f"class {number}" for number in range(257))
    (folder / "labels.txt").write_text(names)
    with pytest.raises(DataError, match=r"labels.txt: it has 257 lines, but at most 256 classes"):
        loaded(folder)
    (folder / "labels.txt").write_text("cat\ndog\n" + "b" * (1 << 16))
    with pytest.raises(DataError, match=r"labels.txt: it has more than 65,536 bytes"):
        loaded(folder)
    (folder / "labels.txt").unlink()
    (folder / "labels.txt").mkdir()
    with pytest.raises(DataError, match=r"labels.txt: it is no regular file"):
        loaded(folder)


def test_there_are_as_many_classes_as_names(folder: Path) -> None:
    (folder / "labels.txt").write_text("cat\ndog\nbird\nfish\n")
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(15, 3, np.uint8)))
    assert loaded(folder).classes == 4
    (folder / "labels.txt").write_text("0\n1\n2\n3\n")
    found = loaded(folder)
    assert (found.classes, found.names) == (4, ())  # numbers name nothing
    (folder / "labels.txt").unlink()
    with pytest.raises(DataError, match=r"t10k-labels.* has label 3, but the training labels are"):
        loaded(folder)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzipped"])
def test_a_damaged_file_under_mnists_names_is_no_other_format(pack: type, folder: Path) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(pack(b"\x00\x00\x08\x01\x00\x00"))
    with pytest.raises(DataError, match=r"its first bytes are 00 00 08 01, but an IDX file"):
        loaded(folder)


class Told(Stop):
    """Keeps what it is told about progress."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def log(self, message: str) -> None:
        self.told.append(message)


def test_a_training_begins_with_what_was_found_and_keeps_the_names(folder: Path) -> None:
    (folder / "labels.txt").write_text(TEXT)
    observer, run = Told(), folder.parent / "run"
    resume(run, own_config(folder), observer)
    first, *_ = observer.told
    assert first.startswith(f"{folder}: IDX files, 60 train and 15 test images of 4×5 pixels, ")
    assert "3 classes (cat to кот)" in first
    (folder / "labels.txt").unlink()
    resume(folder.parent / "numbered", own_config(folder), observer := Told())
    assert "3 classes (0 to 2), grey values 0 to 254" in observer.told[0]
    assert load(run).names == load(run / "last.npz").names == NAMES


def test_a_run_does_not_go_on_with_other_names(folder: Path) -> None:
    (folder / "labels.txt").write_text(TEXT)
    run = folder.parent / "run"
    resume(run, own_config(folder), Stop(epochs=1))
    (folder / "labels.txt").write_text("Hund\ncat\nкот\n")
    with pytest.raises(DataError, match="the names of the classes differ"):
        resume(run, own_config(folder))
    (folder / "labels.txt").write_text(TEXT)
    assert resume(run, own_config(folder)) == (True, [])
