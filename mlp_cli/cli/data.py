"""`mlp data`: bring images of other formats into the one that training reads."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Literal

import click

from mlp_cli.cli.options import Choice, GivenPath, HelpfulCommand, HelpfulGroup, examples, option
from mlp_cli.cli.printing import show
from mlp_cli.cli.storage_warnings import storage_warnings_to


class Size(click.ParamType):  # type: ignore[type-arg]  # generic only from Click 8.4 on
    """A height and width in pixels, as in 28x28."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the height and width, or raise a usage error that names the option."""
        found = re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", str(value), re.ASCII)
        if found is None:
            self.fail(f"'{value}' is not HEIGHTxWIDTH in pixels, as in 28x28.", param, ctx)
        return int(found[1]), int(found[2])


class Number(click.FloatRange):
    """A number in a range, and so neither infinite nor NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or raise a usage error that names the option."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return found


@click.group(cls=HelpfulGroup, short_help="Import images of other formats.")
def data() -> None:
    """Import images of other formats."""


@data.command(
    "import",
    cls=HelpfulCommand,
    short_help="Write images as a folder for data.path.",
    epilog=examples(
        "mlp data import pictures data/a",
        "mlp data import train.csv data/b --test-share 0.2",
    ),
)
@click.argument("source", type=GivenPath(), metavar="SOURCE")
@click.argument("folder", type=GivenPath(file_okay=False), metavar="DIR")
@option(
    "--label-column",
    type=Choice(["first", "last", "none"]),
    help="CSV: where the label stands in a line; none if there are no labels.",
)
@option(
    "--transpose/--no-transpose",
    default=None,
    help="Exchange rows and columns of images that lie on their side, or leave them as they are.",
)
@option(
    "--white",
    type=Number(min=0, min_open=True),
    metavar="VALUE",
    help="CSV, .npz, .npy and IDX: the value that is white; 0 is black.",
)
@option(
    "--size",
    type=Size(),
    metavar="HEIGHTxWIDTH",
    help="CSV: the size of the images. Pictures: scale all to this size.",
)
@option(
    "--prepare",
    is_flag=True,
    help="Pictures: each is a digit; prepare it as MNIST's images were made (28x28).",
)
@option(
    "--test-share",
    type=Number(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Hold this share of each class out as the test set, if SOURCE has none.",
)
def import_data(
    source: Path,
    folder: Path,
    label_column: Literal["first", "last", "none"] | None,
    transpose: bool | None,
    white: float | None,
    size: tuple[int, int] | None,
    prepare: bool,
    test_share: float | None,
) -> None:
    """Write the images of SOURCE as IDX files into DIR, for data.path.

    SOURCE is a folder that has a folder of pictures for each class, perhaps in train and test; a
    CSV table; an .npz or .npy file; IDX files of any type; or a folder of such files. DIR is new.
    The same command continues an interrupted import.
    """
    from mlp_cli.data.formats.collection import Answers
    from mlp_cli.data.formats.importing import import_collection
    from mlp_cli.runs.progress import ProgressObserver

    answers = Answers(label_column, transpose, white, size, prepare)
    with ProgressObserver() as observer, storage_warnings_to(observer.warn):
        import_collection(
            source,
            folder,
            answers,
            test_share=test_share,
            log=observer.log,
            progress=observer.images,
        )
    show(folder)
