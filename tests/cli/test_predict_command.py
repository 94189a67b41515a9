"""The command `mlp predict`: its streams, options and exit codes."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.stand_ins import idx

from mlp_cli import SilentObserver, load, train

ROOT = Path(__file__).parents[2]

Mlp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(config: Path, tmp_path: Path) -> Path:
    """A run on images of 8×8 pixels, and files of such images beside it."""
    train(config, out=tmp_path / "run", observer=SilentObserver())
    images = np.random.default_rng(5).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    (tmp_path / "images.idx").write_bytes(idx(images))
    np.save(tmp_path / "image.npy", images[0])
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    return Path("run")


def test_answers_are_printed_and_what_cannot_be_read_is_told(
    run: Path, mlp: Mlp, tmp_path: Path
) -> None:
    done = mlp("predict", run, "--raw", "bad.npy", "images.idx", "image.npy", "--csv")
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert lines[0] == "picture,line,position,prediction,probability,notes"
    names = [line.split(",")[0] for line in lines[1:]]
    assert names == ["images.idx[0]", "images.idx[1]", "images.idx[2]", "image.npy"]
    assert lines[1].split(",")[1:] == lines[4].split(",")[1:]
    told = done.stderr.splitlines()
    assert told[0].startswith("WARNING: bad.npy: a damaged .npy file")
    assert told[1:] == ["Error: 1 of the pictures was not read, for the reasons above."]


def test_the_answers_are_one_json_object(run: Path, mlp: Mlp, tmp_path: Path) -> None:
    done = mlp("predict", run, "run/last.npz", "image.npy", "--json")
    assert done.returncode == 0
    assert done.stderr.startswith("WARNING: The network was trained on ")
    printed = json.loads(done.stdout)
    assert list(printed) == ["networks", "preparation", "answers", "unreadable"]
    assert [network["checkpoint"] for network in printed["networks"]] == [
        "run/best.npz",
        "run/last.npz",
    ]
    assert (printed["preparation"], printed["unreadable"]) == ("scaled", [])
    (answer,) = printed["answers"]
    assert answer["picture"] == "image.npy"
    assert answer["prediction"] == int(np.argmax(answer["probabilities"]))
    assert sum(answer["probabilities"]) == pytest.approx(1)
    model = load(tmp_path / "run")
    assert len(answer["probabilities"]) == model.classes


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Missing argument 'RUN_OR_CHECKPOINT... IMAGE...'"),
        (["run"], 2, "no picture is named"),
        (["image.npy"], 2, "image.npy: it is not a network"),
        (["nowhere", "image.npy"], 2, "nowhere: there is no such file or folder"),
        (["run", "image.npy", "--csv", "--json"], 2, "exclude each other"),
        (["run", "image.npy", "--raw", "--grid"], 2, "exclude each other"),
        (["run", "image.npy", "--raw", "--prepare"], 2, "exclude each other"),
        (["run", "image.npy", "--grid"], 2, "--grid reads digits"),
        (["run", "image.npy", "--prepare"], 2, "--prepare makes images of 28 × 28 pixels, but"),
        (["run", "image.npy", "--save-input", "run"], 2, "run is not empty"),
        (["run", "missing.png"], 3, "missing.png: there is no such file"),
        (["nowhere.npz", "image.npy"], 2, "nowhere.npz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.long
def test_a_wrong_call_has_one_message(
    arguments: list[str], code: int, said: str, run: Path, mlp: Mlp
) -> None:
    done = mlp("predict", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr.splitlines()[-1]


@pytest.mark.long
def test_a_picture_is_drawn_in_the_characters_of_the_stream(run: Path, mlp: Mlp) -> None:
    for encoding, block in (("utf-8", "█"), ("ascii", "@")):
        done = mlp(
            "predict", run, "image.npy", "--raw", "--show", PYTHONIOENCODING=encoding,
            PYTHONUTF8="1" if encoding == "utf-8" else "0",
        )  # fmt: skip
        assert done.returncode == 0
        first, *drawn = done.stdout.splitlines()
        assert first.endswith("  image.npy") or "unsure" in first
        assert len(drawn) <= 4
        assert block in done.stdout


# Runs `mlp` and prints the most memory that it had. A process begins with the peak of the one that
# starts it, so a small one starts it.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, "-m", "mlp_cli", *sys.argv[1:]])
_, status, used = os.wait4(process.pid, 0)
print(used.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def bomb(side: int) -> bytes:
    """A small PNG file of transparent pixels, which takes 8 bytes for each when it is unpacked."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 8 * side)) for _ in range(side)) + packer.flush()

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.parametrize("grid", [[], ["--grid"]], ids=["one digit", "grid"])
def test_no_picture_takes_much_memory_or_time(grid: list[str], tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="needs the extra `images`")
    small = {"data": {"dataset": "synthetic"}, "model": {"hidden": []}, "training": {"epochs": 1}}
    train(small, out=tmp_path / "run", observer=SilentObserver())
    (tmp_path / "bomb.png").write_bytes(bomb(7000))
    squares = np.indices((1024, 1024)).sum(axis=0) % 2 * 255
    np.save(tmp_path / "squares.npy", squares.astype(np.uint8))
    for name in ("bomb.png", "squares.npy"):
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, "predict", "run", name, *grid],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - started < 5
        assert "blank" in done.stdout
        assert int(done.stderr) < 512 * 1024  # kB
