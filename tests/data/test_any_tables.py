"""CSV tables of any shape and spelling are read back, and any bytes are read or refused."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.proofs import Proof
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlp_cli.data.formats.collection import Answers
from mlp_cli.data.formats.table import read_table
from mlp_cli.errors import ConfigError, DataError


def read(path: Path, content: bytes, **answers: Any) -> tuple[Any, Any]:
    path.write_bytes(content)
    return read_table(path, Answers(**answers), lambda done, total: None)


@pytest.mark.proof("tables of any shape and spelling, read back")
def test_what_the_csv_module_writes_is_read_back(proof: Proof, tmp_path: Path) -> None:
    for seed in proof.trials(quick=150, long=10_000):
        random = np.random.default_rng(seed)
        rows, height, width = random.integers([1, 1, 4], [40, 9, 9])
        images = random.integers(0, 256, (rows, height, width))
        images[0, 0, 0] = 255
        labels = random.integers(0, 1000, rows)
        place = ["first", "last", "none"][random.integers(3)]
        columns = {"first": [labels, images], "last": [images, labels], "none": [images]}[place]
        cells = np.hstack([column.reshape(rows, -1) for column in columns]).tolist()
        if random.random() < 0.3:
            cells = [[float(cell) for cell in line] for line in cells]
        if header := random.random() < 0.5:
            cells.insert(0, [f"c{n}" for n in range(len(cells[0]))])
        text = io.StringIO()
        csv.writer(
            text,
            delimiter=",;\t"[random.integers(3)],
            lineterminator=["\n", "\r\n"][random.integers(2)],
            quoting=[csv.QUOTE_MINIMAL, csv.QUOTE_ALL][random.integers(2)],
        ).writerows(cells)
        content = text.getvalue().encode()
        content = gzip.compress(content, 1) if random.random() < 0.2 else content
        found, found_labels = read(
            tmp_path / "f", content, label_column=place, size=(int(height), int(width))
        )
        np.testing.assert_array_equal(found, images, f"seed {seed}, header {header}")
        if place != "none":
            np.testing.assert_array_equal(found_labels, labels)


# Bytes that look like a table reach further than others.
TEXTS = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet='0123456789,;.-e+"\t \r\n', max_size=200).map(str.encode),
    st.text(alphabet="01,\n", max_size=60).map(lambda text: b"0,1,0,1,0\n" + text.encode()),
)


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=TEXTS, packed=st.booleans())
def test_any_bytes_are_read_or_refused(content: bytes, packed: bool, tmp_path: Path) -> None:
    try:
        images, _ = read(tmp_path / "f", gzip.compress(content, 1) if packed else content)
    except (ConfigError, DataError) as error:
        assert str(tmp_path / "f") in str(error)
    else:
        assert (images.dtype, images.ndim) == (np.uint8, 3)
