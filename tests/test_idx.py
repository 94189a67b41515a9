"""IDX files: right ones are read, wrong ones refused before anything large is made."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import idx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlp_cli.errors import DataError, StorageError
from mlp_cli.idx import read_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
RAW = idx(IMAGES)


@pytest.mark.parametrize("content", [RAW, gzip.compress(RAW)], ids=["raw", "gzip"])
@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_raw_and_gzip_under_either_name(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    found = read_idx(tmp_path / name, ndim=3)
    np.testing.assert_array_equal(found, IMAGES)
    assert found.dtype == np.uint8


def test_several_members_are_one_gzip_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(gzip.compress(RAW[:20]) + gzip.compress(RAW[20:]))
    np.testing.assert_array_equal(read_idx(tmp_path / "f", ndim=3), IMAGES)


def test_a_raw_file_is_mapped_read_only(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(RAW)
    assert not read_idx(tmp_path / "f", ndim=3).flags.writeable


def header(*shape: int, kind: int = 8, zeros: int = 0) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", zeros, kind, len(shape), *shape)


WRONG = {
    "empty": (b"", "missing"),
    "html": (b"<!doctype html><html></html>", "right file"),
    "type": (header(5, 4, 3, kind=13) + RAW[16:], "00 00 0d 03"),
    "magic": (header(5, 4, 3, zeros=1) + RAW[16:], "00 01 08 03"),
    "labels for images": (idx(np.zeros(5, np.uint8)), "images begins with 00 00 08 03"),
    "cut header": (RAW[:10], "within its header"),
    "no images": (header(0, 4, 3), "empty"),
    "short": (RAW[:-1], "holds 59"),
    "long": (RAW + b"\0", "more than 60"),
    "huge": (header(2**32 - 1, 2**32 - 1, 2**32 - 1) + RAW[16:], "cut or changed"),
}


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_wrong_files_are_refused_by_name(fault: str, pack, tmp_path: Path) -> None:
    content, words = WRONG[fault]
    if fault == "huge" and pack is gzip.compress:
        words = "in a gzip file of 90. If that is right, unpack it first"
    (tmp_path / "f").write_bytes(pack(content))
    with pytest.raises(DataError, match=words) as caught:
        read_idx(tmp_path / "f", ndim=3)
    assert str(tmp_path / "f") in str(caught.value)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_every_prefix_is_refused(pack, tmp_path: Path) -> None:
    content = pack(RAW)
    for length in range(len(content)):
        (tmp_path / "f").write_bytes(content[:length])
        with pytest.raises(DataError):
            read_idx(tmp_path / "f", ndim=3)


def test_a_wrong_checksum_and_junk_after_the_end_are_refused(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(RAW))
    (tmp_path / "f").write_bytes(content + b"junk")
    with pytest.raises(DataError):
        read_idx(tmp_path / "f", ndim=3)
    content[-6] ^= 1
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DataError, match="damaged gzip"):
        read_idx(tmp_path / "f", ndim=3)


def test_a_bomb_stops_at_what_its_header_says(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(gzip.compress(header(5, 4, 3) + bytes(50_000_000)))
    with pytest.raises(DataError, match="more than 60"):
        read_idx(tmp_path / "f", ndim=3)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=100), st.binary(max_size=40).map(lambda tail: b"\0\0\x08\x01" + tail)
    ),
    pack=st.sampled_from([bytes, gzip.compress]),
)
def test_any_bytes_are_an_array_or_refused(content: bytes, pack, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(pack(content))
    try:
        found = read_idx(tmp_path / "f", ndim=1)
    except DataError:
        return
    assert idx(found) == content


def test_what_cannot_be_read_is_a_matter_of_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_idx(tmp_path / "none", ndim=3)
    with pytest.raises(StorageError):
        read_idx(tmp_path, ndim=3)
