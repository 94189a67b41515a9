"""CSV tables of images: what people have is read, and what is wrong is said with its line."""

from __future__ import annotations

import gzip
import tracemalloc
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli.data.formats.collection import Answers
from mlp_cli.data.formats.table import read_table
from mlp_cli.errors import ConfigError, DataError

IMAGES = np.array([[[0, 1], [2, 255]], [[9, 0], [128, 3]], [[7, 7], [0, 0]]])
PLAIN = "0,1,2,255,5\n9,0,128,3,6\n7,7,0,0,5\n"
LABELLED = "label,a,b,c,d\n5,0,1,2,255\n6,9,0,128,3\n5,7,7,0,0\n"
CONSTANT_CORNER = "5,0,1,2,0\n6,0,0,128,0\n"  # so the last column is no label


def read(path: Path, text: str | bytes, **answers: Any) -> tuple[Any, Any]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path, Answers(**answers), lambda done, total: None)


SAME = {
    "Kaggle's header": LABELLED,
    "a quoted header": LABELLED.replace("label,a", '"Label","a"'),
    "quoted numbers": LABELLED.replace("128", '"128"'),
    "semicolons": LABELLED.replace(",", ";"),
    "tabs": LABELLED.replace(",", "\t"),
    "blanks": LABELLED.replace(",", " , "),
    "CRLF": LABELLED.replace("\n", "\r\n"),
    "no line feed at the end": LABELLED.rstrip(),
    "empty lines at the end": LABELLED + "\r\n\n",
    "a byte order mark": "\ufeff" + LABELLED,
    "decimals": LABELLED.replace("128", "128.0").replace("255", "2.55e2"),
    "gzip": gzip.compress(LABELLED.encode()),
    "the label last": "a,b,c,d,class\n" + PLAIN,
    "a header in capitals": "A,B,C,D,TARGET\n" + PLAIN,
}


@pytest.mark.parametrize("kind", SAME)
def test_a_table_is_read_in_all_its_spellings(kind: str, tmp_path: Path) -> None:
    images, labels = read(tmp_path / "f", SAME[kind])
    np.testing.assert_array_equal(images, IMAGES)
    assert (images.dtype, labels.tolist()) == (np.uint8, [5, 6, 5])
    assert images.flags.c_contiguous


def test_without_a_header_the_column_that_can_be_a_label_is_it(tmp_path: Path) -> None:
    images, labels = read(tmp_path / "f", CONSTANT_CORNER.replace("2,0", "255,0"))
    assert (images[0].tolist(), labels.tolist()) == ([[0, 1], [255, 0]], [5, 6])
    decimals = "0.5,0,1,1,3\n0.25,0,1,0,4\n"
    images, labels = read(tmp_path / "f", decimals)
    assert (images[0].tolist(), labels.tolist()) == ([[128, 0], [255, 255]], [3, 4])


def test_more_different_numbers_than_classes_are_no_label(tmp_path: Path) -> None:
    lines = (f"{n / 300},0,0,1,{n % 3}" for n in range(300))
    assert read(tmp_path / "f", "\n".join(lines))[1].tolist() == [n % 3 for n in range(300)]
    lines = (f"{n},0,0,1,{n % 3}" for n in range(300))
    images, labels = read(tmp_path / "f", "\n".join(lines), white=300)
    assert (labels[:4].tolist(), images[100, 0, 0]) == ([0, 1, 2, 0], 85)


@pytest.mark.parametrize("place", ["first", "last"])
def test_an_option_says_which_column_is_the_label(place: Any, tmp_path: Path) -> None:
    _, labels = read(tmp_path / "f", PLAIN, label_column=place)
    assert labels.tolist() == ([0, 9, 7] if place == "first" else [5, 6, 5])


def test_a_square_number_of_columns_has_no_label(tmp_path: Path) -> None:
    for text in ("0,1,2,255\n9,0,128,3\n7,7,0,0\n", "a,b,c,d\n0,1,2,255\n9,0,128,3\n7,7,0,0\n"):
        images, labels = read(tmp_path / "f", text)
        np.testing.assert_array_equal(images, IMAGES)
        assert labels is None


