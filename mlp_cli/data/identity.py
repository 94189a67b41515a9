"""Whether data are those that a network was trained on, wherever they lie now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlp_cli.data import mnist
from mlp_cli.data.dataset import Dataset
from mlp_cli.data.formats.collection import NoFileError
from mlp_cli.errors import ConfigError, DataError
from mlp_cli.storage.header import DataRecord
from mlp_cli.storage.strict_json import shown


def changed_files(record: DataRecord, digests: Mapping[str, str]) -> list[str]:
    """Return the names of the files whose digests differ from those of `record`.

    A file whose digest the record does not hold does not count: checkpoints of earlier builds have
    none.
    """
    return [name for name, found in digests.items() if record.digests.get(name, found) != found]


def differ(files: Sequence[str]) -> str:
    """Return the text that files differ."""
    return f"{' and '.join(files)} {'differ' if len(files) > 1 else 'differs'}"


def same_training_data(a: DataRecord, b: DataRecord) -> bool:
    """Whether two networks were trained on the same data; without digests, on those of one name."""
    return _same_files(a, b, mnist.TRAIN_IMAGES, mnist.TRAIN_LABELS)


def same_test_data(a: DataRecord, b: DataRecord) -> bool:
    """Whether two networks were tested on the same data; without digests, on those of one name."""
    return _same_files(a, b, mnist.TEST_IMAGES, mnist.TEST_LABELS)


def _same_files(a: DataRecord, b: DataRecord, *files: mnist.MnistFile) -> bool:
    if not (a.digests and b.digests):
        return a.name == b.name
    return all(a.digests.get(file.name) == b.digests.get(file.name) for file in files)


def other_data(record: DataRecord, dataset: Dataset, digests: Mapping[str, str]) -> str:
    """Return how data differ from those of `record`, "" if they are the same as far as is known.

    `digests` are those of `dataset` that count. The text continues a sentence, as in "the images
    have 8×9 pixels, not 8×8".
    """
    reasons = []
    if list(dataset.image_shape) != record.image_shape:
        found, then = ("×".join(map(shown, s)) for s in (dataset.image_shape, record.image_shape))
        reasons.append(f"the images have {found} pixels, not {then}")
    if dataset.classes != record.classes:
        reasons.append(f"there are {dataset.classes} classes, not {record.classes}")
    if record.names and list(dataset.names) != record.names:
        reasons.append("the names of the classes differ")
    if changed := changed_files(record, digests):
        reasons.append(differ(changed))
    return "; ".join(reasons)


def refusal(place: str, trained: Path, then: str, why: str) -> DataError:
    """Return the error that the data in `place` are not those that `trained` was trained on.

    `then` is where those were, or their name, and `why` is a text as of `other_data`.
    """
    before = "" if then == place else f" ({then})"
    option = "--data-dir" if then in ("mnist", "synthetic") else "--data-path"
    return DataError(
        f"{place}: these are not the data that {trained} was trained on{before}: {why}. Put the "
        f"right files back, or name their folder with {option} DIR."
    )


def unknown_data(place: str, trained: Path) -> str:
    """Return the warning that `trained` has no digests, so that other data would go unnoticed."""
    return (
        f"{trained} holds no digests of its data, so it is not known whether those in {place} are "
        "the same."
    )


@contextmanager
def known_data(place: str | None, trained: Path, then: str | None) -> Iterator[None]:
    """Explain why data do not load that `trained`, a run or a checkpoint, was trained on.

    `place` is `data.path`, and `then` is as for `refusal`.

    Raises
    ------
    DataError
        If a file of `data.path` is missing, or if there are too few images for `data.validation`
        or `data.limit`.
    """
    try:
        yield
    except NoFileError as error:
        raise DataError(
            f"{error} If the data are in another folder now, name it with --data-path DIR."
        ) from error
    except ConfigError as error:
        if place is None or not str(error).startswith("data."):  # the data leave something open
            raise
        # As many images were held out and trained on before, so there were more.
        key, _, _ = str(error).partition(":")
        why = f"there are too few images for {key}"
        raise refusal(place, trained, then or place, why) from error
