"""Files under MNIST's names: a damaged copy of MNIST is replaced, and nothing else ever is."""

from __future__ import annotations

import gzip
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from shlex import quote

import numpy as np
import pytest
from helpers.servers import Client, Server, closed_port
from helpers.stand_ins import BLOCK, FILES, IMAGES, LABELS, PACKED, RAW, Fetch, flip, idx, names

from mlp_cli.config.load import from_dict
from mlp_cli.data import mnist
from mlp_cli.data.dataset import load_dataset
from mlp_cli.data.replacing import is_damaged_copy, unused_files
from mlp_cli.errors import DataError, DownloadError

pytestmark = [pytest.mark.serial, pytest.mark.usefixtures("short_limits")]
Mlp = Callable[..., subprocess.CompletedProcess[str]]

NOISE = np.random.default_rng(8).integers(0, 256, (40, 28, 28)).astype(np.uint8)
DIGITS = np.frombuffer(RAW["images"][16:], np.uint8).reshape(40, 28, 28)


def changed(content: bytes, *changes: tuple[int, bytes]) -> bytes:
    """Return the content with these bytes at these places."""
    result = bytearray(content)
    for at, part in changes:
        result[at : at + len(part)] = part
    return bytes(result)


# What a user may have put there: the file, its content, the reason, and whether it is an IDX file.
PACK = partial(gzip.compress, mtime=0)  # else the bytes depend on the second

OWN = {
    "other images of the same size": ("images", idx(NOISE), "SHA-256", True),
    "fewer other images": ("images", idx(NOISE[:9]), "ends after 7,072 of 31,376 bytes", True),
    "more and larger images": ("images", idx(np.repeat(NOISE, 3, 2)), "more than 31,376", True),
    "one image more": ("images", idx(np.repeat(NOISE, 2, 0)[:41]), "longer than", True),
    "some of MNIST's own": ("images", idx(DIGITS[:20]), "ends after", True),
    "MNIST's and more": ("images", idx(np.concatenate([DIGITS, NOISE[:1]])), "longer than", True),
    "MNIST's in another order": ("images", idx(DIGITS[::-1]), "SHA-256", True),
    "half of MNIST's and half others": (
        "images",
        idx(np.concatenate([DIGITS[:20], NOISE[20:]])),
        "SHA-256",
        True,
    ),
    "images changed at two places": (
        "images",
        changed(RAW["images"], (900, b"own"), (9000, b"own")),
        "SHA-256",
        True,
    ),
    "other labels": ("labels", idx(np.arange(900, dtype=np.uint8) % 7), "SHA-256", True),
    "two labels corrected": ("labels", changed(RAW["labels"], (400, b"\7\2")), "SHA-256", True),
    "one label corrected": ("labels", changed(RAW["labels"], (8, b"\7")), "SHA-256", True),
    "a page of a portal": ("images", b"<!doctype html>", "not an IDX file", False),
    "a note": ("labels", "Zahlen für morgen".encode(), "not an IDX file", False),
    "an array of numbers": ("labels", b"\x93NUMPY\1\0" + bytes(900), "not an IDX file", False),
    "other images, cut": ("images", idx(NOISE)[:-1], "ends after", False),
    "MNIST's, with text behind": ("images", RAW["images"] + b"text", "longer than", False),
    "floating-point IDX": ("images", b"\0\0\x0d\3" + RAW["images"][4:400], "ends after", False),
}


@pytest.mark.parametrize("pack", [bytes, PACK], ids=["raw", "gzip"])
@pytest.mark.parametrize("case", OWN)
def test_a_file_of_the_users_is_kept_and_named(
    case: str, pack: Callable[[bytes], bytes], fetch: Fetch, good: Server
) -> None:
    name, content, words, valid = OWN[case]
    fetch.folder.mkdir(parents=True)
    path = fetch.folder / (name if pack is bytes else f"{name}.gz")
    path.write_bytes(pack(content))
    if pack is PACK:
        words = f"{words}|longer than|more than"
    for mirror in (good.url, closed_port()):
        for force in (False, True):
            with pytest.raises(DataError) as caught:
                fetch(mirror, force=force)
            message = str(caught.value)
            assert re.search(f"  {path}: it.*({words})", message)
            assert message.endswith("move them away." if valid else "Move them away to use MNIST.")
            assert (f"--set {quote(f'data.path={fetch.folder}')}" in message) == valid
    assert path.read_bytes() == pack(content)
    assert names(fetch.folder) == [path.name]
    assert good.requests == []


