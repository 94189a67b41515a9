"""`mlp data import` turns what people have into a folder that `mlp train` reads."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from helpers.class_pictures import image, write_pictures
from helpers.imports import contents, run_import
from helpers.terminal import on_terminal

from mlp_cli.cli.data import import_data
from mlp_cli.data.formats.collection import Answers
from mlp_cli.data.formats.importing import import_collection
from mlp_cli.data.idx import idx_header, read_idx
from mlp_cli.data.pictures.reading import as_png
from mlp_cli.data.synthetic import draw_digits
from mlp_cli.errors import ConfigError

ROOT = Path(__file__).parents[2]
Mlp = Callable[..., subprocess.CompletedProcess[str]]
IMAGES = np.array([image(i, 5, 5) for i in range(12)])
LABELS = np.arange(12, dtype=np.uint8) // 4


def write_csv(folder: Path) -> Path:
    rows = np.column_stack([LABELS, IMAGES.reshape(12, -1)])
    head = ",".join(["label", *(f"pixel{i}" for i in range(25))])
    text = "\n".join([head, *(",".join(map(str, row)) for row in rows)])
    (folder / "train.csv").write_text(text)
    return folder / "train.csv"


def write_npz(folder: Path) -> Path:
    np.savez(folder / "s.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS)
    return folder / "s.npz"


def write_npy(folder: Path) -> Path:
    (folder / "npy").mkdir()
    np.save(folder / "npy" / "x_train.npy", IMAGES)
    np.save(folder / "npy" / "y_train.npy", LABELS.astype(np.int32))
    return folder / "npy"


def write_emnist(folder: Path) -> Path:
    (folder / "idx").mkdir()
    start = folder / "idx" / "emnist-letters-train"
    turned = np.ascontiguousarray(IMAGES.swapaxes(1, 2))
    for name, array in (("images-idx3", turned), ("labels-idx1", LABELS + np.uint8(1))):
        content = idx_header(array.shape) + array.tobytes()
        Path(f"{start}-{name}-ubyte.gz").write_bytes(gzip.compress(content))
    return folder / "idx"


def write_folders(folder: Path) -> Path:
    pytest.importorskip("PIL", reason="needs the extra `images`")
    for number, (label, picture) in enumerate(zip(LABELS, IMAGES, strict=True)):
        place = folder / "pictures" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:03}.png").write_bytes(as_png(picture))
    return folder / "pictures"


@pytest.mark.parametrize("write", [write_csv, write_npz, write_npy, write_emnist, write_folders])
def test_every_format_is_imported(write: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (line,) = run_import(write(tmp_path), folder)
    assert re.search(r", 12 train .*images of 5×5 pixels, 3 classes ", line)
    np.testing.assert_array_equal(read_idx(folder / "train-images-idx3-ubyte", ndim=3), IMAGES)
    np.testing.assert_array_equal(read_idx(folder / "train-labels-idx1-ubyte", ndim=1), LABELS)
    names = "A\nB\nC\n" if write is write_emnist else "0\n1\n2\n"
    assert (folder / "labels.txt").read_text() == names


@pytest.mark.long
def test_what_is_imported_can_be_trained_on(mlp: Mlp, tmp_path: Path) -> None:
    source = write_csv(tmp_path)
    done = mlp("data", "import", source, "data/mine")
    assert (done.returncode, done.stdout) == (0, "data/mine\n"), done.stderr
    assert re.fullmatch(rf"{source}: .*12 train images of 5×5 pixels, 3 classes .*\n", done.stderr)
    small = ("data.validation=2", "data.test=false", "training.epochs=1", "model.hidden=[4]")
    sets = [word for change in ("data.path=data/mine", *small) for word in ("--set", change)]
    trained = mlp("train", "mnist", *sets, "--json", MLP_KERNELS="numpy")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["epochs"] == 1


@pytest.mark.parametrize(
    ("write", "answers", "option", "kind"),
    [
        (write_folders, Answers(white=16), "--white", "pictures"),
        (write_folders, Answers(label_column="first"), "--label-column", "pictures"),
        (write_csv, Answers(prepare=True), "--prepare", "CSV tables"),
        (write_emnist, Answers(size=(5, 5)), "--size", "IDX files"),
        (write_npy, Answers(prepare=True), "--prepare", "NumPy arrays"),
        (write_npz, Answers(label_column="none"), "--label-column", "an .npz file"),
    ],
)
def test_an_option_of_another_format_is_refused(
    write: Callable[[Path], Path], answers: Answers, option: str, kind: str, tmp_path: Path
) -> None:
    source = write(tmp_path)
    with pytest.raises(ConfigError, match=f"{kind}, for which {option} has no meaning. Leave it"):
        import_collection(source, tmp_path / "mine", answers)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--size=28", "'28' is not HEIGHTxWIDTH in pixels, as in 28x28"),
        ("--size=0x28", "'0x28' is not HEIGHTxWIDTH"),
        ("--white=0", "0.0 is not in the range x>0"),
        ("--white=inf", "inf is not a finite number"),
        ("--test-share=nan", "nan is not a finite number"),
        ("--test-share=1", "1.0 is not in the range 0<x<1"),
        ("--label-column=fist", "Did you mean first?"),
    ],
)
def test_a_wrong_value_of_an_option_is_a_usage_error(option: str, said: str) -> None:
    with pytest.raises(click.UsageError, match=re.escape(said)):
        import_data.make_context("import", ["source", "mine", option])


@pytest.mark.long
def test_a_broken_picture_is_named_and_nothing_is_left(mlp: Mlp, tmp_path: Path) -> None:
    source = write_folders(tmp_path)
    (source / "2" / "bad\x1b.png").write_bytes(b"no picture")
    done = mlp("data", "import", source, "mine")
    assert (done.returncode, done.stdout) == (3, "")
    assert r"2/bad\x1b.png: it cannot be read as a picture" in done.stderr
    assert not (tmp_path / "mine").exists()


@pytest.mark.long
def test_a_disk_that_is_full_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="needs the extra `images`")
    write_pictures(tmp_path / "source", each=100)
    command = f"ulimit -f 4; exec {sys.executable} -m mlp_cli data import source new"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (7, "")
    assert "cannot write new/pictures.part: File too large" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.long
def test_the_same_import_again_is_told_and_left(mlp: Mlp, tmp_path: Path) -> None:
    source = write_folders(tmp_path)
    for _ in range(2):
        done = mlp("data", "import", source, "mine")
        assert (done.returncode, done.stdout) == (0, "mine\n")
        before = contents(tmp_path / "mine")
    assert done.stderr == "mine holds this import already.\n"
    write_pictures(tmp_path / "other")
    refused = mlp("data", "import", "other", "mine")
    assert refused.returncode == 2
    assert contents(tmp_path / "mine") == before


@pytest.mark.long
def test_a_bar_is_drawn_on_a_terminal_only(mlp: Mlp, tmp_path: Path) -> None:
    source = write_folders(tmp_path)
    pane = on_terminal(["data", "import", source, "a"], 60, cwd=tmp_path)
    assert pane.returncode == 0
    assert re.search(r"images: +\d+%\|.*\| *\d+/12", pane.written)
    assert "\r" not in mlp("data", "import", source, "b").stderr


@pytest.mark.long
def test_a_network_of_prepared_pictures_classifies_others(mlp: Mlp, tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="needs the extra `images`")
    images, labels, *_ = draw_digits()
    for label in (0, 1):
        for number, digit in enumerate(images[labels == label][:45]):
            paper = np.full((60, 50), 240, np.uint8)  # dark ink on bright paper, off centre
            paper[5:33, 15:43] -= digit // 2
            place = tmp_path / ("pictures" if number < 30 else "others") / "ab"[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}.png").write_bytes(as_png(paper))
    assert mlp("data", "import", "pictures", "mine", "--prepare").returncode == 0
    changes = ("data.path=mine", "data.test=false", "data.validation=0", "model.hidden=[16]")
    sets = [word for change in changes for word in ("--set", change)]
    assert mlp("train", "mnist", *sets, "--out", "run", MLP_KERNELS="numpy").returncode == 0
    done = mlp("predict", "run", "others", "--prepare", "--json")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)["answers"]
    assert len(answers) == 30
    right = sum(Path(each["picture"]).parent.name == each["name"] for each in answers)
    assert right >= 29
