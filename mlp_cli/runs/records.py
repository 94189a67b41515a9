"""The readers of a run's JSON: `result.json`, `metrics.jsonl` and `divergence.json`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp_cli.errors import StorageError
from mlp_cli.storage.files import exists, storage_errors
from mlp_cli.storage.strict_json import from_json, record_faults, shown
from mlp_cli.training.metrics import EpochMetrics

if TYPE_CHECKING:
    from mlp_cli.training.divergence import ExaminedStep


@dataclass(frozen=True)
class Result:
    """What `result.json` holds. Accuracies are fractions, and times are in seconds.

    `best_epoch` and `val_accuracy` are None without validation, and what begins with `test_` is
    None without test images. `at_chance` is None if it cannot be said, and in results of earlier
    releases; see `training.chance`.
    """

    dataset: str
    epochs: int
    best_epoch: int | None
    val_accuracy: float | None
    test_accuracy: float | None
    test_errors: int | None
    test_error_ci95: list[float] | None
    at_chance: bool | None
    seconds: float
    samples_per_second: float


def read_result(path: Path) -> dict[str, Any]:
    """Return the content of a `result.json`.

    Raises
    ------
    StorageError
        If the file cannot be read or is damaged. If it is damaged, a `ValueError` is the cause of
        the error.
    """
    with storage_errors("read", path):
        text = path.read_bytes()
    try:
        result = from_json(text)
        if isinstance(result, dict):
            result.setdefault("at_chance", None)
        result = _checked(result, Result)
        interval = result["test_error_ci95"]
        if interval is not None and [type(end) in (int, float) for end in interval] != [True, True]:
            raise ValueError(f"it has test_error_ci95 = {shown(interval)}, not [low, high]")
    except ValueError as error:
        raise StorageError(
            f"{path} is damaged: {error}. Remove it and resume the run, which writes it again."
        ) from error
    return result


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of a `metrics.jsonl`, none if it is missing.

    A last line without its end, as a kill may leave it, does not count.

    Raises
    ------
    StorageError
        If the file cannot be read, or if a line is damaged.
    """
    records = []
    for number, line in enumerate(_lines(path), 1):
        try:
            records.append(_record(line, EpochMetrics))
        except ValueError as error:
            raise StorageError(
                f"{path}, line {number} is damaged: {error}. Remove the line."
            ) from error
    return records


def lines_of_epochs(path: Path, epochs: int) -> list[bytes]:
    """Return the lines of a `metrics.jsonl` for the first `epochs` epochs, up to a missing one.

    A line may be damaged, or occur twice.

    Raises
    ------
    StorageError
        If the file cannot be read.
    """
    kept: list[bytes] = []
    for line in _lines(path):
        try:
            epoch = _record(line, EpochMetrics)["epoch"]
        except ValueError:
            continue
        if len(kept) < epochs and epoch == len(kept) + 1:
            kept.append(line)
    return kept


def read_steps(path: Path) -> list[ExaminedStep]:
    """Return the steps of a `divergence.json`, none if it is missing or damaged.

    Raises
    ------
    StorageError
        If the file is there and cannot be read.
    """
    if not exists(path):
        return []
    with storage_errors("read", path):
        text = path.read_bytes()
    try:
        found = from_json(text)
        steps = found["steps"] if isinstance(found, dict) and "steps" in found else []
        return [_step(step) for step in steps] if isinstance(steps, list) else []
    except ValueError:
        return []


def _step(found: Any) -> ExaminedStep:
    from mlp_cli.training.divergence import ExaminedStep  # `mlp runs` does not need a training

    step = _checked(found, ExaminedStep)
    for norm in (*step["weight_norms"], *step["gradient_norms"]):
        if norm is not None and type(norm) not in (int, float):
            raise ValueError(f"it has the norm {shown(norm)}")
    return ExaminedStep(**{field.name: step[field.name] for field in fields(ExaminedStep)})


def _lines(path: Path) -> list[bytes]:
    """Return the complete lines of a file, none if it is missing."""
    if not exists(path):
        return []
    with storage_errors("read", path):
        lines = path.read_bytes().splitlines(keepends=True)
    return lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]


def _record(text: bytes, kind: type) -> dict[str, Any]:
    """Return the object of a JSON text after checking its fields."""
    return _checked(from_json(text), kind)


def _checked(found: Any, kind: type) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    if faults := record_faults(found, kind):
        raise ValueError(f"it {'; '.join(faults[:5])}")
    return found
