"""Imports within this process: whole ones, and some that stop on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlp_cli.data.formats.collection import Answers
from mlp_cli.data.formats.importing import import_collection


class Stopped(BaseException):
    """Ends an import as a signal does."""


def run_import(
    source: Path, folder: Path, test_share: float | None = None, **answers: object
) -> list[str]:
    """Import, and return the lines that are logged."""
    lines: list[str] = []
    given = Answers(**answers)  # type: ignore[arg-type]
    import_collection(source, folder, given, test_share=test_share, log=lines.append)
    return lines


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stop_after(n: int, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Import until `n` pictures are decoded, and save after each of them."""

    def progress(done: int, total: int) -> None:
        if done == n:
            raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr("mlp_cli.data.formats.import_record.SAVE_EVERY", -1)
        import_collection(source, folder, Answers(), progress=progress)
