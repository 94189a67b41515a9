"""A folder of CSV tables: one for training, and perhaps one for testing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli.data.formats.collection import Answers
from mlp_cli.data.formats.table import read_tables
from mlp_cli.errors import DataError

IMAGES = np.array([[[0, 1], [2, 255]], [[9, 0], [128, 3]], [[7, 7], [0, 0]]])
LABELLED = "label,a,b,c,d\n5,0,1,2,255\n6,9,0,128,3\n5,7,7,0,0\n"


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def collect(source: Path, **answers: Any) -> Any:
    return read_tables(source, Answers(**answers), lambda done, total: None)


def test_a_folder_has_a_table_for_training_and_one_for_testing(tmp_path: Path) -> None:
    found = collect(folder(tmp_path, mnist_train=LABELLED, mnist_test=LABELLED, sample="a"))
    np.testing.assert_array_equal(found.parts["train"].images, IMAGES)
    assert found.parts["test"].labels.tolist() == [0, 1, 0]
    assert (found.names, found.kind) == (("5", "6"), "a CSV table")


def test_the_test_table_is_understood_as_that_of_training(tmp_path: Path) -> None:
    train, dark = "5,0,1,255,0\n6,0,0,128,0\n", "5,1,1,2,3\n6,1,3,4,4\n"
    found = collect(folder(tmp_path, train=train, test=dark))
    assert found.parts["test"].labels.tolist() == [0, 1]
    assert found.parts["test"].images.max() == 4


def test_a_test_table_may_lack_labels(tmp_path: Path) -> None:
    for answers in ({}, {"label_column": "first"}):
        found = collect(folder(tmp_path, train=LABELLED, test="a,b,c,d\n0,1,2,255\n"), **answers)
        assert found.parts["test"].labels is None
        assert found.parts["train"].labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["digits.csv", "TEST.CSV", "mnist_test.csv.gz", "a.tsv"])
def test_the_name_of_a_single_file_says_what_it_is_for(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(LABELLED)
    for source in (tmp_path / name, tmp_path):
        assert list(collect(source).parts) == ["test" if "test" in name.lower() else "train"]


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    nine = "label" + ",p" * 9 + "\n5" + ",255" * 9 + "\n"
    nine = nine.replace(",p" * 9, "".join(f",p{n}" for n in range(9)))
    with pytest.raises(DataError, match=r"test images have 3×3 pixels, but the train .* 2×2"):
        collect(folder(tmp_path, train=LABELLED, test=nine))
    with pytest.raises(DataError, match="images of class 8, but the classes of training are 5, 6"):
        collect(folder(tmp_path, train=LABELLED, test=LABELLED.replace("6,", "8,")))
    with pytest.raises(DataError, match="is 300, but white is 255"):
        collect(folder(tmp_path, train=LABELLED, test=LABELLED.replace("128", "300")))
    with pytest.raises(DataError, match=r"2 tables for the test set, as other_test.csv and test"):
        collect(folder(tmp_path, train=LABELLED, other_test=LABELLED))


def test_a_folder_of_several_tables_without_roles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 tables for the train set, as a.csv and b.csv"):
        collect(folder(tmp_path, a=LABELLED, b=LABELLED))


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(LABELLED)
    with pytest.raises(DataError, match="the folder has no CSV file"):
        collect(tmp_path)
