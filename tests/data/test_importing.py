"""An import writes verified IDX files, and never touches what is not its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.class_pictures import image, write_pictures
from helpers.imports import contents, run_import

from mlp_cli.data.formats.collection import Collection, Part
from mlp_cli.data.formats.import_record import RECORD
from mlp_cli.data.formats.importing import RESULT
from mlp_cli.data.idx import read_idx
from mlp_cli.data.pictures.reading import as_png
from mlp_cli.errors import ConfigError, DataError, MlpError, StorageError
from mlp_cli.storage.locks import opened_lockable, try_lock

pytest.importorskip("PIL", reason="needs the extra `images`")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "source", ["a", "b", "ö"])
    return tmp_path / "source"


def test_an_import_has_the_images_the_labels_and_the_names(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    (line,) = run_import(source, folder)
    assert line.endswith("12 train images of 6×5 pixels, 3 classes (a to ö), grey values 3 to 255")
    assert {*contents(folder)} == {RESULT[0], RESULT[1], "labels.txt", RECORD}
    images = read_idx(folder / RESULT[0], ndim=3)
    np.testing.assert_array_equal(images, [image(i) for i in range(12)])
    labels = read_idx(folder / RESULT[1], ndim=1)
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2], 4))
    assert (folder / "labels.txt").read_bytes() == "a\nb\nö\n".encode()


def test_a_share_of_each_class_becomes_the_test_set(tmp_path: Path) -> None:
    images = write_pictures(tmp_path / "source", each=10)
    for name in ("a", "b"):
        run_import(tmp_path / "source", tmp_path / name, test_share=0.3)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    parts = [read_idx(tmp_path / "a" / RESULT[at], ndim=3) for at in (0, 2)]
    labels = [read_idx(tmp_path / "a" / RESULT[at], ndim=1) for at in (1, 3)]
    assert [np.bincount(each).tolist() for each in labels] == [[7, 7, 7], [3, 3, 3]]
    first = [each for at, each in enumerate(images) if at % 10 < 3]
    assert not np.array_equal(parts[1], first)  # they are drawn
    codes = {each.tobytes(): at // 10 for at, each in enumerate(images)}
    assert len(codes) == 30
    for part, own in zip(parts, labels, strict=True):
        assert [codes.pop(each.tobytes()) for each in part] == own.tolist()


@pytest.mark.parametrize(
    ("share", "error", "said"),
    [
        (0.01, DataError, "the test set would be empty. Give a larger --test-share"),
        (0.95, DataError, "no image of class a would be left for training"),
    ],
)
def test_a_share_that_leaves_nothing_is_refused(
    share: float, error: type[MlpError], said: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        run_import(source, tmp_path / "new", test_share=share)
    assert not (tmp_path / "new").exists()


def test_a_test_set_is_kept_and_no_share_is_taken(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_pictures(source / "train")
    write_pictures(source / "test", each=1)
    with pytest.raises(ConfigError, match=r"has a test set. Leave out --test-share"):
        run_import(source, tmp_path / "new", test_share=0.2)
    run_import(source, tmp_path / "new")
    assert {*contents(tmp_path / "new")} == {*RESULT, RECORD}
    assert len(read_idx(tmp_path / "new" / RESULT[2], ndim=3)) == 3


def test_a_finished_import_stays_as_it_is(source: Path, tmp_path: Path) -> None:
    run_import(source, tmp_path / "new")
    before, times = contents(tmp_path / "new"), (tmp_path / "new" / RESULT[0]).stat()
    assert run_import(source, tmp_path / "new") == [
        f"{tmp_path / 'new'} holds this import already."
    ]
    assert contents(tmp_path / "new") == before
    assert (tmp_path / "new" / RESULT[0]).stat().st_mtime_ns == times.st_mtime_ns


def other_source(source: Path, folder: Path) -> None:
    write_pictures(source.with_name("other"))
    run_import(source.with_name("other"), folder)


def other_options(source: Path, folder: Path) -> None:
    run_import(source, folder, size=(3, 3))


def changed_source(source: Path, folder: Path) -> None:
    run_import(source, folder)
    (source / "a" / "more.png").write_bytes(as_png(image(99)))


def changed_result(source: Path, folder: Path) -> None:
    run_import(source, folder)
    (folder / RESULT[1]).write_bytes(b"changed")


def missing_result(source: Path, folder: Path) -> None:
    run_import(source, folder)
    (folder / "labels.txt").unlink()


def own_file(source: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / RESULT[0]).write_bytes(b"mine")


def hidden_file(source: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / ".lock").touch()


def other_record(source: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / RECORD).write_text('{"imports": []}')


def a_file(source: Path, folder: Path) -> None:
    folder.write_text("mine")


REFUSALS = {
    other_source: "new holds an import of .*other. Choose a new folder, or remove this one first",
    other_options: "new holds an import of the same source with other options",
    changed_source: "new holds an import of the same source, which has changed since",
    changed_result: f"{RESULT[1]} has changed since it was imported. Remove .*new, and import",
    missing_result: "labels.txt is missing since it was imported",
    own_file: f"new is not empty: it holds {RESULT[0]}. Choose a new folder",
    hidden_file: "new is not empty: it holds .lock. Choose a new folder",
    other_record: "import.json is missing source, so it is no record of an import",
    a_file: "new is a file. Choose the name of a new folder",
}


@pytest.mark.parametrize("prepare", REFUSALS, ids=lambda prepare: prepare.__name__)
def test_what_is_in_the_folder_is_never_touched(
    prepare: object, source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    prepare(source, folder)  # type: ignore[operator]
    before = contents(folder) if folder.is_dir() else folder.read_bytes()
    with pytest.raises(ConfigError, match=REFUSALS[prepare]):  # type: ignore[index]
        run_import(source, folder)
    assert before == (contents(folder) if folder.is_dir() else folder.read_bytes())


@pytest.mark.parametrize("place", ["", "new", "a/new"])
def test_a_folder_within_the_source_is_refused(place: str, source: Path) -> None:
    with pytest.raises(ConfigError, match=r"lies in .*source. Choose a folder outside"):
        run_import(source, source / place)


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/source: there is no such file or folder"):
        run_import(tmp_path / "source", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("made", [False, True])
def test_nothing_is_left_after_an_error(made: bool, source: Path, tmp_path: Path) -> None:
    (source / "ö" / "z.png").write_bytes(b"no picture")
    folder = tmp_path / "new" / "folder"
    if made:
        folder.mkdir(parents=True)
    with pytest.raises(DataError, match=r"ö/z.png: it cannot be read"):
        run_import(source, folder)
    assert folder.exists() == made
    assert not made or not contents(folder)
    assert (tmp_path / "new").exists() == made


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31m", " "])
def test_a_class_name_that_is_no_line_of_text_is_refused(name: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "source", ["a", name])
    with pytest.raises(DataError, match=r"a class is called '.*', but a name must be one line"):
        run_import(tmp_path / "source", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_imports_into_one_folder_exclude_each_other(source: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with opened_lockable(tmp_path / "new") as descriptor:
        assert try_lock(descriptor)
        with pytest.raises(ConfigError, match="another process imports into it"):
            run_import(source, tmp_path / "new")
    assert not contents(tmp_path / "new")


def test_a_file_that_the_disk_does_not_hold_as_written_is_found(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(path: Path, ndim: int) -> np.ndarray:
        found = np.array(read_idx(path, ndim=ndim))
        found.flat[7] ^= 1
        return found

    monkeypatch.setattr("mlp_cli.data.formats.importing.read_idx", damaged)
    with pytest.raises(StorageError, match=f"{RESULT[0]}: the file is not as it was written"):
        run_import(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_record_says_what_was_imported(source: Path, tmp_path: Path) -> None:
    run_import(source, tmp_path / "new", size=(3, 4), test_share=0.25)
    record = json.loads((tmp_path / "new" / RECORD).read_text())
    assert record["source"] == str(source)
    assert record["options"] == {"size": [3, 4], "test_share": 0.25}
    assert {*record["files"]} == {*RESULT}


def test_what_was_found_tells_labels_without_names_from_no_labels() -> None:
    images = np.zeros((3, 5, 5), np.uint8)
    labels = np.array([0, 7, 2], np.uint8)
    for found, said in ((labels, "labels 0 to 7"), (None, "no labels")):
        parts = {"train": Part(images, found)}
        assert f" pixels, {said}, grey" in str(Collection(Path("x"), "IDX files", parts, ()))
