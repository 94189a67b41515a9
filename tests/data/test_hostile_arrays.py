"""Damaged and hostile .npz and .npy files: one message, no code is run, no memory is lost."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.craft import described, flipped, npy, raw_npy, zipped
from helpers.proofs import Proof

from mlp_cli.data.formats.arrays import read_npy, read_npz
from mlp_cli.data.formats.collection import Answers
from mlp_cli.errors import DataError

ROOT = Path(__file__).parents[2]
MEMORY = 512 << 20
IMAGES = np.arange(54, dtype=np.uint8).reshape(6, 3, 3) + 200
LABELS = np.array([3, 1, 1, 2, 3, 2], np.uint8)
X = npy(IMAGES)
PLAIN = zipped([("x_train.npy", X), ("y_train.npy", npy(LABELS))])


class Harmful:
    """An object that, if it is unpickled, makes a file in the working folder."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, ("unpickled",)


def compressed(save: Callable[..., None] = np.savez_compressed, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def bzip2() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x_train.npy", X)
    return file.getvalue()


def in_directory(field: int, value: bytes, content: bytes = PLAIN, entry: int = 1) -> bytes:
    """Return a zip file with other bytes in an entry of its directory."""
    at = -1
    for _ in range(entry):
        at = content.index(b"PK\1\2", at + 1)
    return content[: at + field] + value + content[at + field + len(value) :]


HUGE = described("'|u1'", f"({2**31}, 1, 1)")
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "not an .npz file"),
    "not a zip file": (lambda: b"<!doctype html><html></html>", "not an .npz file"),
    "an .npy file": (lambda: X, "not an .npz file"),
    "cut": (lambda: PLAIN[:-1], "it ends early"),
    "cut within an array": (lambda: PLAIN[:120], "it ends early"),
    "more bytes at the end": (lambda: PLAIN + b"\0", "it ends early"),
    "no array": (lambda: zipped([]), "not an .npz file"),
    "a path out of the folder": (
        lambda: zipped([("../../x_train.npy", X)]), r"'../../x_train.npy' is not the name of an"
    ),
    "an absolute path": (lambda: zipped([("/tmp/x_train.npy", X)]), "is not the name of an"),
    "a path of Windows": (lambda: zipped([("..\\x_train.npy", X)]), "is not the name of an"),
    "no array in a member": (lambda: zipped([("x_train.txt", X)]), "is not the name of an array"),
    "a name twice": (lambda: zipped([("x.npy", X), ("x.npy", X)]), "'x.npy' twice"),
    "2,000 members": (lambda: zipped([(f"{n}.npy", X) for n in range(2000)]), "more than 1000"),
    "a long directory": (
        lambda: zipped([(f"{'n' * 60_000}{n}.npy", X) for n in range(20)]), "the list of its arrays"
    ),
    "zip64": (
        lambda: PLAIN[:-22] + b"PK\6\7" + bytes(16) + PLAIN[-22:], "it has more than 2 GiB"
    ),
    "encrypted": (lambda: in_directory(8, b"\1"), "is encrypted"),
    "compressed by bzip2": (bzip2, "compressed in a way that NumPy does not use"),
    "overlapping members": (lambda: in_directory(42, bytes(4), entry=2), "overlaps"),
    "a member beyond the end": (
        lambda: in_directory(20, b"\xff\xff\0\0\xff\xff\0\0"), "claims more bytes than the file has"
    ),
    "a length that differs": (
        lambda: in_directory(24, b"\xff\xff\xff\x7f"), "claims more bytes than the file has"
    ),
    "a bomb": (
        lambda: compressed(x_train=np.zeros((80 << 20, 1, 1), np.uint8)), r"claim to be 83,886,2"
    ),
    "a claim of 2 GiB in the directory": (
        lambda: in_directory(24, b"\0\0\0\x7f", compressed(x_train=IMAGES)), "claim to be 2,130,7"
    ),
    "a claim of 2 GiB in a header": (
        lambda: zipped([("x_train.npy", raw_npy(HUGE, bytes(16)))]), "2,147,483,648 bytes, but it"
    ),
    "a negative shape": (
        lambda: zipped([("x_train.npy", raw_npy(described("'|u1'", "(-4, -4)"), bytes(16)))]),
        r"shape \(-4, -4\) is empty",
    ),
    "a header that is code": (
        lambda: zipped([("x_train.npy", raw_npy("__import__('os').mkdir('unpickled')"))]),
        "x_train: it cannot be read",
    ),
    "a deep header": (
        lambda: zipped([("x_train.npy", raw_npy("(" * 9000))]), "x_train: it cannot be read"
    ),
    "a header of 4 GiB": (
        lambda: zipped([("x_train.npy", raw_npy(HUGE, version=b"\2\0"))]), "version 2.0"
    ),
    "Python objects": (
        lambda: zipped([("x_train.npy", npy(np.array([Harmful()], object)))]),
        "x_train: an array of Python objects, which are never loaded",
    ),
    "records": (
        lambda: zipped([("x_train.npy", npy(np.zeros(3, "u1,f4")))]), "x_train: an array of type"
    ),
    "a wrong checksum": (
        lambda: in_directory(16, b"\1\2\3\4"), "x_train: it cannot be read: Bad CRC-32"
    ),
    "another name in the member": (
        lambda: in_directory(46, b"X_train"), "File name in directory"
    ),
    "a cut .npy file": (lambda: zipped([("x_train.npy", X[:-1])]), "54 bytes, but it holds 53"),
    "a long .npy file": (lambda: zipped([("x_train.npy", X + b"\0")]), "54 bytes, .* holds 55"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_npz_file_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, words = HOSTILE[kind]
    (tmp_path / "f.npz").write_bytes(make())
    with pytest.raises(DataError, match=words) as caught:
        read_npz(tmp_path / "f.npz", Answers())
    assert str(caught.value).startswith(f"{tmp_path / 'f.npz'}: ")
    assert len(str(caught.value)) < 400 + len(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]


HOSTILE_NPY = {
    "empty": (b"", "cannot be read"),
    "not an array": (b"<!doctype html>", "cannot be read: the magic string"),
    "cut": (X[:-1], "54 bytes, but it holds 53"),
    "cut within its header": (X[:30], "cannot be read"),
    "long": (X + b"\0", "54 bytes, but it holds 55"),
    "a claim of 2 GiB": (raw_npy(HUGE, bytes(16)), "2,147,483,648 bytes, but it holds 16"),
    "a header of 4 GiB": (b"\x93NUMPY\2\0\xff\xff\xff\xff", "version 2.0"),
    "a long header": (raw_npy(described("'|u1'", "(1, 1)") + " " * 20_000, b"1"), "cannot be read"),
    "Python objects": (npy(np.array([Harmful()], object)), "never loaded"),
    "no image": (npy(IMAGES[:0]), "is empty"),
}


@pytest.mark.parametrize("kind", HOSTILE_NPY)
def test_a_hostile_npy_file_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, words = HOSTILE_NPY[kind]
    (tmp_path / "f.npy").write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_npy(tmp_path / "f.npy", Answers())
    assert str(caught.value).startswith(f"{tmp_path / 'f.npy'}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["f.npy"]


READ_ALL = """
import json
from pathlib import Path
from mlp_cli.data.formats.arrays import read_npz
from mlp_cli.data.formats.collection import Answers
from mlp_cli.errors import DataError
for path in sorted(Path("files").iterdir()):
    try:
        read_npz(path, Answers())
    except DataError as error:
        print(json.dumps([path.name, str(error)]))
"""


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.long
def test_hostile_files_are_refused_with_512_mb(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number, (make, _) in enumerate(HOSTILE.values()):
        (tmp_path / "files" / f"{number:02}.npz").write_bytes(make())
    zeros = np.zeros((30 << 20, 1), np.uint8)  # within the limits
    archive = compressed(x_train=zeros, y_train=zeros)
    (tmp_path / "files" / "zeros.npz").write_bytes(archive)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ_ALL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=True,
    )
    refused = dict(json.loads(line) for line in done.stdout.splitlines())
    assert len(refused) == len(HOSTILE)
    assert not any("does not fit into memory" in message for message in refused.values())


FILES = {
    "stored": compressed(np.savez, x_train=IMAGES, y_train=LABELS),
    "compressed": compressed(x_train=IMAGES, y_train=LABELS),
}


def is_refused(path: Path, content: bytes) -> bool:
    """Return whether a file with these bytes is refused; if not, its arrays must be right."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    try:
        found = read_npz(path, Answers())
    except DataError as error:
        assert str(path) in str(error)
        return True
    (part,) = found.parts.values()
    np.testing.assert_array_equal(part.images, IMAGES)
    if part.labels is not None:
        np.testing.assert_array_equal(part.labels, LABELS - 1)
    return False


@pytest.mark.proof("an .npz file of images, each bit flipped")
def test_a_flipped_bit_is_refused_or_harmless(proof: Proof, tmp_path: Path) -> None:
    points = [(kind, bit) for kind, content in FILES.items() for bit in range(8 * len(content))]
    for kind, bit in proof.points(points, quick=400):
        is_refused(tmp_path / "f", flipped(FILES[kind], [bit]))


@pytest.mark.proof("an .npz file of images, each length of a truncated one")
def test_a_truncated_file_is_refused(proof: Proof, tmp_path: Path) -> None:
    points = [(kind, end) for kind, content in FILES.items() for end in range(len(content))]
    for kind, end in proof.points(points, quick=100):
        assert is_refused(tmp_path / "f", FILES[kind][:end])
