"""Checkpoints of earlier releases load, and each altered one is accepted or refused as listed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.make import FOLDER, probes, write_data
from helpers.craft import described, npy, opened, raw_npy, sealed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlp_cli.compute.engine import numpy_engine
from mlp_cli.data.dataset import load_dataset
from mlp_cli.errors import CheckpointError
from mlp_cli.inference.model import Model, trained_by
from mlp_cli.runs.resume import environment_warnings, restore
from mlp_cli.storage.checkpoint import load_checkpoint
from mlp_cli.training.build import build_trainer
from mlp_cli.training.trainer import Trainer

EXPECTED = json.loads((FOLDER / "expected.json").read_text())
SUBJECT = FOLDER / "hidden-adam-float32-last.npz"


def test_no_golden_file_is_missing() -> None:
    assert {path.name for path in FOLDER.glob("*.npz")} == set(EXPECTED)
    assert len(EXPECTED) == 8


@pytest.mark.parametrize("name", EXPECTED)
def test_a_golden_file_loads_and_gives_its_recorded_predictions(name: str) -> None:
    checkpoint = load_checkpoint(FOLDER / name)
    arrays, header = opened(FOLDER / name)
    assert checkpoint.header == header
    assert set(checkpoint.arrays) == set(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(checkpoint.arrays[key], array)
        assert checkpoint.arrays[key].dtype == array.dtype
    with np.load(FOLDER / name) as archive:
        assert str(archive["digest"]) == EXPECTED[name]["digest"]
    model = Model(checkpoint)
    assert model.predict(probes()).tolist() == EXPECTED[name]["predictions"]
    np.testing.assert_allclose(
        model.predict_proba(probes()), EXPECTED[name]["probabilities"], atol=2e-5
    )


def resumed(path: Path, folder: Path, origin: Path | None = None) -> tuple[Trainer, list[str]]:
    """Return a trainer resumed with the configuration of `origin`, and the warnings."""
    write_data(folder)
    config = trained_by(load_checkpoint(origin or path))
    data = config.data.model_copy(update={"path": str(folder)})
    dataset = load_dataset(config.model_copy(update={"data": data}), folder)
    trainer = build_trainer(config, dataset, numpy_engine())
    trainer.plan = replace(trainer.plan, epochs=4)
    checkpoint = load_checkpoint(path)
    restore(trainer, checkpoint, config)
    return trainer, environment_warnings(
        checkpoint, load_checkpoint(origin or path).header["environment"]
    )


@pytest.mark.parametrize("name", [name for name in EXPECTED if "last" in name])
def test_a_golden_file_can_be_resumed(name: str, tmp_path: Path) -> None:
    trainer, warnings = resumed(FOLDER / name, tmp_path)
    assert not warnings
    before = trainer.network.parameters.copy()
    metrics = trainer.train_epoch(lambda loss: False)
    assert metrics is not None
    assert (metrics.epoch, metrics.step) == (4, 12)
    assert not np.array_equal(before, trainer.network.parameters)


Alteration = Callable[[dict[str, np.ndarray], dict[str, Any]], bytes]
REMOVED = object()


def array(name: str, change: Callable[[np.ndarray], Any]) -> Alteration:
    """Change, add or remove an array, with a digest that matches."""

    def alter(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> bytes:
        changed = change(arrays.get(name, np.zeros(3, np.float32)))
        kept = {key: value for key, value in arrays.items() if key != name}
        return sealed(kept if changed is REMOVED else kept | {name: changed}, header)

    return alter


def header(key: str, value: object) -> Alteration:
    """Change, add or remove a key of the header, with a digest that matches."""

    def alter(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> bytes:
        *sections, last = key.split(".")
        section = header
        for name in sections:
            section = section[name]
        section[last] = value
        if value is REMOVED:
            del section[last]
        return sealed(arrays, header)

    return alter


def text(text: str) -> Alteration:
    """Replace the header by a text, with a digest that matches."""
    return lambda arrays, header: sealed(arrays, text)


def member(name: str, make: Callable[[np.ndarray], bytes]) -> Alteration:
    """Replace the bytes of an array, with the digest of the original array."""
    return lambda arrays, header: sealed(arrays, header, {name: make(arrays.get(name, ANY))})


def content(change: Callable[[bytes], bytes]) -> Alteration:
    """Change the file's bytes."""
    return lambda arrays, header: change(SUBJECT.read_bytes())


