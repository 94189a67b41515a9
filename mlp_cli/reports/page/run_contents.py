"""What the page of one run says, as plain data.

A part that cannot be read is left out, and a note says why. So there is a page about any run: one
that has not finished, that diverged, or whose images are not on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mlp_cli.config.dumped import ConfigReader
from mlp_cli.config.schema import Config
from mlp_cli.errors import CheckpointError, ConfigError, DataError, StorageError
from mlp_cli.inference.model import Model
from mlp_cli.reports.comparison_text import duration
from mlp_cli.reports.page.learning import Learning, diverged_steps, learning
from mlp_cli.reports.page.network import FirstWeights, batch_gradients, first_weights, norms_table
from mlp_cli.reports.page.scored import Scored, Seen, distortions, load_images, score
from mlp_cli.reports.page.settings import Repeat, Setting, repeat, settings
from mlp_cli.reports.tables import Column
from mlp_cli.runs.listing import FoundRun, ListedRun, RunReader
from mlp_cli.runs.records import read_metrics, read_result, read_steps
from mlp_cli.storage.checkpoint import load_checkpoint
from mlp_cli.storage.strict_json import read_object
from mlp_cli.training.metrics import wilson_interval

FAULTS = (CheckpointError, ConfigError, DataError, StorageError)
Part = TypeVar("Part")
MOST_ENTRIES, LONGEST = 50, 200  # of the record of the machine: entries, and characters of each

STATES = {
    "finished": "",
    "running": "A process is still training this run.",
    "stopped": "This run has not finished.",
    "diverged": "This training diverged: a loss, a gradient or a weight was not finite.",
    "pruned": "A sweep ended this run early.",
    "failed": "A sweep could not train this run.",
    "damaged": "A file of this run is damaged.",
}


class Headline(NamedTuple):
    """An error rate with its interval, and the images that it is of. Rates are in percent."""

    split: str
    rate: float
    low: float
    high: float

    @property
    def scale(self) -> float:
        """The percentage at the end of the line on which the interval is drawn."""
        return max(1.25 * self.high, 1e-6)


@dataclass
class RunContents:
    """What the page of a run says; a part that is missing is None or empty.

    `notes` say what is missing and why.
    """

    run: ListedRun
    state: str
    notes: list[str] = field(default_factory=list)
    headline: Headline | None = None
    words: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    learning: Learning | None = None
    steps: Sequence[Column] = ()
    scored: Scored | None = None
    first_weights: FirstWeights | None = None
    distortions: Sequence[Seen] = ()
    norms: Sequence[Column] = ()
    batch: int = 0
    batch_norm: bool = False
    settings: Sequence[Setting] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    repeat: Repeat | None = None

    def attempt(self, missing: str, read: Callable[[], Part]) -> Part | None:
        """Return what `read` returns, or None with a note that begins with `missing`."""
        try:
            return read()
        except FAULTS as error:
            self.notes.append(f"{missing}: {' '.join(str(error).split())}")
            return None


def run_contents(found: FoundRun, data_dir: Path, data_path: Path | None) -> RunContents:
    """Gather what the page of a run says. Nothing is fetched, and nothing is trained."""
    run = RunReader().read(found)
    page = RunContents(run, " ".join(filter(None, (STATES[run.state], run.reason))))
    folder = found.path
    has = {name for name, is_regular in found.files.items() if is_regular}

    def read(name: str, missing: str, reader: Callable[[Path], Part]) -> Part | None:
        if name not in has:
            return None
        return page.attempt(f"{missing} missing", lambda: reader(folder / name))

    records = read("metrics.jsonl", "The learning curves are", read_metrics)
    result = read("result.json", "The result is", read_result)
    config = read("config.yaml", "The configuration is", ConfigReader().read)
    model = read("best.npz", "The network is", lambda path: Model(load_checkpoint(path)))
    page.steps = diverged_steps(read("divergence.json", "The last steps are", read_steps) or [])
    page.environment = read("env.json", "The environment is", _environment) or {}
    if "best.npz" not in has and run.state not in ("pruned", "failed"):
        page.notes.append("The network is missing: the folder holds no best.npz.")
    if records:
        page.learning = learning(records)
    if model is not None:
        tested = result is not None and result["test_errors"] is not None
        _look_at(page, model, "test" if tested else "validation", data_dir, data_path)
    if config is None and model is not None:
        config = model.config
    if config is not None:
        page.settings = settings(config)
        page.repeat = repeat(config, page.environment, folder)
    _tell_result(page, result)
    if result is not None and result["at_chance"]:
        page.notes.append("No epoch of this training was better than chance.")
    page.facts = _facts(run, config, model, result)
    return page


def _look_at(
    page: RunContents, model: Model, split: str, data_dir: Path, data_path: Path | None
) -> None:
    """Add the parts that need the network and, if they are there, its images."""
    page.first_weights = first_weights(model)
    page.batch_norm = model.config.model.batch_norm
    gradients = None
    dataset = page.attempt(
        "The parts that need images are missing",
        lambda: load_images(model, split, data_dir, data_path),
    )
    if dataset is not None:
        if split == "test" or len(dataset.validation):
            page.scored = page.attempt(
                "The scores are missing", lambda: score(model, dataset, split)
            )
        else:
            page.notes.append("The scores are missing: no images were held out to score it on.")
        page.distortions = distortions(model, dataset)
        page.batch, gradients = batch_gradients(model, dataset)
    page.norms = norms_table(model, gradients)


def _tell_result(page: RunContents, result: Mapping[str, Any] | None) -> None:
    """Add the result in words, with its interval, of the test images if they were scored."""
    run = page.run
    if result is not None and result["test_errors"] is not None and result["test_error_ci95"]:
        rate, interval = 1 - result["test_accuracy"], result["test_error_ci95"]
        low, high = (100 * min(1.0, max(0.0, end)) for end in interval)
        page.headline = Headline("test", 100 * rate, low, high)
        of = f" of {page.scored.scores.n:,}" if page.scored else ""
        page.words = (
            f"The network takes {result['test_errors']:,}{of} test images for a wrong class. "
            "Training and the choice of the epoch did not see these images."
        )
        if page.scored and page.scored.scores.errors != result["test_errors"]:
            page.notes.append(
                f"Scored again for this page, the network has {page.scored.scores.errors:,} "
                f"errors. result.json has {result['test_errors']:,}."
            )
        return
    n = run.config.get("data.validation")
    if run.val_accuracy is None or not n:
        page.words = "No image was held out to score this network on." if n == 0 else ""
        return
    errors = round((1 - run.val_accuracy) * n)
    interval = wilson_interval(errors, n)
    page.headline = Headline("validation", 100 * errors / n, *(100 * end for end in interval))
    page.words = (
        f"The network takes {errors:,} of {n:,} validation images for a wrong class, in its best "
        "epoch. The epoch was chosen by these images, so the rate is better by chance than that of "
        "new images."
    )


def _facts(
    run: ListedRun, config: Config | None, model: Model | None, result: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    facts = []
    if model is not None:
        network = model.network
        facts.append(("data", model.data.name))
        facts.append(("network", "-".join(map(str, network.sizes))))
        facts.append(("parameters", f"{network.size:,}"))
    if config is not None:
        facts.append(("optimizer", config.optimizer.name))
    if run.epochs is not None and config is not None:
        of = "" if run.state == "finished" else f" of {config.training.epochs:,}"
        facts.append(("epochs", f"{run.epochs:,}{of}"))
    best = result["best_epoch"] if result is not None else None
    if best is not None:
        facts.append(("best epoch", f"{best:,}"))
    if run.seconds:
        facts.append(("time", duration(run.seconds)))
    return facts


def _environment(path: Path) -> dict[str, str]:
    """Return the record of the machine, as text.

    Raises
    ------
    StorageError
        If the file cannot be read or is damaged.
    """
    found = read_object(path)
    plain = [(key, value) for key, value in found.items() if not isinstance(value, dict | list)]
    return {key[:LONGEST]: str(value)[:LONGEST] for key, value in plain[:MOST_ENTRIES]}
