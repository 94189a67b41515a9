"""Corrects the options and arguments of a command line that is wrong.

The tables hold the words of other programs. An option that is a key of the configuration, or a word
KEY=VALUE, becomes a `--set`.
"""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

# What to write in place of the options of other programs, in each command; "" is any command. An
# empty text stands for the argument.
OPTIONS = {
    "download-data": {
        "--data-dir": "dir o out output output-dir path",
        "--force": "f overwrite",
        "--mirror": "source url",
    },
    "eval": {
        "": "checkpoint ckpt load model model-path run weights",
        "--predictions": "o out output",
        "--split test": "test",
        "--split train": "train",
        "--split validation": "val validation",
    },
    "export": {"": "checkpoint ckpt load model model-path o out output run weights"},
    "train": {
        "--overwrite": "force replace",
        "--resume": "continue",
        "--resume --out": "checkpoint ckpt load restore resume-from resume-from-checkpoint",
    },
    "": {
        "--config": "c cfg conf config-file config-path f",
        "--data-dir": "d data data-path data-root root",
        "--out": "log-dir logdir o out-dir outdir output output-dir run-dir save-dir",
        "--quiet": "silent",
        "--threads": "cpus j jobs n-jobs num-threads num-workers t workers",
    },
}
LETTERS = {"b": "batch_size", "e": "epochs", "l": "lr", "n": "epochs", "s": "seed"}  # as in -b 64

# The options of other programs that are left out, and why.
NEEDLESS = {
    "accelerator cuda device devices gpu gpus": "Everything is computed on the processor.",
    "progress v verbose": "Progress is shown without an option.",
}
WITH_NAME = {"accelerator", "device"}  # they are followed by a name, the others perhaps by a number
TRUE = ("1", "on", "true", "yes")


class UnclearError(Exception):
    """It is not clear what a word means."""


