"""Strict JSON: finite numbers, each key once, bounded depth, valid UTF-8.

Python's `json` also reads and writes NaN and Infinity, which other programs refuse.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from mlp_cli.errors import StorageError
from mlp_cli.storage.files import storage_errors

MAX_DEPTH = 20  # lists and objects within each other, many more than the program's files have
LARGEST = 1 << 63  # all whole numbers of a record are below it


def to_json(value: Any, indent: int | None = None) -> str:
    """Return a value as strict JSON.

    Raises
    ------
    ValueError
        If it holds a NaN or an infinity, which would be a defect of the program.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent)


def from_json(text: str | bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a text in strict JSON.

    Parameters
    ----------
    text
        The JSON; bytes must be UTF-8.
    max_depth
        How many lists and objects may stand within each other. 0 allows none.

    Raises
    ------
    ValueError
        If `text` is not such JSON. The message is a reason that continues a sentence, as in
        "it is not valid UTF-8".
    """
    too_deep = f"it is nested more than {max_depth} deep"
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode(), object_pairs_hook=_object
        )
    except UnicodeDecodeError as error:
        raise ValueError("it is not valid UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is not valid JSON ({error.msg}: {place})") from error
    except RecursionError as error:
        raise ValueError(too_deep) from error
    if _is_deeper(value, max_depth):
        raise ValueError(too_deep)
    try:
        to_json(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a surrogate pair") from error
    except ValueError as error:
        raise ValueError("it holds a number that is not finite") from error
    return value


def read_object(path: Path, advice: str = "") -> dict[str, Any]:
    """Return the object in a file of strict JSON.

    Raises
    ------
    StorageError
        If the file cannot be read, or if it is damaged. Then the message ends with `advice`.
    """
    with storage_errors("read", path):
        text = path.read_bytes()
    try:
        found = from_json(text)
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
    except ValueError as error:
        raise StorageError(f"{path} is damaged: {error}. {advice}".rstrip()) from error
    return found


def record_faults(
    found: Mapping[str, Any], kind: type, required: Collection[str] | None = None
) -> list[str]:
    """Return what is wrong with an object that should have the fields of a dataclass.

    A number must be at least 0. The elements of a list are not looked at, nor are other fields.

    Parameters
    ----------
    found
        The object.
    kind
        The dataclass.
    required
        The fields that must be there; all if it is None.

    Returns
    -------
    A list of reasons that continue a sentence, as in "is missing epoch".
    """
    types = _hints(kind)
    known = types if required is None else required
    wrong = [f"is missing {field}" for field in known if field not in found]
    for field, hint in types.items():
        if field in found and not _fits(found[field], hint):
            name = hint.__name__ if isinstance(hint, type) else hint
            wrong.append(f"has {field} = {shown(found[field])}, not {name}")
    return wrong


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def shown(value: Any) -> str:
    """Return a value for a message: one line, and not too long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value from JSON has the type of a field; no number is below 0."""
    hints = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    allowed = [get_origin(one) or one for one in hints]
    if type(value) not in allowed and not (type(value) is int and float in allowed):
        return False
    if isinstance(value, int):
        return 0 <= value < LARGEST
    return not isinstance(value, float) or value >= 0  # a loss may be as large as it likes


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's pairs as a dict; `json` by itself would keep the last of equal keys."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it holds the key {key[:40]!r} twice")
        found[key] = value
    return found


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether a value has more than `depth` lists and objects within each other."""
    level = [value]  # one level at a time: recursion would exceed Python's limit
    for _ in range(depth + 1):
        level = [node for node in level if isinstance(node, dict | list)]
        if not level:
            return False
        parts = [node.values() if isinstance(node, dict) else node for node in level]
        level = [child for part in parts for child in part]
    return True
