"""Hostile files are refused by one message, in little time and memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from golden.make import FOLDER, write_data
from helpers.craft import described, npy, opened, raw_npy, sealed, zipped
from helpers.proofs import Proof
from helpers.quick_training import ROOT
from helpers.selection import few

import mlp_cli
from mlp_cli.errors import MlpError

SUBJECT = FOLDER / "hidden-adam-float32-last.npz"
ARRAYS, HEADER = opened(SUBJECT)
MEMORY = 512 << 20
ONE = npy(np.ones((), np.float32))


class _Runs:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("unpickled",)


def saved(**members: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **members)
    return file.getvalue()


def zeros(gigabytes: int) -> bytes:
    """Return a deflate stream of so many GiB of zeros, a thousand times smaller than them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start * (1024 * gigabytes) + packer.flush()


def in_place_of_a_bias(content: bytes) -> bytes:
    return sealed(ARRAYS, HEADER, {"layers.1.bias": content})


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(SUBJECT, "last.npz")
    return file.getvalue()


def edited(**at: tuple[int, bytes]) -> bytes:
    """Return the subject with bytes replaced in its first local header, or near its end."""
    content = bytearray(SUBJECT.read_bytes())
    for start, replacement in at.values():
        content[start : start + len(replacement) or None] = replacement
    return bytes(content)


def many(n: int) -> bytes:
    return zipped([(f"{i}.npy", ONE) for i in range(n)])


