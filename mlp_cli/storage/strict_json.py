"""JSON as the program writes and reads it: finite numbers, bounded depth."""

from __future__ import annotations

import json
from typing import Any


def to_json(value: Any, indent: int | None = None) -> str:
    """Return strict JSON: a NaN or an infinity would be a defect, and raises `ValueError`."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent)
