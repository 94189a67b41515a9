"""Hostile and mistaken configurations are refused by one message, with little time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase

import pytest
from helpers.proofs import Proof
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mlp_cli.config.describe import options
from mlp_cli.config.load import from_dict, load_config
from mlp_cli.config.schema import Config
from mlp_cli.errors import ConfigError

ROOT = Path(__file__).parents[2]
HUGE = "1" + 30 * "0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text("{}")
    return tmp_path / "c.yaml"


def outcome(path: Path, *changes: str) -> Config | str:
    """Return the configuration of a file and changes, or the message that refuses them."""
    try:
        return load_config(path, changes)
    except ConfigError as error:
        return str(error).replace(str(path), "c.yaml")


# The smallest and the largest allowed value of each key.
INTEGERS = {
    "seed": (0, 2**63 - 1),
    "data.validation": (0, 10**9),
    "training.epochs": (1, 10**6),
    "training.batch_size": (1, 10**6),
    "training.patience": (1, 10**6),
    "schedule.every": (1, 10**6),
}
# Values just outside and just inside the range of each key.
NUMBERS = {
    "model.negative_slope": (["-1e-9", "1", "-.01"], ["0", "0.2", "0.999"]),
    "optimizer.learning_rate": (["0", "-0.1", "1.1e38"], ["1e-300", "1e38", "1"]),
    "optimizer.weight_decay": (["-1e-9", "1000001"], ["0", "-0.0", "1000000"]),
    "optimizer.clip_norm": (["0", "1.1e38"], ["5e-324", "1e38"]),
    "optimizer.momentum": (["-1e-9", "1", "1.5"], ["0", "0.999"]),
    "optimizer.rho": (["-1e-9", "1"], ["0", "0.999"]),
    "optimizer.epsilon": (["0", "1e-31", "1.1"], ["1e-30", "1"]),
    "optimizer.beta1": (["-1e-9", "1"], ["0", "0.999"]),
    "optimizer.beta2": (["-1e-9", "1"], ["0", "0.999"]),
    "schedule.warmup": (["-1e-9", "1000001"], ["0", ".5", "9"]),
    "schedule.factor": (["0", "1.1"], ["1e-9", "1"]),
    "schedule.final": (["-1e-9", "1.1"], ["0", "1"]),
    "schedule.rise": (["0", "1"], ["1e-9", ".999"]),
    "schedule.start": (["0", "1.1"], ["1e-9", "1"]),
    "distortion.rotation": (["-1e-9", "181"], ["0", "180"]),
    "distortion.scale": (["-1e-9", "1"], ["0", "0.999"]),
    "distortion.shear": (["-1e-9", "1001"], ["0", "1000"]),
    "distortion.shift": (["-1e-9", "1001"], ["0", "1000"]),
    "distortion.ease": (["-1e-9", "1.1"], ["0", "1"]),
    "distortion.eased": (["-1e-9", "1.1"], ["0", "1"]),
    "regularisation.input_dropout": (["-1e-9", "1"], ["0", "0.999"]),
    "regularisation.input_noise": (["-1e-9", "1001"], ["0", "1000"]),
    "regularisation.noise": (["-1e-9", "1001"], ["0", "1000"]),
    "regularisation.dropout": (["-1e-9", "1"], ["0", "0.999"]),
    "regularisation.max_norm": (["0", "1.1e38"], ["1e-300", "1e38"]),
    "regularisation.label_smoothing": (["-1e-9", "1"], ["0", "0.999"]),
    "regularisation.average": (["0", "1.1e38"], ["1e-300", "1e38"]),
}
NAMES = {
    "data.dataset": "mnist",
    "data.scaling": "unit",
    "data.fallback": "synthetic",
    "model.activation": "relu",
    "model.init": "he_normal",
    "loss": "mse",
    "training.dtype": "float64",
    "optimizer.name": "adam",
    "schedule.name": "cosine",
}
BOOLEANS = ["data.download", "data.test", "model.batch_norm", "optimizer.nesterov"]
RANGES = ["distortion.elastic", "distortion.smoothness"]
NULLABLE = ["training.patience", "data.path", "data.fallback", "model.init"]
CHOSEN = {
    "model.negative_slope": "activation: leaky_relu",
    "optimizer.rho": "name: rmsprop",
    "optimizer.epsilon": "name: adamw",
    "optimizer.beta1": "name: adam",
    "optimizer.beta2": "name: adam",
    "schedule.every": "name: step",
    "schedule.factor": "name: exponential",
    "schedule.final": "name: cosine",
    "schedule.rise": "name: one_cycle",
    "schedule.start": "name: one_cycle",
}


def wrong_values() -> Iterator[tuple[str, str]]:
    everywhere = ["'1'", "no", "[1]", "{a: 1}", "12:30", "1_000", "true"]
    for key, (least, greatest) in INTEGERS.items():
        values = [*everywhere, "1.0", "1.5", ".nan", ".inf", "1e400", HUGE, "0b1", str(least - 1)]
        yield from ((key, value) for value in [*values, str(greatest + 1)])
    for key, (outside, _) in NUMBERS.items():
        values = [*everywhere, ".nan", "-.inf", "1e400", HUGE + "0000000000", "1e", *outside]
        yield from ((key, value) for value in values)
    for key, name in NAMES.items():
        values = [name.upper(), name + "x", "1", "true", "''", "os.system", f"[{name}]", "{a: 1}"]
        yield from ((key, value) for value in values)
    for key in BOOLEANS:
        yield from ((key, value) for value in ("0", "1", "yes", "off", "'true'", "[true]", "{}"))
    for key in (*INTEGERS, *NAMES, *BOOLEANS, "model.hidden"):
        if key not in NULLABLE and key.split(".")[0] not in ("optimizer", "schedule"):
            yield key, "null"
    yield from (("data.path", value) for value in ("1", "true", "''", "[a]", "{a: b}"))
    widths = ["0", "-1", "65537", "1.0", "true", "'9'", "[1]", "{a: 1}", "null", HUGE]
    yield from (("model.hidden", f"[8, {value}, 8]") for value in widths)
    yield from (("model.hidden", value) for value in ("512", "'512'", "{}", str([1] * 101)))
    ranges = ["3", "[1]", "[1, 2, 3]", "[2, 1]", "[-1, 2]", "['1', 2]", "[true, 2]", "[1, 1001]"]
    for key in RANGES:
        yield from ((key, value) for value in ranges)
    yield "distortion.smoothness", "[0, 1]"
    yield from ((key, "null") for key in RANGES)
    yield from ((section, "3") for section in ("data", "model", "optimizer", "schedule"))
    yield from ((section, "[]") for section in ("training", "optimizer"))


def at_line_four(key: str, value: str) -> str:
    """Return a configuration with a key in line 4, under a choice that allows the key."""
    *section, name = key.split(".")
    if not section:
        return f"# one\n\n\n{name}: {value}\n"
    return f"# one\n{section[0]}:\n  {CHOSEN.get(key, '# nothing')}\n  {name}: {value}\n"


@pytest.mark.proof("Y1 a wrong value, at every key")
def test_the_message_names_the_key_the_line_the_value_and_what_is_allowed(
    proof: Proof, path: Path
) -> None:
    rows = list(wrong_values())
    assert len(rows) > 350
    for key, value in proof.points(rows, quick=150):
        path.write_text(at_line_four(key, value))
        message = outcome(path)
        assert isinstance(message, str), (key, value)
        assert message.startswith(f"c.yaml:4: {key}"), (key, value, message)
        assert "found " in message and "; must be " in message, message
        assert "\n" not in message
        change = outcome(path.with_name("empty.yaml"), f"{key}={value}")
        assert isinstance(change, str)


def test_the_ends_of_every_range_are_allowed(path: Path) -> None:
    ends = {key: ([], [str(end) for end in both]) for key, both in INTEGERS.items()}
    for key, (_, inside) in {**ends, **NUMBERS}.items():
        for value in inside:
            path.write_text(at_line_four(key, value))
            assert isinstance(outcome(path), Config), (key, value)
    keys = {option.key for option in options()}
    assert keys == {*INTEGERS, *NUMBERS, *NAMES, *BOOLEANS, *RANGES, "data.path", "model.hidden"}


MISSPELT = [
    ("sed: 1", "seed"),
    ("SEED: 1", "seed"),
    ("trainig: {epochs: 3}", "training"),
    ("training: {epoch: 3}", "training.epochs"),
    ("training: {batchsize: 3}", "training.batch_size"),
    ("training: {batch-size: 3}", "training.batch_size"),
    ("epochs: 3", "training.epochs"),
    ("learning_rate: 3", "optimizer.learning_rate"),
    ("model: {layers: [3]}", "model.hidden"),
    ("model: {activations: relu}", "model.activation"),
    ("optimizer: {lr: 3}", "optimizer.learning_rate"),
    ("optimizer: {learningrate: 3}", "optimizer.learning_rate"),
    ("optimizer: {moment: 0.9}", "optimizer.momentum"),
    ("schedule: {warm_up: 1}", "schedule.warmup"),
    ("data: {validate: 1}", "data.validation"),
]


@pytest.mark.parametrize(("text", "meant"), MISSPELT)
def test_a_misspelt_key_is_answered_by_the_right_one(text: str, meant: str, path: Path) -> None:
    path.write_text(text)
    assert f"unknown key. Did you mean {meant}?" in str(outcome(path))


def test_one_message_lists_faults_of_every_kind(path: Path) -> None:
    path.write_text(
        "seed: -1\n"
        "optimizer:\n  name: sdg\n  weight_decay: -1\n  foo: 2\n  momentum: 2\n  beta1: 0.5\n"
        "schedule: {warmup: 20}\n"
        "training: {patience: 2, dtype: float16}\n"
        "data: {validation: 0}\n"
        "data: {}\n"
        "loss: !t mse\n"
    )
    assert str(outcome(path, "sed=3", "model.hidden")).splitlines() == [
        "c.yaml: 10 faults.",
        "  c.yaml:1: seed: found -1; must be an integer at least 0 and below 9223372036854775808.",
        "  c.yaml:3: optimizer.name: found sdg; must be one of sgd, rmsprop, adam, adamw. "
        "Did you mean sgd?",
        "  c.yaml:4: optimizer.weight_decay: found -1; must be a number at least 0 and at most "
        "1000000.",
        "  c.yaml:5: optimizer.foo: unknown key. `mlp config schema` lists all keys.",
        "  c.yaml:8: schedule.warmup: found 20.0 epochs, but training.epochs is 10. Choose fewer.",
        "  c.yaml:9: training.dtype: found float16; must be one of float32, float64. "
        "Did you mean float64?",
        "  c.yaml:11: data: given twice, first on line 10. Keep one.",
        "  c.yaml:12: loss: tags (!t) are not supported. Remove it.",
        "  --set sed=3: sed: unknown key. Did you mean seed?",
        "  --set model.hidden: not of the form KEY=VALUE, such as training.epochs=3.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "training: {epochs: *x}\nschedule: {warmup: 20}\n",
        "training: {epochs: x}\nschedule: {warmup: 20}\n",
        "training: 3\nschedule: {warmup: 20}\n",
        "data: {validation: -1}\ntraining: {patience: 3}\n",
        "optimizer: {name: x, nesterov: true}\n",
        "schedule: {warmup: 20}\ntraining: {epochs: 30\n",
    ],
)
def test_a_wrong_key_is_not_also_reported_as_a_conflict(text: str, path: Path) -> None:
    path.write_text(text)
    assert "\n" not in str(outcome(path))


# A value given by --set means the same as in a file.
CHANGES = [
    ("seed=1\n", {"seed": 1}),
    ("loss=mse # or not", {"loss": "mse"}),
    ("optimizer.learning_rate=0x10", {"learning_rate": 16.0}),
    ('loss="m\\x73e"', {"loss": "mse"}),
    ("data.path='/it''s = {a}: b'", {"path": "/it's = {a}: b"}),
    ("data.path=/日本 é", {"path": "/日本 é"}),
    ('data.path="/\\u00e9\\n/x"', {"path": "/é\n/x"}),
    ("data.path=/${HOME}/$(id)/`id`", {"path": "/${HOME}/$(id)/`id`"}),
    ("data.path=~", {"path": None}),
    ("seed=1\nloss: mse", "not readable as YAML"),
    ("seed=1\n---\nloss: mse", "a second document"),
    ("seed=1, loss: mse", "seed: found a mapping"),
    ("seed=}", "not readable as YAML"),
    ("seed='1", "not readable as YAML"),
    ("seed=\t1\tx", "tabs"),
    ("optimizer={name: adam, name: sgd}", "given twice"),
    ("model={<<: {hidden: [1]}}", "merge keys"),
    ("seed=&a 1", "anchors"),
    ("seed=*a", "aliases"),
    ("seed=!!python/object/apply:os.system [id]", "tags (!!python/object/apply:os.system)"),
    ("seed=!!int '1'", "tags (!!int)"),
    ("seed=\0", "U+0000"),
    ("seed=\udcff", "U+DCFF"),
    ("seed=\ud800", "U+D800"),
    ("seed=\x1b[2J", "U+001B"),
    ("seed=\u2028", "U+2028"),
    ("seed=[[[[[[[[[[[[[[[[[[[[[[[", "nested more than 20 levels deep"),
    ("__class__=1", "unknown key"),
    ("training.__class__.__init__=1", "training.__class__: unknown key"),
    ("seed =1", {"seed": 1}),
    ("sëed=1", "Did you mean seed?"),
    ("\ufeffseed=1", "not of the form"),
    ("se\ned=1", "not of the form"),
    ("\udcff=1", "not of the form"),
    ("seed.x=1", "seed: found a mapping"),
    ("training.epochs.x.y=1", "training.epochs: found a mapping"),
    ("model.hidden=[" + "9," * 17_000 + "]", "longer than 32768"),
    ("x" * 100_000 + "=1", "unknown key"),
    ("." * 1000 + "=1", "not of the form"),
    ("", "not of the form"),
    ("=", "not of the form"),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES, ids=range(len(CHANGES)))
def test_a_change_by_set_gives_its_value_or_a_message(
    change: str, expected: dict[str, object] | str, path: Path
) -> None:
    found = outcome(path, change)
    if isinstance(expected, str):
        assert isinstance(found, str)
        assert expected in found
        assert len(found) < 400
        return
    assert isinstance(found, Config), found
    data = found.to_dict()
    flat = {**data, **data["optimizer"], **data["data"]}
    assert {key: flat[key] for key in expected} == expected


# Files that are no configuration: a name, the content or code that makes the file, and words of the
# message.
BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}]\n" for last, name in pairwise(ascii_lowercase)
)
FILES: list[tuple[str, bytes | str, str]] = [
    ("duplicate keys", b"seed: 1\nseed: 1\n", "c.yaml:2: seed: given twice"),
    ("an alias", b"a: &x [1]\nb: *x\n", "anchors (&x) are not supported"),
    ("an alias bomb", BOMB.encode(), "26 faults"),
    ("merge keys", b"a: {<<: {b: 1}}\n", "merge keys"),
    ("tabs", b"training:\n\tepochs: 1\n", "spaces instead of tabs"),
    ("NUL", b"seed: \0\n", "U+0000"),
    ("UTF-16", "seed: 1\n".encode("utf-16"), "not UTF-8"),
    ("UTF-16 without a byte order mark", "seed: 1\n".encode("utf-16-le"), "U+0000"),
    ("UTF-32", "seed: 1\n".encode("utf-32"), "not UTF-8"),
    ("Latin-1", "data: {path: é}\n".encode("latin-1"), "not UTF-8 (byte 0xe9)"),
    ("empty", b"", "the file is empty"),
    ("only a byte order mark", b"\xef\xbb\xbf", "the file is empty"),
    ("only comments", b"# seed: 1\n", "the file is empty"),
    ("a list", b"- seed: 1\n", "not a mapping"),
    ("a number", b"3\n", "not a mapping"),
    ("two documents", b"seed: 1\n---\nseed: 2\n", "c.yaml:2: not readable as YAML: a second"),
    ("a call", b"seed: !!python/object/apply:os.system ['touch owned']\n", "tags (!!python"),
    ("a name", b"seed: !!python/name:os.system\n", "tags (!!python"),
    ("a binary", b"seed: !!binary aGk=\n", "tags (!!binary"),
    ("a target", b"model: {_target_: os.system}\n", "model._target_: unknown key"),
    ("2 MiB", b"# " + b"x" * 2**21, "larger than 32768 bytes"),
    ("2 MiB of keys", b"".join(b"a%d: 1\n" % i for i in range(200_000)), "larger than"),
    ("depth 10⁴ of lists", b"[" * 10_000, "nested more than 20 levels deep"),
    ("depth 10⁴ of mappings", b"{a: " * 8_000, "nested more than 20 levels deep"),
    ("depth 10⁴ of blocks", b"- " * 10_000, "nested more than 20 levels deep"),
    ("depth 10⁴ of keys", b"? " * 10_000, "a list or mapping is used as a key"),
    ("4,000 unknown keys", b"".join(b"k%d: 1\n" % i for i in range(3_500)), "3500 faults"),
    ("16,000 wrong widths", b"model: {hidden: [" + b"x," * 16_000 + b"]}", "16000 faults"),
    ("a long integer", b"seed: " + b"9" * 30_000, "seed: found 999"),
    ("1 GB, sparse", "file.touch(); os.truncate(file, 2**30)", "larger than 32768 bytes"),
    ("a FIFO", "os.mkfifo(file)", "nothing came through this pipe for 0.1 s"),
    ("a folder", "file.mkdir()", "a folder or device"),
    ("a device", "file.symlink_to('/dev/zero')", "a folder or device"),
    ("a link to itself", "file.symlink_to(file)", "no such file"),
    ("a link to nothing", "file.symlink_to('nowhere')", "no such file"),
    ("nothing", "None", "no such file"),
]
HOSTILE = """
import json, os, resource, sys, time
from contextlib import redirect_stderr
from io import StringIO
from mlp_cli.cli.main import main
import mlp_cli.config.load, mlp_cli.compute.machine
mlp_cli.config.reading.PATIENCE = 0.1
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
for folder in sys.argv[1:]:
    os.chdir(folder)
    before, started, stderr = peak(), time.process_time(), StringIO()
    try:
        with redirect_stderr(stderr):
            main(["train", "--config", "c.yaml"])
    except SystemExit as ended:
        code = ended.code
    seconds = time.process_time() - started
    print(json.dumps([code, seconds, peak() - before, stderr.getvalue(), os.listdir()]))
