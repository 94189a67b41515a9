"""Update rules against plain code and PyTorch, and schedules against known rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers.networks import RULES, make_optimizer

from mlp_cli.config.choices import CHOICES
from mlp_cli.nn import optimizers as optimizer_module
from mlp_cli.nn.optimizers import OPTIMIZERS, SGD, Optimizer
from mlp_cli.nn.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Schedule,
    Shape,
    Step,
)
from mlp_cli.training.build import build_rule, build_shape

N, WEIGHTS, RATE, STEPS = 50, 40, 0.05, 6


def run(name: str, **options: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Take some steps; return the last parameters and the gradients that were used."""
    generator = np.random.default_rng(0)
    p, g = generator.normal(size=N), np.empty(N)
    optimizer = make_optimizer(name, p, g, WEIGHTS, **options)
    gradients = [generator.normal(size=N) for _ in range(STEPS)]
    for step, gradient in enumerate(gradients, 1):
        g[...] = gradient
        optimizer.step(optimizer.rule.factors([RATE], step)[0])
    return p, gradients


def start() -> np.ndarray:
    return np.random.default_rng(0).normal(size=N)


def written_out(name: str, gradients: list[np.ndarray], **o: float) -> np.ndarray:
    """Return the parameters that the rule in the module's docstring gives, on whole vectors."""
    p, v, m = start(), np.zeros(N), np.zeros(N)
    decays = np.arange(N) < WEIGHTS
    decay = o.get("weight_decay", 0.0) * decays
    for t, g in enumerate(gradients, 1):
        if name == "adamw":
            p = p * (1 - RATE * decay)
        else:
            g = g + decay * p
        if name == "sgd":
            mu = o.get("momentum", 0.0)
            v = mu * v + g
            p = p - RATE * (g + mu * v if o.get("nesterov") else v)
        elif name == "rmsprop":
            v = o.get("rho", 0.99) * v + (1 - o.get("rho", 0.99)) * g**2
            p = p - RATE * g / (np.sqrt(v) + o.get("epsilon", 1e-8))
        else:
            b1, b2 = o.get("beta1", 0.9), o.get("beta2", 0.999)
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            hat_m, hat_v = m / (1 - b1**t), v / (1 - b2**t)
            p = p - RATE * hat_m / (np.sqrt(hat_v) + o.get("epsilon", 1e-8))
    return p


@pytest.mark.parametrize(("name", "options"), RULES)
def test_each_rule_agrees_with_plain_code(name: str, options: dict[str, float]) -> None:
    p, gradients = run(name, **options)
    np.testing.assert_allclose(p, written_out(name, gradients, **options), rtol=1e-12)


