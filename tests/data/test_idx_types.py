"""IDX files of all six types are read, and hostile ones refused with little memory."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.idx_writer import TYPES, idx_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mlp_cli.data.idx import IMAGES, LABELS, Kinds, read_idx, read_numbers
from mlp_cli.errors import DataError

ANY = Kinds("numbers", tuple(TYPES.values()), (1, 2, 3, 4))
Packer = Callable[[bytes], bytes]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=st.sampled_from(list(TYPES)).flatmap(
        lambda kind: arrays(kind, array_shapes(min_dims=1, max_dims=4, max_side=4))
    ),
    pack=st.sampled_from([bytes, gzip.compress]),
)
def test_an_array_of_any_type_and_shape_is_read_as_it_was_written(
    array: np.ndarray, pack: Packer, tmp_path: Path
) -> None:
    (tmp_path / "f").unlink(missing_ok=True)
    (tmp_path / "f").write_bytes(pack(idx_of(array)))
    found = read_numbers(tmp_path / "f", ANY)
    assert (found.dtype.str[1:], found.shape) == (array.dtype.str[1:], array.shape)
    np.testing.assert_array_equal(found, array)


def test_numbers_of_several_bytes_are_mapped_from_a_raw_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(idx_of(np.arange(6, dtype=np.int32).reshape(1, 2, 3)))
    found = read_numbers(tmp_path / "f", IMAGES)
    assert isinstance(found.base, np.memmap)
    assert found.tolist() == [[[0, 1, 2], [3, 4, 5]]]


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "u1"])
def test_where_bytes_are_expected_no_other_type_is_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(idx_of(np.ones(3, kind)))
    with pytest.raises(DataError, match=f"{TYPES[kind]:02x} 01, but .* begins with 00 00 08 01"):
        read_idx(tmp_path / "f", ndim=1)


def header(kind: int, *shape: int) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)


LARGE = 2**31 - 1
HOSTILE = {
    "a claim of 2 GB": (
        header(0x08, 2**11, 2**10, 2**10),
        "2048×1024×1024, which is 2,147,483,648",
    ),
    "a claim above 64 bits": (header(0x0E, LARGE, LARGE, LARGE), f"{LARGE}×{LARGE}×{LARGE} of"),
    "no images": (header(0x0C, 0, 28, 28), "0×28×28 of type int32, so it is empty"),
    "no pixels": (header(0x0D, 5, 28, 0), "5×28×0 of type float32, so it is empty"),
    "an unknown type": (header(0x0A, 1, 1, 1) + b"\0", "00 00 0a 03, but .* 00 00 .08, 09, 0b, 0c"),
    "no dimension": (header(0x0C), "00 00 0c 00, but an IDX file of images"),
    "255 dimensions": (b"\0\0\x08\xff" + bytes(1020), "00 00 08 ff, but"),
    "a cut header": (header(0x0E, 5, 28, 28)[:9], "within its header"),
    "half a number": (idx_of(np.ones((2, 2, 2), "f8"))[:-4], "64 bytes, but it holds 60"),
    "a number too many": (idx_of(np.ones((2, 2, 2), "i2")) + b"\0\0", "holds more than 16"),
    "a gzip bomb": (header(0x0C, 2, 2, 2) + bytes(20_000_000), "holds more than 32"),
}


@pytest.mark.serial
@pytest.mark.parametrize("fault", HOSTILE)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_a_hostile_file_is_refused_before_much_memory_is_used(
    fault: str, pack: Packer, tmp_path: Path
) -> None:
    content, words = HOSTILE[fault]
    (tmp_path / "f").write_bytes(pack(content))
    del content
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=words) as caught:
            read_numbers(tmp_path / "f", IMAGES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).count(str(tmp_path / "f")) == 1
    assert peak < 4_000_000


def test_a_gzip_file_that_claims_more_than_it_can_hold_is_refused(tmp_path: Path) -> None:
    size = 70_000_000  # bytes of zeros, which gzip packs to a thousandth
    content = header(0x0E, size // 8, 1, 1) + bytes(size)
    (tmp_path / "f").write_bytes(gzip.compress(content, 1))
    with pytest.raises(DataError, match="70,000,000 bytes, but the gzip file has only"):
        read_numbers(tmp_path / "f", IMAGES)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 8)])
def test_labels_have_one_dimension_or_two(shape: tuple[int, ...], tmp_path: Path) -> None:
    labels = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    (tmp_path / "f").write_bytes(idx_of(labels))
    np.testing.assert_array_equal(read_numbers(tmp_path / "f", LABELS), labels)
    with pytest.raises(DataError, match="an IDX file of images begins with"):
        read_numbers(tmp_path / "f", IMAGES)
