"""IDX files: right ones are read, and wrong ones refused before much memory is used."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.craft import flipped
from helpers.proofs import Proof
from helpers.stand_ins import idx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlp_cli.data import mnist
from mlp_cli.data.idx import read_idx
from mlp_cli.data.mnist import MnistFile
from mlp_cli.errors import DataError, StorageError

Mlp = Callable[..., subprocess.CompletedProcess[str]]

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
RAW = idx(IMAGES)


@pytest.mark.parametrize("content", [RAW, gzip.compress(RAW)], ids=["raw", "gzip"])
@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_raw_and_gzipped_files_are_read_under_either_name(
    content: bytes, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    found = read_idx(tmp_path / name, ndim=3)
    np.testing.assert_array_equal(found, IMAGES)
    assert found.dtype == np.uint8


def test_a_gzip_file_of_several_members_is_read_as_one(tmp_path: Path) -> None:
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
def test_a_wrong_file_is_refused_by_its_name_and_the_reason(
    fault: str, pack, tmp_path: Path
) -> None:
    content, words = WRONG[fault]
    if fault == "huge" and pack is gzip.compress:
        words = "but the gzip file has only 90. If that is right, unpack the file first"
    (tmp_path / "f").write_bytes(pack(content))
    with pytest.raises(DataError, match=words) as caught:
        read_idx(tmp_path / "f", ndim=3)
    assert str(tmp_path / "f") in str(caught.value)


NOISE = np.random.default_rng(1).integers(0, 256, (20, 10, 10)).astype(np.uint8)
NOISE_RAW = idx(NOISE)
PACKED = gzip.compress(NOISE_RAW, mtime=0)  # 2 KB


def is_refused(path: Path, content: bytes) -> bool:
    """Return whether a file with these bytes is refused; if not, it must read as the noise."""
    path.unlink(missing_ok=True)  # because ext4 forces a file to disk when it is overwritten
    path.write_bytes(content)
    try:
        found = read_idx(path, ndim=3)
    except DataError as error:
        assert str(path) in str(error)
        return True
    np.testing.assert_array_equal(found, NOISE)
    return False


@pytest.mark.proof("I3 each length of a truncated IDX file, raw and gzipped")
def test_a_truncated_file_is_refused(proof: Proof, tmp_path: Path) -> None:
    prefixes = [whole[:length] for whole in (NOISE_RAW, PACKED) for length in range(len(whole))]
    for content in proof.points(prefixes, quick=400):
        assert is_refused(tmp_path / "f", content)


@pytest.mark.proof("I3 each bit of a gzipped IDX file, flipped")
def test_a_flipped_bit_is_refused_or_harmless(proof: Proof, tmp_path: Path) -> None:
    for bit in proof.points(range(8 * len(PACKED)), quick=400):
        is_refused(tmp_path / "f", flipped(PACKED, [bit]))


@pytest.mark.proof("I3 a gzipped IDX file in two members, split at each byte")
def test_two_gzip_members_are_read_as_one_file(proof: Proof, tmp_path: Path) -> None:
    for at in proof.points(range(len(NOISE_RAW) + 1), quick=60):
        members = [gzip.compress(raw, 1) for raw in (NOISE_RAW[:at], NOISE_RAW[at:])]
        assert not is_refused(tmp_path / "f", b"".join(members))
        assert is_refused(tmp_path / "f", b"".join([*members, b"\1"]))
        assert is_refused(tmp_path / "f", b"".join([*members, members[1] or b"\1"]) + b"\1")


@pytest.mark.proof("I1 headers and lengths at random")
def test_a_file_is_read_only_if_its_length_fits_its_header(proof: Proof, tmp_path: Path) -> None:
    for seed in proof.trials(quick=300, long=10_000):
        generator = np.random.default_rng(seed)
        sizes = [0, 1, 2, 3, 5, 255, 256, 65536, 2**31 - 1, 2**31, 2**32 - 1]
        ndim, kind = int(generator.choice([1, 3])), int(generator.choice([8, 8, 8, 9, 13, 0]))
        shape = [
            int(generator.choice(sizes)) for _ in range(int(generator.choice([ndim, 1, 2, 3])))
        ]
        expected = math.prod(shape) if math.prod(shape) < 10_000 else 60
        payload = generator.bytes(max(0, expected + int(generator.choice([0, 0, -1, 1, 4]))))
        content = header(*shape, kind=kind, zeros=int(generator.choice([0, 0, 0, 1]))) + payload
        content = bytes(content) if generator.random() < 0.5 else gzip.compress(content, 1)
        (tmp_path / "f").unlink(missing_ok=True)
        (tmp_path / "f").write_bytes(content)
        try:
            found = read_idx(tmp_path / "f", ndim=ndim)
        except DataError:
            continue
        assert (list(found.shape), found.tobytes()) == (shape, payload)


FILE = MnistFile("noise", len(NOISE_RAW), hashlib.sha256(NOISE_RAW).hexdigest())


@pytest.mark.proof("D21 bits of a dataset file, flipped later")
def test_a_changed_file_is_not_taken_for_the_published_one(proof: Proof, tmp_path: Path) -> None:
    bits = [
        (raw, bit) for raw in (True, False) for bit in range(8 * len(NOISE_RAW if raw else PACKED))
    ]
    for raw, bit in proof.points(bits, quick=400):
        path = tmp_path / ("noise" if raw else "noise.gz")
        for name in ("noise", "noise.gz"):
            (tmp_path / name).unlink(missing_ok=True)
        path.write_bytes(flipped(NOISE_RAW if raw else PACKED, [bit]))
        found = mnist.find(tmp_path, FILE)
        assert not (raw and found)
        if found is None:
            assert list(mnist.rejected(tmp_path, FILE)) == [path]
        else:  # a time or a name in the head of the gzip file
            np.testing.assert_array_equal(read_idx(found, ndim=3), NOISE)


@pytest.mark.long
@pytest.mark.proof("D21 bits of MNIST's own files, flipped later, from the command line")
def test_train_refuses_a_changed_file_of_mnist_by_its_name(
    proof: Proof, mlp: Mlp, mnist_source: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(
        "data: {download: false, test: false}\ntraining: {epochs: 1}\n"
    )
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for file in (mnist.TRAIN_IMAGES, mnist.TRAIN_LABELS):
        source = mnist_source / file.name
        packed = source if source.exists() else mnist_source / f"{file.name}.gz"
        content = packed.read_bytes()
        raw = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        (folder / file.name).write_bytes(raw)
    for seed in proof.trials(quick=1, long=40):
        file = (mnist.TRAIN_IMAGES, mnist.TRAIN_LABELS)[seed % 2]
        whole = (folder / file.name).read_bytes()
        bit = int(np.random.default_rng(seed).integers(0, 8 * len(whole)))
        (folder / file.name).write_bytes(flipped(whole, [bit]))
        done = mlp("train", "--config", "c.yaml", "--out", "run")
        assert (done.returncode, done.stdout) == (3, "")
        assert f"{file.name} is damaged: its SHA-256 is " in done.stderr
        assert ". Run `mlp download-data`" in done.stderr
        assert done.stderr.count("\n") == 1
        (folder / file.name).write_bytes(whole)


def test_junk_after_the_end_and_a_wrong_checksum_are_refused(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(RAW))
    (tmp_path / "f").write_bytes(content + b"junk")
    with pytest.raises(DataError):
        read_idx(tmp_path / "f", ndim=3)
    content[-6] ^= 1
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DataError, match="damaged gzip"):
        read_idx(tmp_path / "f", ndim=3)


def test_a_gzip_bomb_is_refused_at_the_length_in_its_header(tmp_path: Path) -> None:
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
def test_any_bytes_are_read_as_an_array_or_refused(content: bytes, pack, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(pack(content))
    try:
        found = read_idx(tmp_path / "f", ndim=1)
    except DataError:
        return
    assert idx(found) == content


def test_a_file_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_idx(tmp_path / "none", ndim=3)
    with pytest.raises(StorageError):
        read_idx(tmp_path, ndim=3)
