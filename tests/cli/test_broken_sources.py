"""Broken sources of images: one message that names the place, exit 3, and nothing is left."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.class_pictures import write_pictures

from mlp_cli.data.idx import idx_header

pytest.importorskip("PIL", reason="needs the extra `images`")
pytestmark = [pytest.mark.long, pytest.mark.serial]

ROOT = Path(__file__).parents[2]
IMAGES = np.arange(12 * 25).reshape(12, 5, 5).astype(np.uint8)
LABELS = (np.arange(12) // 4).astype(np.uint8)
ROWS = [
    ",".join(map(str, [label, *image.ravel()])) for label, image in zip(LABELS, IMAGES, strict=True)
]

HEAD = ",".join(["label", *(f"p{i}" for i in range(25))])

# Each import in one process, whose memory is then told.
PROGRAM = r"""
import contextlib, io, json, re, sys
from mlp_cli.cli.main import main
ends = []
for source in sys.argv[1:]:
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(["data", "import", source, "out"])
    except SystemExit as end:
        ends.append((end.code, out.getvalue(), err.getvalue()))
peak = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())
print(json.dumps((ends, int(peak[1]) // 1024)))
"""


def table(*rows: str, packed: bool = False) -> Callable[[Path], None]:
    content = "\n".join(rows).encode()
    return lambda path: void(path.write_bytes(gzip.compress(content) if packed else content))


def arrays(**named: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **named)


def zipped(name: str, content: bytes, claimed: int | None = None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        if claimed is not None:
            whole = path.read_bytes()
            size = len(content).to_bytes(4, "little")
            path.write_bytes(whole.replace(size, claimed.to_bytes(4, "little")))

    return write


def npy(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + content


def idx(images: bytes, labels: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / "a-train-images-idx3-ubyte").write_bytes(images)
        (folder / "a-train-labels-idx1-ubyte").write_bytes(labels)

    return write


def pictures(spoil: Callable[[Path], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_pictures(folder)
        spoil(folder)

    return write


def void(_: object) -> None:
    """Forget how many bytes were written."""


RIGHT_IMAGES = idx_header(IMAGES.shape) + IMAGES.tobytes()
RIGHT_LABELS = idx_header(LABELS.shape) + LABELS.tobytes()
BOMB = b"\0" * (200 << 20)

# The bombs are made when they are written: each process that collects this file would make them.
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    # A table, and what the message says beside its name.
    "ragged.csv": (table(*ROWS, "1,2,3"), "line 13"),
    "longer.csv": (table(*ROWS, ROWS[0] + ",1"), "line 13"),
    "text-label.csv": (table(*ROWS, "cat" + ROWS[0][1:]), "line 13"),
    "text-pixel.csv": (table(*ROWS, ROWS[0][:-1] + "x"), "line 13"),
    "empty-cell.csv": (table(*ROWS, ROWS[0].replace(",1,", ",,", 1)), "line 13"),
    "fraction-label.csv": (table(HEAD, "0.5" + ROWS[0][1:], *ROWS), "line 2"),
    "negative-label.csv": (table(HEAD, "-1" + ROWS[0][1:], *ROWS), "line 2"),
    "negative.csv": (table(HEAD, ROWS[0].replace(",1,", ",-1,", 1)), "line 2"),
    "nan.csv": (table(HEAD, ROWS[0].replace(",1,", ",nan,", 1)), "line 2"),
    "infinite.csv": (table(HEAD, ROWS[0].replace(",1,", ",inf,", 1)), "line 2"),
    "header-only.csv": (table(HEAD), "line"),
    "middle.csv": (table(HEAD.replace("label,p0", "p0,label"), *ROWS), "column 2"),
    "blank-line.csv": (table(*ROWS, "", *ROWS), "line 13"),
    "classes.csv": (
        table(HEAD, *(f"{i}{ROWS[10][1:]}" for i in range(300))), "300",
    ),
    "cut.csv.gz": (lambda p: void(p.write_bytes(gzip.compress(b"1,2\n" * 999)[:-9])), "gzip"),
    "bomb.csv.gz": (lambda p: void(p.write_bytes(gzip.compress(BOMB))), "bomb.csv.gz"),
    # NumPy's files.
    "objects.npz": (arrays(images=np.array([{}, []], object), labels=LABELS[:2]), "images"),
    "slip.npz": (zipped("../../x_train.npy", npy((1, 1, 1), b"0")), "x_train"),
    "text.npz": (arrays(images=IMAGES, labels=np.array(["cat"] * 12)), "labels"),
    "counts.npz": (arrays(images=IMAGES, labels=LABELS[:5]), "5"),
    "negative.npz": (arrays(images=-IMAGES.astype(int), labels=LABELS), "images"),
    "nan.npz": (arrays(images=IMAGES * np.nan, labels=LABELS), "images"),
    "complex.npz": (arrays(images=IMAGES * 1j, labels=LABELS), "images"),
    "colours.npz": (arrays(images=np.ones((12, 5, 5, 3), np.uint8), labels=LABELS), "images"),
    "empty.npz": (arrays(images=IMAGES[:0], labels=LABELS[:0]), "images"),
    "unnamed.npz": (arrays(a=IMAGES, b=LABELS), "a, b"),
    "no-images.npz": (arrays(labels=LABELS), "labels"),
    "twice.npz": (arrays(images=IMAGES, x=IMAGES, labels=LABELS), "images and x"),
    "soft.npz": (arrays(images=IMAGES, labels=np.full((12, 3), 0.3)), "labels"),
    "sizes.npz": (
        arrays(x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:, 1:], y_test=LABELS), "size",
    ),
    "unknown-class.npz": (
        arrays(x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS + 5), "class 5",
    ),
    "2gb.npz": (zipped("images.npy", npy((1 << 11, 1 << 10, 1 << 10))), "images"),
    "claims.npz": (zipped("images.npy", npy((9, 9, 9), bytes(729)), (1 << 31) - 1), "npz"),
    "bomb.npz": (
        lambda p: zipped("images.npy", npy((200, 1024, 1024), BOMB))(p), "claim",
    ),
    "cut.npz": (lambda p: void(p.write_bytes(b"PK\x03\x04 and no more")), "cut.npz"),
    # IDX files.
    "idx-cut": (idx(RIGHT_IMAGES[:-1], RIGHT_LABELS), "images-idx3"),
    "idx-2gb": (idx(idx_header((1 << 11, 1 << 10, 1 << 10)), RIGHT_LABELS), "images-idx3"),
    "idx-bomb": (
        lambda p: idx(gzip.compress(idx_header((200, 1024, 1024)) + BOMB), RIGHT_LABELS)(p), "gzip",
    ),
    "idx-type": (idx(b"\0\0\x0a\3" + RIGHT_IMAGES[4:], RIGHT_LABELS), "first bytes"),
    "idx-counts": (idx(RIGHT_IMAGES, idx_header((3,)) + b"\0\1\2"), "3"),
    "idx-empty": (idx(idx_header((0, 5, 5)), RIGHT_LABELS), "empty"),
    # Pictures.
    "pics-sizes": (
        pictures(lambda f: (f / "0" / "zz.png").write_bytes(picture(9, 9))), "zz.png",
    ),
    "pics-none": (pictures(lambda f: (f / "1" / "a.png").write_text("no picture")), "a.png"),
    "pics-cut": (pictures(lambda f: (f / "1" / "a.png").write_bytes(picture(6, 5)[:50])), "a.png"),
    "pics-empty-class": (pictures(lambda f: (f / "7").mkdir()), "7"),
    "pics-one-class": (lambda f: write_pictures(f, ["0"]), "1 class folder"),
    "pics-loose": (pictures(lambda f: (f / "a.png").write_bytes(picture(6, 5))), "a.png"),
    "pics-nested": (pictures(lambda f: (f / "1" / "more").mkdir()), "more"),
    "pics-link": (pictures(lambda f: (f / "1" / "a.png").symlink_to("nowhere")), "a.png"),
}  # fmt: skip


def picture(height: int, width: int) -> bytes:
    from mlp_cli.data.pictures.reading import as_png

    return as_png(np.ones((height, width), np.uint8))


def test_a_broken_source_is_one_message_with_its_place_and_nothing_is_left(tmp_path: Path) -> None:
    for name, (write, _) in BROKEN.items():
        write(tmp_path / name)
    before = sorted(tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *BROKEN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    ends, megabytes = json.loads(done.stdout)
    assert len(ends) == len(BROKEN) > 40
    wrong = {}
    for (name, (_, place)), (code, out, err) in zip(BROKEN.items(), ends, strict=True):
        is_one = err.count("\n") == 1 and err.startswith("Error: ") and "Traceback" not in err
        if not (code == 3 and out == "" and is_one and name in err and place in err):
            wrong[name] = code, out, err
    assert json.dumps(wrong) == "{}"
    assert sorted(tmp_path.iterdir()) == before
    assert 20 < megabytes < 512
