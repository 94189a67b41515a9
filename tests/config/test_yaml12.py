"""YAML 1.2: the meaning of scalars, what is refused, and that no text makes the reader fail."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlp_cli.config.reading import read
from mlp_cli.config.yaml12 import MAX_BYTES, REFUSED, dump, parse
from mlp_cli.errors import ConfigError

SCALARS = [
    ("1e-3", 0.001),
    ("1E3", 1000.0),
    ("1.0e3", 1000.0),
    ("1e+3", 1000.0),
    (".5", 0.5),
    ("5.", 5.0),
    ("+1.5", 1.5),
    ("-0", 0),
    ("012", 12),
    ("0o17", 15),
    ("0x1f", 31),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("null", None),
    ("~", None),
    ("", None),
    ("true", True),
    ("FALSE", False),
    ("no", "no"),
    ("off", "off"),
    ("y", "y"),
    ("12:30", "12:30"),
    ("1_000", "1_000"),
    ("0b101", "0b101"),
    ("2024-01-31", "2024-01-31"),
    ("1e", "1e"),
    (".", "."),
    ("'1e-3'", "1e-3"),
    ('"true"', "true"),
    ("tRUE", "tRUE"),
    ("Null", None),
    ("NULL", None),
    ("nULL", "nULL"),
    ("None", "None"),
    ("nil", "nil"),
    ("True", True),
    ("false", False),
    ("False", False),
    *((word, word) for word in ("Yes", "YES", "n", "N", "On", "ON", "OFF", "t", "T", "enabled")),
    ("0", 0),
    ("-0.0", -0.0),
    ("+4", 4),
    ("-3", -3),
    ("0o0", 0),
    ("0xFf", 255),
    ("08", 8),
    ("-012", -12),
    *((word, word) for word in ("0o8", "0xg", "-0x1f", "+0o7", "0X1F", "0O17", "0x", "1 2", "--1")),
    *(
        (word, word)
        for word in ("1,000", "1.000,5", "½", "²", "٣", "12:30:45", "1:2.5", "4e", "e3")
    ),
    *((word, word) for word in ("1.2.3", "1e3.5", "1e 3", "1e+", "+", "-.", "+.e3", "10%", "1f")),
    *((word, word) for word in ("inf", "nan", "-inf", "Infinity", "NaN", "+.nan", ".iNf", ".NAn")),
    *((word, word) for word in ("2024-01-31T10:00:00Z", "2024-01-31 10:00", "=", "<", "<<", "a#b")),
    ("1e5", 100_000.0),
    ("1E-5", 0.00001),
    ("+1e+5", 100_000.0),
    ("-.5e1", -5.0),
    ("01.50", 1.5),
    ("1e400", math.inf),
    ("-1e400", -math.inf),
    ("1e-400", 0.0),
    ("+.inf", math.inf),
    (".Inf", math.inf),
    ("9" * 300, int("9" * 300)),
    ("9" * 301, "9" * 301),
    ("0." + "1" * 400, 1 / 9),
    ("a b # comment", "a b"),
    ("'no'", "no"),
    ("'it''s'", "it's"),
    ('""', ""),
    ("''", ""),
    ('"~"', "~"),
    ('"012"', "012"),
    ('"1\\n2"', "1\n2"),
    ('"\\x41\\u00e9\\U0001F600"', "Aé😀"),
    ("|\n  a\n  b\n", "a\nb\n"),
    (">-\n  a\n  b\n", "a b"),
    ("a\n  b", "a b"),
]


@pytest.mark.parametrize(("text", "meaning"), SCALARS, ids=[text[:20] for text, _ in SCALARS])
def test_scalars_have_the_meaning_of_yaml_1_2(text: str, meaning: object) -> None:
    document = parse(f"key: {text}\n")
    assert document.faults == []
    assert document.value == {"key": meaning}
    assert type(document.value["key"]) is type(meaning)
    assert parse(text).value == meaning  # as after --set KEY=


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_nan_is_read_as_nan(text: str) -> None:
    assert math.isnan(parse(text).value)


def test_the_lines_of_keys_and_items_are_known() -> None:
    document = parse("a: 1\nb:\n  - 2\n  - c: 3\n")
    assert document.value == {"a": 1, "b": [2, {"c": 3}]}
    assert document.lines[("a",)] == 1
    assert document.lines[("b", 0)] == 3
    assert document.lines[("b", 1, "c")] == 4


REFUSALS = [
    ("a: 1\na: 2\n", 2, "given twice, first on line 1"),
    ("a: &x 1\n", 1, "anchors"),
    ("a: *x\n", 1, "aliases"),
    ("<<: {a: 1}\n", 1, "merge keys"),
    ("a: !!python/object:os.system 1\n", 1, r"tags \(!!python"),
    ("1: a\n", 1, "is not text"),
    ("? [a]\n: b\n", 1, "is used as a key"),
    ("a: 1\n---\nb: 2\n", 2, "second document"),
    ("a:\n\tb: 1\n", 2, "spaces instead of tabs"),
    ("a: [1\n", 2, "not readable as YAML"),
    ("a: \0\n", 1, r"U\+0000 is not allowed"),
    ('a: "\\0"\n', 1, "NUL"),
    ('a: "\\UFFFFFFFF"\n', 1, "is not a character"),
    ("[" * 30, 1, "nested more than 20 levels deep"),
    ("{a: " * 30, 1, "nested more than 20 levels deep"),
    ("a: " + "9" * MAX_BYTES, 1, "longer than"),
]


@pytest.mark.parametrize(("text", "line", "words"), REFUSALS)
def test_a_fault_has_its_line_and_reason(text: str, line: int, words: str) -> None:
    (fault,) = parse(text).faults
    assert fault.line == line
    assert re.search(words, fault.text)


def test_several_faults_are_found_and_the_rest_is_read() -> None:
    document = parse("a: *x\nb: 1\nb: 2\nc: [1, !t 2, 3]\n")
    assert [fault.line for fault in document.faults] == [1, 3, 4]
    assert document.value == {"b": 1, "c": [1, 3]}


def test_a_file_is_read_or_refused_by_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert parse(read(path)).value == {"a": 1, "b": 2}
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"c.yaml:2: not UTF-8 \(byte 0xff\)"):
        read(path)
    path.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read(path)
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="folder"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="a regular file or a pipe"):
        read(Path("/dev/null"))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zl", "Zp"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(value=st.dictionaries(st.sampled_from(["key", "no", "1e3x"]), values))
def test_a_dumped_value_is_read_back(value: object) -> None:
    document = parse(dump(value))
    assert document.faults == []
    assert document.value == value


@settings(max_examples=300)
@given(text=st.text(max_size=60) | st.text("ab:-[]{}&*!?|>'\"\\\n\t #%,<", max_size=30))
def test_any_text_gives_a_value_or_a_fault(text: str) -> None:
    document = parse(text)
    if document.value is REFUSED:
        assert document.faults
    assert all(fault.line >= 1 and fault.text for fault in document.faults)
