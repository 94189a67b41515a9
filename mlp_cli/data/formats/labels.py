"""Labels as class codes 0, 1, … with the names that the classes have in the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.formats.values import pieces
from mlp_cli.errors import DataError, visible
from mlp_cli.nn.buffers import Pixels

MOST_CLASSES = 256
QMNIST_COLUMNS = 8  # of which the first is the class, and the others tell who wrote the digit


def classes_of(name: str, *arrays: NDArray[Any]) -> tuple[list[Pixels], tuple[str, ...]]:
    """Return labels as codes, which count the classes in the order of their numbers.

    Parameters
    ----------
    name
        The source, for messages.
    arrays
        The labels of its sets in a form that `whole_labels` reads, those of training first. The
        distinct numbers of the first array are the classes.

    Returns
    -------
    codes
        The codes (n,) of each array.
    names
        The number of each class as a text.

    Raises
    ------
    DataError
        If labels are no whole numbers, if there are more than 256 classes, or if another array has
        a class that the first lacks.
    """
    numbers = [whole_labels(name, array) for array in arrays]
    classes = numbers[0][:0]
    for rows in pieces(numbers[0]):
        classes = np.union1d(classes, numbers[0][rows])
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{name}: there are {len(classes):,} different labels, {classes[0]} to {classes[-1]}, "
            f"but at most {MOST_CLASSES} classes are possible. Are these the labels?"
        )
    names = tuple(str(number) for number in classes)
    return [_encoded(name, labels, classes, names) for labels in numbers], names


def _encoded(
    name: str, labels: NDArray[Any], classes: NDArray[Any], names: Sequence[str]
) -> Pixels:
    codes = np.empty(len(labels), np.uint8)
    for rows in pieces(labels):
        at = np.minimum(np.searchsorted(classes, labels[rows]), len(classes) - 1)
        unknown = classes[at] != labels[rows]
        if unknown.any():
            raise _unknown_class(name, str(labels[rows][unknown][0]), names)
        codes[rows] = at
    return codes


def align(labels: Pixels, names: Sequence[str], to: Sequence[str], name: str) -> Pixels:
    """Return codes (n,) of one list of class names as codes of another list.

    Parameters
    ----------
    labels
        The codes, with the names `names[code]`.
    names, to
        The class names that the codes have, and those that they shall have.
    name
        The source, for messages.

    Raises
    ------
    DataError
        If a class of the labels is not in `to`.
    """
    if tuple(names) == tuple(to):
        return labels
    codes = {text: code for code, text in enumerate(to)}
    table = np.zeros(len(names), np.uint8)
    for code in np.unique(labels):
        if names[code] not in codes:
            raise _unknown_class(name, names[code], to)
        table[code] = codes[names[code]]
    return table[labels]


def _unknown_class(name: str, found: str, known: Sequence[str]) -> DataError:
    shown = ", ".join(known if len(known) <= 12 else [*known[:10], "…", known[-1]])
    return DataError(
        f"{name}: it has images of class {visible(found)}, but the classes of training are "
        f"{visible(shown)}. Remove these images, or add the class to the training images."
    )


def whole_labels(name: str, array: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return labels as whole numbers (n,) in 64 bits; bytes stay bytes, which take less memory.

    Parameters
    ----------
    name
        The file or array, for messages.
    array
        Whole numbers of any type of integers or floats, (n,) or (n, 1); rows (n, C) with a 1 for
        the class and 0 else; or QMNIST's rows (n, 8), which begin with the class.

    Raises
    ------
    DataError
        If it is none of these, or if a number is negative.
    """
    if array.dtype.kind not in "buif":
        raise DataError(
            f"{name}: labels of type {array.dtype}, but labels are whole numbers. Number the "
            "classes 0, 1, …"
        )
    if not array.size or array.ndim not in (1, 2):
        raise DataError(
            f"{name}: labels of shape {array.shape}, but labels are (n,), or (n, C) with a column "
            "for each of C classes."
        )
    if array.ndim == 1:
        return _whole(name, array)
    if array.shape[1] == 1:
        return _whole(name, array[:, 0])
    codes = np.empty(len(array), np.int64)
    for rows in pieces(array):
        piece = array[rows]
        right = ((piece == 0) | (piece == 1)).all(axis=1) & ((piece != 0).sum(axis=1) == 1)
        if not right.all():
            break
        codes[rows] = piece.argmax(axis=1)
    else:
        return codes
    if array.shape[1] == QMNIST_COLUMNS and array.dtype.kind in "iu":
        return _whole(name, array[:, 0])
    raise DataError(
        f"{name}: labels of shape {array.shape}, but row {rows.start + int(right.argmin())}, "
        "counted from 0, is not a single 1 among zeros. Give one whole number for each image."
    )


def _whole(name: str, numbers: NDArray[Any]) -> NDArray[np.integer[Any]]:
    if numbers.dtype.kind == "b" or numbers.dtype == np.uint8:
        return numbers.view(np.uint8)
    whole = (numbers >= 0) & (numbers < 2**53)
    if numbers.dtype.kind == "f":
        whole &= np.trunc(numbers) == numbers
    if not whole.all():
        at = int(np.argmin(whole))
        raise DataError(
            f"{name}: label {numbers[at]} of image {at}, counted from 0, is not a whole number of "
            "0 or more. Number the classes 0, 1, …"
        )
    return numbers.astype(np.int64)
