"""Trained networks classify pictures, and say what they do not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlp_cli import Model, SilentObserver, load, train
from mlp_cli.data.pictures.collection import Pictures
from mlp_cli.data.pictures.reading import Picture
from mlp_cli.data.pictures.windows import scaled
from mlp_cli.data.synthetic import draw_digits
from mlp_cli.errors import CheckpointError, ConfigError, DataError, MlpError
from mlp_cli.inference.predict import Answer, Predictor, Seen, networks_and_pictures
from mlp_cli.reports.answers import answer_csv, answer_text, drawing, reading_text
from mlp_cli.reports.inputs import InputFolder

Pixels = NDArray[np.uint8]

SYNTHETIC = {"data": {"dataset": "synthetic"}, "model": {"hidden": [32]}, "training": {"epochs": 2}}


@pytest.fixture(scope="module")
def digits() -> tuple[Pixels, Pixels]:
    """Drawn digits that no network is trained on, and their labels."""
    _, _, images, labels = draw_digits()
    return images, labels


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """A network for drawn digits, after two epochs and after one."""
    found = []
    for epochs in (2, 1):
        out = tmp_path_factory.mktemp("runs") / "run"
        changes = {"training.epochs": epochs}
        train(SYNTHETIC, out=out, set=changes, observer=SilentObserver())
        found.append(load(out))
    return found


@pytest.fixture
def other(config: Path, tmp_path: Path) -> Model:
    """A network for images of 8×8 pixels that are no digits."""
    train(config, out=tmp_path / "other", observer=SilentObserver())
    return load(tmp_path / "other")


def photograph(image: Pixels) -> Picture:
    """A picture of a digit on paper, with dark ink."""
    paper = np.linspace(150, 230, 300, dtype=np.float32) * np.ones((300, 1), np.float32)
    ink = np.pad(scaled(image, 180, 180), 60) / 255
    return Picture("a.png", paper * (1 - 0.8 * ink))


def answers(predictor: Predictor, *pictures: Picture) -> list[Answer]:
    def fail(error: MlpError) -> None:
        raise error

    return list(predictor.answers(pictures, fail))


@pytest.mark.long
def test_photographed_digits_are_classified_as_the_images_are(
    models: list[Model], digits: tuple[Pixels, Pixels]
) -> None:
    images, labels = digits[0][:24], digits[1][:24]
    found = answers(Predictor(models[:1]), *map(photograph, images))
    assert [answer.seen.digits for answer in found] == [1] * 24
    right = np.sum([answer.prediction for answer in found] == labels)
    assert right >= np.sum(models[0].predict(images) == labels) - 3
    assert right >= 18


@pytest.mark.long
def test_raw_images_are_classified_as_the_network_does(
    models: list[Model], digits: tuple[Pixels, Pixels]
) -> None:
    images = digits[0][:50]
    found = answers(Predictor(models[:1], raw=True), *(Picture("a", image) for image in images))
    probabilities = models[0].predict_proba(images)
    assert [answer.prediction for answer in found] == probabilities.argmax(axis=1).tolist()
    assert np.array([answer.probabilities for answer in found]) == pytest.approx(
        probabilities, abs=1e-5
    )
    assert all(answer.seen.image is not None for answer in found)


@pytest.mark.long
def test_a_raw_picture_of_another_size_is_refused_and_the_others_are_classified(
    models: list[Model], digits: tuple[Pixels, Pixels]
) -> None:
    told: list[str] = []
    pictures = [Picture("a.png", digits[0][0].repeat(2, axis=1)), Picture("b.png", digits[0][0])]
    predictor = Predictor(models, raw=True)
    found = list(predictor.answers(pictures, lambda error: told.append(str(error))))
    assert [answer.seen.picture for answer in found] == ["b.png"]
    assert told == [
        "a.png: 56 × 28 pixels, but with --raw a picture has the network's 28 × 28. Leave --raw "
        "out."
    ]


@pytest.mark.long
def test_a_committee_answers_by_the_mean_of_its_log_probabilities(
    models: list[Model], digits: tuple[Pixels, Pixels]
) -> None:
    images = digits[0][:50]
    found = answers(Predictor(models, raw=True), *(Picture("a", image) for image in images))
    product = np.prod([model.predict_proba(images) for model in models], axis=0) ** 0.5
    expected = product / product.sum(axis=1, keepdims=True)
    assert np.array([answer.probabilities for answer in found]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.long
def test_networks_for_other_images_are_no_committee(models: list[Model], other: Model) -> None:
    with pytest.raises(CheckpointError, match="no committee"):
        Predictor([models[0], other])


@pytest.mark.long
def test_pictures_for_a_network_of_other_data_are_scaled_alone(other: Model) -> None:
    predictor = Predictor([other])
    assert "8 × 8" in predictor.remark
    assert "not on MNIST" in predictor.remark
    picture = np.random.default_rng(1).integers(0, 256, (32, 32)).astype(np.uint8)
    (found,) = answers(predictor, Picture("a", picture))
    assert found.seen.image == pytest.approx(picture.reshape(8, 4, 8, 4).mean(axis=(1, 3)), abs=0.5)
    with pytest.raises(ConfigError, match="--grid"):
        Predictor([other], grid=True)


@pytest.mark.long
def test_all_digits_of_a_grid_are_read_in_their_order(
    models: list[Model], digits: tuple[Pixels, Pixels]
) -> None:
    images = digits[0][:6].reshape(2, 3, 28, 28)
    sheet = scaled(np.hstack(np.hstack(images)), 336, 504)  # two lines of three
    found = answers(Predictor(models, grid=True), Picture("a", 255 - sheet))
    single = [
        answers(Predictor(models), Picture("a", 255 - scaled(image, 168, 168)))[0].prediction
        for image in digits[0][:6]
    ]
    assert [answer.prediction for answer in found] == single
    assert [(answer.seen.line, answer.seen.position) for answer in found] == [
        (line, position) for line in (1, 2) for position in (1, 2, 3)
    ]
    read = "".join(map(str, single))
    assert reading_text(found) == f"a reads {read[:3]} {read[3:]}"


def answer(*probabilities: float, **seen: object) -> Answer:
    image = np.zeros((28, 28), np.uint8)
    return Answer(Seen(**{"picture": "a.png", "image": image, **seen}), probabilities or None)


@pytest.mark.parametrize(
    ("found", "notes", "text", "row"),
    [
        (answer(0.1, 0.9), [], "1   90.00 %  a.png", "a.png,,,1,0.900000,"),
        (
            answer(0.4, 0.6),
            ["unsure"],
            "1   60.00 %  a.png: unsure, 0 has 40.00 %",
            "a.png,,,1,0.600000,unsure",
        ),
        (
            answer(0.6, 0.4, digits=3),
            ["unsure", "several"],
            "0   60.00 %  a.png: unsure, 1 has 40.00 %; the largest of 3 digits; --grid reads all",
            "a.png,,,0,0.600000,unsure several",
        ),
        (
            answer(0, 1, line=2, position=5),
            [],
            "1  100.00 %  a.png line 2, digit 5",
            "a.png,2,5,1,1.000000,",
        ),
        (
            answer(*([0] * 10 + [1]), picture="\x1b[31m"),
            [],
            r"10  100.00 %  \x1b[31m",
            r"\x1b[31m,,,10,1.000000,",
        ),
        (
            answer(image=None),
            ["blank"],
            "-           a.png: blank, no ink was found",
            "a.png,,,,,blank",
        ),
    ],
    ids=["sure", "unsure", "several", "in a grid", "odd name", "blank"],
)
def test_an_answer_is_told_as_text_and_as_csv(
    found: Answer, notes: list[str], text: str, row: str
) -> None:
    assert found.notes == notes
    assert answer_text(found) == text
    assert answer_csv(found) == row
    assert found.to_dict()["notes"] == notes


def test_what_the_network_saw_is_drawn_in_blocks_or_in_ascii() -> None:
    image = np.zeros((5, 4), np.uint8)
    image[0, 0] = image[1, 1] = image[2:4, 2] = image[4, 3] = 255
    assert drawing(image, "utf-8") == "    ▀▄\n      █\n       ▀"
    for encoding in ("ascii", "latin-1", "no such encoding", None):
        assert drawing(image, encoding) == "    ==\n      @\n       ="
    large = drawing(np.full((300, 400), 255, np.uint8), "utf-8").splitlines()
    assert (len(large), len(large[0].strip())) == (21, 56)


def test_paths_that_are_networks_are_told_from_pictures(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best.npz").touch()
    (tmp_path / "folder").mkdir()
    run, folder, file = tmp_path / "run", tmp_path / "folder", Path("last.npz")
    stream = Path("-")
    assert networks_and_pictures([run, folder, file, stream]) == ([run, file], [folder, stream])
    with pytest.raises(ConfigError, match="folder: it is not a network"):
        networks_and_pictures([folder, stream])
    with pytest.raises(ConfigError, match="no picture"):
        networks_and_pictures([run])


def test_a_single_unreadable_file_is_the_error_and_one_of_many_is_passed_over(
    tmp_path: Path,
) -> None:
    bad, good = tmp_path / "bad.npy", tmp_path / "good.npy"
    bad.write_bytes(b"\x93NUMPY")
    np.save(good, np.zeros((2, 2), np.uint8))
    told: list[str] = []
    for paths in ([bad], [tmp_path / "missing"]):
        with pytest.raises(DataError, match=str(paths[0])):
            list(Pictures(paths, told.append))
    assert not told
    pictures = Pictures([bad, tmp_path / "missing", good], told.append)
    assert [picture.name for picture in pictures] == [str(good)]
    assert [str(bad) in told[0], "missing" in told[1], len(told)] == [True, True, 2]
    with pytest.raises(DataError, match="2 of the pictures were not read"):
        pictures.check()


def test_inputs_are_written_to_a_new_folder_alone(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="needs the extra `images`")
    folder = InputFolder(tmp_path / "new" / "inputs")
    image = np.arange(784).reshape(28, 28).astype(np.uint8)
    folder.add(Seen("under/a b\n.png", image))
    folder.add(Seen("blank", None))
    folder.add(Seen("a.npy[3]", image))
    names = sorted(file.name for file in (tmp_path / "new" / "inputs").iterdir())
    assert names == ["00001-a_b_.png.png", "00002-a.npy_3_.png"]
    with pytest.raises(ConfigError, match="not empty"):
        InputFolder(tmp_path / "new" / "inputs")