"""


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.proof("Y3 a file that is no configuration")
def test_hostile_files_are_refused_within_2_seconds_and_100_mb(
    proof: Proof, tmp_path: Path
) -> None:
    folders = []
    for number, (_, content, _) in enumerate(FILES):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        file = folders[-1] / "c.yaml"
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            exec(content, {"file": file, "os": os})
    lines = subprocess.run(
        [sys.executable, "-W", "error", "-c", HOSTILE, *folders],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.splitlines()
    named = list(zip(FILES, map(json.loads, lines), strict=True))
    for (name, _, words), (code, seconds, megabytes, message, left) in proof.points(
        named, len(FILES)
    ):
        assert code == 2, (name, message)
        assert words in message, (name, message)
        assert message.startswith("Error: "), name
        assert len(message) < 8_000, name
        assert seconds < 2, name  # CPU seconds; below 1 on an idle machine
        assert megabytes < 100, name
        assert left in (["c.yaml"], []), name


def test_a_file_with_a_byte_order_mark_and_crlf_is_read(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf# one\r\nseed: 7\r\nmodel:\r\n  hidden: [3]\r\n")
    found = outcome(path)
    assert isinstance(found, Config)
    assert (found.seed, found.model.hidden) == (7, (3,))
    path.write_bytes(b"\xef\xbb\xbfseed: 7\r\nmodle: 3\r\n")
    assert str(outcome(path)).startswith("c.yaml:2: modle: unknown key")


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
