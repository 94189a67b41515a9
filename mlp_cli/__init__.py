"""Train, score and check fully connected networks on MNIST.

Each name is imported on first use, so importing the package (and with it `mlp --help`) costs
nothing. `docs/python.md` shows them at work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mlp_cli._version import __version__

if TYPE_CHECKING:
    from mlp_cli.api import Run, check_gradient, evaluate, train
    from mlp_cli.config.load import load_config
    from mlp_cli.config.schema import Config
    from mlp_cli.errors import MlpError
    from mlp_cli.inference.model import Model, load
    from mlp_cli.training.observer import Observer, SilentObserver

_HOMES = {
    "Config": "config.schema",
    "MlpError": "errors",
    "Model": "inference.model",
    "Observer": "training.observer",
    "Run": "api",
    "SilentObserver": "training.observer",
    "check_gradient": "api",
    "evaluate": "api",
    "load": "inference.model",
    "load_config": "config.load",
    "train": "api",
}

__all__ = [
    "Config",
    "MlpError",
    "Model",
    "Observer",
    "Run",
    "SilentObserver",
    "__version__",
    "check_gradient",
    "evaluate",
    "load",
    "load_config",
    "train",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"mlp_cli.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