class Corrections:
    """Corrects the options and arguments of a command.

    Attributes
    ----------
    result
        The corrected words.
    reason
        Why something is left out, or "".
    has_run
        Whether `mlp eval` is given something to score.
    """

    def __init__(self, command: click.Command, words: Sequence[str]) -> None:
        """Correct the words.

        Raises
        ------
        UnclearError
            If it is not clear what one of them means.
        """
        self.result: list[str] = []
        self.reason = ""
        self._command, self._given, self._rest = command, words, deque(words)
        context = click.Context(command)
        self._options = {
            name: option
            for option in command.get_params(context)
            if isinstance(option, click.Option)
            for name in option.opts
        }
        while self._rest:
            word = self._rest.popleft()
            if re.match("--?[a-zA-Z]", word):
                self.result += self._option(*word.partition("="))
            elif "--set" in self._options and "=" in word and not _is(Path.exists, word):
                self.result += self._change(word.lstrip("+")) or [word]
            else:
                self.result.append(word)
        if self.result != [*words]:  # otherwise, the fault in a --set has a message of its own
            self._correct_changes()
        try:
            values, extra, _ = command.make_parser(context).parse_args([*self.result])
        except click.UsageError as error:
            raise UnclearError from error
        if extra:
            raise UnclearError
        self.has_run = isinstance(values.get("checkpoints"), tuple) and any(values["checkpoints"])

    def _option(self, name: str, equals: str, value: str) -> list[str]:
        """Return what to write in place of an option and its value."""
        option = self._options.get(name)
        if option is None:
            return self._foreign(name, value if equals else None)
        if option.is_flag:
            if equals:
                return [name] if value.lower() in TRUE else []
            has_run = name == "--resume" and self._has_next() and _is(Path.is_dir, self._rest[0])
            if has_run and not any(word.startswith("--out") for word in self._given):
                return [name, "--out", self._rest.popleft()]
            return [name]
        if name == "--set":
            return [name, self._joined(value if equals else self._next())]
        return [f"{name}={value}"] if equals else [name, self._next()]

    def _foreign(self, name: str, value: str | None) -> list[str]:
        """Return what to write in place of an option that the command does not have."""
        plain = name.lstrip("-").replace("_", "-")
        plain = plain.lower() if len(plain) > 1 else plain
        for owner in (self._command.name or "", ""):
            for meaning, words in OPTIONS.get(owner, {}).items():
                if plain in words.split():
                    return self._replaced(meaning.split(), value)
        for needless, reason in NEEDLESS.items():
            if plain in needless.split():
                self.reason = reason
                is_value = self._has_next() and (plain in WITH_NAME or self._rest[0].isdigit())
                if value is None and is_value:
                    self._rest.popleft()
                return []
        if "--set" not in self._options:
            return self._replaced([self._similar(plain, [])], value)
        from mlp_cli.config.hints import known_keys

        keys = [key.rpartition(".")[2].replace("_", "-") for key in known_keys()]
        if similar := self._similar(plain, keys):
            return self._replaced([similar], value)
        return self._key(LETTERS.get(plain, plain), value)

    def _replaced(self, meaning: Sequence[str], value: str | None) -> list[str]:
        """Return other words for an option, with its value if they take one."""
        if any(word not in self._options for word in meaning if not word.isalpha()):
            raise UnclearError
        option = self._options.get(meaning[-1]) if meaning else None
        if meaning and (option is None or option.is_flag):
            return [*meaning]
        return [*meaning, self._next() if value is None else value]

    def _similar(self, plain: str, keys: Sequence[str]) -> str:
        """Return the option that is spelt most like a name, or "" if a key is or nothing."""
        own = {option.lstrip("-"): option for option in self._options}
        close = difflib.get_close_matches(plain, [*own, *keys], 1, 0.75)
        return own.get(close[0], "") if close else ""

    def _key(self, name: str, value: str | None) -> list[str]:
        """Return the `--set` for an option that means a key of the configuration."""
        from mlp_cli.config.hints import meant

        path = tuple(name.replace("-", "_").split("."))
        found: dict[str, Any] = {}
        if value is not None:
            found = meant(path, _yaml(value)) if value else {}
        elif self._has_next():
            words = [self._next()]
            while self._has_next() and self._rest[0].isdigit():  # as in --hidden 128 64
                words.append(self._next())
            values = [_yaml(word) for word in words]
            found = meant(path, values if len(values) > 1 else values[0])
            if not found:
                self._rest.extendleft(reversed(words))
        if not found and value is None:  # as in --nesterov and --no-download
            is_negative = path[0].startswith("no_")
            found = meant((path[0].removeprefix("no_"), *path[1:]), not is_negative)
        if not found:
            raise UnclearError
        return _sets(found)

    def _change(self, change: str) -> list[str]:
        """Return the `--set` for a text KEY=VALUE; nothing if its meaning is not clear."""
        from mlp_cli.config.hints import meant

        key, _, text = change.partition("=")
        found = meant(tuple(key.split(".")), _yaml(text))
        return ["--set", change] if found == {key: _yaml(text)} else _sets(found)

    def _joined(self, change: str) -> str:
        """Return the value of a `--set`, with the words that belong to it."""
        while self._rest and any(change.count(a) > change.count(b) for a, b in ("[]", "{}")):
            change += f" {self._next()}"
        if "=" not in change and self._has_next():  # as in --set training.epochs = 3
            value = self._next().removeprefix("=")
            change = f"{change.rstrip(':')}={value or self._next()}"
        return change

    def _correct_changes(self) -> None:
        words = deque(self.result)
        self.result = []
        while words:
            word = words.popleft()
            if word == "--set" and words:
                change = words.popleft()
                self.result += self._change(change) or [word, change]
            else:
                self.result.append(word)

    def _has_next(self) -> bool:
        return bool(self._rest) and not self._rest[0].startswith("-")

    def _next(self) -> str:
        if not self._rest:
            raise UnclearError
        return self._rest.popleft()


def _is(test: Callable[[Path], bool], word: str) -> bool:
    """Return the result of a test of a path; False if a word is too long to be one."""
    with suppress(OSError, ValueError):
        return test(Path(word))
    return False


def _yaml(text: str) -> Any:
    from mlp_cli.config.yaml12 import parse

    return parse(text).value


def _sets(found: dict[str, Any]) -> list[str]:
    from mlp_cli.config.lines import changes

    return [word for change in changes(found) for word in ("--set", change)]
