"""`mlp export`: a trained network as a file for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from mlp_cli.cli.completion.candidates import complete_network
from mlp_cli.cli.options import GivenPath, HelpfulCommand, data_dir_option, examples
from mlp_cli.cli.printing import show


@click.command(
    cls=HelpfulCommand,
    short_help="Write a trained network for other programs.",
    epilog=examples(
        "mlp export runs/a draw.html",
        "mlp export runs/a net.npz",
        "mlp export runs/a/last.npz net.c",
    ),
)
@click.argument(
    "checkpoint",
    type=GivenPath(),
    shell_complete=complete_network,
    metavar="RUN_OR_CHECKPOINT",
)
@click.argument("file", type=GivenPath(dir_okay=False), metavar="FILE")
@data_dir_option
def export(checkpoint: Path, file: Path, data_dir: Path) -> None:
    """Write a trained network to a file that other programs read.

    The suffix of FILE says which: .onnx for ONNX Runtime, .safetensors for PyTorch, .html for a
    page to draw on, .npz for NumPy, .c for C. An older export of that name is replaced, any other
    file is not.
    """
    from mlp_cli.inference.export.formats import check_file, write_export
    from mlp_cli.inference.model import load
    from mlp_cli.runs.progress import ProgressObserver
    from mlp_cli.runs.state import unfinished

    check_file(file)
    model = load(checkpoint)
    observer = ProgressObserver()
    if reason := unfinished(checkpoint):
        observer.warn(reason)
    agreement = write_export(model, file, data_dir)
    epoch = "?" if model.epoch is None else model.epoch
    observer.log(f"network: {model.path}, epoch {epoch}, trained on {model.data.name}")
    if agreement is not None:
        observer.log(str(agreement))
    show(file)
