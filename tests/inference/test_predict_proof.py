"""Pictures and sheets of digits that are drawn at random, classified by a network for MNIST."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.proofs import Proof
from numpy.typing import NDArray

from mlp_cli import Model, SilentObserver, load, load_config, train
from mlp_cli.data.dataset import load_dataset
from mlp_cli.data.pictures.reading import Grey, Picture, read_pictures
from mlp_cli.errors import DataError
from mlp_cli.inference.predict import Answer, Predictor

pytest.importorskip("PIL", reason="needs the extra `images`")

from helpers.drawn_pictures import make_picture, make_sheet, naively_resized

Pixels = NDArray[np.uint8]
ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "mnist.yaml"
SEED = 300  # the pictures' seeds begin here
DIGITS = 20  # on a sheet
SHEET = (1, 4, 6, 6, 3, 8, 3, 2, 1, 5, 2, 8, 2, 4, 4, 5, 6, 0, 3, 1)  # of the page

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def test_set(mnist_source: Path) -> tuple[Pixels, Pixels]:
    """MNIST's test images, and their labels."""
    split = load_dataset(load_config(CONFIG), mnist_source).test
    assert split is not None
    return split.images.reshape(-1, 28, 28), split.labels


@pytest.fixture(scope="module")
def model(
    mnist_source: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Model:
    """The network of configs/mnist.yaml; outside a proof, a small one that learns for an epoch."""
    proof = request.config.option.markexpr == "proof"
    changes = {} if proof else {"model.hidden": [64], "training.epochs": 1}
    out = tmp_path_factory.mktemp("runs") / "run"
    train(CONFIG, out=out, set=changes, data_dir=mnist_source, observer=SilentObserver())
    return load(out)


def answers(predictor: Predictor, picture: Grey) -> list[Answer]:
    def fail(error: DataError) -> None:
        raise error

    return list(predictor.answers([Picture("a picture", picture)], fail))


@pytest.mark.proof("V1 pictures of MNIST's test images: answered")
def test_pictures_are_classified_nearly_as_well_as_the_images_in_them(
    model: Model, test_set: tuple[Pixels, Pixels], proof: Proof
) -> None:
    images, labels = test_set
    right = naive = 0
    for trial in proof.trials(quick=24, long=300):
        chosen = int(np.random.default_rng(SEED + trial).integers(len(images)))
        picture, _ = make_picture(images[chosen], SEED + trial)
        (answer,) = answers(Predictor([model]), picture)
        right += answer.prediction == labels[chosen]
        naive += model.predict(naively_resized(picture)[None])[0] == labels[chosen]
    share, naive_share = right / proof.begun, naive / proof.begun
    sys.stdout.write(f"{share:.2%} of the pictures are right, {naive_share:.2%} naively resized\n")
    assert share >= (0.96 if proof.long else 0.75)
    assert share >= naive_share + 0.3


@pytest.mark.proof("V2 sheets of 20 digits: read")
def test_sheets_are_read_in_their_order(
    model: Model, test_set: tuple[Pixels, Pixels], proof: Proof
) -> None:
    images, labels = test_set
    right = 0
    for trial in proof.trials(quick=2, long=40):
        chosen = np.random.default_rng(SEED + trial).integers(0, len(images), DIGITS)
        sheet = make_sheet(images[chosen], SEED + trial)
        found = [answer.prediction for answer in answers(Predictor([model], grid=True), sheet)]
        if len(found) == DIGITS:  # without one, no place is right
            right += int(np.sum(found == labels[chosen]))
    share = right / (DIGITS * proof.begun)
    sys.stdout.write(f"{share:.2%} of the digits are right\n")
    assert share >= (0.95 if proof.long else 0.8)


@pytest.mark.proof("V3 the pictures of docs/predict.md: read")
def test_the_pictures_of_the_page_are_read_as_it_says(model: Model, proof: Proof) -> None:
    for _ in proof.trials(quick=1, long=1):
        (digit,) = read_pictures(ROOT / "docs" / "pictures" / "digit.jpg")
        (sheet,) = read_pictures(ROOT / "docs" / "pictures" / "sheet.png")
        assert answers(Predictor([model]), digit.values)[0].prediction == 8
        found = answers(Predictor([model], grid=True), sheet.values)
        wrong = sum(a.prediction != b for a, b in zip(found, SHEET, strict=True))
        assert wrong <= (0 if proof.long else 3)
