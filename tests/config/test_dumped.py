"""What `dump` writes is read fast, and any other text is left to the strict parser."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlp_cli.config.dumped import ConfigReader, DumpReader
from mlp_cli.config.load import dump_config, load_config
from mlp_cli.config.schema import Config
from mlp_cli.config.shipped import shipped_configs
from mlp_cli.config.yaml12 import dump, parse
from mlp_cli.errors import ConfigError

relaxed = settings(suppress_health_check=[HealthCheck.too_slow])

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["no", "1e-3", "012", "~", "/data/my images", "a: b", "-", "---", "[", "#"]),
)
ENTRIES = st.dictionaries(
    st.sampled_from(["name", "seed", "null", "true", "x_1"]),
    st.one_of(VALUES, st.lists(VALUES, max_size=3)),
    max_size=3,
)


@pytest.mark.parametrize("name", [each.name for each in shipped_configs()])
def test_a_shipped_configuration_as_a_run_keeps_it_is_read_fast_and_the_same(name: str) -> None:
    config = load_config(name, warn=lambda _: None)
    assert Config.model_validate(DumpReader().read(dump_config(config))) == config


@relaxed
@given(st.dictionaries(st.sampled_from(["data", "loss", "seed"]), st.one_of(VALUES, ENTRIES)))
def test_what_is_read_fast_is_what_the_strict_parser_reads(data: dict[str, object]) -> None:
    found = DumpReader().read(dump(data))
    assert found is None or found == parse(dump(data)).value


LINES = st.sampled_from(
    ["a: 1", "  b: 2", "a:", "  b:", "  b: x", "b: [1, 2]", "b: [1,2]", "b: []", "  c: null", "",
     "a: 'x'", "a: x # y", "a : 1", "   b: 2", "null: 1", "a: -", "a: --- ", "---", "...", "a: .",
     "\ta: 1", "a: 1\r", "- a", "a: [x, ]", "b: +", "  b: 0x1f", "a: 1.2.3", "é: 1"]
)  # fmt: skip


@relaxed
@given(st.lists(LINES, max_size=5), st.sampled_from(["", "\n"]))
def test_any_other_text_is_left_to_the_strict_parser_or_read_as_it_does(
    lines: list[str], end: str
) -> None:
    text = "\n".join(lines) + end
    found, strict = DumpReader().read(text), parse(text)
    assert found is None or (found, []) == (strict.value, strict.faults)
    assert repr(found) in ("None", repr(strict.value))  # 1 and 1.0 and True are not the same


@pytest.mark.parametrize(
    "text",
    ["", "a: 1", "a: 1\na: 2\n", "a:\n  b: 1\n  b: 2\n", "a:\nb: 1\n", "a:\n", "  b: 1\n",
     "a: 1\n  b: 2\n", "a:\n  b:\n", "a: 1\n\nb: 2\n", "a: -\n", "a: 'x'\n", "a: [[1]]\n"],
)  # fmt: skip
def test_a_text_that_dump_does_not_write_is_left_to_the_strict_parser(text: str) -> None:
    assert DumpReader().read(text) is None


def test_one_reader_reads_several_texts_each_for_itself() -> None:
    reader = DumpReader()
    for text in ("a:\n  b: 1\n", "b:\n  b: 1\n", "  b: 1\n", "a: 2\n"):
        assert reader.read(text) == (None if text.startswith(" ") else parse(text).value)


def test_a_fault_is_reported_with_its_line_as_ever(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for text in ("seed: -1\n", "seed: 0\nmodel:\n  hiden: [3]\n", "seed: 'x\n"):
        file.write_text(text)
        with pytest.raises(ConfigError) as strict:
            load_config(file)
        with pytest.raises(ConfigError) as fast:
            ConfigReader().read(file)
        assert str(fast.value) == str(strict.value)
