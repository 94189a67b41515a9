"""Train, score and check fully connected networks on MNIST.

`load` is the one name for use from Python; it is resolved on first use, so that importing the
package (and with it `mlp --help`) costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp_cli._version import __version__

if TYPE_CHECKING:
    from mlp_cli.inference.model import Model, load

__all__ = ["Model", "__version__", "load"]


def __getattr__(name: str) -> object:
    if name in {"Model", "load"}:
        from mlp_cli.inference import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