def test_an_option_gives_the_size_of_the_images(tmp_path: Path) -> None:
    text = "label,1,2,3,4,5,6\n1,0,1,2,3,4,255\n"
    images, labels = read(tmp_path / "f", text, size=(2, 3))
    assert (images.tolist(), labels.tolist()) == ([[[0, 1, 2], [3, 4, 255]]], [1])
    images, labels = read(tmp_path / "f", "0,1,2,3,4,255\n", size=(3, 2))
    assert (images.tolist(), labels) == ([[[0, 1], [2, 3], [4, 255]]], None)


@pytest.mark.parametrize(
    "names",
    [[str(n) for n in range(785)], ["5", "0", *(f"0.{n}" for n in range(1, 784))]],
    ids=["counted", "an image that pandas took for names"],
)
def test_a_header_of_numbers_is_no_image(names: list[str], tmp_path: Path) -> None:
    rows = [["3", *["0"] * 784], ["1", *["255"] * 783, "0"]]
    _, labels = read(tmp_path / "f", "\n".join(map(",".join, [names, *rows])))
    assert labels.tolist() == [3, 1]


def test_numbers_that_turn_out_to_be_on_another_scale_are_read_again(tmp_path: Path) -> None:
    lines = ["1" + ",0" * 784] * 3000 + ["2" + ",200" * 784]  # of more than one piece
    images, _ = read(tmp_path / "f", "\n".join(lines), label_column="first")
    assert (images[:-1].max(), set(images[-1].flat)) == (0, {200})
    shares = ["1" + ",1" * 784] * 3000 + ["2" + ",0.5" * 784]
    images, _ = read(tmp_path / "f", "\n".join(shares), label_column="first")
    assert (images[:-1].min(), set(images[-1].flat)) == (255, {128})


