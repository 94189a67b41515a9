"""The message for a refused checkpoint: its name, the reason and the remedy, on one line."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from test_hostile import HOSTILE, LARGE, WORDS

from mlp_cli import load
from mlp_cli.errors import CheckpointError, ConfigError, MlpError, StorageError
from mlp_cli.storage.checkpoint import load_checkpoint, save_checkpoint

WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)
DIGEST = "is damaged .*: its digest does not match its content"


def npy(array: np.ndarray) -> bytes:
    member = io.BytesIO()
    np.save(member, array)
    return member.getvalue()


def no_zip(path: Path) -> None:
    path.write_bytes(b"no zip\nat all")


def compressed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", npy(WEIGHTS))


def doubled(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("header.npy", npy(WEIGHTS))
        archive.writestr("header.npy", npy(WEIGHTS))


def inflated(path: Path) -> None:
    """Write a member that claims to have 1 GB, in a file of some hundred bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", npy(WEIGHTS))
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (10**9).to_bytes(4, "little")
    path.write_bytes(content)


def without_header(path: Path) -> None:
    np.savez(path, weights=WEIGHTS)


def changed(name: str, array: np.ndarray) -> Callable[[Path], None]:
    """Return a function that writes a checkpoint with a replaced array and the old digest."""

    def make(path: Path) -> None:
        save_checkpoint(path, {"weights": WEIGHTS}, {})
        with np.load(path) as archive:
            kept = {name: archive[name] for name in ("header", "digest")}
        np.savez(path, **{**kept, name: array})

    return make


def of_another_release(path: Path) -> None:
    save_checkpoint(path, {"weights": WEIGHTS}, {"format": 99})


def missing(path: Path) -> None:
    """Write nothing."""


def below_a_file(path: Path) -> None:
    path.symlink_to(path.parent / "file" / "last.npz")
    (path.parent / "file").touch()


def a_folder(path: Path) -> None:
    path.mkdir()


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def reason_of(error: MlpError) -> str:
    """Return the reason in an error without the remedy, and check that both are on one line."""
    found = re.fullmatch(r"(.*?)\. ([A-Z][a-z ].*\.)", str(error))
    assert found, str(error)
    return found[1]


@pytest.mark.parametrize(
    ("make", "kind", "reason"),
    [
        (no_zip, CheckpointError, "is damaged or no checkpoint of mlp: "),
        (compressed, CheckpointError, "it is compressed"),
        (doubled, CheckpointError, "it holds the name 'header' twice"),
        (inflated, CheckpointError, "claim more bytes than|header"),
        (without_header, CheckpointError, "header"),
        (changed("header", np.ones(())), CheckpointError, ": its header or its digest is missing$"),
        (
            changed("header", np.array(["{}"])),
            CheckpointError,
            ": its header or its digest is miss",
        ),
        (changed("weights", WEIGHTS + 1), CheckpointError, DIGEST),
        (changed("weights", WEIGHTS.reshape(3, 2)), CheckpointError, DIGEST),
        (changed("weights", WEIGHTS.view(np.int32)), CheckpointError, "is damaged"),
        (changed("weight", WEIGHTS), CheckpointError, DIGEST),
        (missing, ConfigError, "there is no such checkpoint"),
        (below_a_file, ConfigError, "there is no such checkpoint"),
        (a_folder, MlpError, ""),
        (a_loop, StorageError, "^cannot read "),
    ],
)
def test_the_message_names_the_file_and_the_reason(
    make: Callable[[Path], None], kind: type[MlpError], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "last.npz"
    make(path)
    with pytest.raises(kind) as caught:
        load_checkpoint(path)
    assert str(path) in reason_of(caught.value)
    assert re.search(reason, reason_of(caught.value))


@pytest.mark.parametrize("name", sorted(HOSTILE.keys() - LARGE))
def test_the_message_for_a_hostile_file_is_one_sentence_about_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    path.write_bytes(HOSTILE[name]())
    with pytest.raises(CheckpointError) as caught:
        load(path)
    reason = reason_of(caught.value).removeprefix(f"{path}")
    # The sentence begins with the name of the file.
    assert re.fullmatch(r"(?s)( is damaged or no checkpoint of mlp)?: [a-z'].*[^X]", reason)
    assert WORDS.get(name, "") in reason


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("absent", (2, 3), r"absent is missing; its configuration needs \(2, 3\), type float32"),
        ("weights", (3, 2), r"weights has shape \(2, 3\), type float32; .* needs \(3, 2\), .*"),
        ("double", (2,), r"double has shape \(2,\), type float64; .* needs \(2,\), type float32"),
    ],
)
def test_the_message_for_an_array_names_what_is_found_and_what_is_needed(
    name: str, shape: tuple[int, ...], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "last.npz"
    save_checkpoint(path, {"weights": WEIGHTS, "double": np.ones(2)}, {})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path).array(name, shape, "float32")
    assert re.fullmatch(f"{re.escape(str(path))}: {reason}", reason_of(caught.value))


