"""A diverged run that is resumed diverges again, and keeps the steps that led there."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from helpers.networks import KERNELS
from helpers.stopping import resume

from mlp_cli.compute.kernels import Kernels, NumPyKernels
from mlp_cli.config.load import load_config
from mlp_cli.config.schema import Config
from mlp_cli.errors import DivergedError
from mlp_cli.runs.resume import joined
from mlp_cli.training.divergence import STEPS, ExaminedStep

read = partial(load_config, warn=[].append)  # of rates that make a training diverge

CASES = [
    ["optimizer={name: rmsprop, learning_rate: 1e20}"],
    ["optimizer={name: sgd, learning_rate: 1e38}"],
    ["optimizer={name: sgd, learning_rate: 1e38}", "data.validation=0"],
    [
        "optimizer={name: sgd, learning_rate: 1e37}",
        "model={hidden: [16, 16], activation: scaled_tanh}",
    ],
    ["optimizer={name: adamw, learning_rate: 1e18, weight_decay: 0.5}"],
]
DAMAGED = [
    "", "5", "null", "[]", "{}", "[" * 100_000, '{"steps": 5}', '{"steps": [5]}', '{"steps": {}}',
    '{"steps": [{"step": 1}]}', '{"steps": null}',
]  # fmt: skip


def diverge(run: Path, config: Config, *, fast: bool = False) -> tuple[str, dict]:
    """Train to the divergence; return its message and its report."""
    with pytest.raises(DivergedError) as diverged:
        resume(run, config, fast=fast)
    return str(diverged.value), json.loads((run / "divergence.json").read_text())


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("changes", CASES)
def test_a_resumed_divergence_is_reported_with_the_steps_before(
    changes: list[str], kernels: type[Kernels], config: Path, tmp_path: Path
) -> None:
    of, fast = read(config, ["training.epochs=50", *changes]), kernels is not NumPyKernels
    first = diverge(tmp_path / "run", of, fast=fast)
    assert len(first[1]["steps"]) > 1
    for _ in range(2):
        assert diverge(tmp_path / "run", of, fast=fast) == first


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:20])
def test_a_damaged_report_is_written_again(text: str, config: Path, tmp_path: Path) -> None:
    of = read(config, CASES[1])
    _, first = diverge(tmp_path / "run", of)
    (tmp_path / "run" / "divergence.json").write_text(text)
    _, again = diverge(tmp_path / "run", of)
    assert again == first | {"steps": first["steps"][-1:]}


@pytest.mark.parametrize("norm", ["1", True, [1.0], {}])
def test_a_norm_of_another_type_is_damage_too(norm: object, config: Path, tmp_path: Path) -> None:
    of = read(config, CASES[1])
    _, first = diverge(tmp_path / "run", of)
    first["steps"][0]["weight_norms"] = [norm, 1.0]
    (tmp_path / "run" / "divergence.json").write_text(json.dumps(first))
    _, again = diverge(tmp_path / "run", of)
    assert again["steps"] == first["steps"][-1:]


def test_only_steps_that_lead_to_the_first_one_are_joined() -> None:
    def steps(*numbers: int) -> list[ExaminedStep]:
        return [ExaminedStep(1, number, number, 0.1, 1.0, [1.0], [1.0]) for number in numbers]

    assert joined(steps(1, 2, 3), steps(3)) == steps(1, 2, 3)
    assert joined(steps(1, 2), steps(3)) == steps(1, 2, 3)
    assert joined(steps(1, 2), steps(4)) == steps(4)
    assert joined([], steps(4)) == steps(4)
    assert joined(steps(*range(9)), steps(9)) == steps(*range(10))[-STEPS:]
