"""`mlp train --quiet` in a process of its own, for a configuration that trains quickly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from helpers.loaded import Loaded

ROOT = Path(__file__).parents[2]
FILES = {"config.yaml", "metrics.jsonl", "best.npz", "last.npz", "result.json", "env.json"}

Train = Callable[..., subprocess.CompletedProcess[bytes]]


def write_quick_config(folder: Path, images: Path) -> Path:
    """Write a configuration for at least 200 images, and return its path."""
    path = folder / "c.yaml"
    path.write_text(
        f"data: {{path: {images}, validation: 50, scaling: standard}}\n"
        "model: {hidden: [8]}\ntraining: {epochs: 2, batch_size: 32}\n"
    )
    return path


def train_quietly(folder: Path, config: Path) -> Train:
    """Return a function that runs `mlp train --quiet` in a folder, with warnings as errors."""

    def run(
        *arguments: object,
        environ: dict[str, str | None] | None = None,
        python: Sequence[str] = ("-W", "error"),
        before: Callable[[], object] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}
        environment = {name: value for name, value in environment.items() if value is not None}
        given = [] if "--config" in arguments else ["--config", str(config)]
        words = ["train", *given, "--quiet", *map(str, arguments)]
        options = {"cwd": folder, "timeout": 120, **options}
        if before is None and python == ("-W", "error") and set(options) == {"cwd", "timeout"}:
            return Loaded.current.run(words, env=environment, text=False, **options)
        return subprocess.run(
            [sys.executable, *python, "-m", "mlp_cli", *map(os.fsencode, words)],
            env=environment,
            preexec_fn=before,
            **{"stdout": -1, "stderr": -1, **options},
            check=False,
        )

    return run


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in folder.rglob("*")
    }
