"""What a configuration describes: the network, its optimizer, its schedule, and their trainer."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset, pixel_statistics
from mlp_cli.data.distortion import Distortion
from mlp_cli.nn.backprop import Dropout, Noise
from mlp_cli.nn.network import Network, owned
from mlp_cli.nn.optimizers import OPTIMIZERS
from mlp_cli.nn.schedules import Schedule
from mlp_cli.rng import generator
from mlp_cli.training.steps import Regularisers
from mlp_cli.training.trainer import Trainer


def build_network(config: Config, inputs: int, classes: int, dtype: str) -> Network:
    """Make the network for so many inputs and classes, at its first weights."""
    network = Network(
        (inputs, *config.model.hidden, classes),
        config.model.activation,
        config.loss,
        dtype,
        batch_norm=config.model.batch_norm,
    )
    assert config.model.init is not None  # resolved when it was read
    network.initialise(config.model.init, generator(config.seed, "initialise"))
    return network


def build_regularisers(config: Config) -> Regularisers:
    """Make what is added to the steps."""
    regularisation = config.regularisation
    return Regularisers(
        Dropout(regularisation.input_dropout, regularisation.dropout),
        Noise(regularisation.input_noise, regularisation.noise),
        regularisation.max_norm,
        regularisation.label_smoothing,
        regularisation.average,
    )


def build_trainer(config: Config, dataset: Dataset, team: ThreadTeam, kernels: Kernels) -> Trainer:
    """Make the network, its optimizer and its schedule, and the trainer that owns all three."""
    network = build_network(config, dataset.inputs, dataset.classes, config.training.dtype)
    rule = config.optimizer.model_dump(exclude={"name", "learning_rate"})
    gradient = np.zeros_like(network.parameters)
    optimizer = OPTIMIZERS[config.optimizer.name](
        network.parameters,
        gradient,
        network.weight_count,
        parts=[owned(network, part, team.size) for part in range(team.size)],
        **rule,
    )
    batch_size = min(config.training.batch_size, len(dataset.train))
    schedule = Schedule(
        config.schedule.name,
        config.optimizer.learning_rate,
        epochs=config.training.epochs,
        steps_per_epoch=-(-len(dataset.train) // batch_size),
        **config.schedule.model_dump(exclude={"name"}),
    )
    mean, std = (0.0, 1.0) if config.data.scaling == "unit" else pixel_statistics(dataset.train)
    return Trainer(
        network,
        optimizer,
        schedule,
        dataset,
        gradient,
        mean=mean,
        std=std,
        seed=config.seed,
        batch_size=batch_size,
        epochs=config.training.epochs,
        patience=config.training.patience,
        regularisers=build_regularisers(config),
        distortion=None
        if config.distortion.is_none
        else Distortion(**config.distortion.model_dump()),
        team=team,
        kernels=kernels,
    )
