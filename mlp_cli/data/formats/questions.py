"""What a source leaves open is asked for: nothing is guessed."""

from __future__ import annotations

from mlp_cli.errors import ConfigError


def question(name: str, seen: str, option: str) -> ConfigError:
    """Return the error that says what was seen, and which option of `mlp data import` decides.

    Parameters
    ----------
    name
        The file or array.
    seen
        What is open and why, as a sentence without its first capital and its period.
    option
        The option with a value, as in "--white 16". Several are joined by "or".
    """
    return ConfigError(
        f"{name}: {seen}. Import it by `mlp data import` with {option}, and train on the result."
    )
