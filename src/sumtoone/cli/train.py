"""``sumtoone train``: words into values, then ``fit``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sumtoone.cli.common import AsJson, Lang, Quiet, Voice, module_in, warn
from sumtoone.errors import DtypeError, ShapeError, UsageError
from sumtoone.language import text

if TYPE_CHECKING:
    from torch import nn

    from sumtoone.data import Dataset
    from sumtoone.network import Network
    from sumtoone.options import TrainingOptions
    from sumtoone.runs import Run

# Why a module is no dense network, though a run of its own it can be.
_TRAINED_AS_THEY_ARE = {
    f"adopt-{reason}"
    for reason in (
        *("computed", "custom", "differs", "dropout", "dtype", "lazy", "mixed", "no-layers", "operation"),
        *("scaling", "shared", "skip", "values"),
    )
}

Data = Annotated[str, typer.Argument(metavar="DATA", help="cli.common.data")]
Label = Annotated[str, typer.Option("--label", metavar="NAME", help="cli.common.label")]


def train(
    data: Data = "digits",
    network: Annotated[str | None, typer.Option(metavar="SIZES|FILE.py:NAME", help="cli.train.network")] = None,
    activation: Annotated[str, typer.Option(metavar="NAME", help="cli.train.activation")] = "relu",
    dropout: Annotated[float, typer.Option(help="cli.train.dropout")] = 0.0,
    epochs: Annotated[int | None, typer.Option(help="cli.train.epochs")] = None,
    batch_size: Annotated[int | None, typer.Option(help="cli.train.batch-size")] = None,
    optimizer: Annotated[str | None, typer.Option(metavar="adamw|adam|sgd", help="cli.train.optimizer")] = None,
    lr: Annotated[float | None, typer.Option(help="cli.train.lr")] = None,
    momentum: Annotated[float | None, typer.Option(help="cli.train.momentum")] = None,
    nesterov: Annotated[bool | None, typer.Option("--nesterov", help="cli.train.nesterov")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="cli.train.weight-decay")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="cli.train.label-smoothing")] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="one-cycle|cosine|constant", help="cli.train.schedule")
    ] = None,
    early_stopping: Annotated[int | None, typer.Option(metavar="EPOCHS", help="cli.train.early-stopping")] = None,
    seed: Annotated[int | None, typer.Option(help="cli.train.seed")] = None,
    engine: Annotated[str | None, typer.Option(metavar="auto|plain|fused", help="cli.train.engine")] = None,
    precision: Annotated[str | None, typer.Option(metavar="float32|bfloat16", help="cli.train.precision")] = None,
    threads: Annotated[int | None, typer.Option(help="cli.train.threads")] = None,
    device: Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help="cli.train.device")] = None,
    label: Label = "label",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="cli.train.out")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="cli.train.resume")] = False,
    test: Annotated[bool, typer.Option("--test", help="cli.train.test")] = False,
    plots: Annotated[bool, typer.Option("--plots", help="cli.train.plots")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> int:
    """Train a network on a data set and write the run."""
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "momentum": momentum,
        "nesterov": nesterov,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "schedule": schedule,
        "early_stopping": early_stopping,
        "seed": seed,
        "engine": engine,
        "precision": precision,
        "threads": threads,
        "device": device,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    voice = Voice(as_json, quiet)
    if resume:
        run, folder = _resume(voice, out, network)
    else:
        run, folder = _start(voice, out, data, label, network, activation, dropout, chosen)
    report = _judge(voice, run, folder, plots) if test or plots else None
    voice.emit({"event": "done", "out": str(folder), "test": report if test else None})
    voice.say(text("cli.train.done", out=folder))
    return 0


def _start(
    voice: Voice,
    out: Path | None,
    data: str,
    label: str,
    sizes: str | None,
    activation: str,
    dropout: float,
    chosen: dict[str, Any],
) -> tuple[Run, Path]:
    from sumtoone.adoption.files import names_file
    from sumtoone.data import load
    from sumtoone.network import Network
    from sumtoone.options import TrainingOptions
    from sumtoone.specification import Specification
    from sumtoone.training import fit

    options = TrainingOptions.of(**chosen)
    in_file = sizes is not None and names_file(sizes)
    if sizes is not None and not in_file:
        Specification.parse(sizes, activation, dropout)
    if in_file and (activation, dropout) != ("relu", 0.0):
        raise UsageError("adopt-options", given=f"--activation {activation} --dropout {dropout:g}", network=sizes)
    dataset = load(data, label=label)
    described = sizes or f"{dataset.features}-128-64-{len(dataset.classes)}"
    if in_file:
        network = _from_file(voice, described, dataset, options)
        described, activation = _named(network)
    else:
        network = Network(described, activation, dropout, seed=options.seed)
    rows = f"{len(dataset.train):,}"
    with nullcontext(out) if out is not None else _default_folder(dataset) as folder:
        voice.say(text("cli.train.start", network=described, activation=activation, data=dataset.name, rows=rows))
        run = fit(network, dataset, options, out=folder, progress=not voice.quiet, on_event=_listener(voice))
    return run, folder


def _from_file(voice: Voice, given: str, dataset: Dataset, options: TrainingOptions) -> nn.Module:
    """Return the network that the person's own file holds, or the module itself where it is no dense network."""
    from sumtoone.adoption.files import module_from_file

    module = module_from_file(given, options.seed)
    try:
        return _adopted(voice, given, module, dataset, options)
    except (UsageError, ShapeError, DtypeError) as error:
        if error.code not in _TRAINED_AS_THEY_ARE:
            raise
        voice.say(text("adoption.as-it-is", name=given.rpartition(":")[2], why=error.message, got=error.got))
        return module