def test_all_refused_files_are_in_one_message(fetch: Fetch, good: Server) -> None:
    fetch.folder.mkdir(parents=True)
    (fetch.folder / "images").write_bytes(idx(NOISE))
    (fetch.folder / "labels.gz").write_bytes(gzip.compress(b"text"))
    with pytest.raises(DataError, match=r"(?s)images: its SHA-256.*labels\.gz: it is not an IDX"):
        fetch(good.url)


def test_a_link_to_what_is_not_there_is_kept(fetch: Fetch, good: Server) -> None:
    fetch.folder.mkdir(parents=True)
    (fetch.folder / "labels").symlink_to("/mnt/not-mounted/labels")
    with pytest.raises(DataError, match="labels: it is a link to /mnt/not-mounted/labels, which"):
        fetch(good.url)
    assert (fetch.folder / "labels").is_symlink()


def test_a_file_that_comes_during_the_transfer_is_kept(fetch: Fetch) -> None:
    def answer(client: Client) -> None:
        (fetch.folder / "labels").write_bytes(idx(np.zeros(3, np.uint8)))
        client.answer(PACKED["labels"])

    with Server(answer) as server, pytest.raises(DataError, match="labels: it ends after 11"):
        fetch(server.url, files=[LABELS])
    assert (fetch.folder / "labels").read_bytes() == idx(np.zeros(3, np.uint8))
    assert names(fetch.folder) == ["labels"]


def test_a_file_that_is_not_needed_does_not_matter(fetch: Fetch, good: Server) -> None:
    fetch.folder.mkdir(parents=True)
    (fetch.folder / "images").write_bytes(idx(NOISE))
    assert fetch(good.url, files=[LABELS]) == ["labels"]


def zeroed(content: bytes, start: int, stop: int) -> bytes:
    return changed(content, (start, bytes(stop - start)))


