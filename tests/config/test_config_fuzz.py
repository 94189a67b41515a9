"""Any bytes and any changes give a configuration, or one message that refuses them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.outcomes import outcome
from helpers.proofs import Proof
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mlp_cli.config.describe import options
from mlp_cli.config.load import from_dict
from mlp_cli.config.schema import Config


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text("{}")
    return tmp_path / "c.yaml"


WORDS = ["seed", "model", "hidden", "training", "epochs", "optimizer", "name", "adam", "schedule"]
SYMBOLS = [
    ": ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "!!x ",
    "~",
    "'",
    '"',
    "\\",
]
SYMBOLS += ["@", "`", ">", "# ", "---\n", "...\n", "\n", "\n  ", "1e-3", ".nan", "0x", "loss"]
ODD = ["|\n", "%YAML 1.2\n", "\t", "\r\n", "\0", "\ufeff", "\u2028", "\x85", "\x1b", "é", "😀"]
PIECES = st.sampled_from([*WORDS, *SYMBOLS, *ODD, "9" * 400, "[" * 25])
CONTENT = (
    st.lists(PIECES, max_size=30).map("".join).map(str.encode)
    | st.text(max_size=40).map(str.encode)
    | st.binary(max_size=60)
)
LENIENT = settings(
    max_examples=100,
    deadline=5_000,  # milliseconds
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.long
@pytest.mark.proof("Y3 any bytes for a file (100 a trial)")
def test_any_bytes_give_a_configuration_or_one_error(proof: Proof, path: Path) -> None:
    for number in proof.trials(quick=3, long=1_000):

        @LENIENT
        @seed(number)
        @given(content=CONTENT)
        def check(content: bytes) -> None:
            path.write_bytes(content)
            found = outcome(path)
            assert isinstance(found, Config) or found.startswith("c.yaml")

        check()


KEYS = st.sampled_from([option.key for option in options()]) | st.lists(PIECES, max_size=4).map(
    ".".join
)
VALUES = st.sampled_from(["1", "0.5", "[1, 2]", "{a: 1}", "adam", "cosine", "null", "true"])
TEXTS = VALUES | st.lists(PIECES, max_size=6).map("".join) | st.text(max_size=12)


@pytest.mark.long
@pytest.mark.proof("Y4 any changes by --set (100 a trial)")
def test_any_changes_give_a_configuration_or_one_error(proof: Proof, path: Path) -> None:
    for number in proof.trials(quick=3, long=1_000):

        @LENIENT
        @seed(number)
        @given(changes=st.lists(st.tuples(KEYS, TEXTS).map("=".join) | TEXTS, max_size=4))
        def check(changes: list[str]) -> None:
            found = outcome(path, *changes)
            if isinstance(found, Config):
                assert from_dict(found.to_dict(), "again") == found
            else:
                assert found.startswith(("--set", "c.yaml"))

        check()
