"""Too little memory is one message that reads as a sentence."""

from __future__ import annotations

import pytest

from mlp_cli.cli import main


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "None is left"),
        (MemoryError(""), "None is left"),
        (MemoryError("."), "None is left"),
        (MemoryError("Unable to allocate 7.45 TiB"), "Unable to allocate 7.45 TiB"),
        (MemoryError("std::bad_alloc."), "std::bad_alloc"),
    ],
)
def test_a_lack_of_memory_is_told_in_whole_sentences(
    error: MemoryError,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object, **options: object) -> int:
        raise error

    monkeypatch.setattr(main.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 2
    expected = f"Error: not enough memory. {reason}. Choose a smaller model.hidden "
    assert capsys.readouterr().err.startswith(expected)
