"""An interrupted import goes on and ends in the same bytes, at whatever instant it was killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.class_pictures import image, write_pictures
from helpers.imports import contents, run_import, stop_after
from helpers.proofs import Proof

from mlp_cli.data.formats.collection import Answers
from mlp_cli.data.formats.import_record import PICTURES, RECORD, read_record
from mlp_cli.data.formats.importing import RESULT, import_collection
from mlp_cli.data.pictures.reading import as_png
from mlp_cli.errors import ConfigError

pytest.importorskip("PIL", reason="needs the extra `images`")

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGTERM)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "source", ["a", "b", "ö"])
    return tmp_path / "source"


@pytest.mark.parametrize("n", [1, 5, 12])
def test_an_interrupted_import_goes_on_and_ends_in_the_same_bytes(
    n: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_import(source, tmp_path / "straight")
    stop_after(n, source, tmp_path / "new", monkeypatch)
    assert not {*RESULT} & {*contents(tmp_path / "new")}
    # What a process leaves that is killed while it appends a picture or writes the record.
    with (tmp_path / "new" / PICTURES).open("ab") as file:
        file.write(b"half")
    (tmp_path / "new" / f".{RECORD}.{'0' * 16}.tmp").touch()
    lines = run_import(source, tmp_path / "new")
    assert lines[0] == f"The import goes on after {n} pictures."
    assert contents(tmp_path / "new") == contents(tmp_path / "straight")


def test_an_import_that_goes_on_reads_only_the_other_pictures(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(5, source, tmp_path / "new", monkeypatch)
    steps: list[tuple[int, int]] = []
    import_collection(
        source, tmp_path / "new", Answers(), progress=lambda *step: steps.append(step)
    )
    assert steps == [(done, 12) for done in range(6, 13)]


def test_an_import_begins_again_if_kept_pictures_are_lost(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_import(source, tmp_path / "straight")
    stop_after(5, source, tmp_path / "new", monkeypatch)
    with (tmp_path / "new" / PICTURES).open("r+b") as file:
        file.truncate(60)
    run_import(source, tmp_path / "new")
    assert contents(tmp_path / "new") == contents(tmp_path / "straight")


def replaced_picture(source: Path) -> dict[str, object]:
    (source / "a" / "000000.png").write_bytes(as_png(image(50)))
    return {}


def other_size(source: Path) -> dict[str, object]:
    return {"size": (3, 3)}


@pytest.mark.parametrize("change", [replaced_picture, other_size])
def test_an_import_of_what_has_changed_meanwhile_begins_again(
    change: object, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(5, source, tmp_path / "new", monkeypatch)
    answers = change(source)  # type: ignore[operator]
    lines = run_import(source, tmp_path / "new", **answers)
    assert lines[0] == "The source or the options have changed, so the import begins again."
    run_import(source, tmp_path / "straight", **answers)
    assert contents(tmp_path / "new") == contents(tmp_path / "straight")


def test_an_unfinished_import_of_another_source_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(5, source, tmp_path / "new", monkeypatch)
    before = contents(tmp_path / "new")
    write_pictures(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"holds an unfinished import of .*/source"):
        run_import(tmp_path / "other", tmp_path / "new")
    assert contents(tmp_path / "new") == before


def test_a_file_put_into_an_unfinished_import_is_not_replaced(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(5, source, tmp_path / "new", monkeypatch)
    (tmp_path / "new" / RESULT[1]).write_bytes(b"mine")
    with pytest.raises(ConfigError, match=f"{RESULT[1]} is already there, and is not of this"):
        run_import(source, tmp_path / "new")
    assert contents(tmp_path / "new") == {RESULT[1]: b"mine"}


PROGRAM = (  # as `mlp`, but it saves all the time
    "import sys, mlp_cli.data.formats.import_record as r; r.SAVE_EVERY = 0.002;"
    "from mlp_cli.__main__ import main; sys.argv[0] = 'mlp'; main()"
)
CALM = "from mlp_cli.__main__ import main; main()"


def start(source: Path, folder: Path, program: str = PROGRAM) -> subprocess.Popen[str]:
    """Start an import as a process of its own."""
    options = ["data", "import", str(source), str(folder), "--test-share", "0.2"]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a process that should succeed, and return its stderr."""
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stderr


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.proof("I1 import of pictures: SIGKILL or SIGTERM at a random instant")
def test_an_import_survives_signals_at_random_instants(proof: Proof, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_pictures(source, each=300)
    run_import(source, tmp_path / "straight", test_share=0.2)
    killed = 0
    for trial in proof.trials(5, 40):
        choice = random.Random(trial)
        folder, number = tmp_path / f"trial-{trial}", choice.choice(SIGNALS)
        for _ in range(2):  # the second one hits an import that goes on
            process = start(source, folder)
            while not (folder / RECORD).exists() and process.poll() is None:
                time.sleep(0.001)
            time.sleep(choice.uniform(0, 0.4))
            process.send_signal(number)
            process.communicate()
            assert process.returncode in (-number, 0)
            killed += process.returncode != 0
        finish(start(source, folder))
        assert contents(folder) == contents(tmp_path / "straight")
    assert killed  # else all signals came too late to prove anything


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.proof("I2 60,000 pictures imported within 60 s, killed and continued")
def test_sixty_thousand_pictures_are_imported_in_a_minute(proof: Proof, tmp_path: Path) -> None:
    source = tmp_path / "source"
    each = 6_000 if proof.long else 200
    write_pictures(source, [str(digit) for digit in range(10)], each)
    begun = time.monotonic()
    process = start(source, tmp_path / "new", CALM)
    while process.poll() is None and not kept(tmp_path / "new"):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    said = finish(start(source, tmp_path / "new", CALM))
    seconds = time.monotonic() - begun
    for _ in proof.trials(1, 1):
        assert seconds < 60
        assert not proof.long or "The import goes on after" in said
    finish(start(source, tmp_path / "straight", CALM))
    assert contents(tmp_path / "new") == contents(tmp_path / "straight")


def kept(folder: Path) -> int:
    """Return how many pictures the record of an import says are kept."""
    found = read_record(folder) if folder.exists() else None
    return 0 if found is None else found.pictures
