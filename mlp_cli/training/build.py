"""What a configuration describes: the network, its optimizer, its schedule, and their trainer."""

from __future__ import annotations

import math

import numpy as np

from mlp_cli.compute.engine import Engine
from mlp_cli.config.choices import (
    AdamConfig,
    AdamWConfig,
    ConstantConfig,
    CosineConfig,
    ExponentialConfig,
    OneCycleConfig,
    OptimizerConfig,
    RMSPropConfig,
    ScheduleConfig,
    SGDConfig,
    StepConfig,
)
from mlp_cli.config.schema import Config
from mlp_cli.data.batches import InputScaling, standard_scaling
from mlp_cli.data.dataset import Dataset
from mlp_cli.data.views import build_views
from mlp_cli.nn import schedules
from mlp_cli.nn.backprop import Dropout, Noise
from mlp_cli.nn.network import Network, owned_slices
from mlp_cli.nn.optimizers import SGD, Adam, AdamW, Optimizer, RMSProp, UpdateRule
from mlp_cli.nn.rng import generator
from mlp_cli.nn.schedules import Schedule
from mlp_cli.nn.windows import put_windows
from mlp_cli.training.steps import Regularisers
from mlp_cli.training.trainer import Plan, Trainer


def build_network(
    config: Config, image_shape: tuple[int, int], classes: int, dtype: str
) -> Network:
    """Build the network for images of (height, width), and draw its initial weights."""
    pixels = math.prod(image_shape)
    network = Network(
        (pixels * len(config.data.views), *config.model.hidden, classes),
        config.model.activation,
        config.loss,
        dtype,
        batch_norm=config.model.batch_norm,
        negative_slope=config.model.negative_slope,
        decoder=config.model.decoder is not None,
    )
    assert config.model.init is not None  # resolved when the configuration was read
    network.initialise(config.model.init, generator(config.seed, "initialise"))
    if config.model.window is not None and config.model.hidden:
        places = generator(config.seed, "window")
        put_windows(network.weights[0], image_shape, config.model.window, places)
    return network


def build_regularisers(config: Config) -> Regularisers:
    """Build what is added to the steps."""
    added = config.regularisation
    return Regularisers(
        Dropout(added.input_dropout, added.dropout),
        Noise(added.input_noise, added.noise),
        added.max_norm,
        added.label_smoothing,
        added.average,
        config.model.decoder or 0.0,
    )


def build_rule(config: OptimizerConfig) -> UpdateRule:
    """Build the update rule."""
    match config:
        case SGDConfig():
            return SGD(config.momentum, config.nesterov)
        case RMSPropConfig():
            return RMSProp(config.rho, config.epsilon)
        case AdamConfig():
            return Adam(config.beta1, config.beta2, config.epsilon)
        case AdamWConfig():
            return AdamW(config.beta1, config.beta2, config.epsilon)


def build_shape(config: ScheduleConfig) -> schedules.Shape:
    """Build the shape of the learning rate."""
    match config:
        case ConstantConfig():
            return schedules.Constant()
        case StepConfig():
            return schedules.Step(config.every, config.factor)
        case ExponentialConfig():
            return schedules.Exponential(config.factor)
        case CosineConfig():
            return schedules.Cosine(config.final)
        case OneCycleConfig():
            return schedules.OneCycle(config.rise, config.start, config.final)


def build_trainer(config: Config, dataset: Dataset, engine: Engine) -> Trainer:
    """Build the network, its optimizer and its schedule, and the trainer that owns all three."""
    network = build_network(config, dataset.image_shape, dataset.classes, config.training.dtype)
    optimizer = Optimizer(
        build_rule(config.optimizer),
        network.parameters,
        np.zeros_like(network.parameters),
        network.weight_count,
        weight_decay=config.optimizer.weight_decay,
        clip_norm=config.optimizer.clip_norm,
        shares=[owned_slices(network, worker, engine.workers) for worker in range(engine.workers)],
    )
    batch_size = min(config.training.batch_size, len(dataset.train))
    schedule = Schedule(
        build_shape(config.schedule),
        config.optimizer.learning_rate,
        epochs=config.training.epochs,
        steps_per_epoch=-(-len(dataset.train) // batch_size),
        warmup=config.schedule.warmup,
    )
    is_unit = config.data.scaling == "unit"
    scaling = InputScaling() if is_unit else standard_scaling(dataset.train)
    views = build_views(config.data.views, dataset.image_shape)
    return Trainer(
        network,
        optimizer,
        schedule,
        dataset,
        scaling._replace(views=views),
        Plan(
            config.seed,
            batch_size,
            config.training.epochs,
            config.training.patience,
            config.model.clean_statistics,
        ),
        engine,
        build_regularisers(config),
        None if config.distortion.is_none else config.distortion,
    )
