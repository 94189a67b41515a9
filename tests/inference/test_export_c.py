"""Networks as C: compiled without a warning, they give the network's own answers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.exports import KINDS, SHAPES, compile_c, compiled, name, random_model, run_c
from helpers.selection import few
from hypothesis import given
from hypothesis import strategies as st

from mlp_cli.inference.export.c_source import _array, comment
from mlp_cli.inference.export.checking import drawn_images
from mlp_cli.inference.export.formats import write_export


@pytest.mark.parametrize("kind", few([*KINDS, *SHAPES], 5), ids=name)
def test_c_gives_the_answers_of_the_network(kind: dict[str, object], tmp_path: Path) -> None:
    model = random_model(tmp_path / "run", **kind)
    write_export(model, tmp_path / "net.c", tmp_path)
    images = drawn_images(model.image_shape)
    library = compiled(tmp_path / "net.c")
    classes, probabilities = run_c(library, images, model.classes)
    np.testing.assert_array_equal(classes, model.predict(images))
    np.testing.assert_allclose(probabilities, model.predict_proba(images), rtol=0, atol=1e-5)


def test_the_file_needs_no_memory_but_constants_and_the_stack_it_states(tmp_path: Path) -> None:
    model = random_model(tmp_path / "run", hidden=[30, 40])
    write_export(model, tmp_path / "net.c", tmp_path)
    compile_c("-c", tmp_path / "net.c", "-o", tmp_path / "net.o", "-fstack-usage", "-fno-inline")
    text = (tmp_path / "net.c").read_text()
    constants, stack = (
        int(number.replace(",", ""))
        for number in re.search(r"has (\S+) bytes.*?about (\S+) bytes", text, re.DOTALL).groups()
    )
    assert constants == 4 * (132 * 30 + 30 * 40 + 40 * 10 + 80)
    used = re.findall(r"(\w+)\t(\d+)\tstatic", next(tmp_path.glob("*.su")).read_text())
    assert stack <= sum(int(size) for _, size in used) <= stack + 500
    sections = subprocess.run(
        ["size", "-A", tmp_path / "net.o"], capture_output=True, text=True, check=True
    ).stdout
    writable = re.findall(r"^\.(?:data|bss)\s+(\d+)", sections, re.MULTILINE)
    assert writable == ["0", "0"]


@given(st.text())
def test_no_text_leaves_a_comment(text: str) -> None:
    escaped = comment(text)
    assert escaped.isascii()
    assert escaped.isprintable() or not text
    assert not {"*", "?"} & set(escaped)


@pytest.mark.parametrize("text", ["*/ int main", "\n*/\n#error", "??/\n*/", "*\\\n/", "日本 ∗/*"])
def test_a_name_from_outside_stays_in_the_comment(text: str, tmp_path: Path) -> None:
    model = random_model(tmp_path / "run", hidden=[2], shape=(2, 2), data=f"/own/{text}")
    write_export(model, tmp_path / "net.c", tmp_path)
    compiled(tmp_path / "net.c", "-Wtrigraphs")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_number_is_written_exactly(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    written = re.findall(r"(\S+)f[,\n]", _array("mlp_weight", values))
    np.testing.assert_array_equal(np.array(written, np.float32), values)
    assert all(re.search(r"[.e]", number) for number in written)  # 1f is no number of C


def test_the_compiler_reads_the_smallest_and_largest_numbers(tmp_path: Path) -> None:
    limits = np.finfo(np.float32)
    values = np.array([limits.smallest_subnormal, limits.tiny, limits.max, -0.0, 1, 1e16, 1 / 3],
                      np.float32)  # fmt: skip
    source = tmp_path / "numbers.c"
    source.write_text(
        f"#include <stdio.h>\n{_array('numbers', values)}"
        "int main(void) { return fwrite(numbers, sizeof numbers, 1, stdout) != 1; }\n"
    )
    compile_c(source, "-o", tmp_path / "numbers")
    found = subprocess.run([tmp_path / "numbers"], capture_output=True, check=True).stdout
    assert found == values.tobytes()