HEADERS = {
    "huge shape": described("'<f4'", "(1000000000000,)"),
    "shape beyond all": described("'<f4'", f"({'9' * 80},)"),
    "shape that overflows": described("'<f4'", "(4294967296, 4294967297)"),
    "negative shape": described("'<f4'", "(-4,)"),
    "shape of nothing": described("'<f4'", f"(0, {10**30})"),
    "shape of floats": described("'<f4'", "(4.0,)"),
    "shape of code": described("'<f4'", "__import__('os').mkdir('unpickled')"),
    "many dimensions": described("'<f4'", f"({'1, ' * 33})"),
    "deep literal": described("'<f4'", "(" * 3000 + ")" * 3000),
    "long literal": described("'<f4'", f"({'9' * 4000},)"),
    "object": described("'|O'", "(4,)"),
    "structure": described("[('a', '<f4'), ('b', [('c', '<f4', (2,))])]", "(4,)"),
    "deep structure": described("[('a', " * 200 + "'<f4'" + ")]" * 200, "(4,)"),
    "array in the type": described("('<f4', (1000000,))", "(4,)"),
    "huge text": described("'<U99999999'", "()"),
    "text beyond all": described("'<U99999999999999'", "()"),
    "date": described("'<M8[ns]'", "(2,)"),
    "void": described("'|V1000000000'", "(4,)"),
    "Fortran": described("'<f4'", "(4,)", True),
    "double key": described("'<f4'", "(4,), 'shape': (5,)"),
    "no literal": "}{",
    "nothing": "",
}
HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "a few bytes": lambda: b"PK\3\4",
    "text": lambda: b"layers.0.weight: [1, 2]\n" * 1000,
    "pickle": lambda: pickle.dumps({"layers.0.weight": _Runs()}),
    "npy": lambda: npy(np.ones(4)),
    "tar": tar,
    "empty zip": lambda: zipped([]),
    "object array": lambda: saved(header=np.array([{}], dtype=object)),
    "object array that runs code": lambda: saved(header=np.array([_Runs()], dtype=object)),
    "bomb of 10 GiB": lambda: zipped([("header.npy", zeros(10))], method=8),
    "claims of 10 GiB": lambda: zipped([("header.npy", ONE)], length=10 << 30),
    "claims of an array of 10 GiB": lambda: zipped(
        [("header.npy", raw_npy(described("'<f4'", f"({5 << 29},)")))], length=(10 << 30) + 77
    ),
    "claims of 2^64": lambda: zipped([("header.npy", ONE)], length=(1 << 64) - 1),
    "3,000 members": lambda: many(3000),
    "1,000,000 members": lambda: many(1_000_000),
    "1,000,000 empty members": lambda: zipped([(f"{i}.npy", b"") for i in range(1_000_000)]),
    "double names": lambda: zipped([("digest.npy", ONE), ("digest.npy", ONE)]),
    "names that climb": lambda: sealed(ARRAYS | {"../../unpickled": ARRAYS["input.std"]}, HEADER),
    "absolute names": lambda: sealed(ARRAYS | {"/unpickled": ARRAYS["input.std"]}, HEADER),
    "names with NUL": lambda: sealed(ARRAYS | {"a\0b": ARRAYS["input.std"]}, HEADER),
    "names that are no ASCII": lambda: zipped([("ü.npy", ONE)]),
    "long names": lambda: zipped([("a" * 60_000 + ".npy", ONE)]),
    "names of no array": lambda: zipped([("header.py", b"import os")]),
    "encrypted": lambda: zipped([("header.npy", ONE)], flags=1),
    "lengths after the members": lambda: zipped([("header.npy", ONE)], flags=8),
    "other methods": lambda: zipped([("header.npy", ONE)], method=14),
    "another extra field": lambda: edited(kind=(30 + len("layers.0.weight.npy"), b"\2")),
    "lengths that differ": lambda: edited(packed=(30 + len("layers.0.weight.npy") + 12, b"\1")),
    "short lengths in their place": lambda: edited(lengths=(18, struct.pack("<2L", 4, 4))),
    "a directory of one less": lambda: edited(count=(-12, b"\x0b")),
    "a directory of another name": lambda: edited(name=(-32, b"D")),
    "a member after the directory": lambda: SUBJECT.read_bytes() + zipped([("a.npy", ONE)]),
    "two files in one": lambda: SUBJECT.read_bytes() * 2,
    "directory at the start": lambda: SUBJECT.read_bytes()[-800:],
    "npy of version 2": lambda: in_place_of_a_bias(
        raw_npy(described("'<f4'", "(4,)"), bytes(16), b"\2\0")
    ),
    "npy of version 9": lambda: in_place_of_a_bias(
        raw_npy(described("'<f4'", "(4,)"), bytes(16), b"\x09\0")
    ),
    "npy whose header is longer than it": lambda: in_place_of_a_bias(b"\x93NUMPY\1\0\xff\xff{}"),
    "npy whose header is 60,000 bytes": lambda: in_place_of_a_bias(
        raw_npy(described("'<f4'", "(4,)") + " " * 60_000, bytes(16))
    ),
    "enormous network": lambda: sealed(
        ARRAYS, HEADER | {"config": {"model": {"hidden": [65536] * 100}}}
    ),
    "enormous images": lambda: sealed(
        ARRAYS, HEADER | {"data": {"name": "a", "image_shape": [10**9, 10**9], "classes": 3}}
    ),
    "deep JSON": lambda: sealed(
        ARRAYS, '{"format": 1, "a": ' + "[" * 200_000 + "]" * 200_000 + "}"
    ),
    "long JSON": lambda: sealed(ARRAYS, f'{{"a": [{"[]," * 5_000_000}[]]}}'),
    "JSON of many lists": lambda: sealed(ARRAYS, f'{{"a": [{"[]," * 80_000}[]]}}'),
    **{
        f"npy: {name}": lambda header=header: in_place_of_a_bias(raw_npy(header, bytes(16)))
        for name, header in HEADERS.items()
    },
}
WORDS = {
    "double names": "it holds the name 'digest' twice",
    "3,000 members": "more than 1000 members",
    "bomb of 10 GiB": "is compressed",
    "claims of 10 GiB": "claims more bytes than the file has",
    "claims of an array of 10 GiB": "claims more bytes than the file has",
    "lengths that differ": "claims more bytes than the file has",
    "npy: huge shape": " bytes and the header ",
    "encrypted": "is encrypted",
    "object array that runs code": "'|O'",
    "enormous network": "needs (65536, 20)",
}
LARGE = {name for name in HOSTILE if "1,000,000" in name}


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}


