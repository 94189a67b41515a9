"""YAML as configurations use it: mappings, sequences and the scalars of YAML 1.2, with their lines.

PyYAML resolves scalars by YAML 1.1, where `1e-3` is text, `no` is false, `012` is ten and `12:30`
is 750. Only its scanner and parser are used here; what a plain scalar means is decided by the core
schema of YAML 1.2 (section 10.3.2):

    null      null  Null  NULL  ~  and nothing at all
    boolean   true  True  TRUE  false  False  FALSE
    integer   12  -3  +4  012 (twelve)  0o17  0x1f
    float     1e-3  1E3  .5  5.  +1.5  .inf  -.Inf  .nan
    text      everything else, as no, off, 12:30, 1_000, 2024-01-31; and all that is quoted

Refused, since no configuration needs them and each is a way to be misread or to exhaust the
machine: a second value for a key, anchors and aliases, merge keys, tags, keys that are not text, a
second document, tabs outside quotes and comments, and files that are large, deep or not UTF-8.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlp_cli.errors import ConfigError
from mlp_cli.files import storage_errors

MAX_BYTES = 32 * 1024  # PyYAML needs up to 20 µs a byte, so this bounds the time below a second
MAX_DEPTH = 20

KeyPath = tuple[str | int, ...]

# Longer integers are text, and so refused where a number is wanted: int() takes quadratic time.
_DIGITS = "{1,300}"
_SCALARS: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    tag: (re.compile(pattern), convert)
    for tag, pattern, convert in (
        ("null", r"null|Null|NULL|~|", lambda text: None),
        ("bool", r"true|True|TRUE|false|False|FALSE", lambda text: text[0] in "tT"),
        ("int", rf"[-+]?[0-9]{_DIGITS}", int),
        ("int", rf"0o[0-7]{_DIGITS}", lambda text: int(text[2:], 8)),
        ("int", rf"0x[0-9a-fA-F]{_DIGITS}", lambda text: int(text[2:], 16)),
        ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", float),
        ("float", r"[-+]?\.(?:inf|Inf|INF)", lambda text: float(text.replace(".", ""))),
        ("float", r"\.(?:nan|NaN|NAN)", lambda text: float("nan")),
    )
}
