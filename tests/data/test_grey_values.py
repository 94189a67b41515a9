"""Numbers become grey values by one rule, and what it leaves open is asked for."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli.data.formats.values import as_grey
from mlp_cli.errors import ConfigError, DataError

BYTES = np.arange(256).reshape(4, 8, 8)

READ = {
    "bytes": (BYTES.astype(np.uint8), None, BYTES),
    "signed integers, most significant byte first": (BYTES.astype(">i4"), None, BYTES),
    "decimals up to 255": (BYTES.astype(np.float32), None, BYTES),
    "decimals up to 1": (BYTES / 255, None, BYTES),
    "half precision": ((BYTES / 255).astype(np.float16), None, BYTES),
    "columns first in memory": (np.asfortranarray(BYTES / 255), None, BYTES),
    "truths": (np.array([[True, False]]), None, [[255, 0]]),
    "zeros and ones in bytes": (np.array([[1, 0]], np.uint8), None, [[255, 0]]),
    "rounded to the nearest": (np.array([[0.4, 1.6, 254.7]]), None, [[0, 2, 255]]),
    "black alone": (np.zeros((2, 3)), None, np.zeros((2, 3))),
    "given white": (np.array([[0, 4, 8, 16]]), 16, [[0, 64, 128, 255]]),
    "given white above a dark image": (np.array([[0, 9]], np.uint8), 255, [[0, 9]]),
    "16 bits": (np.array([[0, 257, 65535]], np.uint16), 65535, [[0, 1, 255]]),
    "one dimension": (np.array([0, 255]), None, [0, 255]),
}


@pytest.mark.parametrize("kind", READ)
def test_numbers_become_grey_values(kind: str) -> None:
    values, white, expected = READ[kind]
    grey = as_grey("f", values, white)
    assert grey.dtype == np.uint8
    np.testing.assert_array_equal(grey, expected)


def test_bytes_up_to_255_are_not_copied() -> None:
    values = BYTES.astype(np.uint8)
    assert as_grey("f", values, None) is values


def test_all_shares_of_255_are_read_exactly() -> None:
    for white in (1.0, 255.0, 1023.0, 65535.0):
        values = np.arange(256) * (white / 255)
        np.testing.assert_array_equal(as_grey("f", values, white), np.arange(256))


REFUSED: dict[str, tuple[Any, float | None, type[Exception], str]] = {
    "between 1 and 128": (np.array([[0, 16]]), None, ConfigError, "largest value is 16.*--white"),
    "127 in bytes": (np.array([[127]], np.uint8), None, ConfigError, "is 127"),
    "above 255": (np.array([[65535.0]]), None, ConfigError, "as in --white 65535"),
    "above the given white": (np.array([[17]]), 16, DataError, "is 17, but white is 16"),
    "negative": (np.array([[0, 1], [0, -1]]), None, DataError, "value -1 in image 1,"),
    "NaN": (np.array([[0, np.nan]]), 1, DataError, "value nan in image 0"),
    "infinite": (np.array([[0, np.inf]]), 1, DataError, "value inf in image 0"),
    "text": (np.array([["1"]]), None, DataError, "type <U1"),
    "complex": (np.array([[1j]]), None, DataError, "type complex128"),
    "empty": (np.zeros((0, 2, 2)), None, DataError, r"shape \(0, 2, 2\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_open_or_wrong_is_said_with_the_name(kind: str) -> None:
    values, white, error, words = REFUSED[kind]
    with pytest.raises(error, match=words) as caught:
        as_grey("some.npy", values, white)
    assert str(caught.value).startswith("some.npy: ")


def test_the_first_wrong_image_is_named_in_any_piece() -> None:
    values = np.zeros((3000, 28, 28), np.float32)
    values[2500:, 3, 4] = -2
    with pytest.raises(DataError, match="value -2 in image 2500"):
        as_grey("f", values, None)


@pytest.mark.serial
def test_a_mapped_array_is_not_copied_whole(tmp_path: Path) -> None:
    values = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", np.float64, (10_000, 28, 28))
    values[:] = 1
    tracemalloc.start()
    try:
        as_grey("f", values, None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < values.size + 40e6  # the result, and pieces of 8 MB