def run(folder: Path, *arguments: object) -> tuple[int, str, float]:
    """Run Python in `folder` with 512 MiB; return its exit code, its output and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=folder, env=ENVIRON, preexec_fn=limited, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.returncode, done.stdout, seconds


STARTUP = 2.0  # CPU seconds that a command may take to start on a busy machine


def one_message(output: str) -> bool:
    return output.startswith("Error: ") and output.count("\n") == 1 and output[:-1].isprintable()


LOAD_ALL = """
import json, resource, sys, time
from pathlib import Path
import mlp_cli
from mlp_cli.errors import CheckpointError
for path in sorted(Path("files").iterdir()):
    started = time.process_time()
    try:
        mlp_cli.load(path)
    except CheckpointError as error:
        print(json.dumps([path.name, str(error), time.process_time() - started]))
print(json.dumps(["", "", 0]))
"""


@pytest.mark.serial
def test_each_hostile_file_is_refused_in_little_time_and_memory(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    names = {}
    for number, name in enumerate(sorted(HOSTILE.keys() - LARGE)):
        names[f"{number}.npz"] = name
        (tmp_path / "files" / f"{number}.npz").write_bytes(HOSTILE[name]())
    code, output, _ = run(tmp_path, "-c", LOAD_ALL)
    assert code == 0, output
    *found, last = [json.loads(line) for line in output.splitlines()]
    assert not any(last)
    assert {names[name] for name, _, _ in found} == set(names.values())
    for name, message, seconds in found:
        assert seconds < 2, names[name]
        assert message.isprintable(), names[name]
        assert len(message) < 600, names[name]
        assert WORDS.get(names[name], "") in message
    assert not list(tmp_path.glob("**/unpickled"))


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.proof("C7 hostile npz files from the command line, in 512 MiB and 2 s")
def test_the_command_line_refuses_each_hostile_file(proof: Proof, tmp_path: Path) -> None:
    path = tmp_path / "best.npz"
    names = sorted(HOSTILE) if proof.long else sorted(HOSTILE.keys() - LARGE)
    for name in proof.points(names, quick=4):
        path.write_bytes(HOSTILE[name]())
        code, output, seconds = run(tmp_path, "-m", "mlp_cli", "eval", path)
        assert (code, one_message(output)) == (5, True), (name, output)
        assert seconds < 2 + STARTUP, name
        assert not list(tmp_path.glob("**/unpickled"))


DEVICES: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "FIFO": (os.mkfifo, 2, "a folder or device"),
    "folder": (Path.mkdir, 2, "holds no best.npz"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), 2, "a folder or device"),
    "link to itself": (lambda path: path.symlink_to(path), 7, "symbolic links"),
    "link to nothing": (lambda path: path.symlink_to("none"), 2, "there is no such checkpoint"),
    "nothing": (lambda path: None, 2, "there is no such checkpoint"),
}


@pytest.mark.parametrize("name", few(DEVICES, 6))
def test_a_path_that_is_no_regular_file_is_refused_without_waiting(
    name: str, tmp_path: Path
) -> None:
    make, code, words = DEVICES[name]
    make(tmp_path / "given.npz")
    (tmp_path / "run").mkdir()
    make(tmp_path / "run" / "best.npz")
    found = run(tmp_path, "-m", "mlp_cli", "eval", tmp_path / "given.npz")
    assert found[0] == code
    assert words in found[1]
    assert one_message(found[1])
    code, output, _ = run(tmp_path, "-m", "mlp_cli", "eval", tmp_path / "run")
    assert code in (2, 7)
    assert one_message(output)
    with pytest.raises(MlpError):
        mlp_cli.load(tmp_path / "given.npz")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Return the folder of a run of one epoch, with its configuration beside it."""
    write_data(tmp_path / "images")
    config = {
        "data": {"path": str(tmp_path / "images"), "validation": 12, "test": False},
        "model": {"hidden": [4]},
        "optimizer": {"name": "adam"},
        "training": {"epochs": 1, "batch_size": 16},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    done = train(tmp_path)
    assert done[0] == 0, done[1]
    return tmp_path / "run"


def train(folder: Path, *more: object) -> tuple[int, str, float]:
    command = ["train", "--quiet", "--config", "config.yaml", "--out", "run", *more]
    return run(folder, "-m", "mlp_cli", *command)


@pytest.mark.long
def test_a_run_is_not_resumed_from_a_damaged_checkpoint(finished: Path, tmp_path: Path) -> None:
    content, longer = (finished / "last.npz").read_bytes(), ("--set", "training.epochs=2")
    arrays, header = opened(finished / "last.npz")
    nan = arrays | {"optimizer.square": arrays["optimizer.square"] * np.float32(np.nan)}
    header["config"]["seed"] = 7
    for damaged, words in (
        (content[:-40], "damaged"),
        (content[:2000] + bytes(64) + content[2064:], "damaged"),
        (sealed(nan, header), "optimizer.square holds text, or values that are not finite"),
        (sealed(arrays, header), "differs from the run's in seed"),
        (SUBJECT.read_bytes(), "differs from the run's in"),
    ):
        (finished / "last.npz").write_bytes(damaged)
        code, output, _ = train(tmp_path, "--resume", *longer)
        assert (code, one_message(output)) == (5, True), output
        assert words in output
        assert (finished / "last.npz").read_bytes() == damaged
    (finished / "last.npz").unlink()
    os.mkfifo(finished / "last.npz")
    code, output, _ = train(tmp_path, "--resume", *longer)
    assert (code, one_message(output)) == (7, True), output
    (finished / "last.npz").unlink()
    (finished / "last.npz").write_bytes(content)
    assert train(tmp_path, "--resume", *longer)[0] == 0


@pytest.mark.long
def test_weights_too_large_to_predict_with_are_refused(finished: Path, tmp_path: Path) -> None:
    arrays, header = opened(finished / "best.npz")
    arrays["layers.0.weight"][...] = 3e38
    arrays["layers.1.weight"][...] = -3e38
    (finished / "best.npz").write_bytes(sealed(arrays, header))
    for out in ("--json", "--predictions=found.csv"):
        code, output, _ = run(tmp_path, "-m", "mlp_cli", "eval", "run", "--split=train", out)
        assert (code, one_message(output)) == (5, True), output
        assert "weights are so large" in output


def packed_zeros(*shape: int, gigabytes: int) -> bytes:
    """Return a gzip file that claims a shape and unpacks to so many GiB."""
    head = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    stored = b"\0" + struct.pack("<2H", len(head), len(head) ^ 0xFFFF) + head
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stored + zeros(gigabytes) + bytes(8)


@pytest.mark.serial
@pytest.mark.long
def test_images_that_exhaust_memory_are_refused(tmp_path: Path) -> None:
    write_data(tmp_path / "images")
    (tmp_path / "config.yaml").write_text(
        f"data: {{path: {tmp_path / 'images'}, validation: 0, test: false}}"
    )
    images = tmp_path / "images" / "train-images-idx3-ubyte"
    labels = tmp_path / "images" / "train-labels-idx1-ubyte"
    honest = images.read_bytes(), labels.read_bytes()
    huge = struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3)
    for path, content, words in (
        (images, packed_zeros(10, 1 << 15, 1 << 15, gigabytes=10), "npack the file first"),
        (labels, packed_zeros((4 << 30) - 1, gigabytes=4), "npack the file first"),
        (images, packed_zeros(1, 24_000, 25_000, gigabytes=6), "does not fit into memory"),
        (images, packed_zeros(60, 5, 4, gigabytes=1), "more than 1,200"),
        (images, huge, "It was cut or changed"),
        (images, huge[:9], "ends within its header"),
    ):
        path.write_bytes(content)
        code, output, seconds = train(tmp_path)
        assert (code, one_message(output)) == (3, True), output
        assert words in output
        assert seconds < 2 + STARTUP
        images.write_bytes(honest[0])
        labels.write_bytes(honest[1])
    with images.open("wb") as file:  # complete, but too large for the machine
        file.write(struct.pack(">HBB3I", 0, 8, 3, 10, 1 << 15, 1 << 15))
        file.truncate(16 + (10 << 30))
    code, output, _ = train(tmp_path)
    assert (code, one_message(output)) == (7, True), output
