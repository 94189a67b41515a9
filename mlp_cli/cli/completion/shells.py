"""What the scripts of bash, zsh and fish ask, and what they are answered.

Click finds the option or argument to complete. Its own scripts are not used: bash splits words at
`=`, which they do not expect; they show either names or paths; and they put a blank after `KEY=`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)


def script(shell: str) -> str:
    """Return the script for `bash`, `zsh` or `fish`."""
    return (Path(__file__).parent / f"mlp.{shell}").read_text("utf-8")


class _Answers(ShellComplete):
    """Answers in the form that the scripts read."""

    def source(self) -> str:
        return script(self.name)

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Return the candidates for the whole word, also if it is `--OPTION=VALUE`."""
        option, equals, _ = incomplete.partition("=")
        before = f"{option}=" if equals and option.startswith("-") else ""
        found = super().get_completions(args, incomplete)
        for item in found:
            if item.type == "plain":
                item.value = before + item.value
            else:  # a path, which ends the word
                item.value = str(len(incomplete) - len(item.value))
        return [item for item in found if item.value.isprintable()]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type}\t{item.value}\t{' '.join((item.help or '').split())}"


class _Bash(_Answers, BashComplete):
    pass


class _Zsh(_Answers, ZshComplete):
    pass


class _Fish(_Answers, FishComplete):
    pass


def register() -> None:
    """Let Click answer the scripts of this package, in place of its own."""
    for answers in (_Bash, _Zsh, _Fish):
        add_completion_class(answers)
