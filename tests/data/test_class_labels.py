"""Labels become codes from 0 with the names that the classes have in the source."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlp_cli.data.formats.labels import align, classes_of, whole_labels
from mlp_cli.errors import DataError

QMNIST = np.array([[7, 4, 2607, 0, 0, 97, 0, 0], [2, 4, 2429, 0, 0, 97, 1, 0]], np.int32)

READ = {
    "bytes": (np.array([3, 0, 1], np.uint8), [3, 0, 1]),
    "signed, most significant byte first": (np.array([3, 0, 1], ">i2"), [3, 0, 1]),
    "whole decimals": (np.array([3.0, 0.0, 1.0]), [3, 0, 1]),
    "a column": (np.array([[3], [0], [1]]), [3, 0, 1]),
    "one-hot": (np.eye(4)[[3, 0, 1]], [3, 0, 1]),
    "one-hot truths": (np.eye(4, dtype=bool)[[3, 0, 1]], [3, 0, 1]),
    "one-hot of QMNIST's width": (np.eye(8, dtype=np.int32)[[7, 2]], [7, 2]),
    "QMNIST's rows": (QMNIST, [7, 2]),
}


@pytest.mark.parametrize("kind", READ)
def test_labels_of_any_kind_are_whole_numbers(kind: str) -> None:
    array, expected = READ[kind]
    found = whole_labels("f", array)
    assert found.dtype == (np.uint8 if kind == "bytes" else np.int64)
    np.testing.assert_array_equal(found, expected)


REFUSED: dict[str, tuple[Any, str]] = {
    "text": (np.array(["cat"]), "type <U3.*Number the classes"),
    "Python objects": (np.array([None]), "type object"),
    "decimals": (np.array([1, 2.5]), "label 2.5 of image 1,"),
    "NaN": (np.array([np.nan]), "label nan of image 0"),
    "negative": (np.array([0, 0, -1]), "label -1 of image 2"),
    "huge": (np.array([0, 2**60]), "label 1152921504606846976 of image 1"),
    "huge decimals": (np.array([1e300]), "label 1e"),
    "two ones in a row": (np.array([[0, 1], [1, 1]]), "row 1, counted from 0"),
    "no one in a row": (np.array([[0, 0], [1, 0]]), "row 0, counted from 0"),
    "shares": (np.array([[0.3, 0.7]]), "row 0"),
    "QMNIST's rows in decimals": (QMNIST.astype(float), "row 0"),
    "three dimensions": (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
    "empty": (np.zeros(0), r"shape \(0,\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_labels_that_are_no_whole_numbers_are_refused(kind: str) -> None:
    array, words = REFUSED[kind]
    with pytest.raises(DataError, match=words) as caught:
        whole_labels("y.npy", array)
    assert str(caught.value).startswith("y.npy: ")


def test_codes_count_the_classes_of_training_by_size() -> None:
    (train, test), names = classes_of("f", np.array([26, 3, 3, 11]), np.array([[11.0], [26.0]]))
    assert (train.tolist(), test.tolist(), names) == ([2, 0, 0, 1], [1, 2], ("3", "11", "26"))
    assert train.dtype == test.dtype == np.uint8


def test_as_many_classes_as_bytes_are_possible() -> None:
    (codes,), names = classes_of("f", np.arange(255, -1, -1))
    assert (codes.tolist(), names[255]) == (list(range(255, -1, -1)), "255")
    with pytest.raises(DataError, match="257 different labels, 0 to 256, but at most 256"):
        classes_of("f", np.arange(257))


@pytest.mark.parametrize("label", [0, 2, 9])
def test_a_class_that_training_lacks_is_named(label: int) -> None:
    with pytest.raises(DataError, match=f"f: it has images of class {label}, .* are 1, 3"):
        classes_of("f", np.array([1, 3]), np.array([1, label]))


def test_codes_are_aligned_by_the_names_of_classes() -> None:
    labels = np.array([0, 1, 1, 2], np.uint8)
    assert align(labels, ["b", "a", "c"], ["a", "b", "c", "d"], "f").tolist() == [1, 0, 0, 2]


def test_codes_of_numbered_classes_stay() -> None:
    labels = np.array([0, 2], np.uint8)
    assert align(labels, ["0", "1", "2"], ["0", "1", "2"], "f") is labels
    assert align(labels, ["0", "1", "2"], [str(n) for n in range(10)], "f").tolist() == [0, 2]


def test_a_class_that_the_network_lacks_is_named() -> None:
    labels = np.array([0, 1], np.uint8)
    with pytest.raises(DataError, match=r"f: it has images of class d\\x1bog, .* are cat, cow"):
        align(labels, ["cat", "d\x1bog"], ["cat", "cow"], "f")


def test_a_class_without_images_need_not_be_known() -> None:
    labels = np.array([0, 0], np.uint8)
    assert align(labels, ["cat", "dog"], ["cow", "cat"], "f").tolist() == [1, 1]


def test_of_many_classes_the_message_names_some() -> None:
    with pytest.raises(DataError, match=r"are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …, 99. Remove"):
        classes_of("f", np.arange(100), np.array([100]))
