"""Which kernels compute a run if the user does not name them.

The two sets of kernels differ by rounding. So a resumed run keeps those that it began with, however
many epochs it still has. A new run gets the compiled ones, unless it is too short to be worth
compiling for: it gets NumPy's until the compiled ones are ready. The same command may then give
other bits later; the run's summary and its `env.json` name the kernels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.select import EngineChoice, is_worth_compiling, load_kernels
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset
from mlp_cli.storage.checkpoint import Checkpoint


def choose_kernels(
    choice: EngineChoice,
    config: Config,
    dataset: Dataset,
    checkpoint: Checkpoint | None,
    log: Callable[[str], object],
) -> EngineChoice:
    """Return what computes a run, with NumPy's kernels if they take the place of compiled ones.

    Parameters
    ----------
    choice
        What the user and the network ask for.
    config, dataset, checkpoint
        The run, and its newest checkpoint if it is resumed.
    log
        Is told that a run is too short to be worth compiling for.

    Raises
    ------
    CheckpointError
        If the checkpoint holds no record of the machine.
    ConfigError
        If the compiled kernels do not load.
    """
    if choice.numpy_threads is None:
        return choice
    by_numpy = EngineChoice(choice.numpy_threads, fast=False)
    if checkpoint is not None:
        began_by_numpy = checkpoint.environment().get("kernels") == NumPyKernels.name
        return by_numpy if began_by_numpy else choice
    training, n = config.training, len(dataset.train)
    inputs = dataset.inputs * len(config.data.views)
    sizes = inputs, *config.model.hidden, dataset.classes
    if is_worth_compiling(sizes, min(training.batch_size, n), n, training.epochs):
        return choice
    if load_kernels(fast=True).is_ready(np.dtype(training.dtype)):
        return choice
    log(
        "The compiled kernels are not ready, and this training is too short to be worth compiling "
        "for, so NumPy's kernels compute it. MLP_KERNELS=fast compiles them."
    )
    return by_numpy