def _adopted(voice: Voice, given: str, module: nn.Module, dataset: Dataset, options: TrainingOptions) -> Network:
    """Return the network that a module is; say which."""
    import torch

    from sumtoone.adoption import adopt
    from sumtoone.network import Network

    # As many rows as a batch has: a module may count on them.
    adopted = adopt(module, torch.zeros(options.batch_size, dataset.features))
    network = Network.from_adopted(adopted)
    for note in adopted.notes:
        warn(text(note))
    fields = {"name": given.rpartition(":")[2], "network": str(network.specification)}
    ending = "" if adopted.ending == "none" else text("adoption.softmax", name=adopted.ending)
    voice.say(text("adoption.found", activation=network.specification.activation, ending=ending, **fields))
    return network


def _named(network: nn.Module) -> tuple[str, str]:
    """Return what the first line calls a network, and what it says in brackets."""
    from sumtoone.network import Network

    if isinstance(network, Network):
        return str(network.specification), network.specification.activation
    parameters = sum(parameter.numel() for parameter in network.parameters() if not hasattr(parameter, "materialize"))
    return type(network).__name__, text("cli.train.parameters", count=f"{parameters:,}")


def _resume(voice: Voice, out: Path | None, network: str | None) -> tuple[Run, Path]:
    from sumtoone.training import resume

    if out is None:
        raise UsageError("resume-out")
    voice.say(text("cli.train.resume-start", out=out))
    module = module_in(network)
    return resume(out, network=module, progress=not voice.quiet, on_event=_listener(voice)), out


def _default_folder(dataset: Dataset) -> AbstractContextManager[Path]:
    """Make ``runs/<data>-<date>-<time>``, with a number behind it where that is taken."""
    from datetime import datetime

    from sumtoone.run_folder import unique_folder

    return unique_folder(Path("runs"), f"{Path(dataset.name).stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")


def _listener(voice: Voice) -> Any:
    def hear(event: Mapping[str, Any]) -> None:
        if event["event"] == "epoch":
            voice.emit(event)

    return hear


def _judge(voice: Voice, run: Run, folder: Path, plots: bool) -> dict[str, Any]:
    """Evaluate on the test split, once; say the accuracy, keep the numbers with the run, draw the pictures."""
    from sumtoone.data import load
    from sumtoone.evaluation import MOST_CLASSES, evaluate
    from sumtoone.runs import add_metrics

    report = evaluate(run, load(run.data, label=run.label).test)
    document: dict[str, Any] = report.to_json()
    add_metrics(run, folder, {"test": report.to_json(most=MOST_CLASSES)})
    voice.say(text("cli.train.test-accuracy", accuracy=f"{report.accuracy:.2%}", rows=f"{report.rows:,}"))
    if plots:
        from sumtoone import plots as drawing

        drawing.save(drawing.training_curves(run.history), folder / "curves.png")
        drawing.save(drawing.confusion_matrix(report), folder / "confusion.png")
        voice.say(text("cli.train.pictures", curves=folder / "curves.png", confusion=folder / "confusion.png"))
    return document