def test_the_progress_counts_the_images(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("\n".join(["3" + ",0" * 784] * 2999 + ["4" + ",1" * 784]))
    told: list[tuple[int, int]] = []
    answers = Answers(label_column="first")
    read_table(tmp_path / "f", answers, lambda done, total: told.append((done, total)))
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == (3000, 3000)


@pytest.mark.serial
def test_a_table_takes_the_memory_of_its_bytes_and_of_a_piece(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("\n".join(["3" + ",250" * 784] * 8000))
    tracemalloc.start()
    try:
        images, _ = read_table(tmp_path / "f", Answers(label_column="first"), lambda *_: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < images.size + 15e6  # the text has 25 MB, and its numbers take 50


ASKED: dict[str, tuple[str, dict[str, Any], str]] = {
    "both ends may be labels": (PLAIN, {}, "5 columns.*--label-column first, last or none"),
    "no end may be a label": ("0.5,1,2,255,0.5\n", {}, "--label-column"),
    "a single line": ("5,1,2,255,7\n", {}, "--label-column"),
    "no square number": ("label,a,b,c\n1,0,1,255\n", {}, "3 pixels are no square.*--size"),
    "white": ("label,a,b,c,d\n1,0,1,9,16\n", {}, "largest value is 16.*--white 16"),
    "white of decimals": ("label,a,b,c,d\n1,0,1,9,1.5\n", {}, "largest value is 9.*--white 9"),
}


@pytest.mark.parametrize("kind", ASKED)
def test_what_a_table_leaves_open_is_asked_for(kind: str, tmp_path: Path) -> None:
    text, answers, words = ASKED[kind]
    with pytest.raises(ConfigError, match=words) as caught:
        read(tmp_path / "f.csv", text, **answers)
    assert str(caught.value).startswith(f"{tmp_path / 'f.csv'}: ")
    assert "mlp data import" in str(caught.value)


BROKEN: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "a short line": (
        LABELLED + "5,1,2\n",
        {},
        "line 5: it has 3 columns, but the first line has 5",
    ),
    "a long line": (PLAIN + "5,1,2,3,4,5\n", {}, "line 4: it has 6 columns"),
    "an empty cell": (LABELLED + "5,1,,3,4\n", {}, "line 5, column 3: the cell is empty"),
    "an empty cell in line 1": ("5,1,,3,4\n", {}, "line 1, column 3: the cell is empty"),
    "an empty line": (PLAIN + "\n" + PLAIN, {}, "line 4: the line is empty"),
    "millions of empty lines": (PLAIN + "\n" * (3 << 20) + PLAIN, {}, "more than 1,048,576 empty"),
    "an empty first line": ("\n" + PLAIN, {}, "the first line is empty"),
    "text": (PLAIN + "5,1,x\x1b,3,4\n", {}, r"line 4, column 3: 'x\\\\x1b' is no number"),
    "text labels": (LABELLED + "cat,1,2,3,4\n", {}, "line 5, column 1: 'cat'.*a folder for each"),
    "a text label in line 1": ("cat,0,0,3,4\n", {}, "line 1, column 1: 'cat' is no number"),
    "decimal commas": (LABELLED.replace(",", ";") + "5;1;0,5;3;4\n", {}, "'0,5'.*with a point"),
    "an unclosed quotation mark": (LABELLED + '5,1,"2,3,4\n', {}, "lines 2 to 5"),
    "a negative value": (LABELLED + "5,1,2,-3,4\n", {}, "line 5, column 4: -3 is no grey value"),
    "a negative value last": (LABELLED + "5,1,2,3,-4\n", {}, "line 5, column 5: -4 is no grey"),
    "NaN": (LABELLED + "5,1,2,nan,4\n", {}, "line 5, column 4: nan is no grey value"),
    "infinite": (LABELLED + "5,1,2,1e999,4\n", {}, "line 5, column 4: inf is no grey value"),
    "a decimal label": (LABELLED + "1.5,1,2,3,4\n", {}, "line 5: the label 1.5 is not a whole"),
    "a negative label": (LABELLED + "-1,1,2,3,4\n", {}, "line 5: the label -1 is not a whole"),
    "above the given white": (LABELLED, {"white": 16}, "is 255, but white is 16"),
    "another size": (LABELLED, {"size": (3, 3)}, "4 pixels are not 3×3"),
    "the label within": ("a,label,b,c,d\n1,2,3,4,5\n", {}, "line 1: the label is column 2"),
    "two labels": ("y,a,b,c,label\n1,2,3,4,5\n", {}, "line 1: the label is column 1 and 5"),
    "only a header": ("label,a,b,c,d\n", {}, "only a header"),
    "no byte": ("", {}, "first line is empty"),
    "no table": ("hello\nworld\n", {}, r"line 1: 'hello' has too few columns .*\(1\)"),
    "UTF-16": (LABELLED.encode("utf-16"), {}, "UTF-16"),
    "not text": (b"1,2,3,\x00,4\n", {}, "not text"),
    "a line without an end": (b"0," * (1 << 22), {}, "longer than 4 MiB"),
    "a cut gzip file": (gzip.compress(LABELLED.encode())[:-9], {}, "damaged gzip file"),
    "a changed gzip file": (gzip.compress(LABELLED.encode())[:-8] + bytes(8), {}, "damaged gzip"),
    "a gzip bomb": (gzip.compress(b"0,0,0,0\n" * (9 << 20), 1), {}, "unpacks to more than 67,108"),
    "a wide line and many short ones": (
        b"0," * 10**6 + b"1\n" + b"1\n" * 10**6,
        {},
        "line 2: it has 1 ",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_table_is_refused_with_file_and_line(kind: str, tmp_path: Path) -> None:
    text, answers, words = BROKEN[kind]
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path / "f.csv", text, **answers)
    assert str(tmp_path / "f.csv") in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_fault_in_a_late_piece_has_its_line(tmp_path: Path) -> None:
    lines = ["label" + "".join(f",p{n}" for n in range(784))] + ["3" + ",0" * 784] * 3000
    lines[2500] = "3" + ",0" * 783 + ",-7"
    with pytest.raises(DataError, match="line 2501, column 785: -7"):
        read(tmp_path / "f", "\n".join(lines))
    lines[2500] = "3" + ",0" * 783
    with pytest.raises(DataError, match="line 2501: it has 784 columns"):
        read(tmp_path / "f", "\n".join(lines))


def test_the_digits_of_scikit_learn_are_read(tmp_path: Path) -> None:
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        pytest.skip("needs scikit-learn, which holds the digits")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with pytest.raises(ConfigError, match=r"largest value is 16.*--white 16"):
        read(tmp_path / "f", path.read_bytes())
    images, labels = read(tmp_path / "f", path.read_bytes(), white=16)
    numbers = np.loadtxt(gzip.decompress(path.read_bytes()).decode().splitlines(), delimiter=",")
    assert images.shape == (1797, 8, 8)
    np.testing.assert_array_equal(labels, numbers[:, -1])
    np.testing.assert_array_equal(images, np.rint(numbers[:, :-1] * 255 / 16).reshape(-1, 8, 8))
