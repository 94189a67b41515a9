"""Which parameters of a test are in the quick tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(parameters: Iterable[Any], n: int) -> list[Any]:
    """Leave every `n`-th parameter in the quick tests and mark the others `long`."""
    return [parameter if i % n == 0 else _long(parameter) for i, parameter in enumerate(parameters)]


def _long(parameter: Any) -> Any:
    if isinstance(parameter, type(pytest.param())):
        marks = [*parameter.marks, pytest.mark.long]
        return pytest.param(*parameter.values, id=parameter.id, marks=marks)
    return pytest.param(parameter, marks=pytest.mark.long)
