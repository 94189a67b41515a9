"""Mistaken configurations are refused by one message, which lists every fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.outcomes import outcome
from helpers.proofs import Proof

from mlp_cli.config.describe import options
from mlp_cli.config.schema import Config

HUGE = "1" + 30 * "0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text("{}")
    return tmp_path / "c.yaml"


# The smallest and the largest allowed value of each key.
INTEGERS = {
    "seed": (0, 2**63 - 1),
    "data.validation": (0, 10**9),
    "data.limit": (1, 10**9),
    "training.epochs": (1, 10**6),
    "training.batch_size": (1, 10**6),
    "training.patience": (1, 10**6),
    "schedule.every": (1, 10**6),
}
# Values just outside and just inside the range of each key.
NUMBERS = {
    "model.window": (["0.4", "-1", "1001"], ["0.5", "1000"]),
    "model.decoder": (["0", "-1", "1000001"], ["1e-9", "1000000"]),
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
    "distortion.thickness": (["-1e-9", "1"], ["0", "0.999"]),
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
BOOLEANS = [
    "logging.tensorboard", "data.consecutive", "data.download", "data.stratify", "data.test",
    "model.batch_norm", "model.clean_statistics", "optimizer.nesterov",
]  # fmt: skip
RANGES = ["distortion.elastic", "distortion.smoothness"]
NULLABLE = ["training.patience", "data.limit", "data.path", "data.fallback", "model.init"]
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
    views = ["[]", "raw", "null", "[raw, raw]", "[RAW]", "[0]", "[{}]", "[width-7]", "[width-29]"]
    yield from (("data.views", value) for value in views)
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
    lists = {*RANGES, "data.views", "model.hidden"}
    assert keys == {*INTEGERS, *NUMBERS, *NAMES, *BOOLEANS, *lists, "data.path"}


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
    ("data: {subset: 1}", "data.limit"),
    ("data: {n_train: 1}", "data.limit"),
    ("data: {stratified: true}", "data.stratify"),
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
        "Did you mean sgd? Write `name: sgd`.",
        "  c.yaml:4: optimizer.weight_decay: found -1; must be a number at least 0 and at most "
        "1000000.",
        "  c.yaml:5: optimizer.foo: unknown key. `mlp config explain` lists all keys.",
        "  c.yaml:8: schedule.warmup: found 20.0 epochs, but training.epochs is 10. Choose fewer.",
        "  c.yaml:9: training.dtype: found float16; must be one of float32, float64. "
        "Did you mean float64? Write `dtype: float64`.",
        "  c.yaml:11: data: given twice, first on line 10. Keep one.",
        "  c.yaml:12: loss: tags (!t) are not supported. Remove it.",
        "  --set sed=3: sed: unknown key. Did you mean seed? Write `--set seed=3`.",
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
