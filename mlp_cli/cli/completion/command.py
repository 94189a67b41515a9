"""`mlp completion`: print the script that completes commands in a shell."""

from __future__ import annotations

import click

from mlp_cli.cli.options import Choice, HelpfulCommand, examples
from mlp_cli.cli.printing import show


@click.command(
    cls=HelpfulCommand,
    short_help="Print a shell's completion script.",
    epilog=examples("mlp completion bash >> ~/.bashrc", "mlp completion zsh >> ~/.zshrc"),
)
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]), metavar="SHELL")
def completion(shell: str) -> None:
    """Print the script by which a shell completes commands, options, keys, values and paths.

    SHELL is bash (from 4.4 on), zsh or fish. Add the script to the file that the shell reads when
    it starts, and open a new shell. The file of fish is ~/.config/fish/config.fish.
    """
    from mlp_cli.cli.completion.shells import script

    show(script(shell).removesuffix("\n"))