@pytest.mark.parametrize(("name", "options"), RULES)
def test_each_rule_agrees_with_pytorch(name: str, options: dict[str, float]) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch, which only the tests use")
    p, gradients = run(name, **options)
    weights = torch.from_numpy(start()[:WEIGHTS].copy())
    biases = torch.from_numpy(start()[WEIGHTS:].copy())
    decay = options.get("weight_decay", 0.0)
    groups = [
        {"params": [weights], "weight_decay": decay},
        {"params": [biases], "weight_decay": 0.0},
    ]
    rest = {k: v for k, v in options.items() if k not in {"weight_decay", "beta1", "beta2", "rho"}}
    if "epsilon" in rest:
        rest["eps"] = rest.pop("epsilon")
    if "beta1" in options:
        rest["betas"] = (options["beta1"], options["beta2"])
    if "rho" in options:
        rest["alpha"] = options["rho"]
    rules = {
        "sgd": torch.optim.SGD,
        "rmsprop": torch.optim.RMSprop,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    rule = rules[name](groups, lr=RATE, **rest)
    for gradient in gradients:
        weights.grad = torch.from_numpy(gradient[:WEIGHTS].copy())
        biases.grad = torch.from_numpy(gradient[WEIGHTS:].copy())
        rule.step()
    np.testing.assert_allclose(p, np.concatenate([weights.numpy(), biases.numpy()]), rtol=1e-10)


@pytest.mark.parametrize(("name", "options"), RULES)
def test_the_size_of_blocks_does_not_change_the_update(
    name: str, options: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(name, **options)
    monkeypatch.setattr(optimizer_module, "BLOCK", 7)
    blocks, _ = run(name, **options)
    np.testing.assert_array_equal(whole, blocks)


@pytest.mark.parametrize(
    ("name", "options", "rule", "slots"),
    [
        ("sgd", {}, "sgd", []),
        ("sgd", {"momentum": 0.9}, "momentum", ["velocity"]),
        ("sgd", {"momentum": 0.9, "nesterov": True}, "nesterov", ["velocity"]),
        ("rmsprop", {}, "rmsprop", ["square"]),
        ("adam", {}, "adam", ["mean", "square"]),
        ("adamw", {}, "adamw", ["mean", "square"]),
    ],
)
def test_rules_and_slots_have_the_names_that_checkpoints_and_kernels_use(
    name: str, options: dict[str, float], rule: str, slots: list[str]
) -> None:
    found = make_optimizer(name, np.zeros(N), np.zeros(N), WEIGHTS, **options)
    assert found.rule.name == rule
    assert list(found.slots) == slots  # `optimizer.velocity` and the like in last.npz


def test_clipping_scales_the_whole_gradient_to_the_largest_norm() -> None:
    p, g = np.zeros(N), np.full(N, 3.0)
    make_optimizer("sgd", p, g, WEIGHTS, clip_norm=0.5).step(np.array([1.0, 0, 0]))
    assert np.linalg.norm(p) == pytest.approx(0.5)
    p, g = np.zeros(N), np.full(N, 0.01)
    make_optimizer("sgd", p, g, WEIGHTS, clip_norm=0.5).step(np.array([1.0, 0, 0]))
    np.testing.assert_array_equal(p, -0.01)


def test_a_gradient_whose_norm_overflows_is_not_clipped() -> None:
    p, g = np.zeros(N, np.float32), np.full(N, 1e30, np.float32)
    with np.errstate(over="ignore"):
        make_optimizer("sgd", p, g, WEIGHTS, clip_norm=0.5).step(np.array([1.0, 0, 0]))
    np.testing.assert_array_equal(p, np.full(N, -1e30, np.float32))


def test_by_default_weights_do_not_decay() -> None:
    p = np.ones(N)
    Optimizer(SGD(), p, np.zeros(N), WEIGHTS).step(np.array([1.0, 0, 0]))
    np.testing.assert_array_equal(p, 1)


def test_the_slots_of_float32_parameters_are_float32() -> None:
    for name in OPTIMIZERS:
        p = np.ones(N, np.float32)
        optimizer = make_optimizer(name, p, np.ones(N, np.float32), WEIGHTS, weight_decay=0.1)
        optimizer.step(optimizer.rule.factors([0.1], 1)[0])
        assert all(slot.dtype == np.float32 for slot in optimizer.slots.values()), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_factors_of_several_steps_equal_the_factors_of_each_step(name: str) -> None:
    rule = OPTIMIZERS[name]()
    each = [rule.factors([rate], t)[0] for t, rate in enumerate([0.1, 0.2, 0.3], 4)]
    np.testing.assert_array_equal(rule.factors([0.1, 0.2, 0.3], 4), each)


def rates(shape: Shape, epochs: int = 4, steps: int = 5, warmup: float = 0.0) -> list[float]:
    schedule = Schedule(shape, 2.0, epochs=epochs, steps_per_epoch=steps, warmup=warmup)
    found = [schedule(t) for t in range(epochs * steps)]
    for start, size in itertools.product(range(0, epochs * steps, steps), (2, steps)):
        assert schedule.rates(range(start, start + size)) == found[start : start + size]
    return found


def test_a_constant_schedule_keeps_the_rate() -> None:
    assert rates(Constant()) == [2.0] * 20


def test_a_step_schedule_multiplies_the_rate_every_few_epochs() -> None:
    assert rates(Step(every=2, factor=0.1))[::5] == pytest.approx([2, 2, 0.2, 0.2])


def test_an_exponential_schedule_multiplies_the_rate_every_epoch() -> None:
    found = rates(Exponential(factor=0.5))
    assert found[::5] == pytest.approx([2, 1, 0.5, 0.25])
    assert found[4] == 2


def test_a_cosine_schedule_falls_to_the_final_share() -> None:
    found = rates(Cosine(final=0.1))
    assert found[0] == 2
    assert found[10] == pytest.approx(2 * 0.55)
    assert all(a > b for a, b in itertools.pairwise(found))
    assert found[-1] > 0.2


def test_a_one_cycle_schedule_rises_and_then_falls() -> None:
    found = rates(OneCycle(rise=0.25, start=0.1, final=0.01))
    assert found[0] == pytest.approx(0.2)
    assert found[5] == 2
    assert found == sorted(found[:6]) + sorted(found[6:], reverse=True)


def test_warmup_is_linear_and_comes_before_the_schedule() -> None:
    found = rates(Cosine(final=0.0), warmup=1.0)
    assert found[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert found[5] == 2
    assert found[5 + 15 // 3] == pytest.approx(2 * (1 + 0.5) / 2)
    assert rates(Constant(), warmup=1.5)[:9] == pytest.approx(
        [0.25 * t for t in range(1, 8)] + [2, 2]
    )


def test_every_optimizer_and_schedule_of_a_configuration_is_built() -> None:
    for name, section in CHOICES["optimizer"].items():
        assert type(build_rule(section(name=name))) is OPTIMIZERS[name]
    assert set(OPTIMIZERS) == set(CHOICES["optimizer"])
    for name, section in CHOICES["schedule"].items():
        shape = build_shape(section(name=name))
        assert type(shape).__name__ == type(section(name=name)).__name__.removesuffix("Config")
        assert 0 <= shape(3, 0.5) <= 1