def damages() -> Iterator[tuple[str, bytes]]:
    """Damaged copies: the file, and its content."""
    draw = random.Random(4)
    for name, content in RAW.items():
        n = len(content)
        yield from ((name, damaged) for damaged in (b"", bytes(5), bytes(n), bytes(n // 2)))
        yield from ((name, content[:at]) for at in range(BLOCK, n, n // 40))
        # Labels that are zeros only in a part of a block could be the user's.
        step = BLOCK if name == "labels" else n // 20
        yield from ((name, zeroed(content, at, n)) for at in range(BLOCK, n, step))
        for _ in range(40):
            at = draw.randrange(n)
            yield name, flip(content, at)
            yield name, zeroed(content, at // BLOCK * BLOCK, min(n, (at // BLOCK + 3) * BLOCK))
        yield name, changed(content, (0, b"\0\0\0\0"))
    images = RAW["images"]
    for _ in range(40):
        at = draw.randrange(len(images) // BLOCK) * BLOCK
        yield "images", changed(images, (max(at, 1), draw.randbytes(BLOCK - 1)))
    yield "labels", changed(RAW["labels"], (500, b"\xff\xfe"))


def test_a_damaged_copy_is_known(tmp_path: Path) -> None:
    files = dict(zip(RAW, FILES, strict=True))
    for number, (name, content) in enumerate(damages()):
        path = tmp_path / name
        path.write_bytes(content)
        assert content in RAW.values() or mnist.rejected(tmp_path, files[name]), number
        assert is_damaged_copy(path, files[name]), number


@pytest.mark.parametrize("file", FILES, ids=list(RAW))
def test_a_damaged_gzip_file_is_known(file: mnist.MnistFile, fetch: Fetch, good: Server) -> None:
    name = file.name
    packed = gzip.compress(RAW[name], 0)  # not compressed, so that each damage stays small
    fetch.folder.mkdir(parents=True)
    path = fetch.folder / f"{name}.gz"
    for damaged in (b"", packed[:-1], packed[: len(packed) // 2], flip(packed, len(packed) - 6)):
        path.write_bytes(damaged)
        with pytest.raises(DownloadError, match=rf"{name}\.gz is damaged: it.*\.\nCheck the conn"):
            fetch(closed_port(), files=[file])
        fetch(good.url, files=[file])
        assert path.read_bytes() == damaged
        assert (fetch.folder / name).read_bytes() == RAW[name]
        (fetch.folder / name).unlink()


def test_a_copy_that_is_damaged_is_named_if_no_mirror_answers(fetch: Fetch) -> None:
    fetch.folder.mkdir(parents=True)
    (fetch.folder / "images").write_bytes(RAW["images"][:-1])
    with pytest.raises(DownloadError) as caught:
        fetch(closed_port(), files=[IMAGES])
    assert f"{fetch.folder / 'images'} is damaged: it ends after 31,375" in str(caught.value)


# ---------------------------------------------------------------- with MNIST's own files


@pytest.fixture(scope="module")
def whole(mnist_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MNIST's four files, raw."""
    folder = tmp_path_factory.mktemp("whole")
    for file in mnist.MNIST_FILES:
        path = mnist.find(mnist_source, file)
        assert path is not None
        content = path.read_bytes()
        raw = gzip.decompress(content) if path.suffix == ".gz" else content
        (folder / file.name).write_bytes(raw)
    return folder


@pytest.mark.parametrize("file", mnist.MNIST_FILES, ids=lambda file: file.name)
def test_the_checksums_are_mnists(file: mnist.MnistFile, whole: Path, tmp_path: Path) -> None:
    content, n = (whole / file.name).read_bytes(), file.size
    assert len(file.checksums) == 8 * -(-n // file.block)
    path = tmp_path / file.name
    at = n // file.block * file.block
    for damaged in (content[:-1], content[: n // 2], flip(content, at), flip(content, n // 3)):
        path.write_bytes(damaged)
        assert is_damaged_copy(path, file)
    # A rejected file is MNIST's only as far as its checksums say: with others, it is the user's.
    assert not is_damaged_copy(path, file._replace(checksums="0" * len(file.checksums)))


def test_another_set_of_the_same_sizes_is_the_users(whole: Path, tmp_path: Path) -> None:
    for file in (mnist.TEST_IMAGES, mnist.TEST_LABELS):
        content = np.fromfile(whole / file.name, np.uint8)
        header = 16 if file is mnist.TEST_IMAGES else 8
        content[header:] = content[header:][::-1]
        content.tofile(tmp_path / file.name)
        assert not is_damaged_copy(tmp_path / file.name, file)


# ---------------------------------------------------------------- the commands


@pytest.mark.long
def test_the_commands_keep_another_set_and_name_the_way_to_train_on_it(
    mlp: Mlp, own_images: Callable[..., Path], mnist_source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "mnist"
    shutil.copytree(own_images(), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "c.yaml").write_text("data: {validation: 50}\ntraining: {epochs: 1}\n")
    train = ("train", "--config", "c.yaml", "--out", "run")
    for command in (
        (*train, "--mirror", mnist_source),
        (*train, "--mirror", "none"),
        (*train, "--set", "data.download=false"),
        ("download-data", "--mirror", mnist_source),
        ("download-data", "--mirror", mnist_source, "--force"),
    ):
        done = mlp(*command)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("Error: data/mnist has files under MNIST's names that are ")
        for file in mnist.MNIST_FILES:
            assert f"  data/mnist/{file.name}: it ends after" in done.stderr
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert not (tmp_path / "run").exists()
    (option,) = re.findall(r"--set (\S+)\.", done.stderr)
    assert mlp(*train, "--set", option).returncode == 0


@pytest.mark.long
def test_the_fallback_keeps_another_set_too(
    mlp: Mlp, own_images: Callable[..., Path], mnist_source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "mnist"
    shutil.copytree(own_images(), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "c.yaml").write_text(
        "data: {fallback: synthetic}\nmodel: {hidden: []}\ntraining: {epochs: 1}\n"
    )
    done = mlp("train", "--config", "c.yaml", "--out", "run", "--mirror", mnist_source)
    assert done.returncode == 0, done.stderr
    assert "train-images-idx3-ubyte: it ends after" in done.stderr
    assert "This is NOT MNIST" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("file", mnist.MNIST_FILES, ids=lambda file: file.name)
def test_one_of_four_is_enough(
    file: mnist.MnistFile, suffix: str, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for other in mnist.MNIST_FILES:
        if other is not file:
            os.link(whole / other.name, folder / other.name)
    array = np.zeros((3, 2, 2) if "images" in file.name else 3, np.uint8) + 1
    pack = gzip.compress if suffix else bytes
    (folder / f"{file.name}{suffix}").write_bytes(pack(idx(array)))
    with pytest.raises(DataError) as caught:
        load_dataset(from_dict({}, ""), tmp_path)
    assert f"  {folder / file.name}{suffix}: it ends after" in str(caught.value)
    assert re.search("--set '?data.path=", str(caught.value))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t10k-images-idx3-ubyte.gz", PACK(idx(NOISE))),
        ("t10k-labels-idx1-ubyte.gz", PACK(bytes(8) + bytes(range(9)))),
        ("t10k-labels.idx1-ubyte", idx(np.ones(10_000, np.uint8))),
        ("t10k-labels.idx1-ubyte.gz", b"no gzip file"),
    ],
)
def test_a_file_beside_mnists_is_not_passed_over_in_silence(
    name: str, content: bytes, whole: Path, tmp_path: Path
) -> None:
    for file in mnist.MNIST_FILES:
        os.link(whole / file.name, tmp_path / file.name)
        packed = gzip.compress((whole / file.name).read_bytes(), 1)
        (tmp_path / f"{file.name}.gz").write_bytes(packed)
    assert unused_files(tmp_path, mnist.MNIST_FILES) == ""
    (tmp_path / name).write_bytes(content)
    message = unused_files(tmp_path, mnist.MNIST_FILES)
    assert f"  {tmp_path / name}: it" in message
    assert message.count("\n  ") == 1
    assert "data.path=FOLDER" in message


def test_a_huge_file_is_not_read_into_memory(fetch: Fetch, good: Server) -> None:
    fetch.folder.mkdir(parents=True)
    for name in ("images", "labels.gz"):
        with (fetch.folder / name).open("wb") as file:
            file.truncate(1 << 40)
    (fetch.folder / "images.gz").write_bytes(PACKED["images"])
    (fetch.folder / "labels").write_bytes(RAW["labels"])
    assert unused_files(fetch.folder, FILES).count("it has 1,099,511,627,776 bytes") == 2
    with pytest.raises(DataError, match=r"labels\.gz: it has 1,099,511,627,776 bytes"):
        fetch(good.url, force=True)


@pytest.mark.long
def test_training_warns_of_files_beside_mnists(
    mlp: Mlp, whole: Path, own_images: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path / "data" / "mnist")
    for path in own_images().iterdir():
        packed = gzip.compress(path.read_bytes())
        (tmp_path / "data" / "mnist" / f"{path.name}.gz").write_bytes(packed)
    (tmp_path / "c.yaml").write_text("model: {hidden: []}\ntraining: {epochs: 1}\n")
    done = mlp("train", "--config", "c.yaml", "--out", "run", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ubyte.gz: it ends after") == 4
    assert "These files are not MNIST's, and are not used" in done.stderr
