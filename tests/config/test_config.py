"""Configurations: right ones load, and the message for a wrong one lists all faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlp_cli.config.describe import json_schema, options
from mlp_cli.config.load import differences, dump_config, from_dict, load_config
from mlp_cli.config.schema import Config
from mlp_cli.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text("{}")
    return tmp_path / "c.yaml"


def refusal(path: Path, text: str, *changes: str) -> str:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, changes)
    return str(caught.value).replace(str(path), "c.yaml")


def test_an_empty_mapping_gives_all_defaults(path: Path) -> None:
    config = load_config(path)
    assert config == Config()
    assert config.model.hidden == (512, 256)
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("sgd", 0.1)
    assert config.training.model_dump() == {
        "epochs": 10,
        "batch_size": 128,
        "dtype": "float32",
        "patience": None,
    }


def test_a_section_without_keys_gives_its_defaults(path: Path) -> None:
    path.write_text("model:\n  # hidden: [10]\nseed: 3\n")
    assert load_config(path).model == Config().model


def test_the_default_learning_rate_depends_on_the_optimizer(path: Path) -> None:
    for name in ("adam", "adamw", "rmsprop"):
        assert load_config(path, [f"optimizer.name={name}"]).optimizer.learning_rate == 0.001


def test_the_default_initialiser_depends_on_the_activation(path: Path) -> None:
    for activation, init in (
        ("relu", "he_normal"),
        ("scaled_tanh", "lecun_normal"),
        ("tanh", "glorot_uniform"),
    ):
        assert load_config(path, [f"model.activation={activation}"]).model.init == init


def test_changes_are_yaml_and_the_last_one_counts(path: Path) -> None:
    config = load_config(
        path,
        [
            "training.epochs=3",
            "training.epochs=4",
            "model.hidden=[30]",
            "optimizer={name: adam, beta1: .5}",
            "optimizer.learning_rate=1e-3",
            "data.path=a=b",
        ],
    )
    assert config.training.epochs == 4
    assert config.model.hidden == (30,)
    assert config.optimizer.model_dump()["beta1"] == 0.5
    assert config.optimizer.learning_rate == 0.001
    assert config.data.path == str(Path("a=b").absolute())


def test_momentum_is_cleared_by_null(path: Path) -> None:
    text = "optimizer: {name: sgd, momentum: 0.9}\n"
    message = refusal(path, text, "optimizer.name=adam")
    assert "--set optimizer.momentum=null" in message
    config = load_config(path, ["optimizer.name=adam", "optimizer.momentum=null"])
    assert config.optimizer.name == "adam"


# Mistakes: the text, the changes, and words of the message.
WRONG = [
    ("", [], "c.yaml: the file is empty. Write {} for all defaults."),
    ("- 1\n", [], "c.yaml:1: not a mapping"),
    ("3\n", [], "c.yaml:1: not a mapping"),
    ("modle: {}\n", [], "c.yaml:1: modle: unknown key. Did you mean model?"),
    (
        "\nmodel:\n  hiden: [3]\n",
        [],
        "c.yaml:3: model.hiden: unknown key. Did you mean model.hidden",
    ),
    ("hidden_layer: 3\n", [], "Did you mean model.hidden?"),
    ("lr: 0.1\n", [], "Did you mean optimizer.learning_rate?"),
    ("zzz: 1\n", [], "c.yaml:1: zzz: unknown key. `mlp config explain`"),
    ("seed: 1\nseed: 2\n", [], "c.yaml:2: seed: given twice"),
    ("seed: true\n", [], "seed: found true; must be an integer"),
    ("seed: -1\n", [], "seed: found -1; must be an integer at least 0"),
    ("training: {epochs: 3.0}\n", [], "found 3.0; must be an integer at least 1 and at most"),
    ("training: {epochs: 0}\n", [], "training.epochs: found 0"),
    ("training: 3\n", [], "training: found 3; must be a mapping"),
    (
        "optimizer: {learning_rate: '1e-3'}\n",
        [],
        "The quotes make it text. Write `learning_rate: 0.001`.",
    ),
    ("optimizer: {learning_rate: .nan}\n", [], "found .nan; must be a number above 0"),
    ("optimizer: {learning_rate: 1e400}\n", [], "found .inf; must be a number above 0"),
    ("optimizer: {learning_rate: no}\n", [], "found no; must be a number"),
    ("optimizer: {name: sdg}\n", [], "must be one of sgd, rmsprop, adam, adamw. Did you mean sgd?"),
    (
        "optimizer: {name: adam, momentum: 0.9}\n",
        [],
        "belongs to optimizer.name sgd, but the name is",
    ),
    ("optimizer: {nesterov: true}\n", [], "optimizer.nesterov: needs optimizer.momentum above 0"),
    ("model: {hidden: 512}\n", [], "model.hidden: found 512; must be a list of at most 100"),
    ("model: {hidden: [9, 0]}\n", [], "model.hidden.1: found 0; must be an integer at least 1"),
    ("model: {activation: os.system}\n", [], "must be one of relu, leaky_relu"),
    ("data: {fallback: mnist}\n", [], "data.fallback: found mnist; must be synthetic, or null"),
    ("schedule: {warmup: 10}\n", [], "schedule.warmup: found 10.0 epochs, but training.epochs is"),
    ("data: {validation: 0}\ntraining: {patience: 1}\n", [], "early stopping needs validation"),
    ("{}", ["seed"], "--set seed: not of the form KEY=VALUE"),
    ("{}", ["=3"], "--set =3: not of the form KEY=VALUE"),
    ("{}", ["a..b=3"], "not of the form KEY=VALUE"),
    ("{}", ["seed=[1"], "--set seed=[1: seed: not readable as YAML"),
    ("{}", ["seed="], "seed: found null; must be an integer"),
    ("{}", ["model.hidden.0=5"], "model.hidden: found a mapping"),
    ("{}", [".".join("a" * 50) + "=1"], "nested more than 20 levels deep"),
    ("{}", ["seed=*x"], "aliases"),
    ("{}", ["data.path=''"], "data.path: found ''; must be text"),
    ("{}", ["seed=1" + "0" * 30], "seed: found 1000000"),
]


@pytest.mark.parametrize(("text", "changes", "words"), WRONG)
def test_the_message_names_the_mistake_and_its_line(
    text: str, changes: list[str], words: str, path: Path
) -> None:
    assert words in refusal(path, text, *changes)


def test_one_message_lists_all_faults_in_the_order_of_the_lines(path: Path) -> None:
    message = refusal(
        path,
        "seed: x\ntraining: {epochs: 0, bach_size: 3}\nmodel: {hidden: [a]}\nloss: nll\na: *x\n",
        "data.test=3",
    )
    assert message.splitlines()[0] == "c.yaml: 7 faults."
    places = [line.split(": ")[0].strip() for line in message.splitlines()[1:]]
    lines = ["c.yaml:1", "c.yaml:2", "c.yaml:2", "c.yaml:3", "c.yaml:4", "c.yaml:5"]
    assert places == [*lines, "--set data.test=3"]


def test_a_message_shows_50_faults_and_counts_the_rest(path: Path) -> None:
    message = refusal(path, "".join(f"k{i}: 1\n" for i in range(200)))
    assert message.splitlines()[0] == "c.yaml: 200 faults."
    assert message.splitlines()[-1].strip() == "and 150 more."


def test_a_dumped_configuration_loads_as_the_same(path: Path) -> None:
    changes = ["optimizer.name=adamw", "optimizer.learning_rate=1e-5", "schedule.name=one_cycle"]
    config = load_config(path, [*changes, "data.path=no"])
    path.write_text(dump_config(config))
    assert load_config(path) == config
    assert from_dict(json.loads(json.dumps(config.to_dict())), "here") == config


def test_the_message_for_a_configuration_in_a_checkpoint_names_the_checkpoint() -> None:
    with pytest.raises(ConfigError, match=r"last.npz: seed: found -1"):
        from_dict({"seed": -1}, "last.npz")
    with pytest.raises(ConfigError, match=r"last.npz: not a mapping"):
        from_dict([1], "last.npz")


def test_differences_name_the_keys(path: Path) -> None:
    one = load_config(path)
    other = load_config(path, ["seed=1", "optimizer.name=adam", "model.hidden=[512]"])
    assert differences(one, other) == [
        "seed",
        "model.hidden",
        "optimizer.name",
        "optimizer.learning_rate",
    ]
    assert differences(one, one) == []


def test_the_schema_covers_every_option() -> None:
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["additionalProperties"] is False
    keys = [option.key for option in options()]
    assert len(keys) == len(set(keys))
    assert {key.split(".")[0] for key in keys} == set(schema["properties"])
    assert all(option.description and option.allowed for option in options())


keys = st.sampled_from([option.key for option in options()]) | st.text(max_size=12)
texts = st.sampled_from(["1", "0.5", "[1, 2]", "{a: 1}", "adam", "null", "true"]) | st.text(
    max_size=12
)


@pytest.mark.long
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(keys, texts).map("=".join) | st.text(max_size=12), max_size=4))
def test_any_changes_give_a_configuration_or_one_error(changes: list[str], path: Path) -> None:
    try:
        config = load_config(path, changes)
    except ConfigError:
        return
    assert from_dict(config.to_dict(), "again") == config
