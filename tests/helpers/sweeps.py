"""Small sweeps on small images, and what their folders hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from helpers.loaded import Loaded

ROOT = Path(__file__).parents[2]
GRID = """\
search:
  optimizer.learning_rate: [0.01, 0.1, 0.3]
  model.hidden: [[4], [8]]
"""


def write_sweep(folder: Path, images: Path, text: str = GRID, epochs: int = 2) -> Path:
    """Write a sweep file over images of the user's own, and return its path."""
    path = folder / "sweep.yaml"
    path.write_text(
        f"config: {{data: {{path: {images}, validation: 100}}, model: {{hidden: [8]}}, "
        f"training: {{epochs: {epochs}, batch_size: 32}}}}\n{text}"
    )
    return path


def command(*arguments: object) -> list[str]:
    """Return the command line of `mlp sweep`, with warnings as errors."""
    return [sys.executable, "-W", "error", "-m", "mlp_cli", "sweep", *map(str, arguments)]


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start `mlp sweep` in a process group of its own."""
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **{"env": {**os.environ, "PYTHONPATH": str(ROOT)}, **options},
    )


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `mlp sweep` to its end."""
    if not options:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        return Loaded.current.run(["sweep", *map(str, arguments)], Path.cwd(), environ)
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def table(sweep: Path) -> dict[str, Any]:
    """Return the results, metrics and configurations of all runs, without their times."""
    found: dict[str, Any] = {"": timeless(json.loads((sweep / "result.json").read_text()))}
    for folder in sorted(sweep.glob("*/*/seed-*")):
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        found[str(folder.relative_to(sweep))] = (
            timeless(json.loads((folder / "result.json").read_text())),
            [timeless(json.loads(line)) for line in lines],
            (folder / "config.yaml").read_text(),
        )
    return found


def timeless(value: Any) -> Any:
    """Return JSON without the keys that depend on the clock."""
    if isinstance(value, dict):
        return {key: timeless(of) for key, of in value.items() if "second" not in key}
    return [timeless(of) for of in value] if isinstance(value, list) else value


def stamps(sweep: Path) -> dict[str, int]:
    """Return when each file of the runs was written."""
    return {str(path): path.stat().st_mtime_ns for path in sweep.glob("*/*/seed-*/*")}
