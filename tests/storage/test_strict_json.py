"""Strict JSON: what is written can be read, and other text is refused with a reason."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlp_cli.storage.strict_json import from_json, to_json

TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = st.none() | st.booleans() | st.integers() | TEXT
SCALARS |= st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)
# Parts of JSON in any order: they are valid JSON more often than random characters are.
TOKENS = st.sampled_from(
    [
        *'[]{},:" \n-1',
        *('"a"', '"b"', '{"a":', "0.5", "1e999", "null", "true", "NaN", "Infinity"),
        *(r'"\ud800"', r'"\ud83d\ude00"', "\ud800", "\ufeff"),
    ]
)
TOKEN_TEXT = st.lists(TOKENS).map("".join)
TOKEN_BYTES = TOKEN_TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))


@given(VALUES, st.sampled_from([None, 2]))
def test_what_is_written_is_read_back(value: Any, indent: int | None) -> None:
    text = to_json(value, indent)
    for source in (text, text.encode()):
        found = from_json(source, max_depth=100)
        assert found == value
        assert to_json(found, indent) == text  # 1, 1.0 and true are equal, and written differently


@given(st.text() | st.binary() | TOKEN_TEXT | TOKEN_BYTES)
@example("[" * 1_000_000)
@example('{"a":' * 100_000)
@example("9" * 10_000)
def test_any_text_gives_a_value_or_is_refused(text: str | bytes) -> None:
    try:
        value = from_json(text)
    except ValueError as error:
        assert str(error)
        return
    assert from_json(to_json(value).encode()) == value


@given(st.lists(st.sampled_from(["[", '{"a": ']), max_size=30), st.integers(0, 30))
def test_the_depth_is_counted_exactly(opening: list[str], max_depth: int) -> None:
    closing = ["]" if bracket == "[" else "}" for bracket in reversed(opening)]
    text = "".join([*opening, "1", *closing])
    if len(opening) <= max_depth:
        assert from_json(text, max_depth=max_depth) == json.loads(text)
    else:
        with pytest.raises(ValueError, match=f"^it is nested more than {max_depth} deep$"):
            from_json(text, max_depth=max_depth)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"it is not valid JSON \(Expecting value: line 1, column 1\)"),
        ('{\n"a": 1,', r"it is not valid JSON \(.*: line 2, column \d+\)"),
        ("{'a': 1}", r"it is not valid JSON \(Expecting property name .*\)"),
        ("1 2", r"it is not valid JSON \(Extra data: line 1, column 3\)"),
        ('"a\nb"', r"it is not valid JSON \(Invalid control character .*\)"),
        ("\ufeff{}", r"it is not valid JSON \(Unexpected UTF-8 BOM .*\)"),
        ("[NaN]", "it holds a number that is not finite"),
        ('{"a": -Infinity}', "it holds a number that is not finite"),
        ("1e999", "it holds a number that is not finite"),
        ('{"a": 1, "b": 2, "a": 1}', "it holds the key 'a' twice"),
        ('[{"a": {"b": 1, "b": 1}}]', "it holds the key 'b' twice"),
        (f'{{"{"k" * 99}": 1, "{"k" * 99}": 1}}', f"it holds the key '{'k' * 40}' twice"),
        (r'{"\ud800": 1}', "it holds half of a surrogate pair"),
        (r'["\udc00\ud800"]', "it holds half of a surrogate pair"),
        ('"\ud800"', "it holds half of a surrogate pair"),
        (b'"\xff"', "it is not valid UTF-8"),
        (b'"\xed\xa0\x80"', "it is not valid UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "it is not valid UTF-8"),
        ("[" * 21 + "]" * 21, "it is nested more than 20 deep"),
        ("[" * 100_000 + "]" * 100_000, "it is nested more than 20 deep"),
        ("9" * 5000, "Exceeds the limit .*"),
    ],
)
def test_a_refusal_gives_the_reason(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        from_json(text)


def test_equal_keys_of_different_objects_are_allowed() -> None:
    assert from_json('{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}')["b"] == [{"a": 1}] * 2


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert from_json(r'"\ud83d\ude00"') == "😀"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        to_json({"loss": [number]})
