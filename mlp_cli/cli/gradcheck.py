"""`mlp gradcheck`: prove the batched gradient."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli.cli.config_options import config_options
from mlp_cli.cli.options import HelpfulCommand, current_signals, examples, json_option
from mlp_cli.cli.printing import show, show_json
from mlp_cli.errors import CheckFailedError


@click.command(
    cls=HelpfulCommand,
    short_help="Prove the gradient.",
    epilog=examples(
        "mlp gradcheck mnist",
        "mlp gradcheck mnist --set model.activation=tanh",
    ),
)
@config_options()
@json_option
def gradcheck(config_path: Path, overrides: Sequence[str], as_json: bool) -> None:
    """Prove the batched gradient ΔW = δᵀ a on the network of a configuration.

    CONFIG is a YAML file, or the name of a shipped configuration (see `mlp config list`); mnist if
    none is given.

    The gradient that `train` computes is compared in float64, on random inputs, with the sum over
    single examples, with outer products by tiling, and with central differences.
    """
    from mlp_cli.compute.select import build_engine, choose_engine, hold_blas
    from mlp_cli.config.load import load_config
    from mlp_cli.runs.progress import ProgressObserver

    with ProgressObserver() as observer:
        config = load_config(config_path, overrides, warn=observer.warn)
        hidden, batch_size = config.model.hidden, config.training.batch_size
        choice = choose_engine(hidden, batch_size, os.environ, warn=observer.warn)
        hold_blas(os.environ)  # before anything imports NumPy

        import numpy as np

        from mlp_cli.gradcheck.check import check_gradient
        from mlp_cli.reports import text

        engine = build_engine(choice)
        with current_signals().immediate():
            engine.compile(np.dtype("float64"), observer.warn, observer.log)
    found = check_gradient(config, engine)
    if as_json:
        show_json(found.to_dict())
    else:
        show(text.gradcheck_text(found))
    if found.wrong:
        raise CheckFailedError(f"the gradient is wrong in {', '.join(found.wrong)}.")