def element(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Change one element."""

    def change(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed.reshape(-1)[0] = value
        return changed

    return change


def compressed(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


ANY = np.zeros(3, np.float32)
FIRST, LAST, MIDDLE, BIAS = "layers.0.weight", "layers.2.bias", "layers.1.weight", "layers.1.bias"
DIRECTORY = "its directory does not match its members"
UNSUPPORTED = "'layers.1.bias' has the unsupported header"
DIGEST = "its digest does not match its content"
DAMAGED = "damaged or no checkpoint of mlp: "
FORMAT = "checkpoint format .*, but this release reads 1"
STATE = "its state has {} = .*, not .*"
POSITION = "is impossible with batch size 16 and 48 images"
SHAPE = r"its data.image_shape is .*, not \[height, width\]"
FINITE = "holds text, or values that are not finite"

# By a name: how a checkpoint is altered, and the results of using its network and of resuming its
# training. A result is None if nothing changes, or words of the error.
ALTERED: dict[str, tuple[Alteration, str | None, str | None]] = {
    "rebuilt": (sealed, None, None),
    "another order": (lambda a, h: sealed(dict(reversed(a.items())), h), None, None),
    "another date and checksum": (content(lambda c: c[:10] + b"12345678" + c[18:]), None, None),
    "bytes before": (content(lambda c: b"#!/bin/sh\n" + c), *[DAMAGED] * 2),
    "bytes after": (content(lambda c: c + b"\0"), *[DIRECTORY] * 2),
    "a comment": (content(lambda c: c[:-2] + b"\1\0!"), *[DIRECTORY] * 2),
    "a directory of another kind": (
        content(lambda c: c.replace(b"PK\1\2", b"PK\1\3", 1)), *[DIRECTORY] * 2
    ),
    "a length of a comment": (content(lambda c: c[:-2] + b"\1\0"), *[DIRECTORY] * 2),
    "compressed": (compressed, *["it is compressed"] * 2),
    # Arrays.
    "another weight": (member(FIRST, lambda w: npy(w + 1)), *[DIGEST] * 2),
    "transposed": (member(MIDDLE, lambda w: npy(w.T.copy().reshape(w.shape))), *[DIGEST] * 2),
    "Fortran's order": (
        member(MIDDLE, lambda w: npy(np.asfortranarray(w))),
        *["'layers.1.weight' has the unsupported header .*'fortran_order': True"] * 2,
    ),
    "complex": (array(BIAS, lambda b: b * 1j), *[f"{UNSUPPORTED} .*<c"] * 2),
    "integers": (array(BIAS, lambda b: b.astype(int)), *[UNSUPPORTED] * 2),
    "half precision": (array(BIAS, lambda b: b.astype("f2")), *[UNSUPPORTED] * 2),
    "big-endian": (
        array(BIAS, lambda b: b.astype(">f4")),
        *[r"layers.1.bias has shape \(4,\), type >f4; .* needs \(4,\), type float32"] * 2,
    ),
    "double precision": (
        array(BIAS, lambda b: b.astype(float)),
        *[r"layers.1.bias has shape \(4,\), type float64; .* needs \(4,\), type float32"] * 2,
    ),
    "texts": (array(BIAS, lambda b: np.array(["1", "2"])), *["layers.1.bias " + FINITE] * 2),
    "another shape": (
        array(MIDDLE, lambda w: w.T.copy()),
        *[r"layers.1.weight has shape \(5, 4\), type float32; .* needs \(4, 5\)"] * 2,
    ),
    "an array missing": (array(LAST, lambda b: REMOVED), *[r"2.bias is missing; .* \(3,\)"] * 2),
    "an array more": (
        array("layers.3.bias", lambda b: b),
        *[r"it holds \['layers.3.bias'\], which have no place in its configuration"] * 2,
    ),
    "a slot missing": (
        array("optimizer.square", lambda s: REMOVED), None, "optimizer.square is missing"
    ),
    "a slot more": (
        array("optimizer.velocity", lambda s: s),
        None,
        r"it holds \['optimizer.velocity'\], which have no place in its configuration",
    ),
    "a slot shorter": (
        array("optimizer.mean", lambda s: s[1:]), None, r"shape \(143,\).* needs \(144,\)"
    ),
    "std of 3 pixels": (
        array("input.std", lambda s: np.ones(3, "f4")),
        r"input.std has shape \(3,\), type float32; .* needs \(20,\)",
        None,
    ),
    "std of 0": (
        array("input.std", np.zeros_like), "its input.std is 0.0, not above 0", None
    ),
    **{
        f"{value} in {name}": (array(name, element(value)), *[f"{name} {FINITE}"] * 2)
        for value in (np.nan, np.inf, -np.inf)
        for name in (FIRST, LAST, "input.mean", "optimizer.square")
    },
    # The format.
    **{
        f"format {value!r:.20}": (header("format", value), *[FORMAT] * 2)
        for value in (REMOVED, 0, 2, "1", "2.0", 1.0, True, None, [1], "\x1b[31m", 10**300)
    },
    "more in the header": (header("comment", {"by": ["me"]}), None, None),
    # The state.
    "a later field": (header("state.rate", 0.1), None, "its state holds 'rate', unknown here"),
    "a field less": (header("state.best_loss", REMOVED), None, "its state is missing best_loss"),
    "no state": (header("state", REMOVED), None, "its state is None, not a mapping"),
    **{
        f"{field} {value!r}": (header(f"state.{field}", value), None, STATE.format(field))
        for field, value in (
            ("epoch", "3"), ("position", -16), ("step", 9.0), ("seconds", True), ("samples", None),
            ("best_epoch", []), ("loss_sum", 10**30), ("correct", {}),
        )
    },
    **{
        f"{field} {value!r}": (header(f"state.{field}", value), None, POSITION)
        for field, value in (("epoch", 2), ("step", 10), ("position", 7), ("position", 48))
    },
    "an epoch not closed": (
        header("state", opened(SUBJECT)[1]["state"] | {"position": 48, "step": 12}), None, None
    ),
    "no environment": (header("environment", REMOVED), None, ": its header holds no environment"),
    # The configuration.
    "a default left out": (header("config.optimizer.beta1", REMOVED), None, None),
    "no configuration": (header("config", REMOVED), *["its configuration: not a mapping"] * 2),
    "a later key": (header("config.optimizer.magic", 3), *["optimizer.magic: unknown key"] * 2),
    "a later choice": (header("config.loss", "hinge"), *["found hinge; must be one of"] * 2),
    "another precision": (
        header("config.training.dtype", "float64"),
        "type float32; its configuration needs .* type float64",
        "differs from the run's in training.dtype",
    ),
    "another layer": (
        header("config.model.hidden", [5, 7]),
        r"layers.1.weight has shape \(4, 5\), .*needs \(7, 5\)",
        "differs from the run's in model.hidden",
    ),
    "enormous layers": (
        header("config.model.hidden", [65536] * 100),
        r"layers.0.weight has shape \(5, 20\).*needs \(65536, 20\)",
        "differs from the run's in model.hidden",
    ),
    "another seed": (header("config.seed", 1), None, "differs from the run's in seed"),
    # The data.
    "no data": (header("data", REMOVED), "its data is None, not a mapping", None),
    "a name less": (header("data.name", REMOVED), "its data is missing name", None),
    "a name of 3": (header("data.name", 3), "its data has name = 3, not str", None),
    "1000 classes": (header("data.classes", 1000), "its data.classes is 1000, not", None),
    "4 classes": (header("data.classes", 4), r"has shape \(3, 4\).* needs \(4, 4\)", None),
    **{
        f"images of {sides}": (header("data.image_shape", sides), SHAPE, None)
        for sides in ([20], [4.0, 5.0], ["4", "5"], [0, 0], [-4, -5], [True, 20], [[4], 5])
    },
    # The header as a text.
    **{
        name: (text(f'{{"format": 1, "loss": {value}}}'), *[DAMAGED + why] * 2)
        for name, value, why in (
            ("NaN", "NaN", "it holds a number that is not finite"),
            ("infinity", "1e999", "it holds a number that is not finite"),
            ("very deep", "[" * 100_000 + "]" * 100_000, "it is nested more than 20 deep"),
            ("deep", "[" * 30 + "]" * 30, "it is nested more than 20 deep"),
            ("a long number", "9" * 5000, "Exceeds the limit"),
            ("half a character", r'"\ud800"', "it holds half of a surrogate pair"),
            ("long", f'"{"a" * 300_000}"', "its header is longer than"),
            ("no JSON", "{'loss': 1}", "it is not valid JSON"),
        )
    },
    "a list for a header": (text("[1]"), *[DAMAGED + "its header is no mapping"] * 2),
    # The header and the digest as members.
    **{
        f"{place} {name}": (member(place, lambda _, content=content: content), *[DAMAGED] * 2)
        for place in ("header", "digest")
        for name, content in {
            "numbers": npy(np.ones(3)),
            "texts": npy(np.array(["{}", "{}"])),
            "no characters": raw_npy(described("'<U3'", "()"), b"\xff" * 12),
            "empty": raw_npy(described("'<U0'", "()")),
            "bytes": npy(np.array(b"{}")),
            "a structure": npy(np.zeros(1, [("a", "<f4")])),
            "an object": npy(np.array({}, dtype=object)),
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_checkpoint_is_accepted_or_refused_as_listed(name: str, tmp_path: Path) -> None:
    alter, use, resume = ALTERED[name]
    path = tmp_path / "last.npz"
    path.write_bytes(alter(*opened(SUBJECT)))

    def used(path: Path) -> object:
        return Model(load_checkpoint(path)).predict_proba(probes()).tolist()

    def trained_on(path: Path) -> object:
        return resumed(path, tmp_path, SUBJECT)[0].network.parameters.tolist()

    for expected, act in ((use, used), (resume, trained_on)):
        if expected is None:
            assert act(path) == act(SUBJECT)
            continue
        with pytest.raises(CheckpointError, match=expected) as caught:
            act(path)
        assert str(path) in str(caught.value)
        assert len(str(caught.value)) < 600 + len(str(path))
        assert str(caught.value).isprintable()


def keys(section: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys of a header, including its sections."""
    found = []
    for key, value in section.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, dict):
            found += keys(value, f"{prefix}{key}.")
    return found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(keys(opened(SUBJECT)[1])), value=st.just(REMOVED) | JSON)
def test_any_value_in_a_header_is_accepted_or_refused_by_one_error(
    key: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "last.npz"
    path.unlink(missing_ok=True)
    path.write_bytes(header(key, value)(*opened(SUBJECT)))
    for act in (
        lambda: Model(load_checkpoint(path)).predict_proba(probes()),
        lambda: resumed(path, tmp_path, SUBJECT),
    ):
        try:
            act()
        except CheckpointError as error:
            assert str(path) in str(error)