def test_a_file_with_the_records_for_more_than_4_gib_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Above 4 GiB a zip file needs records of 64 bits for positions and lengths.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    path = tmp_path / "last.npz"
    save_checkpoint(path, {"weights": WEIGHTS}, {"seed": 1})
    assert b"PK\6\6" in path.read_bytes()
    found = load_checkpoint(path)
    np.testing.assert_array_equal(found.arrays["weights"], WEIGHTS)
    assert found.header["seed"] == 1


def test_a_file_of_a_big_endian_machine_loads(tmp_path: Path) -> None:
    path, other = tmp_path / "last.npz", tmp_path / "other.npz"
    save_checkpoint(path, {"weights": WEIGHTS}, {"seed": 1})
    with np.load(path) as archive:
        texts = {name: archive[name] for name in ("header", "digest")}
    texts = {name: text.astype(text.dtype.newbyteorder(">")) for name, text in texts.items()}
    assert b"'>U" in npy(texts["header"])
    np.savez(other, weights=WEIGHTS, **texts)
    assert load_checkpoint(other).header["seed"] == 1


def test_the_message_for_another_format_names_both_formats(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    of_another_release(path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    expected = f"{path}: checkpoint format 99, but this release reads 1"
    assert reason_of(caught.value) == expected


@dataclass
class Section:
    """A section of a header, as `record` reads it."""

    count: int
    share: float
    best: float | None = None


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (None, "its section is None, not a mapping"),
        ([1, 2], r"its section is \[1, 2\], not a mapping"),
        ({"count": 1, "share": 1}, None),
        ({"count": 1, "share": 0.5, "best": 2}, None),
        ({"count": 2**63 - 1, "share": 0.0, "best": None}, None),
        ({"share": 0.5}, "its section is missing count"),
        ({"count": 2**63, "share": 0.5}, f"its section has count = {2**63}, not int"),
        ({"count": -1, "share": 0.5}, "its section has count = -1, not int"),
        ({"count": 1.0, "share": 0.5}, "its section has count = 1.0, not int"),
        ({"count": True, "share": 0.5}, "its section has count = True, not int"),
        (
            {"count": 1, "share": "half", "best": "one", "more": 1},
            r"its section holds 'more', unknown here; has share = 'half', not float; "
            r"has best = 'one', not float \| None",
        ),
        ({"count": 1, "share": "h" * 58}, f"its section has share = '{'h' * 58}', not .*"),
        ({"count": 1, "share": "h" * 59}, f"its section has share = '{'h' * 59}…, not .*"),
    ],
)
def test_a_section_of_the_header_is_read_or_its_faults_are_named(
    section: object, reason: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "last.npz"
    save_checkpoint(path, {}, {"section": section})
    checkpoint = load_checkpoint(path)
    if reason is None:
        assert isinstance(section, dict)
        assert asdict(checkpoint.record("section", Section, ["count", "share"])) == {
            "best": None,
            **section,
        }
        return
    with pytest.raises(CheckpointError) as caught:
        checkpoint.record("section", Section, ["count", "share"])
    assert re.fullmatch(f"{re.escape(str(path))}: {reason}", reason_of(caught.value))


def test_the_message_for_a_failed_save_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "last.npz"
    with pytest.raises(StorageError) as caught:
        save_checkpoint(path, {"weights": WEIGHTS}, {})
    assert reason_of(caught.value) == f"cannot write {path}: {os.strerror(2)}"
