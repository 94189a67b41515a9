"""The scripts of docs/export.md classify as the network does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.documents import DOCS, ROOT, blocks, first_column
from helpers.exports import compile_c, random_model
from helpers.stand_ins import idx

from mlp_cli.data.synthetic import draw_sample
from mlp_cli.inference.export.formats import FORMATS
from mlp_cli.inference.export.plain import plain_network

PAGE = DOCS / "export.md"
PYTHON, C = blocks(PAGE, "python"), blocks(PAGE, "c")


Mlp = Callable[..., subprocess.CompletedProcess[str]]


def classes_of_the_page(folder: Path, hidden: tuple[int, ...]) -> np.ndarray:
    """Make the run and the images that the page names; return the network's classes."""
    model = random_model(folder / "runs" / "mnist-1", hidden=hidden, shape=(28, 28))
    images = draw_sample(300)
    (folder / "data" / "mnist").mkdir(parents=True)
    (folder / "data" / "mnist" / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    classes = model.predict(images)
    assert len(set(classes)) > 3
    return classes


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors", ".npz"])
def test_a_script_classifies_as_the_network(
    suffix: str, mlp: Mlp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("torch", reason="needs PyTorch")
    for library in FORMATS[suffix].libraries:
        pytest.importorskip(library, reason=f"needs the extra `{FORMATS[suffix].extra}`")
    expected = classes_of_the_page(tmp_path, (512, 256))
    (script,) = [block for block in PYTHON if f"digits{suffix}" in block]
    assert mlp("export", "runs/mnist-1", f"digits{suffix}").returncode == 0
    names: dict[str, object] = {}
    monkeypatch.chdir(tmp_path)
    exec(script, names)
    np.testing.assert_array_equal(np.asarray(names["classes"]), expected)


def test_the_page_lists_what_a_file_says_about_its_network(tmp_path: Path) -> None:
    listed = re.findall(r"`(\w+)`", " ".join(first_column(PAGE, "metadata")))
    assert listed == list(plain_network(random_model(tmp_path / "run")).about)


def test_every_script_is_one_of_these() -> None:
    assert len(PYTHON) == 3


def test_the_c_program_classifies_as_the_network(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    expected = classes_of_the_page(tmp_path, (32, 16))
    program, declarations = C
    (commands,) = [block for block in blocks(PAGE, "sh") if "gcc" in block]
    (tmp_path / "classify.c").write_text(program)
    mlp = tmp_path / "mlp"
    mlp.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m mlp_cli "$@"\n')
    mlp.chmod(0o755)
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    name, *lines = done.stdout.splitlines()
    assert name == "digits.c"
    np.testing.assert_array_equal([int(line) for line in lines], expected)
    for declaration in declarations.splitlines():
        assert f"\n{declaration}\n" in (tmp_path / "digits.c").read_text()
    compile_c("-c", tmp_path / "classify.c", "-o", tmp_path / "classify.o")
